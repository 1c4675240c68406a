//! Records that left on the dead letters, by stage and reason.

use std::sync::atomic::{AtomicU64, Ordering};

use super::metrics::REASONS;
use crate::error::{Reason, Stage};

pub(super) const STAGES: [Stage; 6] =
    [Stage::Source, Stage::Table, Stage::Shape, Stage::Match, Stage::Aggregate, Stage::Emit];

#[derive(Debug, Default)]
pub struct DeadLetterCounts([[AtomicU64; REASONS.len()]; STAGES.len()]);

impl DeadLetterCounts {
    pub fn add(&self, stage: Stage, reason: Reason, records: u64) {
        if let Some(counter) = self.0.get(stage as usize).and_then(|row| row.get(reason as usize)) {
            counter.fetch_add(records, Ordering::Relaxed);
        }
    }

    pub fn total(&self) -> u64 {
        self.each().iter().map(|(_, _, count)| count).sum()
    }

    /// Those that have occurred.
    pub fn each(&self) -> Vec<(Stage, Reason, u64)> {
        let cells = STAGES.into_iter().zip(&self.0).flat_map(|(stage, row)| {
            REASONS.into_iter().zip(row).map(move |(reason, count)| (stage, reason, count.load(Ordering::Relaxed)))
        });
        cells.filter(|(_, _, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_the_row_of_its_own_index() {
        for (index, stage) in STAGES.into_iter().enumerate() {
            assert_eq!(stage as usize, index, "{}", stage.name());
        }
    }

    #[test]
    fn counts_are_kept_apart_by_stage_and_reason() {
        let counts = DeadLetterCounts::default();
        counts.add(Stage::Emit, Reason::RateLimited, 2);
        counts.add(Stage::Source, Reason::DecodeError, 1);
        counts.add(Stage::Source, Reason::DecodeError, 4);
        let expected = [(Stage::Source, Reason::DecodeError, 5), (Stage::Emit, Reason::RateLimited, 2)];
        assert_eq!(counts.each(), expected);
        assert_eq!(counts.total(), 7);
    }
}
