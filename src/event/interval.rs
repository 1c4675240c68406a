//! INTERVAL as text: ISO 8601 out (`P1Y2M3DT4H5M6.5S`), ISO 8601 or words in (`1 day 02:00`, `90 minutes ago`).
//!
//! The three parts are kept apart, each with its own sign, as PostgreSQL keeps and writes them. A fraction of a unit
//! goes down to the next smaller part: half a month is 15 days, half a day 12 hours.

use std::fmt::Write;

use compact_str::CompactString;

use super::Interval;
use super::time::{DAY, HOUR, MINUTE, SECOND};

const NANO: i128 = 1_000_000_000;

/// Writes ISO 8601; nothing at all is `PT0S`.
pub fn format_interval(interval: Interval) -> CompactString {
    let mut text = CompactString::const_new("P");
    let part = |text: &mut CompactString, amount: i64, unit: char| {
        if amount != 0 {
            write!(text, "{amount}{unit}").expect("writing to a string does not fail");
        }
    };
    part(&mut text, i64::from(interval.months / 12), 'Y');
    part(&mut text, i64::from(interval.months % 12), 'M');
    part(&mut text, i64::from(interval.days), 'D');
    if interval.micros != 0 {
        text.push('T');
        part(&mut text, interval.micros / HOUR, 'H');
        part(&mut text, interval.micros / MINUTE % 60, 'M');
        seconds(&mut text, interval.micros % MINUTE);
    }
    if text.len() == 1 { CompactString::const_new("PT0S") } else { text }
}

fn seconds(text: &mut CompactString, micros: i64) {
    if micros == 0 {
        return;
    }
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, fraction) = (micros.abs() / SECOND, micros.abs() % SECOND);
    write!(text, "{sign}{whole}").expect("writing to a string does not fail");
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('S');
}

/// Reads ISO 8601 (`P1DT2H`) or PostgreSQL's words; `None` where the text is neither or too large.
pub fn parse_interval(text: &str) -> Option<Interval> {
    let text = text.trim();
    let parts = if text.starts_with(['P', 'p']) { iso(text)? } else { words(text)? };
    Some(Interval {
        months: parts.months.try_into().ok()?,
        days: parts.days.try_into().ok()?,
        micros: parts.micros.try_into().ok()?,
    })
}

#[derive(Clone, Copy, Default)]
struct Parts {
    months: i128,
    days: i128,
    micros: i128,
}

/// What one of a unit is.
#[derive(Clone, Copy)]
enum Unit {
    Months(i128),
    Days(i128),
    Micros(i128),
}

impl Parts {
    /// Adds an amount in billionths of a unit.
    fn add(&mut self, nanos: i128, unit: Unit) -> Option<()> {
        match unit {
            Unit::Months(months) if months > 1 => self.months += round(nanos.checked_mul(months)?),
            Unit::Months(_) => {
                self.months += nanos / NANO;
                self.add(nanos % NANO * 30, Unit::Days(1))?;
            }
            Unit::Days(days) => {
                let nanos = nanos.checked_mul(days)?;
                self.days += nanos / NANO;
                self.micros += round(nanos % NANO * i128::from(DAY));
            }
            Unit::Micros(micros) => self.micros += round(nanos.checked_mul(micros)?),
        }
        Some(())
    }
}

fn round(nanos: i128) -> i128 {
    (nanos + nanos.signum() * NANO / 2) / NANO
}

/// An amount in billionths, and what follows it. Digits beyond the ninth do not count.
fn amount(text: &str) -> Option<(i128, &str)> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, rest) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || whole.len() > 18 || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? };
    let digit = |i: usize| fraction.as_bytes().get(i).map_or(0, |b| i128::from(b - b'0'));
    let nanos = whole * NANO + (0..9).fold(0, |n, i| n * 10 + digit(i));
    Some((if negative { -nanos } else { nanos }, rest))
}

fn iso(text: &str) -> Option<Parts> {
    let mut parts = Parts::default();
    let mut rest = &text[1..];
    let mut in_time = false;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if !in_time && rest.starts_with(['T', 't']) {
            in_time = true;
            rest = &rest[1..];
            if rest.is_empty() {
                return None;
            }
        }
        let (nanos, after) = amount(rest)?;
        let unit = match (in_time, after.as_bytes().first()?.to_ascii_uppercase()) {
            (false, b'Y') => Unit::Months(12),
            (false, b'M') => Unit::Months(1),
            (false, b'W') => Unit::Days(7),
            (false, b'D') => Unit::Days(1),
            (true, b'H') => Unit::Micros(HOUR.into()),
            (true, b'M') => Unit::Micros(MINUTE.into()),
            (true, b'S') => Unit::Micros(SECOND.into()),
            _ => return None,
        };
        parts.add(nanos, unit)?;
        rest = &after[1..];
    }
    Some(parts)
}

fn words(text: &str) -> Option<Parts> {
    let mut parts = Parts::default();
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if rest.eq_ignore_ascii_case("ago") && rest.len() < text.len() {
            return Some(Parts { months: -parts.months, days: -parts.days, micros: -parts.micros });
        }
        if let Some((micros, after)) = clock(rest) {
            parts.micros += micros;
            rest = after.trim_start();
            continue;
        }
        let (nanos, after) = amount(rest)?;
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (word, after) = after.split_at(end);
        parts.add(nanos, unit(word)?)?;
        rest = after.trim_start();
    }
    Some(parts)
}

/// `[-]H:MM[:SS[.ffffff]]` in microseconds, and what follows.
fn clock(text: &str) -> Option<(i128, &str)> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let mut fields = unsigned.split(':');
    let hours = unsigned_field(fields.next()?).filter(|n| n % NANO == 0)?;
    let minutes = unsigned_field(fields.next()?).filter(|n| n % NANO == 0)?;
    let seconds = fields.next().map_or(Some(0), unsigned_field)?;
    if fields.next().is_some() || minutes >= 60 * NANO || seconds >= 60 * NANO {
        return None;
    }
    let nanos = hours * 3_600 + minutes * 60 + seconds;
    let micros = round(nanos * i128::from(SECOND));
    Some((if word.starts_with('-') { -micros } else { micros }, rest))
}

fn unsigned_field(field: &str) -> Option<i128> {
    let (nanos, rest) = amount(field)?;
    (rest.is_empty() && !field.starts_with(['-', '+'])).then_some(nanos)
}

/// A unit by its word; an amount without one is seconds.
fn unit(word: &str) -> Option<Unit> {
    let micros = |n: i64| Unit::Micros(n.into());
    Some(match word.to_ascii_lowercase().as_str() {
        "us" | "usec" | "usecs" | "microsecond" | "microseconds" => micros(1),
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => micros(1_000),
        "" | "s" | "sec" | "secs" | "second" | "seconds" => micros(SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => micros(MINUTE),
        "h" | "hr" | "hrs" | "hour" | "hours" => micros(HOUR),
        "d" | "day" | "days" => Unit::Days(1),
        "w" | "week" | "weeks" => Unit::Days(7),
        "mon" | "mons" | "month" | "months" => Unit::Months(1),
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12),
        "decade" | "decades" => Unit::Months(120),
        "century" | "centuries" => Unit::Months(1_200),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_as_words_or_iso_and_written_as_iso() {
        let cases = [
            ("1 hour", "PT1H"),
            ("1 day 02:00", "P1DT2H"),
            ("1.5 months", "P1M15D"),
            ("1.5 years", "P1Y6M"),
            ("-0.5 seconds", "PT-0.5S"),
            ("2 hours 30 min ago", "PT-2H-30M"),
            ("1 year -1 day", "P1Y-1D"),
            ("P1Y2M3DT4H5M6.789S", "P1Y2M3DT4H5M6.789S"),
            ("P2W", "P14D"),
            ("36h", "PT36H"),
            ("0 days", "PT0S"),
            ("-01:02:03.000004", "PT-1H-2M-3.000004S"),
            ("1.5 days", "P1DT12H"),
            ("90", "PT1M30S"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_interval(text).map(format_interval).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for text in
            ["", "P", "PT", "hour", "1 parsec", "ago", "1 hour 2 x", "P1H", "1:60", "999999999999 years", "1..5 h"]
        {
            assert_eq!(parse_interval(text), None, "{text}");
        }
    }
}
