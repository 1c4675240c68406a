//! SQL's comparison of two values. Unlike types are an error, and so is an order of JSON.
//!
//! BIGINT and DECIMAL compare exactly, and with a DOUBLE as DOUBLE. Text compares by code point, JSON deeply. An interval
//! counts 30 days to the month and 24 hours to the day.

use std::cmp::Ordering;

use super::{Type, number, text};
use crate::event::{Interval, Value, time};

/// Two values that are not NULL. `orders`: is more asked than equality?
pub(super) fn compare(a: &Value, b: &Value, orders: bool) -> Result<Ordering, String> {
    use Value::*;
    Ok(match (a, b) {
        (Text(a), Text(b)) => a.as_str().cmp(b.as_str()),
        (Int(a), Int(b)) => a.cmp(b),
        (Bool(a), Bool(b)) => a.cmp(b),
        (Timestamp(a), Timestamp(b)) => a.cmp(b),
        (Interval(a), Interval(b)) => length(*a).cmp(&length(*b)),
        (Double(a), b) if is_number(b) => doubles(*a, number::as_double(b)),
        (a, Double(b)) if is_number(a) => doubles(number::as_double(a), *b),
        (a, b) if is_number(a) && is_number(b) => a.cmp(b),
        (Json(_), Json(_)) if !orders => a.cmp(b),
        (Json(_), Json(_)) => return Err("JSON objects and arrays have no order".to_string()),
        _ => return Err(unlike(a, b)),
    })
}

/// The same, where a constant text takes the type of a TIMESTAMP or INTERVAL beside it.
pub(super) fn adapting(a: &Value, b: &Value, orders: bool, constant: (bool, bool)) -> Result<Ordering, String> {
    match (a, b) {
        (Value::Text(text), other) if constant.0 => match adapt(text, Type::of(other)) {
            Some(value) => compare(&value?, other, orders),
            None => compare(a, b, orders),
        },
        (other, Value::Text(text)) if constant.1 => match adapt(text, Type::of(other)) {
            Some(value) => compare(other, &value?, orders),
            None => compare(a, b, orders),
        },
        _ => compare(a, b, orders),
    }
}

/// An untyped text literal where a TIMESTAMP or an INTERVAL is wanted; `None` for other types.
pub(super) fn adapt(text: &str, ty: Type) -> Option<Result<Value, String>> {
    match ty {
        Type::Timestamp | Type::Interval => Some(super::cast::cast(&Value::text(text), ty)),
        _ => None,
    }
}

/// Neither is NaN.
fn doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

fn is_number(value: &Value) -> bool {
    Type::of(value).is_number()
}

/// Microseconds of an interval, for comparing.
fn length(interval: Interval) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * i128::from(time::DAY) + i128::from(interval.micros)
}

fn unlike(a: &Value, b: &Value) -> String {
    format!("cannot compare {} with {}", text::show(a), text::show(b))
}
