//! What travels on every edge: an [`Event`] and the [`Value`]s in its slots.
//!
//! An event keeps the record that it came from untouched (its bytes travel on, or go to the dead letters) and carries
//! in numbered *slots* only the values that the plan names. Which slots exist is a matter of the plan's *frame*
//! ([`crate::plan::Frame`]); all events on one edge share one frame. What steps changed about the event's body is not
//! in the event but in the plan's *layout* that the event names.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A slot of a frame: the index of a path in [`crate::plan::Frame::paths`].
pub type SlotId = u16;
/// A layout of a frame: the index in [`crate::plan::Frame::layouts`].
pub type LayoutId = u16;
/// Microseconds since the Unix epoch, UTC.
pub type Micros = i64;

/// One SQL value. A JSON scalar is its SQL value; only objects and arrays are [`Value::Json`].
///
/// NULL, a missing field and a JSON `null` are one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    /// BIGINT.
    Int(i64),
    /// DOUBLE; always finite.
    Double(f64),
    /// DECIMAL of at most 28 digits. Its scale is the one it was written with (`1.0` stays `1.0`).
    Decimal(#[serde(with = "decimal_bytes")] Decimal),
    /// A number that is written in a form, or is of a size, that the others cannot give back: `1e400`, `1E2`, `-0`,
    /// thirty digits. Valid JSON number text. It compares exactly; computing with it converts or fails.
    Number(Arc<str>),
    /// VARCHAR.
    Text(CompactString),
    /// TIMESTAMP.
    Timestamp(Micros),
    Interval(Interval),
    /// A JSON object or array: its text, already checked, as it came.
    Json(Arc<str>),
}

/// SQL INTERVAL: months and days have no fixed length, so three parts, as in PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

/// A record as it was read: what dead letters give back and what pseudo-fields (`_key`, `_value` …) show.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the Unix epoch; `None` where the record has none.
    pub timestamp: Option<i64>,
    pub key: Option<Bytes>,
    /// `None` is a Kafka null value (a tombstone).
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
    /// What fields and layouts see, where that is not the value itself: the attributes and data of a CloudEvent in
    /// binary mode, as one JSON object.
    pub body: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Header {
    pub name: CompactString,
    pub value: Option<Bytes>,
}

/// A record as it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutRecord {
    pub key: Option<Bytes>,
    /// `None` is a null value: a tombstone, or a dead letter of one.
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
    /// Milliseconds since the Unix epoch; `None` in the dead letter of a record without one, or whose topic does not
    /// take it.
    pub timestamp: Option<i64>,
}

impl OutRecord {
    /// A tombstone before a value, then by the bytes.
    pub fn cmp_bytes(&self, other: &Self) -> Ordering {
        let deleted = self.value.is_some().cmp(&other.value.is_some());
        deleted
            .then_with(|| (&self.key, &self.value).cmp(&(&other.key, &other.value)))
            .then_with(|| self.headers.cmp(&other.headers))
    }
}

/// What distinguishes events that steps made of one record, in event order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Position {
    /// `item_index` of an `unnest`.
    Item(u64),
    /// The rule id of a match.
    Rule(Value),
    /// The key of a collection or group.
    Key(Key),
}

/// One event: a record's values and where it stands in event order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Event {
    pub time: Micros,
    pub layout: LayoutId,
    pub position: SmallVec<[Position; 0]>,
    pub record: Arc<Record>,
    pub slots: Box<[Value]>,
}

/// The key of a collection's row: the values of its key columns. Numbers that are `=` are one key.
pub type Key = Arc<[Value]>;

/// One change of a changing collection: at most one per key and epoch.
///
/// `before` is what downstream saw last, `after` what it is to see: insert, update or delete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    pub key: Key,
    /// The greatest event time read so far.
    pub time: Micros,
    pub before: Option<Event>,
    pub after: Option<Event>,
}

impl Record {
    /// A record of which nothing is known but where it stood: topic, partition, offset, timestamp.
    #[inline]
    pub fn at((topic, partition, offset, timestamp): (&Arc<str>, i32, i64, Option<i64>)) -> Self {
        let topic = topic.clone();
        Self { topic, partition, offset, timestamp, key: None, value: None, headers: Vec::new(), body: None }
    }

    /// Was it never read? What steps make of many events comes from no record.
    pub fn is_made(&self) -> bool {
        self.topic.is_empty() && self.value.is_none()
    }

    /// The JSON object that paths and layouts are about.
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref().or(self.value.as_ref())
    }

    /// The order of records of one time: (topic, partition, offset).
    pub fn cmp_place(&self, other: &Self) -> Ordering {
        let topics =
            if Arc::ptr_eq(&self.topic, &other.topic) { Ordering::Equal } else { self.topic.cmp(&other.topic) };
        topics.then_with(|| (self.partition, self.offset).cmp(&(other.partition, other.offset)))
    }
}

impl Event {
    /// Event order: (event time, topic, partition, offset), then position.
    pub fn cmp_order(&self, other: &Self) -> Ordering {
        let by_record = self.time.cmp(&other.time).then_with(|| self.record.cmp_place(&other.record));
        by_record.then_with(|| self.position.cmp(&other.position))
    }
}

impl Value {
    pub fn text(text: impl AsRef<str>) -> Self {
        Value::Text(CompactString::new(text.as_ref()))
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The rank of a value's kind in the total order: NULL, booleans, numbers, text, times, intervals, JSON.
    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) | Value::Double(_) | Value::Decimal(_) | Value::Number(_) => 2,
            Value::Text(_) => 3,
            Value::Timestamp(_) => 4,
            Value::Interval(_) => 5,
            Value::Json(_) => 6,
        }
    }
}

pub mod block;
mod interval;
pub mod key;
mod order;
pub mod row;
pub mod time;

pub use order::canonical_number;

/// `rust_decimal` as its 16 bytes: its own serde form is self-describing and does not pass between processes.
mod decimal_bytes {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &Decimal, to: S) -> Result<S::Ok, S::Error> {
        value.serialize().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
        <[u8; 16]>::deserialize(from).map(Decimal::deserialize)
    }
}
