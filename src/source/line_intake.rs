//! Lines of files → records → what sources and tables make of them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::files::Lines;
use super::intake::{Arriving, Batch, Intake};
use crate::epoch::{Epoch, Origin, Report};
use crate::error::{Reason, Rejection};
use crate::event::Record;
use crate::lines;
use crate::plan::Plan;

/// One input file, by its number: whose it is, which partition of it.
#[derive(Clone, Debug)]
pub struct FilePlace {
    pub origin: Origin,
    pub partition: i32,
    /// The topic's name that its records have unless they say another.
    pub topic: Arc<str>,
}

/// A line that is a record's value.
struct Line<'a> {
    file: &'a FilePlace,
    number: i64,
    /// All lines of its chunk.
    bytes: &'a Bytes,
    range: Range<usize>,
}

impl Line<'_> {
    fn text(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl Arriving for Line<'_> {
    fn place(&self) -> (&Arc<str>, i32, i64, Option<i64>) {
        (&self.file.topic, self.file.partition, self.number, None)
    }

    fn value(&self) -> Option<&[u8]> {
        Some(self.text())
    }

    #[inline]
    fn keep(&mut self) -> Record {
        Record { value: Some(self.bytes.slice(self.range.clone())), ..Record::at(self.place()) }
    }
}

/// Decodes lines on one worker.
pub struct LineIntake {
    pub files: Vec<FilePlace>,
    pub intakes: Vec<Intake>,
    /// Do lines hold whole records, or values?
    pub records: bool,
}

impl LineIntake {
    pub fn take(&mut self, plan: &Plan, epoch: Epoch, lines: Lines, batch: &mut Batch) {
        let file = &self.files[lines.input as usize];
        let Some(intake) = self.intakes.iter_mut().find(|intake| intake.origin == file.origin) else { return };
        // The watermark goes by file and partition; the records of a table are one list whatever file they are of.
        let of_file = match file.origin {
            Origin::Source(_) => file.partition as u32,
            Origin::Table(_) => 0,
        };
        for (number, range) in lines.ranges() {
            let mut line = Line { file, number, bytes: &lines.bytes, range };
            if !self.records {
                intake.take(plan, (epoch, 0), of_file, line, batch);
                continue;
            }
            match lines::parse(&lines.bytes.slice(line.range.clone()), &Record::at(line.place())) {
                Ok(record) => intake.take(plan, (epoch, 0), of_file, record, batch),
                Err(message) => {
                    let rejection = Rejection::new(Reason::DecodeError, message);
                    intake.refuse(rejection, line.keep(), batch);
                }
            }
        }
    }

    pub fn report(&mut self, reports: &mut Vec<Report>) {
        self.intakes.iter_mut().for_each(|intake| intake.report(reports));
    }
}
