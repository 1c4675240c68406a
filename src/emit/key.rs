//! Record keys: their bytes, and the partition that they go to.
//!
//! The bytes of a key are a contract with everyone who reads or compacts the topic: values that are `=` give the same
//! bytes. The partition is the one that Kafka's Java client chooses for those bytes, so that records of one key from
//! different producers meet.

use std::hash::Hasher;
use std::sync::Arc;

use crate::event::key::{KeyHasher, canonical};
use crate::event::{Position, Record, Value, time};
use crate::json;

/// Appends the key of these values. One that is a VARCHAR or TIMESTAMP stands as it is, any other as its JSON text;
/// several, or none, are an object. A single NULL has none, which is false: a key for a collection (`null`) is what the
/// caller makes of it.
pub fn write(names: &[Arc<str>], values: &[Value], to: &mut Vec<u8>) -> bool {
    if let [value] = values {
        match value {
            Value::Null => return false,
            Value::Text(text) => to.extend(text.as_bytes()),
            Value::Timestamp(at) => to.extend(time::format(*at).as_bytes()),
            value => write_json(value, to),
        }
        return true;
    }
    to.push(b'{');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            to.push(b',');
        }
        json::write_str(names.get(i).map_or("", |name| name), to);
        to.push(b':');
        write_json(value, to);
    }
    to.push(b'}');
    true
}

/// JSON text without white space; numbers that are `=` are written alike.
fn write_json(value: &Value, to: &mut Vec<u8>) {
    let value = match value {
        Value::Double(double) => Value::Number(format!("{double:e}").into()),
        other => other.clone(),
    };
    json::write(&canonical(value), to);
}

/// The partition of a key: Kafka's default partitioner in its Java client.
pub fn partition(key: &[u8], partitions: i32) -> i32 {
    // `toPositive` of the Java client: the sign bit is cleared, the number is not negated.
    ((murmur2(key) & 0x7fff_ffff) % partitions.max(1) as u32) as i32
}

/// MurmurHash2 with the seed of Kafka's Java client.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a record without a key: even, and the same in every run.
pub fn spread(record: &Record, position: &[Position], partitions: i32) -> i32 {
    let mut hasher = KeyHasher::default();
    hasher.write(record.topic.as_bytes());
    hasher.write_i32(record.partition);
    hasher.write_i64(record.offset);
    for part in position {
        match part {
            Position::Item(item) => hasher.write_u64(*item),
            Position::Rule(Value::Text(rule)) => hasher.write(rule.as_bytes()),
            Position::Rule(rule) => hasher.write_u64(crate::event::key::hash_key(std::slice::from_ref(rule))),
            Position::Key(key) => hasher.write_u64(crate::event::key::hash_key(key)),
        }
    }
    (hasher.finish() % partitions.max(1) as u64) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[Value]) -> Option<String> {
        let names = ["user".into(), "model".into()];
        let mut bytes = Vec::new();
        write(&names, values, &mut bytes).then(|| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn murmur2_is_that_of_the_java_client() {
        let known: [(&str, i32); 6] = [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ];
        for (text, hash) in known {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
            assert_eq!(partition(text.as_bytes(), 1000), (hash & i32::MAX) % 1000);
        }
        assert!((0..7).contains(&partition(b"", 7)));
    }

    #[test]
    fn a_key_of_one_column_is_its_text() {
        assert_eq!(key(&[Value::text("a\"b")]).as_deref(), Some("a\"b"));
        assert_eq!(key(&[Value::Timestamp(0)]).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(key(&[Value::Bool(true)]).as_deref(), Some("true"));
        assert_eq!(key(&[Value::Json("[1.0, {}]".into())]).as_deref(), Some("[1,{}]"));
        let equal = [r#"{"b":1,"a":2.0}"#, r#"{"a": 2, "b": 1e0}"#].map(|text| key(&[Value::Json(text.into())]));
        assert_eq!(equal, [(); 2].map(|()| Some(r#"{"a":2,"b":1}"#.to_owned())), "equal values are one key");
        assert_eq!(key(&[Value::Null]), None);
    }

    #[test]
    fn a_key_of_several_columns_or_none_is_an_object() {
        let values = [Value::text("u1"), Value::Null];
        assert_eq!(key(&values).as_deref(), Some(r#"{"user":"u1","model":null}"#));
        assert_eq!(key(&[]).as_deref(), Some("{}"));
    }

    #[test]
    fn numbers_that_are_equal_are_one_key() {
        let million = [
            Value::Int(1_000_000),
            Value::Double(1e6),
            Value::Decimal("1000000.00".parse().unwrap()),
            Value::Number("1E+6".into()),
        ];
        for value in million {
            assert_eq!(key(&[value]).as_deref(), Some("1000000"));
        }
        assert_eq!(key(&[Value::Double(1e18)]), key(&[Value::Int(1_000_000_000_000_000_000)]));
        assert_eq!(key(&[Value::Double(-0.0)]).as_deref(), Some("0"));
        assert_eq!(key(&[Value::Double(0.1)]).as_deref(), Some("0.1"));
        assert_eq!(key(&[Value::Double(1e300)]), key(&[Value::Number("10e299".into())]));
    }

    #[test]
    fn records_without_a_key_are_spread_evenly_and_always_alike() {
        let mut counts = [0; 4];
        for offset in 0..4000 {
            let record = Record { topic: "t".into(), offset, ..Record::default() };
            let partition = spread(&record, &[], 4);
            assert_eq!(partition, spread(&record, &[], 4));
            counts[partition as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
