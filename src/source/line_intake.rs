//! Lines of files → records → what sources and tables make of them.

use std::sync::Arc;

use super::files::Lines;
use super::intake::{Batch, Intake};
use crate::epoch::{Epoch, Origin, Report};
use crate::error::{Reason, Rejection, Stage};
use crate::event::Record;
use crate::lines;
use crate::plan::Plan;

/// One input file, by its number: whose it is, which partition of it.
#[derive(Clone, Debug)]
pub struct FilePlace {
    pub origin: Origin,
    pub name: Arc<str>,
    pub partition: i32,
    /// The topic's name that its records have unless they say another.
    pub topic: Arc<str>,
}

/// Decodes lines on one worker.
pub struct LineIntake {
    pub files: Vec<FilePlace>,
    pub intakes: Vec<Intake>,
    /// Do lines hold whole records, or values?
    pub records: bool,
    /// Records looked at, for the share of rejected ones.
    pub read: Box<dyn Fn(Epoch, u64)>,
}

impl LineIntake {
    pub fn take(&mut self, plan: &Plan, epoch: Epoch, lines: Lines, batch: &mut Batch) {
        let file = self.files[lines.input as usize].clone();
        let Some(intake) = self.intakes.iter_mut().find(|intake| intake.origin == file.origin) else { return };
        for (number, line) in lines.iter() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let place =
                Record { topic: file.topic.clone(), partition: file.partition, offset: number, ..Record::default() };
            if !self.records {
                let record = Record { value: Some(line), ..place };
                intake.take(plan, 0, record, 0, batch);
                continue;
            }
            match lines::parse(&line, &place) {
                Ok(record) => intake.take(plan, 0, record, 0, batch),
                Err(message) => {
                    let record = Arc::new(Record { value: Some(line), ..place });
                    let stage = match file.origin {
                        Origin::Source(_) => Stage::Source,
                        Origin::Table(_) => Stage::Table,
                    };
                    batch.read += 1;
                    let rejection = Rejection::new(Reason::DecodeError, message);
                    batch.rejected.push(rejection.at(stage, &file.name, &record));
                }
            }
        }
        (self.read)(epoch, std::mem::take(&mut batch.read));
    }

    pub fn report(&mut self, reports: &mut Vec<Report>) {
        self.intakes.iter_mut().for_each(|intake| intake.report(reports));
    }
}
