//! The containers that are open while one is skipped.

use smallvec::SmallVec;

/// Which kinds of containers are open, one bit each; the newest is the lowest of `word`.
#[derive(Default)]
pub(super) struct Kinds {
    word: u64,
    count: usize,
    /// Full words below.
    full: SmallVec<[u64; 2]>,
}

impl Kinds {
    #[inline(always)]
    pub fn push(&mut self, object: bool) {
        if self.count > 0 && self.count.is_multiple_of(64) {
            self.full.push(self.word);
        }
        self.word = self.word << 1 | u64::from(object);
        self.count += 1;
    }

    #[inline(always)]
    pub fn pop(&mut self) {
        self.word >>= 1;
        self.count -= 1;
        if self.count > 0
            && self.count.is_multiple_of(64)
            && let Some(word) = self.full.pop()
        {
            self.word = word;
        }
    }

    #[inline(always)]
    pub fn in_object(&self) -> bool {
        self.word & 1 == 1
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
