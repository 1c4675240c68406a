//! When a reader of topics looks for records, and when the epoch that it reads closes.
//!
//! Every look has its price: it wakes the worker, and the client asks for more once what it holds has been taken. So a
//! reader looks about once an epoch, or when something has arrived that was not expected.

use std::time::Duration;

use super::pace::Ticks;
use crate::epoch::operator::Bell;
use crate::event::Micros;

/// With so many records in the open epoch more come than one look an epoch can take in.
pub const BUSY: usize = 2048;
/// How often an open epoch is looked at for more, however long it is (µs).
const AGAIN: Micros = 10_000;
/// What a broker sends at once is there partition by partition, about half a microsecond a record: the look comes so long
/// (µs) and that after the first record, or half an epoch. What is not there by then waits for the next epoch.
const GATHER: Micros = 300;

/// The looks of one reader.
pub struct Looks {
    ticks: Ticks,
    /// With other workers epochs close at the ticks, together. Without any they close when something has arrived, but
    /// not sooner than after an epoch's length: it leaves at once, and between two arrivals nothing has to be done.
    alone: bool,
    /// Rings when records arrive.
    bell: Bell,
    /// When the open epoch was opened.
    pub opened: Micros,
    /// How many records had the epoch before it?
    before: usize,
    /// Until then there is no look.
    at: Micros,
}

impl Looks {
    pub fn new(epoch: Duration, alone: bool, bell: Bell, now: Micros) -> Self {
        Self { ticks: Ticks::new(epoch), alone, bell, opened: now, before: 0, at: 0 }
    }

    /// The clock may have been set back, which makes no epoch longer. Was it?
    pub fn set_back(&mut self, now: Micros) -> bool {
        let back = now < self.opened;
        if back {
            (self.opened, self.at) = (now, 0);
        }
        back
    }

    /// How long there is to wait before a look. `records`: of the open epoch.
    pub fn wait(&mut self, now: Micros, records: usize) -> Option<Duration> {
        if self.alone && records < BUSY && self.bell.has_rung() {
            self.bell.listen(false);
            let gather = (GATHER + self.before as Micros / 2).min(self.ticks.length / 2);
            self.at = (now + gather).max(self.closes(true).min(now + AGAIN));
        }
        // No look is further off, unless the clock was set back.
        self.at = self.at.min(now + AGAIN);
        (now < self.at).then(|| micros(self.at - now))
    }

    /// A look begins.
    pub fn begin(&mut self, now: Micros, records: usize) {
        self.bell.listen(self.is_waiting(now, records));
    }

    /// Nothing more is there now: how long to wait, unless something wakes the reader.
    pub fn pause(&mut self, now: Micros, records: usize, has_room: bool) -> Duration {
        let closes = self.closes(records > 0);
        // An epoch that works off a backlog is past that time.
        let mut until = if closes > now { closes } else { self.ticks.next(now) };
        if has_room {
            let waiting = self.is_waiting(now, records);
            self.bell.listen(waiting);
            if !waiting {
                until = until.min(self.next(now));
                self.at = until;
            }
        }
        micros(until - now)
    }

    /// The open epoch has closed, with records or without; was there more to be read?
    pub fn close(&mut self, now: Micros, records: usize, more: bool) {
        self.before = records;
        if more {
            // What rang is part of what is to be read.
            self.bell.listen(false);
        }
        self.at = if records > 0 && !more && !self.alone { self.next(now) } else { 0 };
        self.opened = now;
    }

    /// When the open epoch is to close.
    pub fn closes(&self, has_records: bool) -> Micros {
        if !self.alone {
            return self.ticks.closes(self.opened, has_records);
        }
        self.opened
            + match (has_records, self.before > 0) {
                (true, true) => self.ticks.length,
                (true, false) => 0,
                (false, _) => self.ticks.heartbeat,
            }
    }

    /// When it closes at the latest if it works off a backlog.
    pub fn closes_behind(&self) -> Micros {
        self.ticks.closes_behind(self.opened)
    }

    /// Where the epoch before this one had records, so will this one until its time.
    pub fn expects_more(&self, now: Micros) -> bool {
        self.before > 0 && now < self.closes(true)
    }

    /// Is a record that arrives worth a look? With other workers the tick is early enough where some are expected.
    fn is_waiting(&self, now: Micros, records: usize) -> bool {
        records == 0 && (self.alone || !self.expects_more(now)) || records >= BUSY
    }

    /// When a look is due that nothing asks for.
    fn next(&self, now: Micros) -> Micros {
        let tick = if self.alone { Micros::MAX } else { self.ticks.next(now) };
        tick.min(now + AGAIN)
    }
}

fn micros(time: Micros) -> Duration {
    Duration::from_micros(time.max(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Duration = Duration::from_millis(10);

    fn looks(alone: bool) -> (Looks, Bell) {
        let bell = Bell::default();
        (Looks::new(EPOCH, alone, bell.clone(), 1_001_000), bell)
    }

    fn ring(bell: &Bell) {
        bell.ring();
        assert!(bell.has_rung(), "nobody listens");
    }

    #[test]
    fn alone_what_arrives_is_gathered_and_leaves_at_once() {
        let (mut looks, bell) = looks(true);
        looks.begin(1_001_000, 0);
        assert_eq!(looks.pause(1_001_000, 0, true), micros(100_000), "an idle epoch lasts for a heartbeat");
        ring(&bell);
        assert_eq!(looks.wait(1_042_700, 0), Some(micros(300)));
        assert_eq!(looks.wait(1_043_000, 0), None);
        looks.begin(1_043_000, 0);
        assert!(looks.closes(true) <= 1_043_000, "the first epoch with records closes when they are read");
        looks.close(1_043_100, 7, false);
        looks.begin(1_043_100, 0);
        // Comes sooner than an epoch's length.
        ring(&bell);
        assert_eq!(looks.wait(1_048_100, 0), Some(micros(5_000)));
        assert_eq!((looks.wait(1_053_100, 0), looks.closes(true)), (None, 1_053_100));
    }

    #[test]
    fn alone_more_is_gathered_for_longer() {
        for (records, gather) in [(400, 500), (2_000, 1_300), (50_000, 5_000)] {
            let (mut looks, bell) = looks(true);
            looks.close(1_010_000, records, false);
            looks.begin(1_010_100, 0);
            ring(&bell);
            assert_eq!(looks.wait(1_030_000, 0), Some(micros(gather)));
        }
    }

    #[test]
    fn alone_a_long_epoch_is_looked_at_often() {
        let mut looks = Looks::new(Duration::from_secs(1), true, Bell::default(), 1_000_000);
        looks.close(1_000_000, 7, false);
        looks.begin(1_000_000, 0);
        ring(&looks.bell.clone());
        assert_eq!(looks.wait(1_020_000, 0), Some(micros(10_000)), "what has been fetched holds back what is next");
        looks.begin(1_030_000, 0);
        assert_eq!(looks.pause(1_030_000, 400, true), micros(10_000));
        assert_eq!(looks.closes(true), 2_000_000);
    }

    #[test]
    fn together_epochs_close_at_the_ticks() {
        let (mut looks, bell) = looks(false);
        looks.begin(1_001_000, 0);
        ring(&bell);
        assert_eq!(looks.wait(1_001_500, 0), None, "who is woken looks");
        assert_eq!(looks.pause(1_001_500, 7, true), micros(8_500));
        assert_eq!(looks.closes(true), 1_010_000);
        looks.close(1_010_020, 7, false);
        assert_eq!(looks.wait(1_010_030, 0), Some(micros(9_970)), "the tick is early enough");
        looks.begin(1_020_010, 0);
        // Nothing came: whatever does is a surprise.
        ring(&bell);
    }

    #[test]
    fn under_load_every_arrival_is_looked_at() {
        for alone in [true, false] {
            let (mut looks, bell) = looks(alone);
            looks.begin(1_001_000, BUSY);
            ring(&bell);
            assert_eq!(looks.wait(1_001_100, BUSY), None);
        }
    }

    #[test]
    fn a_backlog_is_read_on_at_once_in_the_next_epoch() {
        let (mut looks, bell) = looks(true);
        looks.begin(1_240_000, 60_000);
        ring(&bell);
        looks.close(1_250_000, 100_000, true);
        assert_eq!(looks.wait(1_250_100, 0), None);
    }

    #[test]
    fn a_clock_that_is_set_back_within_a_long_epoch_holds_no_look_back() {
        let mut looks = Looks::new(Duration::from_secs(60), true, Bell::default(), 1_000_000);
        looks.close(1_000_000, 7, false);
        looks.begin(50_000_000, 0);
        ring(&looks.bell.clone());
        assert_eq!(looks.wait(50_000_000, 0), Some(micros(10_000)));
        assert!(!looks.set_back(2_000_000));
        assert_eq!(looks.wait(2_000_000, 0), Some(micros(10_000)));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_epoch_longer() {
        let (mut looks, _) = looks(false);
        looks.close(1_010_000, 7, false);
        assert!(!looks.set_back(1_010_000));
        assert!(looks.set_back(510_000));
        assert_eq!((looks.wait(510_000, 0), looks.closes(true)), (None, 520_000));
    }
}
