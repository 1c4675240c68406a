//! Numbers as they are computed with: BIGINT, DECIMAL or DOUBLE.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{decimal, text};
use crate::event::Value;

#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Int(i64),
    Decimal(Decimal),
    Double(f64),
}

impl Number {
    /// A number to compute with. One of more than 28 digits is an error; `None` for what is no number.
    pub fn of(value: &Value) -> Option<Result<Number, String>> {
        Some(Ok(match value {
            Value::Int(i) => Number::Int(*i),
            Value::Double(d) => Number::Double(*d),
            Value::Decimal(d) if decimal::fits(d) => Number::Decimal(*d),
            Value::Number(text) => match decimal_of_text(text) {
                Some(d) => Number::Decimal(d),
                None => return Some(Err(beyond(text))),
            },
            Value::Decimal(d) => return Some(Err(beyond(&d.to_string()))),
            _ => return None,
        }))
    }

    pub fn double(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Decimal(d) => decimal_as_double(&d),
            Number::Double(d) => d,
        }
    }

    /// Exact; `None` of a DOUBLE.
    pub fn decimal(self) -> Option<Decimal> {
        match self {
            Number::Int(i) => Some(Decimal::from(i)),
            Number::Decimal(d) => Some(d),
            Number::Double(_) => None,
        }
    }
}

fn beyond(number: &str) -> String {
    format!("{} has more than 28 digits", text::cut(number, 60))
}

pub(super) fn decimal_of_text(text: &str) -> Option<Decimal> {
    decimal::parse(text)
}

/// The nearest double.
fn decimal_as_double(d: &Decimal) -> f64 {
    // Both are exact as doubles up to here, so that the quotient is rounded once.
    const EXACT: i128 = 1 << 53;
    let (digits, scale) = (d.mantissa(), d.scale());
    if digits.abs() <= EXACT && scale <= 22 {
        return digits as f64 / 10f64.powi(scale as i32);
    }
    d.to_string().parse().unwrap_or(f64::INFINITY)
}

/// Any number as a double, for comparing: one that is too large is infinite.
pub(super) fn as_double(value: &Value) -> f64 {
    match value {
        Value::Int(i) => *i as f64,
        Value::Double(d) => *d,
        Value::Decimal(d) => decimal_as_double(d),
        Value::Number(text) => text.parse().unwrap_or(f64::INFINITY),
        _ => 0.0,
    }
}

pub(super) fn finite(d: f64) -> Result<Value, String> {
    if d.is_finite() { Ok(Value::Double(d)) } else { Err("the DOUBLE result is not finite".to_string()) }
}

/// A result that is 0 only where it `may_be_zero`: one that is too near to 0 for a DOUBLE is an error, as in PostgreSQL.
pub(super) fn not_too_small(d: f64, may_be_zero: bool) -> Result<Value, String> {
    if d == 0.0 && !may_be_zero { Err("the DOUBLE result is too small".to_string()) } else { finite(d) }
}

/// A whole number, half away from zero.
pub(super) fn decimal_to_int(d: &Decimal) -> Option<i64> {
    d.round_dp_with_strategy(0, rust_decimal::RoundingStrategy::MidpointAwayFromZero).to_i64()
}

/// A whole number, half to even.
pub(super) fn double_to_int(d: f64) -> Option<i64> {
    let whole = d.round_ties_even();
    // 2^63 itself is too large; its negative is not.
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole).then_some(whole as i64)
}
