//! Topics of one run of a bench: made, filled, read, and deleted in the end, by the Rust wrapper's own clients.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::calibrate::{self, Load};
use crate::events::{Orders, user_name};
use crate::support::{Broker, unique};

/// Partitions of every topic.
pub const PARTITIONS: i32 = 4;

/// All that are made here are deleted when this is dropped.
pub struct Topics {
    broker: &'static Broker,
    made: RefCell<Vec<String>>,
}

impl Topics {
    pub fn new() -> Self {
        Self { broker: Broker::shared(), made: RefCell::default() }
    }

    pub fn brokers(&self) -> &'static str {
        &self.broker.address
    }

    /// A topic with a name that no other has.
    pub fn create(&self, name: &str) -> String {
        self.create_named(&unique(&format!("bench-{name}")))
    }

    /// A topic for results, and beside it the one that takes the dead letters of the job that writes them.
    pub fn create_sink(&self, name: &str) -> String {
        let sink = self.create(name);
        self.create_named(&format!("{sink}.dead-letters"));
        sink
    }

    fn create_named(&self, name: &str) -> String {
        self.made.borrow_mut().push(name.to_owned());
        self.broker.create_topic(name, PARTITIONS, &[]);
        name.to_owned()
    }

    /// Fills a topic with events, each with its user as key and at the partition of that key.
    pub fn load_orders(&self, topic: &str, orders: Orders, count: u64) {
        let (mut number, mut value, time) = (0, String::new(), now_millis());
        calibrate::load(self.brokers(), topic, |send| {
            if number < count {
                value.clear();
                orders.write(number, time, &mut value);
                let user = orders.get(number).user;
                let key = user_name(user);
                let partition = (user % PARTITIONS as u64) as i32;
                send(Load { partition, key: Some(key.as_bytes()), value: value.as_bytes(), timestamp: time });
                number += 1;
            }
            number < count
        });
    }

    /// How many records a topic holds.
    pub fn count(&self, topic: &str) -> u64 {
        let consumer = consumer(self.brokers(), topic);
        let partition = |partition| {
            let (low, high) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(20)).expect("offsets");
            (high - low) as u64
        };
        (0..PARTITIONS).map(partition).sum()
    }

    /// Gives each record that a topic holds now, in the order of each partition.
    pub fn each(&self, topic: &str, mut record: impl FnMut(&BorrowedMessage<'_>)) {
        let consumer = consumer(self.brokers(), topic);
        let (mut ended, start) = (BTreeSet::new(), Instant::now());
        while ended.len() < PARTITIONS as usize {
            assert!(start.elapsed() < Duration::from_secs(300), "topic {topic} could not be read to its end");
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => record(&message),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) => panic!("topic {topic}: {error}"),
                None => {}
            }
        }
    }

    /// Fails, and shows the first, if the job that writes `sink` rejected anything.
    pub fn check_no_dead_letters(&self, sink: &str) {
        let letters = format!("{sink}.dead-letters");
        if self.count(&letters) > 0 {
            self.each(&letters, |letter| {
                let value = String::from_utf8_lossy(letter.payload().unwrap_or_default()).into_owned();
                panic!("WRONG RESULT: a dead letter: {value}");
            });
        }
    }

    pub fn delete(&self, topic: &str) {
        self.made.borrow_mut().retain(|name| name != topic);
        self.broker.delete_topic(topic);
    }

    pub fn delete_sink(&self, sink: &str) {
        self.delete(sink);
        self.delete(&format!("{sink}.dead-letters"));
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        for name in self.made.take() {
            // Also when a check failed; a broker that is gone has nothing left to delete.
            let deleted = std::panic::catch_unwind(|| Broker::shared().delete_topic(&name));
            drop(deleted);
        }
    }
}

/// Reads all partitions of a topic from their beginning.
pub fn consumer(brokers: &str, topic: &str) -> BaseConsumer {
    let mut config = calibrate::consumer_config(brokers);
    let consumer: BaseConsumer = config.set("enable.partition.eof", "true").create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("partitions are assigned");
    consumer
}

/// The wall clock: records with old timestamps would be deleted by the broker.
pub fn now_millis() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    now.as_millis() as i64
}
