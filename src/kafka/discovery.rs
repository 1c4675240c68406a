//! What becomes of the topics that a job reads: new partitions, topics that are deleted, brokers that stay away.
//!
//! One thread per process asks every few seconds and leaves the answer where workers look without waiting.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::admin::{Admin, Topic};
use super::errors::{Failure, classify, code_name};
use super::health::Health;
use super::settings::Settings;
use crate::error::{Exit, RunError};

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A broker that has just started may not know a topic yet; one that nobody knows for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(12);

/// Watches topics while the job runs.
pub struct Discovery {
    shared: Arc<Shared>,
}

struct Shared {
    /// How many partitions each topic has, in the order given.
    partitions: Vec<AtomicI32>,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    end: bool,
    failure: Option<RunError>,
}

impl Discovery {
    /// Watches `topics`; `changed` is called from another thread when a topic has more partitions than before, or
    /// when the job is to stop.
    pub fn start(
        settings: &Settings,
        topics: &[Topic],
        health: &Health,
        changed: impl Fn() + Send + 'static,
    ) -> Result<Self, RunError> {
        let admin = Admin::new(settings, health)?;
        let shared = Arc::new(Shared {
            partitions: topics.iter().map(|topic| AtomicI32::new(topic.partitions)).collect(),
            state: Mutex::default(),
            ended: Condvar::new(),
        });
        let mut watch =
            Watch { admin, health: health.clone(), known: topics.to_vec(), unknown: None, leaderless: None };
        let theirs = shared.clone();
        let run = move || {
            while theirs.pause() {
                match watch.look(&theirs.partitions) {
                    Ok(false) => {}
                    Ok(true) => changed(),
                    Err(error) => {
                        theirs.state().failure = Some(error);
                        return changed();
                    }
                }
            }
        };
        std::thread::Builder::new()
            .name("discovery".to_owned())
            .spawn(run)
            .map_err(|error| RunError::new(Exit::Software, format!("cannot start a thread: {error}")))?;
        Ok(Self { shared })
    }

    /// How many partitions a topic has now; `topic` is its place among those given.
    pub fn partitions(&self, topic: usize) -> i32 {
        self.shared.partitions.get(topic).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Why the job must stop.
    pub fn failure(&self) -> Option<RunError> {
        self.shared.state().failure.clone()
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.shared.state().end = true;
        self.shared.ended.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next look; false at the end.
    fn pause(&self) -> bool {
        let (state, _) = self
            .ended
            .wait_timeout_while(self.state(), LOOK_EVERY, |state| !state.end)
            .unwrap_or_else(PoisonError::into_inner);
        !state.end
    }
}

/// The thread's own.
struct Watch {
    admin: Admin,
    health: Health,
    known: Vec<Topic>,
    /// Since when, and which topic, no broker knows.
    unknown: Option<(Instant, String)>,
    /// Since when a partition, and which, has no leader.
    leaderless: Option<(Instant, String)>,
}

impl Watch {
    /// Whether there are new partitions.
    fn look(&mut self, counts: &[AtomicI32]) -> Result<bool, RunError> {
        let names: Vec<&str> = self.known.iter().map(|topic| topic.name.as_str()).collect();
        let patience = self.admin.settings().broker_timeout;
        let found = match self.admin.try_describe(&names, Duration::from_secs(3)) {
            Ok(found) => found,
            Err(error) if classify(error.code) == Failure::Passing => {
                self.health.trouble(Exit::TryAgain, format!("{} ({})", error.reason, code_name(error.code)));
                return self.health.check(&self.admin.settings().brokers, patience).map(|()| false);
            }
            // While a job runs, credentials are refused by brokers that are starting, too.
            Err(error) if error.code == Code::RD_KAFKA_RESP_ERR__AUTHENTICATION => {
                self.health.trouble(Exit::NotAllowed, format!("{} ({})", error.reason, code_name(error.code)));
                return self.health.check(&self.admin.settings().brokers, patience).map(|()| false);
            }
            Err(error) => return Err(self.admin.explain("asking for topics", &error)),
        };
        let mut grown = false;
        let (mut unknown, mut leaderless) = (None, None);
        for ((known, found), count) in self.known.iter().zip(found).zip(counts) {
            let Some(found) = found else {
                unknown = Some(known.name.clone());
                continue;
            };
            self.same(known, &found)?;
            if let Some(partition) = found.leaderless.first() {
                leaderless = Some(format!("topic {}, partition {partition}", found.name));
            }
            grown |= count.fetch_max(found.partitions, Ordering::Relaxed) < found.partitions;
        }
        since(&mut self.unknown, unknown);
        since(&mut self.leaderless, leaderless);
        self.lasting(patience)?;
        Ok(grown)
    }

    fn same(&self, known: &Topic, found: &Topic) -> Result<(), RunError> {
        let replaced = matches!((&known.id, &found.id), (Some(before), Some(now)) if before != now);
        if replaced || found.partitions < known.partitions {
            let name = &known.name;
            let message = format!("topic {name} was deleted and created again: its offsets mean other records now");
            return Err(RunError::new(Exit::Unavailable, message));
        }
        Ok(())
    }

    fn lasting(&self, patience: Duration) -> Result<(), RunError> {
        let brokers = &self.admin.settings().brokers;
        if let Some((since, topic)) = &self.unknown
            && since.elapsed() >= GONE_AFTER
        {
            let message = format!("topic {topic} was deleted: Kafka at {brokers} has none (UNKNOWN_TOPIC_OR_PART)");
            return Err(RunError::new(Exit::Unavailable, message));
        }
        if let Some((since, partition)) = &self.leaderless
            && since.elapsed() >= patience
        {
            let seconds = since.elapsed().as_secs();
            let message = format!("{partition}: no broker leads it for {seconds} s (LEADER_NOT_AVAILABLE)");
            return Err(RunError::new(Exit::TryAgain, message));
        }
        Ok(())
    }
}

/// Keeps the time at which something began.
fn since(state: &mut Option<(Instant, String)>, now: Option<String>) {
    match (state.as_mut(), now) {
        (Some((_, what)), Some(now)) => *what = now,
        (None, Some(now)) => *state = Some((Instant::now(), now)),
        (_, None) => *state = None,
    }
}
