//! Plain Rust on whatever the target's baseline offers.

use plan::PANEL;

use crate::bert::{
    attention::{COLUMNS, Pair, Pairs},
    gemm::{Acc, Dot, Tile},
};

/// The portable level.
pub(crate) struct Portable;

super::level!(Portable);

impl Dot for Portable {
    const ROWS: usize = 4;

    #[inline(always)]
    fn panels(_: usize) -> usize {
        1
    }

    #[inline(always)]
    fn tile(tile: &Tile<'_>, acc: &mut Acc) {
        for row in 0..tile.rows {
            let codes = tile.codes[row * tile.k..].as_chunks::<4>().0;
            for panel in 0..tile.panels {
                let words = tile.words[panel * tile.k * 4..].as_chunks::<PANEL>().0;
                let (mut sum, mut quad) = ([0i32; PANEL], 0);
                for segment in tile.segments {
                    sum.iter_mut().for_each(|s| *s = s.wrapping_shl(segment.shifts[row]));
                    let quads = quad..quad + segment.quads;
                    for (code, words) in codes[quads.clone()].iter().zip(&words[quads.clone()]) {
                        add_quad(&mut sum, *code, words);
                    }
                    quad = quads.end;
                }
                acc.0[row * tile.panels + panel] = sum;
            }
        }
    }
}

#[inline(always)]
fn add_quad(sum: &mut [i32; PANEL], code: [i8; 4], words: &[u32; PANEL]) {
    let [a, b, c, d] = code.map(i32::from);
    for (sum, &word) in sum.iter_mut().zip(words) {
        let word = word as i32;
        let dot = a * (word << 24 >> 24) + b * (word << 16 >> 24) + c * (word << 8 >> 24) + d * (word >> 24);
        *sum = sum.wrapping_add(dot);
    }
}

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
