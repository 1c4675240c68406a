//! `percentile`: a log-linear histogram of DOUBLEs.
//!
//! Every power of two is cut into 128 buckets of one width, and a bucket stands for its least value: the relative
//! error is below 1/128 (0.79 %), and whole numbers up to 256 are exact. 0 has a bucket of its own, negatives mirror
//! positives. Only buckets that hold something are kept (16 bytes each). Counts add: no order changes a result.

use serde::{Deserialize, Serialize};

/// Bits of the mantissa that choose a bucket within a power of two.
const BITS: u32 = 7;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// Bucket and count, in the order of the values.
    buckets: Vec<(i32, u64)>,
    count: u64,
}

impl Histogram {
    pub fn add(&mut self, value: f64) {
        self.add_bucket(bucket(value), 1);
    }

    fn add_bucket(&mut self, bucket: i32, count: u64) {
        self.count += count;
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    pub fn merge(&mut self, mut other: Histogram) {
        if other.buckets.len() > self.buckets.len() {
            std::mem::swap(self, &mut other);
        }
        other.buckets.into_iter().for_each(|(bucket, count)| self.add_bucket(bucket, count));
    }

    /// The value of nearest rank: the least of which at least the share `p` is not greater. `None` of nothing.
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let rank = ((p * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        let found = self.buckets.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        found.map(|(bucket, _)| value(*bucket))
    }

    /// Bytes outside of the struct itself.
    pub fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(i32, u64)>()
    }
}

/// Exponents of DOUBLEs, subnormal ones included, begin here.
const LEAST_EXPONENT: i32 = -1074;

fn bucket(value: f64) -> i32 {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return 0;
    }
    // A subnormal becomes a normal number before its bits are read.
    let (magnitude, lift) =
        if magnitude < f64::MIN_POSITIVE { (magnitude * 2f64.powi(54), 54) } else { (magnitude, 0) };
    let bits = magnitude.to_bits() >> (52 - BITS);
    let exponent = (bits >> BITS) as i32 - 1023 - lift;
    let bucket = (exponent - LEAST_EXPONENT) * (1 << BITS) + (bits & ((1 << BITS) - 1)) as i32 + 1;
    if value < 0.0 { -bucket } else { bucket }
}

/// The value in a bucket that is nearest to 0.
fn value(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let index = bucket.abs() - 1;
    let (exponent, step) = (index / (1 << BITS) + LEAST_EXPONENT, index % (1 << BITS));
    let mantissa = 1.0 + f64::from(step) / f64::from(1 << BITS);
    // In two steps, as 2^-1074 itself is no normal number.
    let magnitude = mantissa * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
    if bucket < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_percentile_is_within_one_per_cent_of_the_nearest_rank(
            mut values in prop::collection::vec(prop_oneof![-1e6f64..1e6, any::<f64>().prop_filter("normal", |d| d.is_normal()), Just(0.0)], 1..60),
            p in 0.0f64..=1.0,
            cut in 0usize..60,
        ) {
            let mut whole = Histogram::default();
            let mut other = Histogram::default();
            for (i, value) in values.iter().enumerate() {
                if i < cut { whole.add(*value) } else { other.add(*value) }
            }
            whole.merge(other);
            values.sort_by(f64::total_cmp);
            let rank = ((p * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let (exact, found) = (values[rank - 1], whole.percentile(p).unwrap());
            prop_assert!((found - exact).abs() <= exact.abs() * 0.01, "{found} for {exact}");
        }
    }

    #[test]
    fn zero_and_small_whole_numbers_are_exact() {
        for whole in -256..=256 {
            let mut histogram = Histogram::default();
            histogram.add(f64::from(whole));
            assert_eq!(histogram.percentile(0.5), Some(f64::from(whole)));
        }
        assert_eq!(value(bucket(f64::from_bits(1))), f64::from_bits(1));
        assert_eq!(Histogram::default().percentile(0.5), None);
    }

    #[test]
    fn ranks_are_the_nearest() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|i| histogram.add(f64::from(i)));
        let found = [0.0, 0.01, 0.5, 0.95, 0.951, 1.0].map(|p| histogram.percentile(p).unwrap());
        assert_eq!(found, [1.0, 1.0, 50.0, 95.0, 96.0, 100.0]);
    }
}
