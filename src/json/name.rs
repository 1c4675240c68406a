//! Names of members, known by their bytes.

/// A short name as it stands in the text, with its quotes and colon; the default is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name {
    word: u128,
    mask: u128,
    length: u8,
}

/// Bytes that a name may have, quotes and colon included.
const LONGEST: usize = size_of::<u128>();

impl Name {
    /// The first `length` bytes of `text`; `None` if they are too many, or `text` ends soon after them.
    pub fn new(text: &[u8], length: usize) -> Option<Self> {
        let bytes = text.first_chunk::<LONGEST>().filter(|_| (1..=LONGEST).contains(&length))?;
        let mask = u128::MAX >> (8 * (LONGEST - length));
        Some(Self { word: u128::from_le_bytes(*bytes) & mask, mask, length: length as u8 })
    }

    pub fn length(self) -> usize {
        usize::from(self.length)
    }

    /// Does `text` begin with it? Not within the last bytes of a text: there a name is scanned.
    #[inline(always)]
    pub fn begins(self, text: &[u8]) -> bool {
        let Some(bytes) = text.first_chunk::<LONGEST>() else { return false };
        u128::from_le_bytes(*bytes) & self.mask == self.word && self.length > 0
    }
}
