//! The command line: what was typed, what it means, and how it ended.
//!
//! `args` is what may be typed, `checked` makes of it the options of a job or says what does not fit together, the
//! other files are the commands. Whatever ends badly is told here, once.

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches};
use serde_json::json;

use crate::error::{Exit, RunError};
use crate::telemetry::log::{LogFormat, color_wanted};
use args::Arguments;
pub use args::Command;

mod args;
mod checked;
mod dataflow;
mod help;
mod inspect;
mod run;
mod run_args;
mod values;

/// Why the program ends with another code than 0.
#[derive(Debug)]
pub enum Failure {
    /// To be told.
    Stopped(RunError),
    /// All has been told already, as the mistakes of a dataflow file.
    Told(Exit),
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Failure::Stopped(error)
    }
}

/// How a failure is told: as the logs are.
#[derive(Clone, Copy, Debug)]
pub struct FailureStyle(LogFormat);

impl FailureStyle {
    pub fn of(command: &Command) -> Self {
        match command {
            Command::Run(arguments) => Self(arguments.log_format()),
            _ => Self(LogFormat::Text),
        }
    }
}

/// Reads the arguments and the environment. An error, and a help text, has been printed; the code is how to end.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ExitCode> {
    let parsed = command().try_get_matches_from(arguments).and_then(|found| Arguments::from_arg_matches(&found));
    parsed.map(|arguments| arguments.command).map_err(|mut error| {
        // A client setting that is mistyped may be a secret all the same.
        let of_setting = |argument: &ContextValue| argument.to_string().starts_with("-X");
        if error.get(ContextKind::InvalidArg).is_some_and(of_setting) {
            error.insert(ContextKind::InvalidValue, ContextValue::String("(not shown)".to_owned()));
        }
        // Where help cannot be printed, as into a closed pipe, there is no one to tell.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS }
    })
}

/// The arguments as clap knows them. A variable that is set to nothing counts as not set, and help never shows what
/// the environment holds: it may be a secret.
fn command() -> clap::Command {
    let tidy = |command: clap::Command| {
        command.mut_args(|arg| {
            let empty = arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
            let arg = arg.hide_env_values(true);
            if empty { arg.env(Resettable::Reset) } else { arg }
        })
    };
    tidy(Arguments::command()).mut_subcommands(tidy)
}

/// Does what the command says. A panic has been told by its hook; what is left of it is the exit code of a bug.
pub fn execute(command: Command) -> Result<(), Failure> {
    // Nothing is used after a panic but the process's own standard error.
    catch_unwind(AssertUnwindSafe(|| perform(command))).unwrap_or(Err(Failure::Told(Exit::Software)))
}

fn perform(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Check(arguments) => inspect::check(&arguments.files),
        Command::Explain(arguments) => inspect::explain(&arguments.file, arguments.format),
        Command::Schema => inspect::schema(),
        Command::Completions(arguments) => inspect::completions(arguments.shell),
    }
}

/// Tells a failure and gives the program's exit code.
pub fn conclude(result: Result<(), Failure>, style: FailureStyle) -> ExitCode {
    let exit = match result {
        Ok(()) => Exit::Clean,
        Err(Failure::Told(exit)) => exit,
        Err(Failure::Stopped(error)) => {
            tell(&error, style);
            error.exit
        }
    };
    ExitCode::from(exit as u8)
}

fn tell(error: &RunError, FailureStyle(format): FailureStyle) {
    let text = match format {
        LogFormat::Text => {
            let (red, plain) =
                if color_wanted(&variable, &io::stderr()) { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
            let hint = hint(error.exit).map(|hint| format!("\n  {hint}")).unwrap_or_default();
            format!("{red}error:{plain} {}{hint}\n", error.message)
        }
        LogFormat::Json => {
            let timestamp = format!("{:.6}", jiff::Timestamp::now());
            let code = error.exit as u8;
            format!("{}\n", json!({ "timestamp": timestamp, "level": "ERROR", "message": error.message, "exit": code }))
        }
    };
    // Where standard error is closed the exit code has to do.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// What to do, where the kind of failure alone tells it.
fn hint(exit: Exit) -> Option<&'static str> {
    (exit == Exit::Software).then_some("this should not happen: please report it with what was logged before")
}

/// A variable of the environment; one that is not UTF-8 is none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Writes what was asked for to standard output. A reader that has seen enough is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(RunError::new(Exit::InputOutput, format!("cannot write to standard output: {error}")).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_variable_and_says_what_it_does() {
        let command = command();
        for command in command.get_subcommands() {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let id = arg.get_id().as_str();
                assert!(arg.get_help().is_some(), "{id}");
                let by_prefix = id == "settings";
                let name = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                assert!(by_prefix || name == format!("TIDEMILL_{}", id.to_uppercase()), "{id} has `{name}`");
                assert!(arg.is_hide_env_values_set(), "{id} shows the environment");
            }
        }
    }
}
