//! JSON strings: checked (control characters, escapes, surrogates), and decoded.

use std::borrow::Cow;

use compact_str::CompactString;

use super::JsonError;
use super::block::Specials;
use super::scan::syntax;

/// A string of a payload as it stands between its quotes, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str<'a> {
    pub(super) raw: &'a str,
    pub(super) escaped: bool,
}

impl<'a> Str<'a> {
    /// The bytes between the quotes, escapes not decoded.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// Does it hold escapes? If not, [`Self::raw`] is the text.
    pub fn escaped(self) -> bool {
        self.escaped
    }

    /// The text, borrowed where it has no escapes.
    #[inline]
    pub fn text(self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unescape(self.raw).into()) } else { Cow::Borrowed(self.raw) }
    }

    /// The text, in the string itself up to 24 bytes.
    #[inline]
    pub fn to_compact(self) -> CompactString {
        if self.escaped { unescape(self.raw) } else { CompactString::new(self.raw) }
    }

    /// Is its text this?
    #[inline]
    pub fn is(self, text: &str) -> bool {
        if self.escaped { unescape(self.raw) == text } else { self.raw == text }
    }
}

/// Where a string's content lies in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub start: usize,
    /// The closing quote.
    pub end: usize,
    pub escaped: bool,
}

/// Passes the string whose opening quote is the first of `specials`, and checks it.
#[inline(always)]
pub(super) fn scan(text: &str, specials: &mut Specials) -> Result<Range, JsonError> {
    let bytes = text.as_bytes();
    let start = specials.pass(bytes) + 1;
    let (end, control) = specials.pass_from(bytes, start);
    if bytes.get(end) == Some(&b'"') && !control {
        return Ok(Range { start, end, escaped: false });
    }
    let (range, left) = scan_escaped(bytes, start, end, *specials)?;
    *specials = left;
    Ok(range)
}

/// A string that is not plain, from its first quote or backslash on.
#[inline(never)]
fn scan_escaped(
    bytes: &[u8],
    start: usize,
    mut at: usize,
    mut specials: Specials,
) -> Result<(Range, Specials), JsonError> {
    let mut plain = start;
    loop {
        if let Some(control) = bytes[plain..at].iter().position(|byte| *byte < 0x20) {
            return Err(syntax(plain + control, "control character in a string"));
        }
        match bytes.get(at) {
            Some(b'"') => return Ok((Range { start, end: at, escaped: plain > start }, specials)),
            None => return Err(syntax(at, "unexpected end in a string")),
            Some(_) => plain = check_escape(bytes, at)?,
        }
        // What is quoted by the escape, or begins its second half, is not what ends the string.
        at = specials.pass(bytes);
        while at < plain {
            at = specials.pass(bytes);
        }
    }
}

/// Checks the escape whose backslash is at `at`; the place after it.
fn check_escape(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(bytes, at + 2).ok_or_else(|| syntax(at, "bad escape"))? {
            0xDC00..=0xDFFF => Err(syntax(at, "lone surrogate")),
            0xD800..=0xDBFF => {
                let pair = bytes.get(at + 6..at + 8) == Some(b"\\u");
                match hex4(bytes, at + 8).filter(|_| pair) {
                    Some(0xDC00..=0xDFFF) => Ok(at + 12),
                    _ => Err(syntax(at, "lone surrogate")),
                }
            }
            _ => Ok(at + 6),
        },
        _ => Err(syntax(at, "bad escape")),
    }
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |n, digit| Some(n << 4 | (*digit as char).to_digit(16)?))
}

/// Decodes a checked string.
pub(super) fn unescape(raw: &str) -> CompactString {
    let mut text = CompactString::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let bytes = rest.as_bytes();
        let (character, length) = match bytes.get(at + 1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => unicode(bytes, at),
            other => (other.map_or('\\', |byte| *byte as char), 2),
        };
        text.push(character);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    text
}

/// The character of a checked `\u` escape, which may be a pair, and its length.
fn unicode(bytes: &[u8], at: usize) -> (char, usize) {
    let high = hex4(bytes, at + 2).unwrap_or_default();
    if !(0xD800..=0xDBFF).contains(&high) {
        return (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
    }
    let low = hex4(bytes, at + 8).unwrap_or_default();
    let code = 0x10000 + ((high - 0xD800) << 10) + (low & 0x3FF);
    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
}
