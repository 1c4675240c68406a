//! JSON objects and arrays: made, read, written.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Args, Function, Kind, Result, Returns, strict};
use crate::event::Value;
use crate::expr::{Type, cast, text};
use crate::json;

const JSON: Returns = Returns::Is(Type::Json);

pub(super) static FUNCTIONS: &[Function] = &[
    strict("json_object", "json_object('key', value, …)", &[Kind::Any], JSON, object)
        .variadic(0)
        .in_pairs()
        .sees_nulls(),
    strict("json_array", "json_array(value, …)", &[Kind::Any], JSON, array).variadic(0).sees_nulls(),
    strict("json_keys", "json_keys(object)", &[Kind::Json], JSON, keys),
    strict("array_length", "array_length(array)", &[Kind::Json], Returns::Is(Type::Bigint), |a| {
        Ok(Value::Int(items(a)?.len() as i64))
    }),
    strict(
        "array_contains",
        "array_contains(array, value)",
        &[Kind::Json, Kind::Any],
        Returns::Is(Type::Boolean),
        |a| {
            let wanted = match a.value(1) {
                time @ (Value::Timestamp(_) | Value::Interval(_)) => Value::Text(text::of(time)),
                other => other.clone(),
            };
            for item in items(a)? {
                if cast::parse_json(item.get())? == wanted {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        },
    ),
    strict("json_parse", "json_parse(text)", &[Kind::Text], Returns::Is(Type::Any), |a| cast::parse_json(a.text(0)?)),
    strict("json_text", "json_text(value)", &[Kind::Any], Returns::Is(Type::Varchar), |a| {
        let mut out = Vec::new();
        write(a.value(0), &mut out);
        Ok(Value::text(String::from_utf8_lossy(&out)))
    }),
    strict("typeof", "typeof(value)", &[Kind::Any], Returns::Is(Type::Varchar), |a| {
        Ok(Value::text(match a.value(0) {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int(_) | Value::Double(_) | Value::Decimal(_) | Value::Number(_) => "number",
            Value::Text(_) | Value::Timestamp(_) | Value::Interval(_) => "string",
            Value::Json(text) if text.trim_start().starts_with('[') => "array",
            Value::Json(_) => "object",
        }))
    })
    .sees_nulls(),
];

/// A value's JSON without white space.
fn write(value: &Value, out: &mut Vec<u8>) {
    let Value::Json(text) = value else { return json::write(value, out) };
    let (mut quoted, mut escaped) = (false, false);
    for &byte in text.as_bytes() {
        if !quoted && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        }
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        out.push(byte);
    }
}

fn made(out: Vec<u8>) -> Result<Value> {
    if out.len() > text::MAX_BYTES {
        return Err(text::too_long());
    }
    let text = String::from_utf8(out).map_err(|_| "JSON that is not UTF-8".to_string())?;
    Ok(Value::Json(Arc::from(text)))
}

/// A key that stands twice has its last value, in its first place.
fn object(args: &Args<'_>) -> Result<Value> {
    let mut members: Vec<(&str, &Value)> = Vec::with_capacity(args.len() / 2);
    for i in (0..args.len()).step_by(2) {
        let (key, value) = (args.text(i)?, args.value(i + 1));
        match members.iter_mut().find(|member| member.0 == key) {
            Some(member) => member.1 = value,
            None => members.push((key, value)),
        }
    }
    let mut out = vec![b'{'];
    for (i, (key, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write(&Value::text(key), &mut out);
        out.push(b':');
        json::write(value, &mut out);
    }
    out.push(b'}');
    made(out)
}

fn array(args: &Args<'_>) -> Result<Value> {
    let mut out = vec![b'['];
    for (i, value) in args.values.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write(value, &mut out);
    }
    out.push(b']');
    made(out)
}

fn items<'a>(args: &'a Args<'_>) -> Result<Vec<&'a RawValue>> {
    let items = match args.value(0) {
        Value::Json(text) => serde_json::from_str(text).ok(),
        _ => None,
    };
    items.ok_or_else(|| format!("`{}` expects a JSON array, got {}", args.function.name, text::show(args.value(0))))
}

fn keys(args: &Args<'_>) -> Result<Value> {
    let keys = match args.value(0) {
        Value::Json(text) => serde_json::Deserializer::from_str(text).deserialize_map(Keys).ok(),
        _ => None,
    };
    let unfit = || format!("`json_keys` expects a JSON object, got {}", text::show(args.value(0)));
    let mut out = vec![b'['];
    for (i, key) in keys.ok_or_else(unfit)?.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write(&Value::text(key), &mut out);
    }
    out.push(b']');
    made(out)
}

/// The keys of an object in its order, each once.
struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Vec<String>, A::Error> {
        let mut keys = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if known.insert(key.clone()) {
                keys.push(key);
            }
        }
        Ok(keys)
    }
}
