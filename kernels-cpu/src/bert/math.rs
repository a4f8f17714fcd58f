//! The scheme's scalar operations in 32 bits. The oracle's `math` says what they mean.

/// `floor(a * m / 2^16)` for `m` in 0..2^16, from two 32-bit products.
#[inline(always)]
pub(crate) fn ms16(a: i32, m: u32) -> i32 {
    (a >> 16).wrapping_mul(m as i32).wrapping_add((((a as u32) & 0xffff).wrapping_mul(m) >> 16) as i32)
}

/// `floor(a * m / 2^16)` for a signed 16-bit `m`.
#[inline(always)]
pub(super) fn ms16_signed(a: i32, m: i16) -> i32 {
    let m = i32::from(m);
    (a >> 16).wrapping_mul(m).wrapping_add((a & 0xffff).wrapping_mul(m) >> 16)
}

/// `a / 2^n` rounded half up, `1 <= n <= 31`, for `a` within 2^31 of the rounding term.
#[inline(always)]
pub(super) fn rsh(a: i32, n: u32) -> i32 {
    a.wrapping_add(1 << (n - 1)) >> n
}

/// `floor(log2 a)`; 0 for `a <= 1`.
#[inline(always)]
pub(super) fn lg(a: u32) -> u32 {
    31 - a.max(1).leading_zeros()
}

/// `floor(log2 a)` and `a` as a 16-bit mantissa in 2^15..2^16, for `a > 0`.
#[inline(always)]
pub(super) fn mant(a: u32) -> (u32, u32) {
    let n = lg(a);
    (n, if n <= 15 { a << (15 - n) } else { a >> (n - 15) })
}

/// `z` and `floor((2^31 - 1) / sqrt(v * 4^z))` with `z` as large as 32 bits allow, for `v > 0`.
#[inline(always)]
pub(super) fn inverse_sqrt(v: u32) -> (u32, u32) {
    let z = (31 - lg(v)) >> 1;
    (z, ((1 << 31) - 1) / (v << (2 * z)).isqrt())
}
