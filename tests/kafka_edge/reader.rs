//! Records come out as they went in, in their order, and ends are known.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidemill::error::Exit;
use tidemill::kafka::{Fetch, Health, Settings};
use tidemill::source::kafka::{Position, Reader};

use crate::support::{Broker, End, Rec, settings, wait_until};

const WAIT: Duration = Duration::from_secs(20);

/// A record as read, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub topic: usize,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

pub fn at(topic: usize, partition: i32, offset: i64) -> Position {
    Position { topic, partition, offset }
}

pub fn open(settings: &Settings, topics: &[&str], from: &[Position]) -> Reader {
    let fetch = Fetch { epoch: Duration::from_millis(10), one_to_one: true };
    let mut reader = Reader::open(settings, fetch, topics, &Health::default()).unwrap();
    reader.add_partitions(from).unwrap();
    reader
}

pub fn read_more(reader: &mut Reader, all: &mut Vec<Read>) {
    reader
        .read(10_000, usize::MAX, &mut |record| {
            let headers = record.headers();
            let own = |(name, value): (&[u8], Option<&[u8]>)| {
                (String::from_utf8(name.to_vec()).unwrap(), value.map(<[u8]>::to_vec))
            };
            all.push(Read {
                topic: record.topic,
                partition: record.partition,
                offset: record.offset,
                timestamp: record.timestamp,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: headers.map(own).collect(),
            });
        })
        .unwrap();
}

fn read_count(reader: &mut Reader, count: usize) -> Vec<Read> {
    let mut all = Vec::new();
    wait_until(WAIT, "the records are read", || {
        read_more(reader, &mut all);
        all.len() >= count
    });
    all
}

#[test]
fn a_record_comes_out_as_it_went_in() {
    let broker = Broker::shared();
    let topic = broker.topic("whole", 1);
    let odd = Rec {
        key: Some(vec![0xff, 0, 1]),
        value: Some(b"{\"a\":1}".to_vec()),
        headers: vec![
            ("a".into(), Some(b"1".to_vec())),
            ("a".into(), None),
            ("empty".into(), Some(Vec::new())),
            ("bytes".into(), Some(vec![0, 0xff])),
        ],
        timestamp: Some(1_600_000_000_123),
        partition: Some(0),
    };
    let tombstone = Rec { key: Some(b"k".to_vec()), ..Rec::default() };
    let empty = Rec { key: Some(Vec::new()), value: Some(Vec::new()), ..Rec::default() };
    broker.produce(&topic, [odd.clone(), tombstone, empty]);
    let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, 0)]);
    let all = read_count(&mut reader, 3);
    assert_eq!(all.len(), 3);
    let expected = Read {
        topic: 0,
        partition: 0,
        offset: 0,
        timestamp: odd.timestamp,
        key: odd.key,
        value: odd.value,
        headers: odd.headers,
    };
    assert_eq!(all[0], expected);
    assert_eq!((all[1].key.as_deref(), &all[1].value), (Some(&b"k"[..]), &None));
    assert_eq!((all[2].key.as_deref(), all[2].value.as_deref()), (Some(&b""[..]), Some(&b""[..])));
    assert!(all[2].headers.is_empty());
}

#[test]
fn topics_of_every_codec_are_read() {
    let broker = Broker::shared();
    let sent = |codec: &str| (0..500).map(|i| format!("{codec} {i} {}", "again and ".repeat(20))).collect::<Vec<_>>();
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        // The broker compresses what it is given, whatever the producer did.
        let topic = crate::support::unique(codec);
        broker.create_topic(&topic, 1, &[("compression.type", codec)]);
        broker.produce(&topic, sent(codec).into_iter().map(Rec::value));
        let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, 0)]);
        let values: Vec<_> = read_count(&mut reader, 500).into_iter().filter_map(|record| record.value).collect();
        assert_eq!(values, sent(codec).into_iter().map(String::into_bytes).collect::<Vec<_>>());
    }
}

#[test]
fn a_thousand_headers_are_read() {
    let broker = Broker::shared();
    let topic = broker.topic("headers", 1);
    let headers: Vec<_> = (0..1000).map(|i| (format!("h{i}"), Some(i.to_string().into_bytes()))).collect();
    broker.produce(&topic, [Rec { headers: headers.clone(), ..Rec::value("x") }]);
    let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, 0)]);
    assert_eq!(read_count(&mut reader, 1)[0].headers, headers);
}

#[test]
fn partitions_are_read_in_order_from_where_they_were_given() {
    let broker = Broker::shared();
    let (first, second) = (broker.topic("first", 3), broker.topic("second", 2));
    let numbers = |partitions: i32| (0..300).map(move |i| Rec::value(i.to_string()).to(i % partitions));
    broker.produce(&first, numbers(3));
    broker.produce(&second, numbers(2));
    let from = [at(0, 0, 10), at(0, 2, 0), at(1, 1, 100)];
    let mut reader = open(&settings(&broker.address, &[]), &[&first, &second], &from);
    let all = read_count(&mut reader, 90 + 100 + 50);
    assert_eq!(all.len(), 240);
    for (start, step) in from.iter().zip([3, 3, 2]) {
        let its: Vec<_> = all.iter().filter(|r| (r.topic, r.partition) == (start.topic, start.partition)).collect();
        for (index, record) in its.iter().enumerate() {
            assert_eq!(record.offset, start.offset + index as i64);
            let number = record.offset * step + i64::from(record.partition);
            assert_eq!(record.value.as_deref(), Some(number.to_string().as_bytes()));
        }
    }
    let positions: Vec<_> = reader.positions().collect();
    assert_eq!(positions, [at(0, 0, 100), at(0, 2, 100), at(1, 1, 150)]);
}

#[test]
fn a_read_keeps_to_its_limits() {
    let broker = Broker::shared();
    let topic = broker.topic("limits", 1);
    broker.produce(&topic, (0..500).map(|_| Rec::value(vec![b'x'; 100])));
    let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, 0)]);
    let mut total = 0;
    wait_until(WAIT, "all records are read", || {
        let mut seen = 0;
        let count = reader.read(7, usize::MAX, &mut |_| seen += 1).unwrap();
        assert!(count <= 7 && count == seen);
        let bytes = reader.read(usize::MAX, 1000, &mut |_| {}).unwrap();
        assert!(bytes <= 10, "{bytes} records of 100 bytes");
        total += count + bytes;
        assert_eq!(reader.position(0, 0), Some(total as i64));
        total == 500
    });
}

#[test]
fn arriving_records_wake() {
    let broker = Broker::shared();
    let topic = broker.topic("wake", 1);
    let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, 0)]);
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = woken.clone();
    reader.on_data(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let mut all = Vec::new();
    wait_until(WAIT, "the end of the empty partition", || {
        read_more(&mut reader, &mut all);
        reader.lag(0, 0) == Some(0)
    });
    let before = woken.load(Ordering::SeqCst);
    broker.produce(&topic, [Rec::value("x")]);
    wait_until(WAIT, "a wake-up", || woken.load(Ordering::SeqCst) > before);
    assert_eq!(read_count(&mut reader, 1).len(), 1);
}

#[test]
fn aborted_records_are_not_read_and_positions_pass_them() {
    let broker = Broker::shared();
    let topic = broker.topic("aborted", 1);
    let records = |word: &'static str| (0..10).map(move |i| Rec::value(format!("{word}-{i}")));
    broker.transaction(&topic, records("good"), End::Commit);
    broker.transaction(&topic, records("bad"), End::Abort);
    let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, 0)]);
    let mut all = Vec::new();
    wait_until(WAIT, "the end, past the abort marker", || {
        read_more(&mut reader, &mut all);
        reader.position(0, 0) == Some(22)
    });
    assert_eq!(all.len(), 10);
    assert!(all.iter().all(|record| record.value.as_ref().unwrap().starts_with(b"good")));
    assert_eq!(reader.lag(0, 0), Some(0));
}

#[test]
fn an_open_transaction_holds_its_partition_back() {
    let broker = Broker::shared();
    let topic = broker.topic("open", 1);
    broker.produce(&topic, [Rec::value("before")]);
    let open_transaction = broker.transaction(&topic, [Rec::value("inside")], End::Open);
    broker.produce(&topic, [Rec::value("after")]);
    let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, 0)]);
    let mut uncommitted =
        open(&settings(&broker.address, &["isolation.level=read_uncommitted"]), &[&topic], &[at(0, 0, 0)]);
    assert_eq!(read_count(&mut uncommitted, 3).len(), 3);
    assert_eq!(read_count(&mut reader, 1).len(), 1);
    assert_eq!(reader.read(10, usize::MAX, &mut |_| {}).unwrap(), 0);
    rdkafka::producer::Producer::commit_transaction(&open_transaction, WAIT).unwrap();
    assert_eq!(read_count(&mut reader, 2).len(), 2);
}

#[test]
fn a_new_partition_is_read_while_the_reader_runs() {
    let broker = Broker::shared();
    let topic = broker.topic("grows", 1);
    broker.produce(&topic, [Rec::value("old")]);
    let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, 0)]);
    assert_eq!(read_count(&mut reader, 1).len(), 1);
    broker.add_partitions(&topic, 2);
    broker.produce(&topic, [Rec::value("new").to(1), Rec::value("more").to(0)]);
    reader.add_partitions(&[at(0, 1, 0)]).unwrap();
    let mut all = read_count(&mut reader, 2);
    all.sort_by_key(|record| record.partition);
    let values: Vec<_> = all.iter().map(|record| record.value.as_deref().unwrap()).collect();
    assert_eq!(values, [&b"more"[..], b"new"]);
}

#[test]
fn offsets_that_are_gone_are_an_error() {
    let broker = Broker::shared();
    let topic = broker.topic("gone", 1);
    broker.produce(&topic, (0..10).map(|_| Rec::value("x")));
    broker.delete_records(&topic, 0, 5);
    for offset in [2, 1000] {
        let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, offset)]);
        let mut error = None;
        wait_until(WAIT, "an error", || {
            error = reader.read(10, usize::MAX, &mut |_| panic!("a record")).err();
            error.is_some()
        });
        let error = error.unwrap();
        assert_eq!(error.exit, Exit::Unavailable);
        for part in [&*topic, "partition 0", &format!("offset {offset}"), "OFFSET_OUT_OF_RANGE", &broker.address] {
            assert!(error.message.contains(part), "{part}: {}", error.message);
        }
    }
}

#[test]
fn lag_counts_what_is_not_read_yet() {
    let broker = Broker::shared();
    let topic = broker.topic("lag", 1);
    broker.produce(&topic, (0..100).map(|_| Rec::value("x")));
    let mut reader = open(&settings(&broker.address, &[]), &[&topic], &[at(0, 0, 40)]);
    assert_eq!(reader.lag(0, 7), None);
    let mut read = 0;
    wait_until(WAIT, "ten records", || {
        read += reader.read(10 - read, usize::MAX, &mut |_| {}).unwrap();
        read == 10
    });
    assert_eq!(reader.lag(0, 0), Some(50));
}
