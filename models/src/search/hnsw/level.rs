//! Highest layer of a row.

/// The highest layer of an id: `l` or more with probability `m^-l`, from a hash of id and seed alone, so that every
/// machine agrees.
///
/// `u64::MAX / m^l` are the thresholds of layer `l`; no logarithm, whose last bit differs between machines.
pub fn level(id: u64, seed: u64, m: usize) -> u8 {
    let hash = mix(mix(seed ^ SALT).wrapping_add(id));
    let mut threshold = u64::MAX / m as u64;
    let mut level = 0;
    while hash < threshold && level < MAX_LEVEL {
        level += 1;
        threshold /= m as u64;
    }
    level
}

/// The finaliser of splitmix64 (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, 2014).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Separates this use of a seed from others.
const SALT: u64 = 0x686e_7377_2d6c_766c;
/// Ids chosen by a stranger cost at most this many upper lists each.
pub(super) const MAX_LEVEL: u8 = 12;
