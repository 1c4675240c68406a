//! Keys of groups and rows: one hash for all workers and processes, and one way to write equal keys.
//!
//! The hash has a fixed seed and depends on values only: numbers that are `=` hash alike, whatever their kind, so it
//! may choose the worker of a key and still agree with the equality of keys. [`canonical`] gives numbers that are `=`
//! one representation, so that no result depends on which of `1` and `1.0` came first.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use rust_decimal::Decimal;
use xxhash_rust::xxh3::xxh3_64;

use super::Value;
use super::order::shortest;

/// A hash set or map of values in which nothing is random. (Its order still reaches no output.)
pub type Fixed = BuildHasherDefault<KeyHasher>;

/// The hash of a key: the same on every worker, in every process, in every run.
pub fn hash_key(key: &[Value]) -> u64 {
    let mut hasher = KeyHasher::default();
    for part in key {
        match part {
            // Spelt out because it is what keys are made of.
            Value::Text(text) => hasher.word(xxh3_64(text.as_bytes()) ^ 3),
            other => other.hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Quick on short keys: whole words are multiplied in, texts go through XXH3.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher {
    state: u64,
}

impl KeyHasher {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

    #[inline]
    fn word(&mut self, word: u64) {
        self.state = (self.state.rotate_left(23) ^ word).wrapping_mul(Self::FACTOR);
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.word(xxh3_64(bytes));
    }

    fn write_u8(&mut self, byte: u8) {
        self.word(u64::from(byte));
    }

    fn write_i32(&mut self, word: i32) {
        self.word(word as u64);
    }

    fn write_i64(&mut self, word: i64) {
        self.word(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.word(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.word(word as u64);
    }

    /// Spreads every bit of the state over the whole word (the finalizer of MurmurHash3).
    fn finish(&self) -> u64 {
        let mut hash = self.state;
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        hash ^ (hash >> 33)
    }
}

/// Sorts by key; texts are compared by their first 15 bytes before anything is looked up.
pub fn sort_by_key<T>(items: &mut [T], key: impl Fn(&T) -> &[Value]) {
    fn prefix(key: &[Value]) -> u128 {
        match key.first() {
            None | Some(Value::Null) => 0,
            Some(Value::Text(text)) => {
                let mut bytes = [0; 16];
                let length = text.len().min(15);
                bytes[0] = 2;
                bytes[1..=length].copy_from_slice(&text.as_bytes()[..length]);
                u128::from_be_bytes(bytes)
            }
            // Before texts stand booleans and numbers, after them everything else.
            Some(Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Decimal(_) | Value::Number(_)) => 1 << 120,
            Some(Value::Timestamp(_) | Value::Interval(_) | Value::Json(_)) => 3 << 120,
        }
    }
    let mut order: Vec<(u128, usize)> = items.iter().enumerate().map(|(at, item)| (prefix(key(item)), at)).collect();
    let full = |a: usize, b: usize| key(&items[a]).cmp(key(&items[b])).then(a.cmp(&b));
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| full(a.1, b.1)));
    // Puts every item where the order says, by swaps along the cycles of the permutation.
    for start in 0..order.len() {
        let mut at = start;
        while order[at].1 != start {
            let from = order[at].1;
            items.swap(at, from);
            order[at].1 = at;
            at = from;
        }
        order[at].1 = at;
    }
}

/// A key's part in the one form that all values equal to it share: `1` for `1.0` and `1e0`, `0` for `-0`, members of
/// JSON objects sorted. A DOUBLE stays one, since the type of a column is known.
pub fn canonical(part: Value) -> Value {
    match part {
        Value::Decimal(decimal) => canonical_decimal(decimal),
        Value::Double(double) => Value::Double(if double == 0.0 { 0.0 } else { double }),
        Value::Number(text) => canonical_number(&text),
        Value::Json(text) => Value::Json(canonical_json(&text).into()),
        other => other,
    }
}

fn canonical_decimal(decimal: Decimal) -> Value {
    let decimal = decimal.normalize();
    match i64::try_from(decimal.mantissa()) {
        Ok(whole) if decimal.scale() == 0 => Value::Int(whole),
        _ => Value::Decimal(decimal),
    }
}

fn canonical_number(text: &str) -> Value {
    let short = shortest(text);
    match Decimal::from_str_exact(&short) {
        Ok(decimal) if decimal.mantissa().unsigned_abs() < 10u128.pow(28) => canonical_decimal(decimal),
        _ => Value::Number(short.into()),
    }
}

/// JSON text without white space, numbers in their shortest form, members sorted.
fn canonical_json(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(value) => {
            let mut to = String::with_capacity(text.len());
            write_json(&value, &mut to);
            to
        }
        Err(_) => text.to_owned(),
    }
}

fn write_json(value: &serde_json::Value, to: &mut String) {
    match value {
        serde_json::Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|member| member.0);
            let mut separator = '{';
            for (name, member) in members {
                to.push(separator);
                separator = ',';
                to.push_str(&serde_json::Value::from(name.as_str()).to_string());
                to.push(':');
                write_json(member, to);
            }
            to.push_str(if separator == '{' { "{}" } else { "}" });
        }
        serde_json::Value::Array(items) => {
            to.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    to.push(',');
                }
                write_json(item, to);
            }
            to.push(']');
        }
        serde_json::Value::Number(number) => to.push_str(&shortest(number.as_str())),
        scalar => to.push_str(&scalar.to_string()),
    }
}

impl Value {
    /// About how many bytes the value holds, those outside of itself included.
    pub fn bytes(&self) -> usize {
        let outside = match self {
            Value::Text(text) if text.is_heap_allocated() => text.capacity(),
            Value::Number(text) | Value::Json(text) => text.len() + 16,
            _ => 0,
        };
        size_of::<Self>() + outside
    }

    /// Are they the same to the letter? `1.0` and `1.00` are equal, but not identical.
    pub fn identical(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Decimal(a), Value::Decimal(b)) => a.serialize() == b.serialize(),
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            (Value::Number(a), Value::Number(b)) | (Value::Json(a), Value::Json(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b) && a == b,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Value {
        Value::Number(text.into())
    }

    #[test]
    fn equal_keys_hash_alike_and_are_written_alike() {
        let ones = [Value::Int(1), Value::Decimal("1.00".parse().unwrap()), number("10e-1")];
        for one in ones {
            assert_eq!(hash_key(std::slice::from_ref(&one)), hash_key(&[Value::Int(1)]));
            assert!(canonical(one).identical(&Value::Int(1)));
        }
        assert!(canonical(number("-0")).identical(&Value::Int(0)));
        assert!(canonical(number("100e398")).identical(&canonical(number("1e400"))));
        let json = Value::Json(r#"{"b":[2.0, {}],"a":1e0}"#.into());
        assert!(canonical(json).identical(&Value::Json(r#"{"a":1,"b":[2,{}]}"#.into())));
    }

    proptest::proptest! {
        #[test]
        fn sorting_by_prefixes_is_sorting_by_keys(numbers in proptest::collection::vec((0u8..4, -20i64..20), 0..40)) {
            let value = |(kind, number): (u8, i64)| match kind {
                0 => Value::Int(number),
                1 => Value::text(format!("a text of many bytes {}", number.abs())),
                2 if number < 0 => Value::Null,
                2 => Value::Bool(number % 2 == 0),
                _ => Value::Timestamp(number),
            };
            let mut keys: Vec<_> = numbers.into_iter().map(|number| [value(number), Value::Int(1)]).collect();
            let mut expected = keys.clone();
            expected.sort();
            sort_by_key(&mut keys, |key| key);
            proptest::prop_assert_eq!(keys, expected);
        }
    }

    #[test]
    fn the_hash_never_changes() {
        let key = [Value::text("u1"), Value::Int(7), Value::Null];
        assert_eq!(hash_key(&key), hash_key(&key));
        assert_ne!(hash_key(&key), hash_key(&[Value::text("u1"), Value::Null, Value::Int(7)]));
        assert_ne!(hash_key(&[Value::text("1")]), hash_key(&[Value::Int(1)]));
    }
}
