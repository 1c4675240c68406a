//! Topics and what is in them, by the Rust wrapper's own clients: not by the code that is tested.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

use super::Broker;

/// A record to produce.
#[derive(Clone, Debug, Default)]
pub struct Rec {
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: Option<i64>,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: Option<i64>,
}

impl Rec {
    pub fn value(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    pub fn keyed(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), ..Self::value(value) }
    }

    pub fn to(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }
}

impl Got {
    /// The value as text; fails for a null value and for what is no UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.value.as_deref().expect("the value is null")).expect("the value is text")
    }
}

impl Broker {
    pub fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        // Retention goes by the records' own times, and tests have old ones.
        if !config.iter().any(|(key, _)| *key == "retention.ms") {
            topic = topic.set("retention.ms", "-1");
        }
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let results = block_on(self.admin().create_topics([&topic], &AdminOptions::new())).unwrap();
        results.into_iter().for_each(|result| drop(result.unwrap()));
        let probe = self.consumer("read_committed");
        super::wait_until(Duration::from_secs(20), "a new topic is served", || {
            let metadata = probe.fetch_metadata(Some(name), Duration::from_secs(5));
            metadata.is_ok_and(|metadata| {
                let partitions_now = metadata.topics()[0].partitions();
                partitions_now.len() == partitions as usize && partitions_now.iter().all(|p| p.leader() >= 0)
            })
        });
    }

    /// A topic with a name of its own.
    pub fn topic(&self, name: &str, partitions: i32) -> String {
        let name = super::unique(name);
        self.create_topic(&name, partitions, &[]);
        name
    }

    pub fn delete_topic(&self, name: &str) {
        let results = block_on(self.admin().delete_topics(&[name], &AdminOptions::new())).unwrap();
        results.into_iter().for_each(|result| drop(result.unwrap()));
    }

    /// Grows a topic to so many partitions.
    pub fn add_partitions(&self, name: &str, partitions: usize) {
        let new = NewPartitions::new(name, partitions);
        let results = block_on(self.admin().create_partitions([&new], &AdminOptions::new())).unwrap();
        results.into_iter().for_each(|result| drop(result.unwrap()));
    }

    /// Deletes what lies before `offset`, as retention would.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        block_on(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
    }

    /// Produces records in their order; returns when all are acknowledged.
    pub fn produce(&self, topic: &str, records: impl IntoIterator<Item = Rec>) {
        let producer: BaseProducer<Failures> = self
            .config()
            .set("linger.ms", "5")
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "20000000")
            .create_with_context(Failures::default())
            .unwrap();
        send_all(&producer, topic, records);
        producer.flush(Duration::from_secs(60)).unwrap();
        let failures = producer.context().0.lock().unwrap();
        assert!(failures.is_empty(), "records were not delivered: {failures:?}");
    }

    /// Produces records in one transaction that is committed, aborted, or left open until the result is dropped.
    pub fn transaction(&self, topic: &str, records: impl IntoIterator<Item = Rec>, end: End) -> BaseProducer<Failures> {
        let producer: BaseProducer<Failures> = self
            .config()
            .set("transactional.id", super::unique("transaction"))
            .create_with_context(Failures::default())
            .unwrap();
        let wait = Duration::from_secs(30);
        producer.init_transactions(wait).unwrap();
        producer.begin_transaction().unwrap();
        send_all(&producer, topic, records);
        producer.flush(wait).unwrap();
        match end {
            End::Commit => producer.commit_transaction(wait).unwrap(),
            End::Abort => producer.abort_transaction(wait).unwrap(),
            End::Open => {}
        }
        producer
    }

    /// Commits an offset for a group that nobody is in, as tools do.
    pub fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }

    /// All committed records of a topic, by partition and offset.
    pub fn read_all(&self, topic: &str) -> Vec<Got> {
        let consumer = self.consumer("read_committed");
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).unwrap();
        let partitions = metadata.topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions as i32 {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut all, mut ended) = (Vec::new(), std::collections::BTreeSet::new());
        let deadline = Instant::now() + Duration::from_secs(60);
        while ended.len() < partitions {
            assert!(Instant::now() < deadline, "topic {topic} could not be read to its end");
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => all.push(got(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) => panic!("topic {topic}: {error}"),
                None => {}
            }
        }
        all.sort_by_key(|record| (record.partition, record.offset));
        all
    }

    /// Counts the records that a topic has (had, where some were deleted), each time it is called.
    pub fn counter(&self, topic: &str) -> impl FnMut() -> i64 + use<> {
        let (consumer, topic) = (self.consumer("read_committed"), topic.to_owned());
        let wait = Duration::from_secs(20);
        let partitions = consumer.fetch_metadata(Some(&topic), wait).unwrap().topics()[0].partitions().len();
        move || {
            let end = |partition| consumer.fetch_watermarks(&topic, partition, wait).map_or(0, |(_, end)| end);
            (0..partitions as i32).map(end).sum()
        }
    }

    /// What a group has committed for a topic.
    pub fn committed(&self, group: &str, topic: &str, partitions: i32) -> BTreeMap<i32, i64> {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let found = consumer.committed_offsets(list, Duration::from_secs(20)).unwrap();
        let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
            Offset::Offset(offset) => Some((element.partition(), offset)),
            _ => None,
        };
        found.elements().iter().filter_map(offset).collect()
    }

    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("log_level", "0");
        config
    }

    fn consumer(&self, isolation: &str) -> BaseConsumer {
        self.config()
            .set("group.id", "tests")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation)
            .set("fetch.queue.backoff.ms", "5")
            .create()
            .unwrap()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Commit,
    Abort,
    Open,
}

/// Delivery reports that were failures.
#[derive(Default)]
pub struct Failures(Mutex<Vec<String>>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().push(error.to_string());
        }
    }
}

fn send_all(producer: &BaseProducer<Failures>, topic: &str, records: impl IntoIterator<Item = Rec>) {
    for rec in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        record.key = rec.key.as_deref();
        record.payload = rec.value.as_deref();
        record.partition = rec.partition;
        record.timestamp = rec.timestamp;
        if !rec.headers.is_empty() {
            let add = |all: OwnedHeaders, (key, value): &(String, Option<Vec<u8>>)| {
                all.insert(Header { key, value: value.as_ref() })
            };
            record.headers = Some(rec.headers.iter().fold(OwnedHeaders::new(), add));
        }
        while let Err((error, back)) = producer.send(record) {
            assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
            producer.poll(Duration::from_millis(50));
            record = back;
        }
    }
}

fn got(message: &BorrowedMessage<'_>) -> Got {
    let headers = message.headers().map(|headers| {
        let own = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
        headers.iter().map(own).collect()
    });
    Got {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        timestamp: message.timestamp().to_millis(),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}
