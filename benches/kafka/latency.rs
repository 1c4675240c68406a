//! Latency in an open loop, from the time an event was meant to be sent to the time a reader sees its result, beside a
//! null job that only copies; the job's CPU for an event at that rate, and its CPU when nothing comes.
//!
//! The generator keeps its timetable whatever the job does, and what it sends late counts from when it was due.

use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use rdkafka::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::calibrate;
use crate::events::Orders;
use crate::process::{Process, tidemill};
use crate::stats::{Spread, per_million};
use crate::support::unique;
use crate::topics::{PARTITIONS, Topics, now_millis};
use crate::watch::{Expected, Watcher};

#[derive(Args)]
pub struct LatencyArgs {
    /// Events per second
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// How long is measured, after 3 s to warm up
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How often each of the two is measured, in turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Of a hundred events, so many give a result
    #[arg(long, default_value_t = 20)]
    hits: u64,
    /// Seconds without events over which the idle job is measured
    #[arg(long, default_value_t = 20)]
    idle: u64,
    /// Workers of the job
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// The null job, in a process of its own, until it is killed.
#[derive(Args)]
pub struct NullArgs {
    brokers: String,
    from: String,
    to: String,
}

const WARM_UP: u64 = 3;

/// Takes what the job would take, and passes it on as it is. Linger as the job's own producer.
pub fn null(arguments: &NullArgs) {
    let consumer = calibrate::consumer(&arguments.brokers, &arguments.from, PARTITIONS);
    let mut config = calibrate::producer_config(&arguments.brokers);
    let producer: BaseProducer = config.set("linger.ms", "0.5").create().expect("a producer");
    let wanted = memchr::memmem::Finder::new(br#""type":"order""#);
    let mut seen = 0_u64;
    loop {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            producer.poll(Duration::ZERO);
            continue;
        };
        let message = message.expect("reading goes on");
        if wanted.find(message.payload().unwrap_or_default()).is_some() {
            let mut outgoing = BaseRecord::<[u8], [u8]>::to(&arguments.to).partition(message.partition());
            outgoing.payload = message.payload();
            outgoing.timestamp = message.timestamp().to_millis();
            calibrate::send(&producer, outgoing);
        }
        seen += 1;
        if seen.is_multiple_of(100) {
            producer.poll(Duration::ZERO);
        }
    }
}

/// What one run of the job, or of the null job, came to.
struct Measured {
    latency: Histogram<u64>,
    /// Of a million events.
    cpu: f64,
    generator_late: Duration,
    /// Of a core.
    idle: Option<f64>,
}

pub fn run(arguments: &LatencyArgs) {
    let LatencyArgs { rate, seconds, rounds, hits, idle, .. } = *arguments;
    let topics = Topics::new();
    println!("latency: {rate} events/s for {seconds} s, {hits} % give a result, {PARTITIONS} partitions");
    println!("milliseconds from the time an event is due to its result at a reader:");
    let mut all: Vec<[Measured; 2]> = Vec::new();
    for round in 1..=rounds {
        let bench = Bench { topics: &topics, arguments, idle: (round == rounds).then_some(idle) };
        let pair = [bench.measure(false), bench.measure(true)];
        for (name, one) in ["null", "job "].iter().zip(&pair) {
            let cpu = one.cpu;
            let late = one.generator_late.as_secs_f64() * 1e3;
            println!(
                "  round {round}: {name} {}  CPU µs an event {cpu:.2}  generator late {late:.1}",
                line(&one.latency)
            );
        }
        all.push(pair);
    }
    summary(&all);
}

fn summary(all: &[[Measured; 2]]) {
    println!("all rounds:");
    for (index, name) in ["null", "job "].iter().enumerate() {
        let mut whole = histogram();
        all.iter().for_each(|pair| whole.add(&pair[index].latency).expect("the same bounds"));
        let cpu = Spread::of(all.iter().map(|pair| pair[index].cpu).collect());
        println!("  {name} {}  CPU µs an event {cpu}", line(&whole));
    }
    for quantile in [0.5, 0.99] {
        let more = |pair: &[Measured; 2]| millis(&pair[1].latency, quantile) - millis(&pair[0].latency, quantile);
        println!("  job - null at p{}: {} ms", quantile * 100.0, Spread::of(all.iter().map(more).collect()));
    }
    if let Some(idle) = all.iter().find_map(|pair| pair[1].idle) {
        println!("  job, idle: {:.2} % of a core", idle * 100.0);
    }
}

fn line(latency: &Histogram<u64>) -> String {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| millis(latency, quantile));
    format!("p50 {p50:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {:.1}", latency.max() as f64 / 1e3)
}

fn millis(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1e3
}

/// Microseconds, up to ten minutes.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("these bounds are right")
}

struct Bench<'a> {
    topics: &'a Topics,
    arguments: &'a LatencyArgs,
    /// Seconds to measure without events, at the end.
    idle: Option<u64>,
}

impl Bench<'_> {
    fn measure(&self, job: bool) -> Measured {
        let (from, to) = (self.topics.create("due"), self.topics.create_sink("seen"));
        let folder = tempfile::tempdir().expect("a place for the job's file");
        let mut command = if job { self.job(folder.path(), &from, &to) } else { self.null(&from, &to) };
        let process = Process::start(if job { "the job" } else { "the null job" }, &mut command);
        let watcher = Watcher::start(self.topics.brokers(), &to);
        let sent = self.generate(&process, &from, &watcher);
        watcher.wait_for(sent.results, Duration::from_secs(60));
        let seen = watcher.stop();
        let orders = self.orders();
        Expected { orders, first: sent.probe, end: sent.first + sent.count, with_total: job }.check(&seen);
        let mut latency = histogram();
        for result in &seen {
            // The probe comes before the first.
            if let Some(event) = result.number().checked_sub(sent.first).filter(|event| *event >= sent.warm_up) {
                let due = sent.start + self.due(event);
                let took = result.at.saturating_duration_since(due).as_micros() as u64;
                latency.saturating_record(took.max(1));
            }
        }
        let idle = self.idle.filter(|_| job).map(|seconds| idle(&process, seconds));
        if job {
            process.signal(libc::SIGTERM);
            process.wait(Duration::from_secs(3600));
            self.topics.check_no_dead_letters(&to);
        }
        self.topics.delete(&from);
        self.topics.delete_sink(&to);
        let cpu = per_million(sent.cpu, sent.count - sent.warm_up);
        Measured { latency, cpu, generator_late: sent.late, idle }
    }

    fn orders(&self) -> Orders {
        Orders { hits: self.arguments.hits, bytes: 150, users: 10_000 }
    }

    fn null(&self, from: &str, to: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("a program knows its place"));
        command.args(["null", self.topics.brokers(), from, to]);
        command
    }

    fn job(&self, folder: &std::path::Path, from: &str, to: &str) -> Command {
        let file = folder.join("latency.yaml");
        let text = format!(
            "name: latency
sources: {{ events: {{ kafka: {{ topic: {from}, start: earliest }} }} }}
shape:
  kept: {{ from: events, where: \"type = 'order'\", set: {{ total: amount * items }} }}
emit: {{ kept: {{ from: kept, kafka: {{ topic: {to} }} }} }}
dead_letters: {{ kafka: {{ topic: {to}.dead-letters }} }}
"
        );
        std::fs::write(&file, text).expect("room for the job's file");
        let mut command = tidemill(&file);
        command.args(["--brokers", self.topics.brokers(), "--group", &unique("bench"), "--http", "off", "-q"]);
        command.args(["-w", &self.arguments.workers.to_string()]);
        command
    }

    /// When an event is due, after the start.
    fn due(&self, event: u64) -> Duration {
        Duration::from_nanos((u128::from(event) * 1_000_000_000 / u128::from(self.arguments.rate)) as u64)
    }

    /// Sends one event that gives a result and waits for it: everything is up. Then keeps the timetable.
    fn generate(&self, process: &Process, topic: &str, watcher: &Watcher) -> Sent {
        let mut config = calibrate::producer_config(self.topics.brokers());
        let producer: BaseProducer = config.set("linger.ms", "0.5").create().expect("a producer");
        let (orders, rate) = (self.orders(), self.arguments.rate);
        let probe = (0..).find(|number| orders.get(*number).is_order).expect("some are orders");
        let (mut text, first) = (String::new(), probe + 1);
        let mut send = |number: u64| {
            text.clear();
            orders.write(number, now_millis(), &mut text);
            let partition = (number % PARTITIONS as u64) as i32;
            calibrate::send(&producer, BaseRecord::to(topic).partition(partition).payload(text.as_bytes()));
        };
        send(probe);
        watcher.wait_for(1, Duration::from_secs(60));
        let (warm_up, count) = (rate * WARM_UP, rate * (WARM_UP + self.arguments.seconds));
        let (start, mut before, mut late) = (Instant::now(), Duration::ZERO, Duration::ZERO);
        let mut results = 1;
        for event in 0..count {
            let due = start + self.due(event);
            wait_until(due, &producer);
            if event == warm_up {
                before = process.cpu();
            }
            if event >= warm_up {
                late = late.max(due.elapsed());
            }
            send(first + event);
            results += u64::from(orders.get(first + event).is_order);
        }
        let cpu = process.cpu() - before;
        producer.flush(Duration::from_secs(60)).expect("all events are acknowledged");
        Sent { probe, first, count, warm_up, results, start, cpu, late }
    }
}

/// What the generator did.
struct Sent {
    /// The number of the one event before the timetable began.
    probe: u64,
    /// The number of the first event of the timetable.
    first: u64,
    count: u64,
    /// So many of them are not measured.
    warm_up: u64,
    /// How many results must come, the probe's among them.
    results: u64,
    start: Instant,
    /// Of the process that is measured, while measured events were sent.
    cpu: Duration,
    /// The most that the generator was behind its timetable.
    late: Duration,
}

fn wait_until(due: Instant, producer: &BaseProducer) {
    while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        producer.poll(Duration::ZERO);
        std::thread::sleep(left.max(Duration::from_micros(250)).min(Duration::from_millis(1)));
    }
}

/// The share of a core that a process takes when nothing comes.
fn idle(process: &Process, seconds: u64) -> f64 {
    // What came before has to be settled.
    std::thread::sleep(Duration::from_secs(2));
    let (start, before) = (Instant::now(), process.cpu());
    std::thread::sleep(Duration::from_secs(seconds.max(1)));
    (process.cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64()
}
