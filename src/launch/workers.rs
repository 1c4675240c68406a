//! The worker threads: timely configured, peers met, each worker's loop.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::execute::execute_from;
use timely::worker::Worker;
use timely::{CommunicationConfig, WorkerConfig};
use xxhash_rust::xxh3::xxh3_64;

use super::peers::{Hello, meet};
use super::{End, Options, Stop, failing};
use crate::epoch::wall_clock;
use crate::error::{Exit, RunError};
use crate::flow::{self, House, Running};
use crate::telemetry::Health;

/// A worker sleeps at most this long without looking at its operators.
const NAP: Duration = Duration::from_millis(100);
/// Beside two epochs, how long nothing may be delivered before `/readyz` says so.
const STALLED: Duration = Duration::from_secs(10);
/// How long processes wait for each other at start.
const PATIENCE: Duration = Duration::from_secs(30);

type Builders = (Vec<AllocatorBuilder>, Box<dyn std::any::Any + Send>);

/// Starts all workers of this process; `ends` hears when they are done.
pub fn start(house: &Arc<House>, options: &Options, stop: &Stop, ends: Sender<End>) -> Result<(), RunError> {
    let (builders, others) = allocators(house, options)?;
    stop.begin();
    let (building, running) = (house.clone(), failing(&ends));
    let guards = execute_from(builders, others, WorkerConfig::default(), move |worker| {
        match flow::build(worker, &building) {
            Ok(graph) => drive(worker, &building, &graph),
            Err(error) => {
                running(error);
                // The process ends; until then this worker must not seem to have finished.
                loop {
                    std::thread::park();
                }
            }
        }
    });
    let guards = guards.map_err(|error| RunError::new(Exit::Software, format!("cannot start workers: {error}")))?;
    let wait = move || {
        let whole = guards.join().into_iter().all(|result| result.is_ok());
        if whole {
            let _ = ends.send(End::Done);
        }
    };
    let spawned = std::thread::Builder::new().name("workers".to_owned()).spawn(wait);
    spawned.map(drop).map_err(|error| RunError::new(Exit::TryAgain, format!("cannot start a thread: {error}")))
}

/// A worker's loop: work while there is some, sleep until there is more.
fn drive(worker: &mut Worker, house: &House, graph: &Running) {
    let mut delivered = None;
    let mut looked = Instant::now();
    while !graph.probe.done() {
        worker.step_or_park(Some(NAP));
        if let Some((last, message)) = house.last.get().filter(|(last, _)| !graph.probe.less_equal(last)) {
            tracing::error!(epoch = last, "stopping: {message}");
            settle(worker, graph);
            (house.fail)(RunError::new(Exit::Data, message.as_str()));
            return;
        }
        if looked.elapsed() >= NAP {
            looked = Instant::now();
            if worker.index() == house.first_worker {
                house.telemetry.epochs().set_held_by(graph.held_by().as_ref());
                tell_stalled(house, graph);
            }
            // A source may be asleep for as long as an epoch is.
            if (house.stop.is_requested)() {
                graph.sources.borrow().iter().for_each(|wake| wake());
            }
        }
        let now = graph.probe.with_frontier(|frontier| frontier.first().copied());
        if now != delivered {
            #[cfg(debug_assertions)]
            if delivered.is_some() {
                panic_if_told(worker.index());
            }
            // A process that reads nothing has started, too, when an epoch with a number is delivered.
            if delivered.is_some_and(|epoch| epoch > 0) {
                house.telemetry.health().clear(Health::STARTING);
            }
            delivered = now;
            graph.sources.borrow().iter().for_each(|wake| wake());
        }
    }
    settle(worker, graph);
    // Sources stay until their last offsets are settled.
    while worker.has_dataflows() {
        graph.sources.borrow().iter().for_each(|wake| wake());
        worker.step();
    }
}

/// A job that delivers nothing is not ready: its oldest epoch has been open for much longer than epochs are.
fn tell_stalled(house: &House, graph: &Running) {
    let oldest = graph.probe.with_frontier(|frontier| frontier.first().copied());
    // Epochs of topics are numbered by the clock. Before them stands the start.
    let Some(oldest) = oldest.filter(|oldest| house.wall_clock && *oldest > 0) else { return };
    let open = Duration::from_micros((wall_clock() as u64).saturating_sub(oldest));
    let health = house.telemetry.health();
    if open > STALLED + 2 * house.epoch {
        let by = graph.held_by().map_or(String::new(), |step| format!(", held by {step}"));
        health.set_not_ready("delivery", format!("nothing has been delivered for {} s{by}", open.as_secs()));
    } else {
        health.clear("delivery");
    }
}

/// How tests learn what a worker's panic does: with `TIDEMILL_PANIC_WORKER` its worker panics at its first epoch's end.
#[cfg(debug_assertions)]
fn panic_if_told(worker: usize) {
    if std::env::var("TIDEMILL_PANIC_WORKER").is_ok_and(|told| told == worker.to_string()) {
        panic!("it was told to");
    }
}

/// Sources hear what was delivered.
fn settle(worker: &mut Worker, graph: &Running) {
    graph.sources.borrow().iter().for_each(|wake| wake());
    worker.step();
}

fn allocators(house: &House, options: &Options) -> Result<Builders, RunError> {
    let failed = |error: String| RunError::new(Exit::Software, format!("cannot start workers: {error}"));
    if options.processes > 1 {
        return cluster(house, options);
    }
    let config = match (options.bytes_only, options.workers) {
        (true, workers) => CommunicationConfig::ProcessBinary(workers),
        (false, 1) => CommunicationConfig::Thread,
        (false, workers) => CommunicationConfig::Process(workers),
    };
    config.try_build().map_err(failed)
}

fn cluster(house: &House, options: &Options) -> Result<Builders, RunError> {
    let hello = Hello {
        plan: house.plan.hash,
        group: house.kafka.as_ref().map_or(0, |kafka| xxh3_64(kafka.settings.group.as_bytes())),
        epoch: options.epoch.as_micros() as u64,
        until_caught_up: u64::from(options.until_caught_up),
        workers: options.workers as u64,
        processes: options.processes as u64,
        process: options.process as u64,
    };
    tracing::info!(process = options.process, of = options.processes, "waiting for the other processes");
    let sockets = meet(&options.hosts, hello, PATIENCE)?;
    let hooks = Hooks::default();
    let local = if options.bytes_only { ProcessBuilder::new_bytes_vector } else { ProcessBuilder::new_typed_vector };
    let local = local(options.workers, hooks.refill.clone(), hooks.spill.clone());
    let (builders, guard) = initialize_networking_from_sockets(local, sockets, options.process, options.workers, hooks)
        .map_err(|error| RunError::new(Exit::TryAgain, format!("cannot connect to the other processes: {error}")))?;
    Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
}
