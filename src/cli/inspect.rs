//! The commands that run nothing: `check`, `explain`, `schema`, `completions`.

use std::io;

use clap_complete::Shell;

use super::args::GraphFormat;
use super::dataflow::Telling;
use super::{Failure, dataflow, print, variable};
use crate::error::{Exit, RunError};
use crate::plan::{self, Style};
use crate::telemetry::log::color_wanted;

/// Shows every mistake of every file, and a line for each that has none.
pub fn check(paths: &[String]) -> Result<(), Failure> {
    let color = color_wanted(&variable, &io::stdout());
    let mut worst: Option<Exit> = None;
    for path in paths {
        let exit = match dataflow::read(path) {
            Ok(file) => check_file(&file, color)?,
            Err(RunError { exit, message }) => {
                print(&format!("error: {message}\n"))?;
                exit
            }
        };
        // A wrong file weighs more than one that is not there.
        worst = if exit == Exit::Clean || worst == Some(Exit::Config) { worst } else { Some(exit) };
    }
    worst.map_or(Ok(()), |exit| Err(Failure::Told(exit)))
}

fn check_file(file: &dataflow::File, color: bool) -> Result<Exit, Failure> {
    let told = |errors: &[_]| match errors {
        [] => Ok(()),
        errors => print(&plan::report(&file.name, &file.text, errors, color)),
    };
    match dataflow::load(file) {
        Ok((plan, warnings)) => {
            told(&warnings)?;
            let (sources, tables, steps) = (plan.sources.len(), plan.tables.len(), plan.steps.len());
            let counts = [(sources, "source"), (tables, "table"), (steps, "step"), (plan.outputs.len(), "output")]
                .map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" }));
            print(&format!("{}: ok ({}: {})\n", file.name, plan.name, counts.join(", ")))?;
            Ok(Exit::Clean)
        }
        Err(errors) => {
            told(&errors)?;
            Ok(Exit::Config)
        }
    }
}

pub fn explain(path: &str, format: GraphFormat) -> Result<(), Failure> {
    let plan = dataflow::load_or_tell(path, Telling::Text { color: color_wanted(&variable, &io::stderr()) })?;
    let style = match format {
        GraphFormat::Text => Style::Text,
        GraphFormat::Mermaid => Style::Mermaid,
        GraphFormat::Dot => Style::Dot,
        GraphFormat::Json => Style::Json,
    };
    let text = plan::explain(&plan, style);
    print(&format!("{}\n", text.trim_end_matches('\n')))
}

pub fn schema() -> Result<(), Failure> {
    print(&format!("{:#}\n", plan::schema()))
}

pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "tidemill", &mut script);
    print(&String::from_utf8_lossy(&script))
}
