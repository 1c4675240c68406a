//! Records arrive as they were sent, in their order, and each is reported once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemill::emit::kafka::{Outgoing, Producer, Report, Sent};
use tidemill::kafka::{Admin, Health, Settings};

use crate::support::{Broker, settings, unique, wait_until};

const WAIT: Duration = Duration::from_secs(30);

pub fn open(settings: &Settings, topics: &[&str]) -> Producer {
    let health = Health::default();
    let limits = Admin::new(settings, &health).unwrap().limits(topics);
    Producer::open(settings, topics, limits.batch_bytes, &health).unwrap()
}

pub fn record(partition: i32, value: &[u8], token: u64) -> Outgoing<'_> {
    Outgoing { topic: 0, partition, key: None, value: Some(value), headers: &[], timestamp: 1_700_000_000_000, token }
}

/// Waits for all reports: delivered counts by token, and tokens that were too large.
fn reports(producer: &mut Producer) -> (BTreeMap<u64, usize>, Vec<u64>) {
    let (mut delivered, mut too_large) = (BTreeMap::new(), Vec::new());
    wait_until(WAIT, "all reports", || {
        producer
            .poll(&mut |report| match report {
                Report::Delivered { token, count } => *delivered.entry(token).or_default() += count,
                Report::TooLarge { token, .. } => too_large.push(token),
            })
            .unwrap();
        producer.in_flight() == 0
    });
    (delivered, too_large)
}

#[test]
fn a_record_arrives_as_it_was_sent() {
    let broker = Broker::shared();
    let topic = broker.topic("sent", 2);
    let mut producer = open(&settings(&broker.address, &[]), &[&topic]);
    let headers = [("a", Some(&b"1"[..])), ("a", None), ("e", Some(&b""[..]))];
    let whole = Outgoing {
        topic: 0,
        partition: 1,
        key: Some(b"\xff\x00"),
        value: Some(b"v"),
        headers: &headers,
        timestamp: 1_600_000_000_123,
        token: 7,
    };
    let tombstone = Outgoing { key: Some(b"k"), value: None, headers: &[], timestamp: 0, ..whole };
    let empty = Outgoing { key: None, value: Some(b""), headers: &[], timestamp: 5, token: 9, ..whole };
    for record in [&whole, &tombstone, &empty] {
        assert_eq!(producer.send(record).unwrap(), Sent::Queued);
    }
    assert_eq!(producer.in_flight(), 3);
    assert_eq!(reports(&mut producer), (BTreeMap::from([(7, 2), (9, 1)]), vec![]));
    let all = broker.read_all(&topic);
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|record| record.partition == 1));
    assert_eq!(all[0].key.as_deref(), Some(&b"\xff\x00"[..]));
    assert_eq!(all[0].value.as_deref(), Some(&b"v"[..]));
    assert_eq!(all[0].timestamp, Some(1_600_000_000_123));
    let sent: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), v.map(<[u8]>::to_vec))).collect();
    assert_eq!(all[0].headers, sent);
    assert_eq!((all[1].key.as_deref(), &all[1].value, all[1].timestamp), (Some(&b"k"[..]), &None, Some(1)));
    assert_eq!((&all[2].key, all[2].value.as_deref(), all[2].timestamp), (&None, Some(&b""[..]), Some(5)));
}

#[test]
fn many_records_keep_their_order_and_are_each_reported() {
    let broker = Broker::shared();
    let topic = broker.topic("order", 3);
    let mut producer = open(&settings(&broker.address, &["queue.buffering.max.messages=5000"]), &[&topic]);
    let (mut delivered, mut full) = (0, 0);
    for number in 0..30_000_u64 {
        let value = number.to_string();
        let next = record((number % 3) as i32, value.as_bytes(), number / 1000);
        while producer.send(&next).unwrap() == Sent::Full {
            full += 1;
            delivered += producer.poll(&mut |_| {}).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert!(full > 0, "30,000 records are more than the queue holds");
    wait_until(WAIT, "all reports", || {
        delivered += producer.poll(&mut |_| {}).unwrap();
        producer.in_flight() == 0
    });
    assert_eq!(delivered, 30_000);
    let all = broker.read_all(&topic);
    assert_eq!(all.len(), 30_000);
    for record in &all {
        assert_eq!(record.text(), (record.offset * 3 + i64::from(record.partition)).to_string());
    }
}

#[test]
fn only_the_record_that_is_too_large_is_refused() {
    let broker = Broker::shared();
    let topic = unique("small");
    broker.create_topic(&topic, 1, &[("max.message.bytes", "20000")]);
    let mut producer = open(&settings(&broker.address, &[]), &[&topic]);
    let large = vec![b'x'; 50_000];
    for token in 0..200 {
        let value = if token % 50 == 7 { large.clone() } else { format!("{token:0400}").into_bytes() };
        assert_eq!(producer.send(&record(0, &value, token)).unwrap(), Sent::Queued);
    }
    let (delivered, mut too_large) = reports(&mut producer);
    too_large.sort_unstable();
    assert_eq!(too_large, [7, 57, 107, 157]);
    assert_eq!(delivered.values().sum::<usize>(), 196);
    let expected: Vec<u64> = (0..200).filter(|token| token % 50 != 7).collect();
    let arrived: Vec<u64> = broker.read_all(&topic).iter().map(|record| record.text().parse().unwrap()).collect();
    assert_eq!(arrived, expected);
}

#[test]
fn a_refused_record_gives_back_what_it_was() {
    let broker = Broker::shared();
    let topic = unique("back");
    broker.create_topic(&topic, 1, &[("max.message.bytes", "2000")]);
    let mut producer = open(&settings(&broker.address, &[]), &[&topic]);
    let large = vec![b'x'; 5000];
    assert_eq!(producer.send(&Outgoing { key: Some(b"k"), ..record(0, &large, 3) }).unwrap(), Sent::Queued);
    let mut seen = false;
    wait_until(WAIT, "a report", || {
        producer
            .poll(&mut |report| {
                let Report::TooLarge { token, topic, partition, key, value } = report else { panic!("delivered") };
                assert_eq!((token, topic, partition, key), (3, 0, 0, Some(&b"k"[..])));
                assert_eq!(value, Some(&large[..]));
                seen = true;
            })
            .unwrap();
        seen
    });
    let limited = settings(&broker.address, &["message.max.bytes=3000"]);
    assert_eq!(open(&limited, &[&topic]).send(&record(0, &large, 4)).unwrap(), Sent::TooLarge);
}

#[test]
fn reports_wake() {
    let broker = Broker::shared();
    let topic = broker.topic("reports", 1);
    let mut producer = open(&settings(&broker.address, &[]), &[&topic]);
    let woken = Arc::new(AtomicBool::new(false));
    let flag = woken.clone();
    producer.on_report(move || flag.store(true, Ordering::SeqCst));
    assert_eq!(producer.send(&record(0, b"x", 0)).unwrap(), Sent::Queued);
    wait_until(WAIT, "a wake-up", || woken.load(Ordering::SeqCst));
    reports(&mut producer);
}

#[test]
fn a_topic_that_does_not_exist_stops_the_job() {
    let broker = Broker::shared();
    let topic = unique("nowhere");
    let settings = settings(&broker.address, &["topic.metadata.propagation.max.ms=1000"]);
    let mut producer = Producer::open(&settings, &[&topic], 1_000_000, &Health::default()).unwrap();
    let mut error = producer.send(&record(0, b"x", 0)).err();
    wait_until(WAIT, "an error", || {
        error = error.take().or_else(|| producer.poll(&mut |_| {}).err());
        error.is_some()
    });
    let error = error.unwrap();
    assert_eq!(error.exit, tidemill::error::Exit::Unavailable);
    assert!(error.message.contains(&topic) && error.message.contains("does not exist"), "{}", error.message);
}

/// One that was not seen before it was sent: the limit has changed since, or the broker's clock is another.
#[test]
fn a_time_that_the_broker_refuses_stops_the_job_and_says_which_setting_to_look_at() {
    let broker = Broker::shared();
    let topic = unique("near");
    broker.create_topic(&topic, 1, &[("message.timestamp.before.max.ms", "60000")]);
    let mut producer = open(&settings(&broker.address, &[]), &[&topic]);
    let old = Outgoing { timestamp: 1, ..record(0, b"x", 0) };
    assert_eq!(producer.send(&old).unwrap(), Sent::Queued);
    let mut error = None;
    wait_until(WAIT, "an error", || {
        error = error.take().or_else(|| producer.poll(&mut |_| {}).err());
        error.is_some()
    });
    let error = error.unwrap();
    assert_eq!(error.exit, tidemill::error::Exit::Unavailable);
    let told = error.message.contains(&topic) && error.message.contains("message.timestamp.before.max.ms");
    assert!(told && error.message.ends_with("(INVALID_TIMESTAMP)"), "{}", error.message);
}
