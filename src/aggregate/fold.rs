//! The fold before the exchange: a worker's events of one epoch, gathered per key and window.
//!
//! This is what every event passes, so it does little: the key's values are looked up where they were evaluated, and
//! an event of a known key allocates nothing. Keys and states lie in flat arrays, one stride per group.
//!
//! Whether a window had ended before the epoch began is known only when the epoch ends ([`Fold::flush`]), as the
//! events of an epoch may be here before the clock of the one before it.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::error::{Reason, Rejection};
use crate::event::key::{canonical, hash_key};
use crate::event::{Event, Micros, Position, Record, Value};
use crate::expr::{AggCall, EvalError, Expr, Place, Row};
use crate::plan::{Aggregate, Late};

use super::ranked;
use super::state::State;
use super::window;

/// An event, or the slots that it would be built of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub time: Micros,
    pub slots: &'a [Value],
    pub position: &'a [Position],
    pub record: &'a Record,
    /// The same record where it is shared already: with `late: reject` it is kept until the epoch ends.
    pub shared: Option<&'a Arc<Record>>,
}

impl<'a> Input<'a> {
    pub fn of(event: &'a Event) -> Self {
        let Event { time, slots, position, record, .. } = event;
        Self { time: *time, slots, position, record, shared: Some(record) }
    }

    fn place(&self) -> ranked::Place {
        let Record { topic, partition, offset, .. } = self.record;
        let position = self.position.iter().cloned().collect();
        ranked::Place { time: self.time, topic: topic.clone(), partition: *partition, offset: *offset, position }
    }
}

/// What one worker's epoch adds to one group. It survives timely's byte encoding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Partial {
    /// [`hash_key`] of the key: chooses the worker that holds the group.
    pub hash: u64,
    /// Start of the window; 0 without windows.
    pub window: Micros,
    /// The greatest time among the events.
    pub last: Micros,
    pub key: SmallVec<[Value; 1]>,
    pub states: SmallVec<[State; 2]>,
}

/// An epoch's partials, in the order in which their keys first came, and the events that were late.
#[derive(Debug, Default)]
pub struct Flushed {
    pub partials: Vec<Partial>,
    pub late: u64,
    /// With `late: reject`: the record of each late event.
    pub late_records: Vec<Arc<Record>>,
}

/// One worker's groups of one epoch.
#[derive(Debug)]
pub struct Fold {
    /// Index of a group in what follows.
    table: HashTable<u32>,
    groups: Vec<Group>,
    /// As many for each group as there are `by` values, and calls.
    keys: Vec<Value>,
    states: Vec<State>,
    /// The key of the event at hand, where it is not one slot's value.
    key: Vec<Value>,
    /// The slot that is the key, if it is just one.
    key_slot: Option<usize>,
    /// For each call the slot that its first argument is, if it is one.
    arg_slots: Vec<Option<usize>>,
    /// States of a group without events.
    fresh: Vec<State>,
    /// With `late: reject`: the group and record of every event.
    records: Vec<(u32, Arc<Record>)>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    hash: u64,
    window: Micros,
    last: Micros,
    events: u64,
}

impl Fold {
    pub fn new(aggregate: &Aggregate) -> Self {
        let fresh = aggregate.calls.iter().map(|call| State::new(&call.func)).collect();
        let arg_slots = aggregate.calls.iter().map(|call| call.args.first().and_then(slot)).collect();
        let key_slot = if let [by] = &aggregate.by[..] { slot(by) } else { None };
        Self {
            table: HashTable::new(),
            groups: Vec::new(),
            keys: Vec::new(),
            states: Vec::new(),
            key: Vec::new(),
            key_slot,
            arg_slots,
            fresh,
            records: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Adds one event. It is rejected if a `by` value cannot be computed; a measure that cannot is NULL at the end.
    pub fn add(&mut self, aggregate: &Aggregate, input: Input<'_>, now: Micros) -> Result<(), Rejection> {
        let row = Row { slots: input.slots, record: input.record, now };
        let window = aggregate.window.map_or(0, |width| window::start(input.time, width));
        let group = match self.key_slot.map(|slot| &input.slots[slot]) {
            Some(key @ (Value::Text(_) | Value::Int(_))) => self.group(std::slice::from_ref(key), window),
            _ => self.computed_group(aggregate, row, window)?,
        };
        let own = &mut self.groups[group];
        own.last = own.last.max(input.time);
        own.events += 1;
        if aggregate.window.is_some() && aggregate.late == Late::Reject {
            let record = input.shared.map_or_else(|| Arc::new(input.record.clone()), Arc::clone);
            self.records.push((group as u32, record));
        }
        let calls = aggregate.calls.len();
        let states = &mut self.states[group * calls..][..calls];
        for ((call, slot), state) in aggregate.calls.iter().zip(&self.arg_slots).zip(states) {
            if add_call(call, *slot, state, row, &input).is_err() {
                *state = State::Failed;
            }
        }
        Ok(())
    }

    fn computed_group(&mut self, aggregate: &Aggregate, row: Row<'_>, window: Micros) -> Result<usize, Rejection> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        for by in &aggregate.by {
            key.push(canonical(by.eval(row).map_err(rejection)?));
        }
        let group = self.group(&key, window);
        self.key = key;
        Ok(group)
    }

    /// The index of a key's group; a new one has no events.
    #[inline]
    fn group(&mut self, key: &[Value], window: Micros) -> usize {
        let hash = hash_key(key).wrapping_add(window as u64);
        let Self { table, groups, keys, .. } = self;
        let known = table.find(hash, |at| {
            let at = *at as usize;
            let group = &groups[at];
            group.hash == hash && group.window == window && same_key(&keys[at * key.len()..][..key.len()], key)
        });
        match known {
            Some(at) => *at as usize,
            None => self.insert(key, hash, window),
        }
    }

    #[cold]
    fn insert(&mut self, key: &[Value], hash: u64, window: Micros) -> usize {
        let Self { table, groups, keys, states, fresh, .. } = self;
        let at = groups.len();
        groups.push(Group { hash, window, last: Micros::MIN, events: 0 });
        keys.extend_from_slice(key);
        states.extend_from_slice(fresh);
        table.insert_unique(hash, at as u32, |at| groups[*at as usize].hash);
        at
    }

    /// Ends the epoch. `watermark` is that at the end of the epoch before: events whose window it had ended are late.
    pub fn flush(&mut self, aggregate: &Aggregate, watermark: Micros) -> Flushed {
        let late =
            |group: &Group| aggregate.window.is_some_and(|width| window::has_ended(group.window, width, watermark));
        let mut flushed = Flushed { late_records: self.late_records(late), ..Flushed::default() };
        flushed.partials.reserve(self.groups.len());
        let (mut keys, mut states) = (self.keys.drain(..), self.states.drain(..));
        for group in self.groups.drain(..) {
            let key: SmallVec<_> = keys.by_ref().take(aggregate.by.len()).collect();
            let states = states.by_ref().take(aggregate.calls.len()).collect();
            if late(&group) {
                flushed.late += group.events;
            } else {
                let hash = group.hash.wrapping_sub(group.window as u64);
                flushed.partials.push(Partial { hash, window: group.window, last: group.last, key, states });
            }
        }
        drop((keys, states));
        self.table.clear();
        flushed
    }

    fn late_records(&mut self, late: impl Fn(&Group) -> bool) -> Vec<Arc<Record>> {
        let groups = &self.groups;
        let found = self.records.drain(..).filter(|(group, _)| late(&groups[*group as usize]));
        found.map(|(_, record)| record).collect()
    }
}

/// The slot that an expression is, if it is nothing else.
fn slot(expr: &Expr) -> Option<usize> {
    match expr.place() {
        Some(Place::Slot(slot)) => Some(usize::from(slot)),
        _ => None,
    }
}

#[inline]
fn add_call(
    call: &AggCall,
    slot: Option<usize>,
    state: &mut State,
    row: Row<'_>,
    input: &Input<'_>,
) -> Result<(), EvalError> {
    if let Some(filter) = &call.filter
        && !filter.is_true(row)?
    {
        return Ok(());
    }
    let null = Cow::Borrowed(&Value::Null);
    match (&call.args[..], slot, state) {
        ([], _, State::Count(count)) => *count += 1,
        ([_], Some(slot), state) => state.add(&call.func, &input.slots[slot], &Value::Null, || input.place()),
        (args, _, state) => {
            let x = args.first().map_or(Ok(null.clone()), |arg| arg.eval_in_place(row))?;
            let y = args.get(1).map_or(Ok(null), |arg| arg.eval_in_place(row))?;
            state.add(&call.func, &x, &y, || input.place());
        }
    }
    Ok(())
}

#[inline]
fn same_key(a: &[Value], b: &[Value]) -> bool {
    a.iter().zip(b).all(|(a, b)| match (a, b) {
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (a, b) => a == b,
    })
}

fn rejection(error: EvalError) -> Rejection {
    Rejection::new(Reason::ExpressionError, format!("by: {}", error.detail))
}
