//! Tidemill: a stream-processing job.
//!
//! Events from Kafka topics run through a timely dataflow of shape, match, aggregate and emit operators, are batched
//! per epoch, and leave on delivery topics. The modules below stand in the order in which data passes them; a module
//! may use those above it, and the rooms (`source` to `emit`) never use each other. `tests/laws.rs` keeps that.

// What travels, and what everything else stands on.
pub mod epoch;
pub mod error;
pub mod event;
pub mod json;
pub mod lines;
mod prefetch;
pub mod telemetry;

// Languages inside the dataflow file, and the one place where Kafka clients are made.
pub mod expr;
pub mod kafka;
pub mod pattern;

// The dataflow file, checked.
pub mod plan;

// The rooms, in data order.
pub mod aggregate;
pub mod emit;
pub mod matching;
pub mod shape;
pub mod source;
pub mod table;

// The house: rooms wired, workers started, arguments read.
pub mod cli;
pub mod flow;
pub mod launch;
