//! Reading a dataflow file for a command.

use std::io::{self, Read, Write};

use super::{Failure, variable};
use crate::error::{Exit, RunError, Severity, SpecError};
use crate::plan::{self, Plan};

/// A file's text, and how messages call it.
pub struct File {
    pub name: String,
    pub text: String,
}

/// `-` is standard input. A file that is not there is a mistake of the command line, one that is no text its own.
pub fn read(path: &str) -> Result<File, RunError> {
    let (name, bytes) = if path == "-" {
        let mut bytes = Vec::new();
        ("<stdin>".to_string(), io::stdin().read_to_end(&mut bytes).map(|_| bytes))
    } else {
        (path.to_string(), std::fs::read(path))
    };
    let bytes = bytes.map_err(|error| RunError::new(Exit::Usage, format!("cannot read {name}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        RunError::new(Exit::Config, format!("{name} is not UTF-8 text: byte {place} belongs to no character"))
    })?;
    Ok(File { name, text })
}

/// The plan and its warnings, or all mistakes.
pub fn load(file: &File) -> Result<(Plan, Vec<SpecError>), Vec<SpecError>> {
    plan::load(&file.name, &file.text, &variable, plan::Options::default())
}

/// How mistakes and warnings are told on standard error.
#[derive(Clone, Copy, Debug)]
pub enum Telling {
    /// With the lines of the file that they are about.
    Text { color: bool },
    /// As log records, one each, for who reads logs by machine.
    Log,
}

/// The plan; warnings and mistakes go to standard error.
pub fn load_or_tell(path: &str, telling: Telling) -> Result<Plan, Failure> {
    let file = read(path)?;
    let tell = |errors: &[SpecError]| match telling {
        _ if errors.is_empty() => {}
        // Where standard error is closed the exit code has to do.
        Telling::Text { color } => {
            let report = plan::report(&file.name, &file.text, errors, color);
            let _ = io::stderr().write_all(report.as_bytes());
        }
        Telling::Log => errors.iter().for_each(|error| log(&file, error)),
    };
    match load(&file) {
        Ok((plan, warnings)) => {
            tell(&warnings);
            Ok(plan)
        }
        Err(errors) => {
            tell(&errors);
            Err(Failure::Told(Exit::Config))
        }
    }
}

fn log(file: &File, error: &SpecError) {
    let before = file.text.get(..error.span.start).unwrap_or(&file.text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let SpecError { message, label, help, .. } = error;
    let (file, help) = (file.name.as_str(), help.join("; "));
    match error.severity {
        Severity::Error => tracing::error!(file, line, column, label, help, "{message}"),
        Severity::Warning => tracing::warn!(file, line, column, label, help, "{message}"),
    }
}
