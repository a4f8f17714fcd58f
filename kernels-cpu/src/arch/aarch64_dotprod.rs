//! NEON with the dot product extension, which most AArch64 processors since 2018 have.
//!
//! `sdot` adds four products of signed bytes to each of four outputs. Its by-element form takes one of the four
//! quads a register of codes holds, so that codes need no broadcast.

mod search;

use std::arch::{aarch64::*, asm};

use crate::bert::{
    attention::{COLUMNS, Pair, Pairs},
    gemm::{Acc, Dot, Tile},
};

use super::aarch64_neon::Neon;

/// The dot product level.
pub(crate) struct Dotprod;

super::level!(Dotprod, features = "neon,dotprod");

/// Whether the processor has every feature the level's functions enable.
pub(super) fn is_supported() -> bool {
    std::arch::is_aarch64_feature_detected!("dotprod")
}

impl Dot for Dotprod {
    const ROWS: usize = 4;

    #[inline(always)]
    fn panels(_: usize) -> usize {
        1
    }

    super::tile_by_rows!(1, 2, 3; 4);
}

/// `sum + w . c[QUAD]`, four outputs of four products each.
macro_rules! sdot {
    ($sum:expr, $w:expr, $c:expr, $quad:literal) => {
        asm!(
            concat!("sdot {sum:v}.4s, {w:v}.16b, {c:v}.4b[", $quad, "]"),
            sum = inout(vreg) $sum,
            w = in(vreg) $w,
            c = in(vreg) $c,
            options(pure, nomem, nostack, preserves_flags),
        )
    };
}

/// One quad of every row: `$w` points at its four registers of weights.
macro_rules! quad {
    ($sum:ident, $w:expr, $c:ident, $quad:literal) => {
        for i in 0..4 {
            let w = vld1q_s8($w.add(16 * i));
            for (sum, c) in $sum.iter_mut().zip($c) {
                sdot!(sum[i], w, c, $quad);
            }
        }
    };
}

/// `R` rows by one panel, four accumulators a row.
///
/// # Safety
/// The tile passed [`Tile::check`] and has `R` rows and one panel.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn rows<const R: usize>(tile: &Tile<'_>, acc: &mut Acc) {
    unsafe {
        let mut total = [[vdupq_n_s32(0); 4]; R];
        let (mut code, mut word) = (tile.codes.as_ptr(), tile.words.as_ptr().cast::<i8>());
        for segment in tile.segments {
            let mut sum = [[vdupq_n_s32(0); 4]; R];
            for _ in 0..segment.quads / 4 {
                let mut c = [vdupq_n_s8(0); R];
                for r in 0..R {
                    c[r] = vld1q_s8(code.add(r * tile.k));
                }
                quad!(sum, word, c, 0);
                quad!(sum, word.add(64), c, 1);
                quad!(sum, word.add(128), c, 2);
                quad!(sum, word.add(192), c, 3);
                code = code.add(16);
                word = word.add(256);
            }
            for _ in 0..segment.quads % 4 {
                let mut c = [vdupq_n_s8(0); R];
                for r in 0..R {
                    let quad = code.add(r * tile.k).cast::<u32>().read_unaligned();
                    c[r] = vreinterpretq_s8_u32(vdupq_n_u32(quad));
                }
                quad!(sum, word, c, 0);
                code = code.add(4);
                word = word.add(64);
            }
            for r in 0..R {
                let shift = vdupq_n_s32(segment.shifts[r] as i32);
                for i in 0..4 {
                    total[r][i] = vaddq_s32(total[r][i], vshlq_s32(sum[r][i], shift));
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

impl crate::spiking::lif::Dense for Dotprod {}

impl Pairs for Dotprod {
    #[inline(always)]
    fn tile<const R: usize>(a: [&[Pair]; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]; R]) {
        <Neon as Pairs>::tile(a, b, out);
    }
}
