//! A small linear congruential generator: the same ugly numbers on every machine.

use std::ops::RangeInclusive;

/// Knuth's MMIX constants; the high bits are used.
#[derive(Clone, Debug)]
pub struct Lcg(u64);

impl Lcg {
    /// One seed, one sequence.
    pub fn new(seed: u64) -> Self {
        Lcg(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// 32 bits.
    pub fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// A number in `range`.
    pub fn within(&mut self, range: RangeInclusive<i64>) -> i64 {
        let span = range.end() - range.start() + 1;
        let wide = (u64::from(self.word()) << 32) | u64::from(self.word());
        range.start() + (wide % span as u64) as i64
    }

    /// `count` numbers in `range`.
    pub fn many<T: TryFrom<i64>>(&mut self, count: usize, range: RangeInclusive<i64>) -> Vec<T> {
        let number =
            |_| T::try_from(self.within(range.clone())).unwrap_or_else(|_| panic!("range fits the type"));
        (0..count).map(number).collect()
    }
}
