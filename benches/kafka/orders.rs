//! The orders job: what it costs to count and sum the orders of each user, beside two loops that only copy.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use rdkafka::Message;

use crate::calibrate;
use crate::events::{Folded, Orders, orders_job};
use crate::process::{Cost, Process, tidemill};
use crate::stats::{Spread, per_million};
use crate::support::unique;
use crate::topics::{PARTITIONS, Topics};

#[derive(Args)]
pub struct OrdersArgs {
    /// Events in the topic
    #[arg(long, default_value_t = 4_000_000)]
    records: u64,
    /// How often each of the three is measured, in turn
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Of a hundred events, so many are orders
    #[arg(long, default_value_t = 20)]
    hits: u64,
    /// Bytes of an event
    #[arg(long, default_value_t = 150)]
    bytes: usize,
    /// Users that events come from
    #[arg(long, default_value_t = 10_000)]
    users: u64,
    /// Workers of the job
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// A loop that copies, in a process of its own.
#[derive(Args)]
pub struct CopyArgs {
    #[arg(long)]
    batches: bool,
    brokers: String,
    from: String,
    to: String,
    count: usize,
}

const PATIENCE: Duration = Duration::from_secs(900);

/// What `bench` runs itself as, for a copy.
pub fn copy(arguments: &CopyArgs) {
    let copy = if arguments.batches { calibrate::copy_in_batches } else { calibrate::copy_one_by_one };
    copy(&arguments.brokers, &arguments.from, &arguments.to, PARTITIONS, arguments.count);
}

pub fn run(arguments: &OrdersArgs) {
    let OrdersArgs { records, rounds, hits, bytes, users, workers } = *arguments;
    let topics = Topics::new();
    let orders = Orders { hits, bytes, users };
    let from = topics.create("orders");
    topics.load_orders(&from, orders, records);
    assert_eq!(topics.count(&from), records, "the topic was not filled");
    let bench = Bench { topics, from, orders, records, workers };
    println!(
        "orders: {records} records of {bytes} B, {hits} % orders, {users} users, {PARTITIONS} partitions, -w {workers}"
    );
    println!("CPU seconds (user + system, all threads) per million records, and wall time:");
    let mut all = Vec::new();
    for round in 1..=rounds {
        let (one_by_one, in_batches, (job, results)) = (bench.copy(false), bench.copy(true), bench.job());
        let costs = [one_by_one, in_batches, job];
        let [a, b, job] =
            costs.map(|cost| format!("{:.3} ({:.1} s)", per_million(cost.cpu, records), cost.wall.as_secs_f64()));
        let [by_one, by_batch, own] = costs.map(|cost| cost.cpu.as_secs_f64());
        println!(
            "  round {round}: (a) poll+send {a}  (b) batch calls {b}  job {job}  job/a {:.3}  job/b {:.3}  ({results} results)",
            own / by_one,
            own / by_batch
        );
        all.push(costs);
    }
    summary(&all, records);
}

fn summary(all: &[[Cost; 3]], records: u64) {
    let spread = |of: &dyn Fn(&[Cost; 3]) -> f64| Spread::of(all.iter().map(of).collect());
    let cpu = |index: usize| spread(&move |costs: &[Cost; 3]| per_million(costs[index].cpu, records));
    println!("median (least to most) of {} rounds:", all.len());
    println!("  (a) poll+send    {} CPU s per million", cpu(0));
    println!("  (b) batch calls  {} CPU s per million", cpu(1));
    println!("  job              {} CPU s per million", cpu(2));
    println!("  job              {} events/s", spread(&|costs| records as f64 / costs[2].wall.as_secs_f64()).whole());
    println!("  job's peak RSS   {} MiB", spread(&|costs| costs[2].peak_bytes as f64 / 1048576.0).whole());
    println!("  job / (a)        {}", spread(&|costs| costs[2].cpu.as_secs_f64() / costs[0].cpu.as_secs_f64()));
    println!("  job / (b)        {}", spread(&|costs| costs[2].cpu.as_secs_f64() / costs[1].cpu.as_secs_f64()));
}

struct Bench {
    topics: Topics,
    from: String,
    orders: Orders,
    records: u64,
    workers: usize,
}

impl Bench {
    /// Copies the topic in a process of its own; that all arrived is checked.
    fn copy(&self, batches: bool) -> Cost {
        let to = self.topics.create("copy");
        let mut command = Command::new(std::env::current_exe().expect("a program knows its place"));
        command.arg("copy").args([self.topics.brokers(), &self.from, &to, &self.records.to_string()]);
        if batches {
            command.arg("--batches");
        }
        let cost = Process::start("the copy loop", &mut command).wait(PATIENCE);
        assert_eq!(self.topics.count(&to), self.records, "WRONG RESULT: the copy is not whole");
        self.topics.delete(&to);
        cost
    }

    /// Runs the job; its results are folded and compared with the oracle. Also how many results there were.
    fn job(&self) -> (Cost, u64) {
        let to = self.topics.create_sink("spend");
        let folder = tempfile::tempdir().expect("a place for the job's file");
        let file = folder.path().join("orders.yaml");
        std::fs::write(&file, orders_job(&self.from, &to)).expect("room for the job's file");
        let cost = Process::start("the job", &mut self.command(&file)).wait(PATIENCE);
        let mut folded = Folded::default();
        self.topics.each(&to, |result| folded.add(result.key(), result.payload().expect("no row is ever deleted")));
        folded.check(&self.orders.totals(self.records));
        self.topics.check_no_dead_letters(&to);
        self.topics.delete_sink(&to);
        (cost, folded.records)
    }

    fn command(&self, file: &Path) -> Command {
        let mut command = tidemill(file);
        command.args(["--brokers", self.topics.brokers(), "--group", &unique("bench"), "--until-caught-up"]);
        command.args(["--http", "off", "-q", "-w", &self.workers.to_string()]);
        command
    }
}
