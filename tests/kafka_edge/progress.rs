//! Progress is visible to every tool, and one job of a group is the newest.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill::error::{Exit, RunError};
use tidemill::kafka::{Admin, Health, Offsets, Progress, Settings, Topic};

use crate::support::{Broker, settings_for, unique, wait_until};

const WAIT: Duration = Duration::from_secs(20);

type Failed = Arc<Mutex<Option<RunError>>>;

fn topics(settings: &Settings, names: &[&str]) -> Vec<Topic> {
    Admin::new(settings, &Health::default()).unwrap().topics(names, &[]).unwrap().0
}

fn start(settings: &Settings, topics: &[Topic]) -> (Progress, Offsets, Failed) {
    let failed = Failed::default();
    let theirs = failed.clone();
    let on_failure = move |error: &RunError| *theirs.lock().unwrap() = Some(error.clone());
    let (progress, offsets) = Progress::start(settings, 0, topics, &Health::default(), on_failure).unwrap();
    (progress, offsets, failed)
}

fn offsets(topic: &str, of: &[(i32, i64)]) -> Offsets {
    let topic: Arc<str> = topic.into();
    of.iter().map(|(partition, offset)| ((topic.clone(), *partition), *offset)).collect()
}

#[test]
fn what_was_committed_is_seen_by_others_and_by_the_next_start() {
    let broker = Broker::shared();
    let (topic, group) = (broker.topic("progress", 3), unique("group"));
    let settings = settings_for(&broker.address, &group, &[]);
    let topics = topics(&settings, &[&topic]);
    let (progress, none, _) = start(&settings, &topics);
    assert!(none.is_empty());
    progress.commit(offsets(&topic, &[(0, 3), (1, 5)]));
    progress.commit(offsets(&topic, &[(0, 4)]));
    wait_until(WAIT, "the offsets", || broker.committed(&group, &topic, 3) == [(0, 4), (1, 5)].into());
    progress.commit(offsets(&topic, &[(0, 9)]));
    progress.finish(WAIT).unwrap();
    assert_eq!(broker.committed(&group, &topic, 3), [(0, 9), (1, 5)].into());
    let (_progress, found, _) = start(&settings, &topics);
    assert_eq!(found, offsets(&topic, &[(0, 9), (1, 5)]));
}

#[test]
fn the_newcomer_takes_over_and_the_older_job_ends_while_idle() {
    let broker = Broker::shared();
    let (topic, group) = (broker.topic("fenced", 1), unique("group"));
    let settings = settings_for(&broker.address, &group, &[]);
    let topics = topics(&settings, &[&topic]);
    let (older, _, failed) = start(&settings, &topics);
    older.commit(offsets(&topic, &[(0, 1)]));
    wait_until(WAIT, "the older job's offsets", || !broker.committed(&group, &topic, 1).is_empty());
    let (newer, found, newer_failed) = start(&settings, &topics);
    let taken = Instant::now();
    assert_eq!(found, offsets(&topic, &[(0, 1)]));
    wait_until(WAIT, "the older job's end", || failed.lock().unwrap().is_some());
    assert!(taken.elapsed() < Duration::from_secs(7), "{:?}", taken.elapsed());
    let error = failed.lock().unwrap().clone().unwrap();
    assert_eq!(error.exit, Exit::TryAgain);
    assert!(error.message.contains(&group) && error.message.contains("taken over"), "{}", error.message);
    assert_eq!(older.finish(WAIT).unwrap_err().exit, Exit::TryAgain);
    newer.commit(offsets(&topic, &[(0, 2)]));
    newer.finish(WAIT).unwrap();
    assert!(newer_failed.lock().unwrap().is_none());
    assert_eq!(broker.committed(&group, &topic, 1), [(0, 2)].into());
}

#[test]
fn a_fenced_job_commits_nothing_more() {
    let broker = Broker::shared();
    let (topic, group) = (broker.topic("late", 1), unique("group"));
    let settings = settings_for(&broker.address, &group, &[]);
    let topics = topics(&settings, &[&topic]);
    let (older, _, _) = start(&settings, &topics);
    older.commit(offsets(&topic, &[(0, 1)]));
    wait_until(WAIT, "the older job's offsets", || !broker.committed(&group, &topic, 1).is_empty());
    let (newer, _, _) = start(&settings, &topics);
    newer.commit(offsets(&topic, &[(0, 5)]));
    wait_until(WAIT, "the newer job's offsets", || broker.committed(&group, &topic, 1) == [(0, 5)].into());
    older.commit(offsets(&topic, &[(0, 2)]));
    assert_eq!(older.finish(WAIT).unwrap_err().exit, Exit::TryAgain);
    assert_eq!(broker.committed(&group, &topic, 1), [(0, 5)].into());
    assert!(newer.failure().is_none());
}

#[test]
fn a_restart_does_not_wait_for_its_dead_self() {
    let broker = Broker::shared();
    let (topic, group) = (broker.topic("restart", 1), unique("group"));
    let settings = settings_for(&broker.address, &group, &[]);
    let topics = topics(&settings, &[&topic]);
    let (first, _, _) = start(&settings, &topics);
    first.commit(offsets(&topic, &[(0, 1)]));
    wait_until(WAIT, "the first offsets", || !broker.committed(&group, &topic, 1).is_empty());
    // As a crash would: no farewell to the broker.
    std::mem::forget(first);
    let begun = Instant::now();
    let (_second, found, _) = start(&settings, &topics);
    assert_eq!(found, offsets(&topic, &[(0, 1)]));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn processes_of_one_job_do_not_fence_each_other() {
    let broker = Broker::shared();
    let (topic, group) = (broker.topic("processes", 2), unique("group"));
    let settings = settings_for(&broker.address, &group, &[]);
    let topics = topics(&settings, &[&topic]);
    let health = Health::default();
    let (first, _) = Progress::start(&settings, 0, &topics, &health, |_| {}).unwrap();
    let (second, _) = Progress::start(&settings, 1, &topics, &health, |_| {}).unwrap();
    first.commit(offsets(&topic, &[(0, 1)]));
    second.commit(offsets(&topic, &[(1, 2)]));
    first.finish(WAIT).unwrap();
    second.finish(WAIT).unwrap();
    assert_eq!(broker.committed(&group, &topic, 2), [(0, 1), (1, 2)].into());
}

/// Offsets are good for the topic that they were committed for, and go on saying so however often a job looks.
#[test]
fn a_topic_that_was_created_again_is_known_by_its_id() {
    let broker = Broker::shared();
    let names = [broker.topic("again", 1), broker.topic("same", 1)];
    let settings = settings_for(&broker.address, &unique("group"), &[]);
    let now = topics(&settings, &[&names[0], &names[1]]);
    let earlier = Topic { id: Some("an earlier one".to_owned()), ..now[0].clone() };
    let (progress, _, _) = start(&settings, &[earlier.clone(), now[1].clone()]);
    progress.commit(offsets(&names[0], &[(0, 3)]).into_iter().chain(offsets(&names[1], &[(0, 4)])));
    progress.finish(WAIT).unwrap();
    for _ in 0..2 {
        let (progress, found, _) = start(&settings, &now);
        assert_eq!(progress.recreated().iter().map(|topic| &**topic).collect::<Vec<_>>(), [names[0].as_str()]);
        assert_eq!(found.len(), 2);
    }
    let (progress, _, _) = start(&settings, &[earlier, now[1].clone()]);
    assert!(progress.recreated().is_empty());
}
