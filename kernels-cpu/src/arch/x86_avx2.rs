//! AVX2 with FMA.
//!
//! `vpmaddubsw` multiplies unsigned by signed bytes and adds pairs in 16 bits. With `|code|` as the unsigned
//! and `sign(code) * q` as the signed factor its products are those of the scheme, and a pair is at most
//! 2 * 127 * 127 = 32,258, so nothing saturates. `vpmaddwd` by ones then adds the pairs of a quad.

mod search;

use std::arch::x86_64::*;

use plan::PANEL;

pub(super) use self::search::add_lanes;

use crate::bert::{
    attention::{COLUMNS, Pair, Pairs},
    gemm::{Acc, Dot, MAX_ROWS, Tile},
};

/// The AVX2 level.
pub(crate) struct Avx2;

super::level!(Avx2, features = "avx2,fma,bmi1,bmi2,lzcnt,popcnt");

/// Whether the processor has every feature the level's functions enable.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

impl Dot for Avx2 {
    const ROWS: usize = 4;

    #[inline(always)]
    fn panels(_: usize) -> usize {
        1
    }

    super::tile_by_rows!(1, 2, 3; 4);
}

/// `R` rows by one panel, two registers a row.
///
/// # Safety
/// The tile passed [`Tile::check`] and has `R` rows and one panel.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn rows<const R: usize>(tile: &Tile<'_>, acc: &mut Acc) {
    unsafe {
        let ones = _mm256_set1_epi16(1);
        let mut total = [[_mm256_setzero_si256(); 2]; R];
        let (mut code, mut word) = (tile.codes.as_ptr().cast::<i32>(), tile.words.as_ptr().cast::<__m256i>());
        for segment in tile.segments {
            const { assert!(R <= MAX_ROWS) };
            let mut sum = [[_mm256_setzero_si256(); 2]; R];
            for _ in 0..segment.quads {
                let q = [_mm256_loadu_si256(word), _mm256_loadu_si256(word.add(1))];
                for r in 0..R {
                    let c = _mm256_set1_epi32(code.byte_add(r * tile.k).read_unaligned());
                    let magnitude = _mm256_abs_epi8(c);
                    for h in 0..2 {
                        let pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(q[h], c));
                        sum[r][h] = _mm256_add_epi32(sum[r][h], _mm256_madd_epi16(pairs, ones));
                    }
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
            for h in 0..2 {
                _mm256_store_si256(out.add(r * 2 + h), total[r][h]);
            }
        }
    }
}

impl crate::spiking::lif::Dense for Avx2 {}

impl Pairs for Avx2 {
    #[inline(always)]
    fn tile<const R: usize>(a: [&[Pair]; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]; R]) {
        let a = a.map(|a| &a[..b.len()]);
        // SAFETY: every `a[r]` holds `b.len()` pairs, sliced above; the features are those of the level.
        unsafe {
            let mut r = 0;
            while r + 2 <= R {
                pairs([a[r], a[r + 1]], b, &mut out[r..r + 2]);
                r += 2;
            }
            if r < R {
                pairs([a[r]], b, &mut out[r..r + 1]);
            }
        }
    }
}

/// `R` rows by 32 columns, four registers a row.
///
/// # Safety
/// Every `a[r]` is as long as `b`, and `out` has `R` rows.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pairs<const R: usize>(a: [&[Pair]; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]]) {
    unsafe {
        let mut sum = [[_mm256_setzero_si256(); 4]; R];
        for (n, b) in b.iter().enumerate() {
            let b = b.as_ptr().cast::<[__m256i; 4]>().read_unaligned();
            for r in 0..R {
                let pair = _mm256_set1_epi32(a[r].as_ptr().add(n).cast::<i32>().read_unaligned());
                for i in 0..4 {
                    sum[r][i] = _mm256_add_epi32(sum[r][i], _mm256_madd_epi16(pair, b[i]));
                }
            }
        }
        for r in 0..R {
            for i in 0..4 {
                _mm256_storeu_si256(out[r].as_mut_ptr().cast::<__m256i>().add(i), sum[r][i]);
            }
        }
    }
}

const _: () = assert!(PANEL == 16, "two registers of eight outputs are one panel");
