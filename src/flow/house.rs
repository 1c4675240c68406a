//! What all workers of a process share: the plan and how this run connects it to the world.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::emit::files::WriteLine;
use crate::emit::sinks::Route;
use crate::epoch::{Epoch, Origin};
use crate::error::RunError;
use crate::kafka::{self, Discovery, Limits, Progress, Settings};
use crate::plan::{Plan, StepKind, StreamId};
use crate::shape::Program;
use crate::source::pace::OpenBytes;
use crate::source::shares::Shares;
use crate::telemetry::Telemetry;

/// Everything a worker needs to build and run its part.
pub struct House {
    pub plan: Arc<Plan>,
    pub telemetry: Arc<Telemetry>,
    /// Worker threads of this process, and of the whole job.
    pub workers: usize,
    pub peers: usize,
    /// The number of this process's first worker among all.
    pub first_worker: usize,
    pub epoch: Duration,
    /// Is a source or table a topic? Then epochs go by the wall clock, else they count.
    pub wall_clock: bool,
    /// Per source, then per table.
    pub inputs: Vec<Input>,
    pub epoch_records: usize,
    /// Do lines hold whole records, or values?
    pub record_lines: bool,
    /// Per output, dead letters last.
    pub routes: Vec<Route>,
    pub files: Vec<Output>,
    pub kafka: Option<KafkaPlan>,
    pub open_bytes: OpenBytes,
    pub shares: Arc<Shares>,
    pub stop: Stopper,
    pub fail: Arc<dyn Fn(RunError) + Send + Sync>,
    /// Ends this process, if it is the only one, without delivering what is open.
    pub give_up: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Set once too many records were rejected: the last epoch that is delivered, and why.
    pub last: OnceLock<(Epoch, String)>,
}

/// One source or table and where it is read.
pub struct Input {
    pub origin: Origin,
    pub reading: Reading,
}

pub enum Reading {
    Files(Vec<String>),
    /// Topics, by their numbers among the reader's.
    Topics(Vec<usize>),
}

/// A file to write.
pub struct Output {
    pub path: String,
    pub write_line: WriteLine,
}

/// The Kafka side of a run, found out before workers start.
pub struct KafkaPlan {
    pub settings: Settings,
    pub health: kafka::Health,
    /// Topics that are read, sources' and tables'.
    pub topics: Vec<TopicPlan>,
    /// How many brokers served them at start.
    pub brokers: usize,
    /// Delivery topics and their partitions.
    pub delivery: Vec<(Arc<str>, i32)>,
    /// What the delivery topics take.
    pub limits: Limits,
    pub discovery: Option<Discovery>,
    pub progress: Option<Progress>,
    pub until_caught_up: bool,
}

/// A topic that is read.
pub struct TopicPlan {
    pub name: Arc<str>,
    pub origins: Vec<Origin>,
    /// Where each partition begins, and its end when the job started.
    pub partitions: Vec<(i64, i64)>,
}

/// Asks a process to stop, and knows whether it was asked.
#[derive(Clone)]
pub struct Stopper {
    pub is_requested: Arc<dyn Fn() -> bool + Send + Sync>,
    pub request: Arc<dyn Fn() + Send + Sync>,
}

impl Stopper {
    /// Another process was asked to stop: this one follows.
    pub fn request_from_peer(&self) {
        if !(self.is_requested)() {
            (self.request)();
        }
    }
}

impl House {
    pub fn stream_name(&self, id: StreamId) -> Arc<str> {
        match id {
            StreamId::Source(index) => self.plan.sources[index].name.clone(),
            StreamId::Table(index) => self.plan.tables[index].name.clone(),
            StreamId::Step(index) => self.plan.steps[index].name.clone(),
        }
    }

    pub fn origin_name(&self, origin: Origin) -> Arc<str> {
        match origin {
            Origin::Source(index) => self.plan.sources[index].name.clone(),
            Origin::Table(index) => self.plan.tables[index].name.clone(),
        }
    }

    fn topics(&self, origin: Origin) -> &[Arc<str>] {
        match origin {
            Origin::Source(index) => &self.plan.sources[index].topics,
            Origin::Table(index) => &self.plan.tables[index].topics,
        }
    }

    pub fn reads_files(&self) -> bool {
        self.inputs.iter().any(|input| matches!(input.reading, Reading::Files(_)))
    }

    /// The topic that records of a file seem to be of. Every record counts itself in as a reader of the name, so each
    /// worker has a copy: one count that all of them change would travel between their caches.
    pub fn topic_name(&self, origin: Origin) -> Arc<str> {
        self.topics(origin).first().map(|topic| Arc::from(&**topic)).unwrap_or_default()
    }

    /// A topic's number in the list of the source (or table) that reads it.
    pub fn topic_number(&self, origin: Origin, topic: &str) -> u32 {
        self.topics(origin).iter().position(|name| **name == *topic).unwrap_or(0) as u32
    }

    /// The step that reads a stream, if nothing else does.
    fn only_reader(&self, stream: StreamId) -> Option<usize> {
        let mut readers = (0..self.plan.steps.len()).filter(|step| self.plan.steps[*step].inputs.contains(&stream));
        let (Some(only), None) = (readers.next(), readers.next()) else { return None };
        let read_elsewhere = self.plan.outputs.iter().any(|output| output.from.contains(&stream));
        (!read_elsewhere && self.plan.steps[only].inputs == [stream]).then_some(only)
    }

    /// The one step that reads this source, if it can run where the source is decoded.
    pub fn prefix(&self, source: usize) -> Option<usize> {
        let only = self.only_reader(StreamId::Source(source))?;
        let step = &self.plan.steps[only];
        let shapes = Program::new(step).is_some_and(|program| program.is_plain());
        (shapes && !step.needs_clock && !step.changing).then_some(only)
    }

    /// The aggregate that can fold a source's events where they are decoded: it alone reads them, or what the
    /// source's prefix makes of them, and they have their time by then.
    pub fn fold(&self, source: usize) -> Option<usize> {
        let only = self.only_reader(self.prefix(source).map_or(StreamId::Source(source), StreamId::Step))?;
        let step = &self.plan.steps[only];
        let folds = matches!(step.kind, StepKind::Aggregate(_)) && !step.needs_clock;
        (folds && !self.is_untimed(source)).then_some(only)
    }

    /// Do the source's events get their time only when their epoch ends? Lines of files may have none of their own.
    pub fn is_untimed(&self, source: usize) -> bool {
        let mine = |input: &&Input| input.origin == Origin::Source(source);
        let from_files = self.inputs.iter().find(mine).is_some_and(|input| matches!(input.reading, Reading::Files(_)));
        from_files && self.plan.sources[source].decode.time.is_none()
    }

    /// The sources that a stream comes from, in the end: whose watermarks count for it.
    pub fn origins(&self, stream: StreamId) -> Vec<Origin> {
        let mut origins = match stream {
            StreamId::Source(index) => vec![Origin::Source(index)],
            StreamId::Table(index) => vec![Origin::Table(index)],
            StreamId::Step(index) => {
                let inputs = &self.plan.steps[index].inputs;
                inputs.iter().flat_map(|input| self.origins(*input)).collect()
            }
        };
        origins.sort();
        origins.dedup();
        origins
    }
}
