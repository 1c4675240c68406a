//! The last stretch: records of complete epochs go out in order, and an epoch is done when all its records are.
//!
//! Pure bookkeeping: what is to be sent, what is on its way, what a refusal means. Sinks do the sending.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::epoch::Epoch;
use crate::error::{Exit, Reason, Rejected, Rejection, RunError, Stage};
use crate::event::{Key, Micros, OutRecord, Position, Record, Value};
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
    /// What it was made of: goes to the dead letters if its topic does not take the record.
    pub origin: Arc<Record>,
}

/// Where a record stands among those of its epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Values of `order`.
    pub by: Box<[Value]>,
    pub within: Within,
}

/// What decides among records whose `order` is the same, after the record that they were made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Within {
    /// An event of that time, at that position among those of its record.
    Event(Micros, SmallVec<[Position; 0]>),
    /// A collection's row: its key alone decides.
    Row(Key),
}

impl Outgoing {
    /// The order within an epoch: the output's `order` (NULL is the greatest, as in PostgreSQL), then event order. What
    /// several steps made of one event is left, in the order of its bytes.
    fn cmp(&self, other: &Self, directions: &[Direction]) -> Ordering {
        for ((a, b), direction) in self.place.by.iter().zip(&other.place.by).zip(directions) {
            let order = (a.is_null().cmp(&b.is_null())).then_with(|| a.cmp(b));
            let order = if *direction == Direction::Descending { order.reverse() } else { order };
            if order.is_ne() {
                return order;
            }
        }
        let place = match (&self.place.within, &other.place.within) {
            (Within::Row(a), Within::Row(b)) => a.cmp(b),
            (Within::Event(a, a_position), Within::Event(b, b_position)) => {
                let by_record = a.cmp(b).then_with(|| self.origin.cmp_place(&other.origin));
                by_record.then_with(|| a_position.cmp(b_position))
            }
            // All records of an output are of one kind.
            (Within::Row(_), _) => Ordering::Less,
            (_, Within::Row(_)) => Ordering::Greater,
        };
        place.then_with(|| self.record.cmp_bytes(&other.record))
    }
}

/// Where records of an output go.
pub trait Sink {
    /// Sends a record; `false` if there is no room now. Done with when [`Sink::poll`] says the token.
    fn send(&mut self, token: u64, item: &Outgoing) -> Result<bool, RunError>;
    /// All of an epoch has been handed over.
    fn flush(&mut self) -> Result<(), RunError>;
    /// What has come of records sent earlier.
    fn poll(&mut self, done: &mut impl FnMut(u64, Outcome)) -> Result<(), RunError>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    Refused(Refusal),
}

/// Why a topic does not take a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// For its size; the text says whose limit it is.
    TooLarge(String),
    /// For its time, too far ahead or behind; the text says of what.
    TooFar(String),
}

/// Makes dead letters of records that were refused.
pub trait Letters {
    /// A rejected event as a record of the dead-letter topic.
    fn letter(&self, rejected: &Rejected) -> Outgoing;
    /// A dead letter that is itself too large: without its value; `None` if it has none any more.
    fn stripped(&self, letter: &Outgoing) -> Option<Outgoing>;
    /// A dead letter whose time its own topic does not take: to leave with that of its leaving.
    fn redated(&self, letter: &Outgoing) -> Outgoing;
}

/// Records of an output: how many.
pub type Count = (u16, u64);

/// What an epoch delivered, per output.
pub type Tally = Vec<Count>;

/// What has come so far of an epoch that is not complete.
#[derive(Default)]
pub struct Gathered {
    pub items: Vec<Outgoing>,
    /// Of outputs that are only counted: how many.
    pub counted: BTreeMap<u16, u64>,
}

/// Records of open epochs on their way to one worker's sinks.
pub struct Deliverer<S, L, C> {
    sink: S,
    letters: L,
    /// Per output: its name and the directions of its `order`.
    outputs: Vec<(Arc<str>, Vec<Direction>)>,
    /// The oldest first.
    epochs: Vec<Open<C>>,
    /// Of the epoch that comes next.
    serial: u32,
}

struct Open<C> {
    epoch: Epoch,
    /// The upper half of its records' tokens; the lower one is their place among `items`.
    serial: u32,
    /// What holds the epoch open while its records are under way.
    hold: C,
    /// Kept until all of them are delivered: one that is refused goes to the dead letters, which are added here.
    items: Vec<Outgoing>,
    sent: usize,
    in_flight: usize,
    flushed: bool,
    tally: BTreeMap<u16, u64>,
    refused: Refused,
}

/// Records that topics did not take, by output and reason: how many.
pub type Refused = BTreeMap<(u16, Reason), u64>;

/// An epoch all of whose records have been acknowledged.
pub struct Done<C> {
    pub epoch: Epoch,
    pub hold: C,
    pub tally: Tally,
    pub refused: Refused,
}

impl<S: Sink, L: Letters, C> Deliverer<S, L, C> {
    pub fn new(sink: S, letters: L, outputs: Vec<(Arc<str>, Vec<Direction>)>) -> Self {
        Self { sink, letters, outputs, epochs: Vec::new(), serial: 0 }
    }

    /// Takes a complete epoch, after all that precede it. `hold` is given back when all of it is delivered.
    pub fn enqueue(&mut self, epoch: Epoch, gathered: Gathered, hold: C) {
        let Gathered { mut items, counted: mut tally } = gathered;
        let outputs = &self.outputs;
        let directions = |output: u16| outputs.get(output as usize).map_or(&[][..], |(_, order)| order);
        items.sort_by(|a, b| a.output.cmp(&b.output).then_with(|| a.cmp(b, directions(a.output))));
        let of_one = items.chunk_by(|a, b| a.output == b.output);
        tally.extend(of_one.map(|items| (items[0].output, items.len() as u64)));
        let (serial, sent, in_flight, flushed) = (self.serial, 0, 0, false);
        let refused = Refused::new();
        self.epochs.push(Open { epoch, serial, hold, items, sent, in_flight, flushed, tally, refused });
        self.serial = serial.wrapping_add(1);
    }

    /// Sends what there is room for, hears what was acknowledged, and gives back the epochs that are done.
    pub fn work(&mut self) -> Result<Vec<Done<C>>, RunError> {
        self.send()?;
        let Self { sink, letters, outputs, epochs, .. } = self;
        let mut settled = Ok(());
        sink.poll(&mut |token, outcome| {
            let of_token = |open: &&mut Open<C>| u64::from(open.serial) == token >> 32;
            if let Some(open) = epochs.iter_mut().find(of_token) {
                let result = open.settle(token as u32 as usize, outcome, letters, outputs);
                if settled.is_ok() {
                    settled = result;
                }
            }
        })?;
        settled?;
        self.send()?;
        let done = |open: &mut Open<C>| open.sent == open.items.len() && open.flushed && open.in_flight == 0;
        let finish = |Open { epoch, hold, tally, refused, .. }| {
            let tally = tally.into_iter().filter(|(_, records)| *records > 0).collect();
            Done { epoch, hold, tally, refused }
        };
        Ok(self.epochs.extract_if(.., done).map(finish).collect())
    }

    pub fn is_idle(&self) -> bool {
        self.epochs.is_empty()
    }

    fn send(&mut self) -> Result<(), RunError> {
        for open in &mut self.epochs {
            while let Some(item) = open.items.get(open.sent) {
                if !self.sink.send(u64::from(open.serial) << 32 | open.sent as u64, item)? {
                    return Ok(());
                }
                open.sent += 1;
                open.in_flight += 1;
            }
            if !std::mem::replace(&mut open.flushed, true) {
                self.sink.flush()?;
            }
        }
        Ok(())
    }
}

impl<C> Open<C> {
    fn settle(
        &mut self,
        index: usize,
        outcome: Outcome,
        letters: &impl Letters,
        outputs: &[(Arc<str>, Vec<Direction>)],
    ) -> Result<(), RunError> {
        self.in_flight -= 1;
        let Outcome::Refused(refusal) = outcome else { return Ok(()) };
        let item = &self.items[index];
        let instead = match (outputs.get(item.output as usize), &refusal) {
            (Some((name, _)), _) => {
                let rejected = refused(item, name, refusal);
                *self.refused.entry((item.output, rejected.reason)).or_default() += 1;
                letters.letter(&rejected)
            }
            (None, Refusal::TooLarge(limit)) => letters.stripped(item).ok_or_else(|| no_room(item, limit))?,
            (None, Refusal::TooFar(_)) => letters.redated(item),
        };
        *self.tally.entry(item.output).or_default() -= 1;
        *self.tally.entry(instead.output).or_default() += 1;
        self.items.push(instead);
        self.flushed = false;
        Ok(())
    }
}

/// Why the job stops: to go on would be to lose a record in silence.
fn no_room(letter: &Outgoing, limit: &str) -> RunError {
    let Record { topic, partition, offset, .. } = &*letter.origin;
    let text = format!(
        "the dead letter of topic {topic}, partition {partition}, offset {offset} is too large even without its value \
         ({limit}): its key and headers need more; raise max.message.bytes of the dead-letter topic"
    );
    RunError::new(Exit::Unavailable, text)
}

/// The rejection of an output record that its topic does not take. A row that steps made has no record of its own: the
/// refused record stands in for it.
fn refused(item: &Outgoing, output: &Arc<str>, refusal: Refusal) -> Rejected {
    let rejection = match refusal {
        Refusal::TooLarge(limit) => {
            let bytes = item.record.value.as_ref().map_or(0, |v| v.len());
            Rejection::new(Reason::RecordTooLarge, format!("{bytes} bytes are too large: {limit}"))
        }
        Refusal::TooFar(message) => Rejection::new(Reason::TimeError, message),
    };
    let origin = if item.origin.is_made() {
        let OutRecord { key, value, headers, timestamp } = item.record.clone();
        Arc::new(Record { key, value, headers, timestamp, ..Record::default() })
    } else {
        item.origin.clone()
    };
    rejection.at(Stage::Emit, output, &origin)
}

#[cfg(test)]
mod tests;
