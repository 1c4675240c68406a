//! Rounding an exact number once: to the nearest DOUBLE, or to a DECIMAL of 28 digits; ties go to the even neighbour.

use rust_decimal::Decimal;

use super::big::{Big, Magnitude};

/// Significant digits of a DECIMAL, and the most that may stand after its point.
const DIGITS: usize = 28;
const POWER_OF_TEN: u64 = 10u64.pow(19);

/// 10^`power` as factors of 64 bits, to divide by.
pub fn power_of_ten(power: u32) -> Vec<u64> {
    let mut factors = vec![POWER_OF_TEN; power as usize / 19];
    factors.push(10u64.pow(power % 19));
    factors
}

/// `value` × 2^-(64 `unit`) ÷ all of `divisors`, rounded once. `None` if no DOUBLE is large enough.
pub fn to_double(value: &Big, unit: u32, divisors: &[u64]) -> Option<f64> {
    let mut magnitude = value.magnitude();
    let negative = magnitude.negative;
    // Room below the point, so that a quotient keeps more bits than a DOUBLE has.
    let room = divisors.len() + 2;
    magnitude.limbs.splice(0..0, std::iter::repeat_n(0, room));
    let mut inexact = false;
    for divisor in divisors {
        inexact |= magnitude.divide(*divisor) != 0;
    }
    let exponent = 64 * (i64::from(magnitude.base) - i64::from(unit) - room as i64);
    let double = nearest_double(&magnitude, exponent, inexact);
    let double = if negative { -double } else { double };
    double.is_finite().then_some(if double == 0.0 { 0.0 } else { double })
}

/// The DOUBLE nearest to the magnitude × 2^`exponent`, or to a little more than that if it is `inexact`.
fn nearest_double(magnitude: &Magnitude, exponent: i64, inexact: bool) -> f64 {
    let Some(top) = magnitude.limbs.last() else { return 0.0 };
    let bits = 64 * magnitude.limbs.len() as i64 - i64::from(top.leading_zeros());
    // The lowest bit that the DOUBLE can hold: 53 below the highest, but not below the least subnormal.
    let lowest = (bits - 53).max(-1074 - exponent);
    if lowest > bits {
        return 0.0;
    }
    let mantissa = bits_from(magnitude, lowest);
    let half = lowest > 0 && bits_from(magnitude, lowest - 1) & 1 == 1;
    let rest = inexact || (lowest > 1 && any_below(magnitude, lowest - 1));
    let round_up = half && (rest || mantissa & 1 == 1);
    (mantissa + u64::from(round_up)) as f64 * two_to(lowest + exponent)
}

/// Up to 64 bits from bit `from` up; bits below the first are 0.
fn bits_from(magnitude: &Magnitude, from: i64) -> u64 {
    let limb = |i: i64| usize::try_from(i).ok().and_then(|i| magnitude.limbs.get(i)).copied().unwrap_or(0);
    let (at, shift) = (from.div_euclid(64), from.rem_euclid(64));
    if shift == 0 { limb(at) } else { (limb(at) >> shift) | (limb(at + 1) << (64 - shift)) }
}

fn any_below(magnitude: &Magnitude, bit: i64) -> bool {
    let whole = (bit / 64) as usize;
    magnitude.limbs[..whole].iter().any(|limb| *limb != 0)
        || magnitude.limbs.get(whole).is_some_and(|limb| limb & ((1 << (bit % 64)) - 1) != 0)
}

/// 2^`exponent`, for exponents from that of the least subnormal up; infinite beyond the greatest DOUBLE.
fn two_to(exponent: i64) -> f64 {
    match exponent {
        1024.. => f64::INFINITY,
        -1022.. => f64::from_bits(((exponent + 1023) as u64) << 52),
        _ => f64::from_bits(1 << (exponent + 1074).max(0)),
    }
}

/// `value` × 10^-`scale`, exactly, in that scale if it has room; `None` if it takes more digits.
pub fn to_decimal_exact(value: &Big, scale: u32) -> Option<Decimal> {
    let (mut digits, negative) = (digits(value.magnitude()), value.magnitude().negative);
    let mut scale = scale as usize;
    while digits.len() > DIGITS && scale > 0 && digits.last() == Some(&0) {
        digits.pop();
        scale -= 1;
    }
    (digits.len() <= DIGITS).then(|| decimal(&digits, scale, negative))
}

/// `value` × 10^-`scale` ÷ all of `divisors`, rounded once; `None` if it takes more than 28 digits before the point.
pub fn to_decimal(value: &Big, scale: u32, divisors: &[u64]) -> Option<Decimal> {
    // As many digits after the point as rounding can ask for and then some, so that one rounding is enough.
    let extra = 58u32.saturating_sub(scale);
    let mut magnitude = value.times_power_of_ten(extra).magnitude();
    let negative = magnitude.negative;
    let mut inexact = false;
    for divisor in divisors {
        inexact |= magnitude.divide(*divisor) != 0;
    }
    let mut digits = digits(magnitude);
    let mut scale = (scale + extra) as usize;
    let surplus = digits.len().saturating_sub(DIGITS).max(scale - DIGITS);
    if surplus > scale {
        return None;
    }
    round_away(&mut digits, surplus, inexact);
    scale = if digits.is_empty() { 0 } else { scale - surplus };
    while scale > 0 && digits.last() == Some(&0) {
        digits.pop();
        scale -= 1;
    }
    (digits.len() <= DIGITS).then(|| decimal(&digits, scale, negative))
}

/// Removes the last `surplus` digits, rounding half to even.
fn round_away(digits: &mut Vec<u8>, surplus: usize, inexact: bool) {
    let keep = digits.len().saturating_sub(surplus);
    let missing = surplus.saturating_sub(digits.len());
    let gone = digits.split_off(keep);
    let first = if missing > 0 { 0 } else { gone.first().copied().unwrap_or(0) };
    let rest = inexact || gone.iter().skip(usize::from(missing == 0)).any(|digit| *digit != 0);
    let odd = digits.last().is_some_and(|digit| digit % 2 == 1);
    if first > 5 || (first == 5 && (rest || odd)) {
        match digits.iter_mut().rev().find(|digit| **digit != 9) {
            Some(_) => {
                while let Some(9) = digits.last() {
                    // Trailing nines become zeros, below.
                    digits.pop();
                }
                *digits.last_mut().expect("a digit below 9 was found") += 1;
                digits.resize(keep, 0);
            }
            None => {
                digits.fill(0);
                digits.insert(0, 1);
            }
        }
    }
}

/// Decimal digits, the highest first; none for 0. The magnitude must be whole.
fn digits(mut magnitude: Magnitude) -> Vec<u8> {
    magnitude.limbs.splice(0..0, std::iter::repeat_n(0, magnitude.base as usize));
    let mut digits = Vec::new();
    while !magnitude.is_zero() {
        let mut part = magnitude.divide(POWER_OF_TEN);
        for _ in 0..19 {
            digits.push((part % 10) as u8);
            part /= 10;
        }
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits.reverse();
    digits
}

fn decimal(digits: &[u8], scale: usize, negative: bool) -> Decimal {
    let mantissa = digits.iter().fold(0i128, |n, digit| n * 10 + i128::from(*digit));
    Decimal::from_i128_with_scale(if negative { -mantissa } else { mantissa }, scale as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn big(value: i128) -> Big {
        Big::from_i128(value)
    }

    fn quotient(value: i128, scale: u32, divisor: u64) -> String {
        to_decimal(&big(value), scale, &[divisor]).map_or("none".to_owned(), |decimal| decimal.to_string())
    }

    #[test]
    fn quotients_have_28_digits_and_ties_go_to_the_even_neighbour() {
        assert_eq!(quotient(1, 0, 3), "0.3333333333333333333333333333");
        assert_eq!(quotient(-2, 0, 3), "-0.6666666666666666666666666667");
        assert_eq!(quotient(300, 2, 2), "1.5");
        assert_eq!(quotient(99_999_999_999_999_999_999_999_999_995, 1, 1), "none");
        assert_eq!(quotient(1, 28, 2), "0");
        assert_eq!(quotient(3, 28, 2), "0.0000000000000000000000000002");
        assert_eq!(quotient(10i128.pow(27) * 12 + 5, 1, 1), "1200000000000000000000000000");
        assert_eq!(quotient(10i128.pow(27) * 12 + 15, 1, 1), "1200000000000000000000000002");
        assert_eq!(quotient(0, 5, 7), "0");
    }

    #[test]
    fn sums_keep_their_scale_while_there_is_room() {
        assert_eq!(to_decimal_exact(&big(300), 2).unwrap().to_string(), "3.00");
        assert_eq!(
            to_decimal_exact(&big(12 * 10i128.pow(27)), 2).unwrap().to_string(),
            "120000000000000000000000000.0"
        );
        assert_eq!(to_decimal_exact(&big(10i128.pow(28)), 0), None);
    }

    #[test]
    fn the_edges_of_doubles_are_rounded_right() {
        let at = |magnitude: u128, bit: u32| {
            let mut value = Big::default();
            value.add_bits(magnitude, bit, false);
            to_double(&value, 17, &[])
        };
        assert_eq!(at(1, 1088 - 1074), Some(f64::from_bits(1)));
        assert_eq!(at(1, 1088 - 1075), Some(0.0));
        assert_eq!(at(3, 1088 - 1075), Some(f64::from_bits(2)));
        assert_eq!(at((1 << 53) - 1, 1088 + 971), Some(f64::MAX));
        assert_eq!(at(1, 1088 + 1024), None);
        assert_eq!(at((1 << 54) - 1, 1088 + 970), None);
        assert_eq!(at((1 << 53) + 1, 1088), Some(9007199254740992.0));
        assert_eq!(at((1 << 54) + 3, 1088), Some(18014398509481988.0));
    }

    proptest! {
        #[test]
        fn a_quotient_of_small_numbers_is_that_of_the_machine(value in -(1i64 << 53)..(1i64 << 53), divisor in 1u64..(1 << 53)) {
            let double = to_double(&big(i128::from(value)), 0, &[divisor]).unwrap();
            prop_assert_eq!(double, value as f64 / divisor as f64);
        }
    }
}
