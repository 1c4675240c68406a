//! Rules that are rows of a table: whose row of a key is the rule in force.
//!
//! Several record keys may write one key. As in the table itself the last that wrote it counts, and when its row is
//! deleted, moves to another key or runs out of time, the last of those that remain does. Only here a row that does not
//! compile leaves the last one that did in force, which is why rules are fed by records and not by the rows that the
//! table makes of an epoch.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::matcher::{Compiled, Matcher};
use super::rule_row::{self, Fields};
use crate::error::Rejection;
use crate::event::key::Fixed;
use crate::event::row::{Row, Spot, TableRecord};
use crate::event::{Key, Micros, Value};
use crate::json;
use crate::plan::Match;

/// The rows of a table as far as rules depend on them.
#[derive(Debug)]
pub struct LiveRules {
    fields: Fields,
    ttl: Option<Micros>,
    /// Where every record key's row is: a null value names only the record key.
    wrote: HashMap<Bytes, Wrote, Fixed>,
    rows: HashMap<Key, Versions, Fixed>,
    /// With a `ttl`: when to look at a key.
    deadlines: BTreeMap<Micros, Vec<Key>>,
}

#[derive(Debug)]
struct Wrote {
    spot: Spot,
    key: Key,
}

/// What record keys say about one key; one of them as a rule.
#[derive(Debug, Default)]
struct Versions {
    versions: Vec<Version>,
    /// When the key is looked at, as far as that is planned.
    looked_at: Option<Micros>,
}

/// The row of one record key.
#[derive(Debug)]
struct Version {
    writer: Option<Bytes>,
    spot: Spot,
    time: Micros,
    /// The last one of its rows that compiled, and where it stood. If that is not its last row, it is kept for as long
    /// as it is in force only: what was replaced does not come back.
    rule: Option<(Spot, Row)>,
}

/// Whose row is in force, and which one.
type Place = (Spot, Option<Bytes>);

impl LiveRules {
    pub fn new(fields: Fields, ttl: Option<Micros>) -> Self {
        Self { fields, ttl, wrote: HashMap::default(), rows: HashMap::default(), deadlines: BTreeMap::new() }
    }

    /// Takes one record. A row that does not compile is rejected and leaves its key's rule as it is.
    pub fn apply(&mut self, matcher: &mut Matcher, plan: &Match, record: &TableRecord) -> Result<(), Rejection> {
        let spot = record.spot();
        let key = record.row.as_ref().map(|(key, _)| key);
        let compiled = record.row.as_ref().map(|(key, row)| self.compile(matcher, plan, key, row)).transpose();
        let (compiled, wrong) = match compiled {
            Ok(compiled) => (compiled, Ok(())),
            Err(wrong) => (None, Err(wrong)),
        };
        let mut writer = None;
        if let Some(record_key) = &record.record.key {
            // What is kept must not hold the block that the record was read in.
            let known = self.wrote.remove_entry(record_key);
            let (name, before) = match known {
                Some((name, before)) => (name, Some(before)),
                None => (Bytes::copy_from_slice(record_key), None),
            };
            let mut last = spot;
            if let Some(before) = before {
                let moved = key != Some(&before.key);
                if before.spot > spot && moved {
                    self.wrote.insert(name, before);
                    return wrong;
                }
                last = last.max(before.spot);
                if moved {
                    let take_back = |versions: &mut Versions| versions.take_back(&name, spot);
                    self.change(matcher, plan, &before.key, None, take_back);
                }
            }
            if let Some(key) = key {
                self.wrote.insert(name.clone(), Wrote { spot: last, key: key.clone() });
            }
            writer = Some(name);
        }
        if let Some((key, row)) = &record.row {
            let fresh = compiled.map(|compiled| ((spot, writer.clone()), compiled));
            let rule = fresh.is_some().then(|| (spot, row.clone()));
            let version = Version { writer, spot, time: row.time, rule };
            self.change(matcher, plan, key, fresh, |versions| versions.write(version));
        }
        wrong
    }

    /// Ends an epoch at `watermark` (`MAX`, the end of files, moves no `ttl`). False: no row was due.
    pub fn expire(&mut self, matcher: &mut Matcher, plan: &Match, watermark: Micros) -> bool {
        let Some(ttl) = self.ttl.filter(|_| watermark != Micros::MAX) else { return false };
        let mut any = false;
        while let Some(entry) = self.deadlines.first_entry()
            && *entry.key() <= watermark
        {
            any = true;
            let (deadline, keys) = entry.remove_entry();
            for key in keys {
                let mut gone = Vec::new();
                self.change(matcher, plan, &key, None, |versions| {
                    if versions.looked_at == Some(deadline) {
                        versions.looked_at = None;
                        gone = versions.ended(ttl, watermark);
                    }
                });
                for writer in gone.into_iter().flatten() {
                    self.wrote.remove(&writer);
                }
            }
        }
        any
    }

    /// Changes what is known of a key, and the rule in force with it. `fresh` is the rule that the change brings.
    fn change(
        &mut self,
        matcher: &mut Matcher,
        plan: &Match,
        key: &Key,
        fresh: Option<(Place, Compiled)>,
        change: impl FnOnce(&mut Versions),
    ) {
        let versions = self.rows.entry(key.clone()).or_default();
        let before = versions.place();
        change(versions);
        versions.forget_replaced();
        let after = versions.place();
        let returns = versions.in_force().map(|(_, row)| row.clone()).filter(|_| after != before);
        if versions.versions.is_empty() {
            self.rows.remove(key);
        }
        self.plan_look(key);
        let id = rule_id(key);
        match (after, fresh) {
            (None, _) => matcher.remove(&id),
            (Some(after), Some((place, rule))) if after == place => matcher.insert(plan, id, rule),
            // It compiled once and will do so again.
            _ => {
                if let Some(rule) = returns.and_then(|row| self.compile(matcher, plan, key, &row).ok()) {
                    matcher.insert(plan, id, rule);
                }
            }
        }
    }

    fn compile(&self, matcher: &Matcher, plan: &Match, key: &Key, row: &Row) -> Result<Compiled, Rejection> {
        rule_row::compile(matcher, plan, self.fields, &rule_id(key), row)
    }

    /// A key is looked at when the first of its rows ends.
    fn plan_look(&mut self, key: &Key) {
        let Some(ttl) = self.ttl else { return };
        let Some(versions) = self.rows.get_mut(key) else { return };
        let first = versions.versions.iter().map(|version| version.time.saturating_add(ttl)).min();
        if let Some(first) = first
            && versions.looked_at.is_none_or(|planned| planned > first)
        {
            versions.looked_at = Some(first);
            self.deadlines.entry(first).or_default().push(key.clone());
        }
    }
}

impl Versions {
    /// Of the rows that compiled the last one.
    fn in_force(&self) -> Option<&(Spot, Row)> {
        self.last().and_then(|version| version.rule.as_ref())
    }

    fn place(&self) -> Option<Place> {
        let version = self.last()?;
        version.rule.as_ref().map(|(spot, _)| (*spot, version.writer.clone()))
    }

    fn last(&self) -> Option<&Version> {
        let compiled = self.versions.iter().filter(|version| version.rule.is_some());
        compiled.max_by_key(|version| (version.rule.as_ref().map(|(spot, _)| *spot), &version.writer))
    }

    /// A row of a record key takes the place of its last one.
    fn write(&mut self, version: Version) {
        let Some(known) = self.versions.iter_mut().find(|known| known.writer == version.writer) else {
            return self.versions.push(version);
        };
        let place = |rule: &Option<(Spot, Row)>| rule.as_ref().map(|(spot, _)| *spot);
        if place(&version.rule) >= place(&known.rule) {
            known.rule = version.rule;
        }
        if version.spot >= known.spot {
            (known.spot, known.time) = (version.spot, version.time);
        }
    }

    fn take_back(&mut self, writer: &Bytes, spot: Spot) {
        self.versions.retain(|version| version.writer.as_ref() != Some(writer) || version.spot > spot);
    }

    /// Takes out what has run out of time, and tells whose it was.
    fn ended(&mut self, ttl: Micros, watermark: Micros) -> Vec<Option<Bytes>> {
        let ended = self.versions.extract_if(.., |version| version.time.saturating_add(ttl) <= watermark);
        ended.map(|version| version.writer).collect()
    }

    /// A row that its record key has replaced counts while it is in force, and then no more.
    fn forget_replaced(&mut self) {
        let in_force = self.place();
        for version in &mut self.versions {
            let replaced = |(spot, _): &(Spot, Row)| *spot < version.spot;
            if version.rule.as_ref().is_some_and(replaced) && in_force.as_ref().map(|p| &p.1) != Some(&version.writer) {
                version.rule = None;
            }
        }
    }
}

/// A rule's id: the key itself, or its columns as the text of a JSON array.
fn rule_id(key: &[Value]) -> Value {
    match key {
        [one] => one.clone(),
        several => {
            let columns: Vec<String> = several.iter().map(json::text).collect();
            Value::text(format!("[{}]", columns.join(",")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Record;
    use crate::plan::{Options, Plan, Rules, StepKind, load};

    const FILE: &str = "
name: t
sources: { e: { kafka: { topic: e } } }
tables: { subs: { kafka: { topic: s } } }
match: { due: { from: e, rules: { table: subs, pattern: p } } }
emit: { o: { from: due, kafka: { topic: o } } }
";

    struct Table {
        plan: Plan,
        matcher: Matcher,
        live: LiveRules,
    }

    fn spec(plan: &Plan) -> &Match {
        let StepKind::Match(spec) = &plan.steps[0].kind else { panic!("the file has one match") };
        spec
    }

    impl Table {
        fn new(ttl: Option<Micros>) -> Self {
            let (plan, _) = load("t.yaml", FILE, &|_| None, Options::default()).expect("the file is right");
            let matcher = Matcher::of(spec(&plan), plan.frames[plan.steps[0].frame].paths.len());
            let Rules::Table { pattern, when, .. } = spec(&plan).rules else { panic!("the rules are a table's") };
            Self { matcher, live: LiveRules::new(Fields { pattern, when }, ttl), plan }
        }

        /// A record of `writer`; its row of the one key compiles if `good`. Whose row is in force then, and its offset?
        fn read(
            &mut self,
            (partition, offset): (i32, i64),
            writer: &str,
            row: Option<(bool, Micros)>,
        ) -> Option<(String, i64)> {
            let bad = row.is_some_and(|(good, _)| !good);
            let row = row.map(|(good, time)| {
                let text = if good { r#"{"n":[1]}"# } else { "{}" };
                let mut slots = vec![Value::Null; usize::from(self.live.fields.pattern) + 1];
                slots[usize::from(self.live.fields.pattern)] = Value::text(text);
                (Key::from([Value::text("k")]), Row { body: "{}".into(), slots: slots.into(), time })
            });
            let block = Bytes::copy_from_slice(writer.as_bytes());
            let record = Record { partition, offset, key: Some(block.clone()), ..Record::default() };
            let record = TableRecord { topic: 0, record: record.into(), row };
            let learnt = self.live.apply(&mut self.matcher, spec(&self.plan), &record);
            assert_eq!(learnt.is_err(), bad);
            drop(record);
            assert!(block.is_unique(), "what was read is not kept");
            self.in_force()
        }

        fn end(&mut self, watermark: Micros) -> Option<(String, i64)> {
            self.live.expire(&mut self.matcher, spec(&self.plan), watermark);
            self.in_force()
        }

        fn in_force(&self) -> Option<(String, i64)> {
            let place = self.live.rows.values().next().and_then(Versions::place);
            assert_eq!(self.matcher.len(), usize::from(place.is_some()));
            place.map(|(spot, writer)| (String::from_utf8_lossy(&writer.unwrap_or_default()).into(), spot.offset))
        }
    }
    const GOOD: Option<(bool, Micros)> = Some((true, 0));
    const BAD: Option<(bool, Micros)> = Some((false, 0));

    fn by(writer: &str, offset: i64) -> Option<(String, i64)> {
        Some((writer.to_owned(), offset))
    }

    #[test]
    fn the_last_by_place_counts_and_not_by_arrival() {
        let mut table = Table::new(None);
        assert_eq!(table.read((1, 0), "b", GOOD), by("b", 0));
        assert_eq!(table.read((0, 5), "a", GOOD), by("b", 0), "partition 0 comes before partition 1");
        assert_eq!(table.read((1, 1), "b", BAD), by("b", 0));
        assert_eq!(table.read((0, 6), "b", None), by("b", 0), "older than what it takes back");
        assert_eq!(table.read((1, 2), "b", None), by("a", 5));
        assert_eq!(table.read((0, 7), "a", None), None);
        assert!(table.live.wrote.is_empty() && table.live.rows.is_empty());
    }

    #[test]
    fn a_row_that_was_replaced_does_not_come_back() {
        let mut table = Table::new(None);
        assert_eq!(table.read((0, 0), "a", GOOD), by("a", 0));
        assert_eq!(table.read((0, 1), "a", BAD), by("a", 0));
        assert_eq!(table.read((0, 2), "b", GOOD), by("b", 2));
        assert_eq!(table.read((0, 3), "b", None), None);
        assert_eq!(table.read((0, 4), "a", GOOD), by("a", 4));
    }

    #[test]
    fn rows_that_run_out_of_time_leave_those_of_others() {
        let mut table = Table::new(Some(5));
        assert_eq!(table.read((0, 0), "a", Some((true, 10))), by("a", 0));
        assert_eq!(table.read((0, 1), "b", Some((true, 0))), by("b", 1));
        assert_eq!(table.end(4), by("b", 1));
        assert_eq!(table.end(5), by("a", 0));
        assert_eq!(table.read((0, 2), "a", Some((false, 20))), by("a", 0));
        assert_eq!(table.end(15), by("a", 0), "the row that counts for the table is a later one");
        assert_eq!(table.end(Micros::MAX), by("a", 0), "the end of files moves no ttl");
        assert_eq!(table.end(25), None);
        assert!(table.live.wrote.is_empty() && table.live.rows.is_empty() && table.live.deadlines.is_empty());
    }
}
