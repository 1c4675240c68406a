//! A record of a topic, on its way in.

use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;

use super::intake::Arriving;
use super::kafka::RawRecord;
use crate::event::block::Block;
use crate::event::{Header, Record};

/// A record that lies with the client until something of it is kept.
pub struct Arrived<'a> {
    pub raw: RawRecord<'a>,
    pub topic: &'a Arc<str>,
    pub block: &'a mut Block,
}

impl Arriving for Arrived<'_> {
    fn place(&self) -> (&Arc<str>, i32, i64, Option<i64>) {
        (self.topic, self.raw.partition, self.raw.offset, self.raw.timestamp)
    }

    fn value(&self) -> Option<&[u8]> {
        self.raw.value
    }

    #[inline]
    fn keep(&mut self) -> Record {
        let headers = self.raw.headers().map(|(name, value)| Header {
            name: CompactString::from_utf8_lossy(name),
            value: value.map(Bytes::copy_from_slice),
        });
        let headers = headers.collect();
        let key = self.raw.key.map(|key| self.block.copy(key));
        let value = self.raw.value.map(|value| self.block.copy(value));
        Record { key, value, headers, ..Record::at(self.place()) }
    }
}
