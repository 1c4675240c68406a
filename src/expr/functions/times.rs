//! Timestamps and intervals: made, taken apart, cut off, written.

use rust_decimal::Decimal;

use super::{Args, Function, Kind, Literal, Result, Returns, strict};
use crate::event::time::{self, Civil, DAY, HOUR, MILLISECOND, MINUTE, SECOND};
use crate::event::{Interval, Micros, Value};
use crate::expr::number::Number;
use crate::expr::{Type, arith};

const TIME: Returns = Returns::Is(Type::Timestamp);

pub(super) static FUNCTIONS: &[Function] = &[
    strict("to_timestamp", "to_timestamp(seconds or text)", &[Kind::NumberOrText], TIME, |a| match a.value(0) {
        text @ Value::Text(_) => crate::expr::cast::cast(text, Type::Timestamp),
        _ => from_units(a.number(0)?, SECOND),
    }),
    strict("to_timestamp_millis", "to_timestamp_millis(milliseconds)", &[Kind::Number], TIME, |a| {
        from_units(a.number(0)?, MILLISECOND)
    }),
    strict("epoch_millis", "epoch_millis(timestamp)", &[Kind::Time], Returns::Is(Type::Bigint), |a| {
        Ok(Value::Int(a.time(0)?.div_euclid(MILLISECOND)))
    }),
    strict("date_trunc", "date_trunc(unit, timestamp)", &[Kind::Text, Kind::Time], TIME, |a| {
        Ok(Value::Timestamp(truncate(a.text(0)?, a.time(1)?)?))
    })
    .literal(Literal::Checked(0, |unit| truncate(unit, 0).map(|_| ()))),
    strict("extract", "extract(field FROM timestamp)", &[Kind::Text, Kind::TimeOrInterval], Returns::Field, extract)
        .literal(Literal::Checked(0, |field| of_time(field, 0).map(|_| ()))),
    strict("date_add", "date_add(timestamp, interval)", &[Kind::Time, Kind::Interval], TIME, |a| {
        arith::shift(a.time(0)?, a.interval(1)?)
    }),
    strict("to_char", "to_char(timestamp, format)", &[Kind::Time, Kind::Text], Returns::Is(Type::Varchar), |a| {
        write(a.time(0)?, a.text(1)?).map(Value::text)
    })
    .literal(Literal::Checked(1, |format| write(0, format).map(|_| ()))),
];

/// Seconds or milliseconds since 1970, rounded to microseconds, half to even.
fn from_units(number: Number, unit: i64) -> Result<Value> {
    let micros = match number {
        Number::Int(i) => Some(i128::from(i) * i128::from(unit)),
        Number::Decimal(d) => {
            let (digits, power) = (d.mantissa() * i128::from(unit), 10i128.pow(d.scale()));
            let (whole, rest) = (digits.div_euclid(power), digits.rem_euclid(power) * 2);
            Some(whole + i128::from(rest > power || rest == power && whole % 2 != 0))
        }
        Number::Double(d) => (d.abs() < 1e18).then(|| (d * unit as f64).round_ties_even() as i128),
    };
    let at = micros.and_then(time::checked).ok_or("a timestamp out of the years 0000 to 9999")?;
    Ok(Value::Timestamp(at))
}

fn truncate(unit: &str, at: Micros) -> Result<Micros> {
    let step = |step: i64| Ok(at.div_euclid(step) * step);
    let c = Civil::of(at);
    let date = |year: i64, month: u32| Ok(time::days_of(year, month, 1) * DAY);
    match unit.to_ascii_lowercase().as_str() {
        "microseconds" | "microsecond" => Ok(at),
        "milliseconds" | "millisecond" => step(MILLISECOND),
        "second" => step(SECOND),
        "minute" => step(MINUTE),
        "hour" => step(HOUR),
        "day" => step(DAY),
        // Day 0 was a Thursday; weeks begin on Monday.
        "week" => Ok((at.div_euclid(DAY) + 3).div_euclid(7) * 7 * DAY - 3 * DAY),
        "month" => date(c.year, c.month),
        "quarter" => date(c.year, (c.month - 1) / 3 * 3 + 1),
        "year" => date(c.year, 1),
        other => Err(format!(
            "there is no unit '{other}' (microseconds milliseconds second minute hour day week month quarter year)"
        )),
    }
}

fn extract(args: &Args<'_>) -> Result<Value> {
    let field = args.text(0)?;
    match args.value(1) {
        Value::Interval(interval) => of_interval(field, *interval),
        _ => of_time(field, args.time(1)?),
    }
}

/// What has a fraction is a DECIMAL.
pub(super) fn field_type(field: &Value) -> Type {
    match field {
        Value::Text(field) => match field.to_ascii_lowercase().as_str() {
            "epoch" | "second" | "seconds" | "millisecond" | "milliseconds" => Type::Decimal,
            _ => Type::Bigint,
        },
        _ => Type::Any,
    }
}

fn fixed(micros: i128, scale: u32) -> Value {
    Decimal::try_from_i128_with_scale(micros, scale).map_or(Value::Null, Value::Decimal)
}

fn of_time(field: &str, at: Micros) -> Result<Value> {
    let c = Civil::of(at);
    let days = at.div_euclid(DAY);
    let weekday = (days + 4).rem_euclid(7);
    let in_minute = at.rem_euclid(MINUTE);
    Ok(Value::Int(match field.to_ascii_lowercase().as_str() {
        "year" => c.year,
        "quarter" => i64::from((c.month - 1) / 3 + 1),
        "month" => c.month.into(),
        "week" => iso_week(days).1,
        "isoyear" => iso_week(days).0,
        "day" => c.day.into(),
        "dow" => weekday,
        "isodow" => (weekday + 6) % 7 + 1,
        "doy" => days - time::days_of(c.year, 1, 1) + 1,
        "hour" => c.hour.into(),
        "minute" => c.minute.into(),
        "second" | "seconds" => return Ok(fixed(in_minute.into(), 6)),
        "millisecond" | "milliseconds" => return Ok(fixed(in_minute.into(), 3)),
        "microsecond" | "microseconds" => in_minute,
        "epoch" => return Ok(fixed(at.into(), 6)),
        other => {
            return Err(format!(
                "there is no field '{other}' (year quarter month week isoyear day dow isodow doy hour minute second milliseconds microseconds epoch)"
            ));
        }
    }))
}

/// ISO 8601 year and week: a week belongs to the year of its Thursday.
fn iso_week(days: i64) -> (i64, i64) {
    let thursday = (days + 3).div_euclid(7) * 7;
    let (year, ..) = time::date_of(thursday);
    (year, (thursday - time::days_of(year, 1, 1)) / 7 + 1)
}

fn of_interval(field: &str, i: Interval) -> Result<Value> {
    let in_minute = i.micros % MINUTE;
    Ok(Value::Int(match field.to_ascii_lowercase().as_str() {
        "year" => (i.months / 12).into(),
        "quarter" => (i.months % 12 / 3 + 1).into(),
        "month" => (i.months % 12).into(),
        "day" => i.days.into(),
        "hour" => i.micros / HOUR,
        "minute" => i.micros / MINUTE % 60,
        "second" | "seconds" => return Ok(fixed(in_minute.into(), 6)),
        "millisecond" | "milliseconds" => return Ok(fixed(in_minute.into(), 3)),
        "microsecond" | "microseconds" => in_minute,
        "epoch" => {
            // As in PostgreSQL: a year has 365.25 days here, a month 30.
            let (years, months) = (i128::from(i.months / 12), i128::from(i.months % 12));
            let hours = years * 8_766 + (months * 30 + i128::from(i.days)) * 24;
            return Ok(fixed(hours * i128::from(HOUR) + i128::from(i.micros), 6));
        }
        other => return Err(format!("an interval has no field '{other}'")),
    }))
}

/// `YYYY MM DD HH24 MI SS MS`, in any case; letters in double quotes and whatever is no letter stand for themselves.
fn write(at: Micros, format: &str) -> Result<String> {
    let c = Civil::of(at);
    let fields: [(&str, i64, usize); 7] = [
        ("YYYY", c.year, 4),
        ("MM", c.month.into(), 2),
        ("DD", c.day.into(), 2),
        ("HH24", c.hour.into(), 2),
        ("MI", c.minute.into(), 2),
        ("SS", c.second.into(), 2),
        ("MS", i64::from(c.micros / 1_000), 3),
    ];
    let mut out = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        let field =
            fields.iter().find(|(name, ..)| rest.get(..name.len()).is_some_and(|r| r.eq_ignore_ascii_case(name)));
        if let Some((name, value, width)) = field {
            out.push_str(&format!("{value:0width$}"));
            rest = &rest[name.len()..];
        } else if first == '"' {
            let quoted = rest[1..].find('"').map_or(rest.len(), |end| end + 1);
            out.push_str(&rest[1..quoted]);
            rest = rest.get(quoted + 1..).unwrap_or("");
        } else if first.is_alphabetic() {
            return Err(format!(
                "the format has no field at '{rest}' (YYYY MM DD HH24 MI SS MS; other letters stand in double quotes)"
            ));
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(out)
}
