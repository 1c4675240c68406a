//! Buffers that a file's reader fills again once the last record in them is gone.
//!
//! Memory that is touched for the first time costs several times what reading into it does.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes read at a time.
pub(super) const CHUNK: usize = 128 << 10;
/// Buffers kept for later.
const KEPT: usize = 32;
/// A buffer that long lines made larger is not kept.
const LARGEST: usize = 4 * CHUNK;

/// Bytes, of which the first have been read.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    pub fn truncate(&mut self, length: usize) {
        self.filled = length.min(self.filled);
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes[self.filled..][..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// Reads what is there, at most a chunk; 0 at the end.
    pub fn read_from(&mut self, from: &mut impl Read) -> io::Result<usize> {
        self.make_room(CHUNK);
        loop {
            match from.read(&mut self.bytes[self.filled..][..CHUNK]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.filled += read;
                    return Ok(read);
                }
            }
        }
    }

    fn make_room(&mut self, room: usize) {
        if self.bytes.len() - self.filled < room {
            self.bytes.resize(self.filled + room, 0);
        }
    }
}

/// Where buffers come back to.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Buffer>>>);

impl Buffers {
    pub fn take(&self) -> Buffer {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_default()
    }

    /// What was read into a buffer, which comes back when nobody holds any of it.
    pub fn lend(&self, buffer: Buffer) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: self.clone() })
    }

    fn give_back(&self, mut buffer: Buffer) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && buffer.bytes.len() <= LARGEST {
            buffer.filled = 0;
            kept.push(buffer);
        }
    }
}

struct Lent {
    buffer: Buffer,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.filled()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(buffers: &Buffers, text: &[u8]) -> Bytes {
        let mut buffer = buffers.take();
        assert!(buffer.filled().is_empty());
        let mut from = text;
        while buffer.read_from(&mut from).unwrap() > 0 {}
        buffers.lend(buffer)
    }

    #[test]
    fn a_buffer_comes_back_when_the_last_slice_of_it_is_gone() {
        let buffers = Buffers::default();
        let long = read(&buffers, b"a longer text");
        let slice = long.slice(2..8);
        drop(long);
        let other = read(&buffers, b"other");
        assert_eq!((&*slice, &*other), (&b"longer"[..], &b"other"[..]));
        let at = slice.as_ptr() as usize - 2;
        drop(slice);
        let short = read(&buffers, b"short");
        assert_eq!((&*short, short.as_ptr() as usize), (&b"short"[..], at), "the first buffer, without what it held");
    }

    #[test]
    fn large_buffers_and_very_many_are_not_kept() {
        let buffers = Buffers::default();
        drop(read(&buffers, &vec![b'x'; 2 * LARGEST]));
        let many: Vec<Bytes> = (0..2 * KEPT).map(|_| read(&buffers, b"x")).collect();
        drop(many);
        let kept = buffers.0.lock().unwrap();
        assert_eq!(kept.len(), KEPT);
        assert!(kept.iter().all(|buffer| buffer.bytes.len() <= LARGEST));
    }
}
