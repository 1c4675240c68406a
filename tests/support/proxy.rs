//! A connection that can be cut: what a lost network looks like to one client, while others still reach the broker.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::Broker;

/// Forwards connections to a broker's listener. Lives as long as the test process.
pub struct Proxy {
    pub address: String,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// In front of a broker that the tests started.
    pub fn before(broker: &Broker) -> Self {
        let (hidden, shown) = broker.behind.expect("a broker that the tests started");
        let listener = TcpListener::bind(("127.0.0.1", shown)).expect("the port was free a moment ago");
        let (cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_cut, theirs) = (cut.clone(), open.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", hidden)) else { continue };
                let mut open = theirs.lock().unwrap();
                for (mut from, mut to) in [(&client, &server), (&server, &client)].map(both) {
                    open.push(from.try_clone().expect("a socket"));
                    std::thread::spawn(move || forward(&mut from, &mut to));
                }
            }
        });
        Self { address: format!("127.0.0.1:{shown}"), cut, open }
    }

    /// Ends all connections and lets none through.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

fn both((from, to): (&TcpStream, &TcpStream)) -> (TcpStream, TcpStream) {
    (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"))
}

fn forward(from: &mut TcpStream, to: &mut TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
