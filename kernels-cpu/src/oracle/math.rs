//! The scheme's scalar operations on 64-bit integers.

/// `floor(a * m / 2^16)`. In 32 bits: `(a >> 16) * m + (((a & 0xffff) * m) >> 16)`.
pub(super) fn ms16(a: i64, m: i64) -> i64 {
    (a * m) >> 16
}

/// `a / 2^n` rounded half up, `n >= 1`.
pub(super) fn rsh(a: i64, n: i64) -> i64 {
    (a + (1 << (n - 1))) >> n
}

/// `floor(log2 a)`; 0 for `a <= 1`.
pub(super) fn lg(a: i64) -> i64 {
    i64::from(63 - a.max(1).leading_zeros())
}

/// `a * 2^n`, rounded down where `n` is negative.
pub(super) fn shl(a: i64, n: i64) -> i64 {
    if n >= 0 { a << n } else { a >> -n }
}

/// `floor(log2 a)` and `a` as a 16-bit mantissa in 2^15..2^16, for `a > 0`.
pub(super) fn mant(a: i64) -> (i64, i64) {
    let n = lg(a);
    (n, shl(a, 15 - n))
}

/// `z` and `floor((2^31 - 1) / sqrt(v * 4^z))` with `z` as large as 32 bits allow, for `v > 0`.
pub(super) fn inverse_sqrt(v: i64) -> (i64, i64) {
    let z = (31 - lg(v)) >> 1;
    (z, ((1 << 31) - 1) / (v << (2 * z)).isqrt())
}
