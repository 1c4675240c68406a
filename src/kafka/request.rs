//! How a request to the brokers is sent and waited for.

use std::ffi::CStr;
use std::time::{Duration, Instant};

use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_admin_op_t as Op;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::admin::Admin;
use super::client::Queue;
use super::errors::{Failure, classify};
use crate::error::{Exit, RunError};

/// A request that failed: for good, or past its deadline.
pub(super) struct Unanswered {
    pub code: Code,
    pub reason: String,
}

impl Admin {
    /// Sends a request and reads its answer; again while that fails in passing and `wait` has not passed.
    pub(super) fn ask<T>(
        &self,
        op: Op,
        wait: Duration,
        mut send: impl FnMut(*mut native::rd_kafka_AdminOptions_t, *mut native::rd_kafka_queue_t),
        mut read: impl FnMut(*mut native::rd_kafka_event_t) -> Result<T, Unanswered>,
    ) -> Result<T, Unanswered> {
        let deadline = Instant::now() + wait;
        let refused_before = self.client.refused();
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let answers = Queue::new(&self.client).ok_or_else(|| Unanswered::from(no_queue()))?;
            // SAFETY: options are made, used by `send` and destroyed here; `rd_kafka_*` calls copy them.
            unsafe {
                let options = native::rd_kafka_AdminOptions_new(self.client.ptr(), op);
                let ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).max(1);
                native::rd_kafka_AdminOptions_set_request_timeout(options, ms, std::ptr::null_mut(), 0);
                send(options, answers.ptr());
                native::rd_kafka_AdminOptions_destroy(options);
            }
            match self.await_answer(&answers, deadline, refused_before, &mut read) {
                Err(e) if classify(e.code) == Failure::Passing && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100).min(left));
                }
                Ok(answer) => {
                    self.client.health().heard();
                    return Ok(answer);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn await_answer<T>(
        &self,
        answers: &Queue,
        deadline: Instant,
        refused_before: u32,
        read: &mut impl FnMut(*mut native::rd_kafka_event_t) -> Result<T, Unanswered>,
    ) -> Result<T, Unanswered> {
        loop {
            // SAFETY: the queue is valid; the event is read before it is destroyed.
            let event = unsafe { native::rd_kafka_queue_poll(answers.ptr(), 100) };
            self.errors.serve();
            if !event.is_null() {
                // SAFETY: as above.
                unsafe {
                    let code = native::rd_kafka_event_error(event);
                    let answer = match code {
                        Code::RD_KAFKA_RESP_ERR_NO_ERROR => read(event),
                        _ => Err(Unanswered { code, reason: text(native::rd_kafka_event_error_string(event)) }),
                    };
                    native::rd_kafka_event_destroy(event);
                    return answer;
                }
            }
            // Twice, since one attempt may have met a broker that was about to end.
            if self.client.refused() >= refused_before + 2 {
                let reason = self.client.health().current().map(|(_, reason)| reason).unwrap_or_default();
                return Err(Unanswered { code: Code::RD_KAFKA_RESP_ERR__AUTHENTICATION, reason });
            }
            if Instant::now() >= deadline {
                return Err(Unanswered { code: Code::RD_KAFKA_RESP_ERR__TIMED_OUT, reason: "no answer".to_owned() });
            }
        }
    }
}

impl From<RunError> for Unanswered {
    fn from(error: RunError) -> Self {
        Self { code: Code::RD_KAFKA_RESP_ERR__INVALID_ARG, reason: error.message }
    }
}

/// # Safety
/// `items` points to `count` values, or is null.
pub(super) unsafe fn slice<'a, T>(items: *mut *const T, count: usize) -> &'a [*const T] {
    // SAFETY: as promised by the caller.
    if items.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(items, count) } }
}

/// # Safety
/// `string` ends in NUL, or is null.
pub(super) unsafe fn text(string: *const std::ffi::c_char) -> String {
    // SAFETY: as promised by the caller.
    if string.is_null() { String::new() } else { unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned() }
}

/// # Safety
/// `error` is null or an error that nobody else owns.
pub(super) unsafe fn forget_error(error: *mut native::rd_kafka_error_t) {
    if !error.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { native::rd_kafka_error_destroy(error) }
    }
}

pub(super) fn no_queue() -> RunError {
    RunError::new(Exit::Software, "the Kafka client has no queue")
}
