//! Four rows side by side, a register of lanes for each sum.

use std::arch::{aarch64::*, asm};

use plan::PANEL;

use super::Neon;
use crate::{
    arch::each_line,
    search::rows::{ROWS, Rows, end_dots},
};

impl Rows for Neon {
    // Pairs of products with -128 would leave 16 bits in `Dot::tile`.
    const LEAST_CODE: i8 = -127;
    const QUERIES: usize = 4;

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
        // SAFETY: NEON is the baseline.
        unsafe { unequal_panel(queries, row) }
    }

    #[inline(always)]
    fn prefetch<T>(row: &[T]) {
        each_line(row, |line| {
            // SAFETY: a prefetch of any address is harmless.
            unsafe { asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags)) }
        });
    }
}

/// Dot products of the whole 16s of columns.
///
/// # Safety
/// Every row points at as many codes as the query has.
#[inline]
unsafe fn dots(query: &[i8], rows: [*const i8; ROWS]) -> [i32; ROWS] {
    unsafe {
        let mut sums = [vdupq_n_s32(0); ROWS];
        for at in (0..query.len() / 16 * 16).step_by(16) {
            let query = vld1q_s8(query.as_ptr().add(at));
            for (sum, row) in sums.iter_mut().zip(rows) {
                let row = vld1q_s8(row.add(at));
                let half = vpadalq_s16(*sum, vmull_s8(vget_low_s8(row), vget_low_s8(query)));
                *sum = vpadalq_s16(half, vmull_high_s8(row, query));
            }
        }
        add_lanes(sums)
    }
}

/// The sum of each register's lanes.
#[inline]
pub(in crate::arch) fn add_lanes([a, b, c, d]: [int32x4_t; ROWS]) -> [i32; ROWS] {
    // SAFETY: NEON is the baseline; types of the same size, any bits are valid.
    unsafe { std::mem::transmute(vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d))) }
}

/// [`Rows::unequal_panel`]. Counts stay in bytes, at most 8 more a word, for as many words as bytes can hold.
///
/// # Safety
/// None beyond NEON.
#[inline]
unsafe fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
    unsafe {
        let mut sums = [vdupq_n_u32(0); 4];
        for (queries, row) in queries.chunks(31).zip(row.chunks(31)) {
            let mut bytes = [vdupq_n_u8(0); 4];
            for (queries, &row) in queries.iter().zip(row) {
                for (i, bytes) in bytes.iter_mut().enumerate() {
                    let differing = veorq_u32(vld1q_u32(queries.as_ptr().add(4 * i)), vdupq_n_u32(row));
                    *bytes = vaddq_u8(*bytes, vcntq_u8(vreinterpretq_u8_u32(differing)));
                }
            }
            for (sum, bytes) in sums.iter_mut().zip(bytes) {
                *sum = vpadalq_u16(*sum, vpaddlq_u8(bytes));
            }
        }
        std::mem::transmute(sums)
    }
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
    unsafe {
        let mut sums = [[vdupq_n_f32(0.0); ROWS]; Q];
        for at in (0..width).step_by(4) {
            let rows = rows.map(|row| vld1q_f32(row.add(at)));
            for (sums, query) in sums.iter_mut().zip(queries) {
                let query = vld1q_f32(query.add(at));
                for (sum, row) in sums.iter_mut().zip(rows) {
                    *sum = vfmaq_f32(*sum, query, row);
                }
            }
        }
        sums.map(|[a, b, c, d]| std::mem::transmute(vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d))))
    }
}
