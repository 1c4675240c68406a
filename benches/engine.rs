//! The engine alone: events per second from a file in to results counted, with one worker and with two.
//!
//! Before anything is timed, each job runs once with each number of workers and writes its results: those of one
//! worker are compared with an oracle, those of two must be the same bytes. The timed runs write nothing, and must
//! count as many. Wall time is from the start of the process to its end.
//!
//! What two cores are worth on this machine is measured beside it: two processes of one worker each, at the same time,
//! which share nothing but the machine.

#![allow(dead_code, reason = "the modules are shared with the benches on Kafka")]

#[path = "kafka/events.rs"]
mod events;
#[path = "engine/jobs.rs"]
mod jobs;
#[path = "kafka/process.rs"]
mod process;
#[path = "kafka/stats.rs"]
mod stats;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use jobs::{JOBS, Job, ORDERS};
use process::{Cost, Process, tidemill};
use stats::{Spread, per_million};

/// What others of the benches are told (`cargo bench -- …` tells all of them) is left alone.
#[derive(Parser)]
#[command(ignore_errors = true)]
struct Cli {
    /// Cargo gives it where figures are wanted, and not where the bench is only tried.
    #[arg(long)]
    bench: bool,
    #[arg(long)]
    events: Option<u64>,
    #[arg(long)]
    rounds: Option<usize>,
}

const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let cli = Cli::parse();
    let (events, rounds) = if cli.bench { (2_000_000, 3) } else { (20_000, 1) };
    let (events, rounds) = (cli.events.unwrap_or(events), cli.rounds.unwrap_or(rounds).max(1));
    let folder = tempfile::tempdir().expect("a place for inputs");
    let files = Files::new(folder.path(), events);
    println!(
        "engine alone: {events} events of {} B, file in, counted out; median (least to most) of {rounds}",
        ORDERS.bytes
    );
    for job in &JOBS {
        let (job, results) = (files.add(job), files.check(job));
        let all: Vec<[Cost; 3]> =
            (0..rounds).map(|_| [job.run(1, results), job.run(2, results), job.run_twice(results)]).collect();
        let spread = |of: &dyn Fn(&[Cost; 3]) -> f64| Spread::of(all.iter().map(of).collect());
        let rate = |index: usize| spread(&|costs| events as f64 / costs[index].wall.as_secs_f64()).whole();
        let cpu = |index: usize, events: u64| spread(&|costs| per_million(costs[index].cpu, events));
        let wall = |cost: &Cost| cost.wall.as_secs_f64();
        let ratio = spread(&|[one, two, _]| wall(one) / wall(two));
        let apart = spread(&|[one, _, both]| 2.0 * wall(one) / wall(both));
        println!("  {}: {results} results", job.job.name);
        println!("    events/s: {} with one worker, {} with two: × {ratio}", rate(0), rate(1));
        println!("    two processes of one worker that share nothing: × {apart}");
        println!(
            "    CPU µs an event: {} with one worker, {} with two, {} in two processes",
            cpu(0, events),
            cpu(1, events),
            cpu(2, 2 * events)
        );
    }
}

/// Where inputs and outputs of the runs are.
struct Files<'a> {
    folder: &'a Path,
    events: u64,
}

/// A job with its file.
struct Placed<'a> {
    job: &'a Job,
    files: &'a Files<'a>,
    path: PathBuf,
}

impl<'a> Files<'a> {
    fn new(folder: &'a Path, events: u64) -> Self {
        // Files know no clock: any time will do.
        ORDERS.write_file(&folder.join("events"), events, 1_767_225_600_000);
        std::fs::write(folder.join("rules"), jobs::rules()).expect("room for rules");
        Self { folder, events }
    }

    fn add(&'a self, job: &'a Job) -> Placed<'a> {
        let path = self.folder.join("job.yaml");
        std::fs::write(&path, job.file()).expect("room for the job's file");
        Placed { job, files: self, path }
    }

    /// Compares what the job writes with the oracle, at one worker and at two; how many results there are.
    fn check(&self, job: &Job) -> u64 {
        let job = self.add(job);
        let [one, two] = [1, 2].map(|workers| {
            let results = self.folder.join(format!("results-{workers}"));
            let mut command = job.command(workers, "report");
            command.arg("--output").arg(format!("results={}", results.display()));
            Process::start("the job", &mut command).wait(PATIENCE);
            std::fs::read(&results).expect("the job writes its results")
        });
        assert!(one == two, "WRONG RESULT: {} writes something else with two workers", job.job.name);
        let text = std::str::from_utf8(&one).expect("results are JSON");
        (job.job.check)(&mut text.lines(), self.events);
        text.lines().count() as u64
    }
}

impl Placed<'_> {
    /// The job, its report beside it under this name.
    fn command(&self, workers: usize, report: &str) -> std::process::Command {
        let folder = self.files.folder;
        let mut command = tidemill(&self.path);
        command.args(["--http", "off", "-q", "-w", &workers.to_string()]);
        command.arg("--input").arg(format!("events={}", folder.join("events").display()));
        if self.job.has_rules {
            command.arg("--input").arg(format!("rules={}", folder.join("rules").display()));
        }
        command.arg("--dead-letters").arg(folder.join(format!("{report}-letters")));
        command.arg("--report").arg(folder.join(report));
        command
    }

    /// A timed run: nothing is written, and as many results counted as were checked.
    fn run(&self, workers: usize, results: u64) -> Cost {
        let cost = Process::start("the job", &mut self.command(workers, "report")).wait(PATIENCE);
        self.check_report("report", results);
        cost
    }

    /// Two processes of one worker at the same time: the time of the slower, the CPU of both.
    fn run_twice(&self, results: u64) -> Cost {
        let names = ["report-a", "report-b"];
        let [a, b] = names.map(|name| Process::start("the job", &mut self.command(1, name)));
        let [a, b] = [a.wait(PATIENCE), b.wait(PATIENCE)];
        names.iter().for_each(|name| self.check_report(name, results));
        Cost { wall: a.wall.max(b.wall), cpu: a.cpu + b.cpu, peak_bytes: a.peak_bytes.max(b.peak_bytes) }
    }

    fn check_report(&self, name: &str, results: u64) {
        let report = std::fs::read(self.files.folder.join(name)).expect("the job writes its report");
        let report: serde_json::Value = serde_json::from_slice(&report).expect("a report is JSON");
        assert_eq!(
            report["sources"]["events"]["events"].as_u64(),
            Some(self.files.events),
            "WRONG RESULT: events read"
        );
        assert_eq!(report["outputs"]["results"]["records"].as_u64(), Some(results), "WRONG RESULT: results counted");
        assert_eq!(report["dead_letters"].as_array().map(Vec::len), Some(0), "WRONG RESULT: dead letters");
    }
}
