//! Dot products of queries with four rows at a time: what a level brings to search beside
//! [`crate::bert::gemm::Dot`].

use plan::PANEL;

/// Rows of a call of [`Rows`].
pub(crate) const ROWS: usize = 4;

/// Bytes between what a scan reads and what it asks for.
const LEAD: usize = 12 << 10;

/// Scattered rows whose memory is asked for ahead of their turn.
const AHEAD: usize = 12;

/// What a level brings to scans of few queries and of floats. Slices have equal lengths, a multiple of 4.
pub(crate) trait Rows {
    /// Lowest code of a query that [`crate::bert::gemm::Dot::tile`] takes.
    const LEAST_CODE: i8 = i8::MIN;
    /// Queries of a call of [`Rows::float_dots`] whose sums fit the registers: 1, 2, 3 or 4.
    const QUERIES: usize = 1;

    /// Exact dot products.
    #[inline(always)]
    fn dots(query: &[i8], rows: [&[i8]; ROWS]) -> [i32; ROWS] {
        let mut sums = [0; ROWS];
        for (sum, row) in sums.iter_mut().zip(rows) {
            for (&q, &c) in query.iter().zip(row) {
                *sum += i32::from(q) * i32::from(c);
            }
        }
        sums
    }

    /// Dot products, each summed in an order that depends on nothing but the width.
    #[inline(always)]
    fn float_dots<const Q: usize>(queries: [&[f32]; Q], rows: [&[f32]; ROWS]) -> [[f32; ROWS]; Q] {
        let mut sums = [[0.0; ROWS]; Q];
        for (sums, query) in sums.iter_mut().zip(queries) {
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = float_dot(query, row);
            }
        }
        sums
    }

    /// Unequal bits of a query and each row.
    #[inline(always)]
    fn unequal(query: &[u32], rows: [&[u32]; ROWS]) -> [u32; ROWS] {
        let mut sums = [0; ROWS];
        for (sum, row) in sums.iter_mut().zip(rows) {
            let ((query, query_end), (row, row_end)) = (query.as_chunks::<2>(), row.as_chunks::<2>());
            for ([q0, q1], [b0, b1]) in query.iter().zip(row) {
                *sum += (u64::from(q0 ^ b0) << 32 | u64::from(q1 ^ b1)).count_ones();
            }
            for (q, b) in query_end.iter().zip(row_end) {
                *sum += (q ^ b).count_ones();
            }
        }
        sums
    }

    /// Unequal bits of a row and each query of a panel, whose words lie side by side.
    #[inline(always)]
    fn unequal_panel(queries: &[[u32; PANEL]], row: &[u32]) -> [u32; PANEL] {
        let mut sums = [0; PANEL];
        for (queries, row) in queries.iter().zip(row) {
            for (sum, query) in sums.iter_mut().zip(queries) {
                *sum += (query ^ row).count_ones();
            }
        }
        sums
    }

    /// Asks for the memory of a row.
    #[inline(always)]
    fn prefetch<T>(_: &[T]) {}
}

/// Sixteen sums side by side, then added by halves.
#[inline(always)]
fn float_dot(query: &[f32], row: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    let ((query, query_end), (row, row_end)) = (query.as_chunks::<16>(), row.as_chunks::<16>());
    for (query, row) in query.iter().zip(row) {
        for lane in 0..16 {
            sums[lane] += query[lane] * row[lane];
        }
    }
    for ((sum, q), c) in sums.iter_mut().zip(query_end).zip(row_end) {
        *sum += q * c;
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}

/// Adds the products of the columns after the last whole `N`.
#[inline(always)]
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
pub(crate) fn end_dots<const N: usize>(
    query: &[i8],
    rows: [&[i8]; ROWS],
    mut sums: [i32; ROWS],
) -> [i32; ROWS] {
    let query = query.as_chunks::<N>().1;
    if !query.is_empty() {
        for (sum, row) in sums.iter_mut().zip(rows) {
            let products =
                query.iter().zip(row.as_chunks::<N>().1).map(|(&q, &c)| i32::from(q) * i32::from(c));
            *sum += products.sum::<i32>();
        }
    }
    sums
}

/// Four rows of a table whose rows are `stride` apart; where fewer are named the last stands in for the others.
#[inline(always)]
pub(crate) fn four<'a, T>(table: &'a [T], stride: usize, width: usize, rows: &[u32]) -> [&'a [T]; ROWS] {
    let mut four = [table; ROWS];
    for (i, four) in four.iter_mut().enumerate() {
        *four = &table[rows[i.min(rows.len() - 1)] as usize * stride..][..width];
    }
    four
}

/// [`plan::Gather::dots`].
#[inline(always)]
pub(crate) fn dots<L: Rows>(query: &[i8], codes: &[i8], rows: &[u32], out: &mut [i32]) {
    assert_eq!(rows.len(), out.len(), "one sum a row");
    let width = query.len();
    ask::<L, _>(codes, width, rows.iter().take(AHEAD));
    for (i, (some, out)) in rows.chunks(ROWS).zip(out.chunks_mut(ROWS)).enumerate() {
        ask::<L, _>(codes, width, rows.iter().skip(AHEAD + i * ROWS).take(ROWS));
        let sums = L::dots(query, four(codes, width, width, some));
        out.copy_from_slice(&sums[..out.len()]);
    }
}

/// [`plan::Gather::float_dots`].
#[inline(always)]
pub(crate) fn float_dots<L: Rows>(query: &[f32], values: &[f32], rows: &[u32], out: &mut [f32]) {
    assert_eq!(rows.len(), out.len(), "one sum a row");
    let width = query.len();
    ask::<L, _>(values, width, rows.iter().take(AHEAD));
    for (i, (some, out)) in rows.chunks(ROWS).zip(out.chunks_mut(ROWS)).enumerate() {
        ask::<L, _>(values, width, rows.iter().skip(AHEAD + i * ROWS).take(ROWS));
        let [sums] = L::float_dots([query], four(values, width, width, some));
        out.copy_from_slice(&sums[..out.len()]);
    }
}

/// Asks for the memory of the four rows that a scan reaches from `row` after [`LEAD`] bytes, if the table has them. Rows of
/// codes are too short for the processor to see by itself where four of them lead.
#[inline(always)]
pub(crate) fn ahead<L: Rows>(codes: &[i8], width: usize, row: u32) {
    let lead = (LEAD / width).max(1).next_multiple_of(ROWS);
    let first = (row as usize + lead) * width;
    if let Some(rows) = codes.get(first..first + ROWS * width) {
        L::prefetch(rows);
    }
}

/// Asks for the memory of rows.
#[inline(always)]
fn ask<'a, L: Rows, T>(table: &[T], width: usize, rows: impl Iterator<Item = &'a u32>) {
    for &at in rows {
        L::prefetch(&table[at as usize * width..][..width]);
    }
}
