//! Casts, as PostgreSQL does them: text is read without the white space around it, numbers are rounded.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::number::{Number, as_double, decimal_to_int, double_to_int, not_too_small};
use super::{Type, decimal, text};
use crate::event::{Value, time};
use crate::json;

/// JSON that nests deeper is not read out of a text.
const JSON_DEPTH: usize = 512;

/// A value that is not NULL as another type; the error is a sentence that names the value.
pub(super) fn cast(value: &Value, to: Type) -> Result<Value, String> {
    let result = match to {
        Type::Boolean => boolean(value),
        Type::Bigint => bigint(value),
        Type::Double => return double(value),
        Type::Decimal => to_decimal(value).map(Value::Decimal),
        Type::Varchar => Some(Value::Text(text::of(value))),
        Type::Timestamp => timestamp(value),
        Type::Interval => interval(value),
        Type::Json => return json_of(value),
        Type::Any | Type::Null => Some(value.clone()),
    };
    result.ok_or_else(|| refused(value, to))
}

fn refused(value: &Value, to: Type) -> String {
    let hint = match (to, value) {
        (Type::Timestamp, Value::Text(_)) => " (it is read as RFC 3339: 2026-01-31T12:00:00Z)",
        _ => "",
    };
    format!("cannot cast {} to {}{hint}", text::literal(value), to.name())
}

fn boolean(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(b) => Some(Value::Bool(*b)),
        Value::Int(i) => Some(Value::Bool(*i != 0)),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "tru" | "tr" | "t" | "yes" | "ye" | "y" | "on" | "1" => Some(Value::Bool(true)),
            "false" | "fals" | "fal" | "fa" | "f" | "no" | "n" | "off" | "of" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

fn bigint(value: &Value) -> Option<Value> {
    let int = match value {
        Value::Bool(b) => i64::from(*b),
        Value::Text(text) => text.trim().parse().ok()?,
        value => match Number::of(value)?.ok()? {
            Number::Int(i) => i,
            Number::Decimal(d) => decimal_to_int(&d)?,
            Number::Double(d) => double_to_int(d)?,
        },
    };
    Some(Value::Int(int))
}

fn double(value: &Value) -> Result<Value, String> {
    let number = match value {
        Value::Int(_) | Value::Double(_) | Value::Decimal(_) | Value::Number(_) => Some(as_double(value)),
        Value::Text(text) => number_text(text).and_then(|text| text.parse().ok()),
        _ => None,
    };
    let is_zero = match value {
        Value::Text(text) => has_no_digit_but_zero(text),
        Value::Number(text) => has_no_digit_but_zero(text),
        _ => true,
    };
    number.and_then(|d| not_too_small(d, is_zero).ok()).ok_or_else(|| refused(value, Type::Double))
}

fn has_no_digit_but_zero(number: &str) -> bool {
    number.bytes().take_while(|b| !b.eq_ignore_ascii_case(&b'e')).all(|b| !matches!(b, b'1'..=b'9'))
}

/// The text of a number, which has digits: `inf` and `nan` are none.
fn number_text(text: &str) -> Option<&str> {
    let text = text.trim();
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')).then_some(text)
}

fn to_decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Text(text) => decimal::parse(text.trim()),
        // Fifteen digits are what a DOUBLE holds for certain.
        Value::Double(d) => decimal::parse(&format!("{d:.14e}")).map(|d| d.normalize()),
        value => Number::of(value)?.ok()?.decimal(),
    }
}

fn timestamp(value: &Value) -> Option<Value> {
    match value {
        Value::Timestamp(_) => Some(value.clone()),
        Value::Text(text) => time::parse_rfc3339(text.trim()).map(Value::Timestamp),
        _ => None,
    }
}

fn interval(value: &Value) -> Option<Value> {
    match value {
        Value::Interval(_) => Some(value.clone()),
        Value::Text(text) => time::parse_interval(text).map(Value::Interval),
        _ => None,
    }
}

/// Text is read as JSON; every other value is its own.
fn json_of(value: &Value) -> Result<Value, String> {
    match value {
        Value::Text(text) => parse_json(text),
        Value::Timestamp(_) | Value::Interval(_) => Ok(Value::Text(text::of(value))),
        other => Ok(other.clone()),
    }
}

pub(super) fn parse_json(text: &str) -> Result<Value, String> {
    json::parse(text.as_bytes(), JSON_DEPTH).map_err(|e| format!("'{}' is no JSON: {e}", text::cut(text, 60)))
}

/// A number literal: a BIGINT if it is written as an integer and fits, else a DECIMAL.
pub(super) fn number_literal(digits: &str) -> Value {
    if let Ok(int) = digits.parse() {
        return Value::Int(int);
    }
    match decimal::parse(digits) {
        Some(decimal) => Value::Decimal(decimal),
        None => Value::Number(Arc::from(digits)),
    }
}
