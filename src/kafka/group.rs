//! What a group has committed.
//!
//! Asked through a consumer's own call. The admin call that does the same ends the whole process when its broker goes
//! away meanwhile (librdkafka's issues 3663 and 4605).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::client::{Client, Queue, Role};
use super::errors::{Failure, classify};
use super::health::Health;
use super::partitions::{PartitionList, mark_of, topic_of};
use super::request::{Unanswered, no_queue};
use super::settings::Settings;
use crate::error::RunError;

/// What stands between the mark of a job and the id of the topic.
pub(super) const TOPIC_ID: char = '@';

/// An offset, and the mark of the job that committed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub offset: i64,
    pub mark: String,
    /// The topic that it is of, where the broker tells topics of one name apart.
    pub topic_id: Option<String>,
}

/// The group of the settings; nobody joins it.
pub(super) struct Group {
    errors: Queue,
    client: Arc<Client>,
}

impl Group {
    pub fn new(settings: &Settings, health: &Health) -> Result<Self, RunError> {
        let client = Client::new(settings, &settings.group_config(), Role::Reader, health)?;
        let errors = Queue::consumer(&client).ok_or_else(no_queue)?;
        Ok(Self { errors, client })
    }

    /// What was committed for these partitions; those without are left out. Waits for commits that are under way.
    pub fn committed(
        &self,
        partitions: &[(&str, i32)],
        wait: Duration,
    ) -> Result<BTreeMap<(String, i32), Committed>, Unanswered> {
        let deadline = Instant::now() + wait;
        let refused_before = self.client.refused();
        loop {
            let result = self.ask(partitions);
            self.errors.serve();
            match result {
                Err(error) if self.client.refused() >= refused_before + 2 => {
                    return Err(Unanswered { code: Code::RD_KAFKA_RESP_ERR__AUTHENTICATION, ..error });
                }
                Err(error) if classify(error.code) == Failure::Passing && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                result => return result,
            }
        }
    }

    fn ask(&self, partitions: &[(&str, i32)]) -> Result<BTreeMap<(String, i32), Committed>, Unanswered> {
        let mut list = PartitionList::new();
        for (topic, partition) in partitions {
            list.add(topic, *partition, i64::from(native::RD_KAFKA_OFFSET_INVALID))?;
        }
        if list.is_empty() {
            return Ok(BTreeMap::new());
        }
        // SAFETY: handle and list are valid; the call fills the list in and blocks no longer than it is told.
        let code = unsafe { native::rd_kafka_committed(self.client.ptr(), list.ptr(), 1000) };
        let check = |code, reason: &dyn Fn() -> String| match code {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(Unanswered { code, reason: reason() }),
        };
        check(code, &|| "no answer".to_owned())?;
        let mut found = BTreeMap::new();
        for entry in list.entries() {
            // SAFETY: the entry is of a valid list.
            let (topic, mark) = unsafe { (topic_of(entry), mark_of(entry)) };
            check(entry.err, &|| format!("topic {topic}, partition {}", entry.partition))?;
            if entry.offset >= 0 {
                let (mark, topic_id) = match mark.split_once(TOPIC_ID) {
                    Some((mark, id)) => (mark.to_owned(), Some(id.to_owned())),
                    None => (mark, None),
                };
                found.insert((topic, entry.partition), Committed { offset: entry.offset, mark, topic_id });
            }
        }
        Ok(found)
    }
}
