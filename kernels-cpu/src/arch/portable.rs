//! Plain Rust on whatever the target's baseline offers.
//!
//! Products of 16-bit pairs, added in 32 bits, are the one dot product that every vector unit has and that compilers
//! find by themselves.

use plan::{GemmWeight, PANEL, PackedGemm};

use crate::{
    bert::{
        attention::{COLUMNS, Pair, Pairs},
        gemm::{Acc, Dot, Tile, pack_pairs},
    },
    search::rows::Rows,
};

/// The portable level.
pub(crate) struct Portable;

super::level!(Portable, {
    fn pack(&self, weight: &GemmWeight<'_>) -> PackedGemm {
        pack_pairs(weight)
    }
});

impl Dot for Portable {
    const ROWS: usize = 4;
    const QUAD_WORDS: usize = 2 * PANEL;

    #[inline(always)]
    fn panels(_: usize) -> usize {
        1
    }

    #[inline(always)]
    fn tile(tile: &Tile<'_>, acc: &mut Acc) {
        tile.check();
        let weights: &[[Pair; PANEL]] = bytemuck::cast_slice(tile.words);
        for (row, sum) in acc.0.iter_mut().enumerate().take(tile.rows) {
            let codes = tile.codes[row * tile.k..].as_chunks::<2>().0;
            let mut pair = 0;
            *sum = [0; PANEL];
            for segment in tile.segments {
                let span = pair..pair + 2 * segment.quads;
                add_pairs(sum, &codes[span.clone()], segment.shifts[row], &weights[span.clone()]);
                pair = span.end;
            }
        }
    }
}

/// Adds the products of a row's pairs, shifted. Shifting the codes does that: exponents are at most 6, and
/// 127 * 2^6 is within 16 bits. Eight pairs make a step: long enough that the loop over the panel stays a loop,
/// which compilers vectorise, and that its sums are loaded and stored seldom.
#[inline(always)]
fn add_pairs(sum: &mut [i32; PANEL], codes: &[[i8; 2]], shift: u32, weights: &[[Pair; PANEL]]) {
    let (codes, last_codes) = codes.as_chunks::<8>();
    let (weights, last_weights) = weights.as_chunks::<8>();
    for (codes, weights) in codes.iter().zip(weights) {
        add_step(sum, codes, shift, weights);
    }
    for (&code, &weights) in last_codes.iter().zip(last_weights) {
        add_step(sum, &[code], shift, &[weights]);
    }
}

#[inline(always)]
fn add_step<const N: usize>(
    sum: &mut [i32; PANEL],
    codes: &[[i8; 2]; N],
    shift: u32,
    weights: &[[Pair; PANEL]; N],
) {
    let codes = codes.map(|c| c.map(|c| i16::from(c).wrapping_shl(shift)));
    for (lane, sum) in sum.iter_mut().enumerate() {
        for ([a, b], weights) in codes.iter().zip(weights) {
            let [x, y] = weights[lane];
            *sum = sum.wrapping_add(i32::from(*a) * i32::from(x) + i32::from(*b) * i32::from(y));
        }
    }
}

impl Rows for Portable {}

impl crate::spiking::lif::Dense for Portable {}

impl Pairs for Portable {
    #[inline(always)]
    fn tile<const R: usize>(a: [&[Pair]; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]; R]) {
        for (a, out) in a.into_iter().zip(out) {
            let mut sum = [0; COLUMNS];
            for (&[low, high], b) in a.iter().zip(b) {
                for (sum, b) in sum.iter_mut().zip(b) {
                    *sum += i32::from(low) * i32::from(b[0]) + i32::from(high) * i32::from(b[1]);
                }
            }
            *out = sum;
        }
    }
}
