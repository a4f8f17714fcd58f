//! The instruction sets: the one place of this crate where `unsafe` may stand.
//!
//! A level is a unit struct. [`level!`] makes it [`crate::Kernels`] by running the bodies of [`crate::bert`],
//! [`crate::search`] and [`crate::spiking`] inside functions that carry the level's target features; the level's own file holds the hooks that
//! need intrinsics or assembly.

#![allow(unsafe_code)]
#![allow(clippy::needless_range_loop, reason = "register tiles are indexed by row and panel")]

use crate::{Kernels, Level};

#[cfg(target_arch = "aarch64")]
mod aarch64_dotprod;
#[cfg(target_arch = "aarch64")]
mod aarch64_neon;
pub(crate) mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm_simd128;
#[cfg(target_arch = "x86_64")]
mod x86_avx2;
#[cfg(target_arch = "x86_64")]
mod x86_avx512;
#[cfg(target_arch = "x86_64")]
mod x86_avxvnni;

/// The kernels of a level that needs more than the target's baseline, where processor and build have it.
pub(crate) fn kernels(level: Level) -> Option<&'static dyn Kernels> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86_avx2::is_supported().then_some(&x86_avx2::Avx2 as &dyn Kernels),
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => x86_avxvnni::is_supported().then_some(&x86_avxvnni::AvxVnni as &dyn Kernels),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => x86_avx512::is_supported().then_some(&x86_avx512::Avx512 as &dyn Kernels),
        #[cfg(target_arch = "aarch64")]
        Level::Neon => Some(&aarch64_neon::Neon),
        #[cfg(target_arch = "aarch64")]
        Level::Dotprod => {
            aarch64_dotprod::is_supported().then_some(&aarch64_dotprod::Dotprod as &dyn Kernels)
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Level::Simd128 => Some(&wasm_simd128::Simd128),
        _ => None,
    }
}

/// Makes a level out of its name, the features its code may use (none where they are the target's own) and
/// what it overrides of [`crate::Kernels`].
macro_rules! level {
    ($level:ident $(, features = $features:literal)? $(, { $($item:item)* })?) => {
        impl $crate::Kernels for $level {
            $($($item)*)?
            $crate::arch::stage!(embed, EmbedArgs, [$crate::bert::embed::embed] $(, $features)?);
            $crate::arch::stage!(layernorm, LayerNormArgs, [$crate::bert::layernorm::layernorm] $(, $features)?);
            $crate::arch::stage!(quantise, QuantiseArgs, [$crate::bert::quantise::quantise] $(, $features)?);
            $crate::arch::stage!(gemm, GemmArgs, [$crate::bert::gemm::gemm::<$level>] $(, $features)?);
            $crate::arch::stage!(
                attention, AttentionArgs, [$crate::bert::attention::attention::<$level>] $(, $features)?
            );
            $crate::arch::stage!(pool, PoolArgs, [$crate::bert::pool::pool] $(, $features)?);
            $crate::arch::stage!(encode, EncodeArgs, [$crate::search::encode::encode] $(, $features)?);
            $crate::arch::stage!(distance, DistanceArgs, [$crate::search::distance::distance::<$level>] $(, $features)?);
            $crate::arch::stage!(
                distance_f32, DistanceF32Args, [$crate::search::distance_f32::distance_f32::<$level>] $(, $features)?
            );
            $crate::arch::stage!(hamming, HammingArgs, [$crate::search::hamming::hamming::<$level>] $(, $features)?);
            $crate::arch::stage!(topk, TopKArgs, [$crate::search::topk::topk] $(, $features)?);
            fn pack_lif(&self, layer: &plan::LifWeight<'_>) -> Vec<u32> {
                $crate::spiking::lif::pack(layer)
            }
            $crate::arch::stage!(lif, LifArgs, [$crate::spiking::lif::lif::<$level>] $(, $features)?);
        }

        impl plan::Gather for $level {
            $crate::arch::gather!(dots, i8, i32, [$crate::search::rows::dots::<$level>] $(, $features)?);
            $crate::arch::gather!(float_dots, f32, f32, [$crate::search::rows::float_dots::<$level>] $(, $features)?);
        }
    };
}

/// One method of a level.
macro_rules! stage {
    ($stage:ident, $args:ident, [$body:expr]) => {
        fn $stage(&self, args: $crate::$args<'_>) {
            $body(args);
        }
    };
    ($stage:ident, $args:ident, [$body:expr], $features:literal) => {
        fn $stage(&self, args: $crate::$args<'_>) {
            #[target_feature(enable = $features)]
            fn run(args: $crate::$args<'_>) {
                $body(args);
            }
            // SAFETY: `kernels` hands out a level only where its `is_supported` found every feature.
            unsafe { run(args) }
        }
    };
}

/// One method of a level's [`plan::Gather`].
macro_rules! gather {
    ($method:ident, $element:ty, $sum:ty, [$body:expr]) => {
        fn $method(&self, query: &[$element], table: &[$element], rows: &[u32], out: &mut [$sum]) {
            $body(query, table, rows, out);
        }
    };
    ($method:ident, $element:ty, $sum:ty, [$body:expr], $features:literal) => {
        fn $method(&self, query: &[$element], table: &[$element], rows: &[u32], out: &mut [$sum]) {
            #[target_feature(enable = $features)]
            fn run(query: &[$element], table: &[$element], rows: &[u32], out: &mut [$sum]) {
                $body(query, table, rows, out);
            }
            // SAFETY: `kernels` hands out a level only where its `is_supported` found every feature.
            unsafe { run(query, table, rows, out) }
        }
    };
}

/// Calls `touch` with an address in each cache line of a row.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn each_line<T>(row: &[T], touch: impl Fn(*const i8)) {
    let first = row.as_ptr().cast::<i8>();
    for at in (0..size_of_val(row)).step_by(64) {
        touch(first.wrapping_add(at));
    }
}

/// `Dot::tile` of a level whose tiles are one panel wide: its file's `rows::<R>` for each number of rows, the last
/// being [`crate::bert::gemm::Dot::ROWS`].
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
macro_rules! tile_by_rows {
    ($($rows:literal),*; $most:literal) => {
        #[inline(always)]
        fn tile(tile: &Tile<'_>, acc: &mut Acc) {
            const { assert!(Self::ROWS == $most) };
            tile.check();
            // SAFETY: `check` proved that the tile's codes and words lie inside its slices and that `acc` holds it;
            // the features are those of the level.
            unsafe {
                match tile.rows {
                    $($rows => rows::<$rows>(tile, acc),)*
                    _ => rows::<$most>(tile, acc),
                }
            }
        }
    };
}

#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
pub(crate) use tile_by_rows;
pub(crate) use {gather, level, stage};
