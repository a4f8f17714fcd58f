//! Softmax attention within each sequence.
//!
//! ```text
//! for each sequence, for each head
//!   lay its keys out by column pairs, its values by row pairs
//!   for each row: scores = q x keys; probabilities = table of (max - score); out = probabilities x values
//! ```
//!
//! The real version adds: both products are one hook, [`Pairs::tile`], which multiplies pairs of i16 and adds
//! them to i32 for up to [`ROWS`] rows by [`COLUMNS`] columns; rows go through it in tiles so that a loaded key
//! or value serves several rows; and sequences are padded to whole blocks of 32 rows with scores that no
//! real row can reach, whose probability comes out as 0.

use super::math::{mant, ms16, rsh};
use crate::AttentionArgs;

/// Columns of a head, and of a tile.
pub(crate) const COLUMNS: usize = 32;
/// Most rows of a tile.
pub(crate) const ROWS: usize = 8;

/// Two 16-bit factors that are multiplied and added as one.
pub(crate) type Pair = [i16; 2];

/// Scores of a row over a block of rows.
pub(crate) type Scores = [i32; COLUMNS];

/// What a level brings to attention.
pub(crate) trait Pairs {
    /// `out[r][c] = sum over n (a[r][n] . b[n][c])`, sums within 32 bits. Every `a[r]` is as long as `b`.
    fn tile<const R: usize>(a: [&[Pair]; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]; R]);

    /// Row `r` of a tile: `p[j] = rsh(exp[(d >> 8) & 255], min(d >> 16, 20) + 4)` with `d = max - scores[j]`, and
    /// the sum of `p`.
    #[inline(always)]
    fn probabilities<const R: usize>(
        scores: &[[Scores; R]],
        r: usize,
        exp: &[u16; 256],
        p: &mut [[i16; COLUMNS]],
    ) -> u32 {
        let mut tops = [i32::MIN; COLUMNS];
        for block in scores {
            for (top, &score) in tops.iter_mut().zip(&block[r]) {
                *top = (*top).max(score);
            }
        }
        let top = tops.iter().fold(i32::MIN, |top, &score| top.max(score));
        let mut sum = 0;
        for (p, block) in p.iter_mut().zip(scores) {
            for (p, &score) in p.iter_mut().zip(&block[r]) {
                let d = top.wrapping_sub(score) as u32;
                let e = i32::from(exp[(d >> 8) as usize & 255]);
                *p = rsh(e, (d >> 16).min(20) + 4) as i16;
                sum += *p as u32;
            }
        }
        sum
    }
}

/// Step 7 of the scheme.
#[inline(always)]
pub(crate) fn attention<P: Pairs>(args: AttentionArgs<'_>) {
    let exp: &[u16; 256] = args.exp.try_into().expect("an exp table has 256 entries");
    let (spans, width) = (args.spans.as_chunks::<2>().0, args.heads * COLUMNS);
    let mut head = Head::default();
    let mut row = 0;
    while row < spans.len() {
        let span = spans[row];
        let end = row + spans[row..].iter().take_while(|&&s| s == span).count();
        for h in 0..args.heads {
            head.load(&args, span, h);
            let mut tile = row;
            while tile < end {
                let place = Place { qkv: args.qkv, width, column: h * COLUMNS, row: tile };
                tile += match end - tile {
                    8.. => head.rows::<P, 8>(place, exp, args.out),
                    4.. => head.rows::<P, 4>(place, exp, args.out),
                    2.. => head.rows::<P, 2>(place, exp, args.out),
                    _ => head.rows::<P, 1>(place, exp, args.out),
                };
            }
        }
        row = end;
    }
}

/// Where a tile's queries lie.
#[derive(Clone, Copy)]
struct Place<'a> {
    qkv: &'a [i16],
    width: usize,
    column: usize,
    row: usize,
}

/// One sequence's keys and values of one head, and scratch for a tile of rows.
#[derive(Default)]
struct Head {
    /// Rows of the sequence.
    len: usize,
    /// Blocks of [`COLUMNS`] rows they fill.
    blocks: usize,
    /// `[block][column pair][row in block]`.
    keys: Vec<[[Pair; COLUMNS]; COLUMNS / 2]>,
    /// `[row pair][column]`.
    values: Vec<[Pair; COLUMNS]>,
    /// `[block][tile row][row in block]`.
    scores: Vec<Scores>,
    /// `[tile row][block][row in block]`.
    p: Vec<[i16; COLUMNS]>,
}

impl Head {
    #[inline(always)]
    fn load(&mut self, args: &AttentionArgs<'_>, [first, len]: [u32; 2], head: usize) {
        let width = args.heads * COLUMNS;
        let at = |row: usize, part: usize| -> &[Pair] {
            let start = (first as usize + row) * 3 * width + part * width + head * COLUMNS;
            args.qkv[start..start + COLUMNS].as_chunks().0
        };
        self.len = len as usize;
        self.blocks = self.len.div_ceil(COLUMNS);
        self.keys.resize(self.blocks, Default::default());
        self.values.resize(self.blocks * COLUMNS / 2, Default::default());
        self.scores.resize(self.blocks * ROWS, Default::default());
        self.p.resize(self.blocks * ROWS, Default::default());
        for row in 0..self.len {
            let key = at(row, 1);
            let block = &mut self.keys[row / COLUMNS];
            for (column, &pair) in block.iter_mut().zip(key) {
                column[row % COLUMNS] = pair;
            }
        }
        for (i, pair) in self.values.iter_mut().enumerate() {
            let low = if 2 * i < self.len { at(2 * i, 2) } else { &EMPTY };
            let high = if 2 * i + 1 < self.len { at(2 * i + 1, 2) } else { &EMPTY };
            *pair = interleave(low.as_flattened(), high.as_flattened());
        }
    }

    /// Softmax and weighted sum of `R` rows; gives `R`.
    #[inline(always)]
    fn rows<P: Pairs, const R: usize>(&mut self, at: Place<'_>, exp: &[u16; 256], out: &mut [i32]) -> usize {
        let start = |r: usize| (at.row + r) * 3 * at.width + at.column;
        let q: [&[Pair]; R] = std::array::from_fn(|r| at.qkv[start(r)..start(r) + COLUMNS].as_chunks().0);
        let scores = &mut self.scores.as_chunks_mut::<R>().0[..self.blocks];
        for (keys, scores) in self.keys.iter().zip(&mut *scores) {
            P::tile(q, keys, scores);
        }
        let real = self.len - (self.blocks - 1) * COLUMNS;
        scores.iter_mut().last().into_iter().flatten().for_each(|row| row[real..].fill(NEVER));
        let mut totals = [0; R];
        for (r, (total, p)) in totals.iter_mut().zip(self.p.chunks_exact_mut(self.blocks)).enumerate() {
            *total = P::probabilities(scores, r, exp, p);
        }
        let mut tile = [[0; COLUMNS]; R];
        let p = self.p.as_flattened();
        let row = self.blocks * COLUMNS;
        P::tile(std::array::from_fn(|r| p[r * row..(r + 1) * row].as_chunks().0), &self.values, &mut tile);
        for (r, total) in totals.into_iter().enumerate() {
            let (n, mantissa) = mant(total);
            let inverse = ((1 << 31) - 1) / mantissa;
            let start = (at.row + r) * at.width + at.column;
            for (o, &acc) in out[start..start + COLUMNS].iter_mut().zip(&tile[r]) {
                *o = rsh(ms16(acc, inverse), n - 4);
            }
        }
        R
    }
}

/// Element by element, in steps that the compiler turns into vector code.
#[inline(always)]
fn interleave(low: &[i16], high: &[i16]) -> [Pair; COLUMNS] {
    let mut words = [0u32; COLUMNS];
    for (word, &low) in words.iter_mut().zip(low) {
        *word = u32::from(low as u16);
    }
    for (word, &high) in words.iter_mut().zip(high) {
        *word |= u32::from(high as u16) << 16;
    }
    bytemuck::cast(words)
}

/// A row past the end of its sequence.
const EMPTY: [Pair; COLUMNS / 2] = [[0; 2]; COLUMNS / 2];
/// Below every real score, whose magnitude is at most 2^29, and far enough that its probability is 0.
const NEVER: i32 = -(1 << 30);
