//! A table's first stage, by record key: the last record of a record key is what it writes.
//!
//! A null value takes back what its record key wrote, wherever that went; a record whose `key` has changed moves its
//! row. "Last" goes by place in the topics, never by arrival: an epoch's records are sorted before they are applied.
//! A record key whose row was taken back or has run out of time is forgotten.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::event::key::{Fixed, hash_key};
use crate::event::row::{Row, Spot};
use crate::event::{Key, Micros};

/// One record of a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upsert {
    pub spot: Spot,
    /// Records without a key do not replace each other but by their row's key.
    pub record_key: Option<Bytes>,
    /// `None`: a null value.
    pub row: Option<(Key, Row)>,
}

/// What a record key says about a table's key; `row` `None`: it says nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    pub key: Key,
    pub writer: Option<Bytes>,
    pub spot: Spot,
    pub row: Option<Row>,
}

/// What every record key wrote last.
#[derive(Debug)]
pub struct Writers {
    ttl: Option<Micros>,
    wrote: HashMap<Bytes, Wrote, Fixed>,
    /// With a `ttl`: when to look whether a record key can be forgotten.
    deadlines: BTreeMap<Micros, Vec<Bytes>>,
    bytes: usize,
}

#[derive(Debug)]
struct Wrote {
    spot: Spot,
    key: Key,
    /// When its row leaves, and when it is looked at: the same, or the earlier time of a row before.
    ends: Micros,
    looked_at: Micros,
}

impl Upsert {
    /// Chooses the worker that keeps the record key.
    pub fn route(&self) -> u64 {
        use std::hash::BuildHasher;
        match (&self.record_key, &self.row) {
            (Some(key), _) => Fixed::default().hash_one(key),
            (None, Some((key, _))) => hash_key(key),
            (None, None) => 0,
        }
    }
}

impl Write {
    /// Chooses the worker that keeps the row.
    pub fn route(&self) -> u64 {
        hash_key(&self.key)
    }
}

impl Writers {
    pub fn new(ttl: Option<Micros>) -> Self {
        Self { ttl, wrote: HashMap::default(), deadlines: BTreeMap::new(), bytes: 0 }
    }

    pub fn keys(&self) -> usize {
        self.wrote.len()
    }

    /// About how many bytes the state holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes an epoch's records, all of them. `watermark` is that of the epoch's end.
    pub fn apply(&mut self, mut records: Vec<Upsert>, watermark: Micros) -> Vec<Write> {
        records.sort_unstable_by(|a, b| (&a.record_key, a.spot).cmp(&(&b.record_key, b.spot)));
        let mut writes = Vec::with_capacity(records.len());
        let mut records = records.into_iter().peekable();
        while let Some(record) = records.next() {
            match record.record_key {
                None => writes.extend(record.row.map(|(key, row)| Write {
                    key,
                    writer: None,
                    spot: record.spot,
                    row: Some(row),
                })),
                Some(ref key) if records.peek().is_some_and(|next| next.record_key.as_ref() == Some(key)) => {}
                Some(key) => self.write(key, record.spot, record.row, &mut writes),
            }
        }
        self.forget(watermark);
        writes
    }

    fn write(&mut self, writer: Bytes, spot: Spot, row: Option<(Key, Row)>, writes: &mut Vec<Write>) {
        let (writer, before) = match self.wrote.remove_entry(&writer) {
            Some((known, before)) => (known, Some(before)),
            // What is kept must not hold the block that the record was read in.
            None => (Bytes::copy_from_slice(&writer), None),
        };
        if let Some(before) = before {
            if before.spot > spot {
                self.wrote.insert(writer, before);
                return;
            }
            self.bytes -= before.bytes(&writer);
            let moved = row.as_ref().is_none_or(|(key, _)| *key != before.key);
            if moved {
                writes.push(Write { key: before.key.clone(), writer: Some(writer.clone()), spot, row: None });
            }
            if let Some((key, row)) = &row {
                self.remember(writer.clone(), spot, key, row.time, Some(before.looked_at));
            }
        } else if let Some((key, row)) = &row {
            self.remember(writer.clone(), spot, key, row.time, None);
        }
        writes.extend(row.map(|(key, row)| Write { key, writer: Some(writer), spot, row: Some(row) }));
    }

    fn remember(&mut self, writer: Bytes, spot: Spot, key: &Key, time: Micros, looked_at: Option<Micros>) {
        let ends = self.ttl.map_or(Micros::MAX, |ttl| time.saturating_add(ttl));
        let looked_at = match looked_at {
            Some(earlier) if earlier <= ends => earlier,
            _ => {
                if self.ttl.is_some() {
                    self.deadlines.entry(ends).or_default().push(writer.clone());
                }
                ends
            }
        };
        let wrote = Wrote { spot, key: key.clone(), ends, looked_at };
        self.bytes += wrote.bytes(&writer);
        self.wrote.insert(writer, wrote);
    }

    fn forget(&mut self, watermark: Micros) {
        if self.ttl.is_none() || watermark == Micros::MAX {
            return;
        }
        while let Some(entry) = self.deadlines.first_entry()
            && *entry.key() <= watermark
        {
            let (deadline, writers) = entry.remove_entry();
            for writer in writers {
                let Some(wrote) = self.wrote.get_mut(&writer).filter(|wrote| wrote.looked_at == deadline) else {
                    continue;
                };
                if wrote.ends > watermark {
                    wrote.looked_at = wrote.ends;
                    self.deadlines.entry(wrote.ends).or_default().push(writer);
                } else if let Some(wrote) = self.wrote.remove(&writer) {
                    self.bytes -= wrote.bytes(&writer);
                }
            }
        }
    }
}

impl Wrote {
    fn bytes(&self, writer: &Bytes) -> usize {
        size_of::<(Bytes, Self)>() + writer.len() + 16 * self.key.len()
    }
}
