//! Text: cut, joined, searched. Positions and lengths count characters, from 1.

use compact_str::CompactString;

use super::{Args, Function, Kind, Result, Returns, strict};
use crate::event::Value;
use crate::expr::{Type, text};

const TEXT: Returns = Returns::Is(Type::Varchar);
const BOOLEAN: Returns = Returns::Is(Type::Boolean);

pub(super) static FUNCTIONS: &[Function] = &[
    strict("lower", "lower(text)", &[Kind::Text], TEXT, |a| made(a.text(0)?.to_lowercase())),
    strict("upper", "upper(text)", &[Kind::Text], TEXT, |a| made(a.text(0)?.to_uppercase())),
    strict("trim", "trim(text [, characters])", &[Kind::Text; 2], TEXT, |a| trim(a, true, true)).required(1),
    strict("ltrim", "ltrim(text [, characters])", &[Kind::Text; 2], TEXT, |a| trim(a, true, false)).required(1),
    strict("rtrim", "rtrim(text [, characters])", &[Kind::Text; 2], TEXT, |a| trim(a, false, true)).required(1),
    strict("length", "length(text)", &[Kind::Text], Returns::Is(Type::Bigint), |a| {
        Ok(Value::Int(a.text(0)?.chars().count() as i64))
    }),
    strict("substr", "substr(text, start [, length])", &[Kind::Text, Kind::Int, Kind::Int], TEXT, substr).required(2),
    strict("replace", "replace(text, from, to)", &[Kind::Text; 3], TEXT, replace),
    strict("concat", "concat(x, …)", &[Kind::Any], TEXT, |a| join(a, 0, "")).variadic(1).sees_nulls(),
    strict("concat_ws", "concat_ws(separator, x, …)", &[Kind::Text, Kind::Any], TEXT, |a| match a.value(0) {
        Value::Null => Ok(Value::Null),
        _ => join(a, 1, a.text(0)?),
    })
    .variadic(2)
    .sees_nulls(),
    strict("split_part", "split_part(text, delimiter, n)", &[Kind::Text, Kind::Text, Kind::Int], TEXT, split_part),
    strict("starts_with", "starts_with(text, prefix)", &[Kind::Text; 2], BOOLEAN, |a| {
        Ok(Value::Bool(a.text(0)?.starts_with(a.text(1)?)))
    }),
    strict("ends_with", "ends_with(text, suffix)", &[Kind::Text; 2], BOOLEAN, |a| {
        Ok(Value::Bool(a.text(0)?.ends_with(a.text(1)?)))
    }),
    strict("contains", "contains(text, part)", &[Kind::Text; 2], BOOLEAN, |a| {
        Ok(Value::Bool(a.text(0)?.contains(a.text(1)?)))
    }),
    strict("left", "left(text, n)", &[Kind::Text, Kind::Int], TEXT, |a| {
        Ok(Value::text(split_at(a.text(0)?, a.int(1)?).0))
    }),
    strict("right", "right(text, n)", &[Kind::Text, Kind::Int], TEXT, |a| {
        let n = a.int(1)?.checked_neg().unwrap_or(i64::MAX);
        // Zero from the right is nothing, zero from the left would be everything after it.
        Ok(Value::text(if n == 0 { "" } else { split_at(a.text(0)?, n).1 }))
    }),
    strict("lpad", "lpad(text, length [, fill])", &[Kind::Text, Kind::Int, Kind::Text], TEXT, lpad).required(2),
    strict("reverse", "reverse(text)", &[Kind::Text], TEXT, |a| made(a.text(0)?.chars().rev().collect::<String>())),
];

pub(super) fn made(text: String) -> Result<Value> {
    if text.len() > text::MAX_BYTES { Err(text::too_long()) } else { Ok(Value::Text(CompactString::from(text))) }
}

fn trim(args: &Args<'_>, start: bool, end: bool) -> Result<Value> {
    let mut rest = args.text(0)?;
    let characters = if args.len() > 1 { args.text(1)? } else { " " };
    if start {
        rest = rest.trim_start_matches(|c| characters.contains(c));
    }
    if end {
        rest = rest.trim_end_matches(|c| characters.contains(c));
    }
    Ok(Value::text(rest))
}

/// Before and after the first `n` characters, or the last `-n`.
fn split_at(text: &str, n: i64) -> (&str, &str) {
    let index = if n >= 0 {
        text.char_indices().nth(n as usize).map_or(text.len(), |(at, _)| at)
    } else {
        let back = n.unsigned_abs() as usize - 1;
        text.char_indices().rev().nth(back).map_or(0, |(at, _)| at)
    };
    text.split_at(index)
}

/// Characters before the first count too: `substr('abc', 0, 2)` is `a`.
fn substr(args: &Args<'_>) -> Result<Value> {
    let (whole, start) = (args.text(0)?, args.int(1)?);
    let end = match args.len() {
        2 => i64::MAX,
        _ => match args.int(2)? {
            length if length < 0 => return Err(format!("a negative length, {length}")),
            length => start.saturating_add(length),
        },
    };
    let (from, to) = (start.max(1) - 1, end.max(1) - 1);
    let rest = split_at(whole, from).1;
    Ok(Value::text(split_at(rest, (to - from).max(0)).0))
}

fn replace(args: &Args<'_>) -> Result<Value> {
    let (whole, from, to) = (args.text(0)?, args.text(1)?, args.text(2)?);
    if from.is_empty() {
        return Ok(Value::text(whole));
    }
    let count = whole.matches(from).count();
    if whole.len() + count.saturating_mul(to.len()) > text::MAX_BYTES + count * from.len() {
        return Err(text::too_long());
    }
    made(whole.replace(from, to))
}

/// Arguments from `first` on; NULLs are left out.
fn join(args: &Args<'_>, first: usize, separator: &str) -> Result<Value> {
    let mut whole = CompactString::default();
    let mut between = "";
    for value in args.values[first..].iter().filter(|value| !value.is_null()) {
        whole.push_str(between);
        match &**value {
            // A cast writes `true`; these functions write what PostgreSQL shows.
            Value::Bool(b) => whole.push(if *b { 't' } else { 'f' }),
            value => text::append(value, &mut whole),
        }
        between = separator;
        if whole.len() > text::MAX_BYTES {
            return Err(text::too_long());
        }
    }
    Ok(Value::Text(whole))
}

/// The n-th part, from the end if n is negative; empty where there is none.
fn split_part(args: &Args<'_>) -> Result<Value> {
    let (whole, delimiter, n) = (args.text(0)?, args.text(1)?, args.int(2)?);
    let index = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    let part = match n {
        0 => return Err("a part's number is not 0".to_string()),
        1 | -1 if delimiter.is_empty() => Some(whole),
        _ if delimiter.is_empty() => None,
        1.. => whole.split(delimiter).nth(index - 1),
        _ => whole.rsplit(delimiter).nth(index - 1),
    };
    Ok(Value::text(part.unwrap_or("")))
}

fn lpad(args: &Args<'_>) -> Result<Value> {
    let (whole, length) = (args.text(0)?, args.int(1)?.max(0));
    let fill = if args.len() > 2 { args.text(2)? } else { " " };
    let missing = length - whole.chars().count() as i64;
    if missing <= 0 {
        return Ok(Value::text(split_at(whole, length).0));
    }
    if missing > text::MAX_BYTES as i64 / 4 {
        return Err(text::too_long());
    }
    let padding = fill.chars().cycle().take(missing as usize);
    made(padding.chain(whole.chars()).collect())
}
