//! Questions are answered, and what is missing is named, with the exit code that tells who must act.

use std::time::{Duration, Instant};

use tidemill::error::Exit;
use tidemill::kafka::{Admin, At, Discovery, Given, Health, Limit, Settings, TimeLimits};

use crate::support::{Broker, End, Rec, settings, unique, wait_until};

const WAIT: Duration = Duration::from_secs(20);

fn admin(settings: &Settings) -> Admin {
    Admin::new(settings, &Health::default()).unwrap()
}

#[test]
fn topics_are_found_and_missing_ones_are_all_named() {
    let broker = Broker::shared();
    let (input, output) = (broker.topic("input", 3), broker.topic("output", 2));
    let admin = admin(&settings(&broker.address, &[]));
    let (inputs, outputs) = admin.topics(&[&input], &[&output, &input]).unwrap();
    assert_eq!((inputs.len(), outputs.len()), (1, 2));
    assert_eq!((inputs[0].name.as_str(), inputs[0].partitions), (&*input, 3));
    assert_eq!((outputs[0].name.as_str(), outputs[0].partitions), (&*output, 2));
    assert!(inputs[0].id.is_some() && inputs[0].leaderless.is_empty());
    let error = admin.topics(&[&input, "no-such-input"], &["no-such-output"]).unwrap_err();
    assert_eq!(error.exit, Exit::Unavailable);
    for part in ["no-such-input", "no-such-output", "--create-topics", &broker.address, "UNKNOWN_TOPIC_OR_PART"] {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
}

#[test]
fn missing_outputs_are_made_but_no_inputs() {
    let broker = Broker::shared();
    let mut settings = settings(&broker.address, &[]);
    settings.create_topics = true;
    let admin = admin(&settings);
    let output = unique("made");
    let error = admin.topics(&["no-such-input"], &[]).unwrap_err();
    assert!(error.message.contains("no-such-input"));
    let (_, made) = admin.topics(&[], &[&output]).unwrap();
    assert_eq!(made[0].name, output);
    assert!(made[0].partitions >= 1 && made[0].leaderless.is_empty());
    assert_eq!(admin.topics(&[], &[&output]).unwrap().1, made);
}

#[test]
fn offsets_are_those_of_the_question() {
    let broker = Broker::shared();
    let topic = broker.topic("offsets", 2);
    let timed = |i: i64| Rec { timestamp: Some(1_000_000 + i * 1000), ..Rec::value("x").to(0) };
    broker.produce(&topic, (0..10).map(timed));
    broker.delete_records(&topic, 0, 3);
    let _open = broker.transaction(&topic, [Rec::value("open").to(0)], End::Open);
    let admin = admin(&settings(&broker.address, &[]));
    let partitions = [(&*topic, 1), (&*topic, 0)];
    assert_eq!(admin.offsets(&partitions, At::Earliest).unwrap(), [0, 3]);
    assert_eq!(admin.offsets(&partitions, At::End).unwrap(), [0, 11]);
    assert_eq!(admin.offsets(&partitions, At::Stable).unwrap(), [0, 10]);
    assert_eq!(admin.offsets(&partitions, At::Time(1_005_001)).unwrap(), [0, 6]);
    assert_eq!(admin.offsets(&partitions, At::Time(i64::MAX / 2)).unwrap(), [0, 10]);
}

#[test]
fn the_least_size_limit_of_the_topics_counts() {
    let broker = Broker::shared();
    let (small, usual) = (unique("small"), broker.topic("usual", 1));
    broker.create_topic(&small, 1, &[("max.message.bytes", "7000")]);
    let admin = admin(&settings(&broker.address, &[]));
    let bytes = |topics: &[&str]| admin.limits(topics).batch_bytes;
    assert_eq!(bytes(&[&usual, &small]), 7000);
    assert_eq!(bytes(&[&usual]), 1_048_588);
    assert_eq!(bytes(&["no-such-topic"]), 1_048_588);
}

#[test]
fn each_topic_has_its_limits_of_time() {
    let broker = Broker::shared();
    let (near, arrival, usual) = (unique("near"), unique("arrival"), broker.topic("usual", 1));
    broker.create_topic(&near, 1, &[("message.timestamp.before.max.ms", "5000")]);
    broker.create_topic(&arrival, 1, &[("message.timestamp.type", "LogAppendTime")]);
    let admin = admin(&settings(&broker.address, &[]));
    let times = admin.limits(&[&usual, "no-such-topic", &near, &arrival]).times;
    // Brokers before 4.0 take any time unless told otherwise.
    let after = times[0].after;
    assert!(after.is_none_or(|after| (after.ms, after.setting) == (3_600_000, "message.timestamp.after.max.ms")));
    let before = Some(Limit { ms: 5000, setting: "message.timestamp.before.max.ms" });
    let none = TimeLimits::default();
    assert_eq!(times, [TimeLimits { before: None, after }, none, TimeLimits { before, after }, none]);
}

#[test]
fn no_broker_is_said_in_time() {
    let mut settings = settings("127.0.0.1:1", &[]);
    settings.start_timeout = Duration::from_secs(2);
    let begun = Instant::now();
    let error = admin(&settings).topics(&["t"], &[]).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(error.exit, Exit::Unavailable);
    assert!(error.message.contains("127.0.0.1:1") && error.message.contains("refused"), "{}", error.message);
}

#[test]
fn a_name_that_no_topic_can_have_is_refused() {
    let broker = Broker::shared();
    let error = admin(&settings(&broker.address, &[])).topics(&["no topic!"], &[]).unwrap_err();
    assert_eq!(error.exit, Exit::Unavailable);
    assert!(error.message.contains("no topic!"), "{}", error.message);
}

#[test]
fn new_partitions_are_discovered() {
    let broker = Broker::shared();
    let topic = broker.topic("discovered", 1);
    let settings = settings(&broker.address, &[]);
    let topics = admin(&settings).topics(&[&topic], &[]).unwrap().0;
    let (tell, told) = std::sync::mpsc::channel();
    let discovery =
        Discovery::start(&settings, &topics, &Health::default(), move || tell.send(()).unwrap_or_default()).unwrap();
    assert_eq!(discovery.partitions(0), 1);
    broker.add_partitions(&topic, 4);
    told.recv_timeout(Duration::from_secs(15)).unwrap();
    assert_eq!(discovery.partitions(0), 4);
    assert!(discovery.failure().is_none());
}

#[test]
fn a_topic_that_is_made_again_stops_the_job() {
    let broker = Broker::shared();
    let topic = broker.topic("again", 1);
    let settings = settings(&broker.address, &[]);
    let topics = admin(&settings).topics(&[&topic], &[]).unwrap().0;
    let discovery = Discovery::start(&settings, &topics, &Health::default(), || {}).unwrap();
    broker.delete_topic(&topic);
    wait_until(WAIT, "the topic is gone", || {
        admin(&settings).describe(&[&topic]).is_ok_and(|found| found[0].is_none())
    });
    broker.create_topic(&topic, 1, &[]);
    wait_until(WAIT, "an error", || discovery.failure().is_some());
    let error = discovery.failure().unwrap();
    assert_eq!(error.exit, Exit::Unavailable);
    assert!(error.message.contains(&topic) && error.message.contains("created again"), "{}", error.message);
}

#[test]
fn settings_that_do_not_fit_each_other_are_a_usage_error() {
    let options = ["security.protocol=SASL_PLAINTEXT".to_owned(), "sasl.mechanisms=NO-SUCH".to_owned()];
    let given = Given { brokers: "127.0.0.1:1", options: &options, group: "g", ..Given::default() };
    let settings = Settings::new(&given).unwrap().0;
    let error = Admin::new(&settings, &Health::default()).err().unwrap();
    assert_eq!(error.exit, Exit::Usage);
    assert!(error.message.contains("NO-SUCH"), "{}", error.message);
}
