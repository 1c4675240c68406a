//! Sources and tables of the plan → what reads them on this worker.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::{ProbeHandle, Scope};

use super::house::{House, Input, KafkaPlan, Reading};
use super::steps::SharedFolds;
use super::{Flow, Streams, concat};
use crate::aggregate::Input as FoldInput;
use crate::aggregate::operator::SharedFold;
use crate::epoch::operator::{Bell, Edge, per_epoch};
use crate::epoch::{Epoch, Origin, Report};
use crate::error::{Rejected, Rejection, RunError};
use crate::event::row::TableRecord;
use crate::event::{Event, Micros, Record, Value};
use crate::kafka::Fetch;
use crate::plan::StreamId;
use crate::shape::operator::{Shaper, on_slots};
use crate::source::file_reader::FileInput;
use crate::source::files::Feed;
use crate::source::intake::{Folds, Fused, Intake, Prefix};
use crate::source::kafka::Reader;
use crate::source::line_intake::{FilePlace, LineIntake};
use crate::source::operator::{Intakes, Stamp, decode_lines, files, topics};
use crate::source::pace::{Reins, Wakes};
use crate::source::topic_input::TopicInput;
use crate::source::topic_reader::{Links, Setup, TopicReader};

/// Opened before the graph is built, so that what cannot be opened is an error and no graph.
pub(super) struct Readers {
    files: Vec<FileInput>,
    topics: Option<Topics>,
}

struct Topics {
    reader: Reader,
    bell: Bell,
}

/// What all sources and tables of this worker give.
pub(super) struct Sources<'s> {
    pub events: Vec<Edge<'s, Event>>,
    pub records: Vec<Edge<'s, TableRecord>>,
    pub rejected: Edge<'s, Rejected>,
    pub reports: Edge<'s, Report>,
}

/// Files are read by the first worker of all, topics by each worker for itself.
pub(super) fn open(house: &House, worker: usize) -> Result<Readers, RunError> {
    let mut inputs = Vec::new();
    let mut first = 0;
    for Input { origin, reading } in &house.inputs {
        if let (Reading::Files(paths), 0) = (reading, worker) {
            let wake = house.shares.wake.clone();
            let feed = Feed::open(paths, first, Arc::new(move || wake.wake()))?;
            first += paths.len() as u32;
            inputs.push(FileInput { origin: *origin, feed });
        }
    }
    let open_topics = |kafka: &KafkaPlan| {
        let names: Vec<&str> = kafka.topics.iter().map(|topic| &*topic.name).collect();
        let fetch = Fetch { epoch: house.epoch, one_to_one: house.peers == 1 && kafka.brokers <= 1 };
        let mut reader = Reader::open(&kafka.settings, fetch, &names, &kafka.health)?;
        let bell = Bell::default();
        let ringing = bell.clone();
        reader.on_data(move || ringing.ring());
        Ok::<_, RunError>(Topics { reader, bell })
    };
    let kafka = house.kafka.as_ref().filter(|kafka| !kafka.topics.is_empty());
    Ok(Readers { files: inputs, topics: kafka.map(open_topics).transpose()? })
}

pub(super) fn build<'s>(
    scope: Scope<'s, Epoch>,
    house: &Arc<House>,
    readers: Readers,
    probe: &ProbeHandle<Epoch>,
    wakes: &Wakes,
    closed: &Rc<Cell<Epoch>>,
    folds: &SharedFolds,
) -> Sources<'s> {
    let delivered = probe.clone();
    let local = scope.index() % house.workers;
    let reins = Reins {
        stopping: house.stop.is_requested.clone(),
        fail: house.fail.clone(),
        give_up: house.give_up.clone(),
        delivered: Rc::new(move |epoch| !delivered.less_equal(&epoch)),
        epoch: house.epoch,
        open_bytes: house.open_bytes.clone(),
        limits: house.plan.limits,
        telemetry: house.telemetry.clone(),
        worker: local,
        wakes: wakes.clone(),
        closed: closed.clone(),
    };
    let mut parts = Vec::new();
    let mut reports = Vec::new();
    if house.reads_files() {
        let (lines, file_reports) =
            files(scope, readers.files, house.epoch_records, !house.wall_clock, reins.clone(), &house.shares);
        reports.push(file_reports);
        let intake = line_intake(house, folds, local);
        parts.push(decode_lines(lines, house.plan.clone(), intake, house.shares.clone(), local));
    }
    if let Some(Topics { reader, bell }) = readers.topics {
        let wake = bell.wake.clone();
        let reader = topic_reader(house, (reader, bell), &reins, intakes(house, false, folds, local), scope.index());
        parts.push(topics(scope, &house.plan, Some(reader), wake, &reins));
    }
    merge(scope, house, parts, reports)
}

fn merge<'s>(
    scope: Scope<'s, Epoch>,
    house: &House,
    parts: Vec<Intakes<'s>>,
    mut reports: Vec<Edge<'s, Report>>,
) -> Sources<'s> {
    let mut events: Vec<Vec<_>> = house.plan.sources.iter().map(|_| Vec::new()).collect();
    let mut records: Vec<Vec<_>> = house.plan.tables.iter().map(|_| Vec::new()).collect();
    let mut rejected = Vec::new();
    for part in parts {
        events.iter_mut().zip(part.events).for_each(|(all, one)| all.push(one));
        records.iter_mut().zip(part.records).for_each(|(all, one)| all.push(one));
        rejected.push(part.rejected);
        reports.push(part.reports);
    }
    Sources {
        events: events.into_iter().map(|streams| concat(scope, streams)).collect(),
        records: records.into_iter().map(|streams| concat(scope, streams)).collect(),
        rejected: concat(scope, rejected),
        reports: concat(scope, reports),
    }
}

fn intakes(house: &House, of_files: bool, folds: &SharedFolds, local: usize) -> Vec<Intake> {
    let mine = house.inputs.iter().filter(|input| matches!(input.reading, Reading::Files(_)) == of_files);
    let intake = |input: &Input| {
        let name = house.origin_name(input.origin);
        let intake = Intake::new(&house.plan, input.origin, !of_files, house.telemetry.source(&name), local);
        match input.origin {
            Origin::Source(index) => intake.with(fused(house, index, folds, local)),
            Origin::Table(_) => intake,
        }
    };
    mine.map(intake).collect()
}

/// What runs where a source is decoded.
fn fused(house: &House, source: usize, folds: &SharedFolds, local: usize) -> Fused {
    let fold = house.fold(source).map(|step| Box::new(folds[&step].clone()) as _);
    Fused::new(prefix(house, source, local), fold)
}

/// An aggregate's fold, as a source sees it.
impl Folds for SharedFold {
    fn step(&self) -> Arc<str> {
        self.name()
    }

    fn needs_record(&self) -> bool {
        SharedFold::needs_record(self)
    }

    fn add(&mut self, epoch: Epoch, time: Micros, slots: &[Value], record: &Record) -> Result<(), Rejection> {
        SharedFold::add(self, epoch, FoldInput { time, slots, position: &[], record, shared: None })
    }

    fn count(&mut self, busy: Duration) {
        SharedFold::count(self, busy);
    }
}

/// The step that runs there.
fn prefix(house: &House, source: usize, local: usize) -> Option<Prefix> {
    let step = house.prefix(source)?;
    let name = house.plan.steps[step].name.clone();
    let metrics = house.telemetry.step(&name);
    let on_slots = Rc::new(on_slots(Shaper { plan: house.plan.clone(), step, metrics, worker: local })?);
    let counting = on_slots.clone();
    Some(Prefix {
        step: name,
        layout: on_slots.layout,
        needs_record: on_slots.reads_bytes,
        apply: Box::new(move |slots, record| on_slots.apply(slots, record)),
        count: Box::new(move |events_in, events_out, busy| counting.count(events_in, events_out, busy)),
    })
}

fn line_intake(house: &Arc<House>, folds: &SharedFolds, local: usize) -> LineIntake {
    let mut places = Vec::new();
    for Input { origin, reading } in &house.inputs {
        let Reading::Files(paths) = reading else { continue };
        for partition in 0..paths.len() {
            let topic = house.topic_name(*origin);
            places.push(FilePlace { origin: *origin, partition: partition as i32, topic });
        }
    }
    LineIntake { files: places, intakes: intakes(house, true, folds, local), records: house.record_lines }
}

fn topic_reader(
    house: &Arc<House>,
    (reader, bell): (Reader, Bell),
    reins: &Reins,
    intakes: Vec<Intake>,
    worker: usize,
) -> TopicReader {
    let kafka = house.kafka.as_ref().expect("there is a reader only with Kafka");
    let topics = kafka.topics.iter().map(|topic| {
        let origins = topic.origins.iter().map(|origin| (*origin, house.topic_number(*origin, &topic.name)));
        // A copy, as in `House::topic_name`.
        TopicInput { name: Arc::from(&*topic.name), origins: origins.collect(), partitions: topic.partitions.clone() }
    });
    let topics: Vec<TopicInput> = topics.collect();
    TopicReader::new(Setup {
        plan: house.plan.clone(),
        reader,
        bell,
        topics,
        intakes,
        links: links(house, reins.worker),
        reins: reins.clone(),
        worker,
        peers: house.peers,
        until_caught_up: kafka.until_caught_up,
    })
}

fn links(house: &Arc<House>, local: usize) -> Links {
    let (discovering, delivering, lagging, ageing) = (house.clone(), house.clone(), house.clone(), house.clone());
    Links {
        partitions: Box::new(move |topic| {
            let kafka = discovering.kafka.as_ref();
            kafka.and_then(|kafka| kafka.discovery.as_ref()).map_or(0, |discovery| discovery.partitions(topic))
        }),
        delivered: Box::new(move |offsets| {
            if let Some(progress) = delivering.kafka.as_ref().and_then(|kafka| kafka.progress.as_ref()) {
                progress.commit(offsets);
            }
        }),
        lag: Box::new(move |topic, partition, lag| {
            let Some(topic) = lagging.kafka.as_ref().and_then(|kafka| kafka.topics.get(topic)) else { return };
            for origin in &topic.origins {
                let source = lagging.telemetry.source(&lagging.origin_name(*origin));
                source.set_lag(&topic.name, partition, lag);
            }
        }),
        age: Box::new(move |origin, seconds| {
            ageing.telemetry.source(&ageing.origin_name(origin)).set_lag_seconds(local, Some(seconds));
        }),
    }
}

impl<'s> Streams<'s> {
    /// Events of files may have no time of their own: they get their epoch's.
    pub(super) fn add_sources(&mut self, events: Vec<Edge<'s, Event>>) {
        for (index, events) in events.into_iter().enumerate() {
            let events = match self.house.is_untimed(index) {
                true => per_epoch((events, Pipeline), (self.clock.clone(), Pipeline), "stamp", Stamp).0,
                false => events,
            };
            self.flows.insert(StreamId::Source(index), Flow::Append(events));
        }
    }
}
