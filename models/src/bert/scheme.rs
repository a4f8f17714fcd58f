//! The numbers of the integer scheme that quantiser, loader and plans share.

/// Fraction bits of the residual stream, LayerNorm outputs and attention contexts.
pub(crate) const Q_X: i32 = 12;
/// Fraction bits of feed-forward units.
pub(crate) const Q_FFN: i32 = 10;
/// Fraction bits of queries, which carry the softmax's base change and temperature.
pub(crate) const Q_QUERY: i32 = 9;
/// Fraction bits of keys.
pub(crate) const Q_KEY: i32 = 7;
/// Fraction bits of values.
pub(crate) const Q_VALUE: i32 = 8;
/// Fraction bits of the embedding sum.
pub(crate) const Q_EMBEDDING: i32 = 20;
/// Largest exponent of a hidden group.
pub(crate) const HIDDEN_EXPONENT_MAX: u32 = 6;
/// Largest exponent of a feed-forward group.
pub(crate) const FFN_EXPONENT_MAX: u32 = 5;
/// Largest magnitude of a query, key or value: 32 * 4095^2 < 2^29.
pub(crate) const ATTENTION_LIMIT: u32 = 4095;
/// `-min(GELU)` in Q10: added to GELU outputs so that they are codes from 0.
pub(crate) const GELU_OFFSET: u32 = 174;
/// Largest right shift of an accumulator: `v + 2^(S-1)` stays below 2^31.
pub(crate) const SCALE_SHIFT_MAX: i32 = 31;
/// Smallest LayerNorm exponent: the last shift of a norm is by the exponent less 2, and rounds.
pub(crate) const NORM_EXPONENT_MIN: i32 = 3;
/// Largest LayerNorm exponent; gains this small lose bits rather than overflow a shift.
pub(crate) const NORM_EXPONENT_MAX: i32 = 20;
