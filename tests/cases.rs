//! Golden folders: whole jobs on files, their results derived by hand from what the language promises.
//!
//! A folder of `tests/cases/` is one case:
//!
//! ```text
//! dataflow.yaml               what is run; its first comment says what the case is about
//! <name>.jsonl                a source or table; with several partitions <name>.0.jsonl, <name>.1.jsonl …
//! expect/<output>.jsonl       what the output holds, byte for byte
//! expect/dead-letters.jsonl   what was rejected (below); without the file nothing is
//! expect/stderr               texts, one a line, that standard error holds
//! args                        further arguments; with --epoch-records there the epochs matter, else they must not
//! exit                        the exit code, if it is not 0
//! json                        if there: outputs are compared as JSON, since the order of members is left open
//! processes                   if there: also run as two processes
//! ```
//!
//! Every case runs at 1, 2 and 4 workers and, where its results do not depend on epochs, at epochs of 1, 7 and 10,000
//! records; each run must write the same bytes.
//!
//! A line of `dead-letters.jsonl` is a short form: `at` is topic/partition/offset, `stage`, `step` and `reason` are the
//! headers that say so, `says` is a part of the message (upper and lower case are one), `key`, `value`, `value_base64`,
//! `timestamp` and `headers` are the record's own. Their order among each other is free.

mod running;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use running::{Job, Scale, Written, diff, text};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A line of `--lines record`. Key and value stay as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    key_base64: Option<String>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    value_base64: Option<String>,
    timestamp: Option<i64>,
    #[serde(default)]
    headers: Map<String, Value>,
}

/// The short form of a dead letter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLetter {
    at: String,
    stage: String,
    step: String,
    reason: String,
    #[serde(default)]
    says: String,
    #[serde(default)]
    key: Option<Box<RawValue>>,
    key_base64: Option<String>,
    #[serde(default)]
    value: Option<Box<RawValue>>,
    value_base64: Option<String>,
    timestamp: Option<i64>,
    #[serde(default)]
    headers: Map<String, Value>,
}

struct Case {
    dir: PathBuf,
    job: Job,
    scales: Vec<Scale>,
}

impl Case {
    fn open(name: &str) -> Case {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
        let mut job = Job::new(dir.join("dataflow.yaml"));
        for path in files(&dir, "jsonl") {
            let stem = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            job = job.input(stem.split('.').next().expect("split gives one part at least"), path);
        }
        for path in files(&dir.join("expect"), "jsonl") {
            let stem = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            job = if stem == "dead-letters" { job } else { job.output(&stem) };
        }
        job.args = text(&dir.join("args")).split_whitespace().map(String::from).collect();
        let scales = scales(job.args.iter().any(|arg| arg == "--epoch-records"), dir.join("processes").exists());
        Case { dir, job, scales }
    }

    fn check(&self) {
        let mut first: BTreeMap<Option<usize>, Written> = BTreeMap::new();
        for scale in &self.scales {
            let written = self.job.run(*scale);
            let wrong = self.wrong(&written, first.get(&scale.epoch));
            assert!(wrong.is_empty(), "with {scale}:\n{wrong}\nstandard error:\n{}", written.stderr);
            first.entry(scale.epoch).or_insert(written);
        }
    }

    /// Everything that is not as expected, or not as in an earlier run with the same epochs.
    fn wrong(&self, written: &Written, earlier: Option<&Written>) -> String {
        let mut wrong = String::new();
        let mut differ = |what: &str, difference: String| {
            if !difference.is_empty() {
                wrong.push_str(&format!("{what}:\n{difference}"));
            }
        };
        let exit = text(&self.dir.join("exit")).trim().parse().unwrap_or(0);
        differ("exit code", diff(&format!("{exit}"), &format!("{}", written.exit)));
        for (name, actual) in &written.outputs {
            let expected = text(&self.dir.join("expect").join(format!("{name}.jsonl")));
            let by_json = self.dir.join("json").exists();
            let (e, a) =
                if by_json { (sorted_members(&expected), sorted_members(actual)) } else { (expected, actual.clone()) };
            differ(&format!("output {name}"), diff(&e, &a));
        }
        let expected = text(&self.dir.join("expect/dead-letters.jsonl"));
        differ("dead letters", dead_letters_differ(&expected, &written.dead_letters, &self.name()));
        for part in text(&self.dir.join("expect/stderr")).lines().filter(|part| !written.stderr.contains(part)) {
            differ("standard error", format!("  it does not hold: {part}\n"));
        }
        if let Some(earlier) = earlier {
            let same = (earlier.outputs == written.outputs) && earlier.dead_letters == written.dead_letters;
            differ("against the first run", diff(&earlier.dead_letters, &written.dead_letters));
            assert!(same || !wrong.is_empty(), "outputs that equal the expectation equal each other");
        }
        wrong
    }

    /// The name of the file's job.
    fn name(&self) -> String {
        let file = text(&self.job.file);
        let line = file.lines().find_map(|line| line.strip_prefix("name:"));
        line.unwrap_or_default().trim().to_string()
    }
}

fn scales(pinned: bool, processes: bool) -> Vec<Scale> {
    let workers = [1, 2, 4].map(Scale::workers);
    let mut scales: Vec<Scale> = if pinned {
        workers.to_vec()
    } else {
        [10_000, 1, 7].iter().flat_map(|n| workers.map(|scale| scale.epoch(*n))).collect()
    };
    if processes {
        let two = Scale::workers(2).processes(2);
        scales.push(if pinned { two } else { two.epoch(7) });
    }
    scales
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths
}

/// Lines of JSON, each with its members in one order.
fn sorted_members(lines: &str) -> String {
    fn sort(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let members: BTreeMap<String, Value> = map.into_iter().map(|(k, v)| (k, sort(v))).collect();
                Value::Object(members.into_iter().collect())
            }
            Value::Array(items) => items.into_iter().map(sort).collect(),
            scalar => scalar,
        }
    }
    let line = |line: &str| serde_json::from_str(line).map_or(line.to_string(), |value| sort(value).to_string());
    lines.lines().map(|l| line(l) + "\n").collect()
}

fn dead_letters_differ(expected: &str, actual: &str, job: &str) -> String {
    let expect = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("bad expectation {line}: {e}"));
    let mut missing: Vec<DeadLetter> = expected.lines().map(expect).collect();
    let mut out = String::new();
    for line in actual.lines() {
        match DeadLetter::read(line, job) {
            Err(e) => out.push_str(&format!("  not a dead letter ({e}): {line}\n")),
            Ok(letter) => match missing.iter().position(|m| m.is(&letter)) {
                Some(found) => drop(missing.remove(found)),
                None => out.push_str(&format!("    + {}\n", letter.show())),
            },
        }
    }
    missing.iter().for_each(|m| out.push_str(&format!("    - {}\n", m.show())));
    out
}

impl DeadLetter {
    /// Takes the nine headers out of a written line. Each must be there.
    fn read(line: &str, job: &str) -> Result<DeadLetter, String> {
        let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let mut headers = line.headers;
        let mut take = |name: &str| match headers.shift_remove(&format!("__connect.errors.{name}")) {
            Some(Value::String(text)) => Ok(text),
            other => Err(format!("header {name} is {other:?}")),
        };
        let (topic, partition, offset) = (take("topic")?, take("partition")?, take("offset")?);
        let (connector, task) = (take("connector.name")?, take("task.id")?);
        if connector != job || task != partition {
            return Err(format!("connector.name is {connector}, task.id {task}"));
        }
        Ok(DeadLetter {
            at: format!("{topic}/{partition}/{offset}"),
            stage: take("stage")?,
            step: take("class.name")?,
            reason: take("exception.class.name")?,
            says: take("exception.message")?,
            key: line.key.map(ToOwned::to_owned),
            key_base64: line.key_base64,
            value: line.value.map(ToOwned::to_owned),
            value_base64: line.value_base64,
            timestamp: line.timestamp,
            headers,
        })
    }

    /// Is `actual` what this expects?
    fn is(&self, actual: &DeadLetter) -> bool {
        fn raw(value: &Option<Box<RawValue>>) -> &str {
            value.as_ref().map_or("null", |raw| raw.get())
        }
        actual.says.to_lowercase().contains(&self.says.to_lowercase())
            && (&self.at, &self.stage, &self.step, &self.reason)
                == (&actual.at, &actual.stage, &actual.step, &actual.reason)
            && (raw(&self.key), raw(&self.value)) == (raw(&actual.key), raw(&actual.value))
            && (&self.key_base64, &self.value_base64) == (&actual.key_base64, &actual.value_base64)
            // A line need not have a timestamp, a written record has one: 0.
            && self.timestamp.unwrap_or(0) == actual.timestamp.unwrap_or(0)
            && self.headers == actual.headers
    }

    fn show(&self) -> String {
        let raw = |value: &Option<Box<RawValue>>| value.as_ref().map_or("null".into(), |raw| raw.get().to_string());
        let Self { at, stage, step, reason, says, key_base64, value_base64, timestamp, headers, .. } = self;
        let (key, value) = (raw(&self.key), raw(&self.value));
        let own =
            format!("{key} {key_base64:?} {value} {value_base64:?} {timestamp:?} {}", Value::Object(headers.clone()));
        format!("{at} {stage} {step} {reason} \"{says}\" of {own}")
    }
}

macro_rules! cases {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { Case::open(stringify!($name)).check() })*
    };
}

include!("cases/list.rs");

#[test]
fn every_folder_is_a_case_and_every_case_a_folder() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = fs::read_dir(dir).expect("the cases are there").map(|entry| entry.expect("listed").path());
    let mut folders: Vec<String> = entries
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("named").to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(folders, names);
}

/// A job that gives back what it reads.
fn copying(dir: &Path) -> Job {
    let file = dir.join("copying.yaml");
    let text = "name: copying\nsources:\n  events: { kafka: { topic: events.v1 } }\nemit:\n  out: { from: events, kafka: { topic: out.v1 } }\n";
    fs::write(&file, text).expect("a file can be written");
    Job::new(file).output("out")
}

#[test]
fn inputs_may_be_compressed() {
    let dir = tempfile::tempdir().expect("a folder for inputs");
    let lines: String = (0..50_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let (gz, zst) = (dir.path().join("events.jsonl.gz"), dir.path().join("events.jsonl.zst"));
    let mut to = flate2::write::GzEncoder::new(fs::File::create(&gz).expect("created"), flate2::Compression::fast());
    to.write_all(lines.as_bytes()).expect("written");
    to.finish().expect("finished");
    fs::write(&zst, zstd::encode_all(lines.as_bytes(), 1).expect("encoded")).expect("written");
    for path in [gz, zst] {
        let written = copying(dir.path()).input("events", &path).run(Scale::workers(2));
        assert_eq!(written.exit, 0, "{}", written.stderr);
        assert_eq!(diff(&lines, &written.outputs["out"]), "", "{}", path.display());
    }
}

/// The epoch in which a file breaks off is not taken for a whole one.
#[test]
fn a_file_that_breaks_off_delivers_whole_epochs_only() {
    let dir = tempfile::tempdir().expect("a folder for inputs");
    let lines: String = (0..50_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(lines.as_bytes()).expect("written");
    let packed = to.finish().expect("finished");
    let path = dir.path().join("events.jsonl.gz");
    fs::write(&path, &packed[..packed.len() * 9 / 10]).expect("written");
    for workers in [1, 2] {
        let written = copying(dir.path()).input("events", &path).run(Scale::workers(workers).epoch(1_000));
        assert_eq!(written.exit, 69, "{}", written.stderr);
        assert!(written.stderr.contains("cannot read the input"), "{}", written.stderr);
        assert_eq!(written.outputs["out"].lines().count() % 1_000, 0);
        assert!(lines.starts_with(&written.outputs["out"]));
    }
}

#[test]
fn standard_input_and_output_make_a_pipe() {
    let dir = tempfile::tempdir().expect("a folder for the file");
    let mut command = running::tidemill();
    command.arg("run").arg(copying(dir.path()).file).args(["--http", "off", "-q"]);
    command.args(["--input", "events=-", "--output", "out=-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"{\"n\":1}\nrubbish\n{\"n\":2}").expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"n\":1}\n{\"n\":2}\n");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("\"value\":\"rubbish\""), "dead letters go to standard error by default:\n{stderr}");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
}

/// Workers that need longer than an epoch for what a pipe brings read the file beside it all the same: its events would
/// be late otherwise.
#[test]
fn a_pipe_does_not_hold_back_the_file_beside_it() {
    const JOB: &str = "
name: beside
sources:
  piped: { kafka: { topic: piped }, time: { from: to_timestamp_millis(ts), idle: 5m } }
  filed: { kafka: { topic: filed }, time: { from: to_timestamp_millis(ts), idle: 5m } }
shape:
  slow: { from: piped, set: { x: upper(note), y: reverse(note) } }
aggregate:
  per:
    from: [slow, filed]
    by: { topic: _topic }
    window: { tumbling: 10s }
    measures: { n: count(*) }
    late: reject
emit:
  out: { from: per, kafka: { topic: out } }
";
    let dir = tempfile::tempdir().expect("a folder for inputs");
    let path = |name: &str| dir.path().join(name);
    let lines = |n: i64, every: i64| {
        (0..n).map(|i| format!("{{\"ts\":{},\"note\":\"{:0>120}\"}}\n", i * every, i)).collect::<String>()
    };
    fs::write(path("job.yaml"), JOB).expect("written");
    fs::write(path("filed"), lines(20_000, 50)).expect("written");
    let mut command = running::tidemill();
    command.arg("run").arg(path("job.yaml")).args(["--http", "off", "-q", "-w", "2", "--input", "piped=-"]);
    command.arg("--input").arg(format!("filed={}", path("filed").display()));
    command.arg("--output").arg(format!("out={}", path("out").display()));
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(lines(100_000, 10).as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let late = String::from_utf8_lossy(&output.stderr).matches("LateEvent").count();
    assert_eq!(late, 0, "no event is late");
    let windows = fs::read_to_string(path("out")).expect("written").lines().count();
    assert_eq!(windows, 200, "a hundred windows of each");
}
