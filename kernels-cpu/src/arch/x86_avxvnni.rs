//! AVX2 with the VNNI dot product in 256 bits: client processors that have no AVX-512.
//!
//! As in AVX-512, the weights are the unsigned factor of `vpdpbusd` and are packed as `q + 128`. Six rows by one
//! panel fill twelve of the sixteen registers, few enough for the compiler to keep them there.

mod search;

use std::arch::x86_64::*;

use plan::{GemmWeight, PackedGemm};

use super::{x86_avx2::Avx2, x86_avx512::pack_unsigned};
use crate::bert::{
    attention::{COLUMNS, Pair, Pairs},
    gemm::{Acc, Dot, Tile},
};

/// The AVX-VNNI level.
pub(crate) struct AvxVnni;

super::level!(AvxVnni, features = "avx2,fma,avxvnni,bmi1,bmi2,lzcnt,popcnt", {
    fn pack(&self, weight: &GemmWeight<'_>) -> PackedGemm {
        pack_unsigned(weight)
    }
});

/// Whether the processor has every feature the level's functions enable.
pub(super) fn is_supported() -> bool {
    super::x86_avx2::is_supported() && is_x86_feature_detected!("avxvnni")
}

impl Dot for AvxVnni {
    const ROWS: usize = 6;
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn panels(_: usize) -> usize {
        1
    }

    super::tile_by_rows!(1, 2, 3, 4, 5; 6);
}

/// `R` rows by one panel, two registers a row.
///
/// # Safety
/// The tile passed [`Tile::check`] and has `R` rows and one panel.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn rows<const R: usize>(tile: &Tile<'_>, acc: &mut Acc) {
    unsafe {
        let mut total = [[_mm256_setzero_si256(); 2]; R];
        let (mut code, mut word) = (tile.codes.as_ptr().cast::<i32>(), tile.words.as_ptr().cast::<__m256i>());
        for segment in tile.segments {
            let mut sum = [[_mm256_setzero_si256(); 2]; R];
            for _ in 0..segment.quads {
                let q = [_mm256_loadu_si256(word), _mm256_loadu_si256(word.add(1))];
                for r in 0..R {
                    let c = _mm256_set1_epi32(code.byte_add(r * tile.k).read_unaligned());
                    sum[r][0] = _mm256_dpbusd_avx_epi32(sum[r][0], q[0], c);
                    sum[r][1] = _mm256_dpbusd_avx_epi32(sum[r][1], q[1], c);
                }
                code = code.add(1);
                word = word.add(2);
            }
            for r in 0..R {
                let shift = _mm_cvtsi32_si128(segment.shifts[r] as i32);
                for h in 0..2 {
                    total[r][h] = _mm256_add_epi32(total[r][h], _mm256_sll_epi32(sum[r][h], shift));
                }
            }
        }
        let out = acc.0.as_mut_ptr().cast::<__m256i>();
        for r in 0..R {
            _mm256_store_si256(out.add(2 * r), total[r][0]);
            _mm256_store_si256(out.add(2 * r + 1), total[r][1]);
        }
    }
}

impl crate::spiking::lif::Dense for AvxVnni {}

impl Pairs for AvxVnni {
    #[inline(always)]
    fn tile<const R: usize>(a: [&[Pair]; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]; R]) {
        <Avx2 as Pairs>::tile(a, b, out);
    }
}
