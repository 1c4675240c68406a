//! Steps of the plan → operators of their rooms.

use std::collections::BTreeMap;

use timely::dataflow::ProbeHandle;
use timely::dataflow::operators::Probe;

use super::house::House;
use super::{Flow, Streams};
use crate::aggregate::operator::{self as aggregate, AggregateStep, SharedFold};
use crate::epoch::operator::Edge;
use crate::event::{Change, Event};
use crate::matching::operator::{MatchStep, matching};
use crate::plan::{Rules, ShapeOp, Step, StepKind, StreamId};
use crate::shape::operator::{Shaper, shape, shape_changes, shape_with_lookups};

/// The folds of a worker's aggregates, by step.
pub(super) type SharedFolds = BTreeMap<usize, SharedFold>;

/// Made before the sources, which may fold where they decode.
pub(super) fn folds(house: &House, local: usize) -> SharedFolds {
    let steps = house.plan.steps.iter().enumerate();
    let aggregates = steps.filter(|(_, step)| matches!(step.kind, StepKind::Aggregate(_)));
    let fold = |(index, step): (usize, &Step)| {
        let step = AggregateStep {
            plan: house.plan.clone(),
            step: index,
            metrics: house.telemetry.step(&step.name),
            worker: local,
            origins: house.origins(StreamId::Step(index)),
        };
        (index, SharedFold::new(step))
    };
    aggregates.map(fold).collect()
}

impl<'s> Streams<'s> {
    pub(super) fn add_steps(&mut self) {
        let plan = self.house.plan.clone();
        for (index, step) in plan.steps.iter().enumerate() {
            if let [StreamId::Source(source)] = step.inputs[..]
                && self.house.prefix(source) == Some(index)
            {
                // It has run where the source is decoded.
                let flow = self.flows[&StreamId::Source(source)].clone();
                self.flows.insert(StreamId::Step(index), flow);
                continue;
            }
            let flow = match &step.kind {
                StepKind::Shape(ops) => self.shape(index, ops),
                StepKind::Match(spec) => {
                    let rows = match &spec.rules {
                        Rules::Table { table, .. } => Some(self.rule_rows(*table)),
                        Rules::File(_) => None,
                    };
                    let metrics = self.house.telemetry.step(&step.name);
                    let step = MatchStep::new(&self.house.plan, index, metrics, self.local());
                    let (events, rejected) = matching(step, self.append(index), rows, self.clock.clone());
                    self.rejected.push(rejected);
                    Flow::Append(events)
                }
                StepKind::Aggregate(spec) => self.aggregate(index, spec.window.is_some()),
            };
            let probe = ProbeHandle::new();
            let flow = match flow {
                Flow::Append(events) => Flow::Append(events.probe_with(&probe)),
                Flow::Changing(changes) => Flow::Changing(changes.probe_with(&probe)),
            };
            self.stages.push((step.name.clone(), probe));
            self.flows.insert(StreamId::Step(index), flow);
        }
    }

    /// This worker among those of its process.
    pub(super) fn local(&self) -> usize {
        self.worker % self.house.workers
    }

    fn shape(&mut self, index: usize, ops: &[ShapeOp]) -> Flow<'s> {
        let step = &self.house.plan.steps[index];
        let metrics = self.house.telemetry.step(&step.name);
        let shaper = Shaper { plan: self.house.plan.clone(), step: index, metrics, worker: self.local() };
        let clock = self.clock.clone();
        if step.changing {
            let (changes, rejected) = shape_changes(shaper, self.changing(index), clock);
            self.rejected.push(rejected);
            return Flow::Changing(changes);
        }
        let tables: Vec<StreamId> =
            ops.iter().filter_map(|op| if let ShapeOp::Lookup(l) = op { Some(l.table) } else { None }).collect();
        let input = self.append(index);
        if tables.is_empty() {
            let (events, rejected) = shape(shaper, input, clock);
            self.rejected.push(rejected);
            return Flow::Append(events);
        }
        let name = step.name.to_string();
        let arranged: Vec<_> = tables.into_iter().map(|table| self.arranged(table)).collect();
        let mut answer = |asking, lookup: usize| {
            crate::table::operator::lookup(asking, &arranged[lookup], &format!("{name}: lookup"))
        };
        let (events, rejected) = shape_with_lookups(shaper, input, clock, &mut answer);
        self.rejected.extend(rejected);
        Flow::Append(events)
    }

    fn aggregate(&mut self, index: usize, windowed: bool) -> Flow<'s> {
        let (fold, input, clock) = (self.folds[&index].clone(), self.append(index), self.clock.clone());
        if windowed {
            let (events, rejected) = aggregate::windows(fold, input, clock);
            self.rejected.push(rejected);
            Flow::Append(events)
        } else {
            let (changes, rejected) = aggregate::rows(fold, input, clock);
            self.rejected.push(rejected);
            Flow::Changing(changes)
        }
    }

    fn append(&self, index: usize) -> Edge<'s, Event> {
        let inputs = &self.house.plan.steps[index].inputs;
        self.append_of(inputs)
    }

    /// All of these append streams in one.
    pub(super) fn append_of(&self, inputs: &[StreamId]) -> Edge<'s, Event> {
        let events = inputs.iter().map(|input| match &self.flows[input] {
            Flow::Append(events) => events.clone(),
            Flow::Changing(_) => unreachable!("the plan gives append streams to steps that need them"),
        });
        self.concat(events.collect())
    }

    fn changing(&self, index: usize) -> Edge<'s, Change> {
        self.changing_of(&self.house.plan.steps[index].inputs)
    }

    pub(super) fn changing_of(&self, inputs: &[StreamId]) -> Edge<'s, Change> {
        let changes = inputs.iter().map(|input| match &self.flows[input] {
            Flow::Changing(changes) => changes.clone(),
            Flow::Append(_) => unreachable!("the plan gives changing collections to steps over them"),
        });
        self.concat(changes.collect())
    }
}
