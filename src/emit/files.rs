//! Outputs that are files or standard output: one line a record, whole epochs at a time.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::deliver::Outgoing;
use crate::error::{Exit, RunError};
use crate::event::OutRecord;

/// How a record is written as a line, without its line break.
pub type WriteLine = fn(&OutRecord, &mut Vec<u8>);

/// One file being written.
pub struct FileOut {
    path: String,
    writer: BufWriter<Box<dyn Write>>,
    write_line: WriteLine,
    line: Vec<u8>,
}

/// Where dead letters go unless a file is named.
pub const STANDARD_ERROR: &str = "standard error";

impl FileOut {
    /// Opens `path` anew; `-` is standard output.
    pub fn create(path: &str, write_line: WriteLine) -> Result<Self, RunError> {
        let open = || -> io::Result<Box<dyn Write>> {
            Ok(match path {
                "-" => Box::new(io::stdout()),
                STANDARD_ERROR => Box::new(io::stderr()),
                path => Box::new(File::create(path)?),
            })
        };
        let shown = if path == "-" { "standard output" } else { path };
        let writer = open().map_err(|error| cannot(shown, &error))?;
        Ok(Self {
            path: shown.to_owned(),
            writer: BufWriter::with_capacity(64 << 10, writer),
            write_line,
            line: Vec::new(),
        })
    }

    pub fn write(&mut self, item: &Outgoing) -> Result<(), RunError> {
        self.line.clear();
        (self.write_line)(&item.record, &mut self.line);
        self.line.push(b'\n');
        self.writer.write_all(&self.line).map_err(|error| cannot(&self.path, &error))
    }

    pub fn flush(&mut self) -> Result<(), RunError> {
        self.writer.flush().map_err(|error| cannot(&self.path, &error))
    }
}

fn cannot(path: &str, error: &io::Error) -> RunError {
    RunError::new(Exit::InputOutput, format!("cannot write the output {path}: {error}; the run is not complete"))
}
