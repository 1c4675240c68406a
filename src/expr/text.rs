//! Values as text: for casts and `||`, and for messages.

use std::fmt::Write;

use compact_str::CompactString;

use super::{Type, number};
use crate::event::{Value, time};

/// No function makes a longer text.
pub(super) const MAX_BYTES: usize = 16 << 20;

pub(super) fn too_long() -> String {
    format!("a text of more than {} MiB", MAX_BYTES >> 20)
}

/// The VARCHAR of a value that is not NULL.
pub(super) fn of(value: &Value) -> CompactString {
    let mut to = CompactString::default();
    append(value, &mut to);
    to
}

pub(super) fn append(value: &Value, to: &mut CompactString) {
    let written = match value {
        Value::Null => Ok(()),
        Value::Bool(b) => write!(to, "{b}"),
        Value::Int(i) => write!(to, "{i}"),
        Value::Double(d) => to.write_str(&double(*d)),
        Value::Decimal(d) => write!(to, "{d}"),
        Value::Number(text) => match number::decimal_of_text(text) {
            Some(d) => write!(to, "{d}"),
            None => to.write_str(text),
        },
        Value::Text(text) => to.write_str(text),
        Value::Timestamp(at) => to.write_str(&time::format(*at)),
        Value::Interval(interval) => to.write_str(&time::format_interval(*interval)),
        Value::Json(json) => to.write_str(json),
    };
    written.expect("writing to a string does not fail");
}

/// A DOUBLE in the fewest digits that give it back; in powers of ten below 1e-4 and from 1e15 on.
pub(super) fn double(d: f64) -> String {
    let scientific = format!("{d:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if d == 0.0 || (-4..15).contains(&exponent) {
        return format!("{d}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// A value in a message: `'abc' (VARCHAR)`.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_string(),
        value => format!("{} ({})", literal(value), Type::of(value).name()),
    }
}

/// A value in a message, without its type: `'abc'`.
pub(super) fn literal(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("'{}'", cut(text, 60)),
        Value::Number(text) => cut(text, 60),
        Value::Json(json) => cut(json, 60),
        other => of(other).into(),
    }
}

/// At most so many characters; what is cut off leaves `…`.
pub(super) fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_string(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// The name that is most like a word, if one is.
pub(super) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = names.map(|name| (distance(word, name), name)).min()?;
    let likely = near.0 <= 1 + near.1.len() / 4 || near.1.starts_with(word) || word.starts_with(near.1);
    likely.then_some(near.1)
}

/// How many letters are to be inserted, removed or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(100).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
