//! The hashes of the index: seeds are fixed, so that two runs do the same work. A hash only ever finds; what it found is
//! compared.

use xxhash_rust::xxh3::xxh3_64;

use super::packed::{PackedAlternative, PathId, op};

/// A well mixed function of two words.
#[inline(always)]
pub fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9E37_79B9_7F4A_7C15) * u128::from(b ^ 0xD1B5_4A32_D192_ED03);
    (product as u64) ^ (product >> 64) as u64
}

#[inline(always)]
pub fn text(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

#[inline(always)]
pub fn number(key: u128, tail: &[u8]) -> u64 {
    let hash = mix(key as u64, (key >> 64) as u64);
    if tail.is_empty() { hash } else { mix(hash, xxh3_64(tail)) }
}

/// Of null, false, true by their operators.
#[inline(always)]
pub fn literal(op: u8) -> u64 {
    mix(0x6C69_7465_7261_6C00, u64::from(op))
}

/// The hash of the leaves that are equal to this, which must be an equality.
pub fn value(alternative: &PackedAlternative<'_>) -> u64 {
    let mut operands = alternative.operands;
    match alternative.op {
        op::TEXT => text(operands.bytes()),
        op::NUMBER => {
            let (key, tail) = operands.number();
            number(key, tail)
        }
        op => literal(op),
    }
}

/// Adds a value at a path to a key; a key begins as 0.
#[inline(always)]
pub fn part(key: u64, path: PathId, value: u64) -> u64 {
    mix(key.rotate_left(17) ^ u64::from(path), value)
}

/// Of bytes filed under a path in some other way than equality.
#[inline(always)]
pub fn tagged(tag: u8, path: PathId, bytes: u64) -> u64 {
    mix(u64::from(tag) << 32 | u64::from(path), bytes)
}
