//! Results equal an independent computation at any number of workers, processes and partitions.

use serde_json::Value;

use crate::model::generate::Record;
use crate::model::{self, Input, difference, job, observed};
use crate::scene::{Scene, ends};
use crate::support::{Got, Rec};

const ORDERS: usize = 2_000;

#[derive(Clone, Copy)]
enum Scale {
    Workers(usize),
    Processes(usize),
}

use Scale::{Processes, Workers};

fn rec(record: &Record, partition: bool) -> Rec {
    Rec {
        partition: partition.then_some(record.partition as i32),
        key: record.key.clone().map(String::into_bytes),
        value: record.value.clone().map(String::into_bytes),
        ..Rec::default()
    }
}

/// For each partition an order so late that every window before it closes, itself in a window that stays open.
fn closing(partitions: usize) -> impl Iterator<Item = Rec> {
    let value = r#"{"id":-1,"ts":"2026-02-01T00:00:00Z","type":"order","user":"u","country":"DE"}"#;
    (0..partitions).map(move |partition| Rec::keyed("u", value).to(partition as i32))
}

fn row(record: Got) -> (Option<String>, Option<Value>) {
    let key = record.key.map(|key| String::from_utf8(key).expect("keys are text"));
    (key, record.value.map(|value| serde_json::from_slice(&value).expect("rows are JSON")))
}

fn check(name: &str, partitions: usize, scale: Scale) {
    let (job, seed) = (job(name), partitions as u64 * 10);
    let input = Input::random(seed, ORDERS, partitions);
    let scene = Scene::new(job.file);
    scene.create("orders", partitions as i32);
    scene.create("out", 3);
    scene.create("dead", 1);
    scene.produce("orders", input.orders.iter().map(|order| rec(order, true)));
    if name == "windows" {
        scene.produce("orders", closing(partitions));
    }
    for table in job.tables {
        scene.create(table, 2);
        scene.produce(table, input.of(table).iter().map(|row| rec(row, false)));
    }
    match scale {
        Workers(workers) => drop(scene.catch_up(&["-w", &workers.to_string()])),
        Processes(processes) => {
            let jobs = scene.start_processes(processes, &["--until-caught-up"]);
            jobs.into_iter().for_each(|job| drop(ends(job, 0)));
        }
    }
    compare(&scene, job, &input);
}

fn compare(scene: &Scene<'_>, job: &model::Job, input: &Input) {
    let expected = (job.expect)(input);
    assert!(expected.len() > 20, "the input is too tame");
    let actual = observed(job, scene.broker.read_all(&scene.topic("out")).into_iter().map(row));
    assert_eq!(difference(&expected, &actual), "");
    let letters = scene.broker.read_all(&scene.topic("dead")).len();
    assert_eq!(letters, input.rubbish(), "each rubbish order is handed back once");
}

#[test]
fn filter_and_set() {
    check("filter", 1, Workers(1));
    check("filter", 4, Workers(4));
    check("filter", 7, Processes(2));
}

#[test]
fn totals_per_user() {
    check("totals", 1, Workers(2));
    check("totals", 4, Processes(2));
    check("totals", 7, Workers(4));
}

#[test]
fn tumbling_windows_with_lateness() {
    check("windows", 1, Processes(2));
    check("windows", 4, Workers(2));
    check("windows", 7, Workers(1));
}

#[test]
fn join_with_a_table() {
    check("join", 1, Workers(4));
    check("join", 4, Workers(1));
    check("join", 7, Processes(2));
}

#[test]
fn rules_of_a_table() {
    check("rules", 1, Workers(2));
    check("rules", 4, Processes(2));
    check("rules", 7, Workers(1));
}
