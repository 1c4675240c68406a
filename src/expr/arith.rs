//! `+ - * / %` and the sign, on numbers, timestamps and intervals.
//!
//! BIGINT stays BIGINT (its division truncates), with DECIMAL it is DECIMAL, with DOUBLE all is DOUBLE. What the type
//! cannot hold is an error.

use super::node::ArithOp;
use super::number::{Number, finite, not_too_small};
use super::{Type, decimal, text};
use crate::event::{Interval, Micros, Value, time};

type Result<T> = std::result::Result<T, String>;

impl ArithOp {
    pub fn sign(self) -> char {
        match self {
            ArithOp::Add => '+',
            ArithOp::Sub => '-',
            ArithOp::Mul => '*',
            ArithOp::Div => '/',
            ArithOp::Rem => '%',
        }
    }

    /// What an untyped text literal is beside a value of a type: to a TIMESTAMP an INTERVAL is added, and from one a
    /// TIMESTAMP is taken.
    pub fn literal_beside(self, ty: Type) -> Type {
        match (self, ty) {
            (ArithOp::Add, Type::Timestamp) => Type::Interval,
            (ArithOp::Add | ArithOp::Sub, ty) => ty,
            _ => Type::Any,
        }
    }

    /// The type of a result, as far as the operands' types tell; `None` where the operator has no meaning for them.
    pub fn result(self, left: Type, right: Type) -> Option<Type> {
        use Type::{Any, Bigint, Double, Interval, Json, Null, Timestamp};
        Some(match (self, left, right) {
            (_, l, r) if l.is_number() && r.is_number() => l.wider(r),
            (ArithOp::Add | ArithOp::Sub, Timestamp, Interval) | (ArithOp::Add, Interval, Timestamp) => Timestamp,
            (ArithOp::Sub, Timestamp, Timestamp) => Interval,
            (ArithOp::Add | ArithOp::Sub, Interval, Interval) => Interval,
            (ArithOp::Mul, Interval, r) if r.is_number() || r.is_dynamic() => Interval,
            (ArithOp::Mul, l, Interval) if l.is_number() || l.is_dynamic() => Interval,
            (ArithOp::Add, Timestamp, r) | (ArithOp::Add, r, Timestamp) if r.is_dynamic() => Timestamp,
            (ArithOp::Add | ArithOp::Sub, Interval | Timestamp, r) if r.is_dynamic() => Any,
            (ArithOp::Add | ArithOp::Sub, l, Interval | Timestamp) if l.is_dynamic() => Any,
            (ArithOp::Mul, Double, Any | Json) | (ArithOp::Mul, Any | Json, Double) => Any,
            (_, Double, r) if r.is_dynamic() => Double,
            (_, l, Double) if l.is_dynamic() => Double,
            (_, Null, t @ (Bigint | Type::Decimal)) | (_, t @ (Bigint | Type::Decimal), Null) => t,
            (_, l, r) if l.is_dynamic() && (r.is_dynamic() || r.is_number()) => Any,
            (_, l, r) if l.is_number() && r.is_dynamic() => Any,
            _ => return None,
        })
    }
}

/// The same, where a constant text beside a TIMESTAMP or INTERVAL is read as what it must be.
pub(super) fn adapting(op: ArithOp, left: &Value, right: &Value, constant: (bool, bool)) -> Result<Value> {
    let adapt = |text: &str, other: &Value| super::compare::adapt(text, op.literal_beside(Type::of(other)));
    let adapted = match (left, right) {
        (Value::Text(text), other) if constant.0 => adapt(text, other).map(|value| compute(op, &value?, other)),
        (other, Value::Text(text)) if constant.1 => adapt(text, other).map(|value| compute(op, other, &value?)),
        _ => None,
    };
    adapted.unwrap_or_else(|| compute(op, left, right))
}

pub(super) fn compute(op: ArithOp, left: &Value, right: &Value) -> Result<Value> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => return Ok(Value::Null),
        (Value::Int(a), Value::Int(b)) => return ints(op, *a, *b),
        _ => {}
    }
    match (Number::of(left), Number::of(right)) {
        (Some(a), Some(b)) => numbers(op, a?, b?),
        (None, Some(by)) => match left {
            Value::Interval(interval) if op == ArithOp::Mul => times(*interval, by?),
            _ => Err(unfit(op, left, right)),
        },
        (Some(by), None) => match right {
            Value::Interval(interval) if op == ArithOp::Mul => times(*interval, by?),
            _ => Err(unfit(op, left, right)),
        },
        (None, None) => times_of_day(op, left, right),
    }
}

fn unfit(op: ArithOp, left: &Value, right: &Value) -> String {
    format!("cannot compute {} {} {}", text::show(left), op.sign(), text::show(right))
}

fn beyond(op: ArithOp, left: impl std::fmt::Display, right: impl std::fmt::Display, ty: &str) -> String {
    format!("{left} {} {right} is out of the range of {ty}", op.sign())
}

fn by_zero(left: impl std::fmt::Display) -> String {
    format!("division of {left} by zero")
}

fn ints(op: ArithOp, a: i64, b: i64) -> Result<Value> {
    let result = match op {
        ArithOp::Add => a.checked_add(b),
        ArithOp::Sub => a.checked_sub(b),
        ArithOp::Mul => a.checked_mul(b),
        ArithOp::Div | ArithOp::Rem if b == 0 => return Err(by_zero(a)),
        ArithOp::Div => a.checked_div(b),
        ArithOp::Rem => Some(a.wrapping_rem(b)),
    };
    result.map(Value::Int).ok_or_else(|| beyond(op, a, b, "BIGINT"))
}

fn numbers(op: ArithOp, a: Number, b: Number) -> Result<Value> {
    match (a.decimal(), b.decimal()) {
        (Some(a), Some(b)) => {
            let result = match op {
                ArithOp::Add => decimal::add(&a, &b),
                ArithOp::Sub => decimal::sub(&a, &b),
                ArithOp::Mul => decimal::mul(&a, &b),
                ArithOp::Div | ArithOp::Rem if b.is_zero() => return Err(by_zero(a)),
                ArithOp::Div => decimal::div(&a, &b),
                ArithOp::Rem => decimal::rem(&a, &b),
            };
            result.map(Value::Decimal).ok_or_else(|| beyond(op, a, b, "DECIMAL (28 digits)"))
        }
        _ => doubles(op, a.double(), b.double()),
    }
}

fn doubles(op: ArithOp, a: f64, b: f64) -> Result<Value> {
    finite(match op {
        ArithOp::Add => a + b,
        ArithOp::Sub => a - b,
        ArithOp::Mul => return not_too_small(a * b, a == 0.0 || b == 0.0),
        ArithOp::Div | ArithOp::Rem if b == 0.0 => return Err(by_zero(a)),
        ArithOp::Div => return not_too_small(a / b, a == 0.0),
        ArithOp::Rem => a % b,
    })
}

fn times_of_day(op: ArithOp, left: &Value, right: &Value) -> Result<Value> {
    use Value::{Interval as I, Timestamp as T};
    match (op, left, right) {
        (ArithOp::Add, T(at), I(by)) | (ArithOp::Add, I(by), T(at)) => shift(*at, *by),
        (ArithOp::Sub, T(at), I(by)) => shift(*at, opposite(*by)?),
        (ArithOp::Sub, T(a), T(b)) => {
            // As in PostgreSQL: whole days are days.
            let (days, micros) = ((a - b) / time::DAY, (a - b) % time::DAY);
            Ok(I(Interval { months: 0, days: days as i32, micros }))
        }
        (ArithOp::Add, I(a), I(b)) => sum(*a, *b).map(I),
        (ArithOp::Sub, I(a), I(b)) => sum(*a, opposite(*b)?).map(I),
        _ => Err(unfit(op, left, right)),
    }
}

fn sum(a: Interval, b: Interval) -> Result<Interval> {
    let parts = a.months.checked_add(b.months).zip(a.days.checked_add(b.days)).zip(a.micros.checked_add(b.micros));
    let ((months, days), micros) = parts.ok_or("an interval out of range")?;
    Ok(Interval { months, days, micros })
}

fn opposite(i: Interval) -> Result<Interval> {
    let parts = i.months.checked_neg().zip(i.days.checked_neg()).zip(i.micros.checked_neg());
    let ((months, days), micros) = parts.ok_or("an interval out of range")?;
    Ok(Interval { months, days, micros })
}

/// Months first (the day is at most the month's last), then days, then the rest.
pub(super) fn shift(at: Micros, by: Interval) -> Result<Value> {
    let (days, of_day) = (at.div_euclid(time::DAY), at.rem_euclid(time::DAY));
    let (year, month, day) = time::date_of(days);
    let months = year * 12 + i64::from(month) - 1 + i64::from(by.months);
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) as u32 + 1);
    let days = time::days_of(year, month, day.min(time::days_in_month(year, month))) + i64::from(by.days);
    let micros = i128::from(days) * i128::from(time::DAY) + i128::from(of_day) + i128::from(by.micros);
    let shifted = time::checked(micros).map(Value::Timestamp);
    shifted.ok_or_else(|| format!("{} moved by {} is out of range", time::format(at), time::format_interval(by)))
}

/// Whole numbers multiply the parts; of others a part's fraction goes down to the next smaller part.
fn times(interval: Interval, by: Number) -> Result<Value> {
    let out = || format!("{} times {} is out of range", time::format_interval(interval), by.double());
    if let Number::Int(n) = by {
        let part = |p: i32| i32::try_from(i64::from(p).checked_mul(n)?).ok();
        let parts = part(interval.months).zip(part(interval.days)).zip(interval.micros.checked_mul(n));
        let ((months, days), micros) = parts.ok_or_else(out)?;
        return Ok(Value::Interval(Interval { months, days, micros }));
    }
    let by = by.double();
    let months = f64::from(interval.months) * by;
    let days = f64::from(interval.days) * by;
    let month_days = tidy((months - months.trunc()) * 30.0);
    let day_rest = tidy(days - days.trunc() + month_days - month_days.trunc()) * 86_400.0;
    let days = days.trunc() + month_days.trunc() + (day_rest / 86_400.0).trunc();
    let micros = (interval.micros as f64 * by + (day_rest % 86_400.0) * 1e6).round_ties_even();
    let fits =
        months.trunc().abs() <= f64::from(i32::MAX) && days.abs() <= f64::from(i32::MAX) && micros.abs() < 9.2e18;
    let product = Interval { months: months.trunc() as i32, days: days as i32, micros: micros as i64 };
    if fits { Ok(Value::Interval(product)) } else { Err(out()) }
}

/// Without the noise below a millionth.
fn tidy(n: f64) -> f64 {
    (n * 1e6).round_ties_even() / 1e6
}

pub(super) fn negate(value: &Value) -> Result<Value> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::Interval(interval) => opposite(*interval).map(Value::Interval),
        value => match Number::of(value) {
            Some(Ok(Number::Int(i))) => {
                i.checked_neg().map(Value::Int).ok_or_else(|| format!("-({i}) is out of the range of BIGINT"))
            }
            Some(Ok(Number::Decimal(d))) => Ok(Value::Decimal(if d.is_zero() { d } else { -d })),
            Some(Ok(Number::Double(d))) => Ok(Value::Double(-d)),
            Some(Err(e)) => Err(e),
            None => Err(format!("cannot compute -{}", text::show(value))),
        },
    }
}
