//! Where a job goes on: from what it has delivered, or from the start if it must rebuild its state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::model::job as oracle;
use crate::scene::{SOON, Scene, ends, ends_within, hosts, orders, terminate};
use crate::seen::{get, http_address, ready};
use crate::support::{End, Rec, wait_until};

/// Per partition, the offsets of the orders that were delivered.
fn delivered(scene: &Scene<'_>, partitions: usize) -> Vec<Vec<i64>> {
    let mut all = vec![Vec::new(); partitions];
    for value in scene.values("out") {
        let partition = value["partition"].as_u64().expect("the job sets it") as usize;
        all[partition].push(value["offset"].as_i64().expect("the job sets it"));
    }
    all.iter_mut().for_each(|offsets| offsets.sort_unstable());
    all
}

#[test]
fn a_job_without_state_goes_on_where_it_was() {
    let scene = Scene::copy(3);
    scene.produce("orders", orders(0..500));
    let job = scene.start(&[]);
    scene.await_records("out", 500);
    terminate(job);
    assert_eq!(scene.committed("orders", 3).iter().sum::<i64>(), 500);
    scene.produce("orders", orders(500..800));
    let stderr = scene.catch_up(&["-w", "2"]);
    assert!(!stderr.contains("keeps state"), "{stderr}");
    assert_eq!(scene.committed("orders", 3).iter().sum::<i64>(), 800);
    let mut ids: Vec<u64> = scene.values("out").iter().map(|value| value["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..800).collect::<Vec<_>>(), "each once, since it was not interrupted");
}

#[test]
fn a_job_with_state_begins_anew_and_says_so() {
    let scene = Scene::new(oracle("totals").file).with_copy_topics(2);
    let order = |n: u64| Rec::keyed("u", format!(r#"{{"type":"order","user":"u{}","amount":1.50}}"#, n % 2));
    scene.produce("orders", (0..10).map(order));
    scene.catch_up(&[]);
    assert_eq!(scene.committed("orders", 2).iter().sum::<i64>(), 10);
    scene.produce("orders", (0..4).map(order));
    let stderr = scene.catch_up(&[]);
    let lines = stderr.lines().filter(|line| line.contains("keeps state") && line.contains("rebuilds"));
    assert_eq!(lines.count(), 1, "{stderr}");
    let last = scene.values("out").into_iter().rfind(|row| row["user"] == "u0").unwrap();
    assert_eq!((&last["orders"], last["total"].to_string().as_str()), (&7.into(), "10.50"));
    assert_eq!(scene.committed("orders", 2).iter().sum::<i64>(), 14);
}

/// Each order gives one record, so at no moment may more be committed than the output has.
#[test]
fn no_offset_is_committed_before_its_results_are_delivered() {
    let scene = Scene::copy(2);
    let job = scene.start(&["--epoch", "50ms"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            (0..20).for_each(|round| scene.produce("orders", orders(round * 500..(round + 1) * 500)));
            done.store(true, Ordering::Relaxed);
        });
        let mut out = scene.broker.counter(&scene.topic("out"));
        let mut steps = std::collections::BTreeSet::new();
        wait_until(SOON, "all is committed", || {
            let committed: i64 = scene.committed("orders", 2).iter().sum();
            let written = out();
            assert!(committed <= written, "{committed} are committed, {written} delivered");
            steps.insert(committed);
            committed == 10_000 && done.load(Ordering::Relaxed)
        });
        assert!(steps.len() > 2, "offsets are committed while the job runs: {steps:?}");
    });
    terminate(job);
}

/// What was read is delivered and settled: per partition the delivered offsets are exactly those before the committed.
fn drains(scene: &Scene<'_>, stop: impl FnOnce()) -> i64 {
    let enough = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0.. {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                scene.produce("orders", orders(round * 2_000..(round + 1) * 2_000));
            }
        });
        // The load goes on until the job has ended.
        scene.await_records("out", 5_000);
        stop();
        enough.store(true, Ordering::Relaxed);
    });
    let committed = scene.committed("orders", 4);
    let expected: Vec<Vec<i64>> = committed.iter().map(|end| (0..*end).collect()).collect();
    assert!(delivered(scene, 4) == expected, "what is delivered is not what is committed, {committed:?}");
    committed.iter().sum()
}

#[test]
fn sigterm_under_load_delivers_and_settles_what_was_read() {
    let scene = Scene::copy(4);
    let job = scene.start(&["-w", "2"]);
    drains(&scene, || drop(terminate(job)));
    let rest = scene.catch_up(&[]);
    let orders = scene.broker.counter(&scene.topic("orders"))();
    assert_eq!(scene.committed("orders", 4).iter().sum::<i64>(), orders, "{rest}");
    assert_eq!(scene.broker.counter(&scene.topic("out"))(), orders);
}

/// One process is asked; the other follows.
#[test]
fn sigterm_to_one_process_ends_all_cleanly() {
    let scene = Scene::copy(4);
    let hosts = hosts(2);
    let [first, second] = [0, 1].map(|process| scene.start_process(&hosts, process, &[]));
    drains(&scene, || {
        second.signal(libc::SIGTERM);
        ends(second, 0);
        ends(first, 0);
    });
}

/// Counts beside copying, so that it keeps state.
const COUNTING: &str = r#"
name: counting
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.orders", start: latest } }
aggregate:
  counts: { from: orders, by: [], measures: { n: count(*) } }
emit:
  out: { from: orders, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.out" } }
  counts: { from: counts, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.counts" } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.dead" } }
"#;

#[test]
fn a_job_with_state_that_starts_at_the_end_misses_nothing_between_two_runs() {
    let scene = Scene::new(COUNTING).with_copy_topics(1);
    scene.create("counts", 1);
    let job = scene.start(&["--http", "127.0.0.1:0"]);
    ready(&job);
    scene.produce("orders", orders(0..5));
    wait_until(SOON, "all is settled", || scene.committed("orders", 1) == [5]);
    job.kill();
    scene.produce("orders", orders(5..10));
    scene.catch_up(&[]);
    let mut ids: Vec<u64> = scene.values("out").iter().map(|value| value["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, (0..10).collect::<Vec<_>>());
}

#[test]
fn an_offset_past_the_end_stops_the_job() {
    let scene = Scene::copy(1);
    scene.produce("orders", orders(0..10));
    scene.catch_up(&[]);
    scene.broker.commit(&scene.group, &scene.topic("orders"), 0, 11);
    let stderr = ends(scene.start(&["--until-caught-up"]), 69);
    assert!(stderr.contains("offset is 11") && stderr.contains("ends at 10"), "{stderr}");
    assert_eq!(scene.values("out").len(), 10);
}

#[test]
fn an_aborted_transaction_at_the_end_is_passed() {
    let scene = Scene::copy(1);
    scene.produce("orders", orders(0..10));
    let job = scene.start(&[]);
    scene.await_records("out", 10);
    drop(scene.broker.transaction(&scene.topic("orders"), orders(10..30), End::Abort));
    wait_until(SOON, "the control record is passed", || scene.committed("orders", 1) == [31]);
    terminate(job);
    assert_eq!(scene.values("out").len(), 10);
}

/// Copies a table.
const TABLE: &str = r#"
name: table
tables:
  users: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.users" } }
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.orders" } }
emit:
  out: { from: users, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.out" } }
  orders: { from: orders, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.dead" } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.dead" } }
"#;

#[test]
fn half_a_table_is_never_delivered() {
    let scene = Scene::new(TABLE).with_copy_topics(1);
    scene.create("users", 1);
    let row = |n: u64| Rec::keyed(format!("u{}", n % 50_000), format!(r#"{{"n":{n}}}"#));
    scene.produce("users", (0..50_000).map(row));
    // Of the rows none is left, which is known only at the end.
    scene.produce("users", (0..50_000).map(|n| Rec { value: None, ..row(n) }));
    for workers in ["1", "2"] {
        let mut job = scene.start(&["-w", workers, "--http", "127.0.0.1:0"]);
        let address = http_address(&job);
        wait_until(SOON, "it reads the table", || {
            let metrics = get(&address, "/metrics").1;
            let read = r#"tidemill_source_events_total{source="users"} "#;
            let count = metrics.lines().find_map(|line| line.strip_prefix(read)).and_then(|n| n.parse::<u64>().ok());
            !job.is_running() || count.is_some_and(|count| count > 0)
        });
        terminate(job);
        assert!(scene.values("out").is_empty(), "all rows are deleted, by the end of the table");
    }
}

#[test]
fn a_job_that_waits_for_its_brokers_stops_when_it_is_asked_to() {
    let scene = Scene::copy(1);
    let nobody = hosts(1);
    let job = scene.start(&["--brokers", &nobody[0], "--http", "127.0.0.1:0"]);
    // It has an address before it looks for brokers.
    http_address(&job);
    job.signal(libc::SIGTERM);
    let stderr = ends_within(job, 0, Duration::from_secs(10));
    assert!(stderr.contains("stopped before it had begun"), "{stderr}");
}
