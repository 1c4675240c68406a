//! What measures ask of a value: is it a number they can add, and which of two values comes first.

use std::cmp::Ordering;

use crate::event::key::canonical;
use crate::event::{Interval, Value};

/// A value that a measure cannot take, or a result that its type cannot hold: the measure is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit;

/// A number as sums take it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// `mantissa` × 10^-`scale`.
    Exact {
        mantissa: i128,
        scale: u32,
    },
    Double(f64),
}

impl Number {
    /// Texts are no numbers here, nor is a number that DECIMAL cannot hold.
    pub fn of(value: &Value) -> Result<Number, Unfit> {
        match value {
            Value::Int(int) => Ok(Number::Exact { mantissa: i128::from(*int), scale: 0 }),
            Value::Decimal(decimal) => Ok(Number::Exact { mantissa: decimal.mantissa(), scale: decimal.scale() }),
            Value::Double(double) => Ok(Number::Double(*double)),
            Value::Number(_) => match canonical(value.clone()) {
                Value::Number(_) => Err(Unfit),
                other => Number::of(&other),
            },
            _ => Err(Unfit),
        }
    }
}

/// A number as the nearest DOUBLE.
pub fn as_double(value: &Value) -> Result<f64, Unfit> {
    let double = match value {
        Value::Int(int) => *int as f64,
        Value::Double(double) => *double,
        Value::Decimal(decimal) => decimal.to_string().parse().map_err(|_| Unfit)?,
        Value::Number(text) => text.parse().map_err(|_| Unfit)?,
        _ => return Err(Unfit),
    };
    if double.is_finite() { Ok(double) } else { Err(Unfit) }
}

/// Values of one kind have an order; those of two kinds have none, nor has JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    Bool,
    Number,
    Text,
    Timestamp,
    Interval,
}

pub fn kind(value: &Value) -> Result<Kind, Unfit> {
    match value {
        Value::Bool(_) => Ok(Kind::Bool),
        Value::Int(_) | Value::Double(_) | Value::Decimal(_) | Value::Number(_) => Ok(Kind::Number),
        Value::Text(_) => Ok(Kind::Text),
        Value::Timestamp(_) => Ok(Kind::Timestamp),
        Value::Interval(_) => Ok(Kind::Interval),
        Value::Null | Value::Json(_) => Err(Unfit),
    }
}

/// SQL's order of two values of one kind.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Interval(a), Value::Interval(b)) => length(a).cmp(&length(b)),
        (a, b) => a.cmp(b),
    }
}

/// As PostgreSQL compares intervals: a month is 30 days, a day 24 hours.
fn length(interval: &Interval) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * 86_400_000_000 + i128::from(interval.micros)
}

/// Decides between values that are equal but not identical (`1` and `1.0`), so that none wins by coming first.
pub fn compare_forms(a: &Value, b: &Value) -> Ordering {
    fn form(value: &Value) -> (u8, u32, u64, &str) {
        match value {
            Value::Int(_) => (1, 0, 0, ""),
            Value::Decimal(decimal) => (2, decimal.scale(), u64::from(decimal.is_sign_negative()), ""),
            Value::Double(double) => (3, 0, double.to_bits(), ""),
            Value::Number(text) => (4, 0, 0, text),
            Value::Json(text) => (5, 0, 0, text),
            Value::Interval(interval) => (6, interval.days as u32, interval.micros as u64, ""),
            _ => (0, 0, 0, ""),
        }
    }
    form(a).cmp(&form(b))
}
