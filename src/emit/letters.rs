//! Dead letters: rejected events with the bytes, key and headers they came with, and Kafka Connect's headers that say
//! what became of them.

use std::sync::Arc;

use bytes::Bytes;

use super::deliver::{Letters, Outgoing, Place, Within};
use super::key;
use crate::error::Rejected;
use crate::event::{Header, OutRecord, Position, Record, Value};
use crate::plan::{Hidden, Plan};

/// Bytes that a message may have.
const LONGEST_MESSAGE: usize = 8 << 10;

/// Header that says how long the value was that a dead letter had to leave behind.
const VALUE_BYTES: &str = "tidemill.value.bytes";

/// Header that says which timestamp, in milliseconds, a dead letter had to leave behind.
const TIMESTAMP: &str = "tidemill.timestamp";

/// Makes the dead letters of a job.
#[derive(Clone)]
pub struct DeadLetters {
    job: Arc<str>,
    hidden: Hidden,
    output: u16,
    partitions: i32,
}

impl DeadLetters {
    /// `output` is the number of the dead letters among all outputs, `partitions` those of their topic.
    pub fn new(plan: &Plan, output: u16, partitions: i32) -> Self {
        Self { job: plan.name.clone(), hidden: plan.hidden.clone(), output, partitions }
    }

    /// Kafka Connect's headers. One that the record has already is not overwritten.
    fn headers(&self, rejected: &Rejected, message: &str) -> Vec<Header> {
        let Record { topic, partition, offset, .. } = &*rejected.record;
        let reasons = [
            ("topic", topic.to_string()),
            ("partition", partition.to_string()),
            ("offset", offset.to_string()),
            ("connector.name", self.job.to_string()),
            // Not the worker's number: a dead letter is the same at any number of workers.
            ("task.id", partition.to_string()),
            ("stage", rejected.stage.name().to_owned()),
            ("class.name", rejected.step.to_string()),
            ("exception.class.name", rejected.reason.to_string()),
            ("exception.message", message.to_owned()),
        ];
        let mut headers = rejected.record.headers.clone();
        for (name, value) in reasons {
            add(&mut headers, &format!("__connect.errors.{name}"), value);
        }
        headers
    }
}

impl Letters for DeadLetters {
    fn letter(&self, rejected: &Rejected) -> Outgoing {
        let record = &rejected.record;
        let message = self.hidden.hide(&rejected.message);
        let message = cut(&message);
        // Within an epoch dead letters go by where they came from, then by who rejected them and why.
        let position = [
            Position::Item(rejected.stage as u64),
            Position::Rule(Value::text(&rejected.step)),
            Position::Rule(Value::text(message)),
        ];
        let within = Within::Event(0, position.into_iter().collect());
        let place = Place { by: Box::default(), within };
        let partition = match &record.key {
            Some(key) => key::partition(key, self.partitions),
            None => key::spread(record, &[], self.partitions),
        };
        let record = OutRecord {
            key: record.key.clone(),
            value: record.value.clone(),
            headers: self.headers(rejected, message),
            timestamp: record.timestamp,
        };
        Outgoing { output: self.output, partition, place, record, origin: rejected.record.clone() }
    }

    fn stripped(&self, letter: &Outgoing) -> Option<Outgoing> {
        let mut letter = letter.clone();
        let value = letter.record.value.take()?;
        add(&mut letter.record.headers, VALUE_BYTES, value.len().to_string());
        Some(letter)
    }

    fn redated(&self, letter: &Outgoing) -> Outgoing {
        let mut letter = letter.clone();
        if let Some(timestamp) = letter.record.timestamp.take() {
            add(&mut letter.record.headers, TIMESTAMP, timestamp.to_string());
        }
        letter
    }
}

fn add(headers: &mut Vec<Header>, name: &str, value: String) {
    if headers.iter().all(|header| header.name != name) {
        headers.push(Header { name: name.into(), value: Some(Bytes::from(value)) });
    }
}

/// A message of a length that every broker takes.
fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(LONGEST_MESSAGE)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Reason, Stage};

    fn rejected(record: Record, message: &str) -> Rejected {
        Rejected {
            record: Arc::new(record),
            stage: Stage::Shape,
            step: "clean".into(),
            reason: Reason::ExpressionError,
            message: message.into(),
        }
    }

    fn letters() -> DeadLetters {
        DeadLetters { job: "triggers".into(), hidden: Hidden::default(), output: 3, partitions: 4 }
    }

    fn header(letter: &Outgoing, name: &str) -> Option<String> {
        let header = letter.record.headers.iter().find(|header| header.name == name)?;
        Some(String::from_utf8(header.value.as_ref()?.to_vec()).unwrap())
    }

    fn record() -> Record {
        Record {
            topic: "events.v1".into(),
            partition: 5,
            offset: 77,
            timestamp: Some(1_234),
            key: Some(Bytes::from_static(b"foobar")),
            value: Some(Bytes::from_static(b"{broken \xff")),
            headers: vec![Header { name: "trace".into(), value: Some(Bytes::from_static(b"\xfe")) }],
            ..Record::default()
        }
    }

    #[test]
    fn a_dead_letter_gives_back_what_came_and_says_why() {
        let letter = letters().letter(&rejected(record(), "division by zero"));
        let came = record();
        assert_eq!((&letter.record.key, &letter.record.value), (&came.key, &came.value));
        assert_eq!((letter.record.timestamp, letter.output), (Some(1_234), 3));
        assert_eq!(letter.record.headers[0], came.headers[0]);
        let expected = [
            ("topic", "events.v1"),
            ("partition", "5"),
            ("offset", "77"),
            ("connector.name", "triggers"),
            ("task.id", "5"),
            ("stage", "shape"),
            ("class.name", "clean"),
            ("exception.class.name", "ExpressionError"),
            ("exception.message", "division by zero"),
        ];
        for (name, value) in expected {
            assert_eq!(header(&letter, &format!("__connect.errors.{name}")).as_deref(), Some(value));
        }
        assert_eq!(letter.record.headers.len(), 1 + expected.len());
        assert_eq!(letter.partition, key::partition(b"foobar", 4));
    }

    #[test]
    fn a_header_that_is_there_already_is_not_overwritten() {
        let mut record = record();
        let name = "__connect.errors.topic";
        record.headers.push(Header { name: name.into(), value: Some(Bytes::from_static(b"first")) });
        let letter = letters().letter(&rejected(record, "again"));
        assert_eq!(header(&letter, name).as_deref(), Some("first"));
        assert_eq!(letter.record.headers.iter().filter(|header| header.name == name).count(), 1);
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let letter = letters().letter(&rejected(record(), &"€".repeat(5_000)));
        let message = header(&letter, "__connect.errors.exception.message").unwrap();
        assert_eq!(message.len(), 8_190);
        assert!(message.chars().all(|c| c == '€'));
    }

    #[test]
    fn a_dead_letter_that_is_too_large_leaves_its_value_behind() {
        let letter = letters().stripped(&letters().letter(&rejected(record(), "x"))).unwrap();
        assert_eq!(letter.record.value, None);
        assert_eq!(header(&letter, VALUE_BYTES).as_deref(), Some("9"));
        assert_eq!(letter.record.key, record().key);
        assert!(letters().stripped(&letter).is_none(), "there is nothing more to leave behind");
    }

    #[test]
    fn a_dead_letter_whose_time_is_not_taken_leaves_it_behind() {
        let came = letters().letter(&rejected(record(), "x"));
        let letter = letters().redated(&came);
        assert_eq!((letter.record.timestamp, header(&letter, TIMESTAMP).as_deref()), (None, Some("1234")));
        assert_eq!((&letter.record.key, &letter.record.value), (&came.record.key, &came.record.value));
        assert_eq!(letters().redated(&letter).record, letter.record, "there is nothing more to leave behind");
    }
}
