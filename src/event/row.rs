//! A table's row as it travels: from the table's records to lookups and to rules.
//!
//! Cheap to clone (two reference counts), ordered and hashed by content, so that collections of rows consolidate.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Key, Micros, Record, Value};

/// The row of one key: its whole body, and the values that the plan names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Row {
    /// The row as JSON text, already checked.
    pub body: Arc<str>,
    /// Values of the paths of the table's frame.
    pub slots: Arc<[Value]>,
    pub time: Micros,
}

impl Row {
    /// About how many bytes the row holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.body.len() + self.slots.iter().map(Value::bytes).sum::<usize>()
    }
}

/// One change of a table's row: at most one per key and epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChange {
    pub key: Key,
    pub before: Option<Row>,
    pub after: Option<Row>,
}

/// A record of a table, decoded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableRecord {
    /// The topic's number in the table's list.
    pub topic: u32,
    pub record: Arc<Record>,
    /// `None`: a null value.
    pub row: Option<(Key, Row)>,
}

/// Where a record stands among those of its table: the number of the topic in the table's list, partition, offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Spot {
    pub topic: u32,
    pub partition: i32,
    pub offset: i64,
}

impl TableRecord {
    pub fn spot(&self) -> Spot {
        Spot { topic: self.topic, partition: self.record.partition, offset: self.record.offset }
    }
}
