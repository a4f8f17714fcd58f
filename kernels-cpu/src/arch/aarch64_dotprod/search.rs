//! As in NEON, with the dot product instruction for codes.

use std::arch::{aarch64::*, asm};

use plan::PANEL;

use super::Dotprod;
use crate::{
    arch::aarch64_neon::{Neon, add_lanes},
    search::rows::{ROWS, Rows, end_dots},
};

impl Rows for Dotprod {
    const QUERIES: usize = Neon::QUERIES;

    #[inline(always)]
    fn dots(query: &[i8], rows: [&[i8]; ROWS]) -> [i32; ROWS] {
        let rows = rows.map(|row| &row[..query.len()]);
        // SAFETY: every row is as long as the query, sliced above; the features are those of the level.
        end_dots::<16>(query, rows, unsafe { dots(query, rows.map(<[i8]>::as_ptr)) })
    }

    #[inline(always)]
    fn float_dots<const Q: usize>(queries: [&[f32]; Q], rows: [&[f32]; ROWS]) -> [[f32; ROWS]; Q] {
        Neon::float_dots(queries, rows)
    }

    #[inline(always)]
    fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
        Neon::unequal_panel(queries, row)
    }

    #[inline(always)]
    fn prefetch<T>(row: &[T]) {
        Neon::prefetch(row);
    }
}

/// Dot products of the whole 16s of columns.
///
/// # Safety
/// Every row points at as many codes as the query has.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn dots(query: &[i8], rows: [*const i8; ROWS]) -> [i32; ROWS] {
    unsafe {
        let mut sums = [vdupq_n_s32(0); ROWS];
        for at in (0..query.len() / 16 * 16).step_by(16) {
            let query = vld1q_s8(query.as_ptr().add(at));
            for (sum, row) in sums.iter_mut().zip(rows) {
                let row = vld1q_s8(row.add(at));
                asm!(
                    "sdot {sum:v}.4s, {row:v}.16b, {query:v}.16b",
                    sum = inout(vreg) *sum,
                    row = in(vreg) row,
                    query = in(vreg) query,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
        }
        add_lanes(sums)
    }
}
