//! The Kafka edge on a real broker: reading, writing, asking, and excluding another job of the same group.

mod support;

#[path = "kafka_edge/admin.rs"]
mod admin;
#[path = "kafka_edge/calibrate.rs"]
mod calibrate;
#[path = "kafka_edge/faults.rs"]
mod faults;
#[path = "kafka_edge/progress.rs"]
mod progress;
#[path = "kafka_edge/reader.rs"]
mod reader;
#[path = "kafka_edge/tls.rs"]
mod tls;
#[path = "kafka_edge/writer.rs"]
mod writer;
