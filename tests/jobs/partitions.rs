//! Partitions that appear, offsets that are gone.

use std::time::Duration;

use crate::scene::{COPY, SOON, Scene, ends, orders, terminate};
use crate::seen::ready;
use crate::support::wait_until;

/// A copy job that reads only what is new to it.
fn latest() -> Scene<'static> {
    let file = COPY.replace(".orders\" }", ".orders\", start: latest }");
    assert_ne!(file, COPY);
    Scene::new(&file).with_copy_topics(1)
}

#[test]
fn a_partition_that_appears_is_read_from_its_beginning_within_30_s() {
    let scene = latest();
    scene.produce("orders", orders(0..10));
    let job = scene.start(&["-w", "2", "--http", "127.0.0.1:0"]);
    ready(&job);
    scene.produce("orders", orders(10..20));
    scene.await_records("out", 10);
    scene.broker.add_partitions(&scene.topic("orders"), 3);
    scene.produce("orders", (20..40).map(|id| on(id, 1 + (id % 2) as i32)));
    let mut out = scene.broker.counter(&scene.topic("out"));
    wait_until(Duration::from_secs(30), "the new partitions are read", || out() >= 30);
    terminate(job);
    let mut ids: Vec<u64> = scene.values("out").iter().map(|value| value["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (10..40).collect::<Vec<_>>());
    assert_eq!(scene.committed("orders", 3), [20, 10, 10]);
}

fn on(id: u64, partition: i32) -> crate::support::Rec {
    orders(id..id + 1).next().expect("it is one").to(partition)
}

#[test]
fn a_partition_that_appeared_while_the_job_was_away_is_read_from_its_beginning() {
    let scene = latest();
    let job = scene.start(&["--http", "127.0.0.1:0"]);
    ready(&job);
    scene.produce("orders", orders(0..5));
    scene.await_records("out", 5);
    terminate(job);
    scene.broker.add_partitions(&scene.topic("orders"), 2);
    scene.produce("orders", (5..9).map(|id| on(id, 1)));
    scene.catch_up(&[]);
    assert_eq!(scene.values("out").len(), 9);
}

/// What came between a first start and a crash before anything was delivered is not new, and not lost.
#[test]
fn a_job_that_starts_at_the_end_keeps_its_place_from_the_first_moment() {
    let scene = latest();
    scene.produce("orders", orders(0..5));
    let job = scene.start(&["--http", "127.0.0.1:0"]);
    ready(&job);
    wait_until(SOON, "its beginning is committed", || scene.committed("orders", 1) == [5]);
    job.kill();
    scene.produce("orders", orders(5..8));
    scene.catch_up(&[]);
    assert_eq!(scene.values("out").len(), 3);
}

#[test]
fn offsets_that_are_gone_stop_the_job_with_69() {
    let scene = Scene::copy(1);
    scene.produce("orders", orders(0..10));
    scene.catch_up(&[]);
    scene.produce("orders", orders(10..30));
    scene.broker.delete_records(&scene.topic("orders"), 0, 15);
    let stderr = ends(scene.start(&[]), 69);
    assert!(stderr.contains(&scene.topic("orders")) && stderr.contains("offset 10"), "{stderr}");
    assert_eq!(scene.values("out").len(), 10, "nothing was skipped in silence");
    assert_eq!(scene.committed("orders", 1), [10]);
}
