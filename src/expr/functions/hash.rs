//! Hashes. `sha256` and `md5` of a text's UTF-8 bytes, in lower-case hexadecimal digits.
//!
//! `hash(x, …)` is XXH3 (64 bits, seed 0) as a BIGINT, of these bytes, one group for each argument; it never changes:
//!
//! | value | bytes |
//! |---|---|
//! | NULL | `00` |
//! | BOOLEAN | `01`, then `00` or `01` |
//! | a number | `02`, then its shortest decimal form: sign, digits without zeros at either end, `e`, exponent of the first digit (`-125e1` is −1.25 times 10; zero is `0`), then `00` |
//! | VARCHAR | `03`, length (u64, little-endian), UTF-8 |
//! | TIMESTAMP | `04`, microseconds (i64) |
//! | INTERVAL | `05`, months (i32), days (i32), microseconds (i64) |
//! | JSON array | `06`, count (u64), its items as above |
//! | JSON object | `07`, count (u64), keys (as VARCHAR) and values, by key |
//!
//! So values that are `=` have one hash, whatever their form: `1`, `1.0` and `1e0`.

use std::fmt::Write;

use md5::Digest;
use serde_json::Value as Tree;
use xxhash_rust::xxh3::Xxh3Default;

use super::{Args, Function, Kind, Result, Returns, strict};
use crate::event::Value;
use crate::expr::Type;

pub(super) static FUNCTIONS: &[Function] = &[
    strict("sha256", "sha256(text)", &[Kind::Text], Returns::Is(Type::Varchar), |a| {
        hex(&sha2::Sha256::digest(a.text(0)?.as_bytes()))
    }),
    strict("md5", "md5(text)", &[Kind::Text], Returns::Is(Type::Varchar), |a| {
        hex(&md5::Md5::digest(a.text(0)?.as_bytes()))
    }),
    strict("hash", "hash(x, …)", &[Kind::Any], Returns::Is(Type::Bigint), hash).variadic(1).sees_nulls(),
];

fn hex(bytes: &[u8]) -> Result<Value> {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    Ok(Value::text(text))
}

fn hash(args: &Args<'_>) -> Result<Value> {
    let mut state = Xxh3Default::new();
    for value in args.values {
        feed(value, &mut state)?;
    }
    Ok(Value::Int(state.digest() as i64))
}

fn feed(value: &Value, to: &mut Xxh3Default) -> Result<()> {
    match value {
        Value::Null => to.update(&[0]),
        Value::Bool(b) => to.update(&[1, u8::from(*b)]),
        Value::Int(i) => number(&i.to_string(), to),
        Value::Double(d) => number(&format!("{d:e}"), to),
        Value::Decimal(d) => number(&d.to_string(), to),
        Value::Number(text) => number(text, to),
        Value::Text(text) => bytes(text, to),
        Value::Timestamp(at) => {
            to.update(&[4]);
            to.update(&at.to_le_bytes());
        }
        Value::Interval(i) => {
            to.update(&[5]);
            to.update(&i.months.to_le_bytes());
            to.update(&i.days.to_le_bytes());
            to.update(&i.micros.to_le_bytes());
        }
        Value::Json(text) => {
            let tree = serde_json::from_str(text).map_err(|e| format!("JSON that cannot be hashed: {e}"))?;
            feed_tree(&tree, to);
        }
    }
    Ok(())
}

fn number(text: &str, to: &mut Xxh3Default) {
    to.update(&[2]);
    to.update(crate::event::canonical_number(text).as_bytes());
    to.update(&[0]);
}

fn bytes(text: &str, to: &mut Xxh3Default) {
    to.update(&[3]);
    to.update(&(text.len() as u64).to_le_bytes());
    to.update(text.as_bytes());
}

fn count(tag: u8, n: usize, to: &mut Xxh3Default) {
    to.update(&[tag]);
    to.update(&(n as u64).to_le_bytes());
}

fn feed_tree(tree: &Tree, to: &mut Xxh3Default) {
    match tree {
        Tree::Null => to.update(&[0]),
        Tree::Bool(b) => to.update(&[1, u8::from(*b)]),
        Tree::Number(n) => number(n.as_str(), to),
        Tree::String(text) => bytes(text, to),
        Tree::Array(items) => {
            count(6, items.len(), to);
            items.iter().for_each(|item| feed_tree(item, to));
        }
        Tree::Object(members) => {
            count(7, members.len(), to);
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|a, b| a.0.cmp(b.0));
            for (key, value) in members {
                bytes(key, to);
                feed_tree(value, to);
            }
        }
    }
}
