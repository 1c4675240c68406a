//! Numbers that each worker writes for itself and readers put together.

use std::sync::atomic::{AtomicU64, Ordering};

/// One atomic per worker, each on its own cache line, so that workers do not slow each other down.
#[derive(Debug)]
pub(super) struct PerWorker(Box<[Line]>);

#[derive(Debug)]
#[repr(align(64))]
struct Line(AtomicU64);

impl PerWorker {
    pub(super) fn new(workers: usize, initial: u64) -> Self {
        Self((0..workers.max(1)).map(|_| Line(AtomicU64::new(initial))).collect())
    }

    /// An index beyond the workers shares a line with another: a number too coarse, but never a panic.
    fn line(&self, worker: usize) -> &AtomicU64 {
        &self.0[worker % self.0.len()].0
    }

    pub(super) fn add(&self, worker: usize, amount: u64) {
        self.line(worker).fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn set(&self, worker: usize, value: u64) {
        self.line(worker).store(value, Ordering::Relaxed);
    }

    pub(super) fn each(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|line| line.0.load(Ordering::Relaxed))
    }

    pub(super) fn sum(&self) -> u64 {
        self.each().fold(0, u64::saturating_add)
    }

    pub(super) fn max(&self) -> u64 {
        self.each().max().unwrap_or(0)
    }
}

/// A gauge in seconds per worker; unknown until it is set, and again when it is set to `None`.
#[derive(Debug)]
pub(super) struct SecondsPerWorker(PerWorker);

impl SecondsPerWorker {
    pub(super) fn new(workers: usize) -> Self {
        Self(PerWorker::new(workers, f64::NAN.to_bits()))
    }

    pub(super) fn set(&self, worker: usize, seconds: Option<f64>) {
        let known = seconds.filter(|seconds| seconds.is_finite()).map_or(f64::NAN, |seconds| seconds.max(0.0));
        self.0.set(worker, known.to_bits());
    }

    /// The greatest of those that are known.
    pub(super) fn max(&self) -> Option<f64> {
        self.0.each().map(f64::from_bits).filter(|seconds| !seconds.is_nan()).reduce(f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_gauges_are_absent_and_known_ones_are_never_negative() {
        let gauge = SecondsPerWorker::new(2);
        assert_eq!(gauge.max(), None);
        gauge.set(0, Some(-3.0));
        assert_eq!(gauge.max(), Some(0.0));
        gauge.set(1, Some(2.5));
        assert_eq!(gauge.max(), Some(2.5));
        gauge.set(1, Some(f64::NAN));
        gauge.set(0, None);
        assert_eq!(gauge.max(), None);
    }
}
