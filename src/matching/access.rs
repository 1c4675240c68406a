//! What is filed under a path, by kind of key: it says which probes an event's leaf is worth.

use hashbrown::HashTable;

use super::hash;
use super::packed::PathId;
use super::ranges::Ranges;

/// The kinds of key, first byte of a bucket's key.
pub mod tag {
    /// Values of one or more paths.
    pub const EQUAL: u8 = 0;
    /// The first and the last bytes of a string, as many as a tier has.
    pub const PREFIX: u8 = 1;
    pub const SUFFIX: u8 = 2;
    /// The same of the string with its case folded; and all of it.
    pub const FOLDED_PREFIX: u8 = 3;
    pub const FOLDED_SUFFIX: u8 = 4;
    pub const FOLDED: u8 = 5;
    /// Bytes somewhere in a string; one tag after the other for each of [`super::GRAMS`].
    pub const GRAM: u8 = 6;
    pub const LAST_GRAM: u8 = GRAM + super::GRAMS.len() as u8 - 1;
    /// The network of an IPv4 and an IPv6 address.
    pub const V4: u8 = 20;
    pub const V6: u8 = 21;
    /// Any leaf; no leaf.
    pub const PRESENT: u8 = 22;
    pub const ABSENT: u8 = 23;
}

/// Prefixes and suffixes are filed by their first, or last, so many bytes: few probes for rules of any length.
pub const TIERS: [usize; 14] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];

/// Wildcards are filed by so many bytes of what they need. The longest that a wildcard has is the rarest; each length in
/// use costs a look at every place of a string.
pub const GRAMS: [usize; 6] = [1, 2, 3, 4, 6, 8];

/// The tier of an affix of this many bytes (at least one).
pub fn tier(length: usize) -> usize {
    TIERS.iter().rposition(|tier| *tier <= length).unwrap_or(0)
}

#[derive(Debug, Default)]
pub struct Access {
    /// Filings under one value of this path.
    pub equal: u32,
    /// Keys of several paths that this path has part in, and those of which it is the first.
    pub shaped: u32,
    pub shapes: Vec<u32>,
    pub present: u32,
    pub absent: u32,
    pub text: Option<Box<TextAccess>>,
    pub ranges: Option<Box<Ranges>>,
    /// Of all rules' conditions: the distinct values that this path is compared with, and how often it is.
    pub values: u32,
    pub comparisons: u32,
}

#[derive(Debug, Default)]
pub struct TextAccess {
    pub plain: Affixes,
    pub folded: Affixes,
    pub folded_whole: u32,
    /// As [`GRAMS`].
    pub grams: [Grams; GRAMS.len()],
    /// Blocks of addresses by family and length.
    pub v4: Vec<u32>,
    pub v6: Vec<u32>,
}

#[derive(Debug, Default)]
pub struct Affixes {
    pub prefixes: [u32; TIERS.len()],
    pub suffixes: [u32; TIERS.len()],
}

/// The grams of one length that rules are filed under, with how many are; and nearly the same as bits, so that most
/// places of a string cost no probe.
#[derive(Debug, Default)]
pub struct Grams {
    filed: HashTable<(u64, u32)>,
    bits: Vec<u64>,
}

impl Access {
    /// Whether leaves of this path want their hash.
    #[inline(always)]
    pub fn hashed(&self) -> bool {
        self.equal | self.shaped > 0
    }

    pub fn text(&mut self) -> &mut TextAccess {
        self.text.get_or_insert_default()
    }

    /// Counts one filing more, or one less; `detail` are the key's bytes after its path.
    pub fn count(&mut self, key: u8, path: PathId, detail: &[u8], more: bool) {
        if (tag::GRAM..=tag::LAST_GRAM).contains(&key) {
            return self.text().grams[usize::from(key - tag::GRAM)].count(key, path, gram_number(detail), more);
        }
        let counter = self.counter(key, detail);
        *counter = if more { *counter + 1 } else { *counter - 1 };
    }

    fn counter(&mut self, key: u8, detail: &[u8]) -> &mut u32 {
        let tier = || TIERS.iter().position(|tier| *tier == detail.len()).expect("affixes are cut to a tier");
        match key {
            tag::EQUAL => &mut self.equal,
            tag::PRESENT => &mut self.present,
            tag::ABSENT => &mut self.absent,
            tag::PREFIX => &mut self.text().plain.prefixes[tier()],
            tag::SUFFIX => &mut self.text().plain.suffixes[tier()],
            tag::FOLDED_PREFIX => &mut self.text().folded.prefixes[tier()],
            tag::FOLDED_SUFFIX => &mut self.text().folded.suffixes[tier()],
            tag::FOLDED => &mut self.text().folded_whole,
            tag::V4 => counter_at(&mut self.text().v4, 33, detail[0]),
            tag::V6 => counter_at(&mut self.text().v6, 129, detail[0]),
            other => unreachable!("key of kind {other}"),
        }
    }

    pub fn bytes(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| {
            let bits: usize = text.grams.iter().map(|g| g.bits.capacity() * 8 + g.filed.allocation_size()).sum();
            size_of::<TextAccess>() + bits + 4 * (text.v4.capacity() + text.v6.capacity())
        });
        self.shapes.capacity() * 4 + text + self.ranges.as_ref().map_or(0, |ranges| ranges.bytes())
    }
}

fn counter_at(counters: &mut Vec<u32>, lengths: usize, length: u8) -> &mut u32 {
    counters.resize(lengths, 0);
    &mut counters[usize::from(length)]
}

impl TextAccess {
    /// Whether a probe wants the string with its case folded.
    pub fn wants_folded(&self) -> bool {
        self.folded_whole > 0 || self.folded.prefixes.iter().chain(&self.folded.suffixes).any(|count| *count > 0)
    }
}

impl Grams {
    fn count(&mut self, tag: u8, path: PathId, number: u64, more: bool) {
        let hash = hash::tagged(tag, path, number);
        let rehash = |(gram, _): &(u64, u32)| hash::tagged(tag, path, *gram);
        let same = |(gram, _): &(u64, u32)| *gram == number;
        if more {
            self.filed.entry(hash, same, rehash).or_insert((number, 0)).get_mut().1 += 1;
            if self.filed.len() * 32 > self.bits.len() * 64 {
                self.bits = vec![0; (self.filed.len() * 2).next_power_of_two().max(16)];
                for hash in self.filed.iter().map(rehash).collect::<Vec<_>>() {
                    self.set(hash);
                }
            } else {
                self.set(hash);
            }
        } else if let Ok(mut entry) = self.filed.find_entry(hash, same) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.filed.is_empty()
    }

    fn set(&mut self, hash: u64) {
        let (word, bit) = self.place(hash);
        self.bits[word] |= bit;
    }

    #[inline(always)]
    pub fn may_have(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    #[inline(always)]
    fn place(&self, hash: u64) -> (usize, u64) {
        ((hash >> 6) as usize & self.bits.len().wrapping_sub(1), 1 << (hash & 63))
    }
}

/// The bytes of a gram as a number; hashed as it is ([`hash::tagged`]).
pub fn gram_number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
