//! Where records become events, rows or rejections: the same for files and topics.
//!
//! A record's bytes stay where they are until something of it is kept: what a step drops here, or an aggregate folds,
//! is never copied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::epoch::{Epoch, Origin, Report};
use crate::error::{Rejected, Rejection, Stage};
use crate::event::row::{Row, TableRecord};
use crate::event::{Event, Key, LayoutId, Micros, Record, SlotId, Value};
use crate::plan::{Plan, Table};
use crate::telemetry::SourceMetrics;

use super::decode::Decoder;

/// What a batch of records became, by source and table of the plan.
pub struct Batch {
    pub events: Vec<Vec<Event>>,
    pub records: Vec<Vec<TableRecord>>,
    pub rejected: Vec<Rejected>,
    pub reports: Vec<Report>,
}

impl Batch {
    pub fn new(plan: &Plan) -> Self {
        Self {
            events: plan.sources.iter().map(|_| Vec::new()).collect(),
            records: plan.tables.iter().map(|_| Vec::new()).collect(),
            rejected: Vec::new(),
            reports: Vec::new(),
        }
    }
}

/// A record whose bytes still belong to whoever read it.
pub trait Arriving {
    /// Where it stood: topic, partition, offset, timestamp.
    fn place(&self) -> (&Arc<str>, i32, i64, Option<i64>);
    fn value(&self) -> Option<&[u8]>;
    /// All of it. Called once, and last.
    fn keep(&mut self) -> Record;

    /// Writes where it stood.
    fn place_in(&self, to: &mut Record) {
        let (topic, partition, offset, timestamp) = self.place();
        if !Arc::ptr_eq(&to.topic, topic) {
            to.topic = topic.clone();
        }
        (to.partition, to.offset, to.timestamp) = (partition, offset, timestamp);
    }
}

/// A whole record is one that has been kept already.
impl Arriving for Record {
    fn place(&self) -> (&Arc<str>, i32, i64, Option<i64>) {
        (&self.topic, self.partition, self.offset, self.timestamp)
    }

    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    fn keep(&mut self) -> Record {
        std::mem::take(self)
    }
}

/// A first step that is run where a source is decoded, before anything is built of the record: what it drops costs no
/// memory.
pub struct Prefix {
    pub step: Arc<str>,
    /// Runs it on slots: is the event kept?
    pub apply: Apply,
    /// The layout of what is kept.
    pub layout: LayoutId,
    /// Told of the events that went in and that came out, and of the time that it took.
    pub count: Box<dyn Fn(u64, u64, Duration)>,
    /// Does it look at the record's bytes?
    pub needs_record: bool,
}

type Apply = Box<dyn Fn(&mut [Value], &Record) -> Result<bool, Rejection>>;

/// An aggregate that takes its events where they are decoded, before they are built.
pub trait Folds {
    fn step(&self) -> Arc<str>;
    /// Does it look at the record's bytes, or keep the record?
    fn needs_record(&self) -> bool;
    fn add(&mut self, epoch: Epoch, time: Micros, slots: &[Value], record: &Record) -> Result<(), Rejection>;
    /// Counts what was added since the last time, and the time that it took.
    fn count(&mut self, busy: Duration);
}

/// What runs where a source is decoded: at most a plain step, and after it (or without it) at most an aggregate.
#[derive(Default)]
pub struct Fused {
    pub prefix: Option<Prefix>,
    pub fold: Option<Box<dyn Folds>>,
    /// Events that went into the prefix, and came out.
    passed: (u64, u64),
    turn: u32,
    /// The time that prefix and fold took of the events that were timed.
    timed: (Duration, Duration),
}

/// To ask the clock costs as much as many a step: one event in so many is timed.
const TIMED: u32 = 64;

/// A rejection with the stage and step that it is of.
type At = (Rejection, Stage, Arc<str>);

impl Fused {
    pub fn new(prefix: Option<Prefix>, fold: Option<Box<dyn Folds>>) -> Self {
        Self { prefix, fold, ..Self::default() }
    }

    fn needs_record(&self) -> bool {
        let fold = self.fold.as_ref().is_some_and(|fold| fold.needs_record());
        fold || self.prefix.as_ref().is_some_and(|prefix| prefix.needs_record)
    }

    /// The layout of what is to be built; `None` if nothing is.
    fn run(
        &mut self,
        epoch: Epoch,
        time: Micros,
        slots: &mut [Value],
        record: &Record,
    ) -> Result<Option<LayoutId>, At> {
        let mut layout = 0;
        self.turn = (self.turn + 1) % TIMED;
        let mut watch = (self.turn == 0).then(Stopwatch::start);
        if let Some(prefix) = &self.prefix {
            self.passed.0 += 1;
            let kept = (prefix.apply)(slots, record);
            self.timed.0 += watch.as_mut().map_or(Duration::ZERO, Stopwatch::lap);
            if !kept.map_err(|why| (why, Stage::Shape, prefix.step.clone()))? {
                return Ok(None);
            }
            self.passed.1 += 1;
            layout = prefix.layout;
        }
        let Some(fold) = &mut self.fold else { return Ok(Some(layout)) };
        let added = fold.add(epoch, time, slots, record);
        self.timed.1 += watch.as_mut().map_or(Duration::ZERO, Stopwatch::lap);
        added.map(|()| None).map_err(|why| (why, Stage::Aggregate, fold.step()))
    }

    fn count(&mut self) {
        let (of_prefix, of_fold) = std::mem::take(&mut self.timed);
        if let (Some(prefix), (1.., _)) = (&self.prefix, self.passed) {
            (prefix.count)(self.passed.0, self.passed.1, of_prefix * TIMED);
            self.passed = (0, 0);
        }
        if let Some(fold) = &mut self.fold {
            fold.count(of_fold * TIMED);
        }
    }
}

/// Times what is hardly longer than a look at the clock: that is taken off.
struct Stopwatch {
    at: Instant,
    look: Duration,
}

impl Stopwatch {
    fn start() -> Self {
        let (before, at) = (Instant::now(), Instant::now());
        Self { at, look: at - before }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = (now - self.at).saturating_sub(self.look);
        self.at = now;
        lap
    }
}

/// One source or table on one worker.
pub struct Intake {
    pub origin: Origin,
    name: Arc<str>,
    stage: Stage,
    decoder: Decoder,
    /// Of a table: the slots that are its key; `None` is the record's key.
    key: Option<Vec<SlotId>>,
    /// Slots to decode into, until an event takes them away.
    spare: Option<Box<[Value]>>,
    fused: Fused,
    slots: usize,
    /// Slots that the decoder does not write.
    unread: Vec<SlotId>,
    /// Are the records kept, or their bytes looked at, whatever becomes of them?
    whole: bool,
    /// Where the record at hand stood, if it is not kept yet.
    place: Record,
    /// The greatest time of each partition since the last report.
    greatest: Vec<(u32, i32, Micros)>,
    /// Does its time go by the wall clock?
    wall_clock: bool,
    metrics: Arc<SourceMetrics>,
    worker: usize,
    events: u64,
    bytes: u64,
}

impl Intake {
    /// `wall_clock`: does its time go by the wall clock, and is one too far ahead of it refused? Not on files.
    pub fn new(plan: &Plan, origin: Origin, wall_clock: bool, metrics: Arc<SourceMetrics>, worker: usize) -> Self {
        let (name, decode, stage, key) = match origin {
            Origin::Source(index) => {
                let source = &plan.sources[index];
                (&source.name, &source.decode, Stage::Source, None)
            }
            Origin::Table(index) => {
                let Table { name, decode, key, .. } = &plan.tables[index];
                (name, decode, Stage::Table, key.clone())
            }
        };
        let decoder = Decoder::new(decode, &plan.limits, wall_clock);
        let slots = plan.frames[decode.frame].paths.len();
        Self {
            origin,
            name: name.clone(),
            stage,
            // A table keeps the records of its rows.
            whole: decoder.needs_record(decode) || matches!(origin, Origin::Table(_)),
            decoder,
            key,
            spare: None,
            fused: Fused::default(),
            slots,
            unread: (0..slots as SlotId).filter(|slot| decode.reads.iter().all(|read| read.slot != *slot)).collect(),
            place: Record::default(),
            greatest: Vec::new(),
            wall_clock,
            metrics,
            worker,
            events: 0,
            bytes: 0,
        }
    }

    /// Runs these on what is decoded.
    pub fn with(self, fused: Fused) -> Self {
        Self { whole: self.whole || fused.needs_record(), fused, ..self }
    }

    /// Decodes one record. `topic` is its number in the list of the source's (or table's) topics, or its file's number.
    pub fn take(
        &mut self,
        plan: &Plan,
        (epoch, now): (Epoch, Micros),
        topic: u32,
        mut record: impl Arriving,
        batch: &mut Batch,
    ) {
        self.events += 1;
        self.bytes += record.value().map_or(0, |value| value.len() as u64);
        let decode = match self.origin {
            Origin::Source(index) => &plan.sources[index].decode,
            Origin::Table(index) if record.value().is_none() => {
                return batch.records[index].push(TableRecord { topic, record: record.keep().into(), row: None });
            }
            Origin::Table(index) => &plan.tables[index].decode,
        };
        let mut slots = self.spare.take().unwrap_or_else(|| vec![Value::Null; self.slots].into());
        let mut whole = self.whole.then(|| record.keep());
        let decoded = match &mut whole {
            Some(record) => self.decoder.decode_record(decode, record, now, &mut slots),
            None => {
                record.place_in(&mut self.place);
                self.decoder.decode(decode, &self.place, record.value(), now, &mut slots)
            }
        };
        let outcome = match decoded {
            Ok(time) => {
                let seen = whole.as_ref().unwrap_or(&self.place);
                // Without any time: the epoch's. On topics that is its number, on files it is known when it ends.
                let time = time.or_else(|| self.wall_clock.then_some(epoch as Micros));
                if let Some(time) = time {
                    note(&mut self.greatest, topic, seen.partition, time);
                }
                let time = time.unwrap_or(UNTIMED);
                self.fused.run(epoch, time, &mut slots, seen).map(|layout| layout.map(|layout| (time, layout)))
            }
            Err(rejection) => Err((rejection, self.stage, self.name.clone())),
        };
        let mut keep = || Arc::new(whole.take().unwrap_or_else(|| record.keep()));
        let rejected = match outcome {
            Ok(Some((time, layout))) => match self.origin {
                Origin::Source(index) => {
                    batch.events[index].push(Event {
                        time,
                        layout,
                        position: Default::default(),
                        record: keep(),
                        slots,
                    });
                    return;
                }
                Origin::Table(index) => {
                    let record = keep();
                    match row(self.key.as_deref(), &record, &slots, time) {
                        Ok(row) => return batch.records[index].push(TableRecord { topic, record, row: Some(row) }),
                        Err(rejection) => Some(rejection.at(self.stage, &self.name, &record)),
                    }
                }
            },
            Ok(None) => None,
            Err((rejection, stage, step)) => Some(rejection.at(stage, &step, &keep())),
        };
        batch.rejected.extend(rejected);
        // What a step wrote is no field of the next record; what is read is written anew.
        self.unread.iter().for_each(|slot| slots[usize::from(*slot)] = Value::Null);
        self.spare = Some(slots);
    }

    /// Hands back what is no record.
    pub fn refuse(&mut self, why: Rejection, record: Record, batch: &mut Batch) {
        self.events += 1;
        self.bytes += record.value.as_ref().map_or(0, |value| value.len() as u64);
        batch.rejected.push(why.at(self.stage, &self.name, &record.into()));
    }

    /// What has been read since the last call, for the clock and the counters.
    pub fn report(&mut self, reports: &mut Vec<Report>) {
        let origin = self.origin;
        reports.extend(
            self.greatest.drain(..).map(|(topic, partition, time)| Report::Read(origin, topic, partition, time)),
        );
        self.fused.count();
        if self.events > 0 {
            reports.push(Report::Counted(self.events));
            self.metrics.read(self.worker, std::mem::take(&mut self.events), std::mem::take(&mut self.bytes));
        }
    }
}

/// A table's key and row.
fn row(key: Option<&[SlotId]>, record: &Record, slots: &[Value], time: Micros) -> Result<(Key, Row), Rejection> {
    let key = super::decode::row_key(key, record, slots)?;
    let body = record.body().map_or(&[][..], |body| body);
    let body = std::str::from_utf8(body).expect("a body is checked to be JSON");
    Ok((key, Row { body: body.into(), slots: slots.into(), time }))
}

fn note(greatest: &mut Vec<(u32, i32, Micros)>, topic: u32, partition: i32, time: Micros) {
    match greatest.iter_mut().find(|(t, p, _)| (*t, *p) == (topic, partition)) {
        Some((_, _, greatest)) => *greatest = (*greatest).max(time),
        None => greatest.push((topic, partition, time)),
    }
}

/// The time of an event whose record has none, until its epoch ends.
pub const UNTIMED: Micros = Micros::MIN;
