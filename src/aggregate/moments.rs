//! `variance` and `stddev` of the sample, from exact sums of x and x².
//!
//! (n Σx² − (Σx)²) / (n (n − 1)) is computed in whole numbers and rounded once, so that nothing cancels and nothing
//! depends on the order. The results are DOUBLEs, whatever x is.

use serde::{Deserialize, Serialize};

use crate::event::Value;

use super::big::Big;
use super::round::{power_of_ten, to_double};
use super::sum::parts;
use super::values::{Number, Unfit};

/// Limbs below the point of Σx of DOUBLEs; of Σx² it is twice that.
const UNIT: u32 = 17;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    /// BIGINTs and DECIMALs: Σx and Σx², whole numbers times 10^-`scale` and 10^-(2 `scale`).
    exact: Sums,
    scale: u32,
    /// DOUBLEs: Σx and Σx², whole numbers times 2^-(64 `UNIT`) and 2^-(128 `UNIT`).
    double: Option<Sums>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sums {
    sum: Big,
    squares: Big,
}

impl Moments {
    pub fn add(&mut self, value: &Value) -> Result<(), Unfit> {
        match Number::of(value)? {
            Number::Exact { mantissa, scale } => {
                self.rescale(scale);
                let mantissa = Big::from_i128(mantissa).times_power_of_ten(self.scale - scale);
                self.exact.add(&Sums { squares: mantissa.times(&mantissa), sum: mantissa });
            }
            Number::Double(double) => {
                let (mantissa, bit) = parts(double);
                let sums = self.double.get_or_insert_default();
                let bit = UNIT * 64 - 1074 + bit;
                sums.sum.add_bits(u128::from(mantissa), bit, double < 0.0);
                sums.squares.add_bits(u128::from(mantissa) * u128::from(mantissa), 2 * bit, false);
            }
        }
        self.count += 1;
        Ok(())
    }

    pub fn merge(&mut self, mut other: Moments) {
        self.count += other.count;
        self.rescale(other.scale);
        other.rescale(self.scale);
        self.exact.add(&other.exact);
        match (&mut self.double, other.double) {
            (Some(own), Some(other)) => own.add(&other),
            (own @ None, other) => *own = other,
            (Some(_), None) => {}
        }
    }

    fn rescale(&mut self, scale: u32) {
        if scale > self.scale {
            let by = scale - self.scale;
            self.exact = self.exact.scaled(by);
            self.scale = scale;
        }
    }

    /// NULL of fewer than two values.
    pub fn variance(&self) -> Result<Value, Unfit> {
        if self.count < 2 {
            return Ok(Value::Null);
        }
        let mut sums = self.double.as_ref().map_or_else(Sums::default, |double| double.scaled(self.scale));
        sums.sum.add(&self.exact.sum.clone().raised(UNIT));
        sums.squares.add(&self.exact.squares.clone().raised(2 * UNIT));
        let mut divisors = vec![self.count, self.count - 1];
        divisors.extend(power_of_ten(2 * self.scale));
        to_double(&sums.spread(self.count), 2 * UNIT, &divisors).map(Value::Double).ok_or(Unfit)
    }

    /// The root of the variance as a DOUBLE.
    pub fn stddev(&self) -> Result<Value, Unfit> {
        match self.variance()? {
            Value::Double(variance) => Ok(Value::Double(variance.sqrt())),
            other => Ok(other),
        }
    }

    /// Bytes outside of the struct itself.
    pub fn bytes(&self) -> usize {
        self.exact.bytes() + self.double.as_ref().map_or(0, Sums::bytes)
    }
}

impl Sums {
    fn add(&mut self, other: &Sums) {
        self.sum.add(&other.sum);
        self.squares.add(&other.squares);
    }

    fn scaled(&self, by: u32) -> Sums {
        Sums { sum: self.sum.times_power_of_ten(by), squares: self.squares.times_power_of_ten(2 * by) }
    }

    /// n Σx² − (Σx)².
    fn spread(&self, count: u64) -> Big {
        let mut spread = self.squares.times(&Big::from_i128(i128::from(count)));
        spread.subtract(&self.sum.times(&self.sum));
        spread
    }

    fn bytes(&self) -> usize {
        self.sum.bytes() + self.squares.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    fn of(values: &[Value]) -> Moments {
        let mut moments = Moments::default();
        values.iter().for_each(|value| moments.add(value).unwrap());
        moments
    }

    #[test]
    fn results_are_those_of_postgresql() {
        let ints = of(&[2, 4, 4, 4, 5, 5, 7, 9].map(Value::Int));
        assert_eq!(ints.variance(), Ok(Value::Double(4.571428571428571)));
        assert_eq!(ints.stddev(), Ok(Value::Double(2.138089935299395)));
        assert_eq!(of(&[Value::Int(1)]).stddev(), Ok(Value::Null));
        let far = of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0].map(Value::Double));
        assert_eq!(far.variance(), Ok(Value::Double(1.0)), "nothing cancels");
        let mixed = of(&[Value::Double(0.5), Value::Decimal("1.5".parse().unwrap()), Value::Int(1)]);
        assert_eq!(mixed.variance(), Ok(Value::Double(0.25)));
        assert_eq!(of(&[Value::Double(1e200), Value::Double(-1e200)]).variance(), Err(Unfit));
    }

    proptest! {
        #[test]
        fn no_order_and_no_split_changes_them(
            values in prop::collection::vec(prop_oneof![
                any::<i64>().prop_map(Value::Int),
                (any::<i64>(), 0u32..20).prop_map(|(m, s)| Value::Decimal(Decimal::from_i128_with_scale(m.into(), s))),
                (-1e100f64..1e100).prop_map(Value::Double),
            ], 2..20),
            cut in 0usize..20,
        ) {
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = of(right);
            merged.merge(of(&left.iter().rev().cloned().collect::<Vec<_>>()));
            prop_assert_eq!(of(&values).variance(), merged.variance());
        }
    }
}
