//! Telemetry: what a running job counts, and the ways to see it.
//!
//! One [`Telemetry`] per process. A step asks for its handle by name when it is built ([`Telemetry::step`]) and adds to
//! it per batch, never per event; what only one worker writes is kept per worker and merged when someone looks, so that
//! counting costs no lock that is fought over and no shared cache line on the hot path.
//!
//! Names of metrics never depend on a setting, and no label holds a user's, an event's or a live rule's id: labels are
//! names from the dataflow file, topics and partitions, and reasons from short lists.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

pub use dead_letters::DeadLetterCounts;
pub use epochs::{Delivered, EpochMetrics};
pub use exposition::Format;
pub use health::Health;
pub use latency::{Latency, LatencySnapshot};
pub use metrics::{OutputMetrics, RuleGauges, SourceMetrics, StepMetrics};
pub use process::Process;
pub use prometheus::render;

mod dead_letters;
mod epochs;
mod exposition;
mod health;
pub mod http;
mod latency;
pub mod log;
mod metrics;
mod per_worker;
mod process;
mod prometheus;
pub mod report;
pub mod status;

/// The program's version, as `--version` says it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The git revision it was built from; `unknown` without git.
pub const REVISION: &str = env!("TIDEMILL_REVISION");

/// All that one process counts. Cheap to share; every method may be called from any thread.
#[derive(Debug)]
pub struct Telemetry {
    workers: usize,
    /// Sources and tables, in the order in which they were first asked for.
    sources: Registry<SourceMetrics>,
    steps: Registry<StepMetrics>,
    outputs: Registry<OutputMetrics>,
    epochs: EpochMetrics,
    dead_letters: DeadLetterCounts,
    health: Health,
    job: OnceLock<Job>,
    started: SystemTime,
    since: Instant,
}

/// Which job this process runs; known once its file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    pub name: Arc<str>,
    pub plan_hash: u64,
    /// Worker threads of this process.
    pub workers: usize,
    pub processes: usize,
    pub process: usize,
}

impl Telemetry {
    /// For a process of this many worker threads; a worker is named by its index within the process, from 0.
    pub fn new(workers: usize) -> Arc<Self> {
        let workers = workers.max(1);
        Arc::new(Self {
            workers,
            sources: Registry::default(),
            steps: Registry::default(),
            outputs: Registry::default(),
            epochs: EpochMetrics::new(workers),
            dead_letters: DeadLetterCounts::default(),
            health: Health::starting(),
            job: OnceLock::new(),
            started: SystemTime::now(),
            since: Instant::now(),
        })
    }

    /// The counters of a source or table; the same for every caller that gives this name.
    pub fn source(&self, name: &str) -> Arc<SourceMetrics> {
        self.sources.get(name, || SourceMetrics::new(name, self.workers))
    }

    /// The counters of a table, of a step of shape, match or aggregate, or of what encodes an output (`emit.NAME`).
    pub fn step(&self, name: &str) -> Arc<StepMetrics> {
        self.steps.get(name, || StepMetrics::new(name, self.workers))
    }

    /// The counters of an output (an entry of `emit`).
    pub fn output(&self, name: &str) -> Arc<OutputMetrics> {
        self.outputs.get(name, || OutputMetrics::new(name, self.workers))
    }

    pub fn epochs(&self) -> &EpochMetrics {
        &self.epochs
    }

    /// Records that left on the dead letters, by stage and reason.
    pub fn dead_letters(&self) -> &DeadLetterCounts {
        &self.dead_letters
    }

    /// What `/readyz` answers.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Says which job this is, for reports; only the first call counts.
    pub fn set_job(&self, job: Job) {
        // A process runs one job: a second call can only be of the same.
        let _ = self.job.set(job);
    }

    pub fn job(&self) -> Job {
        self.job.get().cloned().unwrap_or_default()
    }

    pub fn workers(&self) -> usize {
        self.workers
    }

    /// When this process began.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    pub fn running_for(&self) -> std::time::Duration {
        self.since.elapsed()
    }

    pub fn sources(&self) -> Vec<Arc<SourceMetrics>> {
        self.sources.all()
    }

    pub fn steps(&self) -> Vec<Arc<StepMetrics>> {
        self.steps.all()
    }

    pub fn outputs(&self) -> Vec<Arc<OutputMetrics>> {
        self.outputs.all()
    }
}

/// Named things in the order of their first use; that order is the plan's, the same on every worker.
#[derive(Debug)]
struct Registry<T>(Mutex<Vec<(Arc<str>, Arc<T>)>>);

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Registry<T> {
    fn get(&self, name: &str, new: impl FnOnce() -> T) -> Arc<T> {
        let mut entries = lock(&self.0);
        if let Some((_, found)) = entries.iter().find(|(known, _)| &**known == name) {
            return found.clone();
        }
        let made = Arc::new(new());
        entries.push((name.into(), made.clone()));
        made
    }

    fn all(&self) -> Vec<Arc<T>> {
        lock(&self.0).iter().map(|(_, entry)| entry.clone()).collect()
    }
}

/// Counters stay usable when a thread that held their lock panicked: numbers have no broken middle state.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_handle_and_order_is_that_of_first_use() {
        let telemetry = Telemetry::new(2);
        telemetry.step("b").events_in(3);
        telemetry.step("a").events_in(1);
        telemetry.step("b").events_in(4);
        let seen: Vec<_> = telemetry.steps().iter().map(|step| (step.name().to_string(), step.total_in())).collect();
        assert_eq!(seen, [("b".to_string(), 7), ("a".to_string(), 1)]);
    }
}
