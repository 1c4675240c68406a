//! What may be typed after `run`. Every flag is also a variable: `TIDEMILL_` and the flag's name in capitals.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, RangedU64ValueParser};
use clap::{ArgAction, Args, ValueEnum};

use super::values::{NamedPaths, brokers, duration, host_port, listen, setting};
use crate::launch::LineFormat;
use crate::telemetry::http::Listen;
use crate::telemetry::log::LogFormat;

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The dataflow file; `-` is standard input
    #[arg(value_name = "FILE", env = "TIDEMILL_FILE")]
    pub file: String,
    #[command(flatten, next_help_heading = "Workers and processes")]
    pub workers: WorkerArgs,
    #[command(flatten, next_help_heading = "Kafka")]
    pub kafka: KafkaArgs,
    #[command(flatten, next_help_heading = "Files instead of topics")]
    pub files: FileArgs,
    #[command(flatten, next_help_heading = "Epochs, start and stop")]
    pub epochs: EpochArgs,
    #[command(flatten, next_help_heading = "Seeing what happens")]
    pub seeing: SeeingArgs,
}

#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Worker threads of this process
    ///
    /// More than there are cores makes a job slower, not faster.
    #[arg(short, long, value_name = "N", env = "TIDEMILL_WORKERS", default_value = "1",
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub workers: usize,
    /// Processes of the job in all [default: as many as --hosts names, else 1]
    ///
    /// All of them run the same file with the same counts, --group, --epoch and --until-caught-up; they compare these
    /// when they meet, and refuse what differs.
    #[arg(short = 'n', long, value_name = "N", env = "TIDEMILL_PROCESSES",
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub processes: Option<usize>,
    /// Which of them this one is, from 0 [default: the number that ends the host name]
    ///
    /// A pod of a Kubernetes StatefulSet has such a name: `triggers-0`, `triggers-1`.
    #[arg(short, long, value_name = "I", env = "TIDEMILL_PROCESS")]
    pub process: Option<usize>,
    /// One address for each process, in the order of their indexes
    #[arg(long, value_name = "HOST:PORT,…", env = "TIDEMILL_HOSTS", value_delimiter = ',', value_parser = host_port)]
    pub hosts: Vec<String>,
    /// Workers of one process exchange bytes, as processes do
    #[arg(long, env = "TIDEMILL_BYTES_ONLY", hide = true, action = ArgAction::SetTrue,
          value_parser = BoolishValueParser::new())]
    pub bytes_only: bool,
}

#[derive(Args)]
pub struct KafkaArgs {
    /// Where Kafka is; without it the job runs on files
    #[arg(long, value_name = "HOST:PORT,…", env = "TIDEMILL_BROKERS", value_parser = brokers)]
    pub brokers: Option<String>,
    /// A setting of the Kafka client, as librdkafka names it [env: TIDEMILL_KAFKA_…]
    ///
    /// `KEY=@FILE` reads the value from a file, less one trailing newline. TIDEMILL_KAFKA_SASL_PASSWORD sets
    /// `sasl.password`, and so on. These are the two ways for secrets: what stands on the command line, everybody on
    /// the machine can read.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<String>,
    /// How long to wait for brokers that went away before the job ends with 75
    ///
    /// `/readyz` says so meanwhile. At the start of a job it is 30 s, and the code 69.
    #[arg(long, value_name = "TIME", env = "TIDEMILL_BROKER_TIMEOUT", default_value = "2m", value_parser = duration)]
    pub broker_timeout: Duration,
    /// The consumer group where progress is published [default: tidemill-<name of the job>]
    ///
    /// Of two jobs with one group the newcomer takes over, and the older ends with 75.
    #[arg(long, value_name = "NAME", env = "TIDEMILL_GROUP", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub group: Option<String>,
    /// Create output topics that are missing, as the broker's defaults say
    #[arg(long, env = "TIDEMILL_CREATE_TOPICS", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub create_topics: bool,
}

#[derive(Debug, Args)]
pub struct FileArgs {
    /// Read a source or table from a file, or `-` for standard input; `.gz` and `.zst` too
    ///
    /// Given again for one name, each file is a further partition. Several may stand in one, separated by commas.
    #[arg(long, value_name = "NAME=PATH", env = "TIDEMILL_INPUT")]
    pub input: Vec<NamedPaths>,
    /// Write an output to a file, or `-` for standard output
    ///
    /// On files, an output without one is counted but not written.
    #[arg(long, value_name = "NAME=PATH", env = "TIDEMILL_OUTPUT")]
    pub output: Vec<NamedPaths>,
    /// Where rejected records go on files, as record lines [default: standard error]
    #[arg(long, value_name = "PATH", env = "TIDEMILL_DEAD_LETTERS")]
    pub dead_letters: Option<String>,
    /// What a line is: a record's value, or an object with key, value, timestamp and headers
    #[arg(long, value_enum, env = "TIDEMILL_LINES", default_value_t)]
    pub lines: Lines,
    /// Records of each source in an epoch, so that a run on files is the same every time [default: 10000 on files]
    #[arg(long, value_name = "N", env = "TIDEMILL_EPOCH_RECORDS",
          value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub epoch_records: Option<usize>,
}

#[derive(Debug, Args)]
pub struct EpochArgs {
    /// How often an epoch closes
    ///
    /// Results leave once per epoch: a longer one costs less and delivers later. With one worker an epoch closes when
    /// records have arrived, and where one broker serves them more are asked for after two epochs, at most 20 ms. With
    /// several workers epochs close together, at multiples of this time.
    #[arg(long, value_name = "TIME", env = "TIDEMILL_EPOCH", default_value = "10ms", value_parser = duration)]
    pub epoch: Duration,
    /// End, with exit code 0, when all that the topics held at start is delivered
    #[arg(long, env = "TIDEMILL_UNTIL_CAUGHT_UP", action = ArgAction::SetTrue,
          value_parser = BoolishValueParser::new())]
    pub until_caught_up: bool,
    /// How long delivery of what is open may take after SIGTERM or SIGINT; then the exit code is 75
    #[arg(long, value_name = "TIME", env = "TIDEMILL_DRAIN_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub drain_timeout: Duration,
}

#[derive(Debug, Args)]
pub struct SeeingArgs {
    /// Where /livez, /readyz and /metrics are served, or `off` [default: 127.0.0.1:9464 or the next free port]
    ///
    /// Nobody is asked for a password: beyond this machine, let only those in who may see topics and rates.
    #[arg(long, value_name = "HOST:PORT", env = "TIDEMILL_HTTP", value_parser = listen)]
    pub http: Option<Listen>,
    /// Write counters, rates and percentiles to this JSON file at the end, and on SIGUSR1
    #[arg(long, value_name = "PATH", env = "TIDEMILL_REPORT")]
    pub report: Option<PathBuf>,
    /// Write the histogram of the epoch latency to this file, in HdrHistogram's text format
    #[arg(long, value_name = "PATH", env = "TIDEMILL_HGRM")]
    pub hgrm: Option<PathBuf>,
    /// Logs for people, or one JSON object a line
    #[arg(long, value_enum, env = "TIDEMILL_LOG_FORMAT", default_value_t)]
    pub log_format: Logs,
    /// Log more; again for still more. RUST_LOG wins over it
    #[arg(short, long, env = "TIDEMILL_VERBOSE", action = ArgAction::Count)]
    pub verbose: u8,
    /// Log less: warnings and errors; again for errors only
    #[arg(short, long, env = "TIDEMILL_QUIET", action = ArgAction::Count)]
    pub quiet: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Lines {
    #[default]
    Value,
    Record,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Logs {
    #[default]
    Text,
    Json,
}

impl RunArgs {
    pub fn log_format(&self) -> LogFormat {
        match self.seeing.log_format {
            Logs::Text => LogFormat::Text,
            Logs::Json => LogFormat::Json,
        }
    }

    pub fn line_format(&self) -> LineFormat {
        match self.files.lines {
            Lines::Value => LineFormat::Value,
            Lines::Record => LineFormat::Record,
        }
    }
}

/// Settings may hold secrets.
impl std::fmt::Debug for KafkaArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaArgs").field("brokers", &self.brokers).field("group", &self.group).finish_non_exhaustive()
    }
}
