//! `limits.rejected`: when too many records are rejected to go on.
//!
//! Records are counted by epoch, where they are read and where they are rejected, and judged when an epoch is
//! complete: so the same epoch is the last one at any number of workers. It is delivered, none after it.

use std::collections::{BTreeMap, VecDeque};

use crate::epoch::Epoch;
use crate::plan::RejectedLimit;

/// What the job has read and rejected: every worker is told of all of it.
pub struct Rejections {
    limit: RejectedLimit,
    /// Of epochs that are not complete: (read, rejected).
    open: BTreeMap<Epoch, (u64, u64)>,
    read: u64,
    rejected: u64,
    /// Of the epochs that hold the last records; and their sums.
    recent: VecDeque<(u64, u64)>,
    held: (u64, u64),
    last: Option<(Epoch, String)>,
}

/// A share is taken of so many records, in whole epochs, once `AT_LEAST` have been read.
const WINDOW: u64 = 10_000;
const AT_LEAST: u64 = 1_000;

impl Rejections {
    pub fn new(limit: RejectedLimit) -> Self {
        let (open, recent) = (BTreeMap::new(), VecDeque::new());
        Self { limit, open, read: 0, rejected: 0, recent, held: (0, 0), last: None }
    }

    /// So many records of an epoch were read, and so many rejected.
    pub fn add(&mut self, epoch: Epoch, read: u64, rejected: u64) {
        let counts = self.open.entry(epoch).or_default();
        counts.0 += read;
        counts.1 += rejected;
    }

    /// This epoch is complete: may it be delivered?
    pub fn judge(&mut self, epoch: Epoch) -> bool {
        while let Some(first) = self.open.first_entry().filter(|first| *first.key() <= epoch) {
            let (epoch, (read, rejected)) = first.remove_entry();
            self.close(epoch, read, rejected);
        }
        self.last.as_ref().is_none_or(|(last, _)| epoch <= *last)
    }

    /// The last epoch that is delivered, and why.
    pub fn last(&self) -> Option<&(Epoch, String)> {
        self.last.as_ref()
    }

    fn close(&mut self, epoch: Epoch, read: u64, rejected: u64) {
        // An idle job has epochs without end.
        if (read, rejected) == (0, 0) {
            return;
        }
        self.read += read;
        self.rejected += rejected;
        self.recent.push_back((read, rejected));
        self.held = (self.held.0 + read, self.held.1 + rejected);
        while let Some(oldest) = self.recent.front().filter(|oldest| self.held.0 - oldest.0 >= WINDOW) {
            self.held = (self.held.0 - oldest.0, self.held.1 - oldest.1);
            self.recent.pop_front();
        }
        if let (None, Some(message)) = (&self.last, self.exceeds()) {
            self.last = Some((epoch, message));
        }
    }

    fn exceeds(&self) -> Option<String> {
        let (read, rejected) = self.held;
        match self.limit {
            RejectedLimit::Count(most) => (self.rejected > most)
                .then(|| format!("{} records were rejected; limits.rejected is {most}", self.rejected)),
            RejectedLimit::Share(share) => {
                (self.read >= AT_LEAST && rejected as f64 > share * read as f64).then(|| {
                    let percent = share * 100.0;
                    format!("{rejected} of the last {read} records were rejected; limits.rejected is {percent} %")
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(rejections: &mut Rejections, epoch: Epoch, read: u64, rejected: u64) -> bool {
        rejections.add(epoch, read, rejected);
        rejections.judge(epoch)
    }

    #[test]
    fn a_share_counts_once_a_thousand_have_been_read_and_only_of_the_last_ones() {
        let mut rejections = Rejections::new(RejectedLimit::Share(0.5));
        assert!(epoch(&mut rejections, 1, 900, 900));
        assert!(rejections.last().is_none(), "too few to tell");
        let mut rejections = Rejections::new(RejectedLimit::Share(0.5));
        assert!((1..100).all(|e| epoch(&mut rejections, e, 500, 0)));
        let bad = (100..120).find(|e| epoch(&mut rejections, *e, 500, 500) && rejections.last().is_some());
        assert_eq!(bad, Some(110), "eleven of the last twenty or twenty-one epochs");
        assert!(!epoch(&mut rejections, 121, 500, 0), "nothing after the last one");
    }

    #[test]
    fn epochs_without_records_leave_nothing() {
        let mut rejections = Rejections::new(RejectedLimit::Share(1.0));
        assert!(
            (0..100).all(|e| epoch(&mut rejections, e, 7, 1)) && (100..1_000).all(|e| epoch(&mut rejections, e, 0, 0))
        );
        assert_eq!((rejections.recent.len(), rejections.held), (100, (700, 100)));
        assert!((1_000..9_000).all(|e| epoch(&mut rejections, e, 50, 0)));
        assert_eq!((rejections.recent.len(), rejections.held), (200, (WINDOW, 0)));
    }

    #[test]
    fn a_count_is_over_the_run_and_a_hundred_percent_is_never_too_much() {
        let mut rejections = Rejections::new(RejectedLimit::Count(2));
        assert!(epoch(&mut rejections, 1, 2, 2) && rejections.last().is_none());
        rejections.add(3, 0, 9);
        assert!(epoch(&mut rejections, 2, 1, 1));
        assert_eq!(rejections.last().map(|(epoch, _)| *epoch), Some(2), "a later epoch is not counted yet");
        let mut rejections = Rejections::new(RejectedLimit::Share(1.0));
        assert!(epoch(&mut rejections, 1, 5_000, 5_000) && rejections.last().is_none());
    }
}
