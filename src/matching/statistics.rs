//! How many rules compare a path with a value: what selectivity is estimated from.

use hashbrown::HashTable;

use super::hash;
use super::packed::{conditions, op};
use super::paths::Paths;

#[derive(Debug, Default)]
pub struct Statistics {
    /// By [`hash::part`] of path and value: two that collide are counted as one, which only an estimate suffers from.
    counts: HashTable<(u64, u32)>,
    /// Conjunctions of all rules.
    pub conjunctions: u32,
}

impl Statistics {
    pub fn count(&self, value: u64) -> u32 {
        self.counts.find(value, |(hash, _)| *hash == value).map_or(0, |(_, count)| *count)
    }

    pub fn add(&mut self, body: &[u8], paths: &mut Paths) {
        self.conjunctions += 1;
        for condition in conditions(body) {
            let access = &mut paths.nodes[condition.path as usize].access;
            for alternative in condition.alternatives().filter(|a| a.op <= op::LAST_EQUALITY) {
                access.comparisons += 1;
                let value = hash::part(0, condition.path, hash::value(&alternative));
                let mut entry =
                    self.counts.entry(value, |(hash, _)| *hash == value, |(hash, _)| *hash).or_insert((value, 0));
                entry.get_mut().1 += 1;
                access.values += u32::from(entry.get().1 == 1);
            }
        }
    }

    pub fn take_back(&mut self, body: &[u8], paths: &mut Paths) {
        self.conjunctions -= 1;
        for condition in conditions(body) {
            let access = &mut paths.nodes[condition.path as usize].access;
            for alternative in condition.alternatives().filter(|a| a.op <= op::LAST_EQUALITY) {
                access.comparisons -= 1;
                let value = hash::part(0, condition.path, hash::value(&alternative));
                if let Ok(mut entry) = self.counts.find_entry(value, |(hash, _)| *hash == value) {
                    entry.get_mut().1 -= 1;
                    if entry.get().1 == 0 {
                        entry.remove();
                        access.values -= 1;
                    }
                }
            }
        }
        if self.counts.capacity() > 1024 && self.counts.len() * 4 < self.counts.capacity() {
            self.counts.shrink_to(self.counts.len() * 2, |(hash, _)| *hash);
        }
    }

    pub fn bytes(&self) -> usize {
        self.counts.allocation_size()
    }
}
