//! What a benchmark measures against, in the same run: loops that only copy a topic, a loader, and CPU time.
//!
//! A figure of a job is given as a ratio to one of these loops, so that it holds on other machines. Use it by
//! `#[path = "calibrate/mod.rs"] mod calibrate;`.
#![allow(dead_code)]

mod batch;

pub use batch::copy_in_batches;

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// What a piece of work took: wall time, and CPU time of all threads of this process, user and system.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
}

/// Does `work` and says what it took.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (start, before) = (Instant::now(), cpu_time());
    let result = work();
    (result, Cost { wall: start.elapsed(), cpu: cpu_time() - before })
}

/// CPU time of all threads of this process so far, user and system.
pub fn cpu_time() -> Duration {
    // SAFETY: all zeros is a valid `rusage`, which the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let part = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    part(usage.ru_utime) + part(usage.ru_stime)
}

/// How long a copy loop waits for a record that should be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// A record to load.
pub struct Load<'a> {
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    /// Milliseconds since the Unix epoch. The topic's retention goes by it: records of last year are deleted soon.
    pub timestamp: i64,
}

/// Fills a topic; returns when all records are acknowledged. `next` gives one record after the other to `send`, and
/// `false` at the end.
pub fn load(brokers: &str, topic: &str, mut next: impl FnMut(&mut dyn FnMut(Load<'_>)) -> bool) {
    let producer: BaseProducer = producer_config(brokers).set("linger.ms", "20").create().expect("a producer");
    let mut send = |record: Load<'_>| {
        let mut outgoing = BaseRecord::<[u8], [u8]>::to(topic)
            .partition(record.partition)
            .payload(record.value)
            .timestamp(record.timestamp);
        outgoing.key = record.key;
        send(&producer, outgoing);
    };
    while next(&mut send) {}
    producer.flush(Duration::from_secs(120)).expect("all records are acknowledged");
}

/// Calibrator (a): copies `count` records by the wrapper's `poll` and `send`, one at a time, and does nothing else.
/// Returns when all are acknowledged.
pub fn copy_one_by_one(brokers: &str, from: &str, to: &str, partitions: i32, count: usize) {
    let consumer = consumer(brokers, from, partitions);
    let producer: BaseProducer = producer_config(brokers).create().expect("a producer");
    let (mut copied, mut last) = (0, Instant::now());
    while copied < count {
        assert!(last.elapsed() < PATIENCE, "{from} has only {copied} of {count} records");
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.expect("reading goes on");
            let mut outgoing = BaseRecord::<[u8], [u8]>::to(to).partition(message.partition());
            outgoing.key = message.key();
            outgoing.payload = message.payload();
            outgoing.timestamp = message.timestamp().to_millis();
            send(&producer, outgoing);
            copied += 1;
            if copied % 1000 == 0 {
                last = Instant::now();
                producer.poll(Duration::ZERO);
            }
        }
    }
    producer.flush(Duration::from_secs(120)).expect("all records are acknowledged");
}

/// Sends a record, waiting for room where there is none.
pub fn send(producer: &BaseProducer, mut record: BaseRecord<'_, [u8], [u8]>) {
    while let Err((error, back)) = producer.send(record) {
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
        producer.poll(Duration::from_millis(10));
        record = back;
    }
}

/// With room to read ahead: what a plain program would be told to use.
pub fn consumer_config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "calibrate")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5");
    config
}

/// Reads a topic from its beginning.
pub fn consumer(brokers: &str, topic: &str, partitions: i32) -> BaseConsumer {
    let consumer: BaseConsumer = consumer_config(brokers).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("partitions are assigned");
    consumer
}

/// As safe as the job's own producer.
pub fn producer_config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.max.bytes", "20000000")
        .set("queue.buffering.max.messages", "500000");
    config
}
