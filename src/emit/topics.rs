//! Delivery topics behind the face of a sink: tokens go out with records and come back with reports.

use super::deliver::{Outcome, Outgoing, Refusal};
use super::kafka::{Outgoing as Sending, Producer, Report, Sent};
use super::sinks::TopicSink;
use super::times::Times;
use crate::error::RunError;
use crate::kafka::{Health, Limits, Settings};

/// The producer of one worker.
pub struct Topics {
    producer: Producer,
    times: Times,
    /// What was not even sent.
    refused: Vec<(u64, Refusal)>,
}

impl Topics {
    /// `limits` are those of these topics. `wake` is called when reports arrive.
    pub fn open(
        settings: &Settings,
        topics: &[&str],
        limits: &Limits,
        health: &Health,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, RunError> {
        let mut producer = Producer::open(settings, topics, limits.batch_bytes, health)?;
        producer.on_report(wake);
        Ok(Self { producer, times: Times::new(topics, &limits.times), refused: Vec::new() })
    }
}

impl TopicSink for Topics {
    fn send(&mut self, token: u64, topic: usize, item: &Outgoing) -> Result<bool, RunError> {
        let record = &item.record;
        let timestamp = match self.times.leaving(topic, record.timestamp) {
            Ok(timestamp) => timestamp,
            Err(refusal) => {
                self.refused.push((token, refusal));
                return Ok(true);
            }
        };
        let headers: Vec<(&str, Option<&[u8]>)> =
            record.headers.iter().map(|header| (header.name.as_str(), header.value.as_deref())).collect();
        let sent = self.producer.send(&Sending {
            topic,
            partition: item.partition,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
            timestamp,
            token,
        })?;
        if sent == Sent::TooLarge {
            self.refused.push((token, too_large("the client's limit")));
        }
        Ok(sent != Sent::Full)
    }

    fn flush(&mut self) -> Result<(), RunError> {
        self.times.pause();
        Ok(())
    }

    fn poll(&mut self, done: &mut impl FnMut(u64, Outcome)) -> Result<(), RunError> {
        self.times.pause();
        self.refused.drain(..).for_each(|(token, refusal)| done(token, Outcome::Refused(refusal)));
        let mut report = |report: Report<'_>| match report {
            Report::Delivered { token, .. } => done(token, Outcome::Delivered),
            Report::TooLarge { token, .. } => done(token, Outcome::Refused(too_large("the topic's limit"))),
        };
        self.producer.poll(&mut report).map(drop)
    }
}

fn too_large(limit: &str) -> Refusal {
    Refusal::TooLarge(limit.to_owned())
}
