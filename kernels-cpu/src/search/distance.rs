//! Scans of a table of i8 codes.
//!
//! Many queries are a matrix product whose results are looked at and dropped: table rows are the left operand of
//! [`Dot::tile`], unpacked, for tables are large and come from files; queries are packed as its weights.
//!
//! ```text
//! for each block of rows                (it stays in the second-nearest cache)
//!   for each block of query panels      (they stay in the nearest)
//!     for each tile of rows
//!       acc[row][query] = dot products
//!       for each row, for each panel: scores; those above their query's least go to its list
//! ```
//!
//! A level that packs `q + OFFSET` gets `OFFSET * sum(row)` too much, which is found once for each row of a block.

use std::ops::Range;

use plan::{PANEL, Score, scaled_shift};

use super::{
    lines::Lines,
    lists::{Lists, allowed, blocks, pick},
    rows::{self, ROWS, Rows},
};
use crate::{
    DistanceArgs,
    bert::{
        gemm::{Acc, Dot, MAX_ROWS, Segment, Tile},
        math::ms16,
    },
};

/// Most queries that take the rows one query after another.
const FEW: usize = 8;
/// Codes of a block of rows where there are many queries.
const BLOCK: usize = 1 << 18;
/// Rows of a block where there are few.
const STREAM: usize = 32;

/// The best rows of a table of codes.
#[inline(always)]
pub(crate) fn distance<L: Dot + Rows>(args: DistanceArgs<'_>) {
    let shift = scaled_shift(args.vectors.width);
    match &args.vectors.score {
        Score::Dot => scores::<L, _>(args, |_| (), |(), dot| dot),
        Score::Scaled(by) => scores::<L, _>(args, |row| by[row], |by, dot| ms16(dot << shift, by.into())),
        Score::Euclid(norm) => scores::<L, _>(args, |row| norm[row], |norm, dot| 2 * dot - norm),
    }
}

/// `score` is given the `term` of a row, so that nothing is looked up for each query.
#[inline(always)]
fn scores<L: Dot + Rows, T: Copy>(
    args: DistanceArgs<'_>,
    term: impl Fn(usize) -> T,
    score: impl Fn(T, i32) -> i32,
) {
    let queries = args.queries.len() / args.vectors.width;
    if queries <= FEW || args.queries.iter().any(|&code| code < L::LEAST_CODE) {
        few::<L, T>(args, queries, term, score);
    } else {
        many::<L, T>(args, queries, term, score);
    }
}

#[inline(always)]
fn few<L: Rows, T: Copy>(
    args: DistanceArgs<'_>,
    queries: usize,
    term: impl Fn(usize) -> T,
    score: impl Fn(T, i32) -> i32,
) {
    let (all, filter, width, codes) = (args.queries, args.filter, args.vectors.width, &*args.vectors.codes);
    let mut picked = Vec::with_capacity(STREAM);
    let mut lists = Lists::new(args.out, queries, args.k, args.rows.div_ceil(args.group));
    for (list, block) in blocks(args.first, args.rows, args.group, STREAM) {
        lists.turn_to(list);
        pick(block, filter, &mut picked);
        for (query, query_codes) in all.chunks_exact(width).enumerate() {
            for rows in picked.chunks(ROWS) {
                if query == 0 {
                    rows::ahead::<L>(codes, width, rows[0]);
                }
                let dots = L::dots(query_codes, rows::four(codes, width, width, rows));
                let mut orders = [i32::MIN; ROWS];
                for ((order, &row), dot) in orders.iter_mut().zip(rows).zip(dots) {
                    *order = score(term(row as usize), dot);
                }
                lists.offer_rows(query, rows, &orders);
            }
        }
    }
}

#[inline(always)]
fn many<L: Dot + Rows, T: Copy>(
    args: DistanceArgs<'_>,
    queries: usize,
    term: impl Fn(usize) -> T,
    score: impl Fn(T, i32) -> i32,
) {
    let (filter, width, codes) = (args.filter, args.vectors.width, &*args.vectors.codes);
    let words = pack::<L>(args.queries, width);
    let words = words.get();
    let (panels, side_by_side) = (queries.div_ceil(PANEL), L::panels(L::ROWS));
    let panel_words = width / 4 * L::QUAD_WORDS;
    let segments = [Segment { quads: width / 4, shifts: [0; MAX_ROWS] }];
    let mut acc = Acc::default();
    let mut excess = Excess { ones: vec![1; width], rows: Vec::new(), sums: Vec::new() };
    let most = (BLOCK / width).next_multiple_of(L::ROWS);
    let mut lists = Lists::new(args.out, queries, args.k, args.rows.div_ceil(args.group));
    for (list, block) in blocks(args.first, args.rows, args.group, most) {
        lists.turn_to(list);
        excess.find::<L>(codes, block.clone());
        for panel in (0..panels).step_by(side_by_side) {
            let count = side_by_side.min(panels - panel);
            for tile in block.clone().step_by(L::ROWS) {
                let rows = tile..block.end.min(tile + L::ROWS);
                if filter.is_some() && !rows.clone().any(|row| allowed(filter, row)) {
                    continue;
                }
                let operands = Tile {
                    codes: &codes[rows.start * width..rows.end * width],
                    words: &words[panel * panel_words..(panel + count) * panel_words],
                    quad_words: L::QUAD_WORDS,
                    k: width,
                    rows: rows.len(),
                    panels: count,
                    segments: &segments,
                };
                L::tile(&operands, &mut acc);
                let excess = &excess.sums[rows.start - block.start..][..rows.len()];
                for ((row, cells), &excess) in rows.zip(acc.0.chunks_exact(count)).zip(excess) {
                    if !allowed(filter, row) {
                        continue;
                    }
                    let term = term(row);
                    for (p, cell) in cells.iter().enumerate() {
                        let mut orders = [0; PANEL];
                        for (order, sum) in orders.iter_mut().zip(cell) {
                            *order = score(term, sum - excess);
                        }
                        lists.offer_panel(panel + p, row, &orders);
                    }
                }
            }
        }
    }
}

/// What [`Dot::OFFSET`] adds to the dot products of a block's rows.
struct Excess {
    ones: Vec<i8>,
    rows: Vec<u32>,
    sums: Vec<i32>,
}

impl Excess {
    #[inline(always)]
    fn find<L: Dot + Rows>(&mut self, codes: &[i8], block: Range<usize>) {
        self.sums.resize(block.len(), 0);
        if L::OFFSET != 0 {
            pick(block, None, &mut self.rows);
            rows::dots::<L>(&self.ones, codes, &self.rows, &mut self.sums);
            self.sums.iter_mut().for_each(|sum| *sum *= L::OFFSET);
        }
    }
}

/// Queries as [`Dot::tile`] wants weights: 16 to a panel.
fn pack<L: Dot>(queries: &[i8], width: usize) -> Lines<u32> {
    let panel_words = width / 4 * L::QUAD_WORDS;
    let mut words = Lines::new((queries.len() / width).div_ceil(PANEL) * panel_words);
    for (q, query) in queries.chunks_exact(width).enumerate() {
        let panel = &mut words.get_mut()[q / PANEL * panel_words..][..panel_words];
        for (quad, codes) in panel.chunks_exact_mut(L::QUAD_WORDS).zip(query.as_chunks::<4>().0) {
            if L::QUAD_WORDS == PANEL {
                quad[q % PANEL] = u32::from_le_bytes(codes.map(|c| (c as u8).wrapping_add(L::OFFSET as u8)));
            } else {
                let [a, b, c, d] = codes.map(i16::from);
                quad[q % PANEL] = bytemuck::cast([a, b]);
                quad[q % PANEL + PANEL] = bytemuck::cast([c, d]);
            }
        }
    }
    words
}
