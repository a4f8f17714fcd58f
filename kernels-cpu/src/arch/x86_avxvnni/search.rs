//! As in AVX2, with the VNNI dot product for codes.

use std::arch::x86_64::*;

use plan::PANEL;

use super::AvxVnni;
use crate::{
    arch::x86_avx2::{Avx2, add_lanes},
    search::rows::{ROWS, Rows, end_dots},
};

impl Rows for AvxVnni {
    const QUERIES: usize = Avx2::QUERIES;

    #[inline(always)]
    fn dots(query: &[i8], rows: [&[i8]; ROWS]) -> [i32; ROWS] {
        let rows = rows.map(|row| &row[..query.len()]);
        // SAFETY: every row is as long as the query, sliced above; the features are those of the level.
        end_dots::<32>(query, rows, unsafe { dots(query, rows.map(<[i8]>::as_ptr)) })
    }

    #[inline(always)]
    fn float_dots<const Q: usize>(queries: [&[f32]; Q], rows: [&[f32]; ROWS]) -> [[f32; ROWS]; Q] {
        Avx2::float_dots(queries, rows)
    }

    #[inline(always)]
    fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
        Avx2::unequal_panel(queries, row)
    }

    #[inline(always)]
    fn prefetch<T>(row: &[T]) {
        Avx2::prefetch(row);
    }
}

/// Dot products of the whole 32s of columns. Rows are made unsigned by adding 128; `excess` has what that adds.
///
/// # Safety
/// Every row points at as many codes as the query has.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn dots(query: &[i8], rows: [*const i8; ROWS]) -> [i32; ROWS] {
    let flip = _mm256_set1_epi8(i8::MIN);
    let mut sums = [_mm256_setzero_si256(); ROWS];
    let mut excess = _mm256_setzero_si256();
    for at in (0..query.len() / 32 * 32).step_by(32) {
        // SAFETY: 32 codes from `at` on are inside the query, and so inside the rows.
        let load = |codes: *const i8| unsafe { codes.add(at).cast::<__m256i>().read_unaligned() };
        let query = load(query.as_ptr());
        excess = _mm256_dpbusd_avx_epi32(excess, flip, query);
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = _mm256_dpbusd_avx_epi32(*sum, _mm256_xor_si256(load(row), flip), query);
        }
    }
    for sum in &mut sums {
        *sum = _mm256_sub_epi32(*sum, excess);
    }
    add_lanes(sums)
}
