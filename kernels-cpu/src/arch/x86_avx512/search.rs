//! Four rows side by side, a register of lanes for each sum.

use std::arch::x86_64::*;

use plan::PANEL;

use super::Avx512;
use crate::{
    arch::x86_avx2::Avx2,
    search::rows::{ROWS, Rows},
};

impl Rows for Avx512 {
    const QUERIES: usize = 4;

    #[inline(always)]
    fn dots(query: &[i8], rows: [&[i8]; ROWS]) -> [i32; ROWS] {
        let rows = rows.map(|row| row[..query.len()].as_ptr());
        // SAFETY: every row is as long as the query, sliced above; the features are those of the level.
        unsafe { dots(query, rows) }
    }

    #[inline(always)]
    fn float_dots<const Q: usize>(queries: [&[f32]; Q], rows: [&[f32]; ROWS]) -> [[f32; ROWS]; Q] {
        let width = rows[0].len();
        let queries = queries.map(|query| query[..width].as_ptr());
        let rows = rows.map(|row| row[..width].as_ptr());
        // SAFETY: every query and row holds `width` values, sliced above; the features are those of the level.
        unsafe { float_dots(queries, rows, width) }
    }

    #[inline(always)]
    fn unequal(query: &[u32], rows: [&[u32]; ROWS]) -> [u32; ROWS] {
        let rows = rows.map(|row| row[..query.len()].as_ptr());
        // SAFETY: every row is as long as the query, sliced above; the features are those of the level.
        unsafe { unequal(query, rows) }
    }

    #[inline(always)]
    fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
        // SAFETY: the features are those of the level.
        unsafe { unequal_panel(queries, row) }
    }

    #[inline(always)]
    fn prefetch<T>(row: &[T]) {
        Avx2::prefetch(row);
    }
}

/// [`Rows::dots`]. Rows are made unsigned by adding 128; `excess` has what that adds.
///
/// # Safety
/// Every row points at as many codes as the query has.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn dots(query: &[i8], rows: [*const i8; ROWS]) -> [i32; ROWS] {
    let flip = _mm512_set1_epi8(i8::MIN);
    let mut sums = [_mm512_setzero_si512(); ROWS];
    let mut excess = _mm512_setzero_si512();
    let mut add = |at: usize, mask: __mmask64| {
        // SAFETY: lanes of the mask lie inside the query, and so inside the rows.
        let load = |codes: *const i8| unsafe { _mm512_maskz_loadu_epi8(mask, codes.add(at)) };
        let query = load(query.as_ptr());
        excess = _mm512_dpbusd_epi32(excess, flip, query);
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_xor_si512(load(row), flip), query);
        }
    };
    let whole = query.len() / 64 * 64;
    for at in (0..whole).step_by(64) {
        add(at, !0);
    }
    if whole < query.len() {
        add(whole, !0 >> (64 - (query.len() - whole)));
    }
    for sum in &mut sums {
        *sum = _mm512_sub_epi32(*sum, excess);
    }
    add_lanes(sums)
}

/// The sum of each register's lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_lanes([a, b, c, d]: [__m512i; ROWS]) -> [i32; ROWS] {
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let sums = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let sums = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    // SAFETY: types of the same size, any bits are valid.
    unsafe { std::mem::transmute(sums) }
}

/// [`Rows::unequal`].
///
/// # Safety
/// Every row points at as many words as the query has.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
unsafe fn unequal(query: &[u32], rows: [*const u32; ROWS]) -> [u32; ROWS] {
    let mut sums = [_mm512_setzero_si512(); ROWS];
    for at in (0..query.len()).step_by(16) {
        let mask = !0 >> (16 - (query.len() - at).min(16));
        // SAFETY: lanes of the mask lie inside the query, and so inside the rows.
        let load = |words: *const u32| unsafe { _mm512_maskz_loadu_epi32(mask, words.add(at).cast()) };
        let query = load(query.as_ptr());
        for (sum, row) in sums.iter_mut().zip(rows) {
            let count = _mm512_popcnt_epi32(_mm512_xor_si512(query, load(row)));
            *sum = _mm512_add_epi32(*sum, count);
        }
    }
    bytemuck::cast(add_lanes(sums))
}

/// [`Rows::unequal_panel`].
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
    let mut sums = _mm512_setzero_si512();
    for (queries, &row) in queries.iter().zip(row) {
        // SAFETY: a panel's word is one register long.
        let queries = unsafe { _mm512_loadu_si512(queries.as_ptr().cast()) };
        let differing = _mm512_xor_si512(queries, _mm512_set1_epi32(row as i32));
        sums = _mm512_add_epi32(sums, _mm512_popcnt_epi32(differing));
    }
    // SAFETY: types of the same size, any bits are valid.
    unsafe { std::mem::transmute(sums) }
}

/// [`Rows::float_dots`].
///
/// # Safety
/// Queries and rows point at `width` values.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn float_dots<const Q: usize>(
    queries: [*const f32; Q],
    rows: [*const f32; ROWS],
    width: usize,
) -> [[f32; ROWS]; Q] {
    let mut sums = [[_mm512_setzero_ps(); ROWS]; Q];
    let mut add = |at: usize, mask: __mmask16| {
        // SAFETY: lanes of the mask lie below `width`.
        let load = |values: *const f32| unsafe { _mm512_maskz_loadu_ps(mask, values.add(at)) };
        let mut lanes = [_mm512_setzero_ps(); ROWS];
        for (lanes, row) in lanes.iter_mut().zip(rows) {
            *lanes = load(row);
        }
        for (sums, query) in sums.iter_mut().zip(queries) {
            let query = load(query);
            for (sum, row) in sums.iter_mut().zip(lanes) {
                *sum = _mm512_fmadd_ps(query, row, *sum);
            }
        }
    };
    let whole = width / 16 * 16;
    for at in (0..whole).step_by(16) {
        add(at, !0);
    }
    if whole < width {
        add(whole, !0 >> (16 - (width - whole)));
    }
    let mut out = [[0.0; ROWS]; Q];
    for (out, sums) in out.iter_mut().zip(sums) {
        *out = add_float_lanes(sums);
    }
    out
}

/// The sum of each register's lanes, all in the same order.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn add_float_lanes([a, b, c, d]: [__m512; ROWS]) -> [f32; ROWS] {
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    let (low, high) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
    let sums = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
    let sums = _mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps::<1>(sums));
    let sums = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
    // SAFETY: types of the same size, any bits are valid.
    unsafe { std::mem::transmute(sums) }
}
