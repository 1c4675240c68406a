//! The server answers what it should, and goes on answering whatever is thrown at it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Client};

use super::*;
use crate::telemetry::Health;

fn start() -> (Server, Arc<Telemetry>) {
    let telemetry = Telemetry::new(1);
    let server = Server::start(&Listen::At("127.0.0.1:0".into()), telemetry.clone());
    (server.expect("a port is free").expect("it is on"), telemetry)
}

fn connect(server: &Server) -> Client {
    let client = Client::connect(server.address()).expect("the server listens");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("a positive timeout");
    client
}

/// Sends these bytes and reads until the server ends; a reset counts as an end.
fn send(server: &Server, bytes: &[u8]) -> String {
    let mut client = connect(server);
    // The server may refuse before all is sent.
    let _ = client.write_all(bytes);
    let _ = client.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = client.read(&mut chunk) {
        answer.extend_from_slice(&chunk[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn ask(server: &Server, method: &str, path: &str, headers: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    let mut client = connect(server);
    client.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("UTF-8 until the server closes");
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn alive(server: &Server) {
    assert_eq!(status(&ask(server, "GET", "/livez", "")), "200");
}

#[test]
fn readiness_follows_health_with_its_reason() {
    let (server, telemetry) = start();
    let answer = ask(&server, "GET", "/readyz", "");
    assert_eq!(status(&answer), "503");
    assert!(answer.contains("starting: the job is starting"), "{answer}");
    telemetry.health().clear(Health::STARTING);
    assert_eq!(status(&ask(&server, "GET", "/readyz", "")), "200");
    telemetry.health().set_not_ready("brokers", "none answers");
    assert!(ask(&server, "GET", "/readyz", "").ends_with("brokers: none answers\n"));
    alive(&server);
}

#[test]
fn metrics_come_in_the_format_that_was_asked_for() {
    let (server, telemetry) = start();
    telemetry.source("orders").read(0, 3, 100);
    let answer = ask(&server, "GET", "/metrics", "");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("tidemill_source_events_total{source=\"orders\"} 3\n"));
    let answer = ask(&server, "GET", "/metrics", "accept: application/openmetrics-text; version=1.0.0\r\n");
    assert!(answer.contains("content-type: application/openmetrics-text") && answer.ends_with("# EOF\n"));
}

#[test]
fn only_reading_is_allowed_and_only_what_is_there() {
    let (server, _telemetry) = start();
    assert_eq!(status(&ask(&server, "POST", "/metrics", "content-length: 0\r\n")), "405");
    assert_eq!(status(&ask(&server, "DELETE", "/livez", "")), "405");
    assert_eq!(status(&ask(&server, "GET", "/../etc/passwd", "")), "404");
    let head = ask(&server, "HEAD", "/metrics", "");
    assert!(status(&head) == "200" && head.ends_with("\r\n\r\n"), "{head}");
    assert!(ask(&server, "GET", "/", "").contains("/readyz"));
}

#[test]
fn rubbish_is_refused() {
    let (server, _telemetry) = start();
    for rubbish in [
        &b"\x00\x01\x02\xff\xfe rubbish\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /livez\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"",
    ] {
        let answer = send(&server, rubbish);
        let about = String::from_utf8_lossy(rubbish);
        // A body that nobody reads may be broken; the head above it was right.
        assert!(matches!(status(&answer), "" | "400") || about.contains("chunked"), "{about:?} -> {answer}");
    }
    alive(&server);
}

#[test]
fn heads_that_are_too_large_are_refused_without_being_kept() {
    let (server, _telemetry) = start();
    let large = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    assert!(matches!(status(&send(&server, large.as_bytes())), "431" | ""));
    let many = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(1000));
    assert!(matches!(status(&send(&server, many.as_bytes())), "431" | ""));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(1 << 20));
    assert!(matches!(status(&send(&server, long.as_bytes())), "414" | "431" | ""));
    alive(&server);
}

#[test]
fn a_client_that_never_finishes_its_head_is_cut_off() {
    let (server, _telemetry) = start();
    let mut slow = connect(&server);
    slow.write_all(b"GET /livez HTTP/1.1\r\nx: ").expect("the server reads");
    let began = std::time::Instant::now();
    alive(&server);
    // The read ends when the server gives up; its own timeout lies far above that of the head.
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    let took = began.elapsed();
    assert!(took >= HEAD_TIME - Duration::from_secs(1) && took < HEAD_TIME * 3, "{took:?}");
}

#[test]
fn a_thousand_idle_connections_leave_room_for_a_probe() {
    let (server, _telemetry) = start();
    let idle: Vec<Client> = (0..1000).map_while(|_| Client::connect(server.address()).ok()).collect();
    assert!(idle.len() > CONNECTIONS);
    alive(&server);
    drop(idle);
    alive(&server);
}

#[test]
fn a_taken_port_is_passed_over_by_default_and_an_error_where_it_was_asked_for() {
    let taken = StdListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound");
    let next = bind_upward(address).expect("one of the next ports is free");
    assert!(next.local_addr().expect("it is bound").port() > address.port());
    let error = Server::start(&Listen::At(address.to_string()), Telemetry::new(1)).expect_err("it is taken");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(Server::start(&Listen::Off, Telemetry::new(1)).expect("off needs nothing").is_none());
}
