//! NEON, AArch64's baseline.
//!
//! `smull` multiplies eight signed bytes into 16 bits and `smlal` adds eight more products: with both factors
//! within +-127 a sum of two is at most 32,258. `sadalp` then adds neighbours into 32 bits, so that an
//! accumulator holds two halves of two outputs, which are added when the segment is done.

mod search;

use std::arch::aarch64::*;

use plan::PANEL;

pub(super) use self::search::add_lanes;

use crate::bert::{
    attention::{COLUMNS, Pair, Pairs},
    gemm::{Acc, Dot, Tile},
};

/// The NEON level.
pub(crate) struct Neon;

super::level!(Neon);

impl Dot for Neon {
    const ROWS: usize = 2;

    #[inline(always)]
    fn panels(_: usize) -> usize {
        1
    }

    super::tile_by_rows!(1; 2);
}

/// `R` rows by one panel: eight accumulators a row, each two halves of two outputs.
///
/// # Safety
/// The tile passed [`Tile::check`] and has `R` rows and one panel.
#[inline]
unsafe fn rows<const R: usize>(tile: &Tile<'_>, acc: &mut Acc) {
    unsafe {
        let mut total = [[vdupq_n_s32(0); 4]; R];
        let (mut code, mut word) = (tile.codes.as_ptr(), tile.words.as_ptr().cast::<i8>());
        for segment in tile.segments {
            let mut sum = [[vdupq_n_s32(0); 8]; R];
            for _ in 0..segment.quads / 2 {
                for r in 0..R {
                    let at = code.add(r * tile.k).cast::<u32>();
                    let c = [at.read_unaligned(), at.add(1).read_unaligned()]
                        .map(|c| vreinterpret_s8_u32(vdup_n_u32(c)));
                    for (i, sum) in sum[r].iter_mut().enumerate() {
                        let first = vmull_s8(vld1_s8(word.add(8 * i)), c[0]);
                        let both = vmlal_s8(first, vld1_s8(word.add(4 * PANEL + 8 * i)), c[1]);
                        *sum = vpadalq_s16(*sum, both);
                    }
                }
                code = code.add(8);
                word = word.add(8 * PANEL);
            }
            if segment.quads % 2 == 1 {
                for r in 0..R {
                    let at = code.add(r * tile.k).cast::<u32>();
                    let c = vreinterpret_s8_u32(vdup_n_u32(at.read_unaligned()));
                    for (i, sum) in sum[r].iter_mut().enumerate() {
                        *sum = vpadalq_s16(*sum, vmull_s8(vld1_s8(word.add(8 * i)), c));
                    }
                }
                code = code.add(4);
                word = word.add(4 * PANEL);
            }
            for r in 0..R {
                let shift = vdupq_n_s32(segment.shifts[r] as i32);
                for i in 0..4 {
                    let four = vpaddq_s32(sum[r][2 * i], sum[r][2 * i + 1]);
                    total[r][i] = vaddq_s32(total[r][i], vshlq_s32(four, shift));
                }
            }
        }
        for r in 0..R {
            for i in 0..4 {
                vst1q_s32(acc.0[r].as_mut_ptr().add(4 * i), total[r][i]);
            }
        }
    }
}

impl crate::spiking::lif::Dense for Neon {}

impl Pairs for Neon {
    #[inline(always)]
    fn tile<const R: usize>(a: [&[Pair]; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]; R]) {
        let a = a.map(|a| a[..b.len()].as_ptr().cast::<i16>());
        let rows = a.chunks_exact(2).zip(out.chunks_exact_mut(2));
        // SAFETY: every row of `a` holds `b.len()` pairs, sliced above.
        unsafe {
            rows.for_each(|(a, out)| pairs::<2>(a, b, out));
            if R % 2 == 1 {
                pairs::<1>(&a[R - 1..], b, &mut out[R - 1..]);
            }
        }
    }
}

/// `R` rows by 32 columns, eight accumulators a row. `vld2q` splits the pairs of eight columns.
///
/// # Safety
/// `a` points at `b.len()` pairs of each of `R` rows.
#[inline]
unsafe fn pairs<const R: usize>(a: &[*const i16], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]]) {
    unsafe {
        let mut sum = [[vdupq_n_s32(0); 8]; R];
        for (n, b) in b.iter().enumerate() {
            for i in 0..4 {
                let int16x8x2_t(first, second) = vld2q_s16(b.as_ptr().add(8 * i).cast());
                for r in 0..R {
                    let (low, high) = (*a[r].add(2 * n), *a[r].add(2 * n + 1));
                    let half = vmlal_n_s16(sum[r][2 * i], vget_low_s16(first), low);
                    sum[r][2 * i] = vmlal_n_s16(half, vget_low_s16(second), high);
                    let half = vmlal_high_n_s16(sum[r][2 * i + 1], first, low);
                    sum[r][2 * i + 1] = vmlal_high_n_s16(half, second, high);
                }
            }
        }
        for r in 0..R {
            for i in 0..8 {
                vst1q_s32(out[r].as_mut_ptr().add(4 * i), sum[r][i]);
            }
        }
    }
}
