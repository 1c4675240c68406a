//! What tests on a real Kafka share: a broker, topics with records in them, and the program as a process.
//!
//! Each test file uses a part of it, hence the `allow`.
#![allow(dead_code, unused_imports)]

mod broker;
mod jars;
mod job;
mod proxy;
mod records;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

pub use broker::{ADMIN, Broker, PASSWORD, USER};
pub use job::Job;
pub use proxy::Proxy;
pub use records::{End, Got, Rec};
use tidemill::kafka::{Given, Settings};

/// A name that no other test and no other run has.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    format!("{name}-{now:x}-{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until `condition` holds; fails the test, naming `what`, if it does not within `deadline`.
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Settings for these brokers, a group of its own, and client options (`KEY=VALUE`).
pub fn settings(brokers: &str, options: &[&str]) -> Settings {
    settings_for(brokers, &unique("group"), options)
}

/// The same with a group that is given.
pub fn settings_for(brokers: &str, group: &str, options: &[&str]) -> Settings {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    let broker_timeout = Duration::from_secs(60);
    let given = Given { brokers, options: &options, group, broker_timeout, ..Given::default() };
    Settings::new(&given).unwrap().0
}
