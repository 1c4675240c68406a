//! Latency histograms: exact enough for percentiles (HDR), and in the fixed buckets that Prometheus wants.
//!
//! Every worker records into its own part, behind a lock that only a reader ever contends for; a reader merges them.

use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::lock;

/// Upper bounds of the buckets in microseconds, and as they are written.
pub(super) const BUCKETS: [(u64, &str); 19] = [
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (75_000, "0.075"),
    (100_000, "0.1"),
    (150_000, "0.15"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (750_000, "0.75"),
    (1_000_000, "1.0"),
    (2_500_000, "2.5"),
    (5_000_000, "5.0"),
    (7_500_000, "7.5"),
    (10_000_000, "10.0"),
    (30_000_000, "30.0"),
    (60_000_000, "60.0"),
];

/// Three significant digits: a percentile is off by at most 0.1 %.
const DIGITS: u8 = 3;

/// A day, in microseconds: what is longer counts as this, so that no value can ask for a histogram without bounds.
const LONGEST: u64 = 86_400_000_000;

/// A distribution of durations, kept in microseconds.
#[derive(Debug)]
pub struct Latency(Box<[Part]>);

/// On cache lines of its own: its lock is taken by one worker only.
#[derive(Debug)]
#[repr(align(128))]
struct Part(Mutex<LatencySnapshot>);

/// A distribution at one moment, all workers together.
#[derive(Clone, Debug)]
pub struct LatencySnapshot {
    histogram: Histogram<u64>,
    buckets: [u64; BUCKETS.len() + 1],
    sum: u128,
}

impl Latency {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Part(Mutex::new(LatencySnapshot::empty()))).collect())
    }

    /// `count` things took this long; a count of 0 does nothing.
    pub fn record(&self, worker: usize, latency: Duration, count: u64) {
        if count == 0 {
            return;
        }
        let micros = u64::try_from(latency.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST));
        let bucket = BUCKETS.iter().position(|(bound, _)| micros <= *bound).unwrap_or(BUCKETS.len());
        let mut part = lock(&self.0[worker % self.0.len()].0);
        part.buckets[bucket] += count;
        part.sum += u128::from(micros) * u128::from(count);
        part.histogram.record_n(micros, count).expect("a histogram that resizes itself takes a day");
    }

    pub fn snapshot(&self) -> LatencySnapshot {
        let mut all = LatencySnapshot::empty();
        self.0.iter().for_each(|part| all.merge(&lock(&part.0)));
        all
    }
}

impl LatencySnapshot {
    pub(super) fn empty() -> Self {
        let mut histogram = Histogram::new(DIGITS).expect("three digits are among the one to five that there may be");
        histogram.auto(true);
        Self { histogram, buckets: [0; BUCKETS.len() + 1], sum: 0 }
    }

    fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("a histogram that resizes itself takes any other's values");
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(here, there)| *here += there);
        self.sum += other.sum;
    }

    /// What was recorded since `earlier`, which must be an earlier snapshot of the same distribution.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut later = self.clone();
        if later.histogram.subtract(&earlier.histogram).is_err() {
            return self.clone();
        }
        later.buckets.iter_mut().zip(&earlier.buckets).for_each(|(here, there)| *here = here.saturating_sub(*there));
        later.sum = later.sum.saturating_sub(earlier.sum);
        later
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    pub fn sum_seconds(&self) -> f64 {
        self.sum as f64 / 1e6
    }

    /// Nearest rank, `percentile` in 0 to 100; `None` where nothing was recorded.
    pub fn percentile(&self, percentile: f64) -> Option<Duration> {
        let micros = || self.histogram.value_at_percentile(percentile).min(self.histogram.max());
        (!self.histogram.is_empty()).then(micros).map(Duration::from_micros)
    }

    pub fn min(&self) -> Option<Duration> {
        (!self.histogram.is_empty()).then(|| Duration::from_micros(self.histogram.min()))
    }

    pub fn max(&self) -> Option<Duration> {
        (!self.histogram.is_empty()).then(|| Duration::from_micros(self.histogram.max()))
    }

    pub fn mean(&self) -> Option<Duration> {
        (!self.histogram.is_empty()).then(|| Duration::from_secs_f64(self.sum_seconds() / self.count() as f64))
    }

    /// Microseconds.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// Counts per bucket of [`BUCKETS`] and one beyond, not cumulative.
    pub(super) fn buckets(&self) -> &[u64] {
        &self.buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_merge_into_one_distribution() {
        let latency = Latency::new(2);
        latency.record(0, Duration::from_millis(1), 98);
        latency.record(1, Duration::from_millis(80), 1);
        latency.record(1, Duration::from_secs(90), 1);
        latency.record(0, Duration::from_secs(1), 0);
        let all = latency.snapshot();
        assert_eq!(all.count(), 100);
        assert_eq!(all.percentile(50.0), Some(Duration::from_millis(1)));
        assert_eq!(all.max().map(|max| max.as_secs()), Some(90));
        assert!((all.sum_seconds() - (0.098 + 0.08 + 90.0)).abs() < 1e-9);
        assert_eq!((all.buckets()[0], all.buckets()[7], all.buckets()[BUCKETS.len()]), (98, 1, 1));
    }

    #[test]
    fn the_difference_of_two_moments_is_what_came_between() {
        let latency = Latency::new(1);
        latency.record(0, Duration::from_millis(500), 10);
        let before = latency.snapshot();
        latency.record(0, Duration::from_millis(2), 5);
        let between = latency.snapshot().since(&before);
        assert_eq!((between.count(), between.percentile(99.0)), (5, Some(Duration::from_millis(2))));
        assert!((between.sum_seconds() - 0.01).abs() < 1e-9);
    }

    #[test]
    fn absurd_durations_are_kept_as_very_long_ones() {
        let latency = Latency::new(1);
        latency.record(0, Duration::MAX, 1);
        assert_eq!(latency.snapshot().max().map(|max| max.as_secs() / 86_000), Some(1));
    }

    #[test]
    fn nothing_recorded_has_no_percentiles() {
        let none = Latency::new(3).snapshot();
        assert_eq!((none.percentile(99.0), none.max(), none.mean()), (None, None, None));
    }
}
