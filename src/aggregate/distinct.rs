//! `count(DISTINCT x)`, exact up to a bound, and `approx_count_distinct(x)`, in bounded space.
//!
//! The sketch is HyperLogLog with 2^14 registers (standard error 1.04 / √2^14 = 0.81 %), read with the estimator of
//! O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), which needs no tables and has no
//! bias at small counts. Up to [`SPARSE`] values it keeps their hashes and is exact (but for equal hashes). Registers
//! are maxima and hashes a set: no order and no split changes a result.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::values::Unfit;
use crate::event::Value;
use crate::event::key::{Fixed, hash_key};

/// Values of one key beyond which `count(DISTINCT x)` gives up; half a gigabyte. `approx_count_distinct` never does.
const MOST: usize = 10_000_000;

/// The values of `count(DISTINCT x)`; numbers that are `=` are one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Distinct {
    values: HashSet<Value, Fixed>,
    /// Bytes outside of the values themselves.
    outside: usize,
}

impl Distinct {
    pub fn add(&mut self, value: &Value) -> Result<(), Unfit> {
        self.add_within(value, MOST)
    }

    /// More than `most` values do not fit, in whatever order they come.
    fn add_within(&mut self, value: &Value, most: usize) -> Result<(), Unfit> {
        if self.values.contains(value) {
            return Ok(());
        }
        if self.values.len() == most {
            return Err(Unfit);
        }
        self.outside += value.bytes() - size_of::<Value>();
        self.values.insert(value.clone());
        Ok(())
    }

    pub fn merge(&mut self, mut other: Distinct) -> Result<(), Unfit> {
        if other.values.len() > self.values.len() {
            std::mem::swap(self, &mut other);
        }
        other.values.iter().try_for_each(|value| self.add(value))
    }

    pub fn count(&self) -> u64 {
        self.values.len() as u64
    }

    /// Bytes outside of the struct itself.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * (size_of::<Value>() + 1) * 8 / 7 + self.outside
    }
}

/// Bits of a hash that choose a register.
const PRECISION: u32 = 14;
const REGISTERS: usize = 1 << PRECISION;
/// The greatest value of a register.
const RANKS: usize = 64 - PRECISION as usize + 1;
/// Hashes that are kept as they are before registers take their place.
pub const SPARSE: usize = 1024;

/// The state of `approx_count_distinct(x)`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Sketch {
    /// Hashes in order.
    Sparse(Vec<u64>),
    Dense(Vec<u8>),
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch::Sparse(Vec::new())
    }
}

impl Sketch {
    pub fn add(&mut self, value: &Value) {
        self.add_hash(hash_key(std::slice::from_ref(value)));
    }

    fn add_hash(&mut self, hash: u64) {
        match self {
            Sketch::Dense(registers) => raise(registers, hash),
            Sketch::Sparse(hashes) => {
                if let Err(at) = hashes.binary_search(&hash) {
                    hashes.insert(at, hash);
                    if hashes.len() > SPARSE {
                        let mut registers = vec![0; REGISTERS];
                        hashes.iter().for_each(|hash| raise(&mut registers, *hash));
                        *self = Sketch::Dense(registers);
                    }
                }
            }
        }
    }

    pub fn merge(&mut self, mut other: Sketch) {
        if matches!((&*self, &other), (Sketch::Sparse(_), Sketch::Dense(_))) {
            std::mem::swap(self, &mut other);
        }
        match other {
            Sketch::Sparse(hashes) => hashes.into_iter().for_each(|hash| self.add_hash(hash)),
            Sketch::Dense(others) => {
                if let Sketch::Dense(registers) = self {
                    registers.iter_mut().zip(others).for_each(|(own, other)| *own = (*own).max(other));
                }
            }
        }
    }

    pub fn estimate(&self) -> u64 {
        match self {
            Sketch::Sparse(hashes) => hashes.len() as u64,
            Sketch::Dense(registers) => estimate(registers),
        }
    }

    /// Bytes outside of the struct itself.
    pub fn bytes(&self) -> usize {
        match self {
            Sketch::Sparse(hashes) => hashes.capacity() * 8,
            Sketch::Dense(registers) => registers.capacity(),
        }
    }
}

fn raise(registers: &mut [u8], hash: u64) {
    let register = &mut registers[(hash >> (64 - PRECISION)) as usize];
    // The stop bit bounds the rank where all bits that are left are 0.
    let rank = ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() + 1;
    *register = (*register).max(rank as u8);
}

/// Ertl's estimator, algorithm 6.
fn estimate(registers: &[u8]) -> u64 {
    let mut counts = [0u32; RANKS + 1];
    registers.iter().for_each(|rank| counts[usize::from(*rank)] += 1);
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[RANKS]) / m);
    for count in counts[1..RANKS].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(values: impl Iterator<Item = i64>) -> Sketch {
        let mut sketch = Sketch::default();
        values.for_each(|value| sketch.add(&Value::Int(value)));
        sketch
    }

    #[test]
    fn the_error_of_an_estimate_is_below_one_per_cent_in_the_mean() {
        for count in [1_000, 1_100, 5_000, 40_000, 100_000] {
            let rounds = 24;
            let squares: f64 = (0..rounds)
                .map(|round| {
                    let estimate = sketch((0..count).map(|i| i + round * 1_000_000)).estimate();
                    (estimate as f64 / count as f64 - 1.0).powi(2)
                })
                .sum();
            let error = (squares / rounds as f64).sqrt();
            assert!(error <= 0.01, "{error} at {count}");
        }
    }

    #[test]
    fn no_order_and_no_split_changes_an_estimate() {
        for count in [10, 900, 1_500, 30_000] {
            let whole = sketch(0..count).estimate();
            for parts in [2, 7] {
                let mut merged = Sketch::default();
                for part in (0..parts).rev() {
                    merged.merge(sketch((0..count).rev().filter(|i| i % parts == part || i % 5 == 0)));
                }
                assert_eq!(merged.estimate(), whole);
            }
        }
    }

    #[test]
    fn numbers_that_are_equal_are_one_value() {
        let mut distinct = Distinct::default();
        let mut sketch = Sketch::default();
        for value in [Value::Int(1), Value::Decimal("1.0".parse().unwrap()), Value::text("1"), Value::Int(1)] {
            sketch.add(&value);
            distinct.add(&value).unwrap();
        }
        assert_eq!((distinct.count(), sketch.estimate()), (2, 2));
        let mut other = Distinct::default();
        other.add(&Value::Bool(true)).unwrap();
        other.merge(distinct).unwrap();
        assert_eq!(other.count(), 3);
    }

    #[test]
    fn values_beyond_the_most_do_not_fit_and_known_ones_still_do() {
        let mut distinct = Distinct::default();
        let mut add = |value: i64| distinct.add_within(&Value::Int(value), 3).is_ok();
        assert_eq!([1, 2, 2, 3, 1, 4, 3].map(&mut add), [true, true, true, true, true, false, true]);
    }
}
