//! The groups of one worker, after the exchange: partials are merged in, and an epoch's end reads what came of it.
//!
//! Without windows a group's row changes: an epoch gives one [`Change`] for each key whose row is not what downstream
//! saw last. With windows a group gives one event when the watermark reaches the window's end, and is gone.
//!
//! Merging commutes and results are sorted, so neither the number of workers nor the way of a partial shows.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use smallvec::smallvec;

use crate::event::key::sort_by_key;
use crate::event::{Change, Event, Key, Micros, Position, Value};
use crate::plan::Aggregate;
use crate::prefetch::prefetch;

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

/// Partials whose groups are looked up together.
const AT_ONCE: usize = 32;

/// So many groups ahead of the one whose row is made, memory is asked for.
const AHEAD: usize = 8;

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

    /// Takes in partials, of this epoch. Their groups lie anywhere in memory, so some are looked up before the first is
    /// merged: waiting for them overlaps.
    pub fn merge(&mut self, aggregate: &Aggregate, partials: Vec<Partial>) {
        let mut partials = partials.into_iter();
        let mut known: Vec<Option<u32>> = Vec::with_capacity(AT_ONCE);
        while !partials.as_slice().is_empty() {
            known.extend(partials.as_slice().iter().take(AT_ONCE).map(|partial| self.find(partial)));
            known.iter().flatten().for_each(|at| self.prefetch_states(*at));
            for (known, partial) in known.drain(..).zip(&mut partials) {
                // Two workers' partials of one new key may be among those looked up.
                match known.or_else(|| self.find(&partial)) {
                    Some(at) => self.merge_into(aggregate, at, partial),
                    None => self.insert(aggregate, partial),
                }
            }
        }
    }

    fn prefetch_states(&self, at: u32) {
        self.slab[at as usize].iter().for_each(|group| prefetch(&*group.states));
    }

    /// What [`Self::refresh`] reads of a group.
    fn prefetch_row(&self, at: u32) {
        let Some(group) = &self.slab[at as usize] else { return };
        prefetch(&*group.key);
        prefetch(&*group.states);
        group.published.iter().for_each(|(_, measures)| prefetch(&**measures));
    }

    fn find(&self, partial: &Partial) -> Option<u32> {
        let hash = group_hash(partial);
        let same = |at: &u32| {
            let group = self.slab[*at as usize].as_ref();
            group
                .is_some_and(|group| group.hash == hash && group.window == partial.window && *group.key == *partial.key)
        };
        self.table.find(hash, same).copied()
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

    fn insert(&mut self, aggregate: &Aggregate, partial: Partial) {
        let hash = group_hash(&partial);
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
                results.failures.elements += group.take_beyond(aggregate).0;
                let (rows, failures) = (&mut self.rows, &mut results.failures);
                if rows.measure(aggregate, &group.key, start, &group.states, closing.now, failures) {
                    let time = window::end(start, width).saturating_sub(1);
                    let event = rows.event(aggregate, &group.key, start, rows.measures(), time);
                    let position = smallvec![Position::Key(group.key)];
                    results.events.push(Event { position, ..event });
                }
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
        let any_expired = !results.changes.is_empty();
        // A group that has expired in the epoch that reached it is gone already.
        let live = |at: u32| self.slab[at as usize].as_ref().filter(|group| group.touched);
        let keyed = |at: u32| live(at).map(|group| (&*group.key, at));
        let mut touched: Vec<(&[Value], u32)> = self.touched.drain(..).filter_map(keyed).collect();
        sort_by_key(&mut touched, |(key, _)| key);
        let touched: Vec<u32> = touched.into_iter().map(|(_, at)| at).collect();
        results.changes.reserve(touched.len());
        for (place, at) in touched.iter().copied().enumerate() {
            touched.get(place + 2 * AHEAD).inspect(|at| prefetch(&self.slab[**at as usize]));
            touched.get(place + AHEAD).inspect(|at| self.prefetch_row(**at));
            results.changes.extend(self.refresh(aggregate, at, closing, &mut results.failures));
        }
        if any_expired {
            sort_by_key(&mut results.changes, |change| &change.key);
        }
    }

    /// What an epoch changed about a group's row.
    fn refresh(&mut self, aggregate: &Aggregate, at: u32, closing: Closing, failures: &mut Failures) -> Option<Change> {
        let Self { slab, rows, bytes, .. } = self;
        let group = slab[at as usize].as_mut()?;
        group.touched = false;
        let (beyond, freed) = group.take_beyond(aggregate);
        failures.elements += beyond;
        *bytes -= freed;
        let has_row = rows.measure(aggregate, &group.key, 0, &group.states, closing.now, failures);
        let published = group.published.as_ref();
        let had = published.filter(|_| has_row).map(|(_, had)| had.iter().zip(rows.measures()));
        if had.is_some_and(|mut pairs| pairs.all(|(before, after)| before.identical(after))) {
            return None;
        }
        // Rows that are replaced are read by steps only; an output wants those that go.
        let before = published.filter(|_| self.with_before || !has_row);
        let before = before.map(|(time, measures)| rows.event(aggregate, &group.key, 0, measures, *time));
        let after = has_row.then(|| rows.event(aggregate, &group.key, 0, rows.measures(), closing.greatest));
        *bytes -= published_bytes(published);
        match &mut group.published {
            Some((time, own)) if has_row => {
                *time = closing.greatest;
                own.clone_from_slice(rows.measures());
            }
            own => *own = has_row.then(|| (closing.greatest, rows.measures().into())),
        }
        *bytes += published_bytes(group.published.as_ref());
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

    /// As [`State::take_beyond`], of all states; and how many bytes that set free.
    fn take_beyond(&mut self, aggregate: &Aggregate) -> (u64, usize) {
        let (mut beyond, mut freed) = (0, 0);
        for (call, state) in aggregate.calls.iter().zip(&mut self.states) {
            if let State::Array(_) = state {
                let bytes = state.bytes();
                beyond += state.take_beyond(&call.func);
                freed += bytes - state.bytes();
            }
        }
        (beyond, freed)
    }
}

fn group_hash(partial: &Partial) -> u64 {
    partial.hash.wrapping_add(partial.window as u64)
}

fn published_bytes(published: Option<&(Micros, Box<[Value]>)>) -> usize {
    published.map_or(0, |(_, measures)| measures.iter().map(Value::bytes).sum())
}
