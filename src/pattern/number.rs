//! Numbers as exact decimals, in a form that compares as one machine word of 128 bits.
//!
//! A number is ± 0.d₁d₂d₃… × 10^e with d₁ ≠ 0. Sign, exponent and the first 19 digits make the *key*, whose order as an
//! unsigned integer is the order of the numbers; digits after the 19th are the *tail*, without trailing zeros. So 300,
//! 300.0 and 3e2 are one number, 2^53 and 2^53 + 1 are two, 1e400 is like any other, and −0 is 0. An exponent beyond
//! ± 2^60 counts as that: such numbers are no longer told apart.

use std::cmp::Ordering;

const DIGITS: u32 = 19;
const ZERO: u128 = 1 << 127;
const MAX_EXPONENT: i64 = 1 << 60;
const BIAS: i64 = 1 << 62;

/// An exact decimal number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    key: u128,
    tail: Box<[u8]>,
}

impl Number {
    /// `text` must be a number by JSON's grammar.
    pub fn parse(text: &str) -> Self {
        let mut tail = Vec::new();
        let key = Self::key_of(text.as_bytes(), &mut tail);
        Self { key, tail: tail.into() }
    }

    pub fn from_parts(key: u128, tail: &[u8]) -> Self {
        Self { key, tail: tail.into() }
    }

    /// Sign, exponent and 19 digits; ordered as the numbers are, up to the tail.
    pub fn key(&self) -> u128 {
        self.key
    }

    /// The digits after the 19th.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// The key of a JSON number's text; digits for the tail are appended.
    pub fn key_of(text: &[u8], tail: &mut Vec<u8>) -> u128 {
        let (negative, text) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        let start = tail.len();
        let mut mantissa = Mantissa::default();
        let mut at = 0;
        let mut whole = true;
        while let Some(byte) = text.get(at) {
            match byte {
                b'0'..=b'9' => mantissa.push(byte - b'0', whole, tail),
                b'.' => whole = false,
                _ => break,
            }
            at += 1;
        }
        while tail.len() > start && tail.last() == Some(&0) {
            tail.pop();
        }
        if mantissa.count == 0 {
            return ZERO;
        }
        let exponent = mantissa.exponent + text.get(at + 1..).map_or(0, exponent);
        let digits = mantissa.value * 10u64.pow(DIGITS - mantissa.count);
        let magnitude = (u128::from((exponent + BIAS) as u64) << 64) | u128::from(digits);
        if negative { !(ZERO | magnitude) } else { ZERO | magnitude }
    }

    /// Orders (key, tail) pairs as the numbers.
    pub fn compare(a: (u128, &[u8]), b: (u128, &[u8])) -> Ordering {
        a.0.cmp(&b.0).then_with(|| if a.0 < ZERO { b.1.cmp(a.1) } else { a.1.cmp(b.1) })
    }
}

#[derive(Default)]
struct Mantissa {
    value: u64,
    count: u32,
    exponent: i64,
}

impl Mantissa {
    #[inline]
    fn push(&mut self, digit: u8, whole: bool, tail: &mut Vec<u8>) {
        if self.count == 0 && digit == 0 {
            self.exponent -= i64::from(!whole);
            return;
        }
        self.exponent += i64::from(whole);
        if self.count < DIGITS {
            self.value = self.value * 10 + u64::from(digit);
            self.count += 1;
        } else {
            tail.push(digit);
        }
    }
}

fn exponent(text: &[u8]) -> i64 {
    let digits = text.iter().filter(|b| b.is_ascii_digit());
    let size = digits.fold(0i64, |n, d| n.saturating_mul(10).saturating_add(i64::from(d - b'0')).min(MAX_EXPONENT));
    if text.first() == Some(&b'-') { -size } else { size }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        Self::compare((self.key, &self.tail), (other.key, &other.tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Value;
    use proptest::prelude::*;

    #[test]
    fn one_value_in_several_forms_is_one_number() {
        for forms in [
            &["300", "300.0", "3e2", "0.3E+3", "30000e-2"][..],
            &["0", "-0", "0.000", "0e99", "-0e-5"],
            &["-1.5", "-15e-1", "-0.15e1"],
            &["12345678901234567890123", "12345678901234567890123.00", "1.2345678901234567890123e22"],
        ] {
            for form in forms {
                assert_eq!(Number::parse(form), Number::parse(forms[0]), "{form}");
            }
        }
    }

    #[test]
    fn order_is_exact() {
        let order = [
            "-1e400",
            "-12345678901234567890124",
            "-12345678901234567890123",
            "-3",
            "-0.5",
            "0",
            "1e-400",
            "0.5",
            "9007199254740992",
            "9007199254740993",
            "10000000000000000000",
            "10000000000000000000.1",
            "1e400",
        ];
        for pair in order.windows(2) {
            assert!(Number::parse(pair[0]) < Number::parse(pair[1]), "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn compares_as_values_of_events_do(
            a in "-?(0|[1-9][0-9]{0,3})(0{0,24})(\\.[0-9]{1,4}0{0,20})?([eE][+-]?[0-9]{1,2})?",
            b in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
        ) {
            prop_assume!(!a.starts_with("00") && !a.starts_with("-00"));
            let order = Value::Number(a.as_str().into()).cmp(&Value::Number(b.as_str().into()));
            prop_assert_eq!(Number::parse(&a).cmp(&Number::parse(&b)), order);
        }
    }
}
