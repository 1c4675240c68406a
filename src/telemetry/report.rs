//! What a run came to, as files: a JSON report of counters, rates and percentiles, and the epoch latency's histogram
//! in the percentile text format of HdrHistogram, which its plotters read.
//!
//! Both are written whole or not at all: into a temporary file beside the place, then renamed.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{LatencySnapshot, Process, REVISION, SourceMetrics, StepMetrics, Telemetry, VERSION};

/// Steps per half distance to 100 %, as HdrHistogram's own tools write by default.
const TICKS: u32 = 5;

/// The report as it stands; `exit` is the exit code of a run that has ended.
pub fn report(telemetry: &Telemetry, exit: Option<u8>) -> Value {
    let mut value = of_run(telemetry, exit);
    let outputs = telemetry.outputs().into_iter().map(|output| {
        let latency = percentiles(&output.latency().snapshot());
        (output.name().to_string(), json!({ "records": output.total_records(), "latency": latency }))
    });
    let dead_letters = telemetry.dead_letters().each().into_iter().map(
        |(stage, reason, records)| json!({ "stage": stage.name(), "reason": reason.to_string(), "records": records }),
    );
    let epochs = telemetry.epochs();
    value["epochs"] = json!({
        "delivered": epochs.total(),
        "last": epochs.last_delivered(),
        "latency": percentiles(&epochs.closing().snapshot()),
        "duration": percentiles(&epochs.duration().snapshot()),
    });
    value["sources"] = object(telemetry.sources().iter().map(|source| (source.name().to_string(), of_source(source))));
    value["steps"] = object(telemetry.steps().iter().map(|step| (step.name().to_string(), of_step(step))));
    value["outputs"] = object(outputs);
    value["dead_letters"] = dead_letters.collect();
    value
}

/// What was run, for how long, what it cost, and how much went through.
fn of_run(telemetry: &Telemetry, exit: Option<u8>) -> Value {
    let job = telemetry.job();
    let process = Process::now();
    let lasted = telemetry.running_for();
    let read: u64 = telemetry.sources().iter().map(|source| source.total_events()).sum();
    let written: u64 = telemetry.outputs().iter().map(|output| output.total_records()).sum();
    let rate = |count: u64| count as f64 / lasted.as_secs_f64().max(1e-9);
    json!({
        "version": VERSION,
        "revision": REVISION,
        "job": &*job.name,
        "plan_hash": format!("{:016x}", job.plan_hash),
        "workers": job.workers,
        "processes": job.processes,
        "process": job.process,
        "started": rfc3339(telemetry.started()),
        "ended": rfc3339(telemetry.started() + lasted),
        "finished": exit.is_some(),
        "exit": exit,
        "seconds": lasted.as_secs_f64(),
        "cpu_seconds": { "user": process.user.as_secs_f64(), "system": process.system.as_secs_f64() },
        "max_resident_bytes": process.max_resident_bytes,
        "allocator_committed_bytes": process.allocator_bytes,
        "events_in": read,
        "records_out": written,
        "events_in_per_second": rate(read),
        "records_out_per_second": rate(written),
    })
}

fn of_source(source: &SourceMetrics) -> Value {
    let lag: Vec<Value> = source
        .lag()
        .into_iter()
        .map(|((topic, partition), records)| json!({ "topic": &*topic, "partition": partition, "records": records }))
        .collect();
    json!({ "events": source.total_events(), "bytes": source.total_bytes(), "lag": lag })
}

fn of_step(step: &StepMetrics) -> Value {
    let counts = |pairs: Vec<(String, u64)>| object(pairs.into_iter().map(|(name, count)| (name, count.into())));
    let rejected = step.total_rejected().into_iter().map(|(reason, count)| (reason.to_string(), count)).collect();
    let mut value = json!({
        "in": step.total_in(),
        "out": step.total_out(),
        "dropped": counts(step.total_dropped().into_iter().map(|(name, count)| (name.to_string(), count)).collect()),
        "rejected": counts(rejected),
        "busy_seconds": step.busy().iter().map(Duration::as_secs_f64).collect::<Vec<_>>(),
        "state_bytes": step.state_bytes(),
        "state_keys": step.state_keys(),
    });
    if let Some(gauges) = step.rules() {
        let classes = counts(gauges.classes.iter().map(|(class, rules)| (class.to_string(), *rules)).collect());
        value["rules"] = json!({ "rules": gauges.rules, "bytes": gauges.bytes, "classes": classes });
    }
    value
}

/// Milliseconds; `null` where nothing was recorded.
fn percentiles(latency: &LatencySnapshot) -> Value {
    let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    json!({
        "count": latency.count(),
        "mean_ms": millis(latency.mean()),
        "min_ms": millis(latency.min()),
        "p50_ms": millis(latency.percentile(50.0)),
        "p90_ms": millis(latency.percentile(90.0)),
        "p99_ms": millis(latency.percentile(99.0)),
        "p99_9_ms": millis(latency.percentile(99.9)),
        "p99_99_ms": millis(latency.percentile(99.99)),
        "max_ms": millis(latency.max()),
    })
}

fn object(members: impl Iterator<Item = (String, Value)>) -> Value {
    Value::Object(members.collect::<Map<_, _>>())
}

fn rfc3339(time: SystemTime) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    Some(format!("{time:.3}"))
}

/// Writes the report.
pub fn write_report(path: &Path, telemetry: &Telemetry, exit: Option<u8>) -> io::Result<()> {
    write_whole(path, format!("{:#}\n", report(telemetry, exit)).as_bytes())
}

/// Writes the histogram of the epoch latency, in milliseconds.
pub fn write_hgrm(path: &Path, telemetry: &Telemetry) -> io::Result<()> {
    write_whole(path, hgrm(&telemetry.epochs().closing().snapshot()).as_bytes())
}

/// The percentile text format as HdrHistogram's `outputPercentileDistribution` writes it.
fn hgrm(latency: &LatencySnapshot) -> String {
    let histogram = latency.histogram();
    let millis = |micros: f64| micros / 1e3;
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        text.write_fmt(arguments).expect("writing to a String cannot fail");
    };
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS) {
        total += step.count_since_last_iteration();
        let (value, share) = (millis(step.value_iterated_to() as f64), step.quantile_iterated_to());
        line(format_args!("{value:12.3} {share:2.12} {total:10}"));
        if share < 1.0 {
            line(format_args!(" {:14.2}", 1.0 / (1.0 - share)));
        }
        line(format_args!("\n"));
    }
    let (mean, deviation) = (millis(histogram.mean()), millis(histogram.stdev()));
    line(format_args!("#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n"));
    let (max, count) = (millis(histogram.max() as f64), histogram.len());
    line(format_args!("#[Max     = {max:12.3}, Total count    = {count:12}]\n"));
    // Three significant digits need 2 × 10³ steps in the first half, rounded up to a power of two.
    line(format_args!("#[Buckets = {:12}, SubBuckets     = {:12}]\n", histogram.buckets(), 2048));
    text
}

/// Writes a file whole: whoever reads it sees the one before or this one. A pipe or device is written to, as it must
/// not be replaced. The error names the path.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        let write = || std::fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
        return write().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())));
    }
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // The first error is the one to tell; a temporary file that was never made cannot be removed.
        let _ = std::fs::remove_file(&temporary);
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::{Reason, Stage};
    use crate::telemetry::{Delivered, Job};

    fn job() -> Arc<Telemetry> {
        let telemetry = Telemetry::new(2);
        telemetry.set_job(Job { name: "triggers".into(), plan_hash: 0xab, workers: 2, processes: 1, process: 0 });
        telemetry.source("events").read(1, 100, 15_000);
        telemetry.step("clean").dropped("where", 20);
        telemetry.step("clean").rejected(Reason::TypeError, 2);
        telemetry.output("deliveries").delivered(0, 78);
        telemetry.dead_letters().add(Stage::Shape, Reason::TypeError, 2);
        for millis in 1..=100 {
            let since_close = Duration::from_millis(millis);
            let done = Delivered { epoch: millis, since_open: since_close * 2, since_close, events: 1 };
            telemetry.epochs().delivered(0, done);
        }
        telemetry
    }

    #[test]
    fn a_report_says_what_was_counted_and_how_long_it_took() {
        let value = report(&job(), Some(0));
        assert_eq!((&value["job"], &value["plan_hash"]), (&"triggers".into(), &"00000000000000ab".into()));
        assert_eq!((value["events_in"].as_u64(), value["records_out"].as_u64()), (Some(100), Some(78)));
        assert_eq!(value["steps"]["clean"]["dropped"]["where"].as_u64(), Some(20));
        assert_eq!(value["steps"]["clean"]["rejected"]["TypeError"].as_u64(), Some(2));
        assert_eq!(value["dead_letters"][0]["reason"], "TypeError");
        let p99 = value["epochs"]["latency"]["p99_ms"].as_f64().expect("there were epochs");
        assert!((p99 - 99.0).abs() <= 0.1, "{p99}");
        assert!(value["outputs"]["deliveries"]["latency"]["p50_ms"].is_null());
        assert!(value["started"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24));
        assert_eq!((value["finished"].as_bool(), value["exit"].as_u64()), (Some(true), Some(0)));
        assert_eq!(report(&job(), None)["finished"].as_bool(), Some(false));
    }

    #[test]
    fn files_are_replaced_whole_and_leave_nothing_else_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, "x".repeat(100_000)).unwrap();
        write_report(&path, &job(), Some(0)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["job"], "triggers");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = write_report(&folder.path().join("none/report.json"), &job(), None).unwrap_err();
        assert!(error.to_string().contains("none/report.json"), "{error}");
    }

    #[test]
    fn the_histogram_is_in_hdrhistograms_text_format() {
        let text = hgrm(&job().epochs().closing().snapshot());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
        assert_eq!(lines[2], "       1.000 0.000000000000          1           1.00");
        let last = lines.iter().rposition(|line| !line.starts_with('#')).unwrap();
        assert!(lines[last].contains(" 1.000000000000        100") && lines[last].ends_with("100"), "{text}");
        assert!(lines.iter().any(|line| line.contains(" 0.500000000000         50           2.00")), "{text}");
        assert!(lines[last + 2].ends_with("Total count    =          100]"), "{text}");
        let shares: Vec<f64> =
            lines[2..=last].iter().map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
        assert!(shares.is_sorted());
    }

    #[test]
    fn a_run_without_epochs_still_has_a_histogram_file() {
        assert!(hgrm(&LatencySnapshot::empty()).contains("Total count    =            0]"));
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        // A link to it: its name would be the one to be replaced.
        let link = folder.path().join("report");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        write_report(&link, &job(), Some(0)).unwrap();
        assert!(link.metadata().unwrap().file_type().is_char_device());
        let error = write_report(folder.path(), &job(), Some(0)).unwrap_err();
        assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
    }
}
