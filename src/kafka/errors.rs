//! What the client library's error codes mean to a job: wait, or stop with which exit code.

use std::ffi::CStr;

use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::error::{Exit, RunError};

/// What an error code asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The client tries again by itself; it may pass.
    Passing,
    /// The record is over the broker's limit: data, not a failure of the job.
    TooLarge,
    /// The job stops.
    Stop(Exit),
}

/// Sorts an error code.
pub fn classify(code: Code) -> Failure {
    use Code::*;
    match code {
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE | RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE => Failure::TooLarge,
        RD_KAFKA_RESP_ERR__AUTHENTICATION
        | RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
        | RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
        | RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
        | RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        | RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED
        | RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
        | RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM
        | RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE => Failure::Stop(Exit::NotAllowed),
        RD_KAFKA_RESP_ERR__FENCED
        | RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH
        | RD_KAFKA_RESP_ERR_PRODUCER_FENCED
        | RD_KAFKA_RESP_ERR__MSG_TIMED_OUT => Failure::Stop(Exit::TryAgain),
        code if passes(code) => Failure::Passing,
        _ => Failure::Stop(Exit::Unavailable),
    }
}

/// Whether the client tries again after this error.
fn passes(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        RD_KAFKA_RESP_ERR__TRANSPORT
        | RD_KAFKA_RESP_ERR__RESOLVE
        | RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
        | RD_KAFKA_RESP_ERR__TIMED_OUT
        | RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE
        | RD_KAFKA_RESP_ERR__WAIT_COORD
        | RD_KAFKA_RESP_ERR__SSL
        | RD_KAFKA_RESP_ERR__RETRY
        | RD_KAFKA_RESP_ERR__BAD_MSG
        | RD_KAFKA_RESP_ERR__UNKNOWN_BROKER
        | RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED
        | RD_KAFKA_RESP_ERR__PARTITION_EOF
        // A topic may be unknown to a broker that has only just started: discovery decides, after a while.
        | RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        | RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
        | RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        | RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID
        | RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
        | RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION
        | RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT
        | RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE
        | RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE
        | RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION
        | RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS
        | RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE
        | RD_KAFKA_RESP_ERR_NOT_COORDINATOR
        | RD_KAFKA_RESP_ERR_NOT_CONTROLLER
        | RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS
        | RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR
        | RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH
        | RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH
        | RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE
        | RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT
        | RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS
        | RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS
        | RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED
    )
}

/// The client library's name of a code, as its documentation and searches know it: `OFFSET_OUT_OF_RANGE`.
pub fn code_name(code: Code) -> &'static str {
    // SAFETY: returns a static string for every code, known or not.
    unsafe { CStr::from_ptr(native::rd_kafka_err2name(code)) }.to_str().unwrap_or("UNKNOWN")
}

/// The error that stops the job for `code`; what should have passed and did not is worth another try.
pub(super) fn stop(code: Code, message: impl std::fmt::Display) -> RunError {
    let exit = match classify(code) {
        Failure::Stop(exit) => exit,
        Failure::TooLarge => Exit::Unavailable,
        Failure::Passing => Exit::TryAgain,
    };
    RunError::new(exit, format!("{message} ({})", code_name(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_exit_codes() {
        let exit = |code| match classify(code) {
            Failure::Stop(exit) => Some(exit),
            _ => None,
        };
        assert_eq!(exit(Code::RD_KAFKA_RESP_ERR__AUTHENTICATION), Some(Exit::NotAllowed));
        assert_eq!(exit(Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), Some(Exit::NotAllowed));
        assert_eq!(exit(Code::RD_KAFKA_RESP_ERR__FENCED), Some(Exit::TryAgain));
        assert_eq!(exit(Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET), Some(Exit::Unavailable));
        assert_eq!(exit(Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN), None);
        assert_eq!(classify(Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), Failure::TooLarge);
    }

    #[test]
    fn a_message_ends_with_the_codes_name() {
        let error = stop(Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, "gone");
        assert_eq!((error.exit, error.message.as_str()), (Exit::Unavailable, "gone (OFFSET_OUT_OF_RANGE)"));
    }
}
