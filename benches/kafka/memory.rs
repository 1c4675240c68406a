//! Memory: whether the orders job stays flat over all its events, and what a live key and a live rule cost.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::Message;
use serde_json::Value;

use crate::events::{Folded, Orders, orders_job, user_name};
use crate::process::{Cost, Process, tidemill};
use crate::stats::Spread;
use crate::support::unique;
use crate::topics::{Topics, now_millis};

#[derive(Args)]
pub struct MemoryArgs {
    /// Events of the orders job
    #[arg(long, default_value_t = 4_000_000)]
    records: u64,
    /// Keys of the aggregate with many keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Live rules
    #[arg(long, default_value_t = 100_000)]
    rules: u64,
    /// Workers of the job
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

const PATIENCE: Duration = Duration::from_secs(900);
const MIB: f64 = 1048576.0;

pub fn run(arguments: &MemoryArgs) {
    over_time(arguments);
    let folder = tempfile::tempdir().expect("a place for files");
    of_keys(folder.path(), arguments.keys);
    of_rules(folder.path(), arguments.rules);
}

/// Resident memory of the orders job, by how many events it has read.
fn over_time(arguments: &MemoryArgs) {
    let MemoryArgs { records, workers, .. } = *arguments;
    let (topics, orders) = (Topics::new(), Orders { hits: 20, bytes: 150, users: 10_000 });
    let (from, to) = (topics.create("orders"), topics.create_sink("spend"));
    topics.load_orders(&from, orders, records);
    let folder = tempfile::tempdir().expect("a place for the job's file");
    let file = folder.path().join("orders.yaml");
    std::fs::write(&file, orders_job(&from, &to)).expect("room for the job's file");
    let http = free_address();
    let mut command = tidemill(&file);
    command.args(["--brokers", topics.brokers(), "--group", &unique("bench"), "--until-caught-up", "-q"]);
    command.args(["--http", &http, "-w", &workers.to_string()]);
    let (mut samples, mut last) = (Vec::new(), Instant::now());
    let cost = Process::start("the job", &mut command).wait_with(PATIENCE, |process| {
        if last.elapsed() >= Duration::from_millis(25) {
            last = Instant::now();
            samples.extend(events_read(&http).zip(process.resident_bytes()));
        }
    });
    let mut folded = Folded::default();
    topics.each(&to, |result| folded.add(result.key(), result.payload().expect("no row is ever deleted")));
    folded.check(&orders.totals(records));
    topics.check_no_dead_letters(&to);
    println!("memory of the orders job, {records} records, -w {workers}: resident MiB, median (least to most):");
    let quarters: Vec<Option<f64>> = (0..4).map(|quarter| part(&samples, records, quarter)).collect();
    if let [Some(first), .., Some(last)] = quarters[..] {
        println!("  last quarter / first quarter: {:.3}", last / first);
    } else {
        println!("  the job was too fast for samples of every quarter: give it more --records");
    }
    println!("  peak {:.1} MiB", cost.peak_bytes as f64 / MIB);
}

/// Prints one quarter of the events; its median.
fn part(samples: &[(u64, u64)], records: u64, quarter: u64) -> Option<f64> {
    let (from, to) = (records * quarter / 4, records * (quarter + 1) / 4);
    let own = samples.iter().filter(|(events, _)| (from + 1..=to).contains(events));
    let own: Vec<f64> = own.map(|(_, bytes)| *bytes as f64 / MIB).collect();
    let (count, spread) = (own.len(), (!own.is_empty()).then(|| Spread::of(own))?);
    println!("  {from} to {to}: {spread} in {count} samples");
    Some(spread.median)
}

/// Loopback, at a port that was free a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// What `/metrics` says that the source has read; `None` while nobody answers.
fn events_read(address: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("tidemill_source_events_total{source=\"orders\"} "))?;
    value.trim().parse().ok()
}

/// A run on files, its report and its results' lines.
struct OnFiles {
    cost: Cost,
    report: Value,
    results: String,
}

fn on_files(folder: &Path, text: &str, inputs: &[(&str, PathBuf)]) -> OnFiles {
    let at = |name: &str| folder.join(name);
    std::fs::write(at("job.yaml"), text).expect("room for the job's file");
    let mut command: Command = tidemill(&at("job.yaml"));
    command.args(["--http", "off", "-q", "--report"]).arg(at("report"));
    for (name, path) in inputs {
        command.arg("--input").arg(format!("{name}={}", path.display()));
    }
    command.arg("--output").arg(format!("results={}", at("results").display()));
    command.arg("--dead-letters").arg(at("letters"));
    let cost = Process::start("the job", &mut command).wait(PATIENCE);
    let read = |name: &str| std::fs::read_to_string(at(name)).expect("the job writes it");
    assert_eq!(read("letters"), "", "WRONG RESULT: dead letters");
    let report = serde_json::from_str(&read("report")).expect("a report is JSON");
    OnFiles { cost, report, results: read("results") }
}

/// Bytes of a key, by the job's own count and by resident memory: the same events with few users and with many.
fn of_keys(folder: &Path, keys: u64) {
    let text = "name: keys
sources: { events: { kafka: { topic: events } } }
aggregate:
  spend: { from: events, by: [user], measures: { orders: count(*), total: sum(amount) } }
emit: { results: { from: spend, kafka: { topic: results } } }
";
    let [few, many] = [keys.min(100), keys].map(|users| {
        let orders = Orders { hits: 100, bytes: 100, users };
        let (path, events) = (folder.join("events"), keys * 2);
        orders.write_file(&path, events, now_millis());
        let run = on_files(folder, text, &[("events", path)]);
        let (mut folded, totals) = (Folded::default(), orders.totals(events));
        run.results.lines().for_each(|line| folded.add(None, line.as_bytes()));
        folded.check(&totals);
        (run, totals.len() as f64)
    });
    let resident = (many.0.cost.peak_bytes as f64 - few.0.cost.peak_bytes as f64) / (many.1 - few.1);
    let step = &many.0.report["steps"]["spend"];
    println!("memory of a live key (text key, count and sum), {} keys on files:", many.1);
    println!("  {} keys and {} bytes of state by the job's own count", step["state_keys"], step["state_bytes"]);
    println!("  {:.0} B a key by that count, {resident:.0} B a key by peak RSS", bytes(&step["state_bytes"]) / many.1);
}

/// Bytes of a rule, likewise: one live rule, and many.
fn of_rules(folder: &Path, rules: u64) {
    let text = "name: rules
sources: { events: { kafka: { topic: events } } }
tables: { wanted: { kafka: { topic: wanted }, key: id } }
match: { due: { from: events, rules: { table: wanted, pattern: pattern } } }
emit: { results: { from: due, kafka: { topic: results } } }
";
    let orders = Orders { hits: 50, bytes: 150, users: rules.max(2) };
    let (path, events) = (folder.join("events"), 10_000);
    orders.write_file(&path, events, now_millis());
    let [one, many] = [1, rules].map(|rules| {
        let wanted = folder.join("wanted");
        std::fs::write(&wanted, (0..rules).map(rule).collect::<String>()).expect("room for rules");
        let run = on_files(folder, text, &[("events", path.clone()), ("wanted", wanted)]);
        check_matches(&run.results, orders, events, rules);
        run
    });
    let more = rules.saturating_sub(1).max(1) as f64;
    let resident = (many.cost.peak_bytes as f64 - one.cost.peak_bytes as f64) / more;
    let counted = &many.report["steps"]["due"]["rules"];
    println!("memory of a live rule (type, user and a numeric comparison), {rules} rules on files:");
    println!("  {} rules and {} bytes of index by the job's own count", counted["rules"], counted["bytes"]);
    let index = bytes(&counted["bytes"]) / rules as f64;
    println!("  {index:.0} B a rule by that count, {resident:.0} B a rule and its row in the table by peak RSS");
}

fn bytes(value: &Value) -> f64 {
    value.as_f64().expect("the report counts bytes")
}

/// Rule `i` wants the greater orders of user `i`, as a row of the table.
fn rule(rule: u64) -> String {
    let (user, least, mut row) = (user_name(rule), rule % 500, String::new());
    let written = writeln!(
        row,
        r#"{{"id":"r-{rule}","pattern":{{"type":["order"],"user":["{user}"],"amount":[{{"numeric":[">",{least}]}}]}}}}"#
    );
    written.expect("writing to memory");
    row
}

fn check_matches(results: &str, orders: Orders, events: u64, rules: u64) {
    let matching = (0..events)
        .map(|number| orders.get(number))
        .filter(|order| order.is_order && order.user < rules && order.cents > (order.user % 500) as i64 * 100);
    let mut lines = results.lines();
    for order in matching {
        let line = lines.next().unwrap_or_else(|| panic!("WRONG RESULT: {order:?} is missing"));
        let row: Value = serde_json::from_str(line).expect("results are JSON");
        assert_eq!(row["id"], format!("o-{:08}", order.number), "WRONG RESULT: {line}");
        assert_eq!(row["rule"]["id"], format!("r-{}", order.user), "WRONG RESULT: {line}");
    }
    assert_eq!(lines.next(), None, "WRONG RESULT: one too many");
}
