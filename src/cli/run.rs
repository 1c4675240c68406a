//! `run`: everything around the engine, up in order and down in reverse.

use std::path::PathBuf;
use std::sync::Arc;

use super::checked::{self, Surroundings};
use super::dataflow::Telling;
use super::run_args::RunArgs;
use super::{Failure, dataflow};
use crate::error::{Exit, RunError};
use crate::launch::{self, Options, Stop, signals};
use crate::plan::Plan;
use crate::telemetry::http::Server;
use crate::telemetry::log::LogFormat;
use crate::telemetry::status::Status;
use crate::telemetry::{Job, REVISION, Telemetry, VERSION, log, report};

pub fn run(arguments: RunArgs) -> Result<(), Failure> {
    let file = arguments.file.clone();
    let (options, warnings) = checked::check(arguments, Surroundings::here())?;
    let screen = log::init(&options.log).map_err(|error| RunError::new(Exit::Usage, error))?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let telling = match options.log.format {
        LogFormat::Text => Telling::Text { color: options.log.color },
        LogFormat::Json => Telling::Log,
    };
    let plan = dataflow::load_or_tell(&file, telling)?;

    let telemetry = Telemetry::new(options.workers);
    telemetry.set_job(job(&plan, &options));
    tracing::info!(job = &*plan.name, workers = options.workers, version = VERSION, revision = REVISION, "starting");
    let files = ReportFiles { report: options.report.clone(), hgrm: options.hgrm.clone() };
    // Before anyone can see that it runs: a signal that comes then is heard.
    let stop = watch_signals(&telemetry, &files)?;
    let _server = serve(&options, &telemetry)?;
    let status = Status::start(telemetry.clone(), screen).map_err(|error| no_thread(&error))?;

    let result = launch::run(plan, options, telemetry.clone(), stop);

    drop(status);
    let exit = result.as_ref().map_or_else(|error| error.exit, |()| Exit::Clean);
    let written = files.write(&telemetry, Some(exit));
    // What stopped the job is the one thing to tell; a report that failed as well is only logged.
    match (result, written) {
        (Err(error), Err(report)) => {
            tracing::error!("{report}");
            Err(error.into())
        }
        (result, written) => Ok(result.and(written)?),
    }
}

fn job(plan: &Plan, options: &Options) -> Job {
    let Options { workers, processes, process, .. } = *options;
    Job { name: plan.name.clone(), plan_hash: plan.hash, workers, processes, process }
}

fn serve(options: &Options, telemetry: &Arc<Telemetry>) -> Result<Option<Server>, RunError> {
    let server = Server::start(&options.http, telemetry.clone()).map_err(|error| {
        let message = format!("cannot serve /livez, /readyz and /metrics on {error}; choose another --http, or `off`");
        RunError::new(Exit::Unavailable, message)
    })?;
    if let Some(server) = &server {
        tracing::info!(address = %server.address(), "serving /livez, /readyz and /metrics");
    }
    Ok(server)
}

fn watch_signals(telemetry: &Arc<Telemetry>, files: &ReportFiles) -> Result<Stop, RunError> {
    let stop = Stop::default();
    let (telemetry, files) = (telemetry.clone(), files.clone());
    let report = move || match files.write(&telemetry, None) {
        Ok(()) if files.is_empty() => tracing::warn!("SIGUSR1: neither --report nor --hgrm says where to write"),
        Ok(()) => tracing::info!("SIGUSR1: report written"),
        Err(error) => tracing::error!("SIGUSR1: {error}"),
    };
    signals::watch(stop.clone(), report).map_err(|error| no_thread(&error))?;
    Ok(stop)
}

fn no_thread(error: &std::io::Error) -> RunError {
    RunError::new(Exit::TryAgain, format!("the system gives no thread for signals or status: {error}"))
}

/// Where reports go.
#[derive(Clone)]
struct ReportFiles {
    report: Option<PathBuf>,
    hgrm: Option<PathBuf>,
}

impl ReportFiles {
    fn is_empty(&self) -> bool {
        self.report.is_none() && self.hgrm.is_none()
    }

    /// `exit` is there when the run has ended.
    fn write(&self, telemetry: &Telemetry, exit: Option<Exit>) -> Result<(), RunError> {
        let written = [
            self.report.as_ref().map(|path| report::write_report(path, telemetry, exit.map(|exit| exit as u8))),
            self.hgrm.as_ref().map(|path| report::write_hgrm(path, telemetry)),
        ];
        let failed = |error| RunError::new(Exit::InputOutput, format!("cannot write the report: {error}"));
        written.into_iter().flatten().collect::<Result<(), _>>().map_err(failed)
    }
}
