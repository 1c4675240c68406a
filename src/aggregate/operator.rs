//! Aggregates as timely operators: fold on each worker, exchange one partial per key, merge where the key lives.
//!
//! Both halves end an epoch when their input and the clock have passed it. An event is late by the watermark at the
//! end of the epoch before its own; windows close by the one at the end of their own.
//!
//! The fold is shared with whoever decodes the events, if nobody else reads them: then it takes them there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use timely::dataflow::channels::pact::{Exchange, Pipeline};

use super::late::Once;
use super::{Closing, Fold, Groups, Input, Partial, Results};
use crate::epoch::operator::{Edge, Made, PerEpoch, per_epoch};
use crate::epoch::{Clock, Epoch, Origin};
use crate::error::{Reason, Rejected, Rejection, Stage};
use crate::event::{Change, Event, Micros};
use crate::expr::Expr;
use crate::json::Bodies;
use crate::plan::{Aggregate, Late, Plan, Step, StepKind};
use crate::telemetry::StepMetrics;

/// One aggregate on one worker.
#[derive(Clone)]
pub struct AggregateStep {
    pub plan: Arc<Plan>,
    pub step: usize,
    pub metrics: Arc<StepMetrics>,
    pub worker: usize,
    /// The sources whose watermarks count for it.
    pub origins: Vec<Origin>,
}

impl AggregateStep {
    fn step(&self) -> &Step {
        &self.plan.steps[self.step]
    }

    fn aggregate(&self) -> &Aggregate {
        match &self.step().kind {
            StepKind::Aggregate(aggregate) => aggregate,
            _ => unreachable!("the house gives this room aggregates only"),
        }
    }
}

/// The half of an aggregate before the exchange, on one worker. Clones are one: beside the events of its operator's
/// input it may be given others here, of epochs that this input has not passed.
#[derive(Clone)]
pub struct SharedFold(Rc<RefCell<Folding>>);

impl SharedFold {
    pub fn new(step: AggregateStep) -> Self {
        Self(Rc::new(RefCell::new(Folding::new(step))))
    }

    pub fn name(&self) -> Arc<str> {
        self.0.borrow().step.step().name.clone()
    }

    /// Does it look at the bytes of records, or keep them?
    pub fn needs_record(&self) -> bool {
        self.0.borrow().needs_record()
    }

    /// Adds one event of an open epoch.
    pub fn add(&self, epoch: Epoch, input: Input<'_>) -> Result<(), Rejection> {
        self.0.borrow_mut().add(epoch, input, 0)
    }

    /// Counts what was added since the last time, and the time that it took.
    pub fn count(&self, busy: Duration) {
        self.0.borrow_mut().count(busy);
    }
}

/// An aggregate with windows: an append stream of final results.
pub fn windows<'s>(
    fold: SharedFold,
    events: Edge<'s, Event>,
    clock: Edge<'s, Clock>,
) -> (Edge<'s, Event>, Edge<'s, Rejected>) {
    aggregate(fold, events, clock)
}

/// An aggregate without windows: a changing collection.
pub fn rows<'s>(
    fold: SharedFold,
    events: Edge<'s, Event>,
    clock: Edge<'s, Clock>,
) -> (Edge<'s, Change>, Edge<'s, Rejected>) {
    aggregate(fold, events, clock)
}

fn aggregate<'s, R: 'static>(
    fold: SharedFold,
    events: Edge<'s, Event>,
    clock: Edge<'s, Clock>,
) -> (Edge<'s, R>, Edge<'s, Rejected>)
where
    Grouping: PerEpoch<Partial, Clock, R>,
{
    let step = fold.0.borrow().step.clone();
    let name = format!("{}: fold", step.step().name);
    let (partials, rejected) = per_epoch((events, Pipeline), (clock.clone(), Pipeline), &name, fold);
    let rejected = match step.aggregate() {
        Aggregate { window: Some(_), late: Late::Reject, .. } => {
            let (by_record, once) = (Exchange::new(Once::route), Once(step.metrics.clone()));
            let name = format!("{}: late", step.step().name);
            per_epoch((rejected, by_record), (clock.clone(), Pipeline), &name, once).0
        }
        _ => rejected,
    };
    (groups(step, partials, clock), rejected)
}

fn groups<'s, R: 'static>(step: AggregateStep, partials: Edge<'s, Partial>, clock: Edge<'s, Clock>) -> Edge<'s, R>
where
    Grouping: PerEpoch<Partial, Clock, R>,
{
    let name = step.step().name.to_string();
    let by_key = Exchange::new(|partial: &Partial| partial.hash);
    let width = step.plan.frames[step.step().frame].paths.len();
    let with_before = step.plan.reads_rows_before(step.step);
    let grouping = Grouping { step, groups: Groups::new(width, with_before) };
    per_epoch((partials, by_key), (clock, Pipeline), &name, grouping).0
}

/// The fold of every open epoch.
struct Folding {
    step: AggregateStep,
    open: BTreeMap<Epoch, (Fold, Vec<Rejected>)>,
    spare: Vec<Fold>,
    /// At the end of the last epoch that was closed.
    watermark: Micros,
    /// Events since the last count.
    events: u64,
}

impl Folding {
    fn new(step: AggregateStep) -> Self {
        Self { step, open: BTreeMap::new(), spare: Vec::new(), watermark: Micros::MIN, events: 0 }
    }

    fn needs_record(&self) -> bool {
        let aggregate = self.step.aggregate();
        let of_calls = aggregate.calls.iter().flat_map(|call| call.args.iter().chain(&call.filter));
        let keeps = aggregate.window.is_some() && aggregate.late == Late::Reject;
        keeps || aggregate.by.iter().chain(of_calls).any(Expr::reads_bytes)
    }

    #[inline]
    fn add(&mut self, epoch: Epoch, input: Input<'_>, now: Micros) -> Result<(), Rejection> {
        let Self { step, open, spare, events, .. } = self;
        let aggregate = step.aggregate();
        let fresh = || (spare.pop().unwrap_or_else(|| Fold::new(aggregate)), Vec::new());
        *events += 1;
        let added = open.entry(epoch).or_insert_with(fresh).0.add(aggregate, input, now);
        added.inspect_err(|rejection| step.metrics.rejected(rejection.reason, 1))
    }

    fn count(&mut self, busy: Duration) {
        match std::mem::take(&mut self.events) {
            0 => {}
            events => {
                self.step.metrics.events_in(events);
                self.step.metrics.add_busy(self.step.worker, busy);
            }
        }
    }

    fn add_all(&mut self, epoch: Epoch, events: Vec<Event>, now: Micros) {
        let started = Instant::now();
        for event in events {
            if let Err(rejection) = self.add(epoch, Input::of(&event), now) {
                let step = &self.step;
                let bodies = Bodies::new(&step.plan.frames[step.plan.frame_of(step.step().inputs[0])]);
                let rejected = rejection.at(Stage::Aggregate, &step.step().name, &bodies.origin(&event));
                self.open.get_mut(&epoch).expect("the event opened it").1.push(rejected);
            }
        }
        self.count(started.elapsed());
    }

    fn flush(&mut self, epoch: Epoch, clock: Option<&Clock>, made: &mut Made<Partial>) {
        if let Some((mut fold, rejected)) = self.open.remove(&epoch) {
            made.rejected = rejected;
            let flushed = fold.flush(self.step.aggregate(), self.watermark);
            let late = |record| {
                let text = "every window of the event had ended".to_owned();
                Rejection::new(Reason::LateEvent, text).at(Stage::Aggregate, &self.step.step().name, record)
            };
            made.rejected.extend(flushed.late_records.iter().map(late));
            self.step.metrics.dropped("late", flushed.late - flushed.late_records.len() as u64);
            made.results = flushed.partials;
            self.spare.push(fold);
        }
        if let Some(clock) = clock {
            self.watermark = clock.watermark(&self.step.origins);
        }
    }
}

impl PerEpoch<Event, Clock, Partial> for SharedFold {
    fn arrive(&mut self, epoch: Epoch, data: &mut Vec<Event>) {
        let mut folding = self.0.borrow_mut();
        if !folding.step.step().needs_clock {
            folding.add_all(epoch, std::mem::take(data), 0);
        }
    }

    fn close(&mut self, epoch: Epoch, events: Vec<Event>, clock: Vec<Clock>, made: &mut Made<Partial>) {
        let mut folding = self.0.borrow_mut();
        let now = clock.last().map_or(0, |clock| clock.now);
        if !events.is_empty() {
            folding.add_all(epoch, events, now);
        }
        folding.flush(epoch, clock.last(), made);
    }
}

/// The groups whose keys live on this worker.
struct Grouping {
    step: AggregateStep,
    groups: Groups,
}

impl Grouping {
    fn end(&mut self, partials: Vec<Partial>, clock: &[Clock]) -> Results {
        let started = Instant::now();
        let aggregate = self.step.aggregate();
        self.groups.merge(aggregate, partials);
        let Some(clock) = clock.last() else { return Results::default() };
        let watermark = clock.watermark(&self.step.origins);
        let closing = Closing { watermark, greatest: clock.latest(), now: clock.now };
        let mut results = self.groups.close(aggregate, closing);
        // The layout of an aggregate's results is the first that its frame has, unless others share the frame.
        if let Some(layout) = self.step.step().layouts.first().copied().flatten().filter(|layout| *layout != 0) {
            let sides = results.changes.iter_mut().flat_map(|change| [&mut change.before, &mut change.after]);
            sides.flatten().chain(&mut results.events).for_each(|event| event.layout = layout);
        }
        let metrics = &self.step.metrics;
        metrics.dropped("measure", results.failures.measures);
        metrics.dropped("having", results.failures.having);
        metrics.dropped("elements", results.failures.elements);
        metrics.set_state(self.step.worker, self.groups.bytes() as u64, self.groups.keys() as u64);
        metrics.events_out((results.changes.len() + results.events.len()) as u64);
        metrics.add_busy(self.step.worker, started.elapsed());
        results
    }
}

impl PerEpoch<Partial, Clock, Event> for Grouping {
    fn close(&mut self, _: Epoch, partials: Vec<Partial>, clock: Vec<Clock>, made: &mut Made<Event>) {
        made.results = self.end(partials, &clock).events;
    }
}

impl PerEpoch<Partial, Clock, Change> for Grouping {
    fn close(&mut self, _: Epoch, partials: Vec<Partial>, clock: Vec<Clock>, made: &mut Made<Change>) {
        made.results = self.end(partials, &clock).changes;
    }
}
