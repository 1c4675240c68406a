//! Whole numbers of any size, as far as exact sums need them: add, subtract, multiply, and be divided at the end.
//!
//! Sums are kept exactly and rounded once, when they are read: that is why no result depends on the order of its
//! inputs. A number is two's complement in 64-bit limbs from limb `base` up, so that a sum of DOUBLEs (whose bits lie
//! between 2^-1074 and 2^1024) holds only the limbs that its inputs touched, two or three as a rule.

use serde::{Deserialize, Serialize};

/// A whole number times 2^(64 `base`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Big {
    base: u32,
    /// Lowest first; the highest carries the sign. Empty is 0.
    limbs: Vec<u64>,
}

/// A whole number without sign, lowest limb first, none of them 0 at the top, times 2^(64 `base`).
#[derive(Clone, Debug)]
pub struct Magnitude {
    pub negative: bool,
    pub base: u32,
    pub limbs: Vec<u64>,
}

impl Big {
    pub fn from_i128(value: i128) -> Self {
        let mut big = Self::default();
        big.add_bits(value.unsigned_abs(), 0, value < 0);
        big
    }

    /// The same number times 2^(64 `limbs`).
    pub fn raised(mut self, limbs: u32) -> Self {
        self.base += limbs;
        self
    }

    /// Adds ± `magnitude` × 2^`bit`.
    pub fn add_bits(&mut self, magnitude: u128, bit: u32, negative: bool) {
        let (limb, shift) = (bit / 64, bit % 64);
        let low = magnitude << shift;
        let high = if shift == 0 { 0 } else { (magnitude >> (128 - shift)) as u64 };
        self.add_limbs(&[low as u64, (low >> 64) as u64, high], limb, negative);
    }

    pub fn add(&mut self, other: &Big) {
        let Magnitude { negative, base, limbs } = other.magnitude();
        self.add_limbs(&limbs, base, negative);
    }

    pub fn subtract(&mut self, other: &Big) {
        let Magnitude { negative, base, limbs } = other.magnitude();
        self.add_limbs(&limbs, base, !negative);
    }

    /// Adds ± a number whose limbs begin at limb `base`.
    fn add_limbs(&mut self, limbs: &[u64], base: u32, negative: bool) {
        let length = limbs.iter().rposition(|limb| *limb != 0).map_or(0, |top| top + 1);
        let skip = limbs[..length].iter().take_while(|limb| **limb == 0).count();
        if length == 0 {
            return;
        }
        let (limbs, base) = (&limbs[skip..length], base + skip as u32);
        self.make_room(base, base + limbs.len() as u32);
        let at = (base - self.base) as usize;
        let mut carry = false;
        for (i, own) in self.limbs[at..].iter_mut().enumerate() {
            let other = limbs.get(i).copied().unwrap_or(0);
            if other == 0 && !carry && i >= limbs.len() {
                break;
            }
            let step = if negative { u64::borrowing_sub_stable } else { u64::carrying_add_stable };
            (*own, carry) = step(*own, other, carry);
        }
        self.trim();
    }

    /// Extends the limbs to cover those from `from` to before `to`, with one bit to spare for a carry.
    fn make_room(&mut self, from: u32, to: u32) {
        if self.limbs.is_empty() {
            self.base = from;
        }
        if from < self.base {
            let missing = (self.base - from) as usize;
            self.limbs.splice(0..0, std::iter::repeat_n(0, missing));
            self.base = from;
        }
        let sign = self.sign();
        while self.base + (self.limbs.len() as u32) <= to {
            self.limbs.push(sign);
        }
        let top = self.limbs[self.limbs.len() - 1];
        if top != sign {
            self.limbs.push(sign);
        }
    }

    /// What limbs above the highest would hold.
    fn sign(&self) -> u64 {
        if self.limbs.last().is_some_and(|top| *top >> 63 == 1) { u64::MAX } else { 0 }
    }

    /// Removes limbs at the top that say nothing, but for one: sums mostly grow again.
    fn trim(&mut self) {
        while let [.., third, second, top] = self.limbs[..]
            && second == top
            && (top == 0 || top == u64::MAX)
            && third >> 63 == top >> 63
        {
            self.limbs.pop();
        }
    }

    pub fn magnitude(&self) -> Magnitude {
        let negative = self.sign() != 0;
        let mut limbs = self.limbs.clone();
        if negative {
            let mut carry = true;
            for limb in &mut limbs {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        let mut magnitude = Magnitude { negative, base: self.base, limbs };
        magnitude.trim();
        magnitude
    }

    pub fn times(&self, other: &Big) -> Big {
        let (a, b) = (self.magnitude(), other.magnitude());
        let mut product = Big::default();
        for (i, x) in a.limbs.iter().enumerate() {
            for (j, y) in b.limbs.iter().enumerate() {
                let at = a.base + b.base + (i + j) as u32;
                product.add_bits(u128::from(*x) * u128::from(*y), at * 64, a.negative != b.negative);
            }
        }
        product
    }

    pub fn times_power_of_ten(&self, power: u32) -> Big {
        let mut product = self.clone();
        let mut left = power;
        while left > 0 {
            let step = left.min(19);
            product = product.times(&Big::from_i128(i128::from(10u64.pow(step))));
            left -= step;
        }
        product
    }

    /// Bytes outside of the struct itself.
    pub fn bytes(&self) -> usize {
        self.limbs.capacity() * 8
    }
}

impl Magnitude {
    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    pub fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Divides, rounding down, and gives the remainder.
    pub fn divide(&mut self, divisor: u64) -> u64 {
        let mut remainder = 0u128;
        for limb in self.limbs.iter_mut().rev() {
            let dividend = (remainder << 64) | u128::from(*limb);
            *limb = (dividend / u128::from(divisor)) as u64;
            remainder = dividend % u128::from(divisor);
        }
        self.trim();
        remainder as u64
    }
}

/// Addition and subtraction with a carry in and out.
trait Carry: Sized {
    fn carrying_add_stable(self, other: Self, carry: bool) -> (Self, bool);
    fn borrowing_sub_stable(self, other: Self, borrow: bool) -> (Self, bool);
}

impl Carry for u64 {
    fn carrying_add_stable(self, other: u64, carry: bool) -> (u64, bool) {
        let (sum, a) = self.overflowing_add(other);
        let (sum, b) = sum.overflowing_add(u64::from(carry));
        (sum, a | b)
    }

    fn borrowing_sub_stable(self, other: u64, borrow: bool) -> (u64, bool) {
        let (difference, a) = self.overflowing_sub(other);
        let (difference, b) = difference.overflowing_sub(u64::from(borrow));
        (difference, a | b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_i128(big: &Big) -> i128 {
        let Magnitude { negative, base, limbs } = big.magnitude();
        let value = limbs.iter().rev().fold(0i128, |n, limb| (n << 64) + i128::from(*limb)) << (64 * base);
        if negative { -value } else { value }
    }

    proptest! {
        #[test]
        fn sums_and_products_are_those_of_machine_numbers(terms in prop::collection::vec(any::<i64>(), 0..40), factor in any::<i32>()) {
            let mut big = Big::default();
            let mut naive = 0i128;
            for term in terms {
                big.add_bits(u128::from(term.unsigned_abs()), 0, term < 0);
                naive += i128::from(term);
                prop_assert_eq!(to_i128(&big), naive);
            }
            let product = big.times(&Big::from_i128(i128::from(factor)));
            prop_assert_eq!(to_i128(&product), naive * i128::from(factor));
            let mut gone = big.clone();
            gone.subtract(&big);
            prop_assert!(gone.magnitude().is_zero());
        }

        #[test]
        fn what_was_added_at_any_height_can_be_taken_away(terms in prop::collection::vec((any::<u128>(), 0u32..4000, any::<bool>()), 1..20)) {
            let mut big = Big::default();
            for (magnitude, bit, negative) in &terms {
                big.add_bits(*magnitude, *bit, *negative);
            }
            let mut other = Big::default();
            for (magnitude, bit, negative) in terms.iter().rev() {
                other.add_bits(*magnitude, *bit, *negative);
            }
            let mut same = big.clone();
            same.subtract(&other);
            prop_assert!(same.magnitude().is_zero());
            for (magnitude, bit, negative) in &terms {
                big.add_bits(*magnitude, *bit, !*negative);
            }
            prop_assert!(big.magnitude().is_zero());
        }
    }

    #[test]
    fn division_rounds_down_and_tells_the_rest() {
        let mut magnitude = Big::from_i128(10i128.pow(30) + 7).magnitude();
        assert_eq!(magnitude.divide(10u64.pow(15)), 7);
        assert_eq!(magnitude.limbs, [10u64.pow(15)]);
    }
}
