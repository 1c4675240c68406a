//! How a job runs: everything that is not in its dataflow file, checked.

use std::path::PathBuf;
use std::time::Duration;

use crate::telemetry::http::Listen;
use crate::telemetry::log::LogOptions;

/// Only the command line makes these, and checks that they fit together.
#[derive(Debug)]
pub struct Options {
    /// Worker threads of this process; at least 1.
    pub workers: usize,
    /// Processes of the job; at least 1.
    pub processes: usize,
    /// Index of this process, below `processes`.
    pub process: usize,
    /// `host:port` of every process, by index; empty where there is but one.
    pub hosts: Vec<String>,
    pub kafka: KafkaOptions,
    pub files: FileOptions,
    /// How often an epoch closes; more than 0.
    pub epoch: Duration,
    /// End when all that was there at start is delivered.
    pub until_caught_up: bool,
    /// How long to wait for what is open to be delivered, after a signal.
    pub drain_timeout: Duration,
    pub http: Listen,
    /// Where the JSON report goes.
    pub report: Option<PathBuf>,
    /// Where the epoch latency's histogram goes.
    pub hgrm: Option<PathBuf>,
    pub log: LogOptions,
    /// Workers of this process exchange bytes, as processes do: finds data that does not survive the encoding.
    pub bytes_only: bool,
}

/// What was said about Kafka, not yet read: settings are checked where clients are configured.
#[derive(Clone, Default)]
pub struct KafkaOptions {
    /// `host:port,…`; empty where none was given.
    pub brokers: String,
    /// `KEY=VALUE` or `KEY=@FILE`, in the order given. May hold secrets.
    pub settings: Vec<String>,
    /// Variables `TIDEMILL_KAFKA_…` of the environment, sorted by name. May hold secrets.
    pub environment: Vec<(String, String)>,
    /// How long a running job waits for brokers that went away.
    pub broker_timeout: Duration,
    /// `None`: `tidemill-` and the name of the file's job.
    pub group: Option<String>,
    pub create_topics: bool,
}

/// What is read from and written to files instead of topics. Names are checked against the plan later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// Source or table, and a path (`-`: standard input); several of one name are its partitions, in this order.
    pub inputs: Vec<(String, String)>,
    /// Output and path (`-`: standard output); a name only once.
    pub outputs: Vec<(String, String)>,
    /// `None`: standard error.
    pub dead_letters: Option<String>,
    pub lines: LineFormat,
    /// Records of each source in an epoch; `None`: not given.
    pub epoch_records: Option<usize>,
}

/// What a line of a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineFormat {
    /// A record's value.
    #[default]
    Value,
    /// A JSON object of key, value, timestamp, headers and place.
    Record,
}

/// Without what may be secret: only names of settings are shown.
impl std::fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = self.settings.iter().map(|setting| setting.split('=').next().unwrap_or_default());
        f.debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("settings", &settings.collect::<Vec<_>>())
            .field("environment", &self.environment.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("broker_timeout", &self.broker_timeout)
            .field("group", &self.group)
            .field("create_topics", &self.create_topics)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_shows_in_debug_output() {
        let kafka = KafkaOptions {
            settings: vec!["sasl.password=hunter2".into()],
            environment: vec![("TIDEMILL_KAFKA_SSL_KEY_PASSWORD".into(), "hunter3".into())],
            ..KafkaOptions::default()
        };
        let shown = format!("{kafka:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter"), "{shown}");
    }
}
