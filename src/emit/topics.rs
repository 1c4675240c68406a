//! Delivery topics behind the face of a sink: tokens go out with records and come back with reports.

use super::deliver::{Outcome, Outgoing};
use super::kafka::{Outgoing as Sending, Producer, Report, Sent};
use super::sinks::TopicSink;
use crate::error::RunError;
use crate::kafka::{Health, Settings};

/// The producer of one worker.
pub struct Topics {
    producer: Producer,
    refused: Vec<u64>,
}

impl Topics {
    /// `wake` is called when reports arrive.
    pub fn open(
        settings: &Settings,
        topics: &[&str],
        batch_bytes: usize,
        health: &Health,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, RunError> {
        let mut producer = Producer::open(settings, topics, batch_bytes, health)?;
        producer.on_report(wake);
        Ok(Self { producer, refused: Vec::new() })
    }
}

impl TopicSink for Topics {
    fn send(&mut self, token: u64, topic: usize, item: &Outgoing) -> Result<bool, RunError> {
        let record = &item.record;
        let headers: Vec<(&str, Option<&[u8]>)> =
            record.headers.iter().map(|header| (header.name.as_str(), header.value.as_deref())).collect();
        let sent = self.producer.send(&Sending {
            topic,
            partition: item.partition,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
            // A record that came without a time leaves with that of its leaving.
            timestamp: record.timestamp.unwrap_or_else(now),
            token,
        })?;
        if sent == Sent::TooLarge {
            self.refused.push(token);
        }
        Ok(sent != Sent::Full)
    }

    fn flush(&mut self) -> Result<(), RunError> {
        Ok(())
    }

    fn poll(&mut self, done: &mut impl FnMut(u64, Outcome)) -> Result<(), RunError> {
        self.refused.drain(..).for_each(|token| done(token, Outcome::TooLarge("the client's limit".to_owned())));
        let mut report = |report: Report<'_>| match report {
            Report::Delivered { token, .. } => done(token, Outcome::Delivered),
            Report::TooLarge { token, .. } => done(token, Outcome::TooLarge("the topic's limit".to_owned())),
        };
        self.producer.poll(&mut report).map(drop)
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
