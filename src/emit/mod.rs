//! The emit room: results → delivery topics, dead letters; an epoch ends when its results are acknowledged.

mod cloudevents;
pub mod deliver;
pub mod encoder;
pub mod files;
pub mod kafka;
pub mod key;
pub mod letters;
pub mod operator;
pub mod sinks;
pub mod standing;
mod times;
pub mod topics;
