//! A table's second stage, by table key: which of several record keys counts, and what an epoch changed.
//!
//! Of several record keys that write one key the last one's row counts; when it is taken back, the next that remains
//! does. A row leaves when the watermark has reached its time + `ttl`. An epoch gives at most one change per key, and
//! none for a row that came and went within it.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::event::key::Fixed;
use crate::event::row::{Row, RowChange, Spot};
use crate::event::{Key, Micros};

use super::writers::Write;

/// The rows of a table on the worker that has their keys.
#[derive(Debug)]
pub struct Rows {
    ttl: Option<Micros>,
    rows: HashMap<Key, Versions, Fixed>,
    /// With a `ttl`: when to look at a key.
    deadlines: BTreeMap<Micros, Vec<Key>>,
    bytes: usize,
}

/// What record keys say about one key; one of them as a rule.
#[derive(Debug, Default)]
struct Versions {
    versions: Vec<Version>,
    /// When the key is looked at, as far as that is planned.
    looked_at: Option<Micros>,
}

#[derive(Debug)]
struct Version {
    spot: Spot,
    writer: Option<Bytes>,
    row: Row,
}

impl Rows {
    pub fn new(ttl: Option<Micros>) -> Self {
        Self { ttl, rows: HashMap::default(), deadlines: BTreeMap::new(), bytes: 0 }
    }

    pub fn keys(&self) -> usize {
        self.rows.len()
    }

    /// About how many bytes the state holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes an epoch's writes, all of them, and ends it at `watermark` (`MAX`, the end of files, moves no `ttl`).
    /// Changes are sorted by key.
    pub fn apply(&mut self, mut writes: Vec<Write>, watermark: Micros) -> Vec<RowChange> {
        writes.sort_unstable_by(|a, b| (&a.key, a.spot, &a.writer).cmp(&(&b.key, b.spot, &b.writer)));
        let mut before: BTreeMap<Key, Option<Row>> = BTreeMap::new();
        for write in writes {
            let versions = self.rows.entry(write.key.clone()).or_default();
            before.entry(write.key.clone()).or_insert_with(|| versions.row().cloned());
            self.bytes -= versions.bytes();
            versions.write(write.spot, write.writer, write.row);
            self.bytes += versions.bytes();
            self.plan_look(&write.key);
        }
        self.expire(watermark, &mut before);
        before.into_iter().filter_map(|(key, before)| self.change(key, before)).collect()
    }

    fn change(&mut self, key: Key, before: Option<Row>) -> Option<RowChange> {
        let after = self.rows.get(&key).and_then(Versions::row).cloned();
        if after.is_none() {
            self.rows.remove(&key);
        }
        (before != after).then_some(RowChange { key, before, after })
    }
}

impl Rows {
    /// A key is looked at when the first of its rows ends.
    fn plan_look(&mut self, key: &Key) {
        let Some(ttl) = self.ttl else { return };
        let Some(versions) = self.rows.get_mut(key) else { return };
        let first = versions.versions.iter().map(|version| version.row.time.saturating_add(ttl)).min();
        if let Some(first) = first
            && versions.looked_at.is_none_or(|planned| planned > first)
        {
            versions.looked_at = Some(first);
            self.deadlines.entry(first).or_default().push(key.clone());
        }
    }

    fn expire(&mut self, watermark: Micros, before: &mut BTreeMap<Key, Option<Row>>) {
        let Some(ttl) = self.ttl.filter(|_| watermark != Micros::MAX) else { return };
        while let Some(entry) = self.deadlines.first_entry()
            && *entry.key() <= watermark
        {
            let (deadline, keys) = entry.remove_entry();
            for key in keys {
                let Some(versions) = self.rows.get_mut(&key) else { continue };
                if versions.looked_at != Some(deadline) {
                    continue;
                }
                versions.looked_at = None;
                before.entry(key.clone()).or_insert_with(|| versions.row().cloned());
                self.bytes -= versions.bytes();
                versions.versions.retain(|version| version.row.time.saturating_add(ttl) > watermark);
                self.bytes += versions.bytes();
                self.plan_look(&key);
            }
        }
    }
}

impl Versions {
    /// The row that counts.
    fn row(&self) -> Option<&Row> {
        self.versions.iter().max_by(|a, b| (a.spot, &a.writer).cmp(&(b.spot, &b.writer))).map(|version| &version.row)
    }

    fn write(&mut self, spot: Spot, writer: Option<Bytes>, row: Option<Row>) {
        self.versions.retain(|version| version.writer != writer || version.spot > spot);
        let newer = self.versions.iter().any(|version| version.writer == writer);
        if let Some(row) = row.filter(|_| !newer) {
            self.versions.push(Version { spot, writer, row });
        }
    }

    fn bytes(&self) -> usize {
        let each = |version: &Version| size_of::<Version>() + version.row.bytes() + size_of::<Key>();
        self.versions.iter().map(each).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::writers::{Upsert, Writers};
    use super::*;
    use crate::event::Value;

    fn key(name: &str) -> Key {
        Arc::new([Value::text(name)])
    }

    fn row(body: &str, time: Micros) -> Row {
        Row { body: body.into(), slots: Arc::new([]), time }
    }

    fn upsert(partition: i32, offset: i64, record_key: &str, row: Option<(&str, &str)>, time: Micros) -> Upsert {
        let row = row.map(|(name, body)| (key(name), self::row(body, time)));
        let record_key = (!record_key.is_empty()).then(|| Bytes::copy_from_slice(record_key.as_bytes()));
        Upsert { spot: Spot { topic: 0, partition, offset }, record_key, row }
    }

    struct Table(Writers, Rows);

    impl Table {
        fn new(ttl: Option<Micros>) -> Self {
            Self(Writers::new(ttl), Rows::new(ttl))
        }

        fn epoch(&mut self, records: Vec<Upsert>, watermark: Micros) -> Vec<(String, String, String)> {
            let changes = self.1.apply(self.0.apply(records, watermark), watermark);
            let body = |row: Option<Row>| row.map_or("-".to_owned(), |row| row.body.to_string());
            let name = |key: &Key| if let Value::Text(name) = &key[0] { name.to_string() } else { String::new() };
            changes.into_iter().map(|change| (name(&change.key), body(change.before), body(change.after))).collect()
        }
    }

    fn change(key: &str, before: &str, after: &str) -> (String, String, String) {
        (key.to_owned(), before.to_owned(), after.to_owned())
    }

    #[test]
    fn the_last_record_of_a_record_key_counts_and_a_null_value_takes_it_back() {
        let mut table = Table::new(None);
        let both = vec![upsert(0, 1, "a", Some(("k", "new")), 0), upsert(0, 0, "a", Some(("k", "old")), 0)];
        assert_eq!(table.epoch(both, 0), [change("k", "-", "new")]);
        assert_eq!(
            table.epoch(vec![upsert(0, 2, "a", Some(("moved", "x")), 0)], 0),
            [change("k", "new", "-"), change("moved", "-", "x")]
        );
        let gone = vec![upsert(0, 3, "a", Some(("k", "y")), 0), upsert(0, 4, "a", None, 0)];
        assert_eq!(table.epoch(gone, 0), [change("moved", "x", "-")]);
        assert_eq!((table.0.keys(), table.0.bytes(), table.1.keys(), table.1.bytes()), (0, 0, 0, 0));
        assert_eq!(table.epoch(vec![upsert(0, 5, "b", Some(("k", "y")), 0), upsert(0, 6, "b", None, 0)], 0), []);
    }

    #[test]
    fn of_several_record_keys_the_last_counts_until_it_is_deleted() {
        let mut table = Table::new(None);
        let all = vec![
            upsert(1, 0, "c", Some(("k", "C")), 0),
            upsert(0, 5, "b", Some(("k", "B")), 0),
            upsert(0, 1, "a", Some(("k", "A")), 0),
        ];
        assert_eq!(table.epoch(all, 0), [change("k", "-", "C")]);
        assert_eq!(table.epoch(vec![upsert(1, 1, "c", None, 0)], 0), [change("k", "C", "B")]);
        assert_eq!(table.epoch(vec![upsert(0, 6, "a", None, 0)], 0), []);
        assert_eq!(table.epoch(vec![upsert(0, 7, "b", None, 0)], 0), [change("k", "B", "-")]);
    }

    #[test]
    fn records_without_a_key_replace_each_other_by_their_rows_key() {
        let mut table = Table::new(None);
        let records = vec![upsert(0, 0, "", Some(("k", "1")), 0), upsert(0, 1, "", Some(("l", "2")), 0)];
        assert_eq!(table.epoch(records, 0), [change("k", "-", "1"), change("l", "-", "2")]);
        assert_eq!(table.epoch(vec![upsert(0, 2, "", Some(("k", "3")), 0)], 0), [change("k", "1", "3")]);
    }

    #[test]
    fn a_row_leaves_when_the_watermark_has_reached_its_time_and_ttl() {
        let mut table = Table::new(Some(10));
        assert_eq!(table.epoch(vec![upsert(0, 0, "a", Some(("k", "A")), 100)], 109), [change("k", "-", "A")]);
        assert_eq!(table.epoch(vec![upsert(0, 1, "a", Some(("k", "B")), 105)], 110), [change("k", "A", "B")]);
        assert_eq!(table.epoch(vec![upsert(0, 2, "b", Some(("l", "C")), 90)], 110), []);
        assert_eq!(table.epoch(vec![], Micros::MAX), [], "the end of files moves no ttl");
        assert_eq!(table.epoch(vec![], 115), [change("k", "B", "-")]);
        assert_eq!((table.0.keys(), table.0.bytes(), table.1.keys(), table.1.bytes()), (0, 0, 0, 0));
        assert!(table.1.deadlines.is_empty());
    }

    #[test]
    fn a_record_key_is_kept_without_the_block_that_it_was_read_in() {
        let block = Bytes::from(vec![b'a'; 1000]);
        let mut table = Table::new(Some(10));
        for offset in 0..3 {
            let written = upsert(0, offset, "", Some(("k", "A")), 0);
            table.epoch(vec![Upsert { record_key: Some(block.slice(1..5)), ..written }], 0);
        }
        assert_eq!((table.0.keys(), table.1.keys()), (1, 1));
        assert!(block.is_unique());
    }

    proptest! {
        /// However records are split among epochs and within them, the table ends the same: with the last row of
        /// each record key, and of those that share a key, the last.
        #[test]
        fn a_table_is_what_its_records_say(
            ops in prop::collection::vec((0u8..4, prop::option::of(0u8..3)), 0..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            rotate in 0usize..5,
        ) {
            let records: Vec<_> = ops.iter().enumerate().map(|(offset, (writer, name))| {
                let body = offset.to_string();
                let name = name.map(|name| format!("k{name}"));
                upsert(0, offset as i64, &format!("w{writer}"), name.as_deref().map(|name| (name, body.as_str())), 0)
            }).collect();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(records.len() + 1)).collect();
            cuts.extend([0, records.len()]);
            cuts.sort_unstable();
            let mut table = Table::new(None);
            let mut seen: BTreeMap<String, String> = BTreeMap::new();
            for cut in cuts.windows(2) {
                let mut epoch = records[cut[0]..cut[1]].to_vec();
                let middle = rotate.min(epoch.len());
                epoch.rotate_left(middle);
                for (key, before, after) in table.epoch(epoch, 0) {
                    prop_assert_ne!(&before, &after);
                    prop_assert_eq!(seen.remove(&key).unwrap_or("-".to_owned()), before);
                    if after != "-" { seen.insert(key, after); }
                }
            }
            let mut last: BTreeMap<u8, (usize, u8)> = BTreeMap::new();
            for (offset, (writer, name)) in ops.iter().enumerate() {
                last.remove(writer);
                if let Some(name) = name { last.insert(*writer, (offset, *name)); }
            }
            let mut expected: BTreeMap<String, usize> = BTreeMap::new();
            for (offset, name) in last.into_values() {
                let entry = expected.entry(format!("k{name}")).or_default();
                *entry = offset.max(*entry);
            }
            let expected: BTreeMap<_, _> = expected.into_iter().map(|(key, offset)| (key, offset.to_string())).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
