//! DECIMAL arithmetic: 28 significant digits, at most 28 of them after the point.
//!
//! `add`, `sub` and `mul` are exact or `None`; zeros after the point that do not fit are left out. `div` is rounded half
//! to even at 28 digits. (`rust_decimal`'s own operators round in silence and keep 29 digits at times, so they are not
//! used.) The scale of a result is the one that people expect: `1.10 + 2 = 3.10`.

use rust_decimal::Decimal;

const DIGITS: u32 = 28;
/// The least integer that has too many digits.
const LIMIT: u128 = 10u128.pow(DIGITS);

/// A number as sign, digits and places after the point.
#[derive(Clone, Copy)]
struct Parts {
    negative: bool,
    digits: u128,
    scale: u32,
}

impl Parts {
    fn of(d: &Decimal) -> Self {
        Self { negative: d.is_sign_negative(), digits: d.mantissa().unsigned_abs(), scale: d.scale() }
    }

    fn signed(self) -> i128 {
        let digits = self.digits as i128;
        if self.negative { -digits } else { digits }
    }

    /// Without zeros at the end of what stands after the point.
    fn stripped(mut self) -> Self {
        while self.scale > 0 && self.digits.is_multiple_of(10) {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }

    /// As a DECIMAL, if it is one exactly.
    fn fit(mut self) -> Option<Decimal> {
        while (self.digits >= LIMIT || self.scale > DIGITS) && self.scale > 0 && self.digits.is_multiple_of(10) {
            self.digits /= 10;
            self.scale -= 1;
        }
        if self.digits >= LIMIT || self.scale > DIGITS {
            return None;
        }
        let mut decimal = Decimal::try_from_i128_with_scale(self.digits as i128, self.scale).ok()?;
        decimal.set_sign_negative(self.negative && self.digits != 0);
        Some(decimal)
    }
}

/// Does the number have at most 28 significant digits?
pub fn fits(d: &Decimal) -> bool {
    d.mantissa().unsigned_abs() < LIMIT
}

/// Reads `-12.50`, `1e3`; `None` for what is no number or has too many digits.
pub fn parse(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = (fraction.len() as i64).checked_sub(exponent)?;
    let written = whole.bytes().chain(fraction.bytes()).skip_while(|b| *b == b'0');
    digits_with_scale(negative, written, scale)
}

fn digits_with_scale(negative: bool, written: impl Iterator<Item = u8>, mut scale: i64) -> Option<Decimal> {
    let mut digits = 0u128;
    // Zeros wait until another digit follows: those at the end may be left out.
    let mut zeros = 0i64;
    for digit in written {
        if digit == b'0' {
            zeros += 1;
            continue;
        }
        for _ in 0..=zeros {
            digits = digits.checked_mul(10).filter(|n| *n < LIMIT * 10)?;
        }
        digits += u128::from(digit - b'0');
        zeros = 0;
    }
    if digits == 0 {
        return Parts { negative: false, digits, scale: scale.clamp(0, DIGITS.into()) as u32 }.fit();
    }
    // As many zeros stay as the scale was written with and as fit; those before the point must.
    let length = i64::from(digits.ilog10()) + 1;
    while zeros > 0 && scale > 0 && (length + zeros > DIGITS.into() || scale > DIGITS.into()) {
        zeros -= 1;
        scale -= 1;
    }
    zeros -= scale.min(0);
    for _ in 0..zeros {
        digits = digits.checked_mul(10).filter(|n| *n < LIMIT)?;
    }
    Parts { negative, digits, scale: u32::try_from(scale.max(0)).ok()? }.fit()
}

pub fn add(a: &Decimal, b: &Decimal) -> Option<Decimal> {
    let (a, b) = (Parts::of(a), Parts::of(b));
    add_parts(a, b).or_else(|| add_parts(a.stripped(), b.stripped()))
}

pub fn sub(a: &Decimal, b: &Decimal) -> Option<Decimal> {
    add(a, &-*b)
}

fn add_parts(a: Parts, b: Parts) -> Option<Decimal> {
    let scale = a.scale.max(b.scale);
    let align = |p: Parts| p.signed().checked_mul(10i128.checked_pow(scale - p.scale)?);
    let sum = align(a)?.checked_add(align(b)?)?;
    Parts { negative: sum < 0, digits: sum.unsigned_abs(), scale }.fit()
}

pub fn mul(a: &Decimal, b: &Decimal) -> Option<Decimal> {
    let (a, b) = (Parts::of(a), Parts::of(b));
    let negative = a.negative != b.negative;
    let mut scale = a.scale + b.scale;
    if let Some(digits) = a.digits.checked_mul(b.digits) {
        return Parts { negative, digits, scale }.fit();
    }
    let mut product = Wide::product(a.digits, b.digits);
    while scale > 0 {
        let (tenth, rest) = product.tenth();
        if rest != 0 {
            return None;
        }
        product = tenth;
        scale -= 1;
        if product.high == 0 {
            return Parts { negative, digits: product.low, scale }.fit();
        }
    }
    None
}

/// A product of two 28-digit numbers.
#[derive(Clone, Copy)]
struct Wide {
    high: u128,
    low: u128,
}

impl Wide {
    fn product(a: u128, b: u128) -> Self {
        let mask = u128::from(u64::MAX);
        let (a1, a0, b1, b0) = (a >> 64, a & mask, b >> 64, b & mask);
        let low = a0 * b0;
        let middle = a1 * b0 + (low >> 64);
        let (carry, middle) = (middle >> 64, (middle & mask) + a0 * b1);
        Self { high: a1 * b1 + carry + (middle >> 64), low: (middle << 64) | (low & mask) }
    }

    fn tenth(self) -> (Self, u128) {
        let mask = u128::from(u64::MAX);
        let (high, rest) = (self.high / 10, self.high % 10);
        let upper = (rest << 64) | (self.low >> 64);
        let lower = ((upper % 10) << 64) | (self.low & mask);
        (Self { high, low: ((upper / 10) << 64) | (lower / 10) }, lower % 10)
    }
}

/// Rounded half to even at 28 digits; `None` for a division by zero or a quotient that is too large.
pub fn div(a: &Decimal, b: &Decimal) -> Option<Decimal> {
    let (a, b) = (Parts::of(a), Parts::of(b));
    let mut digits = a.digits.checked_div(b.digits)?;
    let mut rest = a.digits % b.digits;
    let mut scale = i64::from(a.scale) - i64::from(b.scale);
    let wanted = scale.max(0);
    while scale < 0 || rest != 0 && digits < LIMIT / 10 && scale < i64::from(DIGITS) {
        rest *= 10;
        digits = digits.checked_mul(10)?.checked_add(rest / b.digits).filter(|n| *n < LIMIT)?;
        rest %= b.digits;
        scale += 1;
    }
    let half = (rest * 2).cmp(&b.digits);
    if half.is_gt() || half.is_eq() && digits % 2 == 1 {
        digits += 1;
    }
    while scale > wanted && digits.is_multiple_of(10) {
        digits /= 10;
        scale -= 1;
    }
    Parts { negative: a.negative != b.negative, digits, scale: scale as u32 }.fit()
}

/// The rest of a division that truncates: its sign is that of `a`. `None` for a division by zero.
pub fn rem(a: &Decimal, b: &Decimal) -> Option<Decimal> {
    let (a, b) = (Parts::of(a), Parts::of(b));
    if b.digits == 0 {
        return None;
    }
    let scale = a.scale.max(b.scale);
    let digits = match 10u128.checked_pow(scale - b.scale).and_then(|power| b.digits.checked_mul(power)) {
        Some(divisor) if a.scale == scale => a.digits % divisor,
        Some(divisor) => (a.scale..scale).fold(a.digits % divisor, |rest, _| rest * 10 % divisor),
        // The divisor is greater than any DECIMAL.
        None => a.digits,
    };
    Parts { negative: a.negative, digits, scale }.fit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    type Op = fn(&Decimal, &Decimal) -> Option<Decimal>;

    fn check(op: Op, cases: &[(&str, &str, Option<&str>)]) {
        for (a, b, expected) in cases {
            assert_eq!(op(&d(a), &d(b)).map(|d| d.to_string()).as_deref(), *expected, "{a}, {b}");
        }
    }

    #[test]
    fn sums_are_exact_or_nothing() {
        let nines = "9999999999999999999999999999";
        check(
            add,
            &[
                ("1.10", "2", Some("3.10")),
                ("-1.5", "1.5", Some("0.0")),
                (nines, "1", None),
                (nines, "0.1", None),
                (nines, "-1.0", Some("9999999999999999999999999998")),
                ("999999999999999999999999999.9", "0.1", Some("1000000000000000000000000000")),
                (nines, "0.0000000000000000000000000001", None),
                (nines, "0.0000000000000000000000000000", Some(nines)),
            ],
        );
    }

    #[test]
    fn products_are_exact_or_nothing() {
        let (fives, twos) = ("909494701772928237915039062.5", "1.099511627776");
        check(
            mul,
            &[
                ("1.5", "2.0", Some("3.00")),
                ("-0.5", "0.5", Some("-0.25")),
                ("99999999999999", "99999999999999", Some("9999999999999800000000000001")),
                ("999999999999999", "99999999999999", None),
                (fives, twos, Some("1000000000000000000000000000")),
                ("0.00000000000001", "0.00000000000001", Some("0.0000000000000000000000000001")),
                ("0.00000000000001", "0.000000000000001", None),
                (
                    "1.000000000000000000000000000",
                    "1.000000000000000000000000000",
                    Some("1.000000000000000000000000000"),
                ),
            ],
        );
    }

    #[test]
    fn quotients_are_rounded_half_to_even_at_28_digits() {
        check(
            div,
            &[
                ("1", "3.0", Some("0.3333333333333333333333333333")),
                ("2", "3", Some("0.6666666666666666666666666667")),
                ("1500", "100.0", Some("15")),
                ("10.00", "4", Some("2.50")),
                ("1", "0.0001", Some("10000")),
                ("-7", "2", Some("-3.5")),
                ("20000000000000000000000000.01", "3", Some("6666666666666666666666666.67")),
                ("0.0000000000000000000000000001", "2", Some("0.0000000000000000000000000000")),
                ("0.0000000000000000000000000003", "2", Some("0.0000000000000000000000000002")),
                ("9999999999999999999999999999", "0.1", None),
                ("1", "0", None),
            ],
        );
    }

    #[test]
    fn remainders_have_the_sign_of_the_dividend() {
        check(
            rem,
            &[
                ("7", "2.5", Some("2.0")),
                ("-7.25", "2", Some("-1.25")),
                ("1", "0.3", Some("0.1")),
                (
                    "9999999999999999999999999999",
                    "0.0000000000000000000000000007",
                    Some("0.0000000000000000000000000005"),
                ),
                (
                    "0.0000000000000000000000000001",
                    "9999999999999999999999999999",
                    Some("0.0000000000000000000000000001"),
                ),
                ("1", "0", None),
            ],
        );
    }

    #[test]
    fn numbers_are_read_if_they_fit() {
        let cases = [
            ("1.50", Some("1.50")),
            ("-0", Some("0")),
            ("1E2", Some("100")),
            ("12e-3", Some("0.012")),
            (".5", Some("0.5")),
            ("1e400", None),
            ("1e-400", None),
            ("0e400", Some("0")),
            ("12345678901234567890123456789", None),
            ("1234567890123456789012345678", Some("1234567890123456789012345678")),
            ("1.0000000000000000000000000000000", Some("1.000000000000000000000000000")),
            ("10000000000000000000000000000", None),
            ("", None),
            ("1x", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).map(|d| d.to_string()).as_deref(), expected, "{text}");
        }
    }
}
