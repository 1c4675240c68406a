//! Matching as a timely operator.
//!
//! Rules of the file are the same for ever: events are matched when they arrive. Live rules are rows of a table, and
//! every worker holds them all: each hears every change, and an event waits until its epoch's rules are known.

use std::sync::Arc;
use std::time::Instant;

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::vec::{Broadcast, Map};

use super::Matcher;
use super::live::LiveRules;
use super::rule_row::Fields;
use super::{CLASSES, Class};
use crate::epoch::operator::{Edge, Made, PerEpoch, each, per_epoch};
use crate::epoch::{Clock, Epoch, Origin};
use crate::error::{Rejected, Stage};
use crate::event::row::TableRecord;
use crate::event::{Event, Micros};
use crate::json::Bodies;
use crate::plan::{Match, Plan, Rules, Step, StepKind, StreamId};
use crate::telemetry::{RuleGauges, StepMetrics};

/// One match step on one worker.
pub struct MatchStep {
    pub plan: Arc<Plan>,
    pub step: usize,
    pub metrics: Arc<StepMetrics>,
    pub worker: usize,
    bodies: Bodies,
    matcher: Matcher,
    /// Where rules are a table's.
    live: Option<LiveRules>,
    /// The sources whose watermarks the table's `ttl` goes by; the table's own where there is no source.
    origins: Vec<Origin>,
    body: Vec<u8>,
}

impl MatchStep {
    pub fn new(plan: &Arc<Plan>, step: usize, metrics: Arc<StepMetrics>, worker: usize) -> Self {
        let bodies = Bodies::new(&plan.frames[plan.steps[step].frame]);
        let StepKind::Match(spec) = &plan.steps[step].kind else {
            unreachable!("the house gives this room match steps only")
        };
        let live = match spec.rules {
            Rules::Table { table: StreamId::Table(table), pattern, when, .. } => {
                Some(LiveRules::new(Fields { pattern, when }, plan.tables[table].ttl))
            }
            _ => None,
        };
        let mut this = Self {
            plan: plan.clone(),
            step,
            metrics,
            worker,
            bodies,
            live,
            origins: Vec::new(),
            matcher: Matcher::of(spec, plan.frames[plan.steps[step].frame].paths.len()),
            body: Vec::new(),
        };
        this.gauge();
        this
    }

    fn parts(&self) -> (&Step, &Match) {
        let step = &self.plan.steps[self.step];
        match &step.kind {
            StepKind::Match(spec) => (step, spec),
            _ => unreachable!("the house gives this room match steps only"),
        }
    }

    fn run(&mut self, events: Vec<Event>, now: Micros, made: &mut Made<Event>) {
        let started = Instant::now();
        let plan = self.plan.clone();
        let step = &plan.steps[self.step];
        let StepKind::Match(spec) = &step.kind else { return };
        self.metrics.events_in(events.len() as u64);
        let (results, rejected) = (made.results.len(), made.rejected.len());
        for event in events {
            self.body.clear();
            self.bodies.write(&event, event.layout, &mut self.body);
            let first = made.results.len();
            match self.matcher.apply(spec, &event, &self.body, now, &mut made.results) {
                Ok(()) => {
                    let layout = step.layouts[usize::from(event.layout)];
                    let layout = layout.expect("the plan knows every layout that can reach a step");
                    made.results[first..].iter_mut().for_each(|event| event.layout = layout);
                }
                Err(rejection) => {
                    made.results.truncate(first);
                    made.rejected.push(rejection.at(Stage::Match, &step.name, &self.bodies.origin(&event)));
                }
            }
        }
        self.metrics.events_out((made.results.len() - results) as u64);
        made.rejected[rejected..].iter().for_each(|r| self.metrics.rejected(r.reason, 1));
        self.metrics.add_busy(self.worker, started.elapsed());
    }

    /// Applies an epoch's records in their order, and then what ran out of time.
    fn learn(&mut self, mut records: Vec<(bool, TableRecord)>, watermark: Micros, made: &mut Made<Event>) {
        let plan = self.plan.clone();
        let step = &plan.steps[self.step];
        let (StepKind::Match(spec), Some(live)) = (&step.kind, &mut self.live) else { return };
        let mut changed = !records.is_empty();
        records.sort_by_key(|(_, record)| record.spot());
        for (mine, record) in records {
            let learnt = live.apply(&mut self.matcher, spec, &record);
            // Every worker knows every row; the one that read it speaks of it.
            if let (true, Err(rejection)) = (mine, learnt) {
                self.metrics.rejected(rejection.reason, 1);
                made.rejected.push(rejection.at(Stage::Match, &step.name, &record.record));
            }
        }
        changed |= live.expire(&mut self.matcher, spec, watermark);
        if changed {
            self.gauge();
        }
    }

    fn gauge(&mut self) {
        let index = self.matcher.index();
        let classes = CLASSES.iter().zip(index.classes()).map(|(class, rules)| (class_name(*class), rules as u64));
        self.metrics.set_rules(
            self.worker,
            RuleGauges { rules: index.len() as u64, bytes: index.bytes() as u64, classes: classes.collect() },
        );
    }
}

/// A class of cost as the metric's label says it.
fn class_name(class: Class) -> &'static str {
    match class {
        Class::Keyed => "keyed",
        Class::Text => "text",
        Class::Range => "range",
        Class::Complement => "complement",
        Class::Scan => "scan",
    }
}

/// What there is of live rules: the records of their table as they were read, and what its `ttl` goes by.
pub struct LiveRows<'s> {
    pub records: Edge<'s, TableRecord>,
    pub origins: Vec<Origin>,
}

/// A match step; `rows` is given where its rules are a table's.
pub fn matching<'s>(
    mut matching: MatchStep,
    events: Edge<'s, Event>,
    rows: Option<LiveRows<'s>>,
    clock: Edge<'s, Clock>,
) -> (Edge<'s, Event>, Edge<'s, Rejected>) {
    let (step, spec) = matching.parts();
    let name = step.name.to_string();
    debug_assert_eq!(rows.is_some(), matches!(spec.rules, Rules::Table { .. }));
    match rows {
        None if !step.needs_clock => each(events, &name, move |events, made| matching.run(events, 0, made)),
        None => per_epoch((events, Pipeline), (clock.map(Side::Clock), Pipeline), &name, matching),
        Some(rows) => {
            matching.origins = rows.origins;
            let sides = clock.map(Side::Clock).concat(broadcast(rows.records));
            per_epoch((events, Pipeline), (sides, Pipeline), &name, matching)
        }
    }
}

/// What an epoch's events wait for.
#[derive(Clone)]
enum Side {
    /// A record of the rules' table, and whether this worker read it.
    Record(bool, TableRecord),
    Clock(Clock),
}

/// Every worker hears every record.
fn broadcast<'s>(records: Edge<'s, TableRecord>) -> Edge<'s, Side> {
    let here = records.scope().index();
    let records = records.map(move |record| (here, record)).broadcast();
    records.map(move |(from, record)| Side::Record(from == here, record))
}

impl PerEpoch<Event, Side, Event> for MatchStep {
    fn close(&mut self, _: Epoch, events: Vec<Event>, sides: Vec<Side>, made: &mut Made<Event>) {
        let (mut records, mut watermark, mut now) = (Vec::new(), Micros::MIN, 0);
        for side in sides {
            match side {
                Side::Record(mine, record) => records.push((mine, record)),
                Side::Clock(clock) => (watermark, now) = (clock.watermark(&self.origins), clock.now),
            }
        }
        self.learn(records, watermark, made);
        self.run(events, now, made);
    }
}
