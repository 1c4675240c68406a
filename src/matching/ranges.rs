//! Rules by a range of numbers at one path, so that a number finds those that it lies in and hardly any other.
//!
//! One-sided ranges are sorted by their bound. A two-sided one hangs in an interval tree without pointers: at the node
//! that is the common prefix of its bounds' keys (as 128 bits), sorted by both bounds. A number visits the nodes on its
//! own way, and takes from each only the ranges that begin below it, or end above it, depending on its side.

use std::collections::BTreeSet;

use hashbrown::HashTable;

use super::hash::mix;

/// The number of a record in its [`Ranges`].
pub type RangeId = u32;

#[derive(Debug, Default)]
pub struct Ranges {
    /// Each one record of [`super::buckets::Record`].
    records: Vec<(Bounds, Box<[u8]>)>,
    free: Vec<RangeId>,
    /// By lower bound, without an upper one; by upper bound, without a lower one.
    above: BTreeSet<(u128, RangeId)>,
    below: BTreeSet<(u128, RangeId)>,
    nodes: HashTable<Node>,
    /// How many nodes have a prefix of so many bits.
    lengths: Vec<u32>,
    blocks: usize,
}

/// The keys of a range's bounds. Digits beyond a key are told apart where the rule is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    pub lower: Option<u128>,
    pub upper: Option<u128>,
}

#[derive(Debug)]
struct Node {
    length: u32,
    prefix: u128,
    by_lower: BTreeSet<(u128, RangeId)>,
    by_upper: BTreeSet<(u128, RangeId)>,
}

/// The first bits that two keys have in common: how many, and which.
fn common(a: u128, b: u128) -> (u32, u128) {
    let length = (a ^ b).leading_zeros();
    (length, first_bits(a, length))
}

fn first_bits(key: u128, length: u32) -> u128 {
    key.checked_shr(128 - length).unwrap_or(0)
}

fn node_hash(length: u32, prefix: u128) -> u64 {
    mix(prefix as u64 ^ u64::from(length), (prefix >> 64) as u64)
}

impl Ranges {
    pub fn len(&self) -> usize {
        self.records.len() - self.free.len()
    }

    /// How many ranges have two bounds.
    pub fn two_sided(&self) -> usize {
        self.len() - self.above.len() - self.below.len()
    }

    pub fn record(&self, id: RangeId) -> &[u8] {
        &self.records[id as usize].1
    }

    pub fn insert(&mut self, bounds: Bounds, record: Box<[u8]>) -> RangeId {
        self.blocks += record.len();
        let id = match self.free.pop() {
            Some(id) => {
                self.records[id as usize] = (bounds, record);
                id
            }
            None => {
                self.records.push((bounds, record));
                (self.records.len() - 1) as RangeId
            }
        };
        match (bounds.lower, bounds.upper) {
            (Some(lower), Some(upper)) => {
                let node = self.node(lower, upper);
                node.by_lower.insert((lower, id));
                node.by_upper.insert((upper, id));
            }
            (Some(lower), None) => drop(self.above.insert((lower, id))),
            (_, upper) => drop(self.below.insert((upper.unwrap_or(u128::MAX), id))),
        }
        id
    }

    fn node(&mut self, lower: u128, upper: u128) -> &mut Node {
        let (length, prefix) = common(lower, upper);
        let hash = node_hash(length, prefix);
        let same = |node: &Node| (node.length, node.prefix) == (length, prefix);
        if self.nodes.find(hash, same).is_none() {
            self.lengths.resize(129, 0);
            self.lengths[length as usize] += 1;
            let node = Node { length, prefix, by_lower: BTreeSet::new(), by_upper: BTreeSet::new() };
            self.nodes.insert_unique(hash, node, |node| node_hash(node.length, node.prefix));
        }
        self.nodes.find_mut(hash, same).expect("it is there now")
    }

    pub fn remove(&mut self, id: RangeId) -> Box<[u8]> {
        let (bounds, record) = std::mem::take(&mut self.records[id as usize]);
        match (bounds.lower, bounds.upper) {
            (Some(lower), Some(upper)) => {
                let (length, prefix) = common(lower, upper);
                let same = |node: &Node| (node.length, node.prefix) == (length, prefix);
                if let Ok(mut entry) = self.nodes.find_entry(node_hash(length, prefix), same) {
                    let node = entry.get_mut();
                    node.by_lower.remove(&(lower, id));
                    node.by_upper.remove(&(upper, id));
                    if node.by_lower.is_empty() {
                        self.lengths[length as usize] -= 1;
                        entry.remove();
                    }
                }
            }
            (Some(lower), None) => drop(self.above.remove(&(lower, id))),
            (_, upper) => drop(self.below.remove(&(upper.unwrap_or(u128::MAX), id))),
        }
        self.free.push(id);
        self.blocks -= record.len();
        record
    }

    /// Calls `found` with the ranges that one of these keys may lie in; with some perhaps more than once.
    pub fn stab(&self, keys: impl Iterator<Item = u128> + Clone, mut found: impl FnMut(RangeId)) {
        let (Some(least), Some(greatest)) = (keys.clone().min(), keys.clone().max()) else { return };
        self.above.range(..=(greatest, RangeId::MAX)).for_each(|(_, id)| found(*id));
        self.below.range((least, 0)..).for_each(|(_, id)| found(*id));
        let lengths = self.lengths.iter().enumerate().filter(|(_, nodes)| **nodes > 0);
        for (length, _) in lengths {
            let length = length as u32;
            for key in keys.clone() {
                let prefix = first_bits(key, length);
                let same = |node: &Node| (node.length, node.prefix) == (length, prefix);
                let Some(node) = self.nodes.find(node_hash(length, prefix), same) else { continue };
                if key.checked_shr(127 - length.min(127)).unwrap_or(0) & 1 == 0 {
                    node.by_lower.range(..=(key, RangeId::MAX)).for_each(|(_, id)| found(*id));
                } else {
                    node.by_upper.range((key, 0)..).for_each(|(_, id)| found(*id));
                }
            }
        }
    }

    pub fn bytes(&self) -> usize {
        // A set's entry has 32 bytes and its share of a node that is half to wholly full.
        let entries = self.above.len() + self.below.len() + 2 * self.two_sided();
        let records =
            self.records.capacity() * size_of::<(Bounds, Box<[u8]>)>() + self.free.capacity() * 4 + self.blocks;
        size_of::<Self>() + entries * 44 + records + self.nodes.allocation_size() + self.lengths.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_finds_exactly_the_ranges_around_it(
            bounds in prop::collection::vec((prop::option::of(0u128..40), prop::option::of(0u128..40)), 1..40),
            keys in prop::collection::vec(0u128..42, 1..3),
            shift in 0u32..122,
        ) {
            let mut ranges = Ranges::default();
            let mut live = Vec::new();
            for (lower, upper) in bounds {
                let ends = if lower > upper && upper.is_some() { (upper, lower) } else { (lower, upper) };
                let bounds = Bounds { lower: ends.0.map(|b| b << shift), upper: ends.1.map(|b| b << shift) };
                live.push((bounds, ranges.insert(bounds, Box::default())));
            }
            for (_, id) in live.split_off(live.len() / 2) {
                ranges.remove(id);
            }
            let keys: Vec<u128> = keys.iter().map(|k| k << shift).collect();
            let mut found = Vec::new();
            ranges.stab(keys.iter().copied(), |id| found.push(id));
            found.sort_unstable();
            found.dedup();
            let inside = |b: &Bounds, k: u128| b.lower.is_none_or(|l| l <= k) && b.upper.is_none_or(|u| k <= u);
            let mut expected: Vec<_> =
                live.iter().filter(|(b, _)| keys.iter().any(|k| inside(b, *k))).map(|(_, id)| *id).collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
