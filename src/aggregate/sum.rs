//! `sum` and `avg`: exact whatever the order, rounded once when they are read.
//!
//! BIGINT and DECIMAL are added as whole numbers of one scale, in 128 bits while they fit. DOUBLEs are added in fixed
//! point over their whole range. Where both come in, the result is the DOUBLE nearest to the exact sum of all.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::event::Value;

use super::big::Big;
use super::round::{power_of_ten, to_decimal, to_decimal_exact, to_double};
use super::values::{Number, Unfit};

/// Limbs below the point of a sum of DOUBLEs: the least DOUBLE is 2^-1074.
const DOUBLE_UNIT: u32 = 17;

/// The least whole number of more digits than a DECIMAL has.
const MOST: u128 = 10u128.pow(28);

/// A sum of numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sum {
    exact: Exact,
    double: Option<Box<Big>>,
}

/// A sum of BIGINTs and DECIMALs. Its scale is the greatest among its inputs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
enum Exact {
    #[default]
    Empty,
    /// A number of 128 bits as two words (which need less alignment), the low one first.
    Small {
        words: [u64; 2],
        scale: u8,
    },
    Wide(Box<(Big, u8)>),
}

impl Sum {
    pub fn is_empty(&self) -> bool {
        matches!(self.exact, Exact::Empty) && self.double.is_none()
    }

    #[inline]
    pub fn add(&mut self, value: &Value) -> Result<(), Unfit> {
        match Number::of(value)? {
            Number::Exact { mantissa, scale } => self.exact.add(mantissa, scale as u8),
            Number::Double(double) => add_double(self.double.get_or_insert_default(), double),
        }
        Ok(())
    }

    pub fn merge(&mut self, other: Sum) {
        match other.exact {
            Exact::Empty => {}
            Exact::Small { words, scale } => self.exact.add(join(words), scale),
            Exact::Wide(wide) => self.exact.add_wide(&wide.0, wide.1),
        }
        match (&mut self.double, other.double) {
            (Some(own), Some(other)) => own.add(&other),
            (own @ None, other) => *own = other,
            (Some(_), None) => {}
        }
    }

    /// The sum: a DECIMAL, or a DOUBLE if there were any; NULL of nothing.
    pub fn total(&self) -> Result<Value, Unfit> {
        match (&self.exact, &self.double) {
            (_, Some(_)) => self.double_over(&[]),
            (Exact::Empty, None) => Ok(Value::Null),
            (Exact::Small { words, scale }, None) if join(*words).unsigned_abs() < MOST => {
                Ok(Value::Decimal(Decimal::from_i128_with_scale(join(*words), u32::from(*scale))))
            }
            (exact, None) => {
                let (sum, scale) = exact.big();
                to_decimal_exact(&sum, scale).map(Value::Decimal).ok_or(Unfit)
            }
        }
    }

    /// The sum divided by a count.
    pub fn mean(&self, count: u64) -> Result<Value, Unfit> {
        match (&self.exact, &self.double) {
            (_, Some(_)) => self.double_over(&[count]),
            (Exact::Empty, None) => Ok(Value::Null),
            (exact, None) => {
                let (sum, scale) = exact.big();
                to_decimal(&sum, scale, &[count]).map(Value::Decimal).ok_or(Unfit)
            }
        }
    }

    fn double_over(&self, divisors: &[u64]) -> Result<Value, Unfit> {
        let (exact, scale) = self.exact.big();
        let mut sum = exact.raised(DOUBLE_UNIT);
        if let Some(double) = &self.double {
            sum.add(&double.times_power_of_ten(scale));
        }
        let divisors: Vec<u64> = divisors.iter().copied().chain(power_of_ten(scale)).collect();
        to_double(&sum, DOUBLE_UNIT, &divisors).map(Value::Double).ok_or(Unfit)
    }

    /// Bytes outside of the struct itself.
    pub fn bytes(&self) -> usize {
        let wide = if let Exact::Wide(wide) = &self.exact { size_of::<(Big, u8)>() + wide.0.bytes() } else { 0 };
        wide + self.double.as_ref().map_or(0, |double| size_of::<Big>() + double.bytes())
    }
}

impl Exact {
    #[inline]
    fn add(&mut self, mantissa: i128, scale: u8) {
        match self {
            Exact::Empty => *self = Exact::Small { words: split(mantissa), scale },
            Exact::Small { words, scale: own } if *own == scale => match join(*words).checked_add(mantissa) {
                Some(sum) => *words = split(sum),
                None => self.add_wide(&Big::from_i128(mantissa), scale),
            },
            Exact::Small { words, scale: own } => match add_scaled(join(*words), *own, mantissa, scale) {
                Some(sum) => *self = Exact::Small { words: split(sum), scale: scale.max(*own) },
                None => self.add_wide(&Big::from_i128(mantissa), scale),
            },
            Exact::Wide(_) => self.add_wide(&Big::from_i128(mantissa), scale),
        }
    }

    fn add_wide(&mut self, other: &Big, scale: u8) {
        let (own, own_scale) = self.big();
        let common = scale.max(own_scale as u8);
        let mut sum = own.times_power_of_ten(u32::from(common) - own_scale);
        sum.add(&other.times_power_of_ten(u32::from(common - scale)));
        *self = Exact::Wide(Box::new((sum, common)));
    }

    fn big(&self) -> (Big, u32) {
        match self {
            Exact::Empty => (Big::default(), 0),
            Exact::Small { words, scale } => (Big::from_i128(join(*words)), u32::from(*scale)),
            Exact::Wide(wide) => (wide.0.clone(), u32::from(wide.1)),
        }
    }
}

/// The sum of two numbers of unlike scale, in the greater scale, if 128 bits hold it.
fn add_scaled(a: i128, a_scale: u8, b: i128, b_scale: u8) -> Option<i128> {
    let scale = a_scale.max(b_scale);
    let raise = |n: i128, by: u8| n.checked_mul(10i128.pow(u32::from(by)));
    raise(a, scale - a_scale)?.checked_add(raise(b, scale - b_scale)?)
}

fn split(sum: i128) -> [u64; 2] {
    [sum as u64, (sum >> 64) as u64]
}

fn join([low, high]: [u64; 2]) -> i128 {
    (i128::from(high as i64) << 64) | i128::from(low)
}

fn add_double(sum: &mut Big, double: f64) {
    let (mantissa, bit) = parts(double);
    sum.add_bits(u128::from(mantissa), DOUBLE_UNIT * 64 - 1074 + bit, double < 0.0);
}

/// A DOUBLE's magnitude as `mantissa` × 2^(`bit` − 1074).
pub fn parts(double: f64) -> (u64, u32) {
    let bits = double.to_bits() & (u64::MAX >> 1);
    let (exponent, fraction) = ((bits >> 52) as u32, bits & ((1 << 52) - 1));
    if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum_of(values: &[Value]) -> Sum {
        let mut sum = Sum::default();
        values.iter().for_each(|value| sum.add(value).unwrap());
        sum
    }

    fn decimal(text: &str) -> Value {
        Value::Decimal(text.parse().unwrap())
    }

    #[test]
    fn sums_of_integers_and_decimals_are_exact() {
        let total = |values: &[Value]| sum_of(values).total();
        assert_eq!(total(&[i64::MAX; 3].map(Value::Int)), Ok(decimal("27670116110564327421")));
        assert!(total(&[decimal("0.10"), decimal("0.2"), Value::Int(1)]).unwrap().identical(&decimal("1.30")));
        let widest = [decimal("9999999999999999999999999999"), decimal("0.0000000000000000000000000001")];
        assert_eq!(total(&widest), Err(Unfit), "56 digits are more than a DECIMAL has");
        let back = [widest.as_slice(), &[decimal("-9999999999999999999999999999")]].concat();
        assert_eq!(total(&back), Ok(decimal("0.0000000000000000000000000001")), "but only the result counts");
        assert_eq!(total(&[]), Ok(Value::Null));
        assert_eq!(
            sum_of(&[Value::Int(1), Value::Int(2), Value::Int(2)]).mean(3),
            Ok(decimal("1.666666666666666666666666667"))
        );
    }

    #[test]
    fn sums_of_doubles_are_rounded_once() {
        let total = |values: &[f64]| sum_of(&values.iter().map(|v| Value::Double(*v)).collect::<Vec<_>>()).total();
        assert_eq!(total(&[0.1; 10]), Ok(Value::Double(1.0)));
        assert_eq!(total(&[1e308, 1e308, -1e308]), Ok(Value::Double(1e308)));
        assert_eq!(total(&[1e308, 1e308]), Err(Unfit));
        assert_eq!(total(&[1e300, 5e-324, -1e300]), Ok(Value::Double(5e-324)));
        assert_eq!(sum_of(&[Value::Double(0.5), decimal("0.25")]).total(), Ok(Value::Double(0.75)));
        assert_eq!(sum_of(&[Value::Double(1.0), Value::Int(1), Value::Int(2)]).mean(3), Ok(Value::Double(4.0 / 3.0)));
    }

    #[test]
    fn what_is_no_number_does_not_fit() {
        assert_eq!(Sum::default().add(&Value::text("abc")), Err(Unfit));
        assert_eq!(Sum::default().add(&Value::Number("1e400".into())), Err(Unfit));
        assert_eq!(sum_of(&[Value::Number("1E2".into())]).total(), Ok(decimal("100")));
    }

    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int),
            (any::<i64>(), 0u32..28).prop_map(|(m, s)| Value::Decimal(Decimal::from_i128_with_scale(m.into(), s))),
            (-(10i128.pow(28) - 1)..10i128.pow(28), 0u32..28)
                .prop_map(|(m, s)| Value::Decimal(Decimal::from_i128_with_scale(m, s))),
            any::<f64>().prop_filter("finite", |d| d.is_finite()).prop_map(Value::Double),
        ]
    }

    proptest! {
        #[test]
        fn no_order_and_no_split_changes_a_sum(values in prop::collection::vec(number(), 1..40), cut in 0usize..40, doubles in any::<bool>()) {
            let values: Vec<_> = values.into_iter().filter(|v| doubles || !matches!(v, Value::Double(_))).collect();
            let count = values.len().max(1) as u64;
            let whole = sum_of(&values);
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = sum_of(&right.iter().rev().cloned().collect::<Vec<_>>());
            merged.merge(sum_of(left));
            let same = |a: Result<Value, Unfit>, b: Result<Value, Unfit>| match (a, b) {
                (Ok(a), Ok(b)) => a.identical(&b),
                (a, b) => a == b,
            };
            prop_assert!(same(whole.total(), merged.total()));
            prop_assert!(same(whole.mean(count), merged.mean(count)));
        }
    }
}
