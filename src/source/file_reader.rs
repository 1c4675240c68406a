//! Reading files between two epochs: how much belongs to one, when it closes, when all has ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::files::{Feed, Lines};
use super::pace::{HALF_READ, OpenEpochs, Reins, Ticks};
use super::shares::Shares;
use crate::epoch::{Epoch, Origin, Report, UNNAMED, wall_clock};
use crate::error::RunError;

/// The files of one source or table.
pub struct FileInput {
    pub origin: Origin,
    pub feed: Feed,
}

pub(super) enum Step {
    /// Nothing to do now; at the latest after this time there may be.
    Wait(Duration),
    /// The epoch is closed; this is the next.
    Next(Epoch),
    End,
}

/// What reading files does between two epochs: no timely here.
pub(super) struct FileReader {
    inputs: Vec<FileInput>,
    records: usize,
    counting: bool,
    reins: Reins,
    ticks: Ticks,
    /// Bytes that may wait before no more than two epochs are open.
    enough: usize,
    pub(super) open: OpenEpochs<()>,
    /// The epoch that has been begun, and the wall clock then.
    begun: Option<(Epoch, i64)>,
    opened: bool,
    shares: Arc<Shares>,
    chunks: u64,
    known_ended: BTreeSet<(usize, usize)>,
    /// A file could not be read on: the process is about to end.
    failed: bool,
    pub(super) lines: Vec<Lines>,
    pub(super) reports: Vec<Report>,
}

/// With two epochs open no third is begun while this much (bytes of lines, for each worker and once more) is not
/// delivered. A file is read faster than it is worked off, and what waits only fills caches and fresh memory.
const WAITING: usize = 2 << 20;
/// How long to wait before looking again when only another thread's doing can be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl FileReader {
    pub(super) fn new(
        inputs: Vec<FileInput>,
        records: usize,
        counting: bool,
        reins: Reins,
        open: OpenEpochs<()>,
        peers: usize,
        shares: Arc<Shares>,
    ) -> Self {
        let ticks = Ticks::new(reins.epoch);
        Self {
            inputs,
            records,
            counting,
            reins,
            ticks,
            enough: WAITING * (1 + peers),
            open,
            begun: None,
            opened: false,
            shares,
            chunks: 0,
            known_ended: BTreeSet::new(),
            failed: false,
            lines: Vec::new(),
            reports: Vec::new(),
        }
    }

    pub(super) fn settle(&mut self) {
        self.reins.settle(&mut self.open);
    }

    pub(super) fn is_stopping(&self) -> bool {
        (self.reins.stopping)()
    }

    /// Has all been read and delivered that anyone reads?
    pub(super) fn is_over(&self) -> bool {
        (self.reins.delivered)(Epoch::MAX - 1)
    }

    pub(super) fn step(&mut self, epoch: Epoch) -> Step {
        self.settle();
        let now = wall_clock();
        // A clock that was set back makes no epoch longer.
        self.begun = self.begun.map(|(begun, at)| (begun, at.min(now)));
        let tables = epoch == 0 && self.inputs.iter().any(|input| matches!(input.origin, Origin::Table(_)));
        let stopping = (self.reins.stopping)();
        if stopping && tables && self.reins.gives_up() {
            return Step::Wait(HALF_READ);
        }
        let stopping = stopping && !tables;
        let overtaken = !self.counting && epoch > 0 && self.open.records == 0 && self.reins.is_overtaken(epoch);
        if self.begun.is_none_or(|(begun, _)| begun != epoch) {
            if stopping {
                return self.finish(epoch, now);
            }
            let tables_first = epoch > 0 && !self.counting && !(self.reins.delivered)(0);
            let ahead = self.open.len() >= 2 && self.reins.open_bytes.get() >= self.enough;
            if ahead || !self.open.has_room() || tables_first {
                // What others have open may be waiting for this very epoch.
                return if overtaken { Step::Next(self.reins.next_epoch(epoch, now)) } else { Step::Wait(LOOK_AGAIN) };
            }
            self.begin(epoch, now);
        }
        let before = self.lines.len();
        if !self.failed
            && let Err(error) = self.take(epoch)
        {
            (self.reins.fail)(error);
            self.failed = true;
            self.lines.truncate(before);
        }
        if self.failed {
            // The epoch that could not be read whole must not be taken for a complete one.
            return Step::Wait(LOOK_AGAIN);
        }
        for lines in &mut self.lines[before..] {
            lines.worker = self.shares.give(self.chunks);
            self.chunks += 1;
        }
        let taken = &self.lines[before..];
        self.open.add(taken.iter().map(Lines::records).sum(), taken.iter().map(|l| l.bytes.len()).sum());
        let opened = self.begun.map_or(now, |(_, at)| at);
        let live = |input: &FileInput| (epoch == 0) == matches!(input.origin, Origin::Table(_));
        let complete = self.inputs.iter().filter(|input| live(input)).all(|input| input.feed.is_complete());
        let overtaken = overtaken && self.open.records == 0;
        let due = epoch > 0 && (overtaken || now >= self.ticks.closes(opened, self.open.records > 0));
        let goes_by_time = overtaken || self.open.records > 0 && self.pipes();
        if complete && (self.counting || epoch == 0 || due) || due && goes_by_time {
            return self.close(epoch, opened, now);
        }
        if stopping {
            return self.finish(epoch, now);
        }
        let wait = (self.ticks.next(now) - now).max(0) as u64;
        Step::Wait(Duration::from_micros(wait).min(LOOK_AGAIN))
    }

    /// Epoch 0 is the tables, whole; every other one a share of each source.
    fn begin(&mut self, epoch: Epoch, now: i64) {
        self.begun = Some((epoch, now));
        for input in &mut self.inputs {
            match input.origin {
                Origin::Table(_) if epoch == 0 => input.feed.begin(usize::MAX / 2),
                Origin::Source(_) if epoch > 0 => input.feed.begin(self.records),
                _ => {}
            }
        }
        if !std::mem::replace(&mut self.opened, true) {
            for input in &self.inputs {
                let files = 0..input.feed.ended().count() as u32;
                self.reports.extend(files.map(|file| Report::Opened(input.origin, file, UNNAMED)));
            }
        }
    }

    fn take(&mut self, epoch: Epoch) -> Result<(), RunError> {
        // An epoch that goes by the clock ends with what it has: there the first input must not take all the room.
        let room = if self.pipes() { usize::MAX } else { self.shares.room() };
        let most = self.lines.len().saturating_add(room);
        for input in &mut self.inputs {
            if (epoch == 0) == matches!(input.origin, Origin::Table(_)) {
                input.feed.take(&mut self.lines, most)?;
            }
        }
        Ok(())
    }

    /// Is an input a pipe, whose epochs also close by the clock?
    fn pipes(&self) -> bool {
        !self.counting || self.inputs.iter().any(|input| input.feed.is_pipe())
    }

    fn close(&mut self, epoch: Epoch, opened: i64, now: i64) -> Step {
        self.report_ended();
        self.reports.push(Report::Closed(now));
        let ended = |input: &FileInput| matches!(input.origin, Origin::Table(_)) || input.feed.all_ended();
        let all_ended = epoch > 0 && self.inputs.iter().all(ended);
        let empty = self.open.records == 0;
        self.open.close(epoch, opened, now, ());
        if all_ended && empty {
            let sources = self.inputs.iter().map(|input| Report::Finished(input.origin));
            self.reports.extend(sources.collect::<Vec<_>>());
            return Step::End;
        }
        Step::Next(if self.counting { epoch + 1 } else { self.reins.next_epoch(epoch, now) })
    }

    /// Stops where it is: what was read is delivered, windows stay open.
    fn finish(&mut self, epoch: Epoch, now: i64) -> Step {
        self.reports.extend([Report::Stopping, Report::Closed(now)]);
        self.open.close(epoch, now, now, ());
        Step::End
    }

    fn report_ended(&mut self) {
        for (i, input) in self.inputs.iter().enumerate() {
            for (file, _) in input.feed.ended().enumerate().filter(|(_, ended)| *ended) {
                if self.known_ended.insert((i, file)) {
                    self.reports.push(Report::Ended(input.origin, file as u32));
                }
            }
        }
    }
}
