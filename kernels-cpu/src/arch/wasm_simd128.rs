//! WebAssembly's fixed-width SIMD, chosen when the module is built.
//!
//! `i32x4.dot_i16x8_s` multiplies 16-bit pairs and adds them in 32 bits, so weights are packed as such pairs. No
//! relaxed instruction is used: their results may differ between machines.

mod search;

use std::arch::wasm32::*;

use plan::{GemmWeight, PANEL, PackedGemm};

use crate::bert::{
    attention::{COLUMNS, Pair, Pairs},
    gemm::{Acc, Dot, Tile, pack_pairs},
};

/// The simd128 level.
pub(crate) struct Simd128;

super::level!(Simd128, {
    fn pack(&self, weight: &GemmWeight<'_>) -> PackedGemm {
        pack_pairs(weight)
    }
});

impl Dot for Simd128 {
    const ROWS: usize = 2;
    const QUAD_WORDS: usize = 2 * PANEL;

    #[inline(always)]
    fn panels(_: usize) -> usize {
        1
    }

    super::tile_by_rows!(1; 2);
}

/// `R` rows by one panel, four accumulators a row.
///
/// # Safety
/// The tile passed [`Tile::check`] and has `R` rows and one panel.
#[inline]
unsafe fn rows<const R: usize>(tile: &Tile<'_>, acc: &mut Acc) {
    unsafe {
        let mut total = [[i32x4_splat(0); 4]; R];
        let (mut code, mut word) = (tile.codes.as_ptr(), tile.words.as_ptr().cast::<v128>());
        for segment in tile.segments {
            let mut sum = [[i32x4_splat(0); 4]; R];
            for _ in 0..segment.quads {
                let mut pairs = [[i32x4_splat(0); 2]; R];
                for r in 0..R {
                    let quad = i16x8_extend_low_i8x16(v128_load32_splat(code.add(r * tile.k).cast()));
                    pairs[r] =
                        [i32x4_shuffle::<0, 0, 0, 0>(quad, quad), i32x4_shuffle::<1, 1, 1, 1>(quad, quad)];
                }
                for half in 0..2 {
                    for i in 0..4 {
                        let weights = v128_load(word.add(4 * half + i));
                        for r in 0..R {
                            sum[r][i] = i32x4_add(sum[r][i], i32x4_dot_i16x8(weights, pairs[r][half]));
                        }
                    }
                }
                code = code.add(4);
                word = word.add(8);
            }
            for r in 0..R {
                for i in 0..4 {
                    total[r][i] = i32x4_add(total[r][i], i32x4_shl(sum[r][i], segment.shifts[r]));
                }
            }
        }
        for r in 0..R {
            for i in 0..4 {
                v128_store(acc.0[r].as_mut_ptr().add(4 * i).cast(), total[r][i]);
            }
        }
    }
}

impl crate::spiking::lif::Dense for Simd128 {}

impl Pairs for Simd128 {
    #[inline(always)]
    fn tile<const R: usize>(a: [&[Pair]; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]; R]) {
        let a = a.map(|a| a[..b.len()].as_ptr());
        for column in [0, COLUMNS / 2] {
            let mut rows = a.chunks_exact(2).zip(out.chunks_exact_mut(2));
            // SAFETY: every row of `a` holds `b.len()` pairs, sliced above, and both halves are inside 32 columns.
            unsafe {
                rows.by_ref().for_each(|(a, out)| pairs::<2>(a, b, column, out));
                if R % 2 == 1 {
                    pairs::<1>(&a[R - 1..], b, column, &mut out[R - 1..]);
                }
            }
        }
    }
}

/// `R` rows by 16 columns from `column` on, four accumulators a row.
///
/// # Safety
/// `a` points at `b.len()` pairs of each of `R` rows; `column` is at most 16.
#[inline]
unsafe fn pairs<const R: usize>(
    a: &[*const Pair],
    b: &[[Pair; COLUMNS]],
    column: usize,
    out: &mut [[i32; COLUMNS]],
) {
    unsafe {
        let mut sum = [[i32x4_splat(0); 4]; R];
        for (n, b) in b.iter().enumerate() {
            let mut pair = [i32x4_splat(0); R];
            for r in 0..R {
                pair[r] = v128_load32_splat(a[r].add(n).cast());
            }
            for i in 0..4 {
                let columns = v128_load(b.as_ptr().add(column + 4 * i).cast());
                for r in 0..R {
                    sum[r][i] = i32x4_add(sum[r][i], i32x4_dot_i16x8(pair[r], columns));
                }
            }
        }
        for r in 0..R {
            for i in 0..4 {
                v128_store(out[r].as_mut_ptr().add(column + 4 * i).cast(), sum[r][i]);
            }
        }
    }
}
