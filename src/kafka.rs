//! The only place where a Kafka client is configured, and what every client shares.
//!
//! [`Settings`] turns flags, `-X KEY=VALUE` and the environment into client configurations and refuses what the job's
//! correctness rests on; [`Client`] is one librdkafka handle with its log, its errors and its queue; [`Admin`] asks
//! about topics and offsets; [`Progress`] publishes delivered offsets and fences an older job out; [`Discovery`] finds
//! new partitions and notices brokers and topics that went away; [`Health`] is what `/readyz` shows of all that.
//!
//! Reading and writing records is the business of `source::kafka` and `emit::kafka`, which use [`Client`].

mod admin;
mod client;
mod config;
mod discovery;
mod errors;
mod group;
mod health;
mod limits;
mod partitions;
mod progress;
mod request;
mod settings;

pub use admin::{Admin, At, Topic};
pub use client::{Client, Queue, Role};
pub use config::Fetch;
pub use discovery::Discovery;
pub use errors::{Failure, classify, code_name};
pub use health::Health;
pub use limits::{Limit, Limits, TimeLimits};
pub use partitions::PartitionList;
pub use progress::{Offsets, Progress};
pub use settings::{Given, START_TIMEOUT, Settings};
