//! The flagship: its samples are what their generator makes, its results what a computation of its own says, and the
//! results that are shipped beside it are these. `TIDEMILL_WRITE_SAMPLES=1` writes both anew.

#[path = "triggers/expect.rs"]
mod expect;
#[path = "oracle/model/mod.rs"]
mod model;
mod running;
#[path = "triggers/samples.rs"]
mod samples;

use std::fs;
use std::path::{Path, PathBuf};

use expect::{Expected, Rows};
use model::canonical;
use running::{Job, Scale, Written, diff, text};
use serde_json::Value;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows").join(name)
}

fn expected() -> Expected {
    let sample = |name: &str| samples::files().into_iter().find(|(n, _)| *n == name).expect("made").1;
    expect::expected(&sample("events.jsonl"), &sample("orgs.jsonl"), &sample("subscriptions.jsonl"))
}

fn job() -> Job {
    let job = Job::new(shipped("triggers.yaml")).arg("--lines").arg("record");
    let inputs = ["events", "orgs", "subscriptions"];
    let job = inputs.iter().fold(job, |job, name| job.input(name, shipped(&format!("triggers/{name}.jsonl"))));
    job.output("deliveries").output("spend").output("latency")
}

fn run(scale: Scale) -> Written {
    let written = job().run(scale);
    assert_eq!(written.exit, 0, "{}", written.stderr);
    written
}

/// Key, value and headers of record lines, one a line, comparable.
fn canonical_lines(rows: &Rows) -> String {
    rows.iter().map(|(key, value, headers)| format!("{key} {} {}\n", canonical(value), canonical(headers))).collect()
}

fn rows(output: &str) -> Rows {
    let row = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a record line is JSON");
        let headers = line.get("headers").cloned().unwrap_or_else(|| serde_json::json!({}));
        (line["key"].as_str().unwrap_or_default().to_string(), line["value"].clone(), headers)
    };
    output.lines().map(row).collect()
}

/// As a reader wants to see them: values only, one a line.
fn readable(rows: &Rows) -> String {
    rows.iter().map(|(_, value, _)| value.to_string() + "\n").collect()
}

#[test]
fn samples_and_results_are_those_of_the_generator() {
    let expected = expected();
    let results = [("deliveries", &expected.deliveries), ("spend", &expected.spend), ("latency", &expected.latency)];
    let mut files: Vec<(PathBuf, String)> =
        samples::files().into_iter().map(|(name, text)| (shipped("triggers").join(name), text)).collect();
    files.extend(
        results.map(|(name, rows)| (shipped("triggers/expected").join(format!("{name}.jsonl")), readable(rows))),
    );
    for (path, content) in files {
        if std::env::var_os("TIDEMILL_WRITE_SAMPLES").is_some() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(&path, &content).expect("written");
        }
        assert_eq!(diff(&content, &text(&path)), "", "{}", path.display());
    }
    assert!(expected.deliveries.len() > 100 && expected.latency.len() > 20, "the samples are too tame");
}

#[test]
fn deliveries_and_spend_are_as_computed() {
    let expected = expected();
    for workers in [1, 2, 4] {
        let written = run(Scale::workers(workers));
        for (name, rows_of) in [("deliveries", &expected.deliveries), ("spend", &expected.spend)] {
            let actual = canonical_lines(&rows(&written.outputs[name]));
            assert_eq!(diff(&canonical_lines(rows_of), &actual), "", "{name} with {workers} workers");
        }
    }
}

#[test]
fn latency_percentiles_are_within_one_percent() {
    let (expected, actual) = (expected().latency, rows(&run(Scale::workers(2)).outputs["latency"]));
    assert_eq!(expected.len(), actual.len());
    for ((key, value, _), (actual_key, actual_value, _)) in expected.iter().zip(&actual) {
        assert_eq!(key, actual_key);
        for (field, exact) in value.as_object().expect("rows are objects") {
            let got = &actual_value[field];
            match (field.starts_with('p'), exact.as_f64(), got.as_f64()) {
                (true, Some(e), Some(g)) => assert!((e - g).abs() <= e * 0.01, "{field} of {value}: {got}"),
                _ => assert_eq!(canonical(exact), canonical(got), "{field} of {value}"),
            }
        }
    }
}

#[test]
fn what_is_wrong_is_handed_back_with_its_reason() {
    let written = run(Scale::workers(2));
    let header =
        |line: &Value, name: &str| line["headers"][format!("__connect.errors.{name}")].as_str().map(String::from);
    let mut actual: Vec<(String, String)> = written
        .dead_letters
        .lines()
        .map(|line| serde_json::from_str(line).expect("a dead letter is a record line"))
        .map(|line: Value| (header(&line, "stage"), header(&line, "exception.class.name")))
        .map(|(stage, reason)| (stage.expect("a stage"), reason.expect("a reason")))
        .collect();
    actual.sort_unstable();
    let expected: Vec<(String, String)> =
        expected().rejected.into_iter().map(|(stage, reason)| (stage.into(), reason.into())).collect();
    assert_eq!(expected, actual);
}

/// Smaller epochs give the same deliveries in another order, and the same last row of each organisation.
#[test]
fn epochs_change_the_order_and_nothing_else() {
    let whole = run(Scale::workers(1));
    let small = run(Scale::workers(2).epoch(17));
    let sorted = |written: &Written, name: &str| {
        let mut lines: Vec<String> = written.outputs[name].lines().map(String::from).collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    assert_eq!(diff(&sorted(&whole, "deliveries"), &sorted(&small, "deliveries")), "");
    assert_eq!(diff(&sorted(&whole, "latency"), &sorted(&small, "latency")), "");
    let last = |written: &Written| {
        rows(&written.outputs["spend"])
            .into_iter()
            .map(|(k, v, _)| (k, canonical(&v)))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(last(&whole), last(&small));
}

/// The report's numbers are those of the results, and no step's are mixed with another's of the same name.
#[test]
fn the_report_counts_what_went_through_each_step() {
    let expected = expected();
    let lines = |name: &str| text(&shipped(&format!("triggers/{name}.jsonl"))).lines().count() as u64;
    let blank = |line: &&str| line.trim().is_empty();
    let blanks = text(&shipped("triggers/events.jsonl")).lines().filter(blank).count() as u64;
    let rejected = |stage: &str| expected.rejected.iter().filter(|(s, _)| *s == stage).count() as u64;
    for workers in [1, 3] {
        let report = tempfile::NamedTempFile::new().expect("a place for the report");
        let path = report.path().to_str().expect("UTF-8");
        let written = job().arg("--report").arg(path).run(Scale::workers(workers));
        assert_eq!(written.exit, 0, "{}", written.stderr);
        let report: Value = serde_json::from_str(&text(report.path())).expect("JSON");
        let steps = |step: &str, field: &str| report["steps"][step][field].as_u64().expect("a number");
        let read = report["sources"]["events"]["events"].as_u64();
        assert_eq!(read, Some(lines("events") - blanks), "what is no record was read too");
        let clean = steps("clean", "in");
        assert_eq!(clean, lines("events") - blanks - rejected("source"));
        let rows = report["steps"]["orgs"]["rejected"].as_object().expect("counts");
        assert_eq!(rows.values().filter_map(Value::as_u64).sum::<u64>(), rejected("table"));
        let sum = |of: &Value| of.as_object().expect("counts").values().filter_map(Value::as_u64).sum::<u64>();
        let gone = sum(&report["steps"]["clean"]["dropped"]) + sum(&report["steps"]["clean"]["rejected"]);
        assert_eq!(steps("clean", "out"), clean - gone);
        for step in ["due", "spend", "latency"] {
            assert_eq!(steps(step, "in"), steps("clean", "out"), "{step}");
        }
        for (output, from, rows) in [
            ("deliveries", "due", &expected.deliveries),
            ("spend", "spend", &expected.spend),
            ("latency", "latency", &expected.latency),
        ] {
            let encoded = format!("emit.{output}");
            assert_eq!(steps(&encoded, "in"), steps(from, "out"), "{output}");
            assert_eq!(steps(&encoded, "out"), rows.len() as u64, "{output}");
            assert_eq!(report["outputs"][output]["records"].as_u64(), Some(rows.len() as u64), "{output}");
        }
    }
}
