//! Operators that work epoch by epoch.
//!
//! Most steps need one of two forms. [`each`] handles what arrives when it arrives. [`per_epoch`] collects what two
//! inputs bring and handles an epoch once neither can bring more of it; the capability and what was collected live in
//! one structure, so that neither can be forgotten. Both give results and rejected events.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{ParallelizationContract, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Capability, Operator};
use timely::dataflow::{Scope, StreamVec};
use timely::progress::frontier::MutableAntichain;
use timely::scheduling::{Activator, SyncActivator};

use super::{Clock, Epoch, Pace, Report, Ticker};
use crate::error::Rejected;

/// Lets other threads schedule an operator that is built later.
#[derive(Clone, Default)]
pub struct Wake(Arc<OnceLock<SyncActivator>>);

impl Wake {
    pub fn wake(&self) {
        if let Some(activator) = self.0.get() {
            // It fails only when the worker is gone, and with it what was to be done.
            let _ = activator.activate();
        }
    }

    /// Names the operator that is woken from now on.
    pub fn bind(&self, activator: SyncActivator) {
        let _ = self.0.set(activator);
    }
}

/// Wakes an operator for what arrives on another thread: once, and only while it listens.
#[derive(Clone, Default)]
pub struct Bell {
    pub wake: Wake,
    state: Arc<AtomicU8>,
}

const DEAF: u8 = 0;
const LISTENING: u8 = 1;
const RUNG: u8 = 2;

impl Bell {
    /// Something has arrived.
    pub fn ring(&self) {
        if self.state.compare_exchange(LISTENING, RUNG, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.wake.wake();
        }
    }

    /// Set before a look for what has arrived, so that nothing can arrive unseen in between.
    pub fn listen(&self, listening: bool) {
        self.state.store(if listening { LISTENING } else { DEAF }, Ordering::SeqCst);
    }

    /// Has it rung since the operator began to listen?
    pub fn has_rung(&self) -> bool {
        self.state.load(Ordering::SeqCst) == RUNG
    }
}

/// Schedules its operator after a time. What has been asked for cannot be taken back, so an operator that asks for one
/// time after another, most of them in vain, would be woken for all of them: here the first that is due serves those
/// that come after it, too, since the operator asks again when it is woken.
pub struct Timer {
    activator: Activator,
    due: Vec<Instant>,
}

impl Timer {
    pub fn new(activator: Activator) -> Self {
        Self { activator, due: Vec::new() }
    }

    /// Schedules the operator after this time, or a sixteenth later, or before.
    pub fn within(&mut self, time: Duration) {
        let now = Instant::now();
        self.due.retain(|due| *due > now);
        if self.due.iter().all(|due| *due > now + time + time / 16) {
            self.due.push(now + time);
            self.activator.activate_after(time);
        }
    }
}

/// A stream of records, each in its epoch.
pub type Edge<'s, D> = StreamVec<'s, Epoch, D>;

/// What a step made of its input.
pub struct Made<R> {
    pub results: Vec<R>,
    pub rejected: Vec<Rejected>,
}

impl<R> Default for Made<R> {
    fn default() -> Self {
        Self { results: Vec::new(), rejected: Vec::new() }
    }
}

/// Handles records when they arrive.
pub fn each<'s, A: 'static, R: 'static>(
    input: Edge<'s, A>,
    name: &str,
    mut logic: impl FnMut(Vec<A>, &mut Made<R>) + 'static,
) -> (Edge<'s, R>, Edge<'s, Rejected>) {
    let mut builder = OperatorBuilder::new(name.to_owned(), input.scope());
    let mut input = builder.new_input(input, Pipeline);
    let (results, results_stream) = builder.new_output();
    let (rejected, rejected_stream) = builder.new_output();
    let mut outputs = Outputs::new(results, rejected);
    builder.build(move |_| {
        let mut made = Made::default();
        move |_| {
            input.for_each(|time, data| {
                logic(std::mem::take(data), &mut made);
                if !made.results.is_empty() {
                    outputs.results.activate().session(&time.retain(0)).give_container(&mut made.results);
                    made.results.clear();
                }
                if !made.rejected.is_empty() {
                    outputs.rejected.activate().session(&time.retain(1)).give_container(&mut made.rejected);
                    made.rejected.clear();
                }
            });
        }
    });
    (results_stream, rejected_stream)
}

/// What [`per_epoch`] asks of a step.
pub trait PerEpoch<A, B, R>: 'static {
    /// Records of an open epoch. What is taken out of `data` now is not given to [`Self::close`].
    fn arrive(&mut self, _epoch: Epoch, _data: &mut Vec<A>) {}

    /// An epoch is complete. Called in the order of the epochs, for those that either input brought something of.
    fn close(&mut self, epoch: Epoch, a: Vec<A>, b: Vec<B>, made: &mut Made<R>);

    /// No epoch before this one will be asked for again.
    fn passed(&mut self, _epoch: Epoch) {}
}

/// Handles an epoch when both inputs have passed it.
pub fn per_epoch<'s, A, B, R, PA, PB>(
    (a, pact_a): (Edge<'s, A>, PA),
    (b, pact_b): (Edge<'s, B>, PB),
    name: &str,
    mut logic: impl PerEpoch<A, B, R>,
) -> (Edge<'s, R>, Edge<'s, Rejected>)
where
    A: 'static,
    B: 'static,
    R: 'static,
    PA: ParallelizationContract<Epoch, Vec<A>>,
    PB: ParallelizationContract<Epoch, Vec<B>>,
{
    let mut builder = OperatorBuilder::new(name.to_owned(), a.scope());
    let mut a = builder.new_input(a, pact_a);
    let mut b = builder.new_input(b, pact_b);
    let (results, results_stream) = builder.new_output();
    let (rejected, rejected_stream) = builder.new_output();
    let mut outputs = Outputs::new(results, rejected);
    builder.build(move |_| {
        let mut open: BTreeMap<Epoch, Open<A, B>> = BTreeMap::new();
        move |frontiers| {
            a.for_each(|time, data| {
                let open = open.entry(*time.time()).or_insert_with(|| Open::new(time.retain(0), time.retain(1)));
                logic.arrive(*time.time(), data);
                absorb(&mut open.a, data);
            });
            b.for_each(|time, data| {
                let open = open.entry(*time.time()).or_insert_with(|| Open::new(time.retain(0), time.retain(1)));
                absorb(&mut open.b, data);
            });
            while let Some(first) = open.first_entry().filter(|first| passed(frontiers, *first.key())) {
                let (epoch, open) = first.remove_entry();
                let mut made = Made::default();
                logic.close(epoch, open.a, open.b, &mut made);
                outputs.send(&open.results, &open.rejected, made);
            }
            if let Some(least) = frontiers.iter().filter_map(|f| f.frontier().first().copied()).min() {
                logic.passed(least);
            }
        }
    });
    (results_stream, rejected_stream)
}

/// Appends `data` and leaves it empty; what is appended to nothing is not moved.
pub fn absorb<T>(to: &mut Vec<T>, data: &mut Vec<T>) {
    if to.is_empty() {
        std::mem::swap(to, data);
    } else {
        to.append(data);
    }
}

/// Can no input bring more of this epoch?
pub fn passed(frontiers: &[MutableAntichain<Epoch>], epoch: Epoch) -> bool {
    frontiers.iter().all(|frontier| !frontier.less_equal(&epoch))
}

struct Open<A, B> {
    results: Capability<Epoch>,
    rejected: Capability<Epoch>,
    a: Vec<A>,
    b: Vec<B>,
}

impl<A, B> Open<A, B> {
    fn new(results: Capability<Epoch>, rejected: Capability<Epoch>) -> Self {
        Self { results, rejected, a: Vec::new(), b: Vec::new() }
    }
}

type Sender<D> = OutputBuilder<Epoch, CapacityContainerBuilder<Vec<D>>>;

struct Outputs<R: 'static> {
    results: Sender<R>,
    rejected: Sender<Rejected>,
}

type Pusher<D> = timely::dataflow::channels::pushers::Output<Epoch, Vec<D>>;

impl<R: 'static> Outputs<R> {
    fn new(results: Pusher<R>, rejected: Pusher<Rejected>) -> Self {
        Self { results: OutputBuilder::from(results), rejected: OutputBuilder::from(rejected) }
    }

    fn send(&mut self, results: &Capability<Epoch>, rejected: &Capability<Epoch>, mut made: Made<R>) {
        if !made.results.is_empty() {
            self.results.activate().session(results).give_container(&mut made.results);
        }
        if !made.rejected.is_empty() {
            self.rejected.activate().session(rejected).give_container(&mut made.rejected);
        }
    }
}

/// Who is told of what a clock hears.
pub struct Hearing<S, H, T> {
    /// A worker of any process was asked to stop.
    pub stopping: S,
    /// A source of any worker has closed this epoch.
    pub heard: H,
    /// A clock record was made.
    pub told: T,
}

/// The clock: every worker hears all reports of an epoch and makes the same record of them.
pub fn clock<'s>(
    reports: Edge<'s, Report>,
    wall_clock: bool,
    sources: &[Pace],
    tables: &[Pace],
    hearing: Hearing<impl FnMut() + 'static, impl FnMut(Epoch) + 'static, impl FnMut(&Clock) + 'static>,
) -> Edge<'s, Clock> {
    let mut ticker = Ticker::new(wall_clock, sources, tables);
    let Hearing { mut stopping, mut heard, mut told } = hearing;
    let reports = if reports.scope().peers() > 1 { reports.broadcast() } else { reports };
    reports.unary_frontier(Pipeline, "clock", move |_, _| {
        let mut open: BTreeMap<Epoch, (Capability<Epoch>, Vec<Report>)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|time, data| {
                if data.contains(&Report::Stopping) {
                    stopping();
                    // It may come at the end of all epochs, which must not make that end a moment of the clock.
                    data.retain(|report| *report != Report::Stopping);
                }
                if data.iter().any(|report| matches!(report, Report::Closed(_))) {
                    heard(*time.time());
                }
                if !data.is_empty() {
                    open.entry(*time.time()).or_insert_with(|| (time.retain(0), Vec::new())).1.append(data);
                }
            });
            while let Some(first) = open.first_entry().filter(|first| !frontier.less_equal(first.key())) {
                let (capability, reports) = first.remove();
                let clock = ticker.close(reports);
                told(&clock);
                output.session(&capability).give(clock);
            }
        }
    })
}

/// No records, and no capability to make any.
pub fn nothing<'s, D: Clone + 'static>(scope: Scope<'s, Epoch>) -> Edge<'s, D> {
    timely::dataflow::operators::generic::operator::empty(scope)
}
