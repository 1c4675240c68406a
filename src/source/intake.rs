//! Where records become events, rows or rejections: the same for files and topics.

use std::sync::Arc;

use crate::epoch::{Origin, Report};
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
    /// Records that were looked at, for the share of rejected ones.
    pub read: u64,
}

impl Batch {
    pub fn new(plan: &Plan) -> Self {
        Self {
            events: plan.sources.iter().map(|_| Vec::new()).collect(),
            records: plan.tables.iter().map(|_| Vec::new()).collect(),
            rejected: Vec::new(),
            reports: Vec::new(),
            read: 0,
        }
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
    /// Told of the events that went in and that came out.
    pub count: Box<dyn Fn(u64, u64)>,
}

type Apply = Box<dyn Fn(&mut [Value], &Record) -> Result<bool, Rejection>>;

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
    prefix: Option<Prefix>,
    /// Events that went into the prefix, and came out.
    passed: (u64, u64),
    slots: usize,
    /// The greatest time of each partition since the last report.
    greatest: Vec<(u32, i32, Micros)>,
    metrics: Arc<SourceMetrics>,
    worker: usize,
    events: u64,
    bytes: u64,
}

impl Intake {
    /// `wall_clock`: is a time too far ahead of the wall clock refused? Not on files.
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
        Self {
            origin,
            name: name.clone(),
            stage,
            decoder: Decoder::new(decode, &plan.limits, wall_clock),
            key,
            spare: None,
            prefix: None,
            passed: (0, 0),
            slots: plan.frames[decode.frame].paths.len(),
            greatest: Vec::new(),
            metrics,
            worker,
            events: 0,
            bytes: 0,
        }
    }

    /// Runs a step on what is decoded.
    pub fn with_prefix(self, prefix: Option<Prefix>) -> Self {
        Self { prefix, ..self }
    }

    /// Decodes one record. `topic` is its number in the list of the source's (or table's) topics.
    pub fn take(&mut self, plan: &Plan, topic: u32, mut record: Record, now: Micros, batch: &mut Batch) {
        self.events += 1;
        self.bytes += record.value.as_ref().map_or(0, |value| value.len() as u64);
        batch.read += 1;
        let decode = match self.origin {
            Origin::Source(index) => &plan.sources[index].decode,
            Origin::Table(index) => &plan.tables[index].decode,
        };
        if let (Origin::Table(index), None) = (self.origin, &record.value) {
            batch.records[index].push(TableRecord { topic, record: record.into(), row: None });
            return;
        }
        let width = self.slots;
        let mut slots = self.spare.take().unwrap_or_else(|| vec![Value::Null; width].into());
        match self.decoder.decode(decode, &mut record, now, &mut slots) {
            Ok(time) => self.accept(topic, record, time, slots, batch),
            Err(rejection) => {
                self.spare = Some(slots);
                self.reject(rejection, record, batch);
            }
        }
    }

    fn accept(&mut self, topic: u32, record: Record, time: Option<Micros>, slots: Box<[Value]>, batch: &mut Batch) {
        if let Some(time) = time {
            self.note(topic, record.partition, time);
        }
        // Without any time: the epoch's, which is known when it ends.
        let time = time.unwrap_or(UNTIMED);
        match self.origin {
            Origin::Source(index) => {
                let Some((layout, slots)) = self.pass(&record, slots, batch) else { return };
                let (position, record) = (Default::default(), Arc::new(record));
                batch.events[index].push(Event { time, layout, position, record, slots });
            }
            Origin::Table(index) => match self.row_key(&record, &slots) {
                Ok(key) => {
                    let body = record.body.as_ref().or(record.value.as_ref()).map_or(&[][..], |body| body);
                    let body = std::str::from_utf8(body).expect("a body is checked to be JSON");
                    let row = Row { body: body.into(), slots: slots.into(), time };
                    batch.records[index].push(TableRecord { topic, record: Arc::new(record), row: Some((key, row)) });
                }
                Err(rejection) => self.reject(rejection, record, batch),
            },
        }
    }

    /// What the prefix lets through, and its layout.
    fn pass(
        &mut self,
        record: &Record,
        mut slots: Box<[Value]>,
        batch: &mut Batch,
    ) -> Option<(LayoutId, Box<[Value]>)> {
        let Some(prefix) = &self.prefix else { return Some((0, slots)) };
        self.passed.0 += 1;
        match (prefix.apply)(&mut slots, record) {
            Ok(true) => {
                self.passed.1 += 1;
                return Some((prefix.layout, slots));
            }
            Ok(false) => {}
            Err(rejection) => {
                batch.rejected.push(rejection.at(Stage::Shape, &prefix.step, &Arc::new(record.clone())));
            }
        }
        slots.fill(Value::Null);
        self.spare = Some(slots);
        None
    }

    fn row_key(&self, record: &Record, slots: &[Value]) -> Result<Key, Rejection> {
        super::decode::row_key(self.key.as_deref(), record, slots)
    }

    fn reject(&self, rejection: Rejection, record: Record, batch: &mut Batch) {
        batch.rejected.push(rejection.at(self.stage, &self.name, &Arc::new(record)));
    }

    fn note(&mut self, topic: u32, partition: i32, time: Micros) {
        match self.greatest.iter_mut().find(|(t, p, _)| (*t, *p) == (topic, partition)) {
            Some((_, _, greatest)) => *greatest = (*greatest).max(time),
            None => self.greatest.push((topic, partition, time)),
        }
    }

    /// What has been read since the last call, for the clock and the counters.
    pub fn report(&mut self, reports: &mut Vec<Report>) {
        let origin = self.origin;
        reports.extend(
            self.greatest.drain(..).map(|(topic, partition, time)| Report::Read(origin, topic, partition, time)),
        );
        if let (Some(prefix), (1.., _)) = (&self.prefix, self.passed) {
            (prefix.count)(self.passed.0, self.passed.1);
            self.passed = (0, 0);
        }
        if self.events > 0 {
            self.metrics.read(self.worker, std::mem::take(&mut self.events), std::mem::take(&mut self.bytes));
        }
    }
}

/// The time of an event whose record has none, until its epoch ends.
pub const UNTIMED: Micros = Micros::MIN;
