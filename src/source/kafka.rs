//! A worker's reader of Kafka partitions.
//!
//! It is given partitions and offsets and hands over their records in order; it never chooses where to begin, never
//! skips and never starts again by itself: offsets that are gone are an error. Records are read in batches through the
//! client's queue, without blocking, and borrowed until the next one: nothing is copied here.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::sync::Arc;

use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_resp_err_t as Code;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Exit, RunError};
use crate::kafka::{Client, Failure, Fetch, Health, PartitionList, Queue, Role, Settings, classify, code_name};

/// The worker that reads a partition: the same on every worker, and spread evenly over each topic.
pub fn owner(topic: &str, partition: i32, workers: usize) -> usize {
    let workers = workers.max(1) as u64;
    ((xxh3_64(topic.as_bytes()) % workers + u64::from(partition.unsigned_abs())) % workers) as usize
}

/// A record, valid during the call that it is given to.
#[derive(Clone, Copy)]
pub struct RawRecord<'a> {
    /// The topic's place among those that the reader was opened with.
    pub topic: usize,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: Option<i64>,
    pub key: Option<&'a [u8]>,
    /// `None` is a null value, a tombstone.
    pub value: Option<&'a [u8]>,
    message: *mut native::rd_kafka_message_t,
    borrowed: PhantomData<&'a ()>,
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub topic: usize,
    pub partition: i32,
    /// The offset of the next record.
    pub offset: i64,
}

/// Reads the partitions of one worker.
pub struct Reader {
    topics: Vec<Topic>,
    /// Taken from the queue and not yet handed over.
    taken: Vec<*mut native::rd_kafka_message_t>,
    /// The first of `taken` that is left.
    next: usize,
    queue: Queue,
    client: Arc<Client>,
}

// SAFETY: the messages have one owner, and messages may be used and destroyed on any thread.
unsafe impl Send for Reader {}

struct Topic {
    name: String,
    /// By partition; `None` for those of other workers.
    partitions: Vec<Option<i64>>,
    /// Held so that records of this topic keep naming it by this address.
    handle: *mut native::rd_kafka_topic_t,
}

/// What the library says of a record without a timestamp. Others may lie before 1970.
const NO_TIMESTAMP: i64 = -1;
/// How many records are taken from the queue at a time, while there are many.
const BATCH: usize = 1024;
/// With so few left all are taken: the client asks for more once its queue is empty, and these are worked on until
/// more is there.
const LAST: usize = 32_768;

impl Reader {
    /// Reads nothing yet: partitions come by [`Reader::add_partitions`]. Records name their topic by its place here.
    pub fn open(settings: &Settings, fetch: Fetch, topics: &[&str], health: &Health) -> Result<Self, RunError> {
        let client = Client::new(settings, &settings.reader_config(fetch), Role::Reader, health)?;
        let queue =
            Queue::consumer(&client).ok_or_else(|| RunError::new(Exit::Software, "a reader without a queue"))?;
        let mut reader = Self { topics: Vec::new(), taken: Vec::with_capacity(LAST), next: 0, queue, client };
        for name in topics {
            let c_name = std::ffi::CString::new(*name)
                .map_err(|_| RunError::new(Exit::Unavailable, format!("no topic can be named {name:?}")))?;
            // SAFETY: the handle is valid and the name is copied.
            let handle =
                unsafe { native::rd_kafka_topic_new(reader.client.ptr(), c_name.as_ptr(), std::ptr::null_mut()) };
            if handle.is_null() {
                return Err(RunError::new(Exit::Unavailable, format!("no topic can be named {name:?}")));
            }
            reader.topics.push(Topic { name: (*name).to_owned(), partitions: Vec::new(), handle });
        }
        Ok(reader)
    }

    /// Begins to read these, each from its offset. May be called while reading.
    pub fn add_partitions(&mut self, from: &[Position]) -> Result<(), RunError> {
        if from.is_empty() {
            return Ok(());
        }
        let mut list = PartitionList::new();
        for at in from {
            let topic = &mut self.topics[at.topic];
            let index = usize::try_from(at.partition).unwrap_or_default();
            if topic.partitions.len() <= index {
                topic.partitions.resize(index + 1, None);
            }
            topic.partitions[index] = Some(at.offset);
            list.add(&topic.name, at.partition, at.offset)?;
        }
        // SAFETY: the handle and the list are valid; the list is copied; the error is ours to destroy.
        unsafe {
            let error = native::rd_kafka_incremental_assign(self.client.ptr(), list.ptr());
            if !error.is_null() {
                let reason = CStr::from_ptr(native::rd_kafka_error_string(error)).to_string_lossy().into_owned();
                let code = native::rd_kafka_error_code(error);
                native::rd_kafka_error_destroy(error);
                return Err(RunError::new(
                    Exit::Software,
                    format!("cannot assign partitions: {reason} ({})", code_name(code)),
                ));
            }
        }
        Ok(())
    }

    /// Hands over records that are there, at most `max_records` and no more once `max_bytes` of keys and values are
    /// reached; how many. Never waits.
    pub fn read(
        &mut self,
        max_records: usize,
        max_bytes: usize,
        take: &mut impl FnMut(RawRecord<'_>),
    ) -> Result<usize, RunError> {
        let (mut records, mut bytes) = (0, 0);
        while records < max_records && bytes < max_bytes {
            if self.next == self.taken.len() && !self.refill() {
                break;
            }
            let message = self.taken[self.next];
            self.next += 1;
            // SAFETY: taken from the queue and not destroyed yet; destroyed below, once, after its last use.
            let handled = unsafe {
                let handled = if (*message).err == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                    records += 1;
                    bytes += (*message).len + (*message).key_len;
                    self.hand_over(message, take);
                    Ok(())
                } else {
                    self.event(message)
                };
                native::rd_kafka_message_destroy(message);
                handled
            };
            handled?;
        }
        if records > 0 {
            self.client.health().heard();
        }
        Ok(records)
    }

    /// Calls `wake` when records arrive that nobody has taken yet, from a thread of the client.
    pub fn on_data(&mut self, wake: impl Fn() + Send + Sync + 'static) {
        self.queue.on_data(wake);
    }

    /// How far this worker's partitions were read, in the order of topics and partitions. It stands behind control
    /// and aborted records once their partition was read to its end.
    pub fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.topics.iter().enumerate().flat_map(|(index, topic)| {
            let at = move |(partition, offset): (usize, &Option<i64>)| {
                Some(Position { topic: index, partition: i32::try_from(partition).ok()?, offset: (*offset)? })
            };
            topic.partitions.iter().enumerate().filter_map(at)
        })
    }

    /// The offset of the next record of a partition of this worker.
    pub fn position(&self, topic: usize, partition: i32) -> Option<i64> {
        *self.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)?
    }

    /// How many records of a partition are not read yet, as of the last answer of its broker; `None` while unknown.
    pub fn lag(&self, topic: usize, partition: i32) -> Option<i64> {
        let position = self.position(topic, partition)?;
        let (mut low, mut high) = (-1, -1);
        let topic = &self.topics[topic];
        // SAFETY: handle and topic are valid; only memory of the client is read.
        let code = unsafe {
            let name = native::rd_kafka_topic_name(topic.handle);
            native::rd_kafka_get_watermark_offsets(self.client.ptr(), name, partition, &mut low, &mut high)
        };
        (code == Code::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then(|| (high - position).max(0))
    }

    /// Takes the next batch from the queue; false if it is empty.
    fn refill(&mut self) -> bool {
        self.taken.clear();
        self.next = 0;
        // SAFETY: there is room for as many pointers as are asked for; as many as it returns are set, and each is then
        // ours.
        unsafe {
            let few = native::rd_kafka_queue_length(self.queue.ptr()) <= LAST;
            let most = if few { LAST } else { BATCH };
            let count = native::rd_kafka_consume_batch_queue(self.queue.ptr(), 0, self.taken.as_mut_ptr(), most);
            self.taken.set_len(usize::try_from(count).unwrap_or(0));
        }
        !self.taken.is_empty()
    }

    /// # Safety
    /// `message` is a record that is not destroyed.
    unsafe fn hand_over(&mut self, message: *mut native::rd_kafka_message_t, take: &mut impl FnMut(RawRecord<'_>)) {
        // SAFETY: as promised by the caller; what is borrowed lives until the message is destroyed, after `take`.
        unsafe {
            let m = &*message;
            let Some(topic) = self.topics.iter().position(|topic| topic.handle == m.rkt) else {
                return debug_assert!(false, "a record of a topic that nobody asked for");
            };
            let index = m.partition as usize;
            if let Some(Some(position)) = self.topics[topic].partitions.get_mut(index) {
                *position = m.offset + 1;
            }
            let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            let timestamp = native::rd_kafka_message_timestamp(message, &mut kind);
            take(RawRecord {
                topic,
                partition: m.partition,
                offset: m.offset,
                timestamp: (timestamp != NO_TIMESTAMP).then_some(timestamp),
                key: bytes(m.key, m.key_len),
                value: bytes(m.payload, m.len),
                message,
                borrowed: PhantomData,
            });
        }
    }

    /// An end of a partition, or an error.
    ///
    /// # Safety
    /// `message` is an event that is not destroyed.
    unsafe fn event(&mut self, message: *mut native::rd_kafka_message_t) -> Result<(), RunError> {
        // SAFETY: as promised by the caller.
        let (m, reason) = unsafe { (&*message, native::rd_kafka_message_errstr(message)) };
        let topic = self.topics.iter().position(|topic| topic.handle == m.rkt);
        if m.err == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF {
            if let Some(Some(position)) = topic.and_then(|t| self.topics[t].partitions.get_mut(m.partition as usize)) {
                *position = (*position).max(m.offset);
            }
            self.client.health().heard();
            return Ok(());
        }
        // SAFETY: a string that lives as long as the message, or null.
        let reason = if reason.is_null() { "".into() } else { unsafe { CStr::from_ptr(reason) }.to_string_lossy() };
        let brokers = self.client.brokers();
        let place = match topic {
            Some(topic) => format!("topic {}, partition {}: ", self.topics[topic].name, m.partition),
            None => String::new(),
        };
        let message = format!("Kafka at {brokers}: {place}{reason} ({})", code_name(m.err));
        match classify(m.err) {
            Failure::Passing | Failure::TooLarge => {
                self.client.health().trouble(Exit::TryAgain, message);
                Ok(())
            }
            Failure::Stop(_) if m.err == Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET => {
                Err(self.out_of_range(topic, m.partition, &reason))
            }
            Failure::Stop(exit) => Err(RunError::new(exit, message)),
        }
    }

    fn out_of_range(&self, topic: Option<usize>, partition: i32, reason: &str) -> RunError {
        let name = topic.map_or("?", |topic| &self.topics[topic].name);
        let offset = topic.and_then(|topic| self.position(topic, partition)).unwrap_or(-1);
        let message = format!(
            "Kafka at {}: topic {name}, partition {partition}: offset {offset} is not there (any more): it was deleted \
             by the topic's retention, or the topic was created again; reset the group's offsets to choose where to go \
             on ({reason}, OFFSET_OUT_OF_RANGE)",
            self.client.brokers()
        );
        RunError::new(Exit::Unavailable, message)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: what is left of `taken` was not destroyed; topics are dropped before the client.
        unsafe {
            for message in &self.taken[self.next..] {
                native::rd_kafka_message_destroy(*message);
            }
            for topic in &self.topics {
                native::rd_kafka_topic_destroy(topic.handle);
            }
        }
    }
}

impl<'a> RawRecord<'a> {
    /// The headers in their order; names are mostly UTF-8, values any bytes or null.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is valid; the headers belong to it and live as long. Without any, null stays.
        unsafe { native::rd_kafka_message_headers(self.message, &mut headers) };
        (0..).map_while(move |index| {
            if headers.is_null() {
                return None;
            }
            let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
            // SAFETY: as above; name and value live as long as the message.
            unsafe {
                let code = native::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size);
                if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return None;
                }
                Some((CStr::from_ptr(name).to_bytes(), bytes(value.cast_mut(), size)))
            }
        })
    }
}

/// # Safety
/// `data` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(data: *mut std::ffi::c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: as promised by the caller.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_a_topic_go_round_the_workers() {
        for workers in 1..9 {
            let first = owner("events.v1", 0, workers);
            for partition in 0..40 {
                assert_eq!(owner("events.v1", partition, workers), (first + partition as usize) % workers);
            }
        }
    }

    #[test]
    fn topics_of_one_partition_are_spread_too() {
        let mut counts = [0; 4];
        for topic in 0..400 {
            counts[owner(&format!("topic-{topic}"), 0, 4)] += 1;
        }
        assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    }
}
