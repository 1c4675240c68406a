//! Rule patterns: the language of Amazon EventBridge, parsed and checked.
//!
//! A pattern is a JSON object. A field's value is an object (go deeper) or a non-empty array of alternatives; all
//! fields must hold, one alternative of a field is enough, and `$or` beside fields asks for one of several patterns.
//! What a [`Pattern`] holds is checked: no list in it is empty, every path has a name, every range has a number in it.
//!
//! What an event offers at a path are its *leaves*: strings, numbers, booleans and null. Arrays are stepped through
//! without an index, each element offering its own leaves; two fields of one pattern must be satisfiable by the same
//! element of every array that they share on their paths.
//!
//! Pure. Finding the matching patterns among very many is the `matching` room's work.

mod json;
mod number;
mod operator;
mod parse;
mod text;

use std::net::IpAddr;
use std::sync::Arc;

pub use number::Number;
pub use text::{TextTest, Wildcard, fold, strip_prefix_ignoring_case, strip_suffix_ignoring_case};

use crate::error::TextError;
use crate::json::Path;

/// The longest text of a pattern, in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// How deep objects and arrays of a pattern may nest.
pub const MAX_DEPTH: usize = 100;
/// How many conjunctions a pattern may stand for, once each `$or` is multiplied out.
pub const MAX_CONJUNCTIONS: usize = 1000;

/// A checked pattern: all fields hold, and of each `$or` one branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub fields: Vec<Field>,
    /// One entry per `$or`; the paths in its branches are complete ones, as seen from the event.
    pub choices: Vec<Vec<Pattern>>,
}

/// One path of an event and what is asked of it. Keys are as after JSON escapes; a dot in a key is a character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub path: Arc<[Box<str>]>,
    /// At least one; one that holds for one leaf is enough.
    pub alternatives: Vec<Alternative>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alternative {
    Equals(Scalar),
    /// A number in a range; a string never is.
    Numeric(Range),
    Text(TextTest),
    Cidr(Cidr),
    /// A leaf for which none of these holds.
    AnythingBut(Vec<Exclusion>),
    /// There is a leaf at the path (which takes part in the consistency of arrays), or none anywhere at it.
    Exists(bool),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

/// What `anything-but` excludes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusion {
    Number(Number),
    String(String),
    Text(TextTest),
}

/// A range of numbers that is not empty. `true` beside a bound: the bound itself is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub lower: Option<(Number, bool)>,
    pub upper: Option<(Number, bool)>,
}

/// A block of IP addresses of one family: an IPv4 address is never in a block of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub v6: bool,
    /// The network's address, all bits after `length` zero.
    pub network: u128,
    /// Leading bits that count: at most 32, or 128.
    pub length: u8,
}

impl Pattern {
    /// Compiles a pattern's JSON text; the error has its position in the text.
    pub fn parse(json: &str) -> Result<Pattern, TextError> {
        parse::pattern(json)
    }

    /// Every path that a pattern's text asks about, with the bytes of its last key.
    pub fn paths(json: &str) -> Vec<(Path, std::ops::Range<usize>)> {
        parse::paths(json)
    }

    /// The conjunctions that this pattern stands for: it holds where all fields of one of them hold. At least one,
    /// at most [`MAX_CONJUNCTIONS`], none of them empty.
    pub fn conjunctions<'p>(&'p self) -> Vec<Vec<&'p Field>> {
        let mut all: Vec<Vec<&'p Field>> = vec![self.fields.iter().collect()];
        for choice in &self.choices {
            let branches: Vec<Vec<&'p Field>> = choice.iter().flat_map(Pattern::conjunctions).collect();
            let both =
                |(head, branch): (&Vec<&'p Field>, &Vec<&'p Field>)| head.iter().chain(branch).copied().collect();
            all = all.iter().flat_map(|head| branches.iter().map(move |branch| (head, branch))).map(both).collect();
        }
        all
    }

    /// How many conjunctions there are, without making them.
    fn conjunction_count(&self) -> usize {
        let branches = |choice: &Vec<Pattern>| {
            choice.iter().fold(0usize, |sum, branch| sum.saturating_add(branch.conjunction_count()))
        };
        self.choices.iter().map(branches).fold(1, usize::saturating_mul)
    }
}

impl Range {
    pub fn contains(&self, number: &Number) -> bool {
        let above = self.lower.as_ref().is_none_or(|(low, closed)| number > low || (*closed && number == low));
        above && self.upper.as_ref().is_none_or(|(high, closed)| number < high || (*closed && number == high))
    }

    fn is_empty(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Some((low, a)), Some((high, b))) => low > high || (low == high && !(*a && *b)),
            _ => false,
        }
    }
}

impl Cidr {
    /// `10.0.0.0/8`, `fe80::/10`; bits of the address after the length do not count.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let (v6, bits) = address_bits(address)?;
        let digits = length.len() <= 3 && length.bytes().all(|b| b.is_ascii_digit());
        let length = length.parse().ok().filter(|l| digits && *l <= if v6 { 128 } else { 32 })?;
        Some(Self { v6, network: Self::truncate(v6, bits, length), length })
    }

    pub fn contains(&self, text: &str) -> bool {
        address_bits(text)
            .is_some_and(|(v6, bits)| v6 == self.v6 && Self::truncate(v6, bits, self.length) == self.network)
    }

    /// The first `length` bits of an address, the rest zero.
    pub fn truncate(v6: bool, bits: u128, length: u8) -> u128 {
        let after = if v6 { 128 } else { 32 } - u32::from(length);
        bits.checked_shr(after).and_then(|b| b.checked_shl(after)).unwrap_or(0)
    }
}

/// An IP address as (is it IPv6, its bits); `None` if the text is none.
pub fn address_bits(text: &str) -> Option<(bool, u128)> {
    match text.parse().ok()? {
        IpAddr::V4(v4) => Some((false, u128::from(v4.to_bits()))),
        IpAddr::V6(v6) => Some((true, v6.to_bits())),
    }
}

#[cfg(test)]
mod tests;
