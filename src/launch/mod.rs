//! Worker counts → timely: start, stop, fail.
//!
//! [`run`] connects a plan to files and topics, meets the other processes, starts the workers and waits: for all of
//! them to end, or for the first failure, whoever meets it. A failure ends the process at once with its exit code:
//! there is no half-living job.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

pub use options::{FileOptions, KafkaOptions, LineFormat, Options};
pub use signals::Stop;

use crate::error::{Exit, RunError};
use crate::flow::House;
use crate::plan::Plan;
use crate::telemetry::Telemetry;

mod connect;
mod kafka;
mod memory;
mod options;
mod panic;
pub mod peers;
pub mod signals;
mod workers;

/// What ends a run.
pub(crate) enum End {
    /// All workers of this process have ended.
    Done,
    Failed(RunError),
    /// Another process of the job is gone.
    Lost,
}

/// How often the main thread looks after health while it waits.
const LOOK_AROUND: Duration = Duration::from_millis(500);
/// How long a finished job may take to publish its last offsets.
const LAST_COMMIT: Duration = Duration::from_secs(20);

/// Runs the job until it has ended, failed or been stopped.
pub fn run(plan: Plan, options: Options, telemetry: Arc<Telemetry>, stop: Stop) -> Result<(), RunError> {
    memory::in_small_pages();
    let (ends, ended) = channel();
    panic::report_to(ends.clone());
    let options = Arc::new(options);
    let house = Arc::new(connect::connect(plan, &options, &telemetry, &stop, &ends)?);
    workers::start(&house, &options, &stop, ends)?;
    let result = wait(&house, &options, &stop, &ended);
    // A job that stops for its data has delivered what it read until then.
    let delivered = result.as_ref().map_or_else(|error| error.exit == Exit::Data, |()| true);
    if let Some(progress) = house.kafka.as_ref().and_then(|kafka| kafka.progress.as_ref()).filter(|_| delivered) {
        progress.finish(LAST_COMMIT)?;
    }
    result
}

/// Waits for the end, and looks after what may end the job from outside meanwhile.
fn wait(house: &House, options: &Options, stop: &Stop, ended: &Receiver<End>) -> Result<(), RunError> {
    let mut asked: Option<Instant> = None;
    loop {
        match ended.recv_timeout(LOOK_AROUND) {
            Ok(End::Done) => return Ok(()),
            Ok(End::Failed(error)) => return Err(error),
            Ok(End::Lost) => return Err(lost(house)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(RunError::new(Exit::Software, "the workers ended without a word"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        kafka::look_after(house, options)?;
        if stop.is_requested() {
            house.telemetry.health().set_not_ready("stop", "the job is stopping");
            let since = asked.get_or_insert_with(Instant::now).elapsed();
            if since > options.drain_timeout {
                let seconds = options.drain_timeout.as_secs();
                let text = format!("what was open could not be delivered within {seconds} s; raise --drain-timeout");
                return Err(RunError::new(Exit::TryAgain, text));
            }
        }
    }
}

/// A process that stops for its data may be gone before the workers here have seen that the last epoch is delivered.
fn lost(house: &House) -> RunError {
    house.last.get().map_or_else(
        || RunError::new(Exit::TryAgain, "lost a process of the job; all of them end, start them again"),
        |(_, message)| RunError::new(Exit::Data, message.as_str()),
    )
}

/// A function that ends the job as it is, from any thread.
pub(crate) fn giving_up(ends: &Sender<End>) -> Arc<dyn Fn() + Send + Sync> {
    let end = ending(ends);
    Arc::new(move || end(End::Done))
}

/// A function that ends the job with an error, from any thread; only the first error counts.
pub(crate) fn failing(ends: &Sender<End>) -> Arc<dyn Fn(RunError) + Send + Sync> {
    let end = ending(ends);
    Arc::new(move |error| end(End::Failed(error)))
}

fn ending(ends: &Sender<End>) -> impl Fn(End) + Send + Sync + use<> {
    let ends = std::sync::Mutex::new(ends.clone());
    move |end| {
        let ends = ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // When nobody listens any more the job has ended already.
        let _ = ends.send(end);
    }
}
