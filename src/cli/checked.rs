//! From what was typed to the options of a job, or to what does not fit together.

use std::io::{self, IsTerminal};
use std::path::Path;

use super::run_args::{FileArgs, KafkaArgs, RunArgs, WorkerArgs};
use super::values::NamedPaths;
use super::variable;
use crate::error::{Exit, RunError};
use crate::launch::{FileOptions, KafkaOptions, Options};
use crate::telemetry::http::Listen;
use crate::telemetry::log::{LogFormat, LogOptions, color_wanted};

/// Client settings come from variables that begin so.
const KAFKA_VARIABLES: &str = "TIDEMILL_KAFKA_";

/// What the arguments depend on beside themselves.
pub struct Surroundings {
    pub host_name: Option<String>,
    pub cores: usize,
    /// Variables `TIDEMILL_KAFKA_…`, sorted.
    pub kafka: Vec<(String, String)>,
    pub rust_log: Option<String>,
    pub color: bool,
    pub stderr_is_terminal: bool,
    pub stdout_is_terminal: bool,
}

impl Surroundings {
    pub fn here() -> Self {
        let kafka = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(KAFKA_VARIABLES))?;
            Some((name, value.into_string().ok().filter(|value| !value.is_empty())?))
        });
        let mut kafka: Vec<_> = kafka.collect();
        kafka.sort();
        Self {
            host_name: host_name(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kafka,
            rust_log: variable("RUST_LOG").filter(|value| !value.trim().is_empty()),
            color: color_wanted(&variable, &io::stderr()),
            stderr_is_terminal: io::stderr().is_terminal(),
            stdout_is_terminal: io::stdout().is_terminal(),
        }
    }
}

/// The options, and what is allowed but hardly meant.
pub fn check(arguments: RunArgs, here: Surroundings) -> Result<(Options, Vec<String>), RunError> {
    let (workers, cores) = (arguments.workers.workers, here.cores);
    let options = options(arguments, here)?;
    let mut warnings = Vec::new();
    if workers > cores {
        let cost = "a job with more workers than cores is many times slower";
        warnings.push(format!("{workers} workers on {cores} core{}: {cost}", if cores == 1 { "" } else { "s" }));
    }
    Ok((options, warnings))
}

fn options(arguments: RunArgs, here: Surroundings) -> Result<Options, RunError> {
    let (processes, process) = processes(&arguments.workers, here.host_name.as_deref())?;
    let files = files(&arguments)?;
    same_file::check(&arguments, &files)?;
    let log = log(&arguments, &files, &here);
    let RunArgs { workers, kafka, epochs, seeing, .. } = arguments;
    if epochs.epoch.is_zero() {
        return Err(usage("--epoch must be more than 0: the shortest is `1ms`"));
    }
    for path in [&seeing.report, &seeing.hgrm].into_iter().flatten() {
        folder_exists(path)?;
    }
    Ok(Options {
        workers: workers.workers,
        processes,
        process,
        hosts: if processes > 1 { workers.hosts } else { Vec::new() },
        kafka: kafka_options(kafka, here.kafka),
        files,
        epoch: epochs.epoch,
        until_caught_up: epochs.until_caught_up,
        drain_timeout: epochs.drain_timeout,
        http: seeing.http.unwrap_or(Listen::Default),
        report: seeing.report,
        hgrm: seeing.hgrm,
        log,
        bytes_only: workers.bytes_only,
    })
}

fn kafka_options(arguments: KafkaArgs, environment: Vec<(String, String)>) -> KafkaOptions {
    KafkaOptions {
        brokers: arguments.brokers.unwrap_or_default(),
        settings: arguments.settings,
        environment,
        broker_timeout: arguments.broker_timeout,
        group: arguments.group,
        create_topics: arguments.create_topics,
    }
}

/// How many processes there are and which one this is.
fn processes(arguments: &WorkerArgs, host_name: Option<&str>) -> Result<(usize, usize), RunError> {
    let hosts = arguments.hosts.len();
    let processes = arguments.processes.unwrap_or(hosts.max(1));
    if hosts != processes && (processes > 1 || hosts > 0) {
        return Err(usage(format!(
            "--hosts names {hosts} {} for {processes} {}: it wants one for each, in the order of their indexes",
            if hosts == 1 { "address" } else { "addresses" },
            if processes == 1 { "process" } else { "processes" },
        )));
    }
    let mut sorted: Vec<&String> = arguments.hosts.iter().collect();
    sorted.sort();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(usage(format!("--hosts names {} twice: every process needs an address of its own", twice[0])));
    }
    let process = match (arguments.process, processes) {
        (Some(process), _) => process,
        (None, 1) => 0,
        (None, _) => host_name.and_then(number_at_end).ok_or_else(|| {
            let name = host_name.unwrap_or("");
            usage(format!("which of {processes} processes this is, the host name `{name}` does not tell: give -p"))
        })?,
    };
    if process >= processes {
        let last = processes - 1;
        return Err(usage(format!("there is no process {process} of {processes}: they count from 0 to {last}")));
    }
    Ok((processes, process))
}

/// The number that ends the first label of a host name: `triggers-12.triggers.default.svc` is 12.
fn number_at_end(host_name: &str) -> Option<usize> {
    let label = host_name.split('.').next()?;
    let digits = label.len() - label.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    label[label.len() - digits..].parse().ok()
}

fn files(arguments: &RunArgs) -> Result<FileOptions, RunError> {
    let FileArgs { input, output, dead_letters, epoch_records, .. } = &arguments.files;
    let all = |paths: &[NamedPaths]| paths.iter().flat_map(|NamedPaths(pairs)| pairs.clone()).collect::<Vec<_>>();
    let (inputs, outputs) = (all(input), all(output));
    let from_standard_input = inputs.iter().filter(|(_, path)| path == "-").count();
    if from_standard_input > 1 || (from_standard_input == 1 && arguments.file == "-") {
        return Err(usage("standard input (`-`) can be read only once"));
    }
    for (index, (name, _)) in outputs.iter().enumerate() {
        if outputs[..index].iter().any(|(other, _)| name == other) {
            return Err(usage(format!("--output {name} is given twice: an output has one file")));
        }
    }
    Ok(FileOptions {
        inputs,
        outputs,
        dead_letters: dead_letters.clone(),
        lines: arguments.line_format(),
        epoch_records: *epoch_records,
    })
}

fn log(arguments: &RunArgs, files: &FileOptions, here: &Surroundings) -> LogOptions {
    let format = arguments.log_format();
    let level = i16::from(arguments.seeing.verbose) - i16::from(arguments.seeing.quiet);
    let verbosity = level.clamp(-10, 10) as i8;
    let data_on_terminal = here.stdout_is_terminal && files.outputs.iter().any(|(_, path)| path == "-");
    let live = here.stderr_is_terminal && format == LogFormat::Text && verbosity >= 0 && !data_on_terminal;
    LogOptions { format, verbosity, rust_log: here.rust_log.clone(), color: here.color, live }
}

/// A report that cannot be written is better found before the run than after it.
fn folder_exists(path: &Path) -> Result<(), RunError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() || path.is_dir() || path.file_name().is_none() {
        let message = format!("{} cannot be written: its folder must exist, and it must be a file", path.display());
        return Err(RunError::new(Exit::InputOutput, message));
    }
    Ok(())
}

fn host_name() -> Option<String> {
    let mut name = [0_u8; 256];
    // SAFETY: the pointer and the length are those of the array, whose last byte stays 0.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let end = name.iter().position(|byte| *byte == 0)?;
    (result == 0).then(|| String::from_utf8_lossy(&name[..end]).into_owned())
}

fn usage(message: impl Into<String>) -> RunError {
    RunError::new(Exit::Usage, message)
}

mod same_file;
#[cfg(test)]
mod tests;
