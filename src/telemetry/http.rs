//! The HTTP endpoints of a job: `/livez`, `/readyz`, `/metrics`. None of them changes anything.
//!
//! One thread with its own runtime serves them, so that a busy job still answers and a busy scraper takes nothing from
//! the workers. Whoever connects is not trusted: heads are bounded in size, number and time, a connection in its life,
//! and when too many are open the oldest makes room, so that a probe gets in whatever others hold.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::Telemetry;
use super::exposition::Format;
use super::prometheus::render;

/// A head of request line and headers must fit.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;
/// A head must be there after this long.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// A connection, which is good for one request, ends after this long: its client may never read the answer.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 128;
/// How many ports after the default one are tried.
const PORTS: u16 = 100;
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);

/// Where to listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// 127.0.0.1:9464, or the next port that is free: several jobs on one machine just start.
    #[default]
    Default,
    /// `host:port`, this one or none.
    At(String),
    Off,
}

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// `None` where it is off. The error names the address.
    pub fn start(listen: &Listen, telemetry: Arc<Telemetry>) -> io::Result<Option<Self>> {
        let Some(listener) = bind(listen)? else { return Ok(None) };
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || runtime.block_on(run(listener, router(telemetry), stopped)))?;
        Ok(Some(Self { address, stop: Some(stop), thread: Some(thread) }))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever is not listening any more has stopped already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn bind(listen: &Listen) -> io::Result<Option<StdListener>> {
    let named = |address: String, error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    match listen {
        Listen::Off => Ok(None),
        Listen::At(address) => {
            let found: Vec<SocketAddr> =
                address.to_socket_addrs().map_err(|error| named(address.clone(), error))?.collect();
            StdListener::bind(&found[..]).map(Some).map_err(|error| named(address.clone(), error))
        }
        Listen::Default => bind_upward(DEFAULT).map(Some).map_err(|error| named(DEFAULT.to_string(), error)),
    }
}

/// The first free port from this one on.
fn bind_upward(first: SocketAddr) -> io::Result<StdListener> {
    let mut address = first;
    loop {
        match StdListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() < first.port() + PORTS => {
                address.set_port(address.port() + 1);
            }
            result => return result,
        }
    }
}

async fn run(listener: StdListener, router: Router, mut stopped: oneshot::Receiver<()>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the HTTP server cannot start"),
    };
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => admit(stream, &router, &mut open),
            Err(error) => {
                // No descriptors left, most likely: there is time until one is closed.
                tracing::debug!(%error, "an HTTP connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn admit(stream: TcpStream, router: &Router, open: &mut VecDeque<AbortHandle>) {
    open.retain(|connection| !connection.is_finished());
    while open.len() >= CONNECTIONS {
        if let Some(oldest) = open.pop_front() {
            oldest.abort();
        }
    }
    open.push_back(tokio::spawn(serve(stream, router.clone())).abort_handle());
}

/// Answers one connection until it ends. What goes wrong on it is the client's concern, not the operator's.
async fn serve(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(CONNECTION_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::trace!(%error, "an HTTP connection ended badly"),
        Err(_) => tracing::trace!("an HTTP connection was open for too long"),
    }
}

fn router(telemetry: Arc<Telemetry>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/livez", get(|| async { text(StatusCode::OK, "ok\n".into()) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async { text(StatusCode::NOT_FOUND, "not found; there are /livez /readyz /metrics\n".into()) })
        .method_not_allowed_fallback(|| async { text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n".into()) })
        .with_state(telemetry)
}

async fn index(State(telemetry): State<Arc<Telemetry>>) -> Response {
    let job = telemetry.job();
    let name = if job.name.is_empty() { "a job that is starting" } else { &job.name };
    let about = format!(
        "tidemill {} ({})\n{name}\n\n\
         /livez    200 while the process runs\n\
         /readyz   200 once events are delivered, else 503 and the reason\n\
         /metrics  Prometheus text, or OpenMetrics by Accept\n",
        super::VERSION,
        super::REVISION
    );
    text(StatusCode::OK, about)
}

async fn ready(State(telemetry): State<Arc<Telemetry>>) -> Response {
    match telemetry.health().check() {
        Ok(()) => text(StatusCode::OK, "ok\n".into()),
        Err(reasons) => text(StatusCode::SERVICE_UNAVAILABLE, reasons),
    }
}

async fn metrics(State(telemetry): State<Arc<Telemetry>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    ([(CONTENT_TYPE, format.content_type()), (CACHE_CONTROL, "no-store")], render(&telemetry, format)).into_response()
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests;
