//! A worker's producer: records in, delivery reports out, neither ever waiting.
//!
//! A record is delivered when all in-sync replicas have it; the client retries until `--broker-timeout` and keeps the
//! order of each partition. Every record carries a *token* of the caller's, which its report gives back. A record that
//! is too large is reported as that; any other failure stops the job, since order and completeness could not be kept.

use std::ffi::{CString, c_void};
use std::sync::Arc;

use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_resp_err_t as Code;
use rdkafka_sys::rd_kafka_vtype_t as Field;

use crate::error::{Exit, RunError};
use crate::kafka::{Client, Failure, Health, Queue, Role, Settings, classify, code_name};

/// A record to send; its bytes are copied.
pub struct Outgoing<'a> {
    /// The topic's place among those that the producer was opened with.
    pub topic: usize,
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    /// `None` is a null value, a tombstone.
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// Milliseconds since the Unix epoch. The client library takes 0 for "now", so 0 leaves as 1.
    pub timestamp: i64,
    pub token: u64,
}

/// What became of a call to [`Producer::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// A report will follow.
    Queued,
    /// The producer's memory is full: not taken; send it again after some reports.
    Full,
    /// Over the client's own limit: not taken, no report will follow.
    TooLarge,
}

/// What became of records.
pub enum Report<'a> {
    /// So many in a row, all with this token, are delivered.
    Delivered { token: u64, count: usize },
    /// The broker refused this one for its size.
    TooLarge { token: u64, topic: usize, partition: i32, key: Option<&'a [u8]>, value: Option<&'a [u8]> },
}

/// Writes the results of one worker.
pub struct Producer {
    topics: Vec<Topic>,
    in_flight: usize,
    queue: Queue,
    client: Arc<Client>,
    patience: u64,
}

struct Topic {
    name: String,
    handle: *mut native::rd_kafka_topic_t,
}

// SAFETY: topic handles are counted references that the library guards by its own locks.
unsafe impl Send for Producer {}

impl Producer {
    /// `batch_bytes` is the least size limit of these topics, as [`crate::kafka::Limits`] says. Does not
    /// wait for a connection; the topics must exist.
    pub fn open(settings: &Settings, topics: &[&str], batch_bytes: usize, health: &Health) -> Result<Self, RunError> {
        let client = Client::new(settings, &settings.producer_config(batch_bytes), Role::Writer, health)?;
        let queue = Queue::main(&client).ok_or_else(|| RunError::new(Exit::Software, "a producer without a queue"))?;
        let patience = settings.broker_timeout.as_secs();
        let mut producer = Self { topics: Vec::new(), in_flight: 0, queue, client, patience };
        for name in topics {
            let refused = || RunError::new(Exit::Unavailable, format!("no topic can be named {name:?}"));
            let c_name = CString::new(*name).map_err(|_| refused())?;
            // SAFETY: the handle is valid and the name is copied.
            let handle =
                unsafe { native::rd_kafka_topic_new(producer.client.ptr(), c_name.as_ptr(), std::ptr::null_mut()) };
            if handle.is_null() {
                return Err(refused());
            }
            producer.topics.push(Topic { name: (*name).to_owned(), handle });
        }
        Ok(producer)
    }

    /// Queues a record. Records of one partition are delivered in the order of these calls.
    pub fn send(&mut self, record: &Outgoing<'_>) -> Result<Sent, RunError> {
        let code = self.queue_up(record);
        match code {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                self.in_flight += 1;
                Ok(Sent::Queued)
            }
            Code::RD_KAFKA_RESP_ERR__QUEUE_FULL => Ok(Sent::Full),
            Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE => Ok(Sent::TooLarge),
            code => Err(self.failed(code, record.topic, record.partition)),
        }
    }

    fn queue_up(&self, record: &Outgoing<'_>) -> Code {
        let headers = native_headers(record.headers);
        let (value, value_len) = parts(record.value);
        let (key, key_len) = parts(record.key);
        let timestamp = if record.timestamp == 0 { 1 } else { record.timestamp };
        // SAFETY: fields and values alternate and end with END, each of the type that its field asks for; key and
        // value are copied by the call. Headers are the library's if it returns no error, else still ours.
        unsafe {
            let code = native::rd_kafka_producev(
                self.client.ptr(),
                Field::RD_KAFKA_VTYPE_RKT,
                self.topics[record.topic].handle,
                Field::RD_KAFKA_VTYPE_PARTITION,
                record.partition,
                Field::RD_KAFKA_VTYPE_MSGFLAGS,
                native::RD_KAFKA_MSG_F_COPY,
                Field::RD_KAFKA_VTYPE_VALUE,
                value,
                value_len,
                Field::RD_KAFKA_VTYPE_KEY,
                key,
                key_len,
                Field::RD_KAFKA_VTYPE_OPAQUE,
                record.token as usize as *mut c_void,
                Field::RD_KAFKA_VTYPE_TIMESTAMP,
                timestamp,
                Field::RD_KAFKA_VTYPE_HEADERS,
                headers,
                Field::RD_KAFKA_VTYPE_END,
            );
            if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR && !headers.is_null() {
                native::rd_kafka_headers_destroy(headers);
            }
            code
        }
    }

    /// Reports what is known by now; how many records that were. Never waits. An error is the reason to stop the job;
    /// it comes after all reports that precede it.
    pub fn poll(&mut self, report: &mut impl FnMut(Report<'_>)) -> Result<usize, RunError> {
        let (mut reported, mut failure) = (0, None);
        loop {
            // SAFETY: the queue is valid; the event is destroyed once, after its last use.
            let event = unsafe { native::rd_kafka_queue_poll(self.queue.ptr(), 0) };
            if event.is_null() {
                break;
            }
            // SAFETY: as above. Errors of the client reach its callback inside `rd_kafka_queue_poll`.
            unsafe {
                if native::rd_kafka_event_type(event) == native::RD_KAFKA_EVENT_DR {
                    reported += self.read_reports(event, report, &mut failure);
                }
                native::rd_kafka_event_destroy(event);
            }
        }
        self.in_flight -= reported;
        failure.map_or(Ok(reported), Err)
    }

    /// How many records are sent and not yet reported.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Calls `wake` when reports arrive that nobody has taken yet, from a thread of the client.
    pub fn on_report(&mut self, wake: impl Fn() + Send + Sync + 'static) {
        self.queue.on_data(wake);
    }

    /// Reads one batch of reports; how many.
    ///
    /// # Safety
    /// `event` is a valid event of delivery reports.
    unsafe fn read_reports(
        &self,
        event: *mut native::rd_kafka_event_t,
        report: &mut impl FnMut(Report<'_>),
        failure: &mut Option<RunError>,
    ) -> usize {
        let (mut reported, mut delivered) = (0, 0);
        let (mut token, mut run) = (0, 0);
        loop {
            // SAFETY: as promised by the caller; a message lives as long as its event.
            let message = unsafe { native::rd_kafka_event_message_next(event) };
            if message.is_null() {
                break;
            }
            // SAFETY: as above.
            let message = unsafe { &*message };
            reported += 1;
            let its = message._private as usize as u64;
            if message.err == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                delivered += 1;
                if its == token || run == 0 {
                    (token, run) = (its, run + 1);
                } else {
                    report(Report::Delivered { token, count: run });
                    (token, run) = (its, 1);
                }
            } else if let Some(error) = self.refused(message, its, report) {
                failure.get_or_insert(error);
            }
        }
        if run > 0 {
            report(Report::Delivered { token, count: run });
        }
        if delivered > 0 {
            self.client.health().heard();
        }
        reported
    }

    fn refused(
        &self,
        message: &native::rd_kafka_message_t,
        token: u64,
        report: &mut impl FnMut(Report<'_>),
    ) -> Option<RunError> {
        let topic = self.topics.iter().position(|topic| topic.handle == message.rkt);
        if classify(message.err) != Failure::TooLarge {
            return Some(self.failed(message.err, topic.unwrap_or(usize::MAX), message.partition));
        }
        // SAFETY: key and value live as long as the message, which outlives the call.
        let (key, value) = unsafe { (bytes(message.key, message.key_len), bytes(message.payload, message.len)) };
        let topic = topic.unwrap_or_default();
        report(Report::TooLarge { token, topic, partition: message.partition, key, value });
        None
    }

    /// Why the job stops.
    fn failed(&self, code: Code, topic: usize, partition: i32) -> RunError {
        let (brokers, patience) = (self.client.brokers(), self.patience);
        let name = self.topics.get(topic).map_or("?", |topic| &topic.name);
        let place = format!("Kafka at {brokers}: topic {name}, partition {partition}");
        let fatal = self.client.fatal();
        let code = fatal.as_ref().map_or(code, |(code, _)| *code);
        let trouble = || self.client.health().current().map(|(_, reason)| format!(": {reason}")).unwrap_or_default();
        let (exit, reason) = match (code, classify(code)) {
            (Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, _) => {
                (Exit::TryAgain, format!("a record could not be delivered for {patience} s{}", trouble()))
            }
            (Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC | Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, _) => {
                (Exit::Unavailable, "the topic does not exist (any more)".to_owned())
            }
            (Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, _) => {
                (Exit::Unavailable, "the topic has no such partition (any more)".to_owned())
            }
            (Code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, _) => (
                Exit::Unavailable,
                "a record's time is further from the broker's than the topic allows: see its \
                 message.timestamp.after.max.ms and message.timestamp.before.max.ms"
                    .to_owned(),
            ),
            (_, Failure::Stop(exit)) => (exit, format!("a record was refused{}", describe(code, &fatal))),
            _ => (Exit::TryAgain, format!("a record could not be delivered{}", describe(code, &fatal))),
        };
        RunError::new(exit, format!("{place}: {reason} ({})", code_name(code)))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // SAFETY: topics are dropped before the client.
        unsafe { self.topics.iter().for_each(|topic| native::rd_kafka_topic_destroy(topic.handle)) }
    }
}

fn describe(code: Code, fatal: &Option<(Code, String)>) -> String {
    let text = match fatal {
        Some((_, reason)) => reason.clone(),
        // SAFETY: returns a static string for every code.
        None => unsafe { std::ffi::CStr::from_ptr(native::rd_kafka_err2str(code)) }.to_string_lossy().into_owned(),
    };
    format!(": {text}")
}

/// Null where there are none. The result is owned by the caller.
fn native_headers(headers: &[(&str, Option<&[u8]>)]) -> *mut native::rd_kafka_headers_t {
    if headers.is_empty() {
        return std::ptr::null_mut();
    }
    // SAFETY: names and values are copied, their lengths are given.
    unsafe {
        let list = native::rd_kafka_headers_new(headers.len());
        for (name, value) in headers {
            let (value, len) = parts(*value);
            native::rd_kafka_header_add(list, name.as_ptr().cast(), name.len() as isize, value, len as isize);
        }
        list
    }
}

fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((std::ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
}

/// # Safety
/// `data` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(data: *mut c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: as promised by the caller.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}
