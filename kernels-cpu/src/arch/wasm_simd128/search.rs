//! Four rows side by side, a register of lanes for each sum.

use std::arch::wasm32::*;

use plan::PANEL;

use super::Simd128;
use crate::search::rows::{ROWS, Rows, end_dots};

impl Rows for Simd128 {
    const QUERIES: usize = 2;

    #[inline(always)]
    fn dots(query: &[i8], rows: [&[i8]; ROWS]) -> [i32; ROWS] {
        let rows = rows.map(|row| &row[..query.len()]);
        // SAFETY: every row is as long as the query, sliced above.
        end_dots::<16>(query, rows, unsafe { dots(query, rows.map(<[i8]>::as_ptr)) })
    }

    #[inline(always)]
    fn float_dots<const Q: usize>(queries: [&[f32]; Q], rows: [&[f32]; ROWS]) -> [[f32; ROWS]; Q] {
        let width = rows[0].len();
        assert!(width.is_multiple_of(4));
        let queries = queries.map(|query| query[..width].as_ptr());
        let rows = rows.map(|row| row[..width].as_ptr());
        // SAFETY: every query and row holds `width` values, sliced above.
        unsafe { float_dots(queries, rows, width) }
    }

    #[inline(always)]
    fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
        unequal_panel(queries, row)
    }
}

/// [`Rows::unequal_panel`]. Counts stay in bytes, at most 8 more a word, for as many words as bytes can hold.
#[inline]
fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
    let mut sums = [i32x4_splat(0); 4];
    for (queries, row) in queries.chunks(31).zip(row.chunks(31)) {
        let mut bytes = [i32x4_splat(0); 4];
        for (queries, &row) in queries.iter().zip(row) {
            for (i, bytes) in bytes.iter_mut().enumerate() {
                // SAFETY: a panel's word is four registers long.
                let queries = unsafe { v128_load(queries.as_ptr().add(4 * i).cast()) };
                let differing = v128_xor(queries, u32x4_splat(row));
                *bytes = i8x16_add(*bytes, i8x16_popcnt(differing));
            }
        }
        for (sum, bytes) in sums.iter_mut().zip(bytes) {
            let pairs = u16x8_extadd_pairwise_u8x16(bytes);
            *sum = i32x4_add(*sum, u32x4_extadd_pairwise_u16x8(pairs));
        }
    }
    // SAFETY: types of the same size, any bits are valid.
    unsafe { std::mem::transmute(sums) }
}

/// Dot products of the whole 16s of columns.
///
/// # Safety
/// Every row points at as many codes as the query has.
#[inline]
unsafe fn dots(query: &[i8], rows: [*const i8; ROWS]) -> [i32; ROWS] {
    let mut sums = [i32x4_splat(0); ROWS];
    for at in (0..query.len() / 16 * 16).step_by(16) {
        // SAFETY: 16 codes from `at` on are inside the query, and so inside the rows.
        let load = |codes: *const i8| unsafe { v128_load(codes.add(at).cast()) };
        let query = load(query.as_ptr());
        let (low, high) = (i16x8_extend_low_i8x16(query), i16x8_extend_high_i8x16(query));
        for (sum, row) in sums.iter_mut().zip(rows) {
            let row = load(row);
            *sum = i32x4_add(*sum, i32x4_dot_i16x8(i16x8_extend_low_i8x16(row), low));
            *sum = i32x4_add(*sum, i32x4_dot_i16x8(i16x8_extend_high_i8x16(row), high));
        }
    }
    // SAFETY: types of the same size, any bits are valid.
    unsafe { std::mem::transmute(add_lanes(sums, |a, b| i32x4_add(a, b))) }
}

/// [`Rows::float_dots`].
///
/// # Safety
/// Queries and rows point at `width` values, a multiple of 4.
#[inline]
unsafe fn float_dots<const Q: usize>(
    queries: [*const f32; Q],
    rows: [*const f32; ROWS],
    width: usize,
) -> [[f32; ROWS]; Q] {
    let mut sums = [[f32x4_splat(0.0); ROWS]; Q];
    for at in (0..width).step_by(4) {
        // SAFETY: four values from `at` on are inside.
        let load = |values: *const f32| unsafe { v128_load(values.add(at).cast()) };
        let queries = queries.map(load);
        for (r, row) in rows.into_iter().enumerate() {
            let row = load(row);
            for (sums, query) in sums.iter_mut().zip(queries) {
                sums[r] = f32x4_add(sums[r], f32x4_mul(query, row));
            }
        }
    }
    // SAFETY: types of the same size, any bits are valid.
    sums.map(|sums| unsafe { std::mem::transmute(add_lanes(sums, |a, b| f32x4_add(a, b))) })
}

/// The sum of each register's lanes, all in the same order.
#[inline]
fn add_lanes([a, b, c, d]: [v128; ROWS], add: impl Fn(v128, v128) -> v128) -> v128 {
    let ab = add(i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
    let cd = add(i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
    add(i32x4_shuffle::<0, 1, 4, 5>(ab, cd), i32x4_shuffle::<2, 3, 6, 7>(ab, cd))
}
