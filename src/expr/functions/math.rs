//! Numbers. What rounds keeps the type of its argument; roots and logarithms are DOUBLE.

use rust_decimal::{Decimal, RoundingStrategy};

use super::{Args, Function, Kind, Result, Returns, strict};
use crate::event::Value;
use crate::expr::arith::{compute, negate};
use crate::expr::node::ArithOp;
use crate::expr::number::{Number, decimal_to_int, finite, not_too_small};
use crate::expr::{Type, decimal};

const ONE: &[Kind] = &[Kind::Number];
const TWO: &[Kind] = &[Kind::Number; 2];
const PLACES: &[Kind] = &[Kind::Number, Kind::Int];
const DOUBLE: Returns = Returns::Is(Type::Double);

pub(super) static FUNCTIONS: &[Function] = &[
    strict("abs", "abs(number)", ONE, Returns::First, |a| match a.number(0)? {
        Number::Int(i) if i < 0 => negate(&Value::Int(i)),
        Number::Int(i) => Ok(Value::Int(i)),
        Number::Decimal(d) => Ok(Value::Decimal(d.abs())),
        Number::Double(d) => Ok(Value::Double(d.abs())),
    }),
    strict("round", "round(number [, places])", PLACES, Returns::First, round).required(1),
    strict("trunc", "trunc(number [, places])", PLACES, Returns::First, trunc).required(1),
    strict("floor", "floor(number)", ONE, Returns::First, |a| {
        places(a.number(0)?, 0, RoundingStrategy::ToNegativeInfinity, f64::floor)
    }),
    strict("ceil", "ceil(number)", ONE, Returns::First, |a| {
        places(a.number(0)?, 0, RoundingStrategy::ToPositiveInfinity, f64::ceil)
    }),
    strict("sign", "sign(number)", ONE, Returns::First, |a| {
        Ok(match a.number(0)? {
            Number::Int(i) => Value::Int(i.signum()),
            Number::Decimal(d) if d.is_zero() => Value::Decimal(Decimal::ZERO),
            Number::Decimal(d) => Value::Decimal(if d.is_sign_negative() { -Decimal::ONE } else { Decimal::ONE }),
            Number::Double(0.0) => Value::Double(0.0),
            Number::Double(d) => Value::Double(d.signum()),
        })
    }),
    strict("mod", "mod(x, y)", TWO, Returns::Wider, |a| compute(ArithOp::Rem, a.value(0), a.value(1))),
    strict("power", "power(x, y)", TWO, DOUBLE, |a| {
        let (x, y) = (a.number(0)?.double(), a.number(1)?.double());
        if x == 0.0 && y < 0.0 {
            return Err("zero to a negative power".to_string());
        }
        if x < 0.0 && y.fract() != 0.0 {
            return Err("a negative number to a power that is not whole".to_string());
        }
        not_too_small(x.powf(y), x == 0.0)
    }),
    strict("sqrt", "sqrt(number)", ONE, DOUBLE, |a| match a.number(0)?.double() {
        d if d < 0.0 => Err(format!("the square root of {d}")),
        d => finite(d.sqrt()),
    }),
    strict("exp", "exp(number)", ONE, DOUBLE, |a| not_too_small(a.number(0)?.double().exp(), false)),
    strict("ln", "ln(number)", ONE, DOUBLE, |a| finite(positive(a)?.ln())),
    strict("log10", "log10(number)", ONE, DOUBLE, |a| finite(positive(a)?.log10())),
];

fn positive(args: &Args<'_>) -> Result<f64> {
    match args.number(0)?.double() {
        d if d <= 0.0 => Err(format!("the logarithm of {d}")),
        d => Ok(d),
    }
}

/// DECIMAL and BIGINT half away from zero, DOUBLE half to even.
fn round(args: &Args<'_>) -> Result<Value> {
    let n = if args.len() > 1 { args.int(1)? } else { 0 };
    places(args.number(0)?, n, RoundingStrategy::MidpointAwayFromZero, f64::round_ties_even)
}

fn trunc(args: &Args<'_>) -> Result<Value> {
    let n = if args.len() > 1 { args.int(1)? } else { 0 };
    places(args.number(0)?, n, RoundingStrategy::ToZero, f64::trunc)
}

/// So many places after the point, or zeros before it if `n` is negative.
fn places(number: Number, n: i64, strategy: RoundingStrategy, whole: fn(f64) -> f64) -> Result<Value> {
    Ok(match number {
        Number::Int(i) if n >= 0 => Value::Int(i),
        Number::Int(i) => {
            let rounded = decimal_places(&Decimal::from(i), n, strategy).unwrap_or_default();
            let int = decimal_to_int(&rounded);
            Value::Int(int.ok_or_else(|| format!("{i} rounded is out of the range of BIGINT"))?)
        }
        Number::Decimal(d) => Value::Decimal(
            decimal_places(&d, n, strategy).ok_or_else(|| format!("{d} rounded has more than 28 digits"))?,
        ),
        Number::Double(d) if n == 0 => Value::Double(whole(d)),
        Number::Double(d) => double_places(d, n, strategy)?,
    })
}

fn decimal_places(d: &Decimal, n: i64, strategy: RoundingStrategy) -> Option<Decimal> {
    if n >= 0 {
        let places = n.min(28) as u32;
        let rounded = d.round_dp_with_strategy(places, strategy);
        // All places are written, as far as there are digits.
        let mut padded = rounded;
        padded.rescale(places);
        let fits = padded.scale() == places && decimal::fits(&padded);
        return if fits { Some(padded) } else { decimal::fits(&rounded).then_some(rounded) };
    }
    if n < -28 {
        return Some(Decimal::ZERO);
    }
    // What stands below the place goes; half of the place or more counts as one.
    let power = Decimal::try_from_i128_with_scale(10i128.pow(n.unsigned_abs() as u32), 0).ok()?;
    let below = decimal::rem(d, &power)?;
    let rest = decimal::sub(d, &below)?.trunc();
    let up = matches!(strategy, RoundingStrategy::MidpointAwayFromZero) && below.abs() >= power / Decimal::TWO;
    match (up, d.is_sign_negative()) {
        (false, _) => Some(rest),
        (true, false) => decimal::add(&rest, &power),
        (true, true) => decimal::sub(&rest, &power),
    }
}

/// By the double's shortest decimal form, half to even.
fn double_places(d: f64, n: i64, strategy: RoundingStrategy) -> Result<Value> {
    let strategy = match strategy {
        RoundingStrategy::MidpointAwayFromZero => RoundingStrategy::MidpointNearestEven,
        other => other,
    };
    match decimal::parse(&format!("{d}")) {
        Some(decimal) if n >= 0 => {
            let rounded = decimal.round_dp_with_strategy(n.min(28) as u32, strategy);
            finite(rounded.to_string().parse().unwrap_or(d))
        }
        // A double of more than 28 digits has none after so many places, or is nearly zero.
        _ if n >= 0 => Ok(Value::Double(if d.abs() < 1.0 { 0.0 } else { d })),
        _ => {
            let power = 10f64.powi(n.unsigned_abs().min(400) as i32);
            let whole = if matches!(strategy, RoundingStrategy::ToZero) { f64::trunc } else { f64::round_ties_even };
            if power.is_finite() { finite(whole(d / power) * power) } else { Ok(Value::Double(0.0)) }
        }
    }
}
