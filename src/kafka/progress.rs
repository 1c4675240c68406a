//! Publishing how far a job has delivered, and making sure that only one job of a group does.
//!
//! One transactional producer per process commits offsets to the group, and nothing else: its transactional id is made
//! of the group and the process's index, so that the brokers let only the newest job with that name go on. A newcomer
//! *fences* the older job when it starts, and need not wait for one that crashed. The older one learns it at its next
//! commit; one that has nothing to commit repeats an offset every few seconds, so it learns it within that.
//!
//! A transactional call that failed in passing leaves its producer in doubt, so it is thrown away and another made.
//! That alone would fence a newcomer out again; hence every committed offset carries the *mark* of the job that wrote
//! it, a newcomer puts its own mark on all offsets that it takes over as soon as it has fenced, and a job that finds
//! another's mark on its offsets ends instead of making a new producer. Every process of a job marks all offsets of the
//! group when it starts; so until a process has committed an offset itself, the mark of one with another index may well
//! be that of its own job, and only one with its own index is a newcomer's.
//!
//! All calls block, so they run on a thread of their own; [`Progress::commit`] only leaves a note for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use super::admin::Topic;
use super::errors::{Failure, classify, stop};
use super::group::{Committed, Group};
use super::health::Health;
use super::request::Unanswered;
use super::settings::Settings;
use crate::error::{Exit, RunError};

mod transaction;

use transaction::{Committer, Trouble};

/// Topic and partition, and the offset of the next record to read there.
pub type Offsets = BTreeMap<(Arc<str>, i32), i64>;

/// At most one transaction in this time: each costs the brokers three requests.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How often a job that has nothing new to say asks whether it is still the newest.
const CONFIRM_EVERY: Duration = Duration::from_secs(4);
/// What every mark begins with.
const MARK: &str = "tidemill ";
/// How long one transactional call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// What tells each topic from an earlier one of its name: an offset is good for the one that it was committed for.
type TopicIds = BTreeMap<Arc<str>, String>;

/// Publishes the progress of one process.
pub struct Progress {
    recreated: BTreeSet<Arc<str>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    notes: Mutex<Notes>,
    changed: Condvar,
}

#[derive(Default)]
struct Notes {
    /// Not yet committed.
    pending: Offsets,
    stop_by: Option<Instant>,
    failure: Option<RunError>,
    ended: bool,
}

impl Progress {
    /// Fences an older job of the group out, then reads what the group has committed for these topics, and puts this
    /// job's mark on it. `process` is this process's index; `failed` is called once, from another thread, when the
    /// job was taken over or its brokers stayed away.
    pub fn start(
        settings: &Settings,
        process: usize,
        topics: &[Topic],
        health: &Health,
        failed: impl Fn(&RunError) + Send + 'static,
    ) -> Result<(Self, Offsets), RunError> {
        let mut work = Work::new(Group::new(settings, health)?, settings, process, health);
        let (offsets, recreated) = work.take_over(topics)?;
        let shared = Arc::new(Shared { notes: Mutex::new(Notes::default()), changed: Condvar::new() });
        let theirs = shared.clone();
        let run = move || {
            let result = work.run(&theirs);
            if let Err(error) = &result {
                failed(error);
            }
            let mut notes = theirs.notes();
            notes.failure = result.err();
            notes.ended = true;
            theirs.changed.notify_all();
        };
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(run)
            .map_err(|error| RunError::new(Exit::Software, format!("cannot start a thread: {error}")))?;
        Ok((Self { recreated, shared, thread: Mutex::new(Some(thread)) }, offsets))
    }

    /// Topics that were created again since their offsets were committed: those mean other records now.
    pub fn recreated(&self) -> &BTreeSet<Arc<str>> {
        &self.recreated
    }

    /// These are delivered. Returns at once; they are committed within about a second, the first at once. A job says
    /// where it begins in the same way, so that it can be told that it was taken over before it delivers anything.
    pub fn commit(&self, offsets: impl IntoIterator<Item = ((Arc<str>, i32), i64)>) {
        let mut notes = self.shared.notes();
        // While some are pending it is their time that the thread waits for.
        let first = notes.pending.is_empty();
        notes.pending.extend(offsets);
        drop(notes);
        if first {
            self.shared.changed.notify_all();
        }
    }

    /// Why nothing is committed any more.
    pub fn failure(&self) -> Option<RunError> {
        self.shared.notes().failure.clone()
    }

    /// Commits what is left and ends, within `wait`.
    pub fn finish(&self, wait: Duration) -> Result<(), RunError> {
        let deadline = Instant::now() + wait;
        let mut notes = self.shared.notes();
        notes.stop_by = Some(deadline);
        self.shared.changed.notify_all();
        while !notes.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RunError::new(Exit::TryAgain, "the last offsets could not be committed in time"));
            }
            notes = self.shared.changed.wait_timeout(notes, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let failure = notes.failure.clone();
        drop(notes);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
        failure.map_or(Ok(()), Err)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // A job that ends otherwise than by `finish` commits nothing more.
        let mut notes = self.shared.notes();
        notes.pending.clear();
        notes.stop_by.get_or_insert_with(Instant::now);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Nothing panics while it holds the lock.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to do; the offsets to commit, and whether it is the last time.
    fn next(&self, last: Option<Instant>) -> (Offsets, Option<Instant>) {
        let mut notes = self.notes();
        loop {
            let since = last.map_or(Duration::MAX, |last| last.elapsed());
            let due = if notes.pending.is_empty() { CONFIRM_EVERY } else { COMMIT_EVERY };
            if notes.stop_by.is_some() || (since >= due && (last.is_some() || !notes.pending.is_empty())) {
                return (std::mem::take(&mut notes.pending), notes.stop_by);
            }
            let wait = if last.is_some() { due - since } else { CONFIRM_EVERY };
            notes = self.changed.wait_timeout(notes, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The thread's own.
struct Work {
    group: Group,
    settings: Settings,
    health: Health,
    transactional_id: String,
    /// What the marks of all processes with this index begin with.
    index: String,
    mark: String,
    ids: Arc<TopicIds>,
    committer: Option<Committer>,
    /// What it marked when it started, of all processes.
    taken: Offsets,
    /// What this process has committed last.
    committed: Offsets,
}

impl Work {
    fn new(group: Group, settings: &Settings, process: usize, health: &Health) -> Self {
        let index = format!("{MARK}{process} ");
        Self {
            group,
            settings: settings.clone(),
            health: health.clone(),
            transactional_id: format!("tidemill-progress-{}-{process}", settings.group),
            mark: format!("{index}{}", instance()),
            index,
            ids: Arc::default(),
            committer: None,
            taken: Offsets::new(),
            committed: Offsets::new(),
        }
    }

    /// Fences, reads, marks. An older job that makes itself a new producer between the first and the last of these
    /// fences us; then once more, since it will find our mark, or be fenced at its next commit.
    fn take_over(&mut self, topics: &[Topic]) -> Result<(Offsets, BTreeSet<Arc<str>>), RunError> {
        let id = |topic: &Topic| Some((topic.name.as_str().into(), topic.id.clone()?));
        self.ids = Arc::new(topics.iter().filter_map(id).collect());
        for attempt in 0.. {
            self.committer = Some(self.open(self.settings.start_timeout)?);
            let (offsets, recreated) = self.read(topics)?;
            // What was committed for an earlier topic goes on saying so.
            let mut marked = offsets.clone();
            marked.retain(|(topic, _), _| !recreated.contains(topic));
            match self.transact(&marked) {
                Ok(()) => {
                    self.taken = marked;
                    return Ok((offsets, recreated));
                }
                Err(trouble) if trouble.fenced() && attempt >= 2 => return Err(self.taken_over()),
                Err(trouble) if trouble.fenced() || classify(trouble.code) == Failure::Passing && attempt < 5 => {}
                Err(trouble) => return Err(self.explain(&trouble)),
            }
        }
        unreachable!("the loop ends by itself")
    }

    fn read(&self, topics: &[Topic]) -> Result<(Offsets, BTreeSet<Arc<str>>), RunError> {
        let names: BTreeMap<&str, Arc<str>> =
            topics.iter().map(|t| (t.name.as_str(), t.name.as_str().into())).collect();
        let partitions: Vec<(&str, i32)> =
            topics.iter().flat_map(|t| (0..t.partitions).map(|p| (t.name.as_str(), p))).collect();
        let found = self
            .group
            .committed(&partitions, self.settings.start_timeout)
            .map_err(|error| self.explain(&Trouble::new(error.code, error.reason)))?;
        let (mut offsets, mut recreated) = (Offsets::new(), BTreeSet::new());
        for ((topic, partition), at) in found {
            let Some(topic) = names.get(topic.as_str()) else { continue };
            offsets.insert((topic.clone(), partition), at.offset);
            if let (Some(now), Some(then)) = (self.ids.get(topic), &at.topic_id)
                && now != then
            {
                recreated.insert(topic.clone());
            }
        }
        Ok((offsets, recreated))
    }

    fn open(&self, wait: Duration) -> Result<Committer, RunError> {
        Committer::open(&self.settings, &self.transactional_id, (&self.mark, &self.ids), &self.health, wait)
            .map_err(|trouble| self.explain(&trouble))
    }

    fn run(&mut self, shared: &Shared) -> Result<(), RunError> {
        let mut last = None;
        loop {
            let (mut offsets, stop_by) = shared.next(last);
            if offsets.is_empty() && stop_by.is_some() {
                return Ok(());
            }
            if offsets.is_empty() {
                offsets.extend(self.committed.first_key_value().map(|(key, offset)| (key.clone(), *offset)));
            }
            self.commit(&offsets, stop_by)?;
            self.committed.extend(offsets);
            last = Some(Instant::now());
        }
    }

    /// Commits; with another producer where the one at hand is in doubt.
    fn commit(&mut self, offsets: &Offsets, stop_by: Option<Instant>) -> Result<(), RunError> {
        let patience = self.settings.broker_timeout;
        let deadline = stop_by.unwrap_or_else(|| Instant::now() + patience).min(Instant::now() + patience);
        loop {
            let trouble = match self.transact(offsets) {
                Ok(()) => {
                    self.health.heard();
                    return Ok(());
                }
                Err(trouble) => trouble,
            };
            if trouble.fenced() {
                return Err(self.taken_over());
            }
            if classify(trouble.code) != Failure::Passing {
                return Err(self.explain(&trouble));
            }
            tracing::warn!("committing offsets of group {} failed, trying again: {trouble}", self.settings.group);
            self.health.trouble(Exit::TryAgain, trouble.to_string());
            self.committer = None;
            self.replace(deadline)?;
        }
    }

    fn transact(&self, offsets: &Offsets) -> Result<(), Trouble> {
        match &self.committer {
            Some(committer) => committer.transact(offsets, CALL_TIMEOUT),
            None => Err(Trouble::passing("no producer")),
        }
    }

    /// A new producer, unless another job has put its mark on our offsets since.
    fn replace(&mut self, deadline: Instant) -> Result<(), RunError> {
        loop {
            let began = Instant::now();
            let trouble = match self.is_taken_over() {
                Ok(true) => return Err(self.taken_over()),
                Ok(false) => match self.open_again() {
                    Ok(committer) => {
                        self.committer = Some(committer);
                        return Ok(());
                    }
                    Err(trouble) => trouble,
                },
                Err(error) => Trouble::new(error.code, error.reason),
            };
            if trouble.fenced() {
                return Err(self.taken_over());
            }
            if classify(trouble.code) != Failure::Passing || Instant::now() >= deadline {
                return Err(self.explain(&trouble));
            }
            self.health.trouble(Exit::TryAgain, trouble.to_string());
            // While nobody answers the library tries to connect as fast as it can.
            std::thread::sleep(began.elapsed().clamp(Duration::from_millis(200), Duration::from_secs(2)));
        }
    }

    /// Is there the mark of a newcomer?
    fn is_taken_over(&self) -> Result<bool, Unanswered> {
        let by_other = |offsets: &Offsets, theirs: &str| -> Result<bool, Unanswered> {
            let partitions: Vec<_> = offsets.keys().map(|(topic, partition)| (&**topic, *partition)).collect();
            let found = self.group.committed(&partitions, Duration::from_secs(3))?;
            Ok(found.values().any(|Committed { mark, .. }| mark.starts_with(theirs) && *mark != self.mark))
        };
        Ok(by_other(&self.committed, MARK)? || by_other(&self.taken, &self.index)?)
    }

    fn open_again(&self) -> Result<Committer, Trouble> {
        Committer::open(&self.settings, &self.transactional_id, (&self.mark, &self.ids), &self.health, CALL_TIMEOUT)
    }

    fn taken_over(&self) -> RunError {
        let group = &self.settings.group;
        RunError::new(Exit::TryAgain, format!("another job has taken over group {group}: this one ends (_FENCED)"))
    }

    fn explain(&self, trouble: &Trouble) -> RunError {
        let Settings { brokers, group, .. } = &self.settings;
        let reason = self.health.current().map(|(_, reason)| format!("; {reason}")).unwrap_or_default();
        stop(
            trouble.code,
            format_args!("Kafka at {brokers}: committing offsets of group {group}: {}{reason}", trouble.reason),
        )
    }
}

/// What no other start of a job has.
fn instance() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let here = &raw const now as usize;
    let text = format!("{now} {} {here}", std::process::id());
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}
