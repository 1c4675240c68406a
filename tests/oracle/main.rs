//! Random whole jobs on files against a computation that knows nothing of epochs, workers or the crate: the same
//! rows must come out at any number of workers, processes and partitions and any size of epoch.

mod model;
#[path = "../running/mod.rs"]
mod running;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use model::generate::Record;
use model::{Input, JOBS, Job, difference, job, observed};
use running::{Scale, Written};
use serde_json::Value;

const ORDERS: usize = 1_500;

/// Writes records as lines for `--lines record`, a file for each partition.
fn write(dir: &Path, name: &str, records: &[Record], partitions: usize) -> Vec<std::path::PathBuf> {
    let mut files = vec![String::new(); partitions];
    for Record { partition, key, value, timestamp } in records {
        let key = serde_json::to_string(key).expect("text is JSON");
        let value = serde_json::to_string(value).expect("text is JSON");
        let line = format!(r#"{{"key":{key},"value":{value},"timestamp":{timestamp}}}"#);
        writeln!(files[*partition], "{line}").expect("a text takes all");
    }
    let path = |n: usize| dir.join(format!("{name}.{n}.jsonl"));
    files.iter().enumerate().for_each(|(n, text)| fs::write(path(n), text).expect("a file can be written"));
    (0..partitions).map(path).collect()
}

fn run(job: &Job, input: &Input, scale: Scale) -> Written {
    let dir = tempfile::tempdir().expect("a folder for the inputs");
    let file = dir.path().join("job.yaml");
    fs::write(&file, job.file).expect("a file can be written");
    let mut running = running::Job::new(file).output("out").arg("--lines").arg("record");
    for path in write(dir.path(), "orders", &input.orders, input.partitions) {
        running = running.input("orders", path);
    }
    for table in job.tables {
        for path in write(dir.path(), table, input.of(table), 1) {
            running = running.input(table, path);
        }
    }
    running.run(scale)
}

/// A line of an output: its key's and its value.
fn record(line: &str) -> (Option<String>, Option<Value>) {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}"));
    let key = line["key"].as_str().map(String::from);
    (key, Some(line["value"].clone()).filter(|value| !value.is_null()))
}

fn check(job: &Job, seed: u64, partitions: usize, scale: Scale) {
    let input = Input::random(seed, ORDERS, partitions);
    let written = run(job, &input, scale);
    let at = format!("{}, seed {seed}, {partitions} partitions, {scale}", job.name);
    assert_eq!(written.exit, 0, "{at}: {}", written.stderr);
    let actual = observed(job, written.outputs["out"].lines().map(record));
    let expected = (job.expect)(&input);
    assert!(expected.len() > 20, "{at}: the input is too tame");
    assert_eq!(difference(&expected, &actual), "", "{at}");
    assert_eq!(written.dead_letters.lines().count(), input.rubbish(), "{at}: each rubbish order is handed back once");
}

/// A job at worker counts and epoch sizes, each with another input.
fn check_scales(name: &str) {
    let mut seed = 1;
    for partitions in [1, 4, 7] {
        for (workers, epoch) in [(1, 10_000), (1, 13), (2, 250), (4, 100), (4, 1_000)] {
            check(job(name), seed, partitions, Scale::workers(workers).epoch(epoch));
            seed += 1;
        }
    }
    check(job(name), seed, 3, Scale::workers(2).processes(2).epoch(200));
}

#[test]
fn filter_and_set() {
    check_scales("filter");
}

#[test]
fn totals_per_user() {
    check_scales("totals");
}

#[test]
fn tumbling_windows_with_lateness() {
    check_scales("windows");
}

#[test]
fn join_with_a_table() {
    check_scales("join");
}

#[test]
fn rules_of_a_table() {
    check_scales("rules");
}

/// The same input in the same epochs gives the same bytes, whoever works.
#[test]
fn bytes_do_not_depend_on_workers() {
    let input = Input::random(99, ORDERS, 3);
    for job in JOBS {
        let one = run(job, &input, Scale::workers(1).epoch(100));
        for scale in [Scale::workers(2), Scale::workers(4), Scale::workers(1).processes(2)] {
            let other = run(job, &input, scale.epoch(100));
            assert_eq!(running::diff(&one.outputs["out"], &other.outputs["out"]), "", "{} {scale}", job.name);
            assert_eq!(running::diff(&one.dead_letters, &other.dead_letters), "", "{} {scale}", job.name);
        }
    }
}

#[test]
fn expectations_are_the_same_for_the_same_seed_and_not_empty() {
    for job in JOBS {
        let rows = |seed| (job.expect)(&Input::random(seed, ORDERS, 4));
        assert_eq!(rows(5), rows(5));
        assert_ne!(rows(5), rows(6));
    }
}
