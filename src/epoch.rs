//! The epoch: a batch with a number, and the one clock that all steps share.
//!
//! While a job reads Kafka an epoch's number is the wall clock at its opening, in microseconds: it rises by itself, is
//! comparable between processes and needs no agreement, since every worker moves its own capability. On files alone
//! it counts 1, 2, 3. Epoch 0 is the reading of the tables.
//!
//! What sources read is reported to [`Ticker`], which every worker feeds with the same [`Report`]s and which therefore
//! gives the same [`Clock`] everywhere.

pub mod operator;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Micros;

/// An epoch's number.
pub type Epoch = u64;

/// What is known at the end of an epoch, the same on every worker: the epoch's clock record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The epoch's time: when it closed, by the wall clock; never goes back. On files the greatest event time read.
    pub now: Micros,
    /// The greatest event time that any source has read so far; `MIN` before any.
    pub greatest: Micros,
    /// How far each source is complete, in the plan's order; `MIN` before any event. The end of files is `MAX`.
    pub watermarks: Vec<Micros>,
    /// The same for tables.
    pub table_watermarks: Vec<Micros>,
}

impl Clock {
    /// The watermark of a step: the least over the sources that it reads, in the end.
    pub fn watermark(&self, origins: &[Origin]) -> Micros {
        let of = |origin: &Origin| match origin {
            Origin::Source(index) => self.watermarks[*index],
            Origin::Table(index) => self.table_watermarks[*index],
        };
        origins.iter().map(of).min().unwrap_or(Micros::MIN)
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
    /// A partition is being read from here on.
    Opened(Origin, u32, i32),
    /// The greatest event time that a batch of a partition held.
    Read(Origin, u32, i32, Micros),
    /// A partition (a file) has no more data.
    Ended(Origin, u32, i32),
    /// All files have ended: this is the one more epoch in which windows close.
    Finished(Origin),
    /// This process was asked to stop; the others are to follow.
    Stopping,
}

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
    watermark: Micros,
    finished: bool,
}

#[derive(Debug)]
struct Partition {
    greatest: Option<Micros>,
    /// The epoch's time when it last had data, or was opened.
    active: Option<Micros>,
    read: bool,
    ended: bool,
}

impl Ticker {
    pub fn new(wall_clock: bool, sources: &[Pace], tables: &[Pace]) -> Self {
        let progress = |paces: &[Pace]| paces.iter().map(|pace| Progress::new(*pace)).collect();
        Self { wall_clock, now: None, greatest: Micros::MIN, sources: progress(sources), tables: progress(tables) }
    }

    /// Ends an epoch with all that was reported of it.
    pub fn close(&mut self, reports: impl IntoIterator<Item = Report>) -> Clock {
        let mut closed = None;
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
                Report::Ended(origin, topic, partition) => {
                    self.progress(origin).partition(topic, partition).ended = true;
                }
                Report::Finished(origin) => self.progress(origin).finished = true,
                Report::Stopping => {}
            }
        }
        let before = self.now;
        let now = if self.wall_clock { closed.unwrap_or(0) } else { self.greatest.max(0) };
        let now = before.map_or(now, |before| before.max(now));
        self.now = Some(now);
        let passed = before.map_or(0, |before| now - before);
        for progress in self.sources.iter_mut().chain(&mut self.tables) {
            progress.advance(now, passed);
        }
        Clock {
            now,
            greatest: self.greatest,
            watermarks: self.sources.iter().map(|p| p.watermark).collect(),
            table_watermarks: self.tables.iter().map(|p| p.watermark).collect(),
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
        Self { pace, partitions: BTreeMap::new(), watermark: Micros::MIN, finished: false }
    }

    fn partition(&mut self, topic: u32, partition: i32) -> &mut Partition {
        let fresh = || Partition { greatest: None, active: None, read: false, ended: false };
        self.partitions.entry((topic, partition)).or_insert_with(fresh)
    }

    /// Moves the watermark to the least over the partitions that count; it never goes back.
    fn advance(&mut self, now: Micros, passed: Micros) {
        for partition in self.partitions.values_mut() {
            if std::mem::take(&mut partition.read) || partition.active.is_none() {
                partition.active = Some(now);
            }
        }
        if self.finished {
            self.watermark = Micros::MAX;
            return;
        }
        let idle = self.pace.idle;
        let is_idle = |p: &Partition| match (idle, p.active) {
            (Some(idle), Some(active)) => now - active >= idle,
            _ => false,
        };
        let complete = |p: &Partition| p.greatest.map_or(Micros::MIN, |t| t.saturating_sub(self.pace.lateness));
        let live = self.partitions.values().filter(|p| !p.ended);
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

    #[test]
    fn watermark_is_the_least_partition_less_the_lateness_and_never_goes_back() {
        let mut t = ticker(5, None);
        let opened = [Report::Opened(S, 0, 0), Report::Opened(S, 0, 1), Report::Closed(1)];
        assert_eq!(t.close(opened).watermarks, [Micros::MIN]);
        assert_eq!(t.close([read(0, 100), Report::Closed(2)]).watermarks, [Micros::MIN], "partition 1 holds it");
        assert_eq!(t.close([read(1, 50), Report::Closed(3)]).watermarks, [45]);
        assert_eq!(t.close([read(1, 20), Report::Closed(4)]).watermarks, [45]);
    }

    #[test]
    fn an_idle_partition_is_left_out_and_idle_sources_rise_with_the_clock() {
        let mut t = ticker(0, Some(10));
        t.close([Report::Opened(S, 0, 0), Report::Opened(S, 0, 1), read(0, 100), Report::Closed(0)]);
        assert_eq!(t.close([read(0, 101), Report::Closed(9)]).watermarks, [Micros::MIN]);
        assert_eq!(t.close([read(0, 102), Report::Closed(10)]).watermarks, [102], "partition 1 idles");
        assert_eq!(t.close([Report::Closed(20)]).watermarks, [112], "both idle: 10 passed");
        assert_eq!(t.close([Report::Closed(27)]).watermarks, [119]);
    }

    #[test]
    fn an_ended_file_holds_nothing_back_and_the_end_of_files_completes_all() {
        let mut t = Ticker::new(false, &[Pace { lateness: 0, idle: None }], &[]);
        let clock = t.close([read(0, 10), read(1, 100), Report::Ended(S, 0, 0)]);
        assert_eq!((clock.watermarks[0], clock.now, clock.greatest), (100, 100, 100));
        let clock = t.close([Report::Finished(S)]);
        assert_eq!((clock.watermarks[0], clock.now), (Micros::MAX, 100));
    }

    #[test]
    fn the_epochs_time_never_goes_back() {
        let mut t = ticker(0, None);
        assert_eq!(t.close([Report::Closed(7), Report::Closed(9)]).now, 9);
        assert_eq!(t.close([Report::Closed(8)]).now, 9);
    }
}
