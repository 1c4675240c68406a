//! The counters of a source, a step and an output: what operators write, per batch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::per_worker::{PerWorker, SecondsPerWorker};
use super::{Latency, lock};
use crate::error::Reason;

/// Every reason, in the order of the enum: the index of its counter.
pub(super) const REASONS: [Reason; 10] = [
    Reason::DecodeError,
    Reason::TypeError,
    Reason::TimeError,
    Reason::RecordTooLarge,
    Reason::TooDeep,
    Reason::ExpressionError,
    Reason::RuleError,
    Reason::LateEvent,
    Reason::KeyError,
    Reason::RateLimited,
];

/// What one source (or table) of this process has read.
#[derive(Debug)]
pub struct SourceMetrics {
    name: Arc<str>,
    events: PerWorker,
    bytes: PerWorker,
    lag: Mutex<BTreeMap<(Arc<str>, i32), u64>>,
    lag_seconds: SecondsPerWorker,
    watermark_lag: SecondsPerWorker,
}

impl SourceMetrics {
    pub(super) fn new(name: &str, workers: usize) -> Self {
        Self {
            name: name.into(),
            events: PerWorker::new(workers, 0),
            bytes: PerWorker::new(workers, 0),
            lag: Mutex::default(),
            lag_seconds: SecondsPerWorker::new(workers),
            watermark_lag: SecondsPerWorker::new(1),
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A batch of records was read, rejected ones included; `bytes` are those of their values.
    pub fn read(&self, worker: usize, events: u64, bytes: u64) {
        self.events.add(worker, events);
        self.bytes.add(worker, bytes);
    }

    /// Records of a partition not yet delivered; `None` when unknown, or when the partition went elsewhere.
    pub fn set_lag(&self, topic: &Arc<str>, partition: i32, records: Option<u64>) {
        let mut lag = lock(&self.lag);
        let place = (topic.clone(), partition);
        match records {
            Some(records) => drop(lag.insert(place, records)),
            None => drop(lag.remove(&place)),
        }
    }

    /// How old the oldest record is that this worker has yet to deliver. The greatest over the workers is shown.
    pub fn set_lag_seconds(&self, worker: usize, seconds: Option<f64>) {
        self.lag_seconds.set(worker, seconds);
    }

    /// How far the source's watermark lies behind the epoch's time; `None` before any event.
    pub fn set_watermark_lag(&self, seconds: Option<f64>) {
        self.watermark_lag.set(0, seconds);
    }

    pub fn total_events(&self) -> u64 {
        self.events.sum()
    }

    pub fn total_bytes(&self) -> u64 {
        self.bytes.sum()
    }

    /// (topic, partition) → records, where known.
    pub fn lag(&self) -> BTreeMap<(Arc<str>, i32), u64> {
        lock(&self.lag).clone()
    }

    pub fn lag_seconds(&self) -> Option<f64> {
        self.lag_seconds.max()
    }

    pub fn watermark_lag(&self) -> Option<f64> {
        self.watermark_lag.max()
    }
}

/// What one step (shape, match, aggregate, or an output's own work) of this process has done.
#[derive(Debug)]
pub struct StepMetrics {
    name: Arc<str>,
    events_in: AtomicU64,
    events_out: AtomicU64,
    dropped: Mutex<BTreeMap<&'static str, u64>>,
    rejected: [AtomicU64; REASONS.len()],
    busy: PerWorker,
    state_bytes: PerWorker,
    state_keys: PerWorker,
    moment_bytes: PerWorker,
    moment_rows: PerWorker,
    rules: Mutex<BTreeMap<usize, RuleGauges>>,
}

/// The rules that a worker's index holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleGauges {
    pub rules: u64,
    pub bytes: u64,
    /// How many rules there are of each class of cost.
    pub classes: Vec<(&'static str, u64)>,
}

impl StepMetrics {
    pub(super) fn new(name: &str, workers: usize) -> Self {
        Self {
            name: name.into(),
            events_in: AtomicU64::new(0),
            events_out: AtomicU64::new(0),
            dropped: Mutex::default(),
            rejected: Default::default(),
            busy: PerWorker::new(workers, 0),
            state_bytes: PerWorker::new(workers, 0),
            state_keys: PerWorker::new(workers, 0),
            moment_bytes: PerWorker::new(workers, 0),
            moment_rows: PerWorker::new(workers, 0),
            rules: Mutex::default(),
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn events_in(&self, events: u64) {
        self.events_in.fetch_add(events, Ordering::Relaxed);
    }

    pub fn events_out(&self, events: u64) {
        self.events_out.fetch_add(events, Ordering::Relaxed);
    }

    /// Events that the step let go on purpose: `where`, `late`, `lookup`. Nothing is counted for zero.
    pub fn dropped(&self, reason: &'static str, events: u64) {
        if events > 0 {
            *lock(&self.dropped).entry(reason).or_default() += events;
        }
    }

    pub fn rejected(&self, reason: Reason, events: u64) {
        if let Some(counter) = self.rejected.get(reason as usize) {
            counter.fetch_add(events, Ordering::Relaxed);
        }
    }

    /// Time that this worker spent in the step.
    pub fn add_busy(&self, worker: usize, time: Duration) {
        self.busy.add(worker, time.as_nanos().try_into().unwrap_or(u64::MAX));
    }

    /// What this worker's part of the step's state holds now; the sum over the workers is shown.
    pub fn set_state(&self, worker: usize, bytes: u64, keys: u64) {
        self.state_bytes.set(worker, bytes);
        self.state_keys.set(worker, keys);
    }

    /// What this worker holds now of when rows were let through: a part of the step's state, of rows that another part
    /// may hold, too.
    pub fn set_moments(&self, worker: usize, bytes: u64, rows: u64) {
        self.moment_bytes.set(worker, bytes);
        self.moment_rows.set(worker, rows);
    }

    /// The rules that this worker's index holds now. Every worker indexes every rule: their number is the greatest of
    /// the workers', the memory their sum.
    pub fn set_rules(&self, worker: usize, gauges: RuleGauges) {
        lock(&self.rules).insert(worker, gauges);
    }

    pub fn total_in(&self) -> u64 {
        self.events_in.load(Ordering::Relaxed)
    }

    pub fn total_out(&self) -> u64 {
        self.events_out.load(Ordering::Relaxed)
    }

    pub fn total_dropped(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.dropped).clone()
    }

    /// Reasons that have occurred.
    pub fn total_rejected(&self) -> Vec<(Reason, u64)> {
        let counts = REASONS.into_iter().zip(self.rejected.iter().map(|count| count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Busy time per worker.
    pub fn busy(&self) -> Vec<Duration> {
        self.busy.each().map(Duration::from_nanos).collect()
    }

    pub fn state_bytes(&self) -> u64 {
        self.state_bytes.sum() + self.moment_bytes.sum()
    }

    pub fn state_keys(&self) -> u64 {
        self.state_keys.sum().max(self.moment_rows.sum())
    }

    /// `None` for a step without rules.
    pub fn rules(&self) -> Option<RuleGauges> {
        let all = lock(&self.rules);
        let largest = all.values().max_by_key(|gauges| gauges.rules)?;
        Some(RuleGauges { bytes: all.values().map(|gauges| gauges.bytes).sum(), ..largest.clone() })
    }
}

/// What one output of this process has had acknowledged.
#[derive(Debug)]
pub struct OutputMetrics {
    name: Arc<str>,
    records: PerWorker,
    latency: Latency,
}

impl OutputMetrics {
    pub(super) fn new(name: &str, workers: usize) -> Self {
        Self { name: name.into(), records: PerWorker::new(workers, 0), latency: Latency::new(workers) }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Records were acknowledged.
    pub fn delivered(&self, worker: usize, records: u64) {
        self.records.add(worker, records);
    }

    /// Event latency: from reading a record to the acknowledgement of what it led to.
    pub fn event_latency(&self, worker: usize, latency: Duration, records: u64) {
        self.latency.record(worker, latency, records);
    }

    pub fn total_records(&self) -> u64 {
        self.records.sum()
    }

    pub fn latency(&self) -> &Latency {
        &self.latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_the_counter_of_its_own_index() {
        for (index, reason) in REASONS.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason}");
        }
    }

    #[test]
    fn rules_count_once_and_their_memory_per_worker() {
        let step = StepMetrics::new("due", 2);
        assert_eq!(step.rules(), None);
        step.set_rules(0, RuleGauges { rules: 10, bytes: 600, classes: vec![("selective", 10)] });
        step.set_rules(1, RuleGauges { rules: 9, bytes: 540, classes: vec![("selective", 9)] });
        assert_eq!(step.rules(), Some(RuleGauges { rules: 10, bytes: 1140, classes: vec![("selective", 10)] }));
    }

    #[test]
    fn rows_that_two_parts_of_a_state_hold_count_once() {
        let step = StepMetrics::new("emit.due", 2);
        step.set_moments(0, 60, 1);
        assert_eq!((step.state_bytes(), step.state_keys()), (60, 1));
        step.set_state(1, 400, 1);
        assert_eq!((step.state_bytes(), step.state_keys()), (460, 1));
    }

    #[test]
    fn lag_that_becomes_unknown_is_absent() {
        let source = SourceMetrics::new("orders", 1);
        let topic: Arc<str> = "orders.v1".into();
        source.set_lag(&topic, 0, Some(12));
        source.set_lag(&topic, 1, Some(0));
        source.set_lag(&topic, 0, None);
        assert_eq!(source.lag().into_iter().collect::<Vec<_>>(), [((topic, 1), 0)]);
    }
}
