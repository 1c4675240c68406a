//! Outputs of the plan and dead letters → records on their way, and the operator at the end of the graph.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::vec::{Broadcast, Map};
use timely::dataflow::operators::{Capability, Operator};

use super::Streams;
use super::house::{House, Output};
use super::rejections::Rejections;
use crate::emit::deliver::{Deliverer, Done, Letters, Outgoing};
use crate::emit::encoder::Encoder;
use crate::emit::files::FileOut;
use crate::emit::letters::DeadLetters;
use crate::emit::operator::{self as emit, Emitter, News};
use crate::emit::sinks::{Route, Sinks};
use crate::emit::standing::Standing;
use crate::emit::topics::Topics;
use crate::epoch::operator::{Bell, Edge, each, per_epoch};
use crate::epoch::{self, Epoch};
use crate::error::{Rejected, RunError, Stage};
use crate::plan;
use crate::telemetry::OutputMetrics;

/// Opened before the graph is built.
pub(super) struct Sink {
    sinks: Sinks<Topics>,
    bell: Bell,
}

/// Files are written by the first worker of all; each worker has a producer of its own.
pub(super) fn open(house: &House, worker: usize) -> Result<Sink, RunError> {
    let bell = Bell::default();
    let open = |file: &Output| FileOut::create(&file.path, file.write_line);
    let files = match worker {
        0 => house.files.iter().map(open).collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    let kafka = house.kafka.as_ref().filter(|kafka| !kafka.delivery.is_empty());
    let producer = kafka.map(|kafka| {
        let names: Vec<&str> = kafka.delivery.iter().map(|(name, _)| &**name).collect();
        let ringing = bell.clone();
        Topics::open(&kafka.settings, &names, &kafka.limits, &kafka.health, move || ringing.ring())
    });
    Ok(Sink { sinks: Sinks::new(house.routes.clone(), files, producer.transpose()?), bell })
}

impl House {
    /// Partitions of an output's topic; 1 where it is no topic.
    fn partitions(&self, output: usize) -> i32 {
        match (self.routes[output], &self.kafka) {
            (Route::Topic(topic), Some(kafka)) => kafka.delivery[topic].1,
            _ => 1,
        }
    }
}

impl<'s> Streams<'s> {
    /// All records that leave, of all outputs and dead letters; and what must be known before they do.
    pub(super) fn outgoing(&mut self) -> (Edge<'s, Outgoing>, Edge<'s, News>) {
        let plan = self.house.plan.clone();
        let (mut all, mut news) = (Vec::new(), Vec::new());
        for (index, output) in plan.outputs.iter().enumerate() {
            let encoder = Encoder::new(&plan, index, self.house.partitions(index));
            let metrics = self.house.telemetry.step(&step_name(output));
            let mut emitter = Emitter::new(encoder, metrics.clone(), self.local());
            let clock = self.clock.clone();
            let name = format!("{}: encode", output.name);
            let (records, rejected) = if output.changing {
                let changes = self.changing_of(&output.from);
                match output.needs_clock {
                    true => per_epoch((changes, Pipeline), (clock, Pipeline), &name, emitter),
                    false => each(changes, &name, move |changes, made| emitter.changes(changes, 0, made)),
                }
            } else {
                let events = self.append_of(&output.from);
                match output.needs_clock {
                    true => per_epoch((events, Pipeline), (clock, Pipeline), &name, emitter),
                    false => each(events, &name, move |events, made| emitter.events(events, 0, made)),
                }
            };
            self.rejected.push(rejected);
            let records = match output.shared_keys {
                true => {
                    let (by_key, standing) = (Exchange::new(Standing::route), Standing::new(metrics, self.local()));
                    let name = format!("{}: keys", output.name);
                    per_epoch((records, by_key), (self.clock.clone(), Pipeline), &name, standing).0
                }
                false => records,
            };
            match self.house.routes[index] {
                Route::Nowhere => {
                    news.push(emit::count(records, move |records| News::Counted((index as u16, records))));
                }
                Route::Topic(_) | Route::File(_) => all.push(records),
            }
        }
        let rejected = self.concat(self.rejected.clone());
        all.push(self.letters(rejected.clone()));
        let rejections = emit::count(rejected, News::Rejected);
        news.push(if self.house.peers > 1 { rejections.broadcast() } else { rejections });
        news.push(self.clock.clone().map(|clock| News::Read(clock.read)));
        (self.concat(all), self.concat(news))
    }

    /// Rejected events as records, counted.
    fn letters(&self, rejected: Edge<'s, Rejected>) -> Edge<'s, Outgoing> {
        let letters = self.dead_letters();
        let house = self.house.clone();
        rejected.unary(Pipeline, "dead letters", move |_, _| {
            move |input, output| {
                input.for_each(|time, rejected| {
                    let mut session = output.session(&time);
                    for rejected in rejected.drain(..) {
                        house.telemetry.dead_letters().add(rejected.stage, rejected.reason, 1);
                        // A table's records are rejected where they are decoded, before they come to the table's step.
                        if rejected.stage == Stage::Table {
                            house.telemetry.step(&rejected.step).rejected(rejected.reason, 1);
                        }
                        session.give(letters.letter(&rejected));
                    }
                });
            }
        })
    }

    fn dead_letters(&self) -> DeadLetters {
        let number = self.house.plan.outputs.len();
        DeadLetters::new(&self.house.plan, number as u16, self.house.partitions(number))
    }
}

/// The step that an output is to the counters. Outputs are a name space of their own: `spend` may well be the aggregate
/// that it writes.
fn step_name(output: &plan::Output) -> String {
    format!("emit.{}", output.name)
}

/// The end of the graph.
pub(super) fn deliver<'s>(
    streams: &Streams<'s>,
    (outgoing, news): (Edge<'s, Outgoing>, Edge<'s, News>),
    sink: Sink,
) -> Edge<'s, ()> {
    let house = streams.house.clone();
    let plan = &house.plan;
    let directions = |output: &plan::Output| output.order.iter().map(|(_, direction)| *direction).collect();
    let outputs = plan.outputs.iter().map(|output| (output.name.clone(), directions(output))).collect();
    let deliverer = Deliverer::new(sink.sinks, streams.dead_letters(), outputs);
    let counters: Vec<Arc<OutputMetrics>> =
        plan.outputs.iter().map(|output| house.telemetry.output(&output.name)).collect();
    let (worker, wall_clock) = (streams.local(), house.wall_clock);
    let steps: Vec<_> = plan.outputs.iter().map(|output| house.telemetry.step(&step_name(output))).collect();
    let telemetry = house.telemetry.clone();
    let delivered = move |done: &Done<Capability<Epoch>>, since: Instant| {
        for ((output, reason), records) in &done.refused {
            steps[usize::from(*output)].rejected(*reason, *records);
            telemetry.dead_letters().add(Stage::Emit, *reason, *records);
        }
        for (output, records) in &done.tally {
            let Some(counter) = counters.get(usize::from(*output)) else { continue };
            counter.delivered(worker, *records);
            // Epochs that go by the wall clock are numbered by their opening: the first record was read then.
            let latency = match wall_clock {
                true => std::time::Duration::from_micros((epoch::wall_clock() as u64).saturating_sub(done.epoch)),
                false => since.elapsed(),
            };
            counter.event_latency(worker, latency, *records);
        }
    };
    let routes = house.routes.clone();
    let route = move |item: &Outgoing| match routes[usize::from(item.output)] {
        Route::Topic(topic) => (topic as u64).wrapping_mul(7).wrapping_add(item.partition as u64),
        // Files have one writer, so that they are the same at any number of workers.
        Route::File(_) | Route::Nowhere => 0,
    };
    let rejections = Rc::new(RefCell::new(Rejections::new(plan.limits.rejected)));
    let (judge, judged) = (rejections.clone(), house.clone());
    let hooks = emit::Hooks {
        read: Box::new(move |epoch, read, rejected| rejections.borrow_mut().add(epoch, read, rejected)),
        may_leave: Box::new(move |epoch| {
            let mut rejections = judge.borrow_mut();
            let may_leave = rejections.judge(epoch);
            if let Some(last) = rejections.last() {
                judged.last.get_or_init(|| last.clone());
            }
            may_leave
        }),
        fail: house.fail.clone(),
        delivered: Box::new(delivered),
    };
    emit::deliver(outgoing, news, route, deliverer, sink.bell, hooks)
}
