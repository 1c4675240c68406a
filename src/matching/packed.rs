//! A conjunction as bytes: what the index keeps of a rule, beside the key that it is filed under.
//!
//! ```text
//! body       = condition*                            one per field, by path
//! condition  = path u32 | length u32 | alternative*  length: bytes of the alternatives;
//!                                                    the path's top bit: no leaf at all is good too
//! alternative = op u8 | operands                     texts have their length before them; all little-endian
//! set        = op u8 | length u32 | count u32 | hash u64 * count | place u32 * count | alternative*
//! ```
//!
//! A set is many equalities, found by the hash of their value; hashes ascend.
//!
//! Everything here was encoded by [`encode`], so that a decoder that runs off the end is a bug, and panics.

use super::hash;
use crate::pattern::{Alternative, Exclusion, Field, Number, Scalar, TextTest};

/// The number of a path in the index's trie.
pub type PathId = u32;

/// Top bit of a condition's path: the condition holds too where the path has no leaf.
pub const OR_ABSENT: u32 = 1 << 31;

/// So many equalities are a set.
const SET_FROM: usize = 12;

pub mod op {
    pub const NULL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const NUMBER: u8 = 4;
    /// The last of the operators that are equality.
    pub const LAST_EQUALITY: u8 = NUMBER;
    pub const RANGE: u8 = 5;
    pub const PREFIX: u8 = 6;
    pub const SUFFIX: u8 = 7;
    pub const PREFIX_ANY_CASE: u8 = 8;
    pub const SUFFIX_ANY_CASE: u8 = 9;
    pub const EQUALS_ANY_CASE: u8 = 10;
    pub const WILDCARD: u8 = 11;
    pub const CIDR: u8 = 12;
    pub const ANYTHING_BUT: u8 = 13;
    pub const PRESENT: u8 = 14;
    pub const ABSENT: u8 = 15;
    pub const SET: u8 = 16;
}

/// Flags of a range's ends.
pub mod end {
    pub const LOWER: u8 = 1;
    pub const LOWER_CLOSED: u8 = 2;
    pub const UPPER: u8 = 4;
    pub const UPPER_CLOSED: u8 = 8;
}

/// Encodes fields with their paths' numbers; conditions are sorted by path.
pub fn encode(fields: &[(PathId, &Field)], to: &mut Vec<u8>) {
    let mut fields = fields.to_vec();
    fields.sort_by_key(|(path, _)| *path);
    for (path, field) in fields {
        let absent = field.alternatives.contains(&Alternative::Exists(false));
        put_u32(to, if absent { path | OR_ABSENT } else { path });
        let start = begin(to);
        let all_equal = field.alternatives.iter().all(|a| matches!(a, Alternative::Equals(_)));
        put_many(&field.alternatives, all_equal, put_alternative, to);
        finish(to, start);
    }
}

/// Writes alternatives one after the other, or as a set.
fn put_many<T>(items: &[T], all_equal: bool, put: impl Fn(&T, &mut Vec<u8>), to: &mut Vec<u8>) {
    if !all_equal || items.len() < SET_FROM {
        return items.iter().for_each(|item| put(item, to));
    }
    let (mut alternatives, mut places) = (Vec::new(), Vec::new());
    for item in items {
        let place = alternatives.len();
        put(item, &mut alternatives);
        let hash = hash::value(&Cursor::new(&alternatives[place..]).alternative());
        places.push((hash, u32::try_from(place).expect("a pattern's text is bounded")));
    }
    places.sort_unstable();
    to.push(op::SET);
    let start = begin(to);
    put_u32(to, places.len() as u32);
    places.iter().for_each(|(hash, _)| to.extend_from_slice(&hash.to_le_bytes()));
    places.iter().for_each(|(_, place)| put_u32(to, *place));
    to.extend_from_slice(&alternatives);
    finish(to, start);
}

fn put_u32(to: &mut Vec<u8>, n: u32) {
    to.extend_from_slice(&n.to_le_bytes());
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(to, u32::try_from(bytes.len()).expect("a pattern's text is bounded"));
    to.extend_from_slice(bytes);
}

/// Leaves room for a length; [`finish`] fills it in.
fn begin(to: &mut Vec<u8>) -> usize {
    put_u32(to, 0);
    to.len()
}

fn finish(to: &mut [u8], start: usize) {
    let length = u32::try_from(to.len() - start).expect("a pattern's text is bounded");
    to[start - 4..start].copy_from_slice(&length.to_le_bytes());
}

fn put_number(to: &mut Vec<u8>, number: &Number) {
    to.extend_from_slice(&number.key().to_le_bytes());
    put_bytes(to, number.tail());
}

fn put_alternative(alternative: &Alternative, to: &mut Vec<u8>) {
    match alternative {
        Alternative::Equals(Scalar::Null) => to.push(op::NULL),
        Alternative::Equals(Scalar::Bool(b)) => to.push(if *b { op::TRUE } else { op::FALSE }),
        Alternative::Equals(Scalar::Text(t)) => put_text(op::TEXT, t, to),
        Alternative::Equals(Scalar::Number(n)) => {
            to.push(op::NUMBER);
            put_number(to, n);
        }
        Alternative::Numeric(range) => {
            let flags = |bound: &Option<(Number, bool)>, open, closed| match bound {
                None => 0,
                Some((_, false)) => open,
                Some((_, true)) => open | closed,
            };
            to.push(op::RANGE);
            let lower = flags(&range.lower, end::LOWER, end::LOWER_CLOSED);
            to.push(lower | flags(&range.upper, end::UPPER, end::UPPER_CLOSED));
            for (number, _) in range.lower.iter().chain(&range.upper) {
                put_number(to, number);
            }
        }
        Alternative::Text(test) => put_text_test(test, to),
        Alternative::Cidr(block) => {
            to.extend_from_slice(&[op::CIDR, u8::from(block.v6), block.length]);
            to.extend_from_slice(&block.network.to_le_bytes());
        }
        Alternative::AnythingBut(exclusions) => {
            to.push(op::ANYTHING_BUT);
            let start = begin(to);
            let all_equal = exclusions.iter().all(|e| !matches!(e, Exclusion::Text(_)));
            put_many(exclusions, all_equal, put_exclusion, to);
            finish(to, start);
        }
        Alternative::Exists(true) => to.push(op::PRESENT),
        Alternative::Exists(false) => to.push(op::ABSENT),
    }
}

fn put_exclusion(exclusion: &Exclusion, to: &mut Vec<u8>) {
    match exclusion {
        Exclusion::String(t) => put_text(op::TEXT, t, to),
        Exclusion::Number(n) => {
            to.push(op::NUMBER);
            put_number(to, n);
        }
        Exclusion::Text(test) => put_text_test(test, to),
    }
}

fn put_text(op: u8, text: &str, to: &mut Vec<u8>) {
    to.push(op);
    put_bytes(to, text.as_bytes());
}

fn put_text_test(test: &TextTest, to: &mut Vec<u8>) {
    match test {
        TextTest::Prefix { text, ignore_case: false } => put_text(op::PREFIX, text, to),
        TextTest::Prefix { text, ignore_case: true } => put_text(op::PREFIX_ANY_CASE, text, to),
        TextTest::Suffix { text, ignore_case: false } => put_text(op::SUFFIX, text, to),
        TextTest::Suffix { text, ignore_case: true } => put_text(op::SUFFIX_ANY_CASE, text, to),
        TextTest::EqualsIgnoreCase(text) => put_text(op::EQUALS_ANY_CASE, text, to),
        TextTest::Wildcard(wildcard) => {
            to.push(op::WILDCARD);
            let start = begin(to);
            for part in &wildcard.parts {
                put_bytes(to, part.as_bytes());
            }
            finish(to, start);
        }
    }
}

/// Reads what [`encode`] wrote.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'b> {
    pub rest: &'b [u8],
}

impl<'b> Cursor<'b> {
    pub fn new(rest: &'b [u8]) -> Self {
        Self { rest }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline(always)]
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.rest.split_first_chunk().expect("whole operands");
        self.rest = rest;
        *head
    }

    #[inline(always)]
    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    #[inline(always)]
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    #[inline(always)]
    pub fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.array())
    }

    #[inline(always)]
    pub fn bytes(&mut self) -> &'b [u8] {
        let length = self.u32() as usize;
        let (head, rest) = self.rest.split_at(length);
        self.rest = rest;
        head
    }

    /// A text that came from a string.
    pub fn text(&mut self) -> &'b str {
        std::str::from_utf8(self.bytes()).expect("encoded from a string")
    }

    /// A number's key and tail.
    #[inline(always)]
    pub fn number(&mut self) -> (u128, &'b [u8]) {
        (self.u128(), self.bytes())
    }

    /// The next alternative, whole.
    pub fn alternative(&mut self) -> PackedAlternative<'b> {
        let before = self.rest;
        let op = self.u8();
        let operands = self.rest;
        match op {
            op::NULL | op::FALSE | op::TRUE | op::PRESENT | op::ABSENT => {}
            op::NUMBER => drop(self.number()),
            op::RANGE => {
                let flags = self.u8();
                for bound in [end::LOWER, end::UPPER] {
                    if flags & bound != 0 {
                        self.number();
                    }
                }
            }
            op::CIDR => drop(self.array::<18>()),
            _ => drop(self.bytes()),
        }
        let whole = &before[..before.len() - self.rest.len()];
        PackedAlternative { op, operands: Cursor::new(&operands[..whole.len() - 1]), whole }
    }
}

/// One alternative, found by [`Cursor::alternative`].
#[derive(Clone, Copy, Debug)]
pub struct PackedAlternative<'b> {
    pub op: u8,
    pub operands: Cursor<'b>,
    /// The operator and its operands.
    pub whole: &'b [u8],
}

/// Many equalities.
#[derive(Clone, Copy, Debug)]
pub struct Set<'b> {
    hashes: &'b [u8],
    places: &'b [u8],
    alternatives: &'b [u8],
}

impl<'b> Set<'b> {
    pub fn read(mut operands: Cursor<'b>) -> Self {
        let mut set = Cursor::new(operands.bytes());
        let count = set.u32() as usize;
        let (hashes, rest) = set.rest.split_at(8 * count);
        let (places, alternatives) = rest.split_at(4 * count);
        Self { hashes, places, alternatives }
    }

    /// Those whose value has that hash.
    pub fn of_hash(self, hash: u64) -> impl Iterator<Item = PackedAlternative<'b>> {
        let (hashes, _) = self.hashes.as_chunks::<8>();
        let (places, _) = self.places.as_chunks::<4>();
        let from = hashes.partition_point(|h| u64::from_le_bytes(*h) < hash);
        let same = hashes[from..].iter().take_while(move |h| u64::from_le_bytes(**h) == hash);
        let places = same.zip(&places[from..]).map(|(_, place)| u32::from_le_bytes(*place) as usize);
        places.map(move |place| Cursor::new(&self.alternatives[place..]).alternative())
    }
}

/// One condition of a body.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'b> {
    pub path: PathId,
    pub or_absent: bool,
    pub alternatives: &'b [u8],
}

/// The conditions of a body, in order.
#[derive(Clone, Debug)]
pub struct Conditions<'b>(Cursor<'b>);

pub fn conditions(body: &[u8]) -> Conditions<'_> {
    Conditions(Cursor::new(body))
}

impl<'b> Iterator for Conditions<'b> {
    type Item = Condition<'b>;

    #[inline(always)]
    fn next(&mut self) -> Option<Condition<'b>> {
        if self.0.is_empty() {
            return None;
        }
        let path = self.0.u32();
        let alternatives = self.0.bytes();
        Some(Condition { path: path & !OR_ABSENT, or_absent: path & OR_ABSENT != 0, alternatives })
    }
}

impl<'b> Condition<'b> {
    /// All alternatives; those of a set one by one.
    pub fn alternatives(&self) -> impl Iterator<Item = PackedAlternative<'b>> + use<'b> {
        let mut cursor = Cursor::new(self.alternatives);
        if self.alternatives.first() == Some(&op::SET) {
            cursor = Cursor::new(Set::read(cursor.alternative().operands).alternatives);
        }
        std::iter::from_fn(move || (!cursor.is_empty()).then(|| cursor.alternative()))
    }
}
