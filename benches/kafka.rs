//! The benches that need a Kafka: cost of the orders job, epoch latency, memory.
//!
//! They start a broker (Java 17 and Maven), or use the one that `TIDEMILL_TEST_BROKERS` names. Every figure is printed
//! after the output that it stands for was compared with an oracle, and beside loops that only copy, which run in
//! turn with the job, each in a process of its own.

#[path = "calibrate/mod.rs"]
mod calibrate;
#[path = "kafka/events.rs"]
mod events;
#[path = "kafka/latency.rs"]
mod latency;
#[path = "kafka/memory.rs"]
mod memory;
#[path = "kafka/orders.rs"]
mod orders;
#[path = "kafka/process.rs"]
mod process;
#[path = "kafka/stats.rs"]
mod stats;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "kafka/topics.rs"]
mod topics;
#[path = "kafka/watch.rs"]
mod watch;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo bench --bench kafka --", disable_help_subcommand = true)]
struct Cli {
    /// Cargo gives it to every bench.
    #[arg(long, global = true, hide = true)]
    bench: bool,
    #[command(subcommand)]
    which: Option<Which>,
}

#[derive(Subcommand)]
enum Which {
    /// CPU of the orders job beside two loops that only copy
    Orders(orders::OrdersArgs),
    /// Latency in an open loop beside a null job, CPU of an event, CPU when idle
    Latency(latency::LatencyArgs),
    /// Resident memory over time, bytes of a key and of a rule
    Memory(memory::MemoryArgs),
    #[command(hide = true)]
    Copy(orders::CopyArgs),
    #[command(hide = true)]
    Null(latency::NullArgs),
}

fn main() {
    match Cli::parse().which {
        Some(Which::Orders(arguments)) => orders::run(&arguments),
        Some(Which::Latency(arguments)) => latency::run(&arguments),
        Some(Which::Memory(arguments)) => memory::run(&arguments),
        Some(Which::Copy(arguments)) => orders::copy(&arguments),
        Some(Which::Null(arguments)) => latency::null(&arguments),
        None => println!(
            "The benches on Kafka run one at a time:\n  \
             cargo bench --bench kafka -- orders\n  \
             cargo bench --bench kafka -- latency\n  \
             cargo bench --bench kafka -- memory\n\
             `-- orders --help` shows what can be set. They start a broker, which takes Java 17 and Maven, or use the\n\
             one that TIDEMILL_TEST_BROKERS names."
        ),
    }
}
