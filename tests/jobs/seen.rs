//! What can be seen of a running job: `/readyz`, `/metrics`, and the report.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::scene::{SOON, Scene, ends, orders, terminate};
use crate::support::{Job, Rec, wait_until};

/// Where a job that was started with `--http 127.0.0.1:0` listens: its log says it.
pub fn http_address(job: &Job) -> String {
    let mut address = None;
    wait_until(SOON, "the job says where it listens", || {
        let stderr = job.stderr();
        let at = stderr.find("127.0.0.1:").filter(|_| stderr.contains("/metrics"));
        let text = at.map(|at| &stderr[at..]);
        // The line is there as a whole.
        address = text.and_then(|text| Some(text[..text.find('\n')?].to_owned()));
        address.is_some()
    });
    let text = address.expect("it was found");
    text.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect()
}

/// Status and body.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).expect("a status line has a code");
    (status.parse().unwrap(), body.to_owned())
}

/// Waits until the job is ready; its address.
pub fn ready(job: &Job) -> String {
    let address = http_address(job);
    wait_until(SOON, "the job is ready", || get(&address, "/readyz").0 == 200);
    address
}

/// A sample's value by its whole name with labels.
fn sample(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// 100 orders, 10 to be skipped, 5 that are rubbish.
fn mixed(scene: &Scene<'_>) {
    scene.produce("orders", orders(0..100));
    scene.produce("orders", (0..10).map(|_| Rec::value(r#"{"id":0,"skip":true}"#)));
    scene.produce("orders", (0..5).map(|_| Rec::value("rubbish")));
}

#[test]
fn metrics_fit_what_the_job_did() {
    let scene = Scene::copy(2);
    mixed(&scene);
    let job = scene.start(&["-w", "2", "--http", "127.0.0.1:0"]);
    let address = ready(&job);
    assert_eq!(get(&address, "/livez").0, 200);
    wait_until(SOON, "all is settled", || scene.committed("orders", 2).iter().sum::<i64>() == 115);
    let lag = |partition: u8| {
        let topic = scene.topic("orders");
        format!(r#"tidemill_source_lag_records{{source="orders",topic="{topic}",partition="{partition}"}}"#)
    };
    let mut metrics = String::new();
    wait_until(SOON, "the lag is known to be gone", || {
        metrics = get(&address, "/metrics").1;
        let age = sample(&metrics, r#"tidemill_source_lag_seconds{source="orders"}"#);
        age == Some(0.0) && (0..2).all(|partition| sample(&metrics, &lag(partition)) == Some(0.0))
    });
    for (name, value) in [
        (r#"tidemill_source_events_total{source="orders"}"#, 115.0),
        (r#"tidemill_step_events_total{step="placed",direction="in"}"#, 110.0),
        (r#"tidemill_step_events_total{step="placed",direction="out"}"#, 100.0),
        (r#"tidemill_step_dropped_total{step="placed",reason="where"}"#, 10.0),
        (r#"tidemill_output_records_total{output="out"}"#, 100.0),
        (r#"tidemill_event_latency_seconds_count{output="out"}"#, 100.0),
        (r#"tidemill_dead_letters_total{stage="source",reason="DecodeError"}"#, 5.0),
    ] {
        assert_eq!(sample(&metrics, name), Some(value), "{name}\n{metrics}");
    }
    families(&metrics);
    terminate(job);
}

/// Every family that a copying job must show.
fn families(metrics: &str) {
    for name in [
        "tidemill_build_info",
        "tidemill_source_bytes_total",
        "tidemill_source_lag_seconds",
        "tidemill_watermark_lag_seconds",
        "tidemill_step_rejected_total",
        "tidemill_step_busy_seconds_total",
        "tidemill_epoch_duration_seconds",
        "tidemill_epoch_closing_seconds",
        "tidemill_epoch_events",
        "tidemill_epochs_open",
        "tidemill_epoch_delivered",
        "tidemill_epoch_held_by",
        "tidemill_state_bytes",
        "tidemill_state_keys",
        "tidemill_rules",
        "tidemill_rules_bytes",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name}\n{metrics}");
    }
    let epochs = sample(metrics, "tidemill_epoch_duration_seconds_count");
    assert!(epochs.is_some_and(|epochs| epochs > 0.0), "{metrics}");
}

#[test]
fn the_report_says_what_was_done_and_how_it_ended() {
    let scene = Scene::copy(1);
    mixed(&scene);
    let path = scene.path("report.json");
    let text = path.to_str().unwrap();
    let hgrm = scene.path("epochs.hgrm");
    let job = scene.start(&["--report", text, "--hgrm", hgrm.to_str().unwrap()]);
    let read = || std::fs::read(&path).ok().map(|bytes| serde_json::from_slice::<Value>(&bytes).expect("it is whole"));
    wait_until(SOON, "all is settled", || scene.committed("orders", 1) == [115]);
    job.signal(libc::SIGUSR1);
    wait_until(SOON, "a report while it runs", || read().is_some());
    assert_eq!(read().unwrap()["finished"], false);
    terminate(job);
    let report = read().unwrap();
    assert_eq!((&report["finished"], &report["exit"]), (&true.into(), &0.into()), "{report:#}");
    assert_eq!((&report["job"], &report["workers"]), (&"copy".into(), &1.into()));
    assert_eq!((&report["events_in"], &report["records_out"]), (&115.into(), &100.into()), "{report:#}");
    let busy = &report["steps"]["placed"]["busy_seconds"][0];
    assert!(busy.as_f64().is_some_and(|busy| busy > 0.0 && busy < 1.0), "a step within its source: {report:#}");
    assert_eq!(report["steps"]["placed"]["dropped"]["where"], 10);
    assert_eq!(report["dead_letters"][0]["records"], 5);
    assert_eq!(report["outputs"]["out"]["latency"]["count"], 100);
    assert!(report["epochs"]["latency"]["p99_ms"].as_f64().is_some_and(|p99| p99 > 0.0), "{report:#}");
    assert!(std::fs::read_to_string(hgrm).unwrap().contains("Total count"));
}

#[test]
fn on_a_terminal_it_shows_how_it_runs_and_wipes_that_away() {
    let scene = Scene::copy(2);
    scene.produce("orders", orders(0..300));
    let job = scene.start_on_terminal(&[]);
    wait_until(SOON, "the line shows what came in and that nothing is left", || {
        let shown = job.stderr();
        let lines = shown.split(['\r', '\n']).filter(|line| line.contains("epoch ") && line.contains("/s"));
        let lines: Vec<&str> = lines.collect();
        lines.iter().any(|line| line.contains("lag 0")) && !lines.iter().all(|line| line.contains("in 0/s"))
    });
    let shown = terminate(job);
    let last = shown.rsplit("\x1b[").next().unwrap_or_default();
    assert!(!last.contains("/s"), "the line is still there: {shown:?}");
}

#[test]
fn a_job_that_delivers_nothing_or_stops_is_not_ready() {
    let scene = Scene::copy(2);
    let jobs = scene.start_processes(2, &["--http", "127.0.0.1:0"]);
    let address = ready(&jobs[0]);
    let says = |what: &str| {
        let (status, body) = get(&address, "/readyz");
        status == 503 && body.contains(what)
    };
    jobs[1].signal(libc::SIGSTOP);
    wait_until(SOON, "nothing is delivered without the other process", || says("delivery: nothing"));
    jobs[1].signal(libc::SIGCONT);
    wait_until(SOON, "it is ready again", || get(&address, "/readyz").0 == 200);
    jobs[1].signal(libc::SIGSTOP);
    jobs[0].signal(libc::SIGTERM);
    wait_until(SOON, "it says that it stops", || says("stop: the job is stopping"));
    jobs[1].signal(libc::SIGCONT);
    jobs.into_iter().for_each(|job| drop(ends(job, 0)));
}
