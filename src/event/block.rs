//! Bytes of many records in one allocation.

use bytes::{Bytes, BytesMut};

/// Bytes of a block.
const BLOCK: usize = 256 << 10;

/// Copies bytes into a block that many records share: an allocation for each would cost more than the copy. A block
/// lives as long as the longest-lived of them; records do not outlive their epoch by much.
#[derive(Debug, Default)]
pub struct Block(BytesMut);

impl Block {
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if self.0.capacity() - self.0.len() < bytes.len() {
            self.0 = BytesMut::with_capacity(BLOCK.max(bytes.len()));
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_stays_as_it_was() {
        let mut block = Block::default();
        let lengths = [0, 1, BLOCK - 2, 2, BLOCK, BLOCK + 1, 3];
        let copies: Vec<Bytes> = lengths.iter().map(|length| block.copy(&vec![*length as u8; *length])).collect();
        for (length, copy) in lengths.iter().zip(copies) {
            assert_eq!(copy, vec![*length as u8; *length]);
        }
    }
}
