//! The three kinds of error, by who must act.
//!
//! [`SpecError`]: the dataflow file is wrong; all of them are collected, each with its place. [`RunError`]: the job
//! stops, with an exit code. [`Rejected`]: one event could not be handled; it is data and leaves on the dead letters.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Record;

/// A mistake in a dataflow file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// Bytes of the file that are wrong.
    pub span: Range<usize>,
    /// What is wrong, in a sentence without a full stop: ``unknown key `form` ``.
    pub message: String,
    /// What stands beside the marked bytes; may be empty.
    pub label: String,
    /// What was expected, the nearest names that exist, what to do. May be empty.
    pub help: Vec<String>,
    pub severity: Severity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// A mistake in a text inside the file (an expression, a pattern): its place is within that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// Bytes of the text that are wrong.
    pub span: Range<usize>,
    pub message: String,
    pub help: Vec<String>,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.span.start + 1, self.message)
    }
}

/// Why the job stops. The message says what, where and what to do; it never holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct RunError {
    pub exit: Exit,
    pub message: String,
}

impl RunError {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

/// Exit codes, as in sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Clean = 0,
    /// Wrong flags, an unknown client setting, a secret's file that is not there.
    Usage = 64,
    /// Too many rejected events.
    Data = 65,
    /// No broker, no topic, offsets that are gone.
    Unavailable = 69,
    /// Our bug.
    Software = 70,
    /// An output file that cannot be written.
    InputOutput = 74,
    /// A broker or a peer lost on the way, a drain that timed out, taken over.
    TryAgain = 75,
    /// Credentials or ACLs.
    NotAllowed = 77,
    /// The file is wrong, or processes differ.
    Config = 78,
    /// A second signal.
    Interrupted = 130,
}

/// The step of the way in which an event was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    Source,
    Table,
    Shape,
    Match,
    Aggregate,
    Emit,
}

/// The kind of a rejection: `exception.class.name` of its dead letter, `reason` of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// The value is not what the format asks for: no JSON object, bad UTF-8, a bad CloudEvent, a null value.
    DecodeError,
    /// A field is of another type than `fields` says, or missing where it must not be.
    TypeError,
    /// The event's time is missing, unusable or too far ahead, or too far from now for a delivery topic.
    TimeError,
    /// Over `limits.record`, or refused by the broker for its size.
    RecordTooLarge,
    /// Over `limits.depth`.
    TooDeep,
    /// An expression failed.
    ExpressionError,
    /// A rule row does not compile.
    RuleError,
    /// Every window of the event had ended.
    LateEvent,
    /// A table's row has no usable key.
    KeyError,
    /// Over the rate of a `limit`.
    RateLimited,
}

/// Why one event was rejected: everything about it but the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    pub message: String,
}

/// An event that could not be handled, on its way to the dead letters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rejected {
    pub record: Arc<Record>,
    pub stage: Stage,
    /// The step, source, table or output that rejected it.
    pub step: Arc<str>,
    pub reason: Reason,
    pub message: String,
}

impl Rejection {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub fn at(self, stage: Stage, step: &Arc<str>, record: &Arc<Record>) -> Rejected {
        let Self { reason, message } = self;
        Rejected { record: record.clone(), stage, step: step.clone(), reason, message }
    }
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Stage::Source => "source",
            Stage::Table => "table",
            Stage::Shape => "shape",
            Stage::Match => "match",
            Stage::Aggregate => "aggregate",
            Stage::Emit => "emit",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
