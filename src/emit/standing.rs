//! Which row stands under a record key, where an output's own key lets several rows of a collection share one.
//!
//! The newest does: a row that leaves uncovers the one before it, and only when the last has left is the key deleted.
//! Kept for each row under such a key: its record.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;

use super::deliver::{Outgoing, Within};
use crate::epoch::operator::{Made, PerEpoch};
use crate::epoch::{Clock, Epoch};
use crate::event::Key;
use crate::event::key::Fixed;
use crate::telemetry::StepMetrics;

/// One output on one worker.
pub struct Standing {
    rows: Rows,
    metrics: Arc<StepMetrics>,
    worker: usize,
}

impl Standing {
    pub fn new(metrics: Arc<StepMetrics>, worker: usize) -> Self {
        Self { rows: Rows::default(), metrics, worker }
    }

    /// Chooses the worker that keeps the record key.
    pub fn route(item: &Outgoing) -> u64 {
        Fixed::default().hash_one(key(item))
    }
}

impl PerEpoch<Outgoing, Clock, Outgoing> for Standing {
    fn close(&mut self, epoch: Epoch, items: Vec<Outgoing>, _: Vec<Clock>, made: &mut Made<Outgoing>) {
        made.results = self.rows.apply(epoch, items);
        self.metrics.set_state(self.worker, self.rows.bytes as u64, self.rows.rows as u64);
    }
}

/// The rows under each record key.
#[derive(Default)]
struct Rows {
    keys: HashMap<Bytes, Vec<Row>, Fixed>,
    rows: usize,
    bytes: usize,
}

struct Row {
    /// The epoch that wrote it.
    since: Epoch,
    record: Outgoing,
}

impl Row {
    /// A row is kept long: not in the block that many records share.
    fn new(since: Epoch, item: &Outgoing, record_key: &Bytes) -> Self {
        let mut record = item.clone();
        record.record.key = Some(record_key.clone());
        record.record.value = item.record.value.as_deref().map(Bytes::copy_from_slice);
        Self { since, record }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.record.record.value.as_ref().map_or(0, Bytes::len) + key(&self.record).len()
    }
}

impl Rows {
    /// Records of an epoch: a row's record under its record key, a tombstone where it is no longer there.
    fn apply(&mut self, epoch: Epoch, mut items: Vec<Outgoing>) -> Vec<Outgoing> {
        items.sort_by(|a, b| (&a.record.key, row(a)).cmp(&(&b.record.key, row(b))));
        let of_keys = items.chunk_by(|a, b| a.record.key == b.record.key);
        of_keys.filter_map(|items| self.apply_to_key(epoch, items)).collect()
    }

    /// The record that the key has now, if it is another one.
    fn apply_to_key(&mut self, epoch: Epoch, items: &[Outgoing]) -> Option<Outgoing> {
        let record_key = Bytes::copy_from_slice(key(&items[0]));
        let rows = self.keys.entry(record_key.clone()).or_default();
        let place = |of: &Row| (of.since, row(&of.record).cloned());
        let before = newest(rows).map(place);
        for item in items {
            if let Some(at) = rows.iter().position(|known| row(&known.record) == row(item)) {
                self.bytes -= rows.swap_remove(at).bytes();
                self.rows -= 1;
            }
            if item.record.value.is_some() {
                let row = Row::new(epoch, item, &record_key);
                self.bytes += row.bytes();
                self.rows += 1;
                rows.push(row);
            }
        }
        let gone = items.iter().rfind(|item| item.record.value.is_none());
        let Some(now) = newest(rows) else {
            self.keys.remove(&record_key);
            return gone.filter(|_| before.is_some()).cloned();
        };
        let mut record = (before != Some(place(now))).then(|| now.record.clone())?;
        // One that is uncovered changes now, though its row did not.
        if let Some(gone) = gone.filter(|_| now.since != epoch) {
            record.record.timestamp = gone.record.timestamp;
        }
        Some(record)
    }
}

fn newest(rows: &[Row]) -> Option<&Row> {
    rows.iter().max_by(|a, b| (a.since, row(&a.record)).cmp(&(b.since, row(&b.record))))
}

fn key(item: &Outgoing) -> &[u8] {
    item.record.key.as_deref().unwrap_or_default()
}

/// The key of the collection's row that a record is of.
fn row(item: &Outgoing) -> Option<&Key> {
    match &item.place.within {
        Within::Row(key) => Some(key),
        Within::Event(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::deliver::Place;
    use crate::event::{OutRecord, Value};

    fn item(key: &str, row: i64, value: Option<&str>) -> Outgoing {
        let record = OutRecord {
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
            ..OutRecord::default()
        };
        let place = Place { by: [].into(), within: Within::Row([Value::Int(row)].into()) };
        Outgoing { output: 0, partition: 0, place, record, origin: Arc::default() }
    }

    fn apply(rows: &mut Rows, epoch: Epoch, items: &[(&str, i64, Option<&str>)]) -> Vec<(String, Option<String>)> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let items = items.iter().map(|(key, row, value)| item(key, *row, *value)).collect();
        let results = rows.apply(epoch, items);
        results
            .iter()
            .map(|item| (text(item.record.key.as_ref().unwrap()), item.record.value.as_ref().map(text)))
            .collect()
    }

    fn owned(all: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        all.iter().map(|(key, value)| (key.to_string(), value.map(str::to_owned))).collect()
    }

    #[test]
    fn rows_that_change_places_delete_nothing() {
        let mut rows = Rows::default();
        let first = [("1", 0, Some("a")), ("2", 1, Some("b"))];
        assert_eq!(apply(&mut rows, 1, &first), owned(&[("1", Some("a")), ("2", Some("b"))]));
        let swapped = [("1", 0, None), ("2", 0, Some("a")), ("2", 1, None), ("1", 1, Some("b"))];
        assert_eq!(apply(&mut rows, 2, &swapped), owned(&[("1", Some("b")), ("2", Some("a"))]));
    }

    #[test]
    fn a_row_that_leaves_uncovers_the_one_before_it() {
        let mut rows = Rows::default();
        apply(&mut rows, 1, &[("k", 0, Some("old")), ("k", 1, Some("old, too"))]);
        assert_eq!(apply(&mut rows, 2, &[("k", 0, Some("new"))]), owned(&[("k", Some("new"))]));
        assert_eq!(apply(&mut rows, 3, &[("k", 0, None)]), owned(&[("k", Some("old, too"))]));
        assert_eq!(apply(&mut rows, 4, &[("k", 0, None)]), [], "it had left before");
        assert_eq!(apply(&mut rows, 5, &[("k", 1, None)]), owned(&[("k", None)]));
        assert_eq!((rows.rows, rows.bytes, rows.keys.len()), (0, 0, 0));
    }

    #[test]
    fn what_leaves_from_below_is_not_told() {
        let mut rows = Rows::default();
        apply(&mut rows, 1, &[("k", 0, Some("below"))]);
        apply(&mut rows, 2, &[("k", 1, Some("above"))]);
        assert_eq!(apply(&mut rows, 3, &[("k", 0, None)]), []);
        assert_eq!(apply(&mut rows, 4, &[("k", 1, None)]), owned(&[("k", None)]));
    }
}
