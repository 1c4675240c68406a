//! Tables as timely operators: a differential collection, arranged once and shared by all who look it up.
//!
//! Changes of rows become differential updates; the arrangement keeps them by key on the worker that owns the key.
//! A lookup goes to that worker and waits until the table has passed its epoch, so it sees the table as it is at the
//! epoch's end. What no lookup can ask for any more is compacted away.

use std::sync::Arc;

use differential_dataflow::hashable::Hashable;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::TraceReader;
use differential_dataflow::trace::cursor::Cursor;
use differential_dataflow::trace::implementations::ValSpine;
use differential_dataflow::{AsCollection, VecCollection};
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::vec::Map;
use timely::progress::Antichain;

use super::rows::Rows;
use super::writers::{Upsert, Write, Writers};
use crate::epoch::operator::{Edge, Made, PerEpoch, per_epoch};
use crate::epoch::{Clock, Epoch, Origin};
use crate::event::row::{Row, RowChange, TableRecord};
use crate::event::{Change, Event, Key, Micros, Record, Value};
use crate::json::Bodies;
use crate::plan::Plan;
use crate::telemetry::StepMetrics;

/// One table on one worker.
#[derive(Clone)]
pub struct TableStep {
    pub plan: Arc<Plan>,
    pub table: usize,
    pub metrics: Arc<StepMetrics>,
    pub worker: usize,
    /// The sources whose watermarks its `ttl` goes by; the table's own where there is no source.
    pub origins: Vec<Origin>,
}

/// Records of a table → changes of its rows, on the workers that own their keys.
pub fn rows<'s>(step: TableStep, records: Edge<'s, TableRecord>, clock: Edge<'s, Clock>) -> Edge<'s, RowChange> {
    let (name, ttl) = (step.plan.tables[step.table].name.clone(), step.plan.tables[step.table].ttl);
    let upserts = records.map(|record| {
        let spot = record.spot();
        Upsert { spot, record_key: record.record.key.clone(), row: record.row }
    });
    let by_record = Exchange::new(Upsert::route);
    let writing = Writing { writers: Writers::new(ttl), origins: step.origins.clone() };
    let (writes, _) = per_epoch((upserts, by_record), (clock.clone(), Pipeline), &format!("{name}: writers"), writing);
    let by_key = Exchange::new(Write::route);
    let keeping = Keeping { rows: Rows::new(ttl), step };
    per_epoch((writes, by_key), (clock, Pipeline), &format!("{name}: keys"), keeping).0
}

struct Writing {
    writers: Writers,
    origins: Vec<Origin>,
}

impl PerEpoch<Upsert, Clock, Write> for Writing {
    fn close(&mut self, _: Epoch, upserts: Vec<Upsert>, clock: Vec<Clock>, made: &mut Made<Write>) {
        let watermark = clock.last().map_or(Micros::MIN, |clock| clock.watermark(&self.origins));
        made.results = self.writers.apply(upserts, watermark);
    }
}

struct Keeping {
    rows: Rows,
    step: TableStep,
}

impl PerEpoch<Write, Clock, RowChange> for Keeping {
    fn close(&mut self, _: Epoch, writes: Vec<Write>, clock: Vec<Clock>, made: &mut Made<RowChange>) {
        let watermark = clock.last().map_or(Micros::MIN, |clock| clock.watermark(&self.step.origins));
        self.step.metrics.events_in(writes.len() as u64);
        made.results = self.rows.apply(writes, watermark);
        self.step.metrics.events_out(made.results.len() as u64);
        self.step.metrics.set_state(self.step.worker, self.rows.bytes() as u64, self.rows.keys() as u64);
    }
}

/// A table's rows as a changing collection of events: each has the greatest event time read so far. Of the record that
/// a row came from they have the value, and `by_record_key` the key.
pub fn collection<'s>(
    changes: Edge<'s, RowChange>,
    clock: Edge<'s, Clock>,
    name: &str,
    by_record_key: bool,
) -> Edge<'s, Change> {
    let events = AsEvents { by_record_key };
    per_epoch((changes, Pipeline), (clock, Pipeline), &format!("{name}: collection"), events).0
}

struct AsEvents {
    by_record_key: bool,
}

impl PerEpoch<RowChange, Clock, Change> for AsEvents {
    fn close(&mut self, _: Epoch, changes: Vec<RowChange>, clock: Vec<Clock>, made: &mut Made<Change>) {
        let time = clock.last().map_or(0, Clock::latest);
        made.results.extend(changes.into_iter().map(|RowChange { key, before, after }| {
            let record_key = match &*key {
                [Value::Text(text)] if self.by_record_key => Some(text.as_bytes().to_vec().into()),
                _ => None,
            };
            let event = |row: Row| {
                let value = Some(row.body.as_bytes().to_vec().into());
                let record = Record { key: record_key.clone(), value, ..Record::default() };
                Event {
                    time,
                    layout: 0,
                    position: Default::default(),
                    record: record.into(),
                    slots: row.slots.to_vec().into(),
                }
            };
            Change { key, time, before: before.map(event), after: after.map(event) }
        }));
    }
}

/// A changing collection of events as rows that can be looked up.
pub fn as_rows<'s>(changes: Edge<'s, Change>, bodies: Bodies) -> Edge<'s, RowChange> {
    let row = move |event: Event| {
        let mut body = Vec::new();
        bodies.write(&event, event.layout, &mut body);
        let body = String::from_utf8(body).expect("bodies are written as UTF-8");
        Row { body: body.into(), slots: event.slots.into(), time: event.time }
    };
    changes.map(move |Change { key, before, after, .. }| RowChange {
        key,
        before: before.map(&row),
        after: after.map(&row),
    })
}

type Spine = ValSpine<Key, Row, Epoch, isize>;
/// A table's rows by key, on the worker that owns the key.
pub type ArrangedRows<'s> = Arranged<'s, TraceAgent<Spine>>;

/// Arranges the rows of a table.
pub fn arrange<'s>(changes: Edge<'s, RowChange>, name: &str) -> ArrangedRows<'s> {
    let updates = changes.unary_updates();
    updates.arrange_by_key_named(&format!("{name}: rows"))
}

trait Updates<'s> {
    fn unary_updates(self) -> VecCollection<'s, Epoch, (Key, Row), isize>;
}

impl<'s> Updates<'s> for Edge<'s, RowChange> {
    /// Each change takes the row before away and adds the row after.
    fn unary_updates(self) -> VecCollection<'s, Epoch, (Key, Row), isize> {
        use timely::dataflow::operators::Operator;
        let updates: Edge<'s, ((Key, Row), Epoch, isize)> = self.unary(Pipeline, "updates", |_, _| {
            move |input, output| {
                input.for_each(|time, data| {
                    let epoch = *time.time();
                    let mut session = output.session(&time);
                    for RowChange { key, before, after, .. } in data.drain(..) {
                        session.give_iterator(before.into_iter().map(|row| ((key.clone(), row), epoch, -1)));
                        session.give_iterator(after.into_iter().map(|row| ((key.clone(), row), epoch, 1)));
                    }
                });
            }
        });
        updates.as_collection()
    }
}

/// Answers lookups: each asker gets the row of its key as it is at the end of the asker's epoch.
pub fn lookup<'s, D>(
    asking: Edge<'s, (Option<Key>, D)>,
    rows: &ArrangedRows<'s>,
    name: &str,
) -> Edge<'s, (D, Option<Row>)>
where
    D: timely::ExchangeData,
{
    let by_key = Exchange::new(|(key, _): &(Option<Key>, D)| key.as_ref().map_or(0, |key| key.hashed()));
    // Only the progress of the arrangement is listened to; its batches are read through the trace.
    let progress = rows.stream.clone().flat_map(|_| None::<()>);
    let logic = Lookup { trace: rows.trace.clone() };
    per_epoch((asking, by_key), (progress, Pipeline), name, logic).0
}

struct Lookup {
    trace: TraceAgent<Spine>,
}

impl<D: 'static> PerEpoch<(Option<Key>, D), (), (D, Option<Row>)> for Lookup {
    fn close(&mut self, epoch: Epoch, asking: Vec<(Option<Key>, D)>, _: Vec<()>, made: &mut Made<(D, Option<Row>)>) {
        let mut order: Vec<usize> = (0..asking.len()).filter(|i| asking[*i].0.is_some()).collect();
        order.sort_by(|a, b| asking[*a].0.cmp(&asking[*b].0));
        let mut found: Vec<Option<Row>> = asking.iter().map(|_| None).collect();
        let (mut cursor, storage) = self.trace.cursor();
        let mut last: Option<usize> = None;
        for i in order {
            if let Some(last) = last.filter(|last| asking[*last].0 == asking[i].0) {
                found[i] = found[last].clone();
                continue;
            }
            last = Some(i);
            let Some(key) = &asking[i].0 else { continue };
            cursor.seek_key(&storage, key);
            if cursor.get_key(&storage) == Some(key) {
                found[i] = row_at(&mut cursor, &storage, epoch);
            }
        }
        made.results = asking.into_iter().zip(found).map(|((_, asker), row)| (asker, row)).collect();
    }

    fn passed(&mut self, epoch: Epoch) {
        let now = Antichain::from_elem(epoch);
        self.trace.set_logical_compaction(now.borrow());
        self.trace.set_physical_compaction(now.borrow());
    }
}

/// The row of the cursor's key at the end of an epoch.
fn row_at<C>(cursor: &mut C, storage: &C::Storage, epoch: Epoch) -> Option<Row>
where
    C: for<'a> Cursor<Val<'a> = &'a Row, TimeGat<'a> = &'a Epoch, DiffGat<'a> = &'a isize, Time = Epoch>,
{
    let mut row = None;
    while let Some(value) = cursor.get_val(storage) {
        let mut count = 0;
        cursor.map_times(storage, |time, diff| {
            if *time <= epoch {
                count += *diff;
            }
        });
        if count > 0 {
            row = Some(value.clone());
        }
        cursor.step_val(storage);
    }
    row
}
