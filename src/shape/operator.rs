//! Shape steps as timely operators.
//!
//! A step without lookups is one operator. A lookup splits it: the part before it gives events with the keys that they
//! ask for, the table's room answers, and the part after it takes the answers.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use timely::dataflow::channels::pact::Pipeline;

use super::{Drops, Program};
use crate::epoch::moments::Moments;
use crate::epoch::operator::{Edge, Made, PerEpoch, each, per_epoch};
use crate::epoch::{Clock, Epoch};
use crate::error::{Rejected, Rejection};
use crate::event::row::Row;
use crate::event::{Change, Event, Key, LayoutId, Micros, Record, Value};
use crate::json::Bodies;
use crate::plan::{Frame, Plan, Step};
use crate::telemetry::StepMetrics;

/// One shape step on one worker.
#[derive(Clone)]
pub struct Shaper {
    pub plan: Arc<Plan>,
    pub step: usize,
    pub metrics: Arc<StepMetrics>,
    pub worker: usize,
}

/// A step as it runs where its source is decoded: on slots, before an event is built. `None` if it cannot: it waits
/// for a clock or a table, or makes several events of one.
pub fn on_slots(shaper: Shaper) -> Option<OnSlots> {
    let step = shaper.step();
    if step.needs_clock || step.changing || !shaper.program().is_plain() {
        return None;
    }
    let (layout, reads_bytes) = (shaper.program().layout(0), shaper.program().reads_bytes());
    Some(OnSlots { shaper, rejected: Cell::new(0), layout, reads_bytes })
}

/// See [`on_slots`].
pub struct OnSlots {
    shaper: Shaper,
    /// Since the last count.
    rejected: Cell<u64>,
    pub layout: LayoutId,
    /// Does it look at the record's bytes?
    pub reads_bytes: bool,
}

impl OnSlots {
    pub fn apply(&self, slots: &mut [Value], record: &Record) -> Result<bool, Rejection> {
        let kept = self.shaper.program().apply_one(slots, record, 0);
        if let Err(rejection) = &kept {
            self.shaper.metrics.rejected(rejection.reason, 1);
            self.rejected.set(self.rejected.get() + 1);
        }
        kept
    }

    pub fn count(&self, events_in: u64, events_out: u64, busy: Duration) {
        self.shaper.metrics.add_busy(self.shaper.worker, busy);
        self.shaper.metrics.events_in(events_in);
        self.shaper.metrics.events_out(events_out);
        self.shaper.metrics.dropped("where", events_in - events_out - self.rejected.take());
    }
}

/// An event with the key that a lookup asks for; `None` finds nothing.
pub type Asking = (Option<Key>, Event);

/// Of an event that comes from no record: the event as it came to a step, and its frame.
struct Origin<'p>(Option<(&'p Frame, Event)>);

impl Origin<'_> {
    /// The rejected event with what stands for it among the dead letters.
    fn of(&self, rejected: Rejected) -> Rejected {
        match &self.0 {
            Some((frame, event)) => Rejected { record: Bodies::new(frame).origin(event), ..rejected },
            None => rejected,
        }
    }
}

impl Shaper {
    fn step(&self) -> &Step {
        &self.plan.steps[self.step]
    }

    fn program(&self) -> Program<'_> {
        Program::new(self.step()).expect("the house gives this room shape steps only")
    }

    /// Asked before a step changes the event.
    fn origin(&self, event: &Event) -> Origin<'_> {
        Origin(event.record.is_made().then(|| (&self.plan.frames[self.step().frame], event.clone())))
    }

    fn count(&self, drops: Drops, events_in: usize, made: &Made<Event>) {
        let metrics = &self.metrics;
        metrics.events_in(events_in as u64);
        metrics.events_out(made.results.len() as u64);
        metrics.dropped("where", drops.condition);
        metrics.dropped("unnest", drops.nothing_to_unnest);
        metrics.dropped("lookup", drops.required);
        made.rejected.iter().for_each(|r| metrics.rejected(r.reason, 1));
    }

    fn run(&self, events: Vec<Event>, now: Micros, made: &mut Made<Event>) {
        let started = Instant::now();
        let (program, count) = (self.program(), events.len());
        let mut drops = Drops::default();
        for event in events {
            let origin = self.origin(&event);
            program.apply(event, now, &mut drops, &mut |result| match result {
                Ok(event) => made.results.push(event),
                Err(rejected) => made.rejected.push(origin.of(rejected)),
            });
        }
        self.count(drops, count, made);
        self.metrics.add_busy(self.worker, started.elapsed());
    }

    /// One side of a change: what downstream sees of a row. A row whose step fails is as if deleted.
    fn side(&self, event: Option<Event>, now: Micros, key: &Key, count: bool) -> Option<Event> {
        let mut drops = Drops::default();
        let mut result = None;
        self.program().apply(event?, now, &mut drops, &mut |outcome| match outcome {
            Ok(event) => result = Some(event),
            Err(rejected) if count => {
                self.metrics.rejected(rejected.reason, 1);
                let error = self.plan.hidden.hide(&rejected.message);
                tracing::warn!(step = %self.step().name, ?key, %error, "a row was left out");
            }
            Err(_) => {}
        });
        if count {
            self.metrics.dropped("where", drops.condition);
        }
        result
    }

    /// `then` is the epoch's time at which the row before was let through; `None` if it was not.
    fn change(&self, change: Change, then: Option<Micros>, now: Micros) -> Option<Change> {
        let Change { key, time, before, after } = change;
        let before = then.and_then(|then| self.side(before, then, &key, false));
        let after = self.side(after, now, &key, true);
        (before.is_some() || after.is_some()).then_some(Change { key, time, before, after })
    }
}

/// A step over append streams without lookups.
pub fn shape<'s>(
    shaper: Shaper,
    events: Edge<'s, Event>,
    clock: Edge<'s, Clock>,
) -> (Edge<'s, Event>, Edge<'s, Rejected>) {
    let name = shaper.step().name.to_string();
    if shaper.step().needs_clock {
        per_epoch((events, Pipeline), (clock, Pipeline), &name, Timed(shaper))
    } else {
        each(events, &name, move |events, made| shaper.run(events, 0, made))
    }
}

/// A step over a changing collection.
pub fn shape_changes<'s>(
    shaper: Shaper,
    changes: Edge<'s, Change>,
    clock: Edge<'s, Clock>,
) -> (Edge<'s, Change>, Edge<'s, Rejected>) {
    let name = shaper.step().name.to_string();
    if shaper.step().needs_clock {
        let timed = TimedChanges { shaper, moments: Moments::default() };
        per_epoch((changes, Pipeline), (clock, Pipeline), &name, timed)
    } else {
        each(changes, &name, move |changes: Vec<Change>, made| {
            shaper.metrics.events_in(changes.len() as u64);
            made.results.extend(changes.into_iter().filter_map(|change| shaper.change(change, Some(0), 0)));
            shaper.metrics.events_out(made.results.len() as u64);
        })
    }
}

/// A step that reads `now()` waits for its epoch's time.
struct Timed(Shaper);

fn now(clock: &[Clock]) -> Micros {
    clock.last().map_or(0, |clock| clock.now)
}

impl PerEpoch<Event, Clock, Event> for Timed {
    fn close(&mut self, _: Epoch, events: Vec<Event>, clock: Vec<Clock>, made: &mut Made<Event>) {
        self.0.run(events, now(&clock), made);
    }
}

/// Such a step over a changing collection.
struct TimedChanges {
    shaper: Shaper,
    moments: Moments,
}

impl TimedChanges {
    fn change(&mut self, change: Change, now: Micros) -> Option<Change> {
        let (key, then) = (change.key.clone(), self.moments.of(&change.key));
        let result = self.shaper.change(change, then, now);
        let is_there = result.as_ref().is_some_and(|change| change.after.is_some());
        self.moments.set(key, is_there.then_some(now));
        result
    }
}

impl PerEpoch<Change, Clock, Change> for TimedChanges {
    fn close(&mut self, _: Epoch, changes: Vec<Change>, clock: Vec<Clock>, made: &mut Made<Change>) {
        let now = now(&clock);
        made.results.extend(changes.into_iter().filter_map(|change| self.change(change, now)));
        let Shaper { metrics, worker, .. } = &self.shaper;
        metrics.set_moments(*worker, self.moments.bytes() as u64, self.moments.rows() as u64);
    }
}

/// What a step does before its lookup number `lookup`: the answer to the one before (if any) goes in, the operations
/// between run, and the key for the next is asked (if there is one).
struct Between {
    shaper: Shaper,
    segment: usize,
}

impl Between {
    fn run<R>(&self, events: Vec<Event>, now: Micros, made: &mut Made<R>, ask: impl Fn(Event, Option<Key>) -> R) {
        let started = Instant::now();
        let program = self.shaper.program();
        let segment = program.segments().nth(self.segment).expect("one more segment than lookups");
        let mut drops = Drops::default();
        for event in events {
            let origin = self.shaper.origin(&event);
            segment.apply(event, now, &mut drops, &mut |result| match result
                .and_then(|e| Ok((segment.key(&e, now)?, e)))
            {
                Ok((key, event)) => made.results.push(ask(event, key)),
                Err(rejected) => made.rejected.push(origin.of(rejected)),
            });
        }
        let metrics = &self.shaper.metrics;
        metrics.dropped("where", drops.condition);
        metrics.dropped("unnest", drops.nothing_to_unnest);
        made.rejected.iter().for_each(|r| metrics.rejected(r.reason, 1));
        metrics.add_busy(self.shaper.worker, started.elapsed());
    }

    fn fill(&self, answers: Vec<(Event, Option<Row>)>) -> Vec<Event> {
        let started = Instant::now();
        let program = self.shaper.program();
        let segment = program.segments().nth(self.segment).expect("one more segment than lookups");
        let mut drops = Drops::default();
        let fill = |(event, row): (Event, Option<Row>)| segment.fill(event, row.as_ref(), &mut drops);
        let events = answers.into_iter().filter_map(fill).collect();
        self.shaper.metrics.dropped("lookup", drops.required);
        self.shaper.metrics.add_busy(self.shaper.worker, started.elapsed());
        events
    }
}

/// Where lookups are answered: given events with keys and the number of the lookup in its step.
pub type Answer<'s, 'a> = &'a mut dyn FnMut(Edge<'s, Asking>, usize) -> Edge<'s, (Event, Option<Row>)>;

/// A step over append streams with lookups.
pub fn shape_with_lookups<'s>(
    shaper: Shaper,
    events: Edge<'s, Event>,
    clock: Edge<'s, Clock>,
    answer: Answer<'s, '_>,
) -> (Edge<'s, Event>, Vec<Edge<'s, Rejected>>) {
    let lookups = shaper.program().segments().count() - 1;
    let name = shaper.step().name.to_string();
    let metrics = shaper.metrics.clone();
    let mut rejected = Vec::new();
    let mut events = count(events, metrics.clone(), true);
    for lookup in 0..lookups {
        let before = Between { shaper: shaper.clone(), segment: lookup };
        let (asking, failed) = between(before, events, clock.clone(), &format!("{name}: ask"), |e, key| (key, e));
        rejected.push(failed);
        let after = Between { shaper: shaper.clone(), segment: lookup };
        let (filled, _) = each(answer(asking, lookup), &format!("{name}: fill"), move |answers, made| {
            made.results = after.fill(answers);
        });
        events = filled;
    }
    let last = Between { shaper, segment: lookups };
    let (results, failed) = between(last, events, clock, &name, |event, _| event);
    rejected.push(failed);
    (count(results, metrics, false), rejected)
}

fn between<'s, R: 'static>(
    between: Between,
    events: Edge<'s, Event>,
    clock: Edge<'s, Clock>,
    name: &str,
    ask: impl Fn(Event, Option<Key>) -> R + Copy + 'static,
) -> (Edge<'s, R>, Edge<'s, Rejected>) {
    if between.shaper.step().needs_clock {
        per_epoch((events, Pipeline), (clock, Pipeline), name, TimedBetween { between, ask })
    } else {
        each(events, name, move |events, made| between.run(events, 0, made, ask))
    }
}

struct TimedBetween<F> {
    between: Between,
    ask: F,
}

impl<R: 'static, F: Fn(Event, Option<Key>) -> R + Copy + 'static> PerEpoch<Event, Clock, R> for TimedBetween<F> {
    fn close(&mut self, _: Epoch, events: Vec<Event>, clock: Vec<Clock>, made: &mut Made<R>) {
        self.between.run(events, now(&clock), made, self.ask);
    }
}

fn count<'s>(events: Edge<'s, Event>, metrics: Arc<StepMetrics>, into: bool) -> Edge<'s, Event> {
    use timely::dataflow::operators::InspectCore;
    events.inspect_container(move |batch| {
        if let Ok((_, events)) = batch {
            if into { metrics.events_in(events.len() as u64) } else { metrics.events_out(events.len() as u64) }
        }
    })
}
