//! Brokers that refuse and brokers that go away, each on a broker of its own.

use std::sync::Arc;
use std::time::Duration;

use tidemill::emit::kafka::Sent;
use tidemill::error::Exit;
use tidemill::kafka::{Admin, Discovery, Health, Offsets, Progress, Settings};

use crate::reader::{at, open, read_more};
use crate::support::{Broker, PASSWORD, Proxy, Rec, USER, settings, settings_for, unique, wait_until};
use crate::writer;

const WAIT: Duration = Duration::from_secs(60);

fn secured(broker: &Broker, mechanism: &str, password: &str) -> Settings {
    let options = [
        "security.protocol=SASL_PLAINTEXT".to_owned(),
        format!("sasl.mechanisms={mechanism}"),
        format!("sasl.username={USER}"),
        format!("sasl.password={password}"),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    settings(broker.secure.as_deref().unwrap(), &options)
}

#[test]
fn credentials_and_permissions_that_are_refused_end_with_77() {
    let broker = Broker::own();
    let topic = broker.topic("secret", 1);
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let wrong = secured(&broker, mechanism, "not-his-password");
        let error = Admin::new(&wrong, &Health::default()).unwrap().topics(&[&topic], &[]).unwrap_err();
        assert_eq!(error.exit, Exit::NotAllowed, "{}", error.message);
        assert!(error.message.contains("_AUTHENTICATION"), "{}", error.message);
        assert!(!error.message.contains("not-his-password"), "{}", error.message);
        // The right password, and no permission for the topic.
        let right = secured(&broker, mechanism, PASSWORD);
        let error = Admin::new(&right, &Health::default()).unwrap().topics(&[&topic], &[]).unwrap_err();
        assert_eq!(error.exit, Exit::NotAllowed, "{}", error.message);
        assert!(error.message.contains("TOPIC_AUTHORIZATION_FAILED"), "{}", error.message);
        assert!(error.message.contains(&topic), "{}", error.message);
    }
}

#[test]
fn everything_goes_on_when_the_broker_comes_back() {
    let broker = Broker::own();
    let (topic, group) = (broker.topic("back", 1), unique("group"));
    let settings = settings_for(&broker.address, &group, &[]);
    let health = Health::default();
    let topics = Admin::new(&settings, &health).unwrap().topics(&[&topic], &[]).unwrap().0;
    let (progress, _) = Progress::start(&settings, 0, &topics, &health, |_| {}).unwrap();
    let mut reader = open(&settings, &[&topic], &[at(0, 0, 0)]);
    let mut producer = writer::open(&settings, &[&topic]);
    let name: Arc<str> = topic.as_str().into();
    let mut read = Vec::new();
    for round in 0..3_u64 {
        let offsets = Offsets::from([((name.clone(), 0), round as i64 * 10)]);
        progress.commit(offsets);
        for number in 0..10 {
            let value = format!("{round}-{number}");
            assert_eq!(producer.send(&writer::record(0, value.as_bytes(), 0)).unwrap(), Sent::Queued);
        }
        if round == 1 {
            broker.kill();
            wait_until(WAIT, "trouble is known", || {
                producer.poll(&mut |_| {}).unwrap();
                read_more(&mut reader, &mut read);
                health.current().is_some()
            });
            broker.restart();
        }
        wait_until(WAIT, "records are delivered and read", || {
            producer.poll(&mut |_| {}).unwrap();
            read_more(&mut reader, &mut read);
            read.len() as u64 == (round + 1) * 10 && producer.in_flight() == 0
        });
    }
    let values: Vec<_> = read.iter().map(|record| String::from_utf8(record.value.clone().unwrap()).unwrap()).collect();
    let expected: Vec<_> = (0..30).map(|number| format!("{}-{}", number / 10, number % 10)).collect();
    assert_eq!(values, expected);
    wait_until(WAIT, "progress is committed", || broker.committed(&group, &topic, 1) == [(0, 20)].into());
    assert!(progress.failure().is_none());
    progress.finish(WAIT).unwrap();
}

/// The older job has lost the network when the newer one starts; when the network is back, it must not make itself a
/// new producer and fence the newer one out.
#[test]
fn a_job_that_was_cut_off_does_not_fence_its_successor() {
    let broker = Broker::own();
    let proxy = Proxy::before(&broker);
    let (topic, group) = (broker.topic("cut", 1), unique("group"));
    let (behind, direct) = (settings_for(&proxy.address, &group, &[]), settings_for(&broker.address, &group, &[]));
    let topics = Admin::new(&direct, &Health::default()).unwrap().topics(&[&topic], &[]).unwrap().0;
    let name: Arc<str> = topic.as_str().into();
    let health = Health::default();
    let (older, _) = Progress::start(&behind, 0, &topics, &health, |_| {}).unwrap();
    let at = |offset| Offsets::from([((name.clone(), 0), offset)]);
    older.commit(at(1));
    wait_until(WAIT, "the older job's offsets", || broker.committed(&group, &topic, 1) == [(0, 1)].into());
    proxy.cut();
    older.commit(at(2));
    // Past the call that fails: the older job looks for a new producer now.
    wait_until(WAIT, "a failed commit", || health.current().is_some_and(|(since, _)| since.as_secs() >= 7));
    let (newer, found) = Progress::start(&direct, 0, &topics, &Health::default(), |_| {}).unwrap();
    assert_eq!(found, at(1));
    proxy.mend();
    wait_until(WAIT, "the older job's end", || older.failure().is_some());
    let error = older.failure().unwrap();
    assert_eq!(error.exit, Exit::TryAgain);
    assert!(error.message.contains("taken over") && error.message.contains(&group), "{}", error.message);
    newer.commit(at(5));
    newer.finish(WAIT).unwrap();
    assert_eq!(broker.committed(&group, &topic, 1), [(0, 5)].into());
}

/// The same before it has committed anything: what it took over has its successor's mark.
#[test]
fn a_job_that_was_cut_off_at_its_start_does_not_fence_its_successor() {
    let broker = Broker::own();
    let proxy = Proxy::before(&broker);
    let (topic, group) = (broker.topic("begun", 1), unique("group"));
    let (behind, direct) = (settings_for(&proxy.address, &group, &[]), settings_for(&broker.address, &group, &[]));
    let topics = Admin::new(&direct, &Health::default()).unwrap().topics(&[&topic], &[]).unwrap().0;
    let at = |offset| Offsets::from([((topic.as_str().into(), 0), offset)]);
    let (first, _) = Progress::start(&direct, 0, &topics, &Health::default(), |_| {}).unwrap();
    first.commit(at(1));
    first.finish(WAIT).unwrap();
    let health = Health::default();
    let (older, found) = Progress::start(&behind, 0, &topics, &health, |_| {}).unwrap();
    assert_eq!(found, at(1));
    proxy.cut();
    older.commit(at(2));
    wait_until(WAIT, "a failed commit", || health.current().is_some_and(|(since, _)| since.as_secs() >= 7));
    let (newer, found) = Progress::start(&direct, 0, &topics, &Health::default(), |_| {}).unwrap();
    assert_eq!(found, at(1));
    proxy.mend();
    wait_until(WAIT, "the older job's end", || older.failure().is_some());
    assert!(older.failure().unwrap().message.contains("taken over"), "{}", older.failure().unwrap().message);
    newer.commit(at(5));
    newer.finish(WAIT).unwrap();
    assert_eq!(broker.committed(&group, &topic, 1), [(0, 5)].into());
}

/// What one process took over has the mark of the one that started after it, and that is no other job's.
#[test]
fn a_process_that_was_cut_off_at_its_start_goes_on() {
    let broker = Broker::own();
    let proxy = Proxy::before(&broker);
    let (topic, group) = (broker.topic("siblings", 2), unique("group"));
    let (behind, direct) = (settings_for(&proxy.address, &group, &[]), settings_for(&broker.address, &group, &[]));
    let topics = Admin::new(&direct, &Health::default()).unwrap().topics(&[&topic], &[]).unwrap().0;
    let at = |partition, offset| Offsets::from([((topic.as_str().into(), partition), offset)]);
    let (before, _) = Progress::start(&direct, 0, &topics, &Health::default(), |_| {}).unwrap();
    before.commit(at(0, 1));
    before.commit(at(1, 1));
    before.finish(WAIT).unwrap();
    let health = Health::default();
    let (first, _) = Progress::start(&behind, 0, &topics, &health, |_| {}).unwrap();
    let (second, _) = Progress::start(&direct, 1, &topics, &Health::default(), |_| {}).unwrap();
    proxy.cut();
    first.commit(at(0, 2));
    second.commit(at(1, 2));
    wait_until(WAIT, "a failed commit", || health.current().is_some_and(|(since, _)| since.as_secs() >= 7));
    proxy.mend();
    wait_until(WAIT, "the offsets", || broker.committed(&group, &topic, 2) == [(0, 2), (1, 2)].into());
    // Longer than an idle process waits before it repeats an offset: it repeats none of the other's.
    first.commit(at(0, 3));
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(broker.committed(&group, &topic, 2), [(0, 3), (1, 2)].into());
    first.finish(WAIT).unwrap();
    second.finish(WAIT).unwrap();
}

/// The same without a successor: it goes on.
#[test]
fn a_job_that_was_cut_off_alone_goes_on() {
    let broker = Broker::own();
    let proxy = Proxy::before(&broker);
    let (topic, group) = (broker.topic("alone", 1), unique("group"));
    let settings = settings_for(&proxy.address, &group, &[]);
    let health = Health::default();
    let topics = Admin::new(&settings, &health).unwrap().topics(&[&topic], &[]).unwrap().0;
    let (progress, _) = Progress::start(&settings, 0, &topics, &health, |_| {}).unwrap();
    let at = |offset| Offsets::from([((topic.as_str().into(), 0), offset)]);
    progress.commit(at(1));
    wait_until(WAIT, "the first offsets", || broker.committed(&group, &topic, 1) == [(0, 1)].into());
    proxy.cut();
    progress.commit(at(2));
    wait_until(WAIT, "a failed commit", || health.current().is_some_and(|(since, _)| since.as_secs() >= 7));
    proxy.mend();
    wait_until(WAIT, "the offsets", || broker.committed(&group, &topic, 1) == [(0, 2)].into());
    progress.finish(WAIT).unwrap();
}

#[test]
fn a_broker_that_stays_away_ends_everything_with_75() {
    let broker = Broker::own();
    let topic = broker.topic("away", 1);
    let mut settings = settings(&broker.address, &[]);
    settings.broker_timeout = Duration::from_secs(4);
    let health = Health::default();
    let topics = Admin::new(&settings, &health).unwrap().topics(&[&topic], &[]).unwrap().0;
    let (progress, _) = Progress::start(&settings, 0, &topics, &health, |_| {}).unwrap();
    let discovery = Discovery::start(&settings, &topics, &health, || {}).unwrap();
    let mut producer = writer::open(&settings, &[&topic]);
    broker.produce(&topic, [Rec::value("x")]);
    progress.commit(Offsets::from([((topic.as_str().into(), 0), 1)]));
    broker.kill();
    assert_eq!(producer.send(&writer::record(0, b"x", 0)).unwrap(), Sent::Queued);
    let mut lost = None;
    wait_until(WAIT, "all three say so", || {
        lost = lost.take().or_else(|| producer.poll(&mut |_| {}).err());
        lost.is_some() && discovery.failure().is_some() && progress.failure().is_some()
    });
    for error in [lost.unwrap(), discovery.failure().unwrap(), progress.failure().unwrap()] {
        assert_eq!(error.exit, Exit::TryAgain, "{}", error.message);
        assert!(error.message.contains(&broker.address), "{}", error.message);
    }
}
