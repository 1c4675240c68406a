//! The groups of one worker, after the exchange: partials are merged in, and an epoch's end reads what came of it.
//!
//! Without windows a group's row changes: an epoch gives one [`Change`] for each key whose row is not what downstream
//! saw last. With windows a group gives one event when the watermark reaches the window's end, and is gone.
//!
//! Merging commutes and results are sorted, so neither the number of workers nor the way of a partial shows.

use std::collections::BTreeMap;

use hashbrown::HashTable;

use crate::event::key::sort_by_key;
use crate::event::{Change, Event, Key, Micros, Value};
use crate::plan::Aggregate;

use super::fold::Partial;
use super::result::{Failures, Rows};
use super::state::State;
use super::window;

/// What is known at the end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// How far the aggregate's inputs are complete: `MIN` before any event, `MAX` after the end of files.
    pub watermark: Micros,
    /// The greatest event time read so far.
    pub greatest: Micros,
    /// The epoch's time.
    pub now: Micros,
}

/// What an epoch came to.
#[derive(Debug, Default)]
pub struct Results {
    /// Without windows: changed rows, by key.
    pub changes: Vec<Change>,
    /// With windows: rows of those that ended, by (end, key).
    pub events: Vec<Event>,
    pub failures: Failures,
}

/// The groups whose keys are this worker's.
#[derive(Debug)]
pub struct Groups {
    /// Index of a group in the slab.
    table: HashTable<u32>,
    slab: Vec<Option<Group>>,
    free: Vec<u32>,
    /// Without windows: groups that partials reached in this epoch.
    touched: Vec<u32>,
    /// With windows: start of a window → its groups.
    windows: BTreeMap<Micros, Vec<u32>>,
    /// With a `ttl`: a time → groups to look at once the watermark is there. Each group stands here once, perhaps
    /// too early: its later events move it only when it is looked at.
    deadlines: BTreeMap<Micros, Vec<u32>>,
    rows: Rows,
    /// Do changes of rows that stay carry the row before?
    with_before: bool,
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    hash: u64,
    key: Key,
    window: Micros,
    last: Micros,
    touched: bool,
    states: Box<[State]>,
    /// What downstream saw last, and the time that the row had.
    published: Option<(Micros, Box<[Value]>)>,
}

impl Groups {
    /// `width` is the number of slots in the result's frame; `with_before`: does anyone read the row that a change
    /// replaces?
    pub fn new(width: usize, with_before: bool) -> Self {
        Self {
            table: HashTable::new(),
            slab: Vec::new(),
            free: Vec::new(),
            touched: Vec::new(),
            windows: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            rows: Rows::new(width),
            with_before,
            bytes: 0,
        }
    }

    pub fn keys(&self) -> usize {
        self.table.len()
    }

    /// About how many bytes the state holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Start of the earliest window that is open.
    pub fn earliest_window(&self) -> Option<Micros> {
        self.windows.keys().next().copied()
    }

    /// Takes in a partial, of this epoch.
    pub fn merge(&mut self, aggregate: &Aggregate, partial: Partial) {
        let Self { table, slab, .. } = self;
        let hash = partial.hash.wrapping_add(partial.window as u64);
        let known = table.find(hash, |at| {
            let group = slab[*at as usize].as_ref();
            group
                .is_some_and(|group| group.hash == hash && group.window == partial.window && *group.key == *partial.key)
        });
        match known.copied() {
            Some(at) => self.merge_into(aggregate, at, partial),
            None => self.insert(aggregate, hash, partial),
        }
    }

    fn merge_into(&mut self, aggregate: &Aggregate, at: u32, partial: Partial) {
        let group = self.slab[at as usize].as_mut().expect("the table names live groups");
        group.last = group.last.max(partial.last);
        for ((call, own), other) in aggregate.calls.iter().zip(&mut group.states).zip(partial.states) {
            self.bytes -= own.bytes();
            own.merge(other, &call.func);
            self.bytes += own.bytes();
        }
        if aggregate.window.is_none() && !group.touched {
            group.touched = true;
            self.touched.push(at);
        }
    }

    fn insert(&mut self, aggregate: &Aggregate, hash: u64, partial: Partial) {
        let Partial { window, last, key, states, .. } = partial;
        let key: Key = key.into_vec().into();
        let states = states.into_vec().into_boxed_slice();
        let group = Group { hash, key, window, last, touched: aggregate.window.is_none(), states, published: None };
        self.bytes += group.bytes();
        let at = self.free.pop().unwrap_or_else(|| {
            self.slab.push(None);
            self.slab.len() as u32 - 1
        });
        self.slab[at as usize] = Some(group);
        let slab = &self.slab;
        self.table.insert_unique(hash, at, |at| slab[*at as usize].as_ref().map_or(0, |group| group.hash));
        match (aggregate.window, aggregate.ttl) {
            (Some(_), _) => self.windows.entry(window).or_default().push(at),
            (None, ttl) => {
                self.touched.push(at);
                if let Some(ttl) = ttl {
                    self.deadlines.entry(last.saturating_add(ttl)).or_default().push(at);
                }
            }
        }
    }

    /// Ends an epoch: all its partials are in.
    pub fn close(&mut self, aggregate: &Aggregate, closing: Closing) -> Results {
        let mut results = Results::default();
        match aggregate.window {
            Some(width) => self.close_windows(aggregate, width, closing, &mut results),
            None => self.close_rows(aggregate, closing, &mut results),
        }
        results
    }

    fn close_windows(&mut self, aggregate: &Aggregate, width: Micros, closing: Closing, results: &mut Results) {
        while let Some(entry) = self.windows.first_entry()
            && window::has_ended(*entry.key(), width, closing.watermark)
        {
            let (start, members) = entry.remove_entry();
            let first = results.events.len();
            let mut groups: Vec<Group> = members.into_iter().map(|at| self.remove(at)).collect();
            sort_by_key(&mut groups, |group| &group.key);
            for mut group in groups {
                results.failures.elements += beyond(aggregate, &mut group);
                let rows = &mut self.rows;
                let failures = &mut results.failures;
                let measures = rows.measures(aggregate, &group.key, start, &group.states, closing.now, failures);
                let time = window::end(start, width).saturating_sub(1);
                results
                    .events
                    .extend(measures.map(|measures| rows.event(aggregate, &group.key, start, &measures, time)));
            }
            debug_assert!(results.events[first..].is_sorted_by(|a, b| a.position <= b.position));
        }
    }

    fn close_rows(&mut self, aggregate: &Aggregate, closing: Closing, results: &mut Results) {
        for at in self.expired(aggregate, closing.watermark) {
            let group = self.remove(at);
            let before = group.published.as_ref();
            results.changes.extend(before.map(|(time, measures)| {
                let before = self.rows.event(aggregate, &group.key, 0, measures, *time);
                Change { key: group.key.clone(), time: closing.greatest, before: Some(before), after: None }
            }));
        }
        results.changes.reserve(self.touched.len());
        for at in std::mem::take(&mut self.touched) {
            results.changes.extend(self.refresh(aggregate, at, closing, &mut results.failures));
        }
        sort_by_key(&mut results.changes, |change| &change.key);
    }

    /// What an epoch changed about a group's row.
    fn refresh(&mut self, aggregate: &Aggregate, at: u32, closing: Closing, failures: &mut Failures) -> Option<Change> {
        // A group that has expired in the epoch that reached it is gone already.
        let group = self.slab[at as usize].as_mut().filter(|group| group.touched)?;
        group.touched = false;
        let bytes = group.state_bytes();
        failures.elements += beyond(aggregate, group);
        self.bytes = self.bytes + group.state_bytes() - bytes;
        let after = self.rows.measures(aggregate, &group.key, 0, &group.states, closing.now, failures);
        if let (Some((_, before)), Some(after)) = (&group.published, &after)
            && before.iter().zip(after).all(|(before, after)| before.identical(after))
        {
            return None;
        }
        let after = after.map(|measures| (closing.greatest, measures));
        self.bytes += published_bytes(after.as_ref());
        self.bytes -= published_bytes(group.published.as_ref());
        let before = std::mem::replace(&mut group.published, after);
        let event = |row: &(Micros, Box<[Value]>)| self.rows.event(aggregate, &group.key, 0, &row.1, row.0);
        let after = group.published.as_ref().map(event);
        // Rows that are replaced are read by steps only; an output wants those that go.
        let before = before.as_ref().filter(|_| self.with_before || after.is_none()).map(event);
        let change = Change { key: group.key.clone(), time: closing.greatest, before, after };
        (change.before.is_some() || change.after.is_some()).then_some(change)
    }

    /// Groups whose last event is `ttl` behind the watermark. The end of files moves no `ttl`.
    fn expired(&mut self, aggregate: &Aggregate, watermark: Micros) -> Vec<u32> {
        let mut expired = Vec::new();
        let Some(ttl) = aggregate.ttl.filter(|_| watermark != Micros::MAX) else { return expired };
        let mut moved = Vec::new();
        while let Some(entry) = self.deadlines.first_entry()
            && *entry.key() <= watermark
        {
            for at in entry.remove() {
                let last = self.slab[at as usize].as_ref().expect("only expiry removes a group").last;
                let deadline = last.saturating_add(ttl);
                if deadline <= watermark { expired.push(at) } else { moved.push((deadline, at)) }
            }
        }
        for (deadline, at) in moved {
            self.deadlines.entry(deadline).or_default().push(at);
        }
        expired
    }

    fn remove(&mut self, at: u32) -> Group {
        let group = self.slab[at as usize].take().expect("an index is removed once");
        if let Ok(entry) = self.table.find_entry(group.hash, |other| *other == at) {
            entry.remove();
        }
        self.free.push(at);
        self.bytes -= group.bytes();
        group
    }
}

impl Group {
    fn bytes(&self) -> usize {
        // The slab's entry, the table's, one among windows or deadlines; the key's and the states' allocations.
        let fixed = size_of::<Option<Group>>() + 2 * size_of::<u32>() + 1 + 32;
        let key: usize = self.key.iter().map(Value::bytes).sum();
        fixed + key + self.state_bytes() + published_bytes(self.published.as_ref())
    }

    fn state_bytes(&self) -> usize {
        self.states.iter().map(|state| size_of::<State>() + state.bytes()).sum()
    }
}

fn published_bytes(published: Option<&(Micros, Box<[Value]>)>) -> usize {
    published.map_or(0, |(_, measures)| measures.iter().map(Value::bytes).sum())
}

fn beyond(aggregate: &Aggregate, group: &mut Group) -> u64 {
    aggregate.calls.iter().zip(&mut group.states).map(|(call, state)| state.take_beyond(&call.func)).sum()
}
