//! When epochs close and how much may be open: the part of a source that knows the wall clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::epoch::{Epoch, wall_clock};
use crate::error::RunError;
use crate::event::Micros;
use crate::telemetry::{Delivered, Health, Telemetry};

/// An idle source still closes an epoch this often (or every epoch, if that is longer), so that watermarks and
/// delays move on; more often would only cost.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// So many times longer, but no longer than this if it is not anyway (µs), may an epoch last that works off a backlog.
const BEHIND: Micros = 25;
const LONGEST_BEHIND: Micros = 500_000;

/// The ticks at which epochs close. They are multiples of the epoch's length, so that workers and processes close
/// theirs together without a word.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    pub length: Micros,
    pub heartbeat: Micros,
}

impl Ticks {
    pub fn new(epoch: Duration) -> Self {
        let length = (epoch.as_micros() as Micros).max(1);
        Self { length, heartbeat: length.max(HEARTBEAT.as_micros() as Micros) }
    }

    /// The first tick after `now`.
    pub fn next(&self, now: Micros) -> Micros {
        (now / self.length + 1) * self.length
    }

    /// When the epoch that opened at `opened` is to close: at its tick if it has records, else at the heartbeat.
    pub fn closes(&self, opened: Micros, has_records: bool) -> Micros {
        let every = if has_records { self.length } else { self.heartbeat };
        (opened / every + 1) * every
    }

    /// When one closes at the latest that works off a backlog. What it holds is late anyway, and results per key leave
    /// once an epoch.
    pub fn closes_behind(&self, opened: Micros) -> Micros {
        let every = (self.length * BEHIND).min(LONGEST_BEHIND).max(self.length);
        (opened / every + 1) * every
    }
}

/// What schedules the sources of a worker.
pub type Wakes = Rc<RefCell<Vec<Box<dyn Fn()>>>>;

/// What all sources of a worker are told by the house.
#[derive(Clone)]
pub struct Reins {
    /// Has this process been asked to stop?
    pub stopping: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Ends the process with this error.
    pub fail: Arc<dyn Fn(RunError) + Send + Sync>,
    /// Ends the process with what is delivered: nothing of what is open ever is. `None` where others work with it.
    pub give_up: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Is all of this epoch delivered?
    pub delivered: Rc<dyn Fn(Epoch) -> bool>,
    pub epoch: Duration,
    pub open_bytes: OpenBytes,
    pub limits: crate::plan::Limits,
    pub telemetry: Arc<Telemetry>,
    /// This worker among those of its process.
    pub worker: usize,
    /// Operators to schedule when something was delivered.
    pub wakes: Wakes,
    /// The newest epoch that a source of any worker is known to have closed.
    pub closed: Rc<Cell<Epoch>>,
}

/// How long to wait once more when the process is about to end.
pub const HALF_READ: Duration = Duration::from_millis(50);

impl Reins {
    /// Stops in the middle of a table: half of one would be wrong results, and nothing has been delivered. Where there
    /// are other processes it is read to its end first.
    pub fn gives_up(&self) -> bool {
        self.give_up.as_ref().inspect(|give_up| give_up()).is_some()
    }

    /// Is this epoch of a source without a record in it all that others wait for? Then a later one does as well: what
    /// they have closed is not held back until this one's time has come.
    pub fn is_overtaken(&self, epoch: Epoch) -> bool {
        self.closed.get() >= epoch
    }

    /// The epoch after this one: by the wall clock, and none that another source has closed.
    pub fn next_epoch(&self, epoch: Epoch, now: Micros) -> Epoch {
        (now as Epoch).max(epoch + 1).max(self.closed.get() + 1)
    }

    /// Settles the epochs that are delivered and counts them; what each leaves to be done.
    pub fn settle<S>(&self, open: &mut OpenEpochs<S>) -> Vec<S> {
        let settled = open.settle(|epoch| !(self.delivered)(epoch));
        if settled.is_empty() {
            return Vec::new();
        }
        let now = wall_clock();
        let since = |then: Micros| Duration::from_micros((now - then).max(0) as u64);
        for closed in &settled {
            let Closed { epoch, opened, at, records, .. } = *closed;
            let events = records as u64;
            let done = Delivered { epoch, since_open: since(opened), since_close: since(at), events };
            self.telemetry.epochs().delivered(self.worker, done);
        }
        self.telemetry.epochs().set_open(self.worker, open.len() as u64 + 1);
        if settled.iter().any(|closed| closed.epoch > 0) {
            self.telemetry.health().clear(Health::STARTING);
        }
        settled.into_iter().map(|closed| closed.settle).collect()
    }
}

/// Payload bytes that this process has read and not yet delivered.
#[derive(Clone, Debug, Default)]
pub struct OpenBytes(Arc<AtomicUsize>);

impl OpenBytes {
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sub(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Epochs of one worker's source that are not yet delivered, oldest first, each with what is to be settled then.
pub struct OpenEpochs<S> {
    bytes: OpenBytes,
    closed: VecDeque<Closed<S>>,
    /// Records and payload bytes of the epoch that is being read.
    pub records: usize,
    read: usize,
    limit: usize,
    byte_limit: usize,
}

/// An epoch that is closed and not yet delivered.
pub struct Closed<S> {
    pub epoch: Epoch,
    pub opened: Micros,
    pub at: Micros,
    pub records: usize,
    bytes: usize,
    pub settle: S,
}

impl<S> OpenEpochs<S> {
    pub fn new(bytes: OpenBytes, limit: usize, byte_limit: usize) -> Self {
        Self { bytes, closed: VecDeque::new(), records: 0, read: 0, limit, byte_limit }
    }

    /// May more be read? Not with too many epochs or bytes between here and delivery: the back pressure.
    pub fn has_room(&self) -> bool {
        let busy = self.closed.iter().filter(|closed| closed.records > 0).count();
        busy < self.limit && !self.is_full()
    }

    /// Are as many bytes open as may be, and some of them in the epoch that is being read? It need not wait for its time.
    pub fn is_complete(&self) -> bool {
        self.records > 0 && self.is_full()
    }

    fn is_full(&self) -> bool {
        self.bytes.get() >= self.byte_limit
    }

    pub fn add(&mut self, records: usize, bytes: usize) {
        self.records += records;
        self.read += bytes;
        self.bytes.add(bytes);
    }

    pub fn close(&mut self, epoch: Epoch, opened: Micros, at: Micros, settle: S) {
        let (records, bytes) = (std::mem::take(&mut self.records), std::mem::take(&mut self.read));
        self.closed.push_back(Closed { epoch, opened, at, records, bytes, settle });
    }

    /// The epochs that have been delivered: `open` tells whether one is still under way.
    pub fn settle(&mut self, open: impl Fn(Epoch) -> bool) -> Vec<Closed<S>> {
        let done = self.closed.iter().take_while(|closed| !open(closed.epoch)).count();
        let settled: Vec<_> = self.closed.drain(..done).collect();
        self.bytes.sub(settled.iter().map(|closed| closed.bytes).sum());
        settled
    }

    /// What is to be settled of each that is closed, oldest first.
    pub fn closed(&self) -> impl Iterator<Item = &S> + Clone {
        self.closed.iter().map(|closed| &closed.settle)
    }

    pub fn len(&self) -> usize {
        self.closed.len()
    }

    pub fn is_empty(&self) -> bool {
        self.closed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_multiples_and_idle_epochs_are_longer() {
        let ticks = Ticks::new(Duration::from_millis(10));
        assert_eq!(ticks.next(1_234_567), 1_240_000);
        assert_eq!(ticks.next(1_240_000), 1_250_000);
        assert_eq!(ticks.closes(1_234_567, true), 1_240_000);
        assert_eq!(ticks.closes(1_234_567, false), 1_300_000);
        assert_eq!(ticks.closes_behind(1_234_567), 1_250_000);
        assert_eq!(Ticks::new(Duration::from_secs(2)).closes_behind(1_234_567), 2_000_000);
    }

    #[test]
    fn epochs_settle_in_order_and_give_their_bytes_back() {
        let bytes = OpenBytes::default();
        let mut open = OpenEpochs::new(bytes.clone(), 2, 100);
        for epoch in [1, 2] {
            open.add(1, 30);
            open.close(epoch, 0, 0, epoch);
        }
        assert!(!open.has_room(), "two epochs are open");
        assert!(open.settle(|epoch| epoch >= 1).is_empty());
        let settled: Vec<_> = open.settle(|epoch| epoch >= 2).iter().map(|c| c.settle).collect();
        assert_eq!((settled, bytes.get()), (vec![1], 30));
        open.add(1, 70);
        assert!(!open.has_room(), "100 bytes are open");
    }
}
