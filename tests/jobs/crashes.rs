//! Crashes lose nothing: every order's result is there at least once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::model::generate::Random;
use crate::scene::{SOON, Scene, ends_within, hosts, orders, terminate};
use crate::support::wait_until;

const KILLS: u64 = 20;

fn ids(scene: &Scene<'_>) -> BTreeSet<u64> {
    scene.values("out").iter().map(|value| value["id"].as_u64().expect("orders have ids")).collect()
}

/// Produces until `enough`; how many.
fn produce_until(scene: &Scene<'_>, enough: &AtomicBool) -> u64 {
    let mut produced = 0;
    while !enough.load(Ordering::Relaxed) {
        scene.produce("orders", orders(produced..produced + 200));
        produced += 200;
    }
    produced
}

#[test]
fn killed_twenty_times_at_random_it_loses_nothing() {
    let scene = Scene::copy(4);
    let mut random = Random::new(4);
    let enough = AtomicBool::new(false);
    let produced = std::thread::scope(|threads| {
        let load = threads.spawn(|| produce_until(&scene, &enough));
        for kill in 0..KILLS {
            let workers = if kill % 2 == 0 { "1" } else { "2" };
            let job = scene.start(&["-w", workers]);
            // Some are hit while they start, most while they work.
            std::thread::sleep(Duration::from_millis(100 + random.below(1_100)));
            if kill == KILLS / 2 {
                // However slow the machine is: so that the rest are hit between a commit and the next.
                wait_until(SOON, "a first commit", || scene.committed("orders", 4).iter().sum::<i64>() > 0);
            }
            job.kill();
        }
        enough.store(true, Ordering::Relaxed);
        load.join().expect("the load was produced")
    });
    let before = scene.committed("orders", 4).iter().sum::<i64>();
    assert!(before > 0, "the job never got as far as to commit: the kills tell nothing");
    let job = scene.start(&[]);
    wait_until(SOON, "all is committed", || scene.committed("orders", 4).iter().sum::<i64>() == produced as i64);
    terminate(job);
    assert!(ids(&scene) == (0..produced).collect(), "{} of {produced} were delivered", ids(&scene).len());
}

#[test]
fn a_process_that_loses_its_peer_ends_within_ten_seconds() {
    let scene = Scene::copy(4);
    scene.produce("orders", orders(0..1_000));
    let mut jobs = scene.start_processes(2, &[]);
    scene.await_records("out", 1_000);
    let (second, first) = (jobs.pop().unwrap(), jobs.pop().unwrap());
    second.kill();
    let killed = Instant::now();
    let stderr = ends_within(first, 75, Duration::from_secs(10));
    assert!(killed.elapsed() < Duration::from_secs(10));
    assert!(stderr.contains("process"), "{stderr}");
    scene.produce("orders", orders(1_000..1_200));
    scene.catch_up(&[]);
    assert!(ids(&scene) == (0..1_200).collect());
}

/// Programs that are built for tests let a worker panic if they are told to.
#[cfg(debug_assertions)]
const PANIC_OF_1: (&str, &str) = ("TIDEMILL_PANIC_WORKER", "1");

#[cfg(debug_assertions)]
#[test]
fn a_worker_that_panics_ends_the_job_and_says_that_it_is_a_bug() {
    let scene = Scene::copy(4);
    scene.produce("orders", orders(0..1_000));
    let stderr = ends_within(scene.start_with(&["-w", "2"], PANIC_OF_1), 70, SOON);
    let told = "this is a bug of tidemill: thread `timely:work-1` panicked at src/launch/";
    assert!(stderr.contains(told), "{stderr}");
    scene.catch_up(&["-w", "2"]);
    assert!(ids(&scene) == (0..1_000).collect());
}

#[cfg(debug_assertions)]
#[test]
fn a_worker_that_panics_ends_the_other_processes_too() {
    let scene = Scene::copy(4);
    scene.produce("orders", orders(0..1_000));
    let hosts = hosts(2);
    let first = scene.start_process(&hosts, 0, &[]);
    let second = scene.start_process_with(&hosts, 1, &[], PANIC_OF_1);
    let stderr = ends_within(second, 70, SOON);
    assert!(stderr.contains("this is a bug of tidemill"), "{stderr}");
    let gone = Instant::now();
    let stderr = ends_within(first, 75, Duration::from_secs(10));
    assert!(gone.elapsed() < Duration::from_secs(10));
    assert!(stderr.contains("lost a process of the job"), "{stderr}");
}
