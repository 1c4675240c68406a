//! TIMESTAMP as text and as calendar: RFC 3339 in and out, days and months of the proleptic Gregorian calendar, UTC.
//!
//! Written with `Z` and 0, 3 or 6 digits of the second, the fewest that are exact. What is read with more digits is
//! rounded to microseconds, half to even. Years reach from 0000 to 9999, as far as RFC 3339 does.

use std::fmt::Write;

use compact_str::CompactString;

use super::Micros;
pub use super::interval::{format_interval, parse_interval};

pub const MILLISECOND: i64 = 1_000;
pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// 0000-01-01T00:00:00Z, the least TIMESTAMP.
pub const MIN: Micros = -719_528 * DAY;
/// 9999-12-31T23:59:59.999999Z, the greatest TIMESTAMP.
pub const MAX: Micros = 2_932_897 * DAY - 1;

/// A TIMESTAMP, if it lies in the years that can be written.
pub fn checked(micros: i128) -> Option<Micros> {
    i64::try_from(micros).ok().filter(|t| (MIN..=MAX).contains(t))
}

/// A date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub micros: u32,
}

impl Civil {
    pub fn of(at: Micros) -> Self {
        let (days, rest) = (at.div_euclid(DAY), at.rem_euclid(DAY));
        let (year, month, day) = date_of(days);
        Self {
            year,
            month,
            day,
            hour: (rest / HOUR) as u32,
            minute: (rest / MINUTE % 60) as u32,
            second: (rest / SECOND % 60) as u32,
            micros: (rest % SECOND) as u32,
        }
    }
}

/// Days since 1970-01-01 of a date. Years are counted from March, so that the leap day is the last of its year.
pub fn days_of(year: i64, month: u32, day: u32) -> i64 {
    let from_march = i64::from((month + 9) % 12);
    let year = if month <= 2 { year - 1 } else { year };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let before_month = (153 * from_march + 2) / 5;
    year * 365 + leap_days + before_month + i64::from(day) - 1 - 719_468
}

/// The date that is so many days after 1970-01-01.
pub fn date_of(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * from_march + 2) / 5 + 1) as u32;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 } as u32;
    (era * 400 + year + i64::from(month <= 2), month, day)
}

pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Reads RFC 3339: `2026-11-21T03:22:47.5Z`, `…+02:00`; `t`, `z` and a space for the `T` are allowed, as there. The
/// leap second `:60` is the next minute's first.
pub fn parse_rfc3339(text: &str) -> Option<Micros> {
    let b = text.as_bytes();
    if b.len() < 20 || b[4] != b'-' || b[7] != b'-' || !matches!(b[10], b'T' | b't' | b' ') {
        return None;
    }
    if b[13] != b':' || b[16] != b':' {
        return None;
    }
    let year = i64::from(digits(&b[0..4])?);
    let (month, day) = (digits(&b[5..7])?, digits(&b[8..10])?);
    let (hour, minute, second) = (digits(&b[11..13])?, digits(&b[14..16])?, digits(&b[17..19])?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = fraction(&b[19..])?;
    let local = days_of(year, month, day) * DAY
        + i64::from(hour) * HOUR
        + i64::from(minute) * MINUTE
        + i64::from(second) * SECOND
        + fraction;
    checked(i128::from(local - offset(zone)?))
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
}

/// Microseconds of `.123456789` (none without a point), and what follows.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (written, zone) = rest.split_at(length);
    if written.is_empty() {
        return None;
    }
    let digit = |i: usize| written.get(i).map_or(0, |b| i64::from(b - b'0'));
    let micros = (0..6).fold(0, |n, i| n * 10 + digit(i));
    let more = written.iter().skip(7).any(|b| *b != b'0');
    let up = digit(6) > 5 || digit(6) == 5 && (more || micros % 2 == 1);
    Some((micros + i64::from(up), zone))
}

fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let offset = i64::from(hours) * HOUR + i64::from(minutes) * MINUTE;
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'-' { -offset } else { offset })
        }
        _ => None,
    }
}

/// Writes RFC 3339 in UTC.
pub fn format(at: Micros) -> CompactString {
    let c = Civil::of(at);
    let mut text = CompactString::with_capacity(27);
    let date_and_time =
        write!(text, "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second);
    let fraction = match c.micros {
        0 => Ok(()),
        micros if micros % 1_000 == 0 => write!(text, ".{:03}", micros / 1_000),
        micros => write!(text, ".{micros:06}"),
    };
    date_and_time.and(fraction).expect("writing to a string does not fail");
    text.push('Z');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_and_written_with_the_fewest_exact_digits() {
        let cases = [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("2024-02-29t12:30:45.100z", "2024-02-29T12:30:45.100Z"),
            ("2024-02-29 12:30:45.1234565Z", "2024-02-29T12:30:45.123456Z"),
            ("2024-02-29T12:30:45.1234575Z", "2024-02-29T12:30:45.123458Z"),
            ("2024-02-29T12:30:45.12345650000001Z", "2024-02-29T12:30:45.123457Z"),
            ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00Z"),
            ("2026-01-01T01:00:00+02:00", "2025-12-31T23:00:00Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("1900-03-01T00:00:00.000001-23:59", "1900-03-01T23:59:00.000001Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_rfc3339(text).map(format).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_rfc3339_is_refused() {
        let cases = [
            "",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+0200",
            "2024-01-01T00:00:00Zx",
            "2024-01-01T00:00:00+24:00",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
            "２０２４-01-01T00:00:00Z",
        ];
        for text in cases {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_days_are_inverse_over_all_years() {
        let (first, last) = (days_of(0, 1, 1), days_of(9999, 12, 31));
        assert_eq!((first * DAY, last * DAY + DAY - 1), (MIN, MAX));
        for days in (first..=last).step_by(13) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
            assert!(day <= days_in_month(year, month));
        }
    }
}
