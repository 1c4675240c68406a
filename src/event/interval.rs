//! INTERVAL as text: ISO 8601 out (`P1Y2M3DT4H5M6.5S`), ISO 8601 or words in (`1 day 02:00`, `90 minutes ago`).
//!
//! The three parts are kept apart, each with its own sign, as PostgreSQL keeps and writes them. A fraction of a unit
//! goes down to the next smaller part: half a month is 15 days, half a day 12 hours. What PostgreSQL refuses is refused
//! here, and so is what it reads in part only, and ISO 8601 without letters (`P0001-02-03`).

use std::fmt::Write;

use compact_str::CompactString;

use super::Interval;
use super::time::{DAY, HOUR, MILLISECOND, MINUTE, SECOND};

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
    let parts = if text.starts_with('P') { iso(text)? } else { words(text)? };
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

/// Fractions are computed and rounded as PostgreSQL does, with doubles: months to even, microseconds toward zero.
impl Parts {
    fn add(&mut self, whole: i64, fraction: f64, unit: Unit) {
        let whole = i128::from(whole);
        match unit {
            Unit::Microsecond => self.add_time(whole, fraction, 1),
            Unit::Millisecond => self.add_time(whole, fraction, MILLISECOND),
            Unit::Second => self.add_time(whole, fraction, SECOND),
            Unit::Minute => self.add_time(whole, fraction, MINUTE),
            Unit::Hour => self.add_time(whole, fraction, HOUR),
            Unit::Day => self.add_days(whole, fraction),
            Unit::Week => self.add_days(whole * 7, fraction * 7.0),
            Unit::Month => {
                self.months += whole;
                self.add_days(0, fraction * 30.0);
            }
            Unit::Year => self.add_years(whole, fraction, 1),
            Unit::Decade => self.add_years(whole, fraction, 10),
            Unit::Century => self.add_years(whole, fraction, 100),
            Unit::Millennium => self.add_years(whole, fraction, 1_000),
        }
    }

    fn add_years(&mut self, whole: i128, fraction: f64, years: i32) {
        self.months += whole * i128::from(years) * 12;
        self.months += (fraction * f64::from(years) * 12.0).round_ties_even() as i128;
    }

    fn add_days(&mut self, whole: i128, fraction: f64) {
        self.days += whole + fraction.trunc() as i128;
        self.add_time(0, fraction.fract(), DAY);
    }

    fn add_time(&mut self, whole: i128, fraction: f64, micros: i64) {
        let fraction = fraction * micros as f64;
        let up = if fraction.fract().abs() > 0.5 { fraction.signum() } else { 0.0 };
        self.micros += whole * i128::from(micros) + (fraction.trunc() + up) as i128;
    }
}

fn iso(text: &str) -> Option<Parts> {
    let mut parts = Parts::default();
    let mut rest = &text[1..];
    let mut in_time = false;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if !in_time && let Some(time) = rest.strip_prefix('T') {
            in_time = true;
            rest = time;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, after) = rest.split_at(end);
        let unit = match (in_time, after.as_bytes()[0]) {
            (false, b'Y') => Unit::Year,
            (false, b'M') => Unit::Month,
            (false, b'W') => Unit::Week,
            (false, b'D') => Unit::Day,
            (true, b'H') => Unit::Hour,
            (true, b'M') => Unit::Minute,
            (true, b'S') => Unit::Second,
            _ => return None,
        };
        // PostgreSQL reads one double here; beyond this it has no exact whole part, and the server refuses it too.
        amount(number.strip_prefix('-').unwrap_or(number), false)?;
        let number = number.parse::<f64>().ok().filter(|number| number.abs() <= 1e15)?;
        parts.add(number as i64, number.fract(), unit);
        rest = &after[1..];
    }
    Some(parts)
}

/// A number of digits with or without a point, as its whole part and the rest.
fn amount(digits: &str, negative: bool) -> Option<(i64, f64)> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    let whole = if whole.is_empty() { 0 } else { format!("{sign}{whole}").parse().ok()? };
    let fraction = format!("{sign}0.{fraction}").parse().ok()?;
    Some((whole, fraction))
}

/// A word, or a number with its sign.
struct Field<'t> {
    text: &'t str,
    is_word: bool,
    is_negative: bool,
}

/// Read from the end, so that a unit is known before its number. No unit may be given twice.
fn words(text: &str) -> Option<Parts> {
    let mut fields = fields(text)?;
    let is_ago = fields.last().is_some_and(|last| last.text.eq_ignore_ascii_case("ago"));
    if is_ago {
        fields.pop();
    }
    let mut parts = Parts::default();
    let mut seen = 0;
    // What a number without a unit counts; one in front of hours or of a time of day counts days.
    let mut unit = (!is_ago).then_some(Unit::Second);
    let mut word_waits = false;
    for Field { text, is_word, is_negative } in fields.iter().rev() {
        if word_waits && (*is_word || text.contains([':', '-'])) {
            return None;
        }
        if *is_word {
            unit = Some(unit_of(text)?);
            word_waits = true;
            continue;
        }
        word_waits = false;
        let is = if text.contains(':') {
            // PostgreSQL forgets what was read so far of the time: a fraction of a day after it.
            if parts.micros != 0 {
                return None;
            }
            let micros = clock(text)?;
            parts.micros = if *is_negative { -micros } else { micros };
            unit = Some(Unit::Day);
            set(&[Unit::Hour, Unit::Minute, Unit::Second, Unit::Millisecond, Unit::Microsecond])
        } else if text.contains('-') {
            let months = years_and_months(text)?;
            parts.months += if *is_negative { -months } else { months };
            unit = Some(Unit::Month);
            set(&[Unit::Month])
        } else {
            let counted = unit?;
            let (whole, fraction) = amount(text, *is_negative)?;
            parts.add(whole, fraction, counted);
            match counted {
                Unit::Second if fraction != 0.0 => set(&[Unit::Second, Unit::Millisecond, Unit::Microsecond]),
                Unit::Hour => {
                    unit = Some(Unit::Day);
                    set(&[Unit::Hour])
                }
                _ => set(&[counted]),
            }
        };
        if seen & is != 0 {
            return None;
        }
        seen |= is;
    }
    if seen == 0 || word_waits {
        return None;
    }
    Some(if is_ago { Parts { months: -parts.months, days: -parts.days, micros: -parts.micros } } else { parts })
}

fn set(units: &[Unit]) -> u16 {
    units.iter().fold(0, |set, unit| set | 1 << *unit as u16)
}

fn fields(text: &str) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        // PostgreSQL writes `@` in front, and people a comma between.
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '@' | ','));
        if rest.is_empty() {
            return Some(fields);
        }
        let unsigned = rest.strip_prefix(['-', '+']);
        let is_negative = rest.starts_with('-');
        let start = unsigned.map_or(rest, str::trim_ascii_start);
        let is_word = unsigned.is_none() && start.starts_with(|c: char| c.is_ascii_alphabetic());
        let belongs = |c: char| {
            if is_word { c.is_ascii_alphabetic() } else { c.is_ascii_digit() || matches!(c, ':' | '.' | '-') }
        };
        let (field, after) = start.split_at(start.find(|c| !belongs(c)).unwrap_or(start.len()));
        let is_complete = match is_word {
            true => may_follow(field, after),
            // To PostgreSQL `-.5` is no number, nor are `5.` and a letter.
            false if field.starts_with('.') => unsigned.is_none(),
            false => !(field.ends_with('.') && after.starts_with(|c: char| c.is_ascii_alphabetic())),
        };
        if field.is_empty() || !is_complete {
            return None;
        }
        fields.push(Field { text: field, is_word, is_negative });
        rest = after;
    }
}

/// `1h30m` needs no blank, `1day2` is taken for a date.
fn may_follow(word: &str, after: &str) -> bool {
    let short = matches!(word.to_ascii_lowercase().as_str(), "y" | "mon" | "d" | "h" | "m" | "s");
    match after.bytes().next() {
        Some(b'0'..=b'9' | b'+') => short,
        Some(b'-' | b'.' | b'/') => false,
        _ => true,
    }
}

/// `H:MM[:SS[.ffffff]]` or `MM:SS.ffffff` in microseconds.
fn clock(text: &str) -> Option<i128> {
    let (first, rest) = text.split_once(':')?;
    let (hours, minutes, seconds) = match rest.split_once(':') {
        Some((minutes, seconds)) => (first, minutes, seconds),
        None if rest.contains('.') => ("0", first, rest),
        None => (first, rest, "0"),
    };
    let (hours, minutes) = (whole(hours)?, whole(minutes)?);
    let (seconds, fraction) = amount(seconds, false)?;
    if minutes >= 60 || seconds > 60 {
        return None;
    }
    let mut parts = Parts::default();
    parts.add(hours, 0.0, Unit::Hour);
    parts.add(minutes, 0.0, Unit::Minute);
    parts.add(seconds, 0.0, Unit::Second);
    // Here, and only here, PostgreSQL rounds half to even.
    Some(parts.micros + (fraction * SECOND as f64).round_ties_even() as i128)
}

/// `Y-M` in months.
fn years_and_months(text: &str) -> Option<i128> {
    let (years, months) = text.split_once('-')?;
    let months = whole(months).filter(|months| *months < 12)?;
    Some(i128::from(whole(years)?) * 12 + i128::from(months))
}

fn whole(digits: &str) -> Option<i64> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// A unit by its word.
fn unit_of(word: &str) -> Option<Unit> {
    Some(match word.to_ascii_lowercase().as_str() {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" | "microsecond" | "microseconds" => {
            Unit::Microsecond
        }
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" | "millisecond" | "milliseconds" => {
            Unit::Millisecond
        }
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennium" | "millennia" => Unit::Millennium,
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
            ("1-2", "P1Y2M"),
            ("-1-2 3 04:05:06", "P-1Y-2M3DT4H5M6S"),
            ("1 2 hours", "P1DT2H"),
            ("1h30m", "PT1H30M"),
            ("@ 1 day, 2 hours", "P1DT2H"),
            ("0.125 years", "P2M"),
            ("2:30.5", "PT2M30.5S"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_interval(text).map(format_interval).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for text in ["", "P", "PT", "P+1D", "p1d", "P1H", "hour", "1 parsec", "ago", "1 hour 2 x", "1:60", "1..5 h"] {
            assert_eq!(parse_interval(text), None, "{text}");
        }
        for text in ["999999999999 years", "1-12", "1-2-3", "1 2", "5 ago", "1 ago 2 days", "10 sec 1:2:3.5"] {
            assert_eq!(parse_interval(text), None, "{text}");
        }
    }

    #[test]
    fn what_postgresql_reads_in_part_only_is_refused() {
        for text in ["hour 1 day", "1-2 hours", "1:2:3 hours", "1:2:3 0.5 days"] {
            assert_eq!(parse_interval(text), None, "{text}");
        }
    }
}
