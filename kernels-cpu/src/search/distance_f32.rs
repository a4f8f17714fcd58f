//! Scans of a table of floats.
//!
//! ```text
//! for each block of rows                 (it stays in the second-nearest cache)
//!   for each block of queries            (they stay in the nearest)
//!     for each four rows
//!       for each few queries
//!         sum[query][row][lane] += query . row     (a register of lanes for each pair)
//!         dot products = sums of lanes
//! ```
//!
//! Each pair of query and row has sums of its own, so its score does not depend on what else is in the batch.

use plan::FloatScore;

use super::{
    lines::Lines,
    lists::{Lists, blocks, pick},
    rows::{ROWS, Rows, four},
};
use crate::DistanceF32Args;

/// Values of a block of rows.
const BLOCK: usize = 1 << 16;
/// Values of a block of queries.
const NEAR: usize = 1 << 12;
/// Least queries that make it worth to copy rows.
const COPIED: usize = 16;
/// Rows of a block where one query takes them as they come.
const STREAM: usize = 32;

/// The best rows of a table of floats.
#[inline(always)]
pub(crate) fn distance_f32<L: Rows>(args: DistanceF32Args<'_>) {
    match &args.vectors.score {
        FloatScore::Dot => scores::<L>(args, |_| 0.0, |_, dot| dot),
        FloatScore::Scaled(by) => scores::<L>(args, |row| by[row], |by, dot| dot * by),
        FloatScore::Euclid(norm) => scores::<L>(args, |row| norm[row], |norm, dot| 2.0 * dot - norm),
    }
}

/// `score` is given the `term` of a row, so that nothing is looked up for each query.
#[inline(always)]
fn scores<L: Rows>(args: DistanceF32Args<'_>, term: impl Fn(usize) -> f32, score: impl Fn(f32, f32) -> f32) {
    match L::QUERIES {
        4 => tiles::<L, 4>(args, term, score),
        3 => tiles::<L, 3>(args, term, score),
        2 => tiles::<L, 2>(args, term, score),
        _ => tiles::<L, 1>(args, term, score),
    }
}

#[inline(always)]
fn tiles<L: Rows, const Q: usize>(
    args: DistanceF32Args<'_>,
    term: impl Fn(usize) -> f32,
    score: impl Fn(f32, f32) -> f32,
) {
    let (width, values) = (args.vectors.width, &*args.vectors.values);
    let count = args.queries.len() / width;
    let queries = Copies::new(width, args.queries.chunks_exact(width));
    let most = if count == 1 { STREAM } else { (BLOCK / width).next_multiple_of(ROWS) };
    let near = (NEAR / width).max(1).next_multiple_of(Q);
    let mut copies = Copies::new(width, [].into_iter());
    let (mut picked, mut places) = (Vec::with_capacity(most), Vec::with_capacity(most));
    let mut lists = Lists::new(args.out, count, args.k, args.rows.div_ceil(args.group));
    for (list, block) in blocks(args.first, args.rows, args.group, most) {
        lists.turn_to(list);
        pick(block, args.filter, &mut picked);
        pick(0..picked.len(), None, &mut places);
        if count >= COPIED {
            copies = Copies::new(width, picked.iter().map(|&row| &values[row as usize * width..][..width]));
        }
        for first in (0..count).step_by(near) {
            for (rows, places) in picked.chunks(ROWS).zip(places.chunks(ROWS)) {
                let four = if count >= COPIED {
                    four(copies.values.get(), copies.stride, width, places)
                } else {
                    four(values, width, width, rows)
                };
                let mut terms = [0.0; ROWS];
                for (term_of, &row) in terms.iter_mut().zip(rows) {
                    *term_of = term(row as usize);
                }
                let mut query = first;
                let end = count.min(first + near);
                while query + Q <= end {
                    for dots in L::float_dots::<Q>(queries.some(query), four) {
                        lists.offer_rows(query, rows, &orders(terms, dots, &score));
                        query += 1;
                    }
                }
                while query < end {
                    let [dots] = L::float_dots(queries.some(query), four);
                    lists.offer_rows(query, rows, &orders(terms, dots, &score));
                    query += 1;
                }
            }
        }
    }
}

/// Vectors each of which begins with a cache line.
struct Copies {
    width: usize,
    stride: usize,
    values: Lines<f32>,
}

impl Copies {
    #[inline(always)]
    fn new<'a>(width: usize, vectors: impl ExactSizeIterator<Item = &'a [f32]>) -> Self {
        let stride = width.next_multiple_of(16);
        let mut values = Lines::new(vectors.len() * stride);
        for (copy, vector) in values.get_mut().chunks_exact_mut(stride).zip(vectors) {
            copy[..width].copy_from_slice(vector);
        }
        Copies { width, stride, values }
    }

    /// `N` vectors from the `first` on.
    #[inline(always)]
    fn some<const N: usize>(&self, first: usize) -> [&[f32]; N] {
        let mut some = [self.values.get(); N];
        for (i, vector) in some.iter_mut().enumerate() {
            *vector = &vector[(first + i) * self.stride..][..self.width];
        }
        some
    }
}

/// The order of each row's score, which is that of its key.
#[inline(always)]
fn orders(terms: [f32; ROWS], dots: [f32; ROWS], score: &impl Fn(f32, f32) -> f32) -> [i32; ROWS] {
    let mut orders = [0; ROWS];
    for i in 0..ROWS {
        let bits = score(terms[i], dots[i]).to_bits() as i32;
        // Of negative numbers all bits but the sign are turned round.
        orders[i] = bits ^ (((bits >> 31) as u32) >> 1) as i32;
    }
    orders
}
