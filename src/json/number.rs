//! JSON numbers: checked, and made the SQL value that gives them back exactly as they were written.

use rust_decimal::Decimal;

use super::JsonError;
use super::scan::syntax;
use crate::event::Value;

/// A number of a payload as it is written, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Num<'a> {
    pub raw: &'a str,
    pub form: Form,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `-12`
    Integer,
    /// `1.50`
    Fraction,
    /// `1e9`, `1.5E-3`
    Exponent,
}

/// Significant digits, and digits after the point, that DECIMAL holds.
const DIGITS: u32 = 28;

impl Num<'_> {
    /// BIGINT if it is written as an integer and fits, DECIMAL if that holds it as it is written, else its text.
    #[inline]
    pub fn value(self) -> Value {
        match self.form {
            Form::Integer => integer(self.raw),
            Form::Fraction => decimal(self.raw),
            Form::Exponent => Value::Number(self.raw.into()),
        }
    }
}

#[inline]
fn integer(raw: &str) -> Value {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if digits.len() > 18 {
        return raw.parse().map_or_else(|_| decimal(raw), Value::Int);
    }
    let magnitude = digits.bytes().fold(0i64, |n, digit| n * 10 + i64::from(digit - b'0'));
    match (digits.len() < raw.len(), magnitude) {
        (false, n) => Value::Int(n),
        // No integer gives `-0` back.
        (true, 0) => Value::Number(raw.into()),
        (true, n) => Value::Int(-n),
    }
}

fn decimal(raw: &str) -> Value {
    // So few digits fit into a word, zeros before them included.
    if raw.len() > 18 || raw.starts_with('-') {
        return long_decimal(raw);
    }
    let (mut mantissa, mut scale) = (0u64, 0);
    for (at, byte) in raw.bytes().enumerate() {
        match byte {
            b'.' => scale = raw.len() - 1 - at,
            digit => mantissa = mantissa * 10 + u64::from(digit - b'0'),
        }
    }
    Value::Decimal(Decimal::from_parts(mantissa as u32, (mantissa >> 32) as u32, 0, false, scale as u32))
}

/// One of any length and sign.
fn long_decimal(raw: &str) -> Value {
    let (mut mantissa, mut significant, mut scale, mut after_point) = (0u128, 0, 0, false);
    for byte in raw.bytes() {
        match byte {
            b'-' => continue,
            b'.' => after_point = true,
            digit => {
                mantissa = mantissa * 10 + u128::from(digit - b'0');
                significant += u32::from(mantissa != 0);
                scale += u32::from(after_point);
            }
        }
        if significant > DIGITS || scale > DIGITS {
            return Value::Number(raw.into());
        }
    }
    let negative = raw.starts_with('-');
    if negative && mantissa == 0 {
        return Value::Number(raw.into());
    }
    let part = |shift: u32| (mantissa >> shift) as u32;
    Value::Decimal(Decimal::from_parts(part(0), part(32), part(64), negative, scale))
}

/// Checks the number at `at`; where it ends, and its form.
#[inline(always)]
pub(super) fn scan(bytes: &[u8], mut at: usize) -> Result<(usize, Form), JsonError> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    at += usize::from(byte(at) == b'-');
    let first = byte(at);
    let whole = at;
    at = digits_end(bytes, at);
    if at == whole {
        return Err(syntax(at, "expected a digit"));
    }
    if first == b'0' && at > whole + 1 {
        return Err(syntax(whole, "a number must not begin with 0"));
    }
    let mut form = Form::Integer;
    if byte(at) == b'.' {
        form = Form::Fraction;
        at = some_digits(bytes, at + 1)?;
    }
    if matches!(byte(at), b'e' | b'E') {
        form = Form::Exponent;
        at += 1;
        at += usize::from(matches!(byte(at), b'+' | b'-'));
        at = some_digits(bytes, at)?;
    }
    Ok((at, form))
}

#[inline]
fn some_digits(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    match digits_end(bytes, at) {
        end if end == at => Err(syntax(at, "expected a digit")),
        end => Ok(end),
    }
}

/// The first byte at or after `at` that is no digit, eight at a time.
#[inline(always)]
fn digits_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("the slice has 8 bytes"));
        // A digit's difference to '0' is at most 9 and stays below 0x80 when 0x76 is added; every other byte shows
        // its top bit. A carry can only come from such a byte, so all bits below the first one are right.
        let diff = word ^ 0x3030_3030_3030_3030;
        let other = (diff.wrapping_add(0x7676_7676_7676_7676) | diff) & 0x8080_8080_8080_8080;
        if other != 0 {
            return at + (other.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}
