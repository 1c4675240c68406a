//! Epochs as an operator sees them: how many are open, which one is delivered, how long delivery took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::per_worker::PerWorker;
use super::{Latency, lock};
use crate::epoch::Epoch;

/// Upper bounds of the buckets of `tidemill_epoch_events`.
pub(super) const EVENT_BUCKETS: [u64; 8] = [0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// An epoch that is delivered: all its records are acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Delivered {
    pub epoch: Epoch,
    /// Since the epoch was opened.
    pub since_open: Duration,
    /// Since it was closed: the epoch latency.
    pub since_close: Duration,
    /// Records that this worker's sources read in it.
    pub events: u64,
}

#[derive(Debug)]
pub struct EpochMetrics {
    duration: Latency,
    closing: Latency,
    /// Per bucket, the last one without an upper bound; then the sum.
    events: [AtomicU64; EVENT_BUCKETS.len() + 1],
    events_sum: AtomicU64,
    open: PerWorker,
    /// The number + 1; 0 before any.
    delivered: AtomicU64,
    held_by: Mutex<Option<Arc<str>>>,
}

impl EpochMetrics {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            duration: Latency::new(workers),
            closing: Latency::new(workers),
            events: Default::default(),
            events_sum: AtomicU64::new(0),
            open: PerWorker::new(workers, 0),
            delivered: AtomicU64::new(0),
            held_by: Mutex::default(),
        }
    }

    /// An epoch of this worker was delivered. Epochs without events count as epochs, but not in the latencies: the
    /// thousands of an idle hour would hide the one that was slow.
    pub fn delivered(&self, worker: usize, done: Delivered) {
        self.delivered.fetch_max(done.epoch.saturating_add(1), Ordering::Relaxed);
        let bucket = EVENT_BUCKETS.iter().position(|bound| done.events <= *bound).unwrap_or(EVENT_BUCKETS.len());
        self.events[bucket].fetch_add(1, Ordering::Relaxed);
        self.events_sum.fetch_add(done.events, Ordering::Relaxed);
        if done.events > 0 {
            self.duration.record(worker, done.since_open, 1);
            self.closing.record(worker, done.since_close, 1);
        }
    }

    /// Epochs of this worker that are not delivered yet, the one being filled included; the greatest of the workers'
    /// is shown.
    pub fn set_open(&self, worker: usize, epochs: u64) {
        self.open.set(worker, epochs);
    }

    /// The step that holds the oldest open epoch back; `None` when none does.
    pub fn set_held_by(&self, step: Option<&Arc<str>>) {
        *lock(&self.held_by) = step.cloned();
    }

    /// Open → delivered, of epochs with events.
    pub fn duration(&self) -> &Latency {
        &self.duration
    }

    /// Closed → delivered, of epochs with events: the epoch latency.
    pub fn closing(&self) -> &Latency {
        &self.closing
    }

    pub fn open(&self) -> u64 {
        self.open.max()
    }

    /// The last epoch that was delivered.
    pub fn last_delivered(&self) -> Option<Epoch> {
        self.delivered.load(Ordering::Relaxed).checked_sub(1)
    }

    pub fn held_by(&self) -> Option<Arc<str>> {
        lock(&self.held_by).clone()
    }

    /// Epochs per bucket of [`EVENT_BUCKETS`] (not cumulative) and one beyond, and all their events.
    pub(super) fn events(&self) -> ([u64; EVENT_BUCKETS.len() + 1], u64) {
        let buckets = std::array::from_fn(|bucket| self.events[bucket].load(Ordering::Relaxed));
        (buckets, self.events_sum.load(Ordering::Relaxed))
    }

    /// Epochs delivered, those without events included; each counts once per worker.
    pub fn total(&self) -> u64 {
        self.events().0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(epoch: Epoch, events: u64) -> Delivered {
        let since_close = Duration::from_millis(7);
        Delivered { epoch, since_open: Duration::from_millis(17), since_close, events }
    }

    #[test]
    fn empty_epochs_count_but_say_nothing_about_latency() {
        let epochs = EpochMetrics::new(2);
        assert_eq!(epochs.last_delivered(), None);
        epochs.delivered(0, done(0, 0));
        assert_eq!((epochs.last_delivered(), epochs.total(), epochs.closing().snapshot().count()), (Some(0), 1, 0));
        epochs.delivered(1, done(3, 50));
        epochs.delivered(0, done(2, 2_000_000));
        assert_eq!((epochs.last_delivered(), epochs.total(), epochs.closing().snapshot().count()), (Some(3), 3, 2));
        assert_eq!(epochs.events(), ([1, 0, 0, 1, 0, 0, 0, 0, 1], 2_000_050));
    }
}
