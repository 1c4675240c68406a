//! Questions about topics and offsets, each with a deadline.
//!
//! Every request is sent through [`Admin::ask`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_admin_op_t as Op;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::client::{Client, Queue, Role, c_name};
use super::errors::{Failure, classify, code_name, stop};
use super::health::Health;
use super::partitions::{PartitionList, topic_of};
use super::request::{Unanswered, forget_error, no_queue, slice, text};
use super::settings::Settings;
use crate::error::{Exit, RunError};

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// What distinguishes it from an earlier topic of that name; brokers before 2.8 have none.
    pub id: Option<String>,
    pub partitions: i32,
    /// Partitions that nobody serves at the moment.
    pub leaderless: Vec<i32>,
    /// The brokers that serve the others, by their numbers.
    pub leaders: BTreeSet<i32>,
}

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The first that is still there.
    Earliest,
    /// The next that will be written.
    End,
    /// The end of what a source can read: before the first open transaction, unless it reads uncommitted records.
    Stable,
    /// The first whose timestamp is this (milliseconds since the Unix epoch) or later; else as `Stable`.
    Time(i64),
}

/// Asks brokers.
pub struct Admin {
    settings: Settings,
    pub(super) client: Arc<Client>,
    pub(super) errors: Queue,
}

impl Admin {
    /// Does not connect yet.
    pub fn new(settings: &Settings, health: &Health) -> Result<Self, RunError> {
        let client = Client::new(settings, &settings.admin_config(), Role::Other, health)?;
        let errors = Queue::main(&client).ok_or_else(no_queue)?;
        Ok(Self { settings: settings.clone(), client, errors })
    }

    /// The topics of a job, in the order given: inputs, then outputs. With `--create-topics` outputs that are missing
    /// are made, as the brokers' defaults say. All that is missing is named in one error.
    pub fn topics(&self, inputs: &[&str], outputs: &[&str]) -> Result<(Vec<Topic>, Vec<Topic>), RunError> {
        let names: Vec<&str> = inputs.iter().chain(outputs).copied().collect();
        let mut found = self.describe(&names)?;
        let missing = |found: &[Option<Topic>]| -> Vec<&str> {
            let mut missing: Vec<&str> =
                names.iter().zip(found).filter(|(_, topic)| topic.is_none()).map(|(name, _)| *name).collect();
            missing.sort_unstable();
            missing.dedup();
            missing
        };
        if self.settings.create_topics {
            let absent: Vec<&str> = missing(&found).into_iter().filter(|name| !inputs.contains(name)).collect();
            if !absent.is_empty() {
                self.create(&absent)?;
                found = self.await_topics(&names, &absent)?;
            }
        }
        let missing = missing(&found);
        if missing.is_empty() {
            let mut topics = found.into_iter().flatten();
            return Ok((topics.by_ref().take(inputs.len()).collect(), topics.collect()));
        }
        Err(missing_topics(&self.settings.brokers, &missing, inputs))
    }

    /// The topics of these names, `None` for each that does not exist.
    pub fn describe(&self, names: &[&str]) -> Result<Vec<Option<Topic>>, RunError> {
        self.try_describe(names, self.settings.start_timeout).map_err(|e| self.explain("asking for topics", &e))
    }

    pub(super) fn try_describe(&self, names: &[&str], wait: Duration) -> Result<Vec<Option<Topic>>, Unanswered> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        // The library refuses to be asked for one name twice.
        let once: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        let names_c = once.into_iter().map(c_name).collect::<Result<Vec<_>, _>>().map_err(Unanswered::from)?;
        let mut pointers: Vec<_> = names_c.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: the collection copies the names; the results live as long as the event.
        self.ask(
            Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            wait,
            |options, queue| unsafe {
                let topics = native::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
                native::rd_kafka_DescribeTopics(self.client.ptr(), topics, options, queue);
                native::rd_kafka_TopicCollection_destroy(topics);
            },
            |event| unsafe {
                let mut count = 0;
                let result = native::rd_kafka_event_DescribeTopics_result(event);
                let topics = native::rd_kafka_DescribeTopics_result_topics(result, &mut count);
                let topics =
                    slice(topics, count).iter().map(|topic| read_topic(*topic)).collect::<Result<Vec<_>, _>>()?;
                let find = |name: &&str| topics.iter().flatten().find(|topic| topic.name == *name).cloned();
                Ok(names.iter().map(find).collect())
            },
        )
    }

    fn create(&self, names: &[&str]) -> Result<(), RunError> {
        let names_c = names.iter().map(|name| c_name(name)).collect::<Result<Vec<_>, _>>()?;
        let wait = self.settings.start_timeout;
        // SAFETY: topics are made, given and destroyed here; the results live as long as the event.
        let created = self.ask(
            Op::RD_KAFKA_ADMIN_OP_CREATETOPICS,
            wait,
            |options, queue| unsafe {
                // −1: the brokers' own defaults of partitions and replicas.
                let make = |name: &std::ffi::CString| {
                    native::rd_kafka_NewTopic_new(name.as_ptr(), -1, -1, std::ptr::null_mut(), 0)
                };
                let mut topics: Vec<_> = names_c.iter().map(make).filter(|topic| !topic.is_null()).collect();
                native::rd_kafka_CreateTopics(self.client.ptr(), topics.as_mut_ptr(), topics.len(), options, queue);
                native::rd_kafka_NewTopic_destroy_array(topics.as_mut_ptr(), topics.len());
            },
            |event| unsafe {
                let mut count = 0;
                let result = native::rd_kafka_event_CreateTopics_result(event);
                let topics = native::rd_kafka_CreateTopics_result_topics(result, &mut count);
                for topic in slice(topics, count) {
                    let code = native::rd_kafka_topic_result_error(*topic);
                    if !matches!(code, Code::RD_KAFKA_RESP_ERR_NO_ERROR | Code::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
                    {
                        let name = text(native::rd_kafka_topic_result_name(*topic));
                        let reason = text(native::rd_kafka_topic_result_error_string(*topic));
                        return Err(Unanswered { code, reason: format!("topic {name}: {reason}") });
                    }
                }
                Ok(())
            },
        );
        created.map_err(|e| self.explain("creating topics", &e))
    }

    /// Waits until topics that were just made are known and served.
    fn await_topics(&self, names: &[&str], made: &[&str]) -> Result<Vec<Option<Topic>>, RunError> {
        let deadline = Instant::now() + self.settings.start_timeout;
        loop {
            let found = self.describe(names)?;
            let ready = |name: &&str| found.iter().flatten().any(|t| t.name == *name && t.leaderless.is_empty());
            if made.iter().all(ready) || Instant::now() >= deadline {
                return Ok(found);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One offset for each partition, in the order given.
    pub fn offsets(&self, partitions: &[(&str, i32)], at: At) -> Result<Vec<i64>, RunError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let (spec, committed) = match at {
            At::Earliest => (native::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64, false),
            At::End => (native::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64, false),
            At::Stable => {
                (native::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64, self.settings.read_committed())
            }
            At::Time(ms) => (ms.max(0), self.settings.read_committed()),
        };
        let mut offsets = self.list_offsets(partitions, spec, committed)?;
        if offsets.contains(&-1) {
            // Nothing is as new as that.
            let ends = self.offsets(partitions, At::Stable)?;
            for (offset, end) in offsets.iter_mut().zip(ends) {
                if *offset < 0 {
                    *offset = end;
                }
            }
        }
        Ok(offsets)
    }

    fn list_offsets(&self, partitions: &[(&str, i32)], spec: i64, committed: bool) -> Result<Vec<i64>, RunError> {
        let mut list = PartitionList::new();
        for (topic, partition) in partitions {
            list.add(topic, *partition, spec)?;
        }
        let wait = self.settings.start_timeout;
        // SAFETY: the list outlives the call, which copies it; the results live as long as the event.
        let listed = self.ask(
            Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
            wait,
            |options, queue| unsafe {
                forget_error(native::rd_kafka_AdminOptions_set_isolation_level(options, isolation(committed)));
                native::rd_kafka_ListOffsets(self.client.ptr(), list.ptr(), options, queue);
            },
            |event| unsafe {
                let mut count = 0;
                let result = native::rd_kafka_event_ListOffsets_result(event);
                let infos = native::rd_kafka_ListOffsets_result_infos(result, &mut count);
                let mut found = std::collections::BTreeMap::new();
                for info in slice(infos, count) {
                    let entry = &*native::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
                    let topic = topic_of(entry);
                    if entry.err != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                        let reason = format!("topic {topic}, partition {}", entry.partition);
                        return Err(Unanswered { code: entry.err, reason });
                    }
                    found.insert((topic, entry.partition), entry.offset);
                }
                let offset = |(topic, partition): &(&str, i32)| {
                    found.get(&((*topic).to_owned(), *partition)).copied().ok_or_else(|| Unanswered {
                        code: Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
                        reason: format!("topic {topic} has no partition {partition}"),
                    })
                };
                partitions.iter().map(offset).collect()
            },
        );
        listed.map_err(|e| self.explain("asking for offsets", &e))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The error that stops a job at start.
    pub(super) fn explain(&self, doing: &str, error: &Unanswered) -> RunError {
        let brokers = &self.settings.brokers;
        let Unanswered { code, reason } = error;
        if classify(*code) == Failure::Passing {
            let seconds = self.settings.start_timeout.as_secs();
            let cause = self.client.health().current().map_or_else(|| reason.clone(), |(_, cause)| cause);
            let message = format!(
                "no Kafka broker of {brokers} answers: {doing} took over {seconds} s: {cause} ({})",
                code_name(*code)
            );
            return RunError::new(Exit::Unavailable, message);
        }
        stop(*code, format_args!("Kafka at {brokers}: {doing}: {reason}"))
    }
}

fn isolation(committed: bool) -> native::rd_kafka_IsolationLevel_t {
    if committed {
        native::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
    } else {
        native::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
    }
}

fn missing_topics(brokers: &str, missing: &[&str], inputs: &[&str]) -> RunError {
    let (read, written): (Vec<&str>, Vec<&str>) = missing.iter().partition(|name| inputs.contains(*name));
    let mut parts = Vec::new();
    if !read.is_empty() {
        parts.push(format!("to read: {}", read.join(", ")));
    }
    if !written.is_empty() {
        parts.push(format!("to write: {} (--create-topics makes them)", written.join(", ")));
    }
    let message = format!("Kafka at {brokers} has no such topics: {} (UNKNOWN_TOPIC_OR_PART)", parts.join("; "));
    RunError::new(Exit::Unavailable, message)
}

/// # Safety
/// `topic` came from a valid result.
unsafe fn read_topic(topic: *const native::rd_kafka_TopicDescription_t) -> Result<Option<Topic>, Unanswered> {
    // SAFETY: everything read lives as long as the result.
    unsafe {
        let name = text(native::rd_kafka_TopicDescription_name(topic));
        let error = native::rd_kafka_TopicDescription_error(topic);
        let code = if error.is_null() { Code::RD_KAFKA_RESP_ERR_NO_ERROR } else { native::rd_kafka_error_code(error) };
        match code {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => {}
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => return Ok(None),
            _ => {
                return Err(Unanswered {
                    code,
                    reason: format!("topic {name}: {}", text(native::rd_kafka_error_string(error))),
                });
            }
        }
        let id = native::rd_kafka_TopicDescription_topic_id(topic);
        let known = !id.is_null()
            && (native::rd_kafka_Uuid_most_significant_bits(id), native::rd_kafka_Uuid_least_significant_bits(id))
                != (0, 0);
        let id = known.then(|| text(native::rd_kafka_Uuid_base64str(id)));
        let mut count = 0;
        let partitions = native::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let unserved = |partition: &&*const native::rd_kafka_TopicPartitionInfo_t| {
            native::rd_kafka_TopicPartitionInfo_leader(**partition).is_null()
        };
        let number = |partition: &*const native::rd_kafka_TopicPartitionInfo_t| {
            native::rd_kafka_TopicPartitionInfo_partition(*partition)
        };
        let leaderless = slice(partitions, count).iter().filter(unserved).map(number).collect();
        let leader = |partition: &*const native::rd_kafka_TopicPartitionInfo_t| {
            native::rd_kafka_Node_id(native::rd_kafka_TopicPartitionInfo_leader(*partition))
        };
        let leaders = slice(partitions, count).iter().filter(|p| !unserved(p)).map(leader).collect();
        Ok(Some(Topic { name, id, partitions: i32::try_from(count).unwrap_or(i32::MAX), leaderless, leaders }))
    }
}
