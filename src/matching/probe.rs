//! From an event's leaves to the rules that they could satisfy: every leaf asks for what is filed under its path.

use super::access::{Affixes, GRAMS, Grams, TIERS, TextAccess, gram_number, tag};
use super::buckets::{Bucket, IMPLIED, NESTED, Record};
use super::filing::Shape;
use super::flatten::{Flat, Kind, Leaf, Scratch};
use super::packed::{Cursor, PathId};
use super::{Index, RuleHandle, hash, verify};
use crate::pattern::{Cidr, address_bits, fold};

/// Combinations of leaves that a key of several paths is probed with; beyond, its rules are checked one by one.
const MAX_COMBINATIONS: u64 = 4096;

struct Probe<'i, 'e> {
    index: &'i Index,
    event: Flat<'e>,
    /// Some leaf may stand in an array.
    arrays: bool,
    found: &'i mut Vec<RuleHandle>,
    /// For strings with several probes: hashes, so that no bucket is visited twice for one string.
    grams: &'i mut Vec<(u64, u64)>,
    folded: &'i mut String,
}

/// Appends the rules that the event in `scratch` satisfies; some perhaps more than once.
pub fn probe(index: &Index, json: &[u8], scratch: &mut Scratch, found: &mut Vec<RuleHandle>) {
    let mut grams = std::mem::take(&mut scratch.hits);
    let mut folded = std::mem::take(&mut scratch.folded);
    let event = scratch.flat(json);
    let arrays = event.elements.len() > 1;
    let mut probe = Probe { index, event, arrays, found, grams: &mut grams, folded: &mut folded };
    for path in &scratch.present {
        probe.path(*path);
    }
    for path in &index.absent {
        if event.count(*path) == 0 {
            probe.tagged(tag::ABSENT, *path, &[]);
        }
    }
    scratch.hits = grams;
    scratch.folded = folded;
}

impl<'e> Probe<'_, 'e> {
    #[inline]
    fn path(&mut self, path: PathId) {
        let access = &self.index.paths.nodes[path as usize].access;
        if access.equal > 0 {
            self.values(path);
        }
        for shape in &access.shapes {
            self.shape(&self.index.shapes.all[*shape as usize]);
        }
        if let Some(ranges) = &access.ranges {
            let keys = self.event.leaves(path).filter(|leaf| leaf.kind == Kind::Number).map(|leaf| leaf.key);
            ranges.stab(keys, |id| self.check(&Record::read(&mut Cursor::new(ranges.record(id)))));
        }
        if let Some(text) = &access.text {
            for leaf in self.event.leaves(path).filter(|leaf| leaf.kind == Kind::Text) {
                self.text(path, text, leaf);
            }
        }
        if access.present > 0 {
            self.tagged(tag::PRESENT, path, &[]);
        }
    }

    /// Keys of one value.
    #[inline]
    fn values(&mut self, path: PathId) {
        let event = self.event;
        if event.count(path) == 1 {
            for leaf in event.leaves(path) {
                self.equal(hash::part(0, path, leaf.hash), &[(path, leaf)]);
            }
            return;
        }
        let mut leaves: Vec<&Leaf> = event.leaves(path).collect();
        leaves.sort_unstable_by_key(|leaf| leaf.hash);
        leaves.dedup_by(|a, b| a.hash == b.hash && a.kind == b.kind && event.bytes(a) == event.bytes(b));
        for leaf in leaves {
            self.equal(hash::part(0, path, leaf.hash), &[(path, leaf)]);
        }
    }

    /// Keys of several values.
    fn shape(&mut self, shape: &Shape) {
        let counts = shape.paths.iter().map(|path| u64::from(self.event.count(*path)));
        let combinations = counts.fold(1, u64::saturating_mul);
        if combinations == 0 {
            return;
        }
        if combinations > MAX_COMBINATIONS.max(u64::from(shape.filed)) {
            return self.whole_shape(shape);
        }
        self.combine(shape, 0, &mut Vec::with_capacity(shape.paths.len()));
    }

    fn combine(&mut self, shape: &Shape, hash: u64, parts: &mut Vec<(PathId, &'e Leaf)>) {
        let Some(path) = shape.paths.get(parts.len()).copied() else {
            return self.equal(hash, parts);
        };
        for leaf in self.event.leaves(path) {
            parts.push((path, leaf));
            self.combine(shape, hash::part(hash, path, leaf.hash), parts);
            parts.pop();
        }
    }

    /// An event with long arrays at several paths of a key: all rules under such keys are checked, without the key.
    fn whole_shape(&mut self, shape: &Shape) {
        let of_shape = |bucket: &&Bucket| {
            let mut key = Cursor::new(bucket.key());
            key.u8() == tag::EQUAL
                && shape.paths.iter().all(|path| {
                    !key.is_empty() && key.u32() == *path && {
                        key.alternative();
                        true
                    }
                })
                && key.is_empty()
        };
        let index = self.index;
        for bucket in index.buckets.iter().filter(of_shape) {
            for record in bucket.records() {
                self.check(&Record { known: 0, flags: record.flags & !IMPLIED, ..record });
            }
        }
    }

    /// The bucket of these values.
    #[inline(always)]
    fn equal(&mut self, hash: u64, parts: &[(PathId, &Leaf)]) {
        let event = &self.event;
        let is = |key: &[u8]| {
            let mut key = Cursor::new(key);
            key.u8() == tag::EQUAL
                && parts.iter().all(|(path, leaf)| {
                    !key.is_empty() && key.u32() == *path && verify::holds(&key.alternative(), leaf, event)
                })
                && key.is_empty()
        };
        if let Some(bucket) = self.index.buckets.find(hash, is) {
            self.visit(bucket);
        }
    }

    fn tagged(&mut self, tag: u8, path: PathId, detail: &[u8]) {
        self.keyed(hash::tagged(tag, path, hash::text(detail)), tag, path, detail);
    }

    #[inline]
    fn keyed(&mut self, hash: u64, tag: u8, path: PathId, detail: &[u8]) {
        let is = |key: &[u8]| key[0] == tag && key[1..5] == path.to_le_bytes() && key[5..] == *detail;
        if let Some(bucket) = self.index.buckets.find(hash, is) {
            self.visit(bucket);
        }
    }

    #[inline(always)]
    fn visit(&mut self, bucket: &Bucket) {
        for record in bucket.records() {
            self.check(&record);
        }
        if bucket.segments > 1 {
            let index = self.index;
            for record in index.buckets.others(bucket).flat_map(Bucket::records) {
                self.check(&record);
            }
        }
    }

    #[inline(always)]
    fn check(&mut self, record: &Record<'_>) {
        let body = self.index.buckets.body(record);
        if record.flags & IMPLIED == 0 && !verify::each_holds(body, record.known, &self.event) {
            return;
        }
        if record.flags & NESTED != 0 && self.arrays && !verify::consistent(body, &self.event) {
            return;
        }
        self.found.push(record.handle);
    }

    /// Keys made of parts of a string.
    fn text(&mut self, path: PathId, access: &TextAccess, leaf: &Leaf) {
        let bytes = self.event.bytes(leaf);
        self.affixes(path, bytes, (tag::PREFIX, &access.plain.prefixes), (tag::SUFFIX, &access.plain.suffixes));
        for (kind, grams) in access.grams.iter().enumerate().filter(|(_, grams)| !grams.is_empty()) {
            self.grams(path, grams, kind, bytes);
        }
        if !access.v4.is_empty() || !access.v6.is_empty() {
            self.networks(path, access, leaf);
        }
        if access.wants_folded() {
            let mut folded = std::mem::take(self.folded);
            folded.clear();
            folded.extend(self.event.text(leaf).chars().map(fold));
            let bytes = folded.as_bytes();
            if access.folded_whole > 0 {
                self.tagged(tag::FOLDED, path, bytes);
            }
            let Affixes { prefixes, suffixes } = &access.folded;
            self.affixes(path, bytes, (tag::FOLDED_PREFIX, prefixes), (tag::FOLDED_SUFFIX, suffixes));
            *self.folded = folded;
        }
    }

    fn affixes(&mut self, path: PathId, bytes: &[u8], prefixes: (u8, &[u32]), suffixes: (u8, &[u32])) {
        for (i, tier) in TIERS.iter().enumerate().take_while(|(_, tier)| **tier <= bytes.len()) {
            if prefixes.1[i] > 0 {
                self.tagged(prefixes.0, path, &bytes[..*tier]);
            }
            if suffixes.1[i] > 0 {
                self.tagged(suffixes.0, path, &bytes[bytes.len() - tier..]);
            }
        }
    }

    fn grams(&mut self, path: PathId, grams: &Grams, kind: usize, bytes: &[u8]) {
        let (tag, length) = (tag::GRAM + kind as u8, GRAMS[kind]);
        let mut hits = std::mem::take(self.grams);
        hits.clear();
        let mut note = |number: u64| {
            let hash = hash::tagged(tag, path, number);
            if grams.may_have(hash) {
                hits.push((hash, number));
            }
        };
        let mask = u64::MAX >> (64 - 8 * length);
        let words = bytes.windows(8).filter_map(|word| word.first_chunk());
        words.for_each(|word| note(u64::from_le_bytes(*word) & mask));
        // The last places have no eight bytes after them.
        let rest = &bytes[bytes.len().saturating_sub(7)..];
        rest.windows(length).for_each(|gram| note(gram_number(gram)));
        if hits.len() > 1 {
            hits.sort_unstable();
            hits.dedup();
        }
        for (hash, number) in &hits {
            self.keyed(*hash, tag, path, &number.to_le_bytes()[..length]);
        }
        *self.grams = hits;
    }

    fn networks(&mut self, path: PathId, access: &TextAccess, leaf: &Leaf) {
        let Some((v6, bits)) = address_bits(self.event.text(leaf)) else { return };
        let (tag, lengths) = if v6 { (tag::V6, &access.v6) } else { (tag::V4, &access.v4) };
        for (length, _) in lengths.iter().enumerate().filter(|(_, count)| **count > 0) {
            let network = Cidr::truncate(v6, bits, length as u8).to_le_bytes();
            let mut detail = [0; 17];
            detail[0] = length as u8;
            detail[1..].copy_from_slice(&network);
            self.tagged(tag, path, &detail);
        }
    }
}
