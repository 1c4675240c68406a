//! Epochs of several sources: none holds the others back for longer than it must.

use serde_json::json;

use crate::scene::{COPY, SOON, Scene, ends, terminate};
use crate::support::{Rec, wait_until};

fn order(id: u64) -> Rec {
    Rec::value(json!({ "id": id, "pad": "x".repeat(4_000) }).to_string()).to(0)
}

/// Each record fills an epoch, and no time passes: what the other workers have open would wait for minutes.
#[test]
fn a_worker_without_records_holds_no_epoch_back() {
    let scene = Scene::new(&format!("{COPY}limits: {{ epoch_records: 1 }}\n")).with_copy_topics(1);
    let mut out = scene.broker.counter(&scene.topic("out"));
    let slow = ["-w", "2", "--epoch", "300s"];
    let job = scene.start(&slow);
    scene.produce("orders", (0..20).map(order));
    wait_until(SOON, "all is delivered beside an idle worker", || out() == 20);
    terminate(job);
    let jobs = scene.start_processes(2, &slow);
    scene.produce("orders", (20..40).map(order));
    wait_until(SOON, "all is delivered beside an idle process", || out() == 40);
    jobs[1].signal(libc::SIGTERM);
    jobs.into_iter().for_each(|job| drop(ends(job, 0)));
}

/// The topic fills what may be open while the file waits for room in an older epoch.
#[test]
fn a_file_and_a_topic_share_what_may_be_open() {
    let file = r#"
name: mixed
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.orders" } }
  lines: { kafka: { topic: lines } }
emit:
  orders: { from: orders, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.out" } }
  lines: { from: lines, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.out" } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.dead" } }
limits: { open_bytes: 64KiB }
"#;
    let scene = Scene::new(file).with_copy_topics(2);
    scene.produce("orders", (0..1_500).map(|id| order(id).to((id % 2) as i32)));
    let lines: String = (0..5_000).map(|id| json!({ "line": id }).to_string() + "\n").collect();
    std::fs::write(scene.path("lines"), lines).unwrap();
    let input = format!("lines={}", scene.path("lines").display());
    let (mut out, mut delivered) = (scene.broker.counter(&scene.topic("out")), 0);
    for workers in ["1", "2"] {
        let group = format!("{}-{workers}", scene.group);
        let more = ["--input", &input, "--epoch-records", "100", "--group", &group, "-w", workers];
        let job = scene.start(&[&more[..], &["--until-caught-up"]].concat());
        ends(job, 0);
        delivered += 6_500;
        assert_eq!(out(), delivered, "with {workers} workers");
    }
}
