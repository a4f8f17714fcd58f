//! Vector search and compression: tables of vectors, how a row is scored, and the steps over them.
//!
//! A scan keeps the `k` best rows of each query as a sorted list of (key, row) pairs: keys fall, rows of one key
//! rise. A key is the score as a u32 of the same order; where fewer than `k` rows qualify the list ends in
//! [`NOTHING`] pairs. So lists of scores of any kind merge the same way, exactly.

use std::borrow::Cow;

use crate::{BufferId, WeightId};

/// Widest vector a kernel takes: `3 * 128 * 128 * width` stays below 2^28.
pub const MAX_WIDTH: usize = 4096;

/// Longest list a scan keeps.
pub const MAX_K: usize = 256;

/// The (key, row) pair that fills a list of too few rows. No score has this key.
pub const NOTHING: [u32; 2] = [0, u32::MAX];

/// Magnitude below which the largest value of a row counts as zero: reciprocals and products stay normal numbers.
pub const ENCODE_MIN: f32 = f32::from_bits((127 - 100) << 23);

/// i8 codes, row by row, and how a row is scored.
#[derive(Clone, Debug)]
pub struct Vectors<'a> {
    /// Columns, a multiple of 4, at most [`MAX_WIDTH`].
    pub width: usize,
    /// `[rows][width]`.
    pub codes: Cow<'a, [i8]>,
    /// What the dot product `d` of query and row becomes.
    pub score: Score<'a>,
}

/// Score of a row, from its exact dot product with the query. More is nearer.
#[derive(Clone, Debug)]
pub enum Score<'a> {
    /// `d`.
    Dot,
    /// `floor((d << scaled_shift(width)) * multiplier[row] / 2^16)`: rows with a step, or an inverse length, of their
    /// own.
    Scaled(Cow<'a, [u16]>),
    /// `2 d - norm[row]`, where `norm` is the sum of the row's squared codes: the order of Euclidean distance.
    Euclid(Cow<'a, [i32]>),
}

/// Left shift that takes any dot product of this width to at most 2^30.
pub fn scaled_shift(width: usize) -> u32 {
    16 - width.next_power_of_two().trailing_zeros()
}

/// f32 values, row by row, all finite, and how a row is scored. For local use: results hold within a tolerance.
#[derive(Clone, Debug)]
pub struct FloatVectors<'a> {
    /// Columns, a multiple of 4, at most [`MAX_WIDTH`].
    pub width: usize,
    /// `[rows][width]`.
    pub values: Cow<'a, [f32]>,
    /// What the dot product `d` of query and row becomes.
    pub score: FloatScore<'a>,
}

/// Score of a row of floats. More is nearer.
#[derive(Clone, Debug)]
pub enum FloatScore<'a> {
    /// `d`.
    Dot,
    /// `d * multiplier[row]`, such as an inverse length.
    Scaled(Cow<'a, [f32]>),
    /// `2 d - norm[row]`, where `norm` is the sum of the row's squares.
    Euclid(Cow<'a, [f32]>),
}

/// One bit a dimension, scored by the number of equal bits.
#[derive(Clone, Debug)]
pub struct BitVectors<'a> {
    /// Columns, a multiple of 32, at most [`MAX_WIDTH`].
    pub width: usize,
    /// `[rows][width / 32]`, first column in the lowest bit.
    pub bits: Cow<'a, [u32]>,
}

impl Vectors<'_> {
    /// Height of the table.
    pub fn rows(&self) -> usize {
        self.codes.len() / self.width
    }

    /// Score of `row`, given its dot product with the query.
    pub fn score_of(&self, row: usize, dot: i32) -> i32 {
        match &self.score {
            Score::Dot => dot,
            Score::Scaled(multiplier) => {
                (((i64::from(dot) << scaled_shift(self.width)) * i64::from(multiplier[row])) >> 16) as i32
            }
            Score::Euclid(norm) => 2 * dot - norm[row],
        }
    }
}

impl FloatVectors<'_> {
    /// Height of the table.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// Score of `row`, given its dot product with the query.
    pub fn score_of(&self, row: usize, dot: f32) -> f32 {
        match &self.score {
            FloatScore::Dot => dot,
            FloatScore::Scaled(multiplier) => dot * multiplier[row],
            FloatScore::Euclid(norm) => 2.0 * dot - norm[row],
        }
    }
}

impl BitVectors<'_> {
    /// Height of the table.
    pub fn rows(&self) -> usize {
        self.bits.len() / (self.width / 32)
    }
}

/// Key of an integer score.
pub fn key(score: i32) -> u32 {
    score as u32 ^ 0x8000_0000
}

/// The score a key stands for.
pub fn score(key: u32) -> i32 {
    (key ^ 0x8000_0000) as i32
}

/// Key of a finite float score.
pub fn float_key(score: f32) -> u32 {
    let bits = score.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 0x8000_0000 }
}

/// The score a key of [`float_key`] stands for.
pub fn float_score(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & 0x7fff_ffff } else { !key })
}

/// Largest absolute difference between two float dot products of vectors of this width, each summed in some order with
/// or without fused multiply-adds, where `norms` bounds the product of their Euclidean lengths (Higham, *Accuracy and
/// Stability of Numerical Algorithms*, section 3.1: `n u / (1 - n u)` times the lengths, on both sides).
pub fn float_tolerance(width: usize, norms: f32) -> f32 {
    2.0 * (width as f32 + 2.0) * (f32::EPSILON / 2.0) * 1.01 * norms
}

/// What a code of an [`Encode`] stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// Each row has a step of its own: `max |x| / 127`; a row below [`ENCODE_MIN`] is zero.
    Row,
    /// One step for all rows; values beyond 127 steps saturate.
    Fixed {
        /// A finite number between 2^-100 and 2^100.
        step: f32,
    },
}

impl Range {
    /// Multiplier and step of a row whose largest magnitude is `most`. Each is one correctly rounded f32 division.
    pub fn multiplier_and_step(self, most: f32) -> (f32, f32) {
        match self {
            Range::Row if most < ENCODE_MIN => (0.0, 0.0),
            Range::Row => (127.0 / most, most / 127.0),
            Range::Fixed { step } => (1.0 / step, step),
        }
    }
}

/// `code = clamp(round_half_even(x * multiplier), +-127)`, the product rounded to f32 first.
///
/// Exact although its input is float: IEEE products and roundings are defined to the bit, and a device that rounds its
/// own way computes them in integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encode {
    /// Vectors.
    pub rows: usize,
    /// Columns, a multiple of 4.
    pub width: usize,
    /// What codes stand for.
    pub range: Range,
    /// f32 `[rows][width]`, uploaded, all finite.
    pub input: BufferId,
    /// i8 quads `[rows][width / 4]`.
    pub codes: BufferId,
    /// f32 `[rows]`: the value of one step of the row's codes.
    pub steps: BufferId,
}

/// The best rows of a table for each query, in lists of consecutive rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scan {
    /// Queries.
    pub queries: usize,
    /// Columns of queries and rows.
    pub width: usize,
    /// Length of a list, 1 to [`MAX_K`].
    pub k: usize,
    /// First row of the table that is looked at.
    pub first: usize,
    /// Rows looked at.
    pub rows: usize,
    /// Rows a list covers; the last may cover fewer.
    pub group: usize,
    /// `[queries][width]` in the table's element: i8 quads, f32, or bits.
    pub input: BufferId,
    /// The table: [`crate::Weight::Vectors`], [`crate::Weight::FloatVectors`] or [`crate::Weight::BitVectors`].
    pub vectors: WeightId,
    /// Bits `[height of the table / 32, rounded up]`: rows whose bit is 0 are passed over.
    pub filter: Option<BufferId>,
    /// `[queries][lists][k][2]`: sorted (key, row) pairs.
    pub out: BufferId,
}

impl Scan {
    /// Lists of a query.
    pub fn lists(&self) -> usize {
        self.rows.div_ceil(self.group)
    }
}

/// The sorted lists of each query merged into one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopK {
    /// Queries.
    pub queries: usize,
    /// Lists of a query.
    pub lists: usize,
    /// Length of each list and of the result, 1 to [`MAX_K`].
    pub k: usize,
    /// `[queries][lists][k][2]`: sorted (key, row) pairs.
    pub input: BufferId,
    /// `[queries][k][2]`: sorted (key, row) pairs.
    pub out: BufferId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_the_order_of_scores_and_lead_back() {
        let scores = [i32::MIN + 1, -(1 << 28), -1, 0, 1, 1 << 28, i32::MAX];
        assert!(scores.windows(2).all(|w| key(w[0]) < key(w[1])));
        assert!(scores.iter().all(|&s| score(key(s)) == s && key(s) > NOTHING[0]));
        let floats = [f32::MIN, -1.5, -f32::MIN_POSITIVE, -0.0, 0.0, 1e-30, 2.0, f32::MAX];
        assert!(floats.windows(2).all(|w| float_key(w[0]) < float_key(w[1])));
        assert!(floats.iter().all(|&s| float_score(float_key(s)).to_bits() == s.to_bits()));
        assert!(float_key(f32::MIN) > NOTHING[0]);
    }

    #[test]
    fn a_scaled_dot_product_of_any_width_fits() {
        for width in [4, 8, 384, 388, MAX_WIDTH] {
            let most = 128i64 * 128 * width as i64;
            assert!(most << scaled_shift(width) <= 1 << 30, "{width}");
        }
    }
}
