//! The end of the graph: the operator that holds every epoch until its records are acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Capability, Operator};

use super::deliver::{Count, Deliverer, Done, Gathered, Letters, Outgoing, Sink};
use super::encoder::Encoder;
use crate::epoch::moments::Moments;
use crate::epoch::operator::{Bell, Edge, Made, PerEpoch, Timer, absorb, passed};
use crate::epoch::{Clock, Epoch};
use crate::error::{RunError, Stage};
use crate::event::{Change, Event, Micros};
use crate::telemetry::StepMetrics;

/// Results of an output → records on their way.
pub struct Emitter {
    encoder: Encoder,
    /// When the rows that are there were written, where that matters.
    moments: Option<Moments>,
    metrics: Arc<StepMetrics>,
    worker: usize,
}

impl Emitter {
    pub fn new(encoder: Encoder, metrics: Arc<StepMetrics>, worker: usize) -> Self {
        let moments = encoder.changes_with_time().then(Moments::default);
        Self { encoder, moments, metrics, worker }
    }

    /// An append stream: one record per event.
    pub fn events(&mut self, events: Vec<Event>, now: Micros, made: &mut Made<Outgoing>) {
        let started = Instant::now();
        self.metrics.events_in(events.len() as u64);
        made.results.reserve(events.len());
        for mut event in events {
            match self.encoder.event(&mut event, now) {
                Ok(Some(record)) => made.results.push(record),
                Ok(None) => self.metrics.dropped("where", 1),
                Err(rejection) => {
                    self.metrics.rejected(rejection.reason, 1);
                    made.rejected.push(rejection.at(Stage::Emit, self.encoder.name(), &self.encoder.origin(&event)));
                }
            }
        }
        self.metrics.events_out(made.results.len() as u64);
        self.metrics.add_busy(self.worker, started.elapsed());
    }

    /// A changing collection: the newest row, or a tombstone.
    pub fn changes(&mut self, changes: Vec<Change>, now: Micros, made: &mut Made<Outgoing>) {
        let started = Instant::now();
        self.metrics.events_in(changes.len() as u64);
        made.results.reserve(changes.len());
        for change in changes {
            let key = change.key.clone();
            let then = self.moments.as_ref().map_or(Some(now), |moments| moments.of(&key));
            let written = self.encoder.change(change, then, now, &mut made.results);
            if let Err(rejection) = &written {
                self.metrics.rejected(rejection.reason, 1);
                let error = self.encoder.hide(&rejection.message);
                tracing::warn!(output = %self.encoder.name(), ?key, %error, "a row was left out");
            }
            if let Some(moments) = &mut self.moments {
                moments.set(key, written.is_ok_and(|is_there| is_there).then_some(now));
            }
        }
        if let Some(moments) = &self.moments {
            self.metrics.set_moments(self.worker, moments.bytes() as u64, moments.rows() as u64);
        }
        self.metrics.events_out(made.results.len() as u64);
        self.metrics.add_busy(self.worker, started.elapsed());
    }
}

impl PerEpoch<Event, Clock, Outgoing> for Emitter {
    fn close(&mut self, _: Epoch, events: Vec<Event>, clock: Vec<Clock>, made: &mut Made<Outgoing>) {
        self.events(events, clock.last().map_or(0, |clock| clock.now), made);
    }
}

impl PerEpoch<Change, Clock, Outgoing> for Emitter {
    fn close(&mut self, _: Epoch, changes: Vec<Change>, clock: Vec<Clock>, made: &mut Made<Outgoing>) {
        self.changes(changes, clock.last().map_or(0, |clock| clock.now), made);
    }
}

/// An epoch's records are acknowledged partition by partition within a few milliseconds: being woken for each of them
/// would cost more than the records, so the first look comes after this time, and only after it wake-ups count.
const FIRST_LOOK: Duration = Duration::from_millis(3);
/// Where one is acknowledged later the others soon are, too: the look that it causes comes after this time.
const GATHER: Duration = Duration::from_micros(500);
/// While acknowledgements are due the operator looks at least this often, should a wake-up be lost.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

type Told = Box<dyn FnMut(&Done<Capability<Epoch>>, Instant)>;

/// What the house wants to be asked and told.
pub struct Hooks {
    /// So many records were read in an epoch, and so many rejected; on any worker.
    pub read: Box<dyn FnMut(Epoch, u64, u64)>,
    /// May this complete epoch leave? One that may not is held for ever: the job is about to stop.
    pub may_leave: Box<dyn FnMut(Epoch) -> bool>,
    pub fail: Arc<dyn Fn(RunError) + Send + Sync>,
    /// Told of every epoch of which this worker delivered anything, with the time at which its first record came.
    pub delivered: Told,
}

/// What must be known of an epoch before it leaves, beside its records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum News {
    /// So many records of an output that goes nowhere.
    Counted(Count),
    Read(u64),
    Rejected(u64),
}

/// Counts what comes.
pub fn count<'s, D: 'static>(input: Edge<'s, D>, news: impl Fn(u64) -> News + 'static) -> Edge<'s, News> {
    input.unary(Pipeline, "count", move |_, _| {
        move |input, output| {
            input.for_each(|time, data| output.session(&time).give(news(data.drain(..).count() as u64)));
        }
    })
}

/// Delivers what comes in and gives out nothing but progress: its output's frontier passes an epoch when all of the
/// epoch is delivered. What is only counted counts as delivered.
pub fn deliver<'s, S, L>(
    outgoing: Edge<'s, Outgoing>,
    news: Edge<'s, News>,
    route: impl Fn(&Outgoing) -> u64 + 'static,
    mut deliverer: Deliverer<S, L, Capability<Epoch>>,
    bell: Bell,
    mut hooks: Hooks,
) -> Edge<'s, ()>
where
    S: Sink + 'static,
    L: Letters + 'static,
{
    let scope = outgoing.scope();
    let mut builder = OperatorBuilder::new("deliver".to_owned(), scope);
    let mut input = builder.new_input(outgoing, Exchange::new(route));
    let mut news = builder.new_input(news, Pipeline);
    let (output, stream) = builder.new_output();
    let _output: OutputBuilder<Epoch, CapacityContainerBuilder<Vec<()>>> = OutputBuilder::from(output);
    let address = builder.operator_info().address;
    bell.wake.bind(scope.worker().sync_activator_for(address.to_vec()));
    let mut timer = Timer::new(scope.activator_for(address));
    let alone = scope.peers() == 1;
    builder.build(move |capabilities| {
        // No worker sees an epoch as delivered before every worker has judged it.
        let mut unjudged = capabilities.into_iter().next().filter(|_| !alone);
        let mut open: BTreeMap<Epoch, (Capability<Epoch>, Instant, Gathered)> = BTreeMap::new();
        let mut began: BTreeMap<Epoch, Instant> = BTreeMap::new();
        let mut held = Vec::new();
        let mut look_at = Instant::now();
        move |frontiers| {
            input.for_each(|time, data| {
                let fresh = || (time.retain(0), Instant::now(), Gathered::default());
                absorb(&mut open.entry(*time.time()).or_insert_with(fresh).2.items, data);
            });
            news.for_each(|time, data| {
                let epoch = *time.time();
                for news in data.drain(..) {
                    match news {
                        News::Counted((output, records)) => {
                            let fresh = || (time.retain(0), Instant::now(), Gathered::default());
                            let counted = &mut open.entry(epoch).or_insert_with(fresh).2.counted;
                            *counted.entry(output).or_default() += records;
                        }
                        News::Read(records) => (hooks.read)(epoch, records, 0),
                        News::Rejected(records) => (hooks.read)(epoch, 0, records),
                    }
                }
            });
            while let Some(first) = open.first_entry().filter(|first| passed(frontiers, *first.key())) {
                let (epoch, (capability, at, gathered)) = first.remove_entry();
                if !(hooks.may_leave)(epoch) {
                    held.push(capability);
                    continue;
                }
                began.insert(epoch, at);
                deliverer.enqueue(epoch, gathered, capability);
                look_at = Instant::now() + FIRST_LOOK;
            }
            // Epochs of which nothing leaves here are judged, too: the others stop after the same one.
            let least = frontiers.iter().filter_map(|frontier| frontier.frontier().first().copied()).min();
            (hooks.may_leave)(least.map_or(Epoch::MAX, |least| least.saturating_sub(1)));
            match least {
                Some(least) => unjudged.iter_mut().for_each(|capability| capability.downgrade(&least)),
                None => unjudged = None,
            }
            let now = Instant::now();
            if bell.has_rung() {
                look_at = look_at.max(now + GATHER);
            }
            let early = look_at.saturating_duration_since(now);
            bell.listen(early.is_zero());
            match deliverer.work() {
                Ok(epochs) => {
                    for done in epochs {
                        let at = began.remove(&done.epoch).unwrap_or_else(Instant::now);
                        let refused = done.refused.values().sum();
                        if refused > 0 {
                            (hooks.read)(done.epoch, 0, refused);
                        }
                        (hooks.delivered)(&done, at);
                    }
                }
                Err(error) => (hooks.fail)(error),
            }
            if !deliverer.is_idle() {
                timer.within(if early.is_zero() { LOOK_AGAIN } else { early });
            }
        }
    });
    stream
}
