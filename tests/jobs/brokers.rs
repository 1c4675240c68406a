//! Brokers that go away: for a moment, for too long, and while a job drains. On a broker of these tests' own.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::scene::{COPY, SOON, Scene, ends_within, orders, terminate};
use crate::seen::{get, http_address};
use crate::support::{Broker, Job, wait_until};

/// One at a time; it runs.
fn fragile() -> MutexGuard<'static, Broker> {
    static FRAGILE: OnceLock<Mutex<Broker>> = OnceLock::new();
    let broker = FRAGILE.get_or_init(|| Mutex::new(Broker::own()));
    // A test that failed may have left it dead.
    broker.lock().unwrap_or_else(|failed| {
        let broker = PoisonError::into_inner(failed);
        broker.kill();
        broker.restart();
        broker
    })
}

/// A job that has begun to deliver.
fn running(scene: &Scene<'_>, arguments: &[&str]) -> Job {
    scene.produce("orders", orders(0..100));
    let job = scene.start(arguments);
    scene.await_records("out", 100);
    job
}

#[test]
fn a_broker_that_comes_back_finds_the_job_at_work() {
    let broker = fragile();
    let scene = Scene::on(&broker, COPY).with_copy_topics(2);
    let job = running(&scene, &["--http", "127.0.0.1:0"]);
    let address = http_address(&job);
    wait_until(SOON, "it is ready", || get(&address, "/readyz").0 == 200);
    scene.produce("orders", orders(100..3_000));
    broker.kill();
    wait_until(SOON, "it says that it is not ready", || get(&address, "/readyz").0 == 503);
    broker.restart();
    scene.produce("orders", orders(3_000..3_500));
    wait_until(2 * SOON, "all is delivered and settled", || scene.committed("orders", 2).iter().sum::<i64>() == 3_500);
    wait_until(SOON, "it is ready again", || get(&address, "/readyz").0 == 200);
    terminate(job);
    let ids = scene.values("out").iter().map(|value| value["id"].as_u64().unwrap()).collect();
    assert!((0..3_500).collect::<std::collections::BTreeSet<_>>() == ids);
}

#[test]
fn a_broker_that_stays_away_ends_the_job_with_75() {
    let broker = fragile();
    let scene = Scene::on(&broker, COPY).with_copy_topics(1);
    let job = running(&scene, &["--broker-timeout", "3s"]);
    broker.kill();
    let killed = Instant::now();
    let stderr = ends_within(job, 75, Duration::from_secs(20));
    assert!(killed.elapsed() >= Duration::from_secs(2), "it waited");
    let last = stderr.lines().rev().find(|line| line.contains(&broker.address));
    assert!(last.is_some_and(|line| line.contains("3 s") || line.contains("4 s")), "{stderr}");
    broker.restart();
}

#[test]
fn a_drain_that_takes_too_long_ends_with_75_and_a_second_signal_with_130() {
    let broker = fragile();
    let scene = Scene::on(&broker, COPY).with_copy_topics(1);
    let first = running(&scene, &["--drain-timeout", "2s", "--group", "first"]);
    let second = running(&scene, &["--group", "second"]);
    scene.await_records("out", 300);
    scene.produce("orders", orders(100..20_000));
    broker.kill();
    first.signal(libc::SIGTERM);
    second.signal(libc::SIGTERM);
    let stderr = ends_within(first, 75, Duration::from_secs(20));
    assert!(stderr.contains("--drain-timeout"), "{stderr}");
    second.signal(libc::SIGINT);
    ends_within(second, 130, Duration::from_secs(5));
    broker.restart();
}
