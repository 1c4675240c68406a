//! Reading a worker's partitions between two epochs: tables first, then sources, then whatever is new.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::arrived::Arrived;
use super::intake::{Batch, Intake};
use super::kafka::{Position, RawRecord, Reader, owner};
use super::looks::{BUSY, Looks};
use super::oldest::{Oldest, age};
use super::pace::{HALF_READ, OpenEpochs, Reins};
use super::topic_input::TopicInput;
use crate::epoch::operator::Bell;
use crate::epoch::{Epoch, Origin, Report, wall_clock};
use crate::error::RunError;
use crate::event::Micros;
use crate::event::block::Block;
use crate::plan::Plan;

/// Records handed on at a time: enough to spread the cost of a call, few enough to stay in the caches.
const CHUNK: usize = BUSY;
/// With so many records waiting at the brokers a worker has a backlog: one epoch more would not take them in.
const BACKLOG: i64 = 4 * CHUNK as i64;
/// How often lag and new partitions are looked at.
const LOOK_AROUND: Micros = 1_000_000;

/// Offsets of the next records, by topic and partition.
pub type Offsets = BTreeMap<(Arc<str>, i32), i64>;

/// What an epoch leaves to be done when it is delivered, and how old it is until then.
pub struct Settle {
    offsets: Offsets,
    oldest: Oldest,
}

/// What the house does for a reader.
pub struct Links {
    /// How many partitions a topic has now, by its number.
    pub partitions: Box<dyn Fn(usize) -> i32>,
    /// These offsets are delivered.
    pub delivered: Box<dyn Fn(Offsets)>,
    /// The lag of a partition (records), for the counters.
    pub lag: Box<dyn Fn(usize, i32, Option<u64>)>,
    /// How old the oldest record is that was read and is not delivered (seconds), of a source or table.
    pub age: Box<dyn Fn(Origin, f64)>,
}

/// The partitions of one worker.
pub struct TopicReader {
    plan: Arc<Plan>,
    reader: Reader,
    topics: Vec<TopicInput>,
    intakes: Vec<Intake>,
    /// Topic → indices of intakes, with the topic's number in their list.
    readers: Vec<Vec<(usize, u32)>>,
    links: Links,
    reins: Reins,
    looks: Looks,
    worker: usize,
    peers: usize,
    until_caught_up: bool,
    pub open: OpenEpochs<Option<Settle>>,
    phase: Phase,
    looked_around: Micros,
    /// What the last epoch that moved any left to be settled.
    told: Offsets,
    pub batch: Batch,
    block: Block,
    /// Of the epoch that is being read.
    oldest: Oldest,
    /// Did a read of this epoch find as much as it asked for?
    found_more: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Tables,
    /// This worker's tables are read; others' may not be.
    TablesDone,
    Sources,
}

pub enum Next {
    /// Come again after this time, or when woken.
    Wait(Duration),
    Again,
    /// The epoch is closed; this is the next.
    Epoch(Epoch),
    End,
}

pub struct Setup {
    pub plan: Arc<Plan>,
    pub reader: Reader,
    /// Rings when records arrive.
    pub bell: Bell,
    pub topics: Vec<TopicInput>,
    pub intakes: Vec<Intake>,
    pub links: Links,
    pub reins: Reins,
    pub worker: usize,
    pub peers: usize,
    pub until_caught_up: bool,
}

impl TopicReader {
    pub fn new(setup: Setup) -> Self {
        let Setup { plan, reader, bell, topics, intakes, links, reins, worker, peers, until_caught_up } = setup;
        let place = |(origin, number): &(Origin, u32)| {
            Some((intakes.iter().position(|intake| intake.origin == *origin)?, *number))
        };
        let readers = topics.iter().map(|topic| topic.origins.iter().filter_map(place).collect()).collect();
        let batch = Batch::new(&plan);
        let looks = Looks::new(reins.epoch, peers == 1, bell, wall_clock());
        let open = OpenEpochs::new(reins.open_bytes.clone(), reins.limits.open_epochs, reins.limits.open_bytes);
        Self {
            plan,
            reader,
            topics,
            intakes,
            readers,
            links,
            reins,
            looks,
            worker,
            peers,
            until_caught_up,
            open,
            phase: Phase::Tables,
            looked_around: 0,
            told: Offsets::new(),
            oldest: Oldest::default(),
            batch,
            block: Block::default(),
            found_more: false,
        }
    }

    /// Begins with the tables. All partitions are announced now, in the first epoch, which every worker ends before any
    /// reads events: a watermark that did not know of a slower worker's partitions would make their events late.
    pub fn start(&mut self) -> Result<(), RunError> {
        let mut all = Vec::new();
        for topic in &self.topics {
            let mine = (0..topic.partitions.len() as i32).filter(|partition| self.owns(topic, *partition));
            mine.for_each(|partition| all.extend(topic.opened(partition)));
        }
        self.batch.reports.append(&mut all);
        self.assign(true)
    }

    /// Does what there is to do now. Records are in `batch` afterwards, of the open epoch.
    pub fn step(&mut self, epoch: Epoch) -> Result<Next, RunError> {
        self.settle();
        let now = wall_clock();
        if self.looks.set_back(now) {
            self.looked_around = now;
        }
        let stopping = (self.reins.stopping)();
        if stopping && self.phase != Phase::Tables {
            self.batch.reports.push(Report::Stopping);
            return Ok(self.end(epoch, now));
        }
        match self.phase {
            Phase::Tables => {
                if stopping && self.reins.gives_up() {
                    return Ok(Next::Wait(HALF_READ));
                }
                let read = self.read(epoch, CHUNK, now)?;
                // A long table is seen to be read.
                self.intakes.iter_mut().for_each(|intake| intake.report(&mut self.batch.reports));
                if self.reached(true) {
                    self.phase = Phase::TablesDone;
                    return Ok(self.close(epoch, now));
                }
                return Ok(if read > 0 { Next::Again } else { Next::Wait(Duration::from_millis(5)) });
            }
            Phase::TablesDone => {
                if !(self.reins.delivered)(0) {
                    return Ok(Next::Wait(Duration::from_millis(5)));
                }
                self.phase = Phase::Sources;
                self.assign(false)?;
            }
            Phase::Sources => {}
        }
        if let Some(time) = self.looks.wait(now, self.open.records) {
            return Ok(Next::Wait(time));
        }
        let mut again = false;
        self.looks.begin(now, self.open.records);
        if self.open.has_room() {
            let room = self.reins.limits.epoch_records.saturating_sub(self.open.records);
            let wanted = CHUNK.min(room);
            again = wanted > 0 && self.read(epoch, wanted, now)? == wanted;
            self.found_more |= again;
        }
        if now - self.looked_around >= LOOK_AROUND {
            self.look_around(now)?;
        }
        if self.until_caught_up && self.reached(false) {
            return Ok(self.end(epoch, now));
        }
        // Where records are expected the tick is near, and they are to leave at it.
        if self.open.records == 0 && !self.looks.expects_more(now) && self.reins.is_overtaken(epoch) {
            self.looks.close(now, 0, false);
            return Ok(Next::Epoch(self.reins.next_epoch(epoch, now)));
        }
        let full = self.open.records >= self.reins.limits.epoch_records || self.open.is_complete();
        let goes_on = || (again || self.is_behind()) && now < self.looks.closes_behind();
        if full || now >= self.looks.closes(self.open.records > 0) && !goes_on() {
            return Ok(self.close(epoch, now));
        }
        if again {
            return Ok(Next::Again);
        }
        Ok(Next::Wait(self.looks.pause(now, self.open.records, self.open.has_room())))
    }

    /// Is there a backlog, and room to work it off in the open epoch?
    fn is_behind(&self) -> bool {
        let lag = |at: Position| self.reader.lag(at.topic, at.partition).unwrap_or(0);
        // What an open transaction holds back is waiting, too, but cannot be read.
        self.found_more && self.open.has_room() && self.reader.positions().map(lag).sum::<i64>() >= BACKLOG
    }

    /// Hears what was delivered.
    pub fn settle(&mut self) {
        if let Some(Settle { offsets, .. }) = self.reins.settle(&mut self.open).into_iter().flatten().last() {
            (self.links.delivered)(offsets);
        }
    }

    fn read(&mut self, epoch: Epoch, records: usize, now: Micros) -> Result<usize, RunError> {
        let Self { plan, intakes, readers, topics, batch, reader, block, oldest, .. } = self;
        let mut bytes = 0;
        let limit = self.reins.limits.open_bytes;
        let read = reader.read(records, limit, &mut |raw: RawRecord<'_>| {
            bytes += raw.value.map_or(0, <[u8]>::len);
            let who = &readers[raw.topic];
            for (intake, number) in who {
                oldest.note(*intake, raw.timestamp);
                let arrived = Arrived { raw, topic: &topics[raw.topic].name, block };
                intakes[*intake].take(plan, (epoch, now), *number, arrived, batch);
            }
        })?;
        if read > 0 {
            self.open.add(read, bytes);
        }
        Ok(read)
    }

    fn close(&mut self, epoch: Epoch, now: Micros) -> Next {
        let records = self.open.records;
        self.finish_epoch(epoch, now);
        self.looks.close(now, records, std::mem::take(&mut self.found_more));
        Next::Epoch(self.reins.next_epoch(epoch, now))
    }

    fn end(&mut self, epoch: Epoch, now: Micros) -> Next {
        self.finish_epoch(epoch, now);
        Next::End
    }

    fn finish_epoch(&mut self, epoch: Epoch, now: Micros) {
        for intake in &mut self.intakes {
            intake.report(&mut self.batch.reports);
        }
        self.batch.reports.push(Report::Closed(now));
        let (offsets, oldest) = (self.offsets(), std::mem::take(&mut self.oldest));
        // Where a partition ends in aborted records it is read on without one.
        let settle = (offsets != self.told).then(|| {
            self.told.clone_from(&offsets);
            Settle { offsets, oldest }
        });
        self.open.close(epoch, self.looks.opened, now, settle);
        self.reins.telemetry.epochs().set_open(self.reins.worker, self.open.len() as u64 + 1);
    }

    fn offsets(&self) -> Offsets {
        let of = |at: Position| ((self.topics[at.topic].name.clone(), at.partition), at.offset);
        self.reader.positions().filter(|at| at.offset >= 0).map(of).collect()
    }

    /// Has this worker read all that was there at start, of its tables or of everything?
    fn reached(&self, tables: bool) -> bool {
        let counts = |topic: &&(usize, &TopicInput)| !tables || topic.1.is_table();
        self.topics.iter().enumerate().filter(|topic| counts(&topic)).all(|(number, topic)| {
            topic.partitions.iter().enumerate().all(|(partition, (start, end))| {
                let partition = partition as i32;
                !self.owns(topic, partition)
                    || start >= end
                    || self.reader.position(number, partition).is_some_and(|at| at >= *end)
            })
        })
    }

    fn owns(&self, topic: &TopicInput, partition: i32) -> bool {
        owner(&topic.name, partition, self.peers) == self.worker
    }

    /// Begins to read this worker's partitions of tables, or of the other topics. Where the others begin is published
    /// at once: a job that crashes before it has delivered anything begins there again, and one that has nothing to
    /// deliver still learns that it was taken over.
    fn assign(&mut self, tables: bool) -> Result<(), RunError> {
        let mut from = Vec::new();
        for (number, topic) in self.topics.iter().enumerate().filter(|(_, topic)| topic.is_table() == tables) {
            for (partition, (start, _)) in topic.partitions.iter().enumerate() {
                let partition = partition as i32;
                if self.owns(topic, partition) {
                    from.push(Position { topic: number, partition, offset: *start });
                }
            }
        }
        if !tables && !from.is_empty() {
            let begin = from.iter().map(|at| ((self.topics[at.topic].name.clone(), at.partition), at.offset));
            (self.links.delivered)(begin.collect());
        }
        self.reader.add_partitions(&from)
    }

    /// Lag, age, and partitions that have appeared: those are read from their beginning.
    fn look_around(&mut self, now: Micros) -> Result<(), RunError> {
        self.looked_around = now;
        let closed = self.open.closed().flatten().map(|settle| &settle.oldest);
        for (at, intake) in self.intakes.iter().enumerate() {
            (self.links.age)(intake.origin, age(closed.clone().chain([&self.oldest]), at, now));
        }
        let mut new = Vec::new();
        for number in 0..self.topics.len() {
            let known = self.topics[number].partitions.len() as i32;
            for partition in known..(self.links.partitions)(number) {
                self.topics[number].partitions.push((0, 0));
                if self.owns(&self.topics[number], partition) {
                    new.push(Position { topic: number, partition, offset: 0 });
                    self.batch.reports.extend(self.topics[number].opened(partition));
                }
            }
        }
        for at in self.reader.positions() {
            let lag = self.reader.lag(at.topic, at.partition).map(|lag| lag.max(0) as u64);
            (self.links.lag)(at.topic, at.partition, lag);
        }
        self.reader.add_partitions(&new)
    }
}
