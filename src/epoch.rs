//! The epoch: a batch with a number, and the one clock that all steps share.
//!
//! While a job reads Kafka an epoch's number is the wall clock at its opening, in microseconds: it rises by itself, is
//! comparable between processes and needs no agreement, since every worker moves its own capability. On files alone
//! it counts 1, 2, 3. Epoch 0 is the reading of the tables.
//!
//! What sources read is reported to [`Ticker`], which every worker feeds with the same [`Report`]s and which therefore
//! gives the same [`Clock`] everywhere.

pub mod moments;
pub mod operator;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::event::Micros;

/// An epoch's number.
pub type Epoch = u64;

/// The wall clock, in microseconds since the Unix epoch.
pub fn wall_clock() -> Micros {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as Micros)
}

/// What is known at the end of an epoch, the same on every worker: the epoch's clock record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The epoch's time: when it closed, by the wall clock; never goes back. On files the greatest event time read.
    pub now: Micros,
    /// The greatest event time that any source has read so far; `MIN` before any.
    pub greatest: Micros,
    /// Records that were read in the epoch.
    pub read: u64,
    /// How far each source is complete, in the plan's order.
    pub watermarks: Vec<Watermark>,
    /// The same for tables.
    pub table_watermarks: Vec<Watermark>,
}

/// How far a source is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// `MIN` before any event; `MAX` at the end of files, when all is complete.
    pub at: Micros,
    /// Its files have ended: it holds back no step that reads another source, too.
    pub ended: bool,
}

impl Clock {
    /// The watermark of a step: the least over the sources that it reads, in the end; where all of them have ended,
    /// what the furthest had reached.
    pub fn watermark(&self, origins: &[Origin]) -> Micros {
        let of = |origin: &Origin| match origin {
            Origin::Source(index) => self.watermarks[*index],
            Origin::Table(index) => self.table_watermarks[*index],
        };
        let all = origins.iter().map(of);
        let least = all.clone().filter(|watermark| !watermark.ended).map(|watermark| watermark.at).min();
        least.or_else(|| all.map(|watermark| watermark.at).max()).unwrap_or(Micros::MIN)
    }

    /// The time of what changes without an event: the greatest event time, if there was one.
    pub fn latest(&self) -> Micros {
        if self.greatest == Micros::MIN { 0 } else { self.greatest }
    }
}

/// Who is reported on: a source or a table, by its number in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Origin {
    Source(usize),
    Table(usize),
}

/// What one worker has to say about an epoch. Several reports of one epoch add up, in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The wall clock when this worker closed the epoch.
    Closed(Micros),
    /// A partition of a topic, by the topic's number, is being read from here on. Of a file, by its number:
    /// [`UNNAMED`], until its records have said which partitions it holds.
    Opened(Origin, u32, i32),
    /// So many records were read.
    Counted(u64),
    /// The greatest event time that a batch of a partition held.
    Read(Origin, u32, i32, Micros),
    /// A file, by its number, has no more data.
    Ended(Origin, u32),
    /// All files have ended: this is the one more epoch in which windows close.
    Finished(Origin),
    /// This process was asked to stop; the others are to follow.
    Stopping,
}

/// The partition of a file of which no record has been read.
pub const UNNAMED: i32 = -1;

/// How a source moves its watermark.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub lateness: Micros,
    pub idle: Option<Micros>,
}

/// Makes clock records of reports. Pure; fed alike on every worker.
#[derive(Debug)]
pub struct Ticker {
    /// On files alone time is what the events say.
    wall_clock: bool,
    now: Option<Micros>,
    greatest: Micros,
    sources: Vec<Progress>,
    tables: Vec<Progress>,
}

#[derive(Debug)]
struct Progress {
    pace: Pace,
    partitions: BTreeMap<(u32, i32), Partition>,
    /// Files that have ended.
    ended: BTreeSet<u32>,
    watermark: Micros,
    finished: bool,
}

#[derive(Debug)]
struct Partition {
    greatest: Option<Micros>,
    /// The epoch's time when it last had data, or was opened.
    active: Option<Micros>,
    read: bool,
}

impl Ticker {
    pub fn new(wall_clock: bool, sources: &[Pace], tables: &[Pace]) -> Self {
        let progress = |paces: &[Pace]| paces.iter().map(|pace| Progress::new(*pace)).collect();
        Self { wall_clock, now: None, greatest: Micros::MIN, sources: progress(sources), tables: progress(tables) }
    }

    /// Ends an epoch with all that was reported of it.
    pub fn close(&mut self, reports: impl IntoIterator<Item = Report>) -> Clock {
        let (mut closed, mut records) = (None, 0);
        for report in reports {
            match report {
                Report::Closed(at) => closed = closed.max(Some(at)),
                Report::Opened(origin, topic, partition) => {
                    self.progress(origin).partition(topic, partition);
                }
                Report::Read(origin, topic, partition, time) => {
                    if matches!(origin, Origin::Source(_)) || self.sources.is_empty() {
                        self.greatest = self.greatest.max(time);
                    }
                    let partition = self.progress(origin).partition(topic, partition);
                    partition.greatest = partition.greatest.max(Some(time));
                    partition.read = true;
                }
                Report::Ended(origin, file) => {
                    self.progress(origin).ended.insert(file);
                }
                Report::Counted(more) => records += more,
                Report::Finished(origin) => self.progress(origin).finished = true,
                Report::Stopping => {}
            }
        }
        let before = self.now;
        let now = match self.wall_clock {
            true => Some(closed.unwrap_or(0)),
            // Before the first event there is no time that could pass.
            false => Some(self.greatest).filter(|greatest| *greatest != Micros::MIN),
        };
        self.now = before.max(now);
        let passed = before.zip(self.now).map_or(0, |(before, now)| now - before);
        for progress in self.sources.iter_mut().chain(&mut self.tables) {
            progress.advance(self.now, passed);
        }
        Clock {
            now: self.now.unwrap_or(0),
            greatest: self.greatest,
            read: records,
            watermarks: self.sources.iter().map(Progress::watermark).collect(),
            table_watermarks: self.tables.iter().map(Progress::watermark).collect(),
        }
    }

    fn progress(&mut self, origin: Origin) -> &mut Progress {
        match origin {
            Origin::Source(index) => &mut self.sources[index],
            Origin::Table(index) => &mut self.tables[index],
        }
    }
}

impl Progress {
    fn new(pace: Pace) -> Self {
        let (partitions, ended) = (BTreeMap::new(), BTreeSet::new());
        Self { pace, partitions, ended, watermark: Micros::MIN, finished: false }
    }

    fn partition(&mut self, topic: u32, partition: i32) -> &mut Partition {
        let fresh = || Partition { greatest: None, active: None, read: false };
        self.partitions.entry((topic, partition)).or_insert_with(fresh)
    }

    fn watermark(&self) -> Watermark {
        let ended = !self.partitions.is_empty() && self.partitions.keys().all(|(file, _)| self.ended.contains(file));
        Watermark { at: self.watermark, ended }
    }

    /// Moves the watermark to the least over the partitions that count; it never goes back. `now` is `None` while
    /// there is no time.
    fn advance(&mut self, now: Option<Micros>, passed: Micros) {
        self.forget_unnamed();
        for partition in self.partitions.values_mut() {
            if std::mem::take(&mut partition.read) || partition.active.is_none() {
                partition.active = now;
            }
        }
        if self.finished {
            self.watermark = Micros::MAX;
            return;
        }
        let idle = self.pace.idle;
        let is_idle = |p: &Partition| match (idle, now, p.active) {
            (Some(idle), Some(now), Some(active)) => now - active >= idle,
            _ => false,
        };
        let complete = |p: &Partition| p.greatest.map_or(Micros::MIN, |t| t.saturating_sub(self.pace.lateness));
        let live = self.partitions.iter().filter(|((file, _), _)| !self.ended.contains(file)).map(|(_, p)| p);
        let least = live.clone().filter(|p| !is_idle(p)).map(complete).min();
        let next = match least {
            Some(least) => least,
            // All have ended: what the furthest of them had reached.
            None if live.clone().next().is_none() => {
                self.partitions.values().map(complete).max().unwrap_or(Micros::MIN)
            }
            // All are idle: with the wall clock, second for second, from the furthest that any had reached.
            None if self.watermark == Micros::MIN => live.map(complete).max().unwrap_or(Micros::MIN),
            None => self.watermark.saturating_add(passed),
        };
        self.watermark = self.watermark.max(next);
    }

    /// Where records of a file have named their partitions, these count and the file itself does not.
    fn forget_unnamed(&mut self) {
        let unnamed = |(_, partition): &(u32, i32)| *partition == UNNAMED;
        if self.partitions.keys().any(unnamed) {
            let named: BTreeSet<u32> =
                self.partitions.keys().filter(|at| !unnamed(at)).map(|(file, _)| *file).collect();
            self.partitions.retain(|at, _| !unnamed(at) || !named.contains(&at.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Origin = Origin::Source(0);

    fn ticker(lateness: Micros, idle: Option<Micros>) -> Ticker {
        Ticker::new(true, &[Pace { lateness, idle }], &[])
    }

    fn read(partition: i32, time: Micros) -> Report {
        Report::Read(S, 0, partition, time)
    }

    fn of_file(file: u32, partition: i32, time: Micros) -> Report {
        Report::Read(S, file, partition, time)
    }

    /// The watermark of the first source.
    fn close(ticker: &mut Ticker, reports: impl IntoIterator<Item = Report>) -> Micros {
        ticker.close(reports).watermarks[0].at
    }

    #[test]
    fn watermark_is_the_least_partition_less_the_lateness_and_never_goes_back() {
        let mut t = ticker(5, None);
        let opened = [Report::Opened(S, 0, 0), Report::Opened(S, 0, 1), Report::Closed(1)];
        assert_eq!(close(&mut t, opened), Micros::MIN);
        assert_eq!(close(&mut t, [read(0, 100), Report::Closed(2)]), Micros::MIN, "partition 1 holds it");
        assert_eq!(close(&mut t, [read(1, 50), Report::Closed(3)]), 45);
        assert_eq!(close(&mut t, [read(1, 20), Report::Closed(4)]), 45);
    }

    #[test]
    fn an_idle_partition_is_left_out_and_idle_sources_rise_with_the_clock() {
        let mut t = ticker(0, Some(10));
        t.close([Report::Opened(S, 0, 0), Report::Opened(S, 0, 1), read(0, 100), Report::Closed(0)]);
        assert_eq!(close(&mut t, [read(0, 101), Report::Closed(9)]), Micros::MIN);
        assert_eq!(close(&mut t, [read(0, 102), Report::Closed(10)]), 102, "partition 1 idles");
        assert_eq!(close(&mut t, [Report::Closed(20)]), 112, "both idle: 10 passed");
        assert_eq!(close(&mut t, [Report::Closed(27)]), 119);
    }

    #[test]
    fn an_ended_file_holds_nothing_back_and_the_end_of_files_completes_all() {
        let mut t = Ticker::new(false, &[Pace { lateness: 0, idle: None }], &[]);
        let clock = t.close([of_file(0, 0, 10), of_file(1, 1, 100), Report::Ended(S, 0)]);
        assert_eq!((clock.watermarks[0].at, clock.now, clock.greatest), (100, 100, 100));
        let clock = t.close([Report::Finished(S)]);
        assert_eq!((clock.watermarks[0].at, clock.now), (Micros::MAX, 100));
    }

    #[test]
    fn an_ended_source_holds_no_step_back_that_reads_another() {
        let other = Origin::Source(1);
        let mut t = Ticker::new(false, &[Pace { lateness: 0, idle: None }; 2], &[]);
        let opened = [Report::Opened(S, 0, UNNAMED), Report::Opened(other, 0, UNNAMED)];
        t.close(opened);
        let clock = t.close([read(0, 10), Report::Ended(S, 0), Report::Read(other, 0, 0, 50)]);
        assert_eq!(clock.watermark(&[S, other]), 50);
        assert_eq!(clock.watermark(&[S]), 10, "its own windows wait for the end");
        let clock = t.close([Report::Ended(other, 0)]);
        assert_eq!(clock.watermark(&[S, other]), 50);
    }

    #[test]
    fn partitions_that_records_name_stand_for_their_file() {
        let mut t = Ticker::new(false, &[Pace { lateness: 0, idle: None }], &[]);
        let unread = || (0..2).map(|file| Report::Opened(S, file, UNNAMED));
        assert_eq!(close(&mut t, unread()), Micros::MIN);
        assert_eq!(close(&mut t, [of_file(0, 7, 20)]), Micros::MIN, "nothing of the other file was read");
        assert_eq!(close(&mut t, [of_file(1, 3, 30), of_file(1, 4, 5)]), 5);
        assert_eq!(close(&mut t, [Report::Ended(S, 1)]), 20);
    }

    #[test]
    fn files_idle_from_the_first_event_on() {
        let year_2024 = 1_704_067_200_000_000;
        let mut t = Ticker::new(false, &[Pace { lateness: 0, idle: Some(60) }], &[]);
        t.close((0..2).map(|file| Report::Opened(S, file, UNNAMED)));
        assert_eq!(close(&mut t, [of_file(0, 0, year_2024)]), Micros::MIN);
        assert_eq!(close(&mut t, [of_file(0, 0, year_2024 + 59)]), Micros::MIN);
        assert_eq!(close(&mut t, [of_file(0, 0, year_2024 + 60)]), year_2024 + 60);
    }

    #[test]
    fn the_epochs_time_never_goes_back() {
        let mut t = ticker(0, None);
        assert_eq!(t.close([Report::Closed(7), Report::Closed(9)]).now, 9);
        assert_eq!(t.close([Report::Closed(8)]).now, 9);
    }
}
