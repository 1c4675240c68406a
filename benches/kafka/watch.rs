//! A reader of results that notes when it saw each, and what they must be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::calibrate;
use crate::events::Orders;
use crate::support::wait_until;
use crate::topics::PARTITIONS;

/// A result that was seen.
pub struct Seen {
    pub at: Instant,
    value: Box<[u8]>,
}

/// Reads a topic on a thread of its own until it is told to stop.
pub struct Watcher {
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Seen>>,
}

impl Watcher {
    pub fn start(brokers: &str, topic: &str) -> Self {
        let consumer = calibrate::consumer(brokers, topic, PARTITIONS);
        let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (count.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut all = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Some(message) = consumer.poll(Duration::from_millis(50)) {
                    let message = message.expect("reading goes on");
                    all.push(Seen { at: Instant::now(), value: message.payload().expect("a value").into() });
                    counted.store(all.len() as u64, Ordering::Relaxed);
                }
            }
            all
        });
        Self { count, stop, thread }
    }

    /// Waits until so many were seen.
    pub fn wait_for(&self, count: u64, patience: Duration) {
        wait_until(patience, "all results are seen", || self.count.load(Ordering::Relaxed) >= count);
    }

    pub fn stop(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the reader does not fail")
    }
}

#[derive(Deserialize)]
struct Row<'a> {
    id: &'a str,
    items: u64,
    amount: serde_json::Number,
    total: Option<serde_json::Number>,
}

impl Seen {
    fn row(&self) -> Row<'_> {
        serde_json::from_slice(&self.value)
            .unwrap_or_else(|error| panic!("WRONG RESULT: {error}: {}", String::from_utf8_lossy(&self.value)))
    }

    /// The number of its event.
    pub fn number(&self) -> u64 {
        let row = self.row();
        row.id.strip_prefix("o-").and_then(|number| number.parse().ok()).expect("an id has a number")
    }
}

/// The results that must be seen: of the orders with these numbers, each once.
pub struct Expected {
    pub orders: Orders,
    pub first: u64,
    pub end: u64,
    /// Whether results have the field that the job sets.
    pub with_total: bool,
}

impl Expected {
    pub fn check(&self, seen: &[Seen]) {
        let mut missing: Vec<bool> = (self.first..self.end).map(|number| self.orders.get(number).is_order).collect();
        for result in seen {
            let (row, number) = (result.row(), result.number());
            let order = self.orders.get(number);
            let decimal = |number: &serde_json::Number| number.as_str().parse::<Decimal>().expect("a decimal");
            let amount = Decimal::new(order.cents, 2);
            let total = self.with_total.then(|| amount * Decimal::from(row.items));
            assert_eq!(decimal(&row.amount), amount, "WRONG RESULT: event {number}");
            assert_eq!(row.total.as_ref().map(decimal), total, "WRONG RESULT: event {number}");
            let place = missing.get_mut((number - self.first) as usize).expect("an event that was sent");
            assert!(std::mem::take(place), "WRONG RESULT: event {number} is no order, or came twice");
        }
        let lost = missing.iter().filter(|missing| **missing).count();
        assert_eq!(lost, 0, "WRONG RESULT: so many are missing");
    }
}
