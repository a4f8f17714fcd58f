//! Four rows side by side, a register of lanes for each sum. Codes are multiplied as 16-bit pairs, which is exact for
//! all of them.

use std::arch::x86_64::*;

use plan::PANEL;

use super::Avx2;
use crate::{
    arch::each_line,
    search::rows::{ROWS, Rows, end_dots},
};

impl Rows for Avx2 {
    // Pairs of products with -128 would leave 16 bits in `Dot::tile`.
    const LEAST_CODE: i8 = -127;
    const QUERIES: usize = 3;

    #[inline(always)]
    fn dots(query: &[i8], rows: [&[i8]; ROWS]) -> [i32; ROWS] {
        let rows = rows.map(|row| &row[..query.len()]);
        // SAFETY: every row is as long as the query, sliced above; the features are those of the level.
        end_dots::<16>(query, rows, unsafe { dots(query, rows.map(<[i8]>::as_ptr)) })
    }

    #[inline(always)]
    fn float_dots<const Q: usize>(queries: [&[f32]; Q], rows: [&[f32]; ROWS]) -> [[f32; ROWS]; Q] {
        let width = rows[0].len();
        assert!(width.is_multiple_of(4));
        let queries = queries.map(|query| query[..width].as_ptr());
        let rows = rows.map(|row| row[..width].as_ptr());
        // SAFETY: every query and row holds `width` values, sliced above; the features are those of the level.
        unsafe { float_dots(queries, rows, width) }
    }

    #[inline(always)]
    fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
        // SAFETY: the features are those of the level.
        unsafe { unequal_panel(queries, row) }
    }

    #[inline(always)]
    fn prefetch<T>(row: &[T]) {
        each_line(row, |line| {
            // SAFETY: a prefetch of any address is harmless; SSE is the baseline.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line) }
        });
    }
}

/// Dot products of the whole 16s of columns.
///
/// # Safety
/// Every row points at as many codes as the query has.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn dots(query: &[i8], rows: [*const i8; ROWS]) -> [i32; ROWS] {
    let mut sums = [_mm256_setzero_si256(); ROWS];
    for at in (0..query.len() / 16 * 16).step_by(16) {
        // SAFETY: 16 codes from `at` on are inside the query, and so inside the rows.
        let load = |codes: *const i8| unsafe {
            _mm256_cvtepi8_epi16(codes.add(at).cast::<__m128i>().read_unaligned())
        };
        let query = load(query.as_ptr());
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(load(row), query));
        }
    }
    add_lanes(sums)
}

/// The sum of each register's lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::arch) fn add_lanes([a, b, c, d]: [__m256i; ROWS]) -> [i32; ROWS] {
    let sums = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    // SAFETY: types of the same size, any bits are valid.
    unsafe { std::mem::transmute(sums) }
}

/// [`Rows::unequal_panel`], four bits at a time by a table in a register. Counts stay in bytes, at most 8 more a
/// word, for as many words as bytes can hold (Muła, Kurz and Lemire, *Faster Population Counts Using AVX2
/// Instructions*).
#[inline]
#[target_feature(enable = "avx2")]
fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
    let table = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let low = _mm256_set1_epi8(15);
    let mut sums = [_mm256_setzero_si256(); 2];
    for (queries, row) in queries.chunks(31).zip(row.chunks(31)) {
        let mut bytes = [_mm256_setzero_si256(); 2];
        for (queries, &row) in queries.iter().zip(row) {
            // SAFETY: a panel's word is two registers long.
            let queries = unsafe { queries.as_ptr().cast::<[__m256i; 2]>().read_unaligned() };
            for (bytes, queries) in bytes.iter_mut().zip(queries) {
                let differing = _mm256_xor_si256(queries, _mm256_set1_epi32(row as i32));
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(differing), low);
                let counts = _mm256_shuffle_epi8(table, _mm256_and_si256(differing, low));
                let counts = _mm256_add_epi8(counts, _mm256_shuffle_epi8(table, high));
                *bytes = _mm256_add_epi8(*bytes, counts);
            }
        }
        for (sum, bytes) in sums.iter_mut().zip(bytes) {
            let pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
    }
    // SAFETY: types of the same size, any bits are valid.
    unsafe { std::mem::transmute(sums) }
}

/// [`Rows::float_dots`].
///
/// # Safety
/// Queries and rows point at `width` values, a multiple of 4.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn float_dots<const Q: usize>(
    queries: [*const f32; Q],
    rows: [*const f32; ROWS],
    width: usize,
) -> [[f32; ROWS]; Q] {
    let mut sums = [[_mm256_setzero_ps(); ROWS]; Q];
    let whole = width / 8 * 8;
    for at in (0..whole).step_by(8) {
        // SAFETY: eight values from `at` on are inside.
        let load = |values: *const f32| unsafe { _mm256_loadu_ps(values.add(at)) };
        for (r, row) in rows.into_iter().enumerate() {
            let row = load(row);
            for (sums, query) in sums.iter_mut().zip(queries) {
                sums[r] = _mm256_fmadd_ps(load(query), row, sums[r]);
            }
        }
    }
    if whole < width {
        // SAFETY: `width` is a multiple of 4, so that four values are left.
        let load = |values: *const f32| unsafe { _mm256_zextps128_ps256(_mm_loadu_ps(values.add(whole))) };
        for (r, row) in rows.into_iter().enumerate() {
            let row = load(row);
            for (sums, query) in sums.iter_mut().zip(queries) {
                sums[r] = _mm256_fmadd_ps(load(query), row, sums[r]);
            }
        }
    }
    let mut out = [[0.0; ROWS]; Q];
    for (out, [a, b, c, d]) in out.iter_mut().zip(sums) {
        let sums = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
        let sums = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
        // SAFETY: types of the same size, any bits are valid.
        *out = unsafe { std::mem::transmute::<__m128, [f32; ROWS]>(sums) };
    }
    out
}
