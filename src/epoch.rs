//! The epoch: a batch with a number, and the one clock that all steps share.

use serde::{Deserialize, Serialize};

use crate::event::Micros;

/// An epoch's number. It rises with the wall clock; on files it counts.
pub type Epoch = u64;

/// What is known at the end of an epoch, the same on every worker: the epoch's clock record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The epoch's time: when it closed, by the wall clock; never goes back. On files the greatest event time read.
    pub now: Micros,
    /// The greatest event time that any source has read so far; `MIN` before any.
    pub greatest: Micros,
    /// How far each source is complete, in the plan's order; `MIN` before any event. The end of files is `MAX`.
    pub watermarks: Vec<Micros>,
    /// The same for tables.
    pub table_watermarks: Vec<Micros>,
}
