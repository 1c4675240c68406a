//! One transactional producer: opened, used for one transaction after the other, and thrown away when in doubt.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::{Offsets, TopicIds};
use crate::error::RunError;
use crate::kafka::client::{Client, Queue, Role, c_name};
use crate::kafka::errors::{Failure, classify, code_name};
use crate::kafka::group::TOPIC_ID;
use crate::kafka::health::Health;
use crate::kafka::partitions::PartitionList;
use crate::kafka::request::{no_queue, text};
use crate::kafka::settings::Settings;

/// A transactional call that failed.
pub(super) struct Trouble {
    pub code: Code,
    pub reason: String,
}

pub(super) struct Committer {
    group: NonNull<native::rd_kafka_consumer_group_metadata_t>,
    mark: String,
    ids: Arc<TopicIds>,
    errors: Queue,
    client: Arc<Client>,
}

// SAFETY: the group's metadata is plain memory with one owner.
unsafe impl Send for Committer {}

impl Committer {
    /// Fences every producer with this transactional id that was opened before.
    pub fn open(
        settings: &Settings,
        transactional_id: &str,
        (mark, ids): (&str, &Arc<TopicIds>),
        health: &Health,
        wait: Duration,
    ) -> Result<Self, Trouble> {
        let client = Client::new(settings, &settings.progress_config(transactional_id), Role::Other, health)?;
        let errors = Queue::main(&client).ok_or_else(no_queue)?;
        let name = c_name(&settings.group)?;
        // SAFETY: the name is copied. No member, no generation: nobody joins the group.
        let group = unsafe { native::rd_kafka_consumer_group_metadata_new(name.as_ptr()) };
        let group = NonNull::new(group).ok_or_else(no_queue)?;
        let committer = Self { group, mark: mark.to_owned(), ids: ids.clone(), errors, client };
        committer.initialise(wait)?;
        Ok(committer)
    }

    /// In short calls, so that refused credentials end it early: a call that timed out is continued by the next.
    fn initialise(&self, wait: Duration) -> Result<(), Trouble> {
        let deadline = Instant::now() + wait;
        loop {
            // SAFETY: the handle is valid; the error is taken over.
            let result = unsafe { check(native::rd_kafka_init_transactions(self.client.ptr(), 500)) };
            self.errors.serve();
            match result {
                Ok(()) => return Ok(()),
                Err(trouble) if classify(trouble.code) != Failure::Passing => return Err(trouble),
                Err(trouble) if Instant::now() >= deadline => return Err(trouble),
                Err(_) if self.client.refused() >= 2 => {
                    return Err(Trouble::new(Code::RD_KAFKA_RESP_ERR__AUTHENTICATION, "credentials were refused"));
                }
                // The coordinator of transactions may have only just been chosen.
                Err(trouble) if trouble.code != Code::RD_KAFKA_RESP_ERR__TIMED_OUT => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(_) => {}
            }
        }
    }

    /// One transaction that commits these offsets; nothing if there are none.
    pub fn transact(&self, offsets: &Offsets, wait: Duration) -> Result<(), Trouble> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut list = PartitionList::new();
        for ((topic, partition), offset) in offsets {
            let mark = match self.ids.get(topic) {
                Some(id) => format!("{}{TOPIC_ID}{id}", self.mark),
                None => self.mark.clone(),
            };
            list.add_marked(topic, *partition, *offset, &mark)?;
        }
        let ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        self.errors.serve();
        // SAFETY: the handle, the list and the group's metadata are valid, the calls copy what they keep, and their
        // errors are taken over. A call that blocks does so on this thread alone.
        unsafe {
            check(native::rd_kafka_begin_transaction(self.client.ptr()))?;
            let group = self.group.as_ptr();
            check(native::rd_kafka_send_offsets_to_transaction(self.client.ptr(), list.ptr(), group, ms))?;
            check(native::rd_kafka_commit_transaction(self.client.ptr(), ms))
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // SAFETY: the only owner.
        unsafe { native::rd_kafka_consumer_group_metadata_destroy(self.group.as_ptr()) }
    }
}

/// # Safety
/// `error` is null or an error that nobody else owns.
unsafe fn check(error: *mut native::rd_kafka_error_t) -> Result<(), Trouble> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: as promised by the caller; the text is copied before the error is destroyed.
    unsafe {
        let trouble = Trouble::new(native::rd_kafka_error_code(error), text(native::rd_kafka_error_string(error)));
        native::rd_kafka_error_destroy(error);
        Err(trouble)
    }
}

impl Trouble {
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    pub fn passing(reason: &str) -> Self {
        Self::new(Code::RD_KAFKA_RESP_ERR__TIMED_OUT, reason)
    }

    /// Whether a newer producer has our name.
    pub fn fenced(&self) -> bool {
        use Code::*;
        matches!(
            self.code,
            RD_KAFKA_RESP_ERR__FENCED | RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH | RD_KAFKA_RESP_ERR_PRODUCER_FENCED
        )
    }
}

impl From<RunError> for Trouble {
    fn from(error: RunError) -> Self {
        Self::new(Code::RD_KAFKA_RESP_ERR__INVALID_ARG, error.message)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, code_name(self.code))
    }
}
