//! How old the records are that were read and are not delivered.

use smallvec::SmallVec;

use crate::event::Micros;

/// The least timestamp among some records (ms since the Unix epoch), by source.
#[derive(Clone, Debug, Default)]
pub struct Oldest(SmallVec<[Option<i64>; 2]>);

impl Oldest {
    /// A record that may have no timestamp.
    #[inline]
    pub fn note(&mut self, source: usize, timestamp: Option<i64>) {
        if source >= self.0.len() {
            self.0.resize(source + 1, None);
        }
        let own = &mut self.0[source];
        *own = [*own, timestamp].into_iter().flatten().min();
    }

    fn of(&self, source: usize) -> Option<i64> {
        self.0.get(source).copied().flatten()
    }
}

/// The age of the oldest record of a source, in seconds; 0 if there is none.
pub fn age<'a>(all: impl Iterator<Item = &'a Oldest>, source: usize, now: Micros) -> f64 {
    let oldest = all.filter_map(|oldest| oldest.of(source)).min();
    oldest.map_or(0.0, |oldest| now.saturating_sub(oldest.saturating_mul(1000)).max(0) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_record_of_each_source_counts() {
        let (mut before, mut open) = (Oldest::default(), Oldest::default());
        before.note(1, Some(7_000));
        before.note(1, Some(5_000));
        before.note(1, None);
        open.note(0, None);
        open.note(1, Some(6_000));
        open.note(2, Some(9_500));
        let ages: Vec<f64> = (0..4).map(|source| age([&before, &open].into_iter(), source, 9_000_000)).collect();
        assert_eq!(ages, [0.0, 4.0, 0.0, 0.0], "without a record, without a time, or of the future: 0");
    }
}
