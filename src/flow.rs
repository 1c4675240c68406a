//! The rooms in order: the one file (with its folder) that knows them all.
//!
//! A plan is walked in data order; every source, table and step becomes a stream, found by its number
//! when a later step reads it. What steps reject flows together to the dead letters. At the end of everything stands
//! one probe: where it has passed an epoch, all of the epoch is delivered.

mod house;
mod outputs;
mod rejections;
mod sources;
mod steps;
mod tables;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::operators::{Concatenate, Probe};
use timely::dataflow::{ProbeHandle, Scope};
use timely::worker::Worker;

pub use house::{House, Input, KafkaPlan, Output, Reading, Stopper, TopicPlan};

use crate::epoch::operator::{Edge, Hearing, clock};
use crate::epoch::{Clock, Epoch, Pace};
use crate::error::{Rejected, RunError};
use crate::event::{Change, Event, Micros};
use crate::plan::StreamId;
use crate::source::pace::Wakes;
use steps::SharedFolds;
use tables::Table;

/// A stream of results, of one of the two kinds.
#[derive(Clone)]
enum Flow<'s> {
    Append(Edge<'s, Event>),
    Changing(Edge<'s, Change>),
}

/// What has been built so far, on one worker.
struct Streams<'s> {
    house: Arc<House>,
    scope: Scope<'s, Epoch>,
    worker: usize,
    clock: Edge<'s, Clock>,
    folds: SharedFolds,
    flows: BTreeMap<StreamId, Flow<'s>>,
    /// Tables, and aggregates that are read as tables.
    tables: BTreeMap<StreamId, Table<'s>>,
    rejected: Vec<Edge<'s, Rejected>>,
    stages: Vec<(Arc<str>, ProbeHandle<Epoch>)>,
}

/// The graph of one worker, from outside.
pub struct Running {
    /// It passes an epoch when all of it is delivered.
    pub probe: ProbeHandle<Epoch>,
    /// Sources, to be scheduled when something was delivered.
    pub sources: Wakes,
    /// How far the epochs' ends and each step have come, in data order.
    stages: Vec<(Arc<str>, ProbeHandle<Epoch>)>,
}

impl Running {
    /// The step that holds the oldest open epoch back: the first that has not passed it. `None` while it is read.
    pub fn held_by(&self) -> Option<Arc<str>> {
        let oldest = self.probe.with_frontier(|frontier| frontier.first().copied())?;
        let (_, read) = self.stages.first()?;
        if read.less_equal(&oldest) {
            return None;
        }
        let behind = self.stages.iter().find(|(_, probe)| probe.less_equal(&oldest));
        Some(behind.map_or_else(|| "deliver".into(), |(name, _)| name.clone()))
    }
}

/// Builds the whole graph on one worker.
pub fn build(worker: &mut Worker, house: &Arc<House>) -> Result<Running, RunError> {
    let (probe, wakes, closed) = (ProbeHandle::new(), Wakes::default(), Rc::default());
    let index = worker.index();
    let readers = sources::open(house, index)?;
    let sinks = outputs::open(house, index)?;
    let mut stages = Vec::new();
    worker.dataflow_named("tidemill", |scope| {
        let folds = steps::folds(house, index % house.workers);
        let sources::Sources { events, records, rejected, reports } =
            sources::build(scope, house, readers, &probe, &wakes, &closed, &folds);
        let paces: Vec<Pace> = house.plan.sources.iter().map(|s| Pace { lateness: s.lateness, idle: s.idle }).collect();
        let table_paces: Vec<Pace> =
            house.plan.tables.iter().map(|t| Pace { lateness: t.lateness, idle: t.idle }).collect();
        let stop = house.stop.clone();
        let stopping = move || stop.request_from_peer();
        let waking = wakes.clone();
        let several = house.peers > 1 || house.wall_clock && house.reads_files();
        let heard = move |epoch| {
            if several && epoch > closed.get() {
                closed.set(epoch);
                waking.borrow().iter().for_each(|wake| wake());
            }
        };
        let clock =
            clock(reports, house.wall_clock, &paces, &table_paces, Hearing { stopping, heard, told: watch(house) });
        let read = ProbeHandle::new();
        let clock = clock.probe_with(&read);
        let (flows, tables) = (BTreeMap::new(), BTreeMap::new());
        let house = house.clone();
        let (rejected, none) = (vec![rejected], Vec::new());
        let mut streams = Streams { house, scope, worker: index, clock, folds, flows, tables, rejected, stages: none };
        streams.add_sources(events);
        streams.add_tables(records);
        streams.add_steps();
        stages = std::mem::take(&mut streams.stages);
        stages.insert(0, ("read".into(), read));
        let outgoing = streams.outgoing();
        outputs::deliver(&streams, outgoing, sinks).probe_with(&probe);
    });
    Ok(Running { probe, sources: wakes, stages })
}

/// All of these streams in one.
fn concat<'s, D: Clone + 'static>(scope: Scope<'s, Epoch>, streams: Vec<Edge<'s, D>>) -> Edge<'s, D> {
    match <[Edge<'s, D>; 1]>::try_from(streams) {
        Ok([one]) => one,
        Err(streams) => scope.concatenate(streams),
    }
}

/// Shows how far the watermarks of sources lie behind the wall clock.
fn watch(house: &Arc<House>) -> impl FnMut(&Clock) + use<> {
    let counters: Vec<_> = house.plan.sources.iter().map(|source| house.telemetry.source(&source.name)).collect();
    let wall_clock = house.wall_clock;
    move |clock| {
        for (counter, watermark) in counters.iter().zip(&clock.watermarks) {
            let known = wall_clock && ![Micros::MIN, Micros::MAX].contains(&watermark.at);
            counter.set_watermark_lag(known.then(|| (clock.now - watermark.at).max(0) as f64 / 1e6));
        }
    }
}

impl<'s> Streams<'s> {
    fn concat<D: Clone + 'static>(&self, streams: Vec<Edge<'s, D>>) -> Edge<'s, D> {
        concat(self.scope, streams)
    }
}
