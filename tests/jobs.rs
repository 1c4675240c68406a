//! Whole jobs on a real Kafka: what they deliver, what they survive, and how they end.

#[path = "oracle/model/mod.rs"]
mod model;
mod support;

#[path = "jobs/bad_input.rs"]
mod bad_input;
#[path = "jobs/brokers.rs"]
mod brokers;
#[path = "jobs/crashes.rs"]
mod crashes;
#[path = "jobs/epochs.rs"]
mod epochs;
#[path = "jobs/partitions.rs"]
mod partitions;
#[path = "jobs/progress.rs"]
mod progress;
#[path = "jobs/refusals.rs"]
mod refusals;
#[path = "jobs/results.rs"]
mod results;
#[path = "jobs/scene.rs"]
mod scene;
#[path = "jobs/seen.rs"]
mod seen;
#[path = "jobs/sizes.rs"]
mod sizes;
#[path = "jobs/time.rs"]
mod time;
