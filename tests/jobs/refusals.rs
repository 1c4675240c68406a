//! What a job is refused, and how it says so: each with its exit code and the name of what is wrong.

use std::time::{Duration, Instant};

use crate::scene::{COPY, SOON, Scene, ends, ends_within, hosts, orders, terminate};
use crate::support::{Broker, PASSWORD, USER, wait_until};

#[test]
fn missing_topics_are_all_named_within_30_s() {
    let scene = Scene::new(COPY);
    let started = Instant::now();
    let stderr = ends_within(scene.start(&[]), 69, Duration::from_secs(30));
    assert!(started.elapsed() < Duration::from_secs(30));
    for name in ["orders", "out", "dead"] {
        assert!(stderr.contains(&scene.topic(name)), "{name}: {stderr}");
    }
    assert!(stderr.contains(&scene.broker.address), "{stderr}");
}

#[test]
fn missing_outputs_are_made_when_asked_for_and_missing_inputs_never() {
    let scene = Scene::new(COPY);
    let stderr = ends_within(scene.start(&["--create-topics"]), 69, Duration::from_secs(30));
    assert!(stderr.contains(&scene.topic("orders")), "{stderr}");
    scene.create("orders", 1);
    scene.produce("orders", orders(0..10));
    scene.catch_up(&["--create-topics"]);
    assert_eq!(scene.values("out").len(), 10);
}

#[test]
fn a_broker_that_cannot_be_reached_is_named_after_30_s() {
    let scene = Scene::new(COPY);
    let nobody = hosts(1).remove(0);
    let job = scene.start(&["--brokers", &nobody]);
    let stderr = ends_within(job, 69, Duration::from_secs(40));
    assert!(stderr.contains(&nobody), "{stderr}");
}

#[test]
fn refused_credentials_end_with_77() {
    let own = Broker::shared().secure.is_none().then(Broker::own);
    let broker = own.as_ref().unwrap_or_else(|| Broker::shared());
    let address = broker.secure.as_deref().expect("the tests' own brokers have a secure listener");
    let scene = Scene::on(broker, COPY).with_copy_topics(1);
    let user = format!("sasl.username={USER}");
    let secure =
        ["--brokers", address, "-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanisms=PLAIN", "-X", &user];
    let password = scene.path("password");
    let from_file = format!("sasl.password=@{}", password.display());
    let arguments: Vec<&str> = secure.into_iter().chain(["-X", &from_file]).collect();
    std::fs::write(&password, "not-his-password\n").unwrap();
    let stderr = ends_within(scene.start(&arguments), 77, Duration::from_secs(35));
    assert!(stderr.contains(address) && !stderr.contains("not-his-password"), "{stderr}");
    // Known, but not allowed to see the topics.
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let stderr = ends_within(scene.start(&arguments), 77, Duration::from_secs(35));
    assert!(stderr.contains(&scene.topic("")) && !stderr.contains(PASSWORD), "{stderr}");
}

#[test]
fn of_two_jobs_with_one_group_the_newcomer_goes_on() {
    let scene = Scene::copy(2);
    scene.produce("orders", orders(0..100));
    let older = scene.start(&[]);
    wait_until(SOON, "the older job commits", || scene.committed("orders", 2).iter().sum::<i64>() == 100);
    let newer = scene.start(&[]);
    let stderr = ends_within(older, 75, Duration::from_secs(30));
    assert!(stderr.contains(&scene.group) && stderr.contains("taken over"), "{stderr}");
    scene.produce("orders", orders(100..150));
    wait_until(SOON, "the newer job commits", || scene.committed("orders", 2).iter().sum::<i64>() == 150);
    terminate(newer);
}

/// Also when neither has had anything to do yet.
#[test]
fn of_two_idle_jobs_with_one_group_the_newcomer_goes_on() {
    let scene = Scene::copy(2);
    let older = scene.start(&[]);
    let begun = || scene.broker.committed(&scene.group, &scene.topic("orders"), 2).len() == 2;
    wait_until(SOON, "the older job says where it begins", begun);
    let newer = scene.start(&[]);
    let stderr = ends_within(older, 75, Duration::from_secs(30));
    assert!(stderr.contains(&scene.group), "{stderr}");
    terminate(newer);
}

#[test]
fn a_full_disk_ends_the_job_with_74() {
    let scene = Scene::copy(1);
    scene.produce("orders", orders(0..100));
    let job = scene.start(&["--output", "out=/dev/full"]);
    let stderr = ends_within(job, 74, Duration::from_secs(30));
    assert!(stderr.contains("/dev/full") && stderr.contains("space"), "{stderr}");
    assert_eq!(scene.committed("orders", 1), [0], "what was not written is not settled");
}

#[test]
fn processes_with_different_counts_or_files_both_end_with_78() {
    let scene = Scene::copy(2);
    let addresses = hosts(2);
    let first = scene.start_process(&addresses, 0, &["-w", "1"]);
    let second = scene.start_process(&addresses, 1, &["-w", "2"]);
    for job in [first, second] {
        let stderr = ends(job, 78);
        assert!(stderr.contains("--workers"), "{stderr}");
    }
    std::fs::write(scene.path("other.yaml"), COPY.replace("skip IS NULL", "skip IS NOT NULL")).unwrap();
    let hosts = hosts(2);
    let place = |process: &'static str| ["-n", "2", "-p", process, "--hosts"];
    let hosts = hosts.join(",");
    let first = scene.start(&[&place("0")[..], &[&hosts]].concat());
    let second = scene.start_file("other.yaml", &[&place("1")[..], &[&hosts]].concat());
    for job in [first, second] {
        let stderr = ends(job, 78);
        assert!(stderr.contains("file"), "{stderr}");
    }
}
