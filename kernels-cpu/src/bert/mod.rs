//! The stages in 32-bit arithmetic, each written once for every level.
//!
//! Bodies are plain Rust over slices, shaped so that the compiler turns them into vector code: 32-bit
//! integers only, divisions once per row, no branches per element. They are `#[inline(always)]` because a
//! level instantiates them inside functions that carry its target features. What plain Rust cannot say
//! well (dot products, table look-ups in registers) is a hook of the traits [`gemm::Dot`] and
//! [`attention::Pairs`], which the levels in `arch` implement.

pub(crate) mod attention;
pub(crate) mod embed;
pub(crate) mod gemm;
pub(crate) mod layernorm;
pub(crate) mod math;
pub(crate) mod pool;
pub(crate) mod quantise;
