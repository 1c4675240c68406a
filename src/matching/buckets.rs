//! Buckets of rules by key: one hash table for keys of every kind. What is to be checked of a rule lies in its bucket,
//! so that a probe that finds something is two cache misses away from knowing.
//!
//! ```text
//! block  = length u32 | key | record*
//! key    = tag u8 | (path u32 | alternative)+    for equality
//!        | tag u8 | path u32 | bytes             for the rest
//! record = handle u32 | known u32 | conjunction u16 | flags u16 | length u32 | body
//! ```
//!
//! `known` has a bit for each of the first conditions that the key already implies.
//!
//! A bucket that many rules share is cut into segments, each an entry of the table, so that taking one rule out costs
//! no walk over all. The first segment knows how many there are; a rule's segment is chosen by its handle.

use hashbrown::HashTable;

use super::hash::mix;
use super::packed::Cursor;
use crate::prefetch::prefetch;

/// The rule's fields share a key on their way, so that arrays may have to agree.
pub const NESTED: u16 = 1;
/// The key implies the whole rule.
pub const IMPLIED: u16 = 2;
/// The body is the number of a shared one.
pub const SHARED: u16 = 4;

const RECORD: usize = 16;
/// Records of a segment, about, before there are twice as many segments.
const SEGMENT: u32 = 64;

#[derive(Debug, Default)]
pub struct Buckets {
    table: HashTable<Bucket>,
    /// Bytes of all blocks.
    blocks: usize,
    /// Bodies of rules that are filed many times and are too long to be copied.
    shared: Vec<Shared>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Shared {
    body: Box<[u8]>,
    uses: u32,
}

#[derive(Debug)]
pub struct Bucket {
    hash: u64,
    /// Records in all segments, and how many segments there are; kept in the first.
    total: u32,
    pub segments: u32,
    /// At this many records it is time to ask whether they would be better elsewhere.
    review_at: u32,
    block: Vec<u8>,
}

/// Where a record lies: the hash of its key, and the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    pub hash: u64,
    pub segment: u32,
}

impl Spot {
    /// The hash that the segment has in the table.
    fn entry(self) -> u64 {
        if self.segment == 0 { self.hash } else { mix(self.hash, u64::from(self.segment)) }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Record<'b> {
    pub handle: u32,
    pub known: u32,
    pub conjunction: u16,
    pub flags: u16,
    pub body: &'b [u8],
}

impl<'b> Record<'b> {
    #[inline(always)]
    pub fn read(from: &mut Cursor<'b>) -> Self {
        let handle = from.u32();
        let known = from.u32();
        let [a, b, c, d] = from.array();
        let body = from.bytes();
        Self { handle, known, conjunction: u16::from_le_bytes([a, b]), flags: u16::from_le_bytes([c, d]), body }
    }

    pub fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.handle.to_le_bytes());
        to.extend_from_slice(&self.known.to_le_bytes());
        to.extend_from_slice(&self.conjunction.to_le_bytes());
        to.extend_from_slice(&self.flags.to_le_bytes());
        to.extend_from_slice(&(self.body.len() as u32).to_le_bytes());
        to.extend_from_slice(self.body);
    }
}

impl Bucket {
    fn key_length(&self) -> usize {
        Cursor::new(&self.block).u32() as usize
    }

    #[inline(always)]
    pub fn key(&self) -> &[u8] {
        Cursor::new(&self.block).bytes()
    }

    #[inline(always)]
    pub fn records(&self) -> Records<'_> {
        let mut cursor = Cursor::new(&self.block);
        cursor.bytes();
        Records(cursor)
    }
}

#[derive(Clone, Debug)]
pub struct Records<'b>(Cursor<'b>);

impl<'b> Iterator for Records<'b> {
    type Item = Record<'b>;

    #[inline(always)]
    fn next(&mut self) -> Option<Record<'b>> {
        (!self.0.is_empty()).then(|| Record::read(&mut self.0))
    }
}

impl Buckets {
    /// The first segment of the bucket of that hash whose key `is` accepts.
    #[inline(always)]
    pub fn find(&self, hash: u64, is: impl Fn(&[u8]) -> bool) -> Option<&Bucket> {
        self.table.find(hash, |bucket| bucket.hash == hash && is(bucket.key()))
    }

    /// Asks for the memory that [`Self::find`] will read: it is far away, and until then there is other work.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        self.table.find(hash, |bucket| {
            prefetch(&*bucket.block);
            false
        });
    }

    /// The other segments of a bucket.
    pub fn others<'b>(&'b self, first: &'b Bucket) -> impl Iterator<Item = &'b Bucket> {
        (1..first.segments).filter_map(|segment| {
            let hash = Spot { hash: first.hash, segment }.entry();
            self.find(hash, |key| key == first.key())
        })
    }

    /// How many records there are under that hash.
    pub fn count(&self, hash: u64) -> u32 {
        self.table.find(hash, |bucket| bucket.hash == hash).map_or(0, |bucket| bucket.total)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.table.iter()
    }

    /// A record's body.
    #[inline(always)]
    pub fn body<'b>(&'b self, record: &Record<'b>) -> &'b [u8] {
        if record.flags & SHARED == 0 {
            return record.body;
        }
        &self.shared[Cursor::new(record.body).u32() as usize].body
    }

    /// Keeps a body that `uses` records will name by the bytes that this returns.
    pub fn share(&mut self, body: &[u8], uses: u32) -> [u8; 4] {
        let shared = Shared { body: body.into(), uses };
        self.blocks += body.len();
        let at = match self.free.pop() {
            Some(at) => {
                self.shared[at as usize] = shared;
                at
            }
            None => {
                self.shared.push(shared);
                (self.shared.len() - 1) as u32
            }
        };
        at.to_le_bytes()
    }

    /// Takes back one use of a record's body, if that is a shared one.
    pub fn unshare(&mut self, flags: u16, body: &[u8]) {
        if flags & SHARED == 0 {
            return;
        }
        let at = Cursor::new(body).u32();
        let shared = &mut self.shared[at as usize];
        shared.uses -= 1;
        if shared.uses == 0 {
            self.blocks -= shared.body.len();
            shared.body = Box::default();
            self.free.push(at);
        }
    }

    /// Files a record; where, and whether its bucket is to be reviewed.
    pub fn insert(&mut self, hash: u64, key: &[u8], record: &Record<'_>) -> (Spot, bool) {
        let need = RECORD + record.body.len();
        let first = self.entry(hash, key, need);
        first.total += 1;
        if first.total > first.segments.saturating_mul(SEGMENT) {
            first.segments *= 2;
        }
        let review = first.total >= first.review_at;
        let mixed = mix(u64::from(record.handle), u64::from(record.conjunction)) % u64::from(first.segments);
        let spot = Spot { hash, segment: mixed as u32 };
        let block = &mut self.entry(spot.entry(), key, need).block;
        let before = block.capacity();
        if before - block.len() < need {
            block.reserve_exact(need.max(block.len() / 4));
        }
        record.write(block);
        self.blocks += block.capacity() - before;
        (spot, review)
    }

    /// The entry of that hash and key, which is made, with room for so many bytes, if it is not there.
    fn entry(&mut self, hash: u64, key: &[u8], room: usize) -> &mut Bucket {
        let same = |bucket: &Bucket| bucket.hash == hash && bucket.key() == key;
        let blocks = &mut self.blocks;
        let new = || {
            let mut block = Vec::with_capacity(4 + key.len() + room);
            block.extend_from_slice(&(key.len() as u32).to_le_bytes());
            block.extend_from_slice(key);
            *blocks += block.capacity();
            Bucket { hash, total: 0, segments: 1, review_at: 2, block }
        };
        self.table.entry(hash, same, |bucket| bucket.hash).or_insert_with(new).into_mut()
    }

    /// Takes out the record of a rule's conjunction: the key, and the record as it was written.
    pub fn remove(&mut self, spot: Spot, handle: u32, conjunction: u16) -> Option<(Vec<u8>, Vec<u8>)> {
        let hash = spot.entry();
        let found = |bucket: &Bucket| bucket.hash == hash && bucket.position(handle, conjunction).is_some();
        let bucket = self.table.find_mut(hash, found)?;
        let (start, end) = bucket.position(handle, conjunction)?;
        let key = bucket.key().to_vec();
        let before = bucket.block.capacity();
        let record: Vec<u8> = bucket.block.drain(start..end).collect();
        if bucket.block.len() * 4 < before {
            bucket.block.shrink_to(bucket.block.len() * 2);
        }
        self.blocks -= before - bucket.block.capacity();
        let first = self.entry(spot.hash, &key, 0);
        first.total -= 1;
        first.review_at = first.review_at.min((first.total * 2).max(2));
        self.drop_if_empty(hash, &key);
        if hash != spot.hash {
            self.drop_if_empty(spot.hash, &key);
        }
        Some((key, record))
    }

    /// A segment without records goes; the first one only with all.
    fn drop_if_empty(&mut self, hash: u64, key: &[u8]) {
        let same = |bucket: &Bucket| bucket.hash == hash && bucket.key() == key;
        let Ok(entry) = self.table.find_entry(hash, same) else { return };
        if entry.get().total == 0 && entry.get().records().next().is_none() {
            self.blocks -= entry.get().block.capacity();
            entry.remove();
            if self.table.capacity() > 1024 && self.table.len() * 4 < self.table.capacity() {
                self.table.shrink_to(self.table.len() * 2, |bucket| bucket.hash);
            }
        }
    }

    /// The next review of a bucket, once it has doubled.
    pub fn reviewed(&mut self, hash: u64) {
        for bucket in self.table.iter_hash_mut(hash).filter(|bucket| bucket.hash == hash) {
            bucket.review_at = (bucket.total * 2).max(2);
        }
    }

    /// (handle, conjunction) of some records of a bucket: those of the first segment.
    pub fn members(&self, hash: u64) -> Vec<(u32, u16)> {
        let buckets = self.table.iter_hash(hash).filter(|bucket| bucket.hash == hash);
        buckets.flat_map(Bucket::records).map(|record| (record.handle, record.conjunction)).collect()
    }

    /// The record of a rule's conjunction.
    pub fn record(&self, spot: Spot, handle: u32, conjunction: u16) -> Option<Record<'_>> {
        let hash = spot.entry();
        let buckets = self.table.iter_hash(hash).filter(|bucket| bucket.hash == hash);
        buckets.flat_map(Bucket::records).find(|r| r.handle == handle && r.conjunction == conjunction)
    }

    pub fn bytes(&self) -> usize {
        let shared = self.shared.capacity() * size_of::<Shared>() + self.free.capacity() * 4;
        self.table.allocation_size() + self.blocks + shared
    }
}

impl Bucket {
    /// Where the record of a rule's conjunction lies in the block.
    fn position(&self, handle: u32, conjunction: u16) -> Option<(usize, usize)> {
        let mut cursor = Cursor::new(&self.block[4 + self.key_length()..]);
        while !cursor.is_empty() {
            let start = self.block.len() - cursor.rest.len();
            let record = Record::read(&mut cursor);
            if record.handle == handle && record.conjunction == conjunction {
                return Some((start, self.block.len() - cursor.rest.len()));
            }
        }
        None
    }
}
