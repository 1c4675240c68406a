//! Epochs of several sources: none holds the others back for longer than it must.

use serde_json::json;

use crate::scene::{COPY, SOON, Scene, ends, hosts, terminate};
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

/// Both processes stop after the same epoch, whichever decoded the rejected lines.
#[test]
fn too_many_rejected_records_stop_all_processes_after_the_same_epoch() {
    let file = "name: limited
sources: { lines: { kafka: { topic: lines } } }
emit: { out: { from: lines, kafka: { topic: out } } }
limits: { rejected: 5 }
";
    let scene = Scene::new(file);
    // Every third line is rubbish: the sixth of them is in the second epoch of ten lines.
    let lines: String =
        (0..200).map(|id| if id % 3 == 2 { "rubbish\n".into() } else { format!("{{\"id\":{id}}}\n") }).collect();
    std::fs::write(scene.path("lines"), lines).unwrap();
    let at = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let (input, output, letters) = (format!("lines={}", at("lines")), format!("out={}", at("out")), at("letters"));
    let files = ["--input", &input, "--output", &output, "--dead-letters", &letters, "--epoch-records", "10"];
    scene.start_processes(2, &files).into_iter().for_each(|job| drop(ends(job, 65)));
    let written = std::fs::read_to_string(scene.path("out")).unwrap();
    assert_eq!(written.lines().count(), 14, "two epochs, and no line of a third");
    assert_eq!(std::fs::read_to_string(scene.path("letters")).unwrap().lines().count(), 6);
}

/// One process reads a pipe that never ends; the other, which reads nothing, is asked to stop.
#[test]
fn a_process_that_reads_no_file_stops_the_one_that_does() {
    let file = "name: piped
sources: { lines: { kafka: { topic: lines } } }
emit: { out: { from: lines, kafka: { topic: out } } }
";
    let scene = Scene::new(file);
    let pipe = scene.path("pipe");
    let path = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
    // SAFETY: the path is a C string.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    let mut open = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let (input, output) = (format!("lines={}", pipe.display()), format!("out={}", scene.path("out").display()));
    let letters = scene.path("letters").display().to_string();
    let files = ["--input", &input, "--output", &output, "--dead-letters", &letters, "--epoch-records", "1"];
    let hosts = hosts(2);
    let [first, second] = [0, 1].map(|process| scene.start_process(&hosts, process, &files));
    std::io::Write::write_all(&mut open, b"{\"id\":1}\n").unwrap();
    let written = || std::fs::read_to_string(scene.path("out")).unwrap_or_default();
    wait_until(SOON, "the first line has gone through", || written() == "{\"id\":1}\n");
    second.signal(libc::SIGTERM);
    ends(second, 0);
    ends(first, 0);
}
