//! The last stretch: records of complete epochs go out in order, and an epoch is done when all its records are.
//!
//! Pure bookkeeping: what is to be sent, what is on its way, what a refusal means. Sinks do the sending.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::epoch::Epoch;
use crate::error::{Reason, Rejected, Rejection, RunError, Stage};
use crate::event::{Event, Key, Micros, OutRecord, Position, Record, Value};
use crate::plan::Direction;

/// A record on its way out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outgoing {
    /// Its output, by its number in the plan; dead letters come after all of them.
    pub output: u16,
    /// The partition of the delivery topic; 0 where the output is a file.
    pub partition: i32,
    pub place: Place,
    pub record: OutRecord,
    /// What it was made of: goes to the dead letters if the broker refuses it for its size.
    pub origin: Arc<Record>,
}

/// Where a record stands among those of its epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Values of `order`.
    pub by: SmallVec<[Value; 0]>,
    pub time: Micros,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub position: SmallVec<[Position; 1]>,
}

impl Place {
    pub fn of(event: &Event, by: SmallVec<[Value; 0]>) -> Self {
        let record = &event.record;
        Self {
            by,
            time: event.time,
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            position: event.position.iter().cloned().collect(),
        }
    }

    /// The place of a collection's row: ties go by its key.
    pub fn of_row(event: &Event, key: &Key, by: SmallVec<[Value; 0]>) -> Self {
        let position = SmallVec::from_elem(Position::Key(key.clone()), 1);
        Self { by, time: 0, topic: event.record.topic.clone(), partition: 0, offset: 0, position }
    }

    fn event_order(&self, other: &Self) -> Ordering {
        self.time
            .cmp(&other.time)
            .then_with(|| {
                if Arc::ptr_eq(&self.topic, &other.topic) { Ordering::Equal } else { self.topic.cmp(&other.topic) }
            })
            .then_with(|| (self.partition, self.offset).cmp(&(other.partition, other.offset)))
            .then_with(|| self.position.cmp(&other.position))
    }

    /// The order within an epoch: the output's `order` (NULL is the greatest, as in PostgreSQL), then event order.
    fn cmp(&self, other: &Self, directions: &[Direction]) -> Ordering {
        for ((a, b), direction) in self.by.iter().zip(&other.by).zip(directions) {
            let order = (a.is_null().cmp(&b.is_null())).then_with(|| a.cmp(b));
            let order = if *direction == Direction::Descending { order.reverse() } else { order };
            if order.is_ne() {
                return order;
            }
        }
        self.event_order(other)
    }
}

/// Where records of an output go.
pub trait Sink {
    /// Sends a record; `false` if there is no room now. Done with when [`Sink::poll`] says the token.
    fn send(&mut self, token: u64, item: &Outgoing) -> Result<bool, RunError>;
    /// All of an epoch has been handed over.
    fn flush(&mut self) -> Result<(), RunError>;
    /// What has come of records sent earlier.
    fn poll(&mut self, done: &mut Vec<(u64, Outcome)>) -> Result<(), RunError>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// The broker refuses the record for its size; the text says whose limit it is.
    TooLarge(String),
}

/// Makes dead letters of records that were refused.
pub trait Letters {
    /// A rejected event as a record of the dead-letter topic.
    fn letter(&self, rejected: &Rejected) -> Outgoing;
    /// A dead letter that is itself too large: without its value.
    fn stripped(&self, letter: &Outgoing) -> Outgoing;
}

/// What an epoch delivered, per output: `(output, records)`.
pub type Tally = Vec<(u16, u64)>;

/// Records of open epochs on their way to one worker's sinks.
pub struct Deliverer<S, L, C> {
    sink: S,
    letters: L,
    /// Per output: its name and the directions of its `order`.
    outputs: Vec<(Arc<str>, Vec<Direction>)>,
    epochs: BTreeMap<Epoch, Open<C>>,
    /// By token; tokens are used again.
    in_flight: Vec<Option<(Epoch, Outgoing)>>,
    free: Vec<u64>,
    outcomes: Vec<(u64, Outcome)>,
}

struct Open<C> {
    /// What holds the epoch open while its records are under way.
    hold: C,
    queue: VecDeque<Outgoing>,
    in_flight: usize,
    flushed: bool,
    tally: BTreeMap<u16, u64>,
}

/// An epoch all of whose records have been acknowledged.
pub struct Done<C> {
    pub epoch: Epoch,
    pub hold: C,
    pub tally: Tally,
}

impl<S: Sink, L: Letters, C> Deliverer<S, L, C> {
    pub fn new(sink: S, letters: L, outputs: Vec<(Arc<str>, Vec<Direction>)>) -> Self {
        let (in_flight, free, outcomes) = (Vec::new(), Vec::new(), Vec::new());
        Self { sink, letters, outputs, epochs: BTreeMap::new(), in_flight, free, outcomes }
    }

    /// Takes a complete epoch. `hold` is given back when all of it is delivered.
    pub fn enqueue(&mut self, epoch: Epoch, mut items: Vec<Outgoing>, hold: C) {
        let outputs = &self.outputs;
        let directions = |output: u16| outputs.get(output as usize).map_or(&[][..], |(_, order)| order);
        items.sort_by(|a, b| a.output.cmp(&b.output).then_with(|| a.place.cmp(&b.place, directions(a.output))));
        let open = Open { hold, queue: items.into(), in_flight: 0, flushed: false, tally: BTreeMap::new() };
        self.epochs.insert(epoch, open);
    }

    /// Sends what there is room for, hears what was acknowledged, and gives back the epochs that are done.
    pub fn work(&mut self) -> Result<Vec<Done<C>>, RunError> {
        self.send()?;
        self.sink.poll(&mut self.outcomes)?;
        for (token, outcome) in std::mem::take(&mut self.outcomes) {
            self.settle(token, outcome);
        }
        self.send()?;
        let done = |open: &Open<C>| open.queue.is_empty() && open.in_flight == 0 && open.flushed;
        let epochs: Vec<Epoch> = self.epochs.iter().filter(|(_, open)| done(open)).map(|(e, _)| *e).collect();
        let finish = |epoch| {
            let open = self.epochs.remove(&epoch)?;
            Some(Done { epoch, hold: open.hold, tally: open.tally.into_iter().collect() })
        };
        Ok(epochs.into_iter().filter_map(finish).collect())
    }

    pub fn is_idle(&self) -> bool {
        self.epochs.is_empty()
    }

    fn send(&mut self) -> Result<(), RunError> {
        for (epoch, open) in &mut self.epochs {
            while let Some(item) = open.queue.front() {
                let token = self.free.last().copied().unwrap_or(self.in_flight.len() as u64);
                if !self.sink.send(token, item)? {
                    return Ok(());
                }
                let sent = open.queue.pop_front().map(|item| (*epoch, item));
                match self.free.pop() {
                    Some(token) => self.in_flight[token as usize] = sent,
                    None => self.in_flight.push(sent),
                }
                open.in_flight += 1;
            }
            if !std::mem::replace(&mut open.flushed, true) {
                self.sink.flush()?;
            }
        }
        Ok(())
    }

    fn settle(&mut self, token: u64, outcome: Outcome) {
        let Some((epoch, item)) = self.in_flight.get_mut(token as usize).and_then(Option::take) else { return };
        self.free.push(token);
        let Some(open) = self.epochs.get_mut(&epoch) else { return };
        open.in_flight -= 1;
        match outcome {
            Outcome::Delivered => *open.tally.entry(item.output).or_default() += 1,
            Outcome::TooLarge(limit) => {
                let instead = match self.outputs.get(item.output as usize) {
                    Some((name, _)) => self.letters.letter(&too_large(&item, name, &limit)),
                    None => self.letters.stripped(&item),
                };
                open.queue.push_back(instead);
                open.flushed = false;
            }
        }
    }
}

/// The rejection of an output record for its size. A row that steps made has no record of its own: the refused
/// record stands in for it.
fn too_large(item: &Outgoing, output: &Arc<str>, limit: &str) -> Rejected {
    let bytes = item.record.value.as_ref().map_or(0, |v| v.len());
    let rejection = Rejection::new(Reason::RecordTooLarge, format!("{bytes} bytes are too large: {limit}"));
    let made = item.origin.topic.is_empty() && item.origin.value.is_none();
    let origin = if made {
        let OutRecord { key, value, headers, timestamp } = item.record.clone();
        Arc::new(Record { key, value, headers, timestamp, ..Record::default() })
    } else {
        item.origin.clone()
    };
    rejection.at(Stage::Emit, output, &origin)
}
