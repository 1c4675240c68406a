//! Which worker decodes which lines of a file: the one that has the least to do.
//!
//! Workers never wait for each other as long as there are lines: whoever was slower for a while, because something
//! else ran on its core, is given fewer. Where lines are decoded does not show in any result.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::epoch::operator::Wake;

/// Chunks that may wait for a worker. More would only fill caches and fresh memory.
const MOST: usize = 6;
/// With so few left a worker asks for more.
const FEW: usize = 3;

/// What waits for the workers of a process to decode.
pub struct Shares {
    /// Chunks for each worker of this process.
    waiting: Vec<AtomicUsize>,
    /// Workers of the whole job.
    peers: u64,
    /// Are there others to give to, and is known of all what waits for them? One alone is given all there is, as are
    /// all where some are of other processes.
    evenly: bool,
    /// Schedules who reads the files: called when a file's thread has read more, and when there is little left for a
    /// worker.
    pub wake: Wake,
}

impl Shares {
    pub fn new(workers: usize, peers: usize) -> Self {
        let waiting = (0..workers).map(|_| AtomicUsize::new(0)).collect();
        Self { waiting, peers: peers as u64, evenly: peers > 1 && workers == peers, wake: Wake::default() }
    }

    /// How many chunks may be given out.
    pub(super) fn room(&self) -> usize {
        if !self.evenly {
            return usize::MAX;
        }
        self.waiting.iter().map(|waiting| MOST.saturating_sub(waiting.load(Ordering::Relaxed))).sum()
    }

    /// The worker that gets the chunk with this number.
    pub(super) fn give(&self, number: u64) -> u64 {
        if !self.evenly {
            return number % self.peers;
        }
        let waiting = self.waiting.iter().map(|waiting| waiting.load(Ordering::Relaxed));
        let (worker, _) = waiting.enumerate().min_by_key(|(_, waiting)| *waiting).unwrap_or_default();
        self.waiting[worker].fetch_add(1, Ordering::Relaxed);
        worker as u64
    }

    /// A worker of this process has decoded a chunk.
    pub(super) fn done(&self, worker: usize) {
        if self.evenly && self.waiting[worker].fetch_sub(1, Ordering::Relaxed) == FEW + 1 {
            self.wake.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_least_to_do_is_given_the_next_and_nobody_more_than_may_wait() {
        let shares = Shares::new(2, 2);
        assert_eq!((0..4).map(|chunk| shares.give(chunk)).collect::<Vec<_>>(), [0, 1, 0, 1]);
        shares.done(1);
        shares.done(1);
        assert_eq!(shares.room(), 2 * MOST - 2);
        let given: Vec<_> = (4..4 + shares.room() as u64).map(|chunk| shares.give(chunk)).collect();
        assert_eq!(given[..3], [1, 1, 0], "worker 1 was quicker");
        assert_eq!(shares.room(), 0);
    }

    #[test]
    fn one_worker_and_those_of_several_processes_are_given_all_there_is_in_turn() {
        for (workers, peers) in [(1, 1), (2, 4)] {
            let shares = Shares::new(workers, peers);
            let given = (0..20).map(|chunk| shares.give(chunk));
            assert!(given.eq((0..20).map(|chunk| chunk % peers as u64)));
            shares.done(0);
            assert_eq!(shares.room(), usize::MAX);
        }
    }
}
