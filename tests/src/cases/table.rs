//! Tables of vectors and queries that are hard to rank.

use plan::{BitVectors, FloatScore, FloatVectors, Score, Vectors};

use crate::lcg::Lcg;

/// How vectors are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values {
    /// Any of the format.
    Random,
    /// Every row the same, so that rows of one key are ranked by number.
    Equal,
    /// The two ends of the format.
    Extreme,
    /// Almost nothing: most scores are 0.
    Sparse,
    /// Each row nearer than the one before.
    Rising,
}

impl Values {
    pub(super) const ALL: [Values; 5] =
        [Values::Random, Values::Equal, Values::Extreme, Values::Sparse, Values::Rising];

    pub(super) fn codes(self, rows: usize, width: usize, lcg: &mut Lcg) -> Vec<i8> {
        let code = |i: usize| match self {
            Values::Random => lcg.within(-128..=127) as i8,
            Values::Equal => (i % width % 11) as i8 - 3,
            Values::Extreme => [-128, 127][lcg.word() as usize & 1],
            Values::Sparse => i8::from(lcg.within(0..=30) == 0),
            Values::Rising => (1 + i / width / 8 % 127) as i8,
        };
        (0..rows * width).map(code).collect()
    }

    pub(super) fn floats(self, rows: usize, width: usize, lcg: &mut Lcg) -> Vec<f32> {
        let value = |i: usize| match self {
            Values::Random => lcg.within(-1_000_000..=1_000_000) as f32 / 1e6,
            Values::Equal => (i % width % 11) as f32 / 3.0 - 1.0,
            Values::Extreme => [-1e12, 3e-12, 1e12, 7e-3][lcg.word() as usize & 3],
            Values::Sparse if lcg.within(0..=30) == 0 => 0.5,
            Values::Sparse => [0.0, -0.0][i & 1],
            Values::Rising => (1 + i / width) as f32 * 0.125,
        };
        (0..rows * width).map(value).collect()
    }

    pub(super) fn bits(self, rows: usize, words: usize, lcg: &mut Lcg) -> Vec<u32> {
        let word = |i: usize| match self {
            Values::Random => lcg.word(),
            Values::Equal => 0x1234_5678,
            Values::Extreme => [0, u32::MAX][lcg.word() as usize & 1],
            Values::Sparse => u32::from(lcg.within(0..=30) == 0) << 31,
            Values::Rising => !(u32::MAX << (i / words % 32)),
        };
        (0..rows * words).map(word).collect()
    }
}

/// A table with the score of this number, 0 to 2.
pub(super) fn codes(codes: Vec<i8>, width: usize, score: usize, lcg: &mut Lcg) -> Vectors<'static> {
    let rows = codes.len() / width;
    let squares = |row: &[i8]| row.iter().map(|&c| i32::from(c) * i32::from(c)).sum();
    let score = match score {
        0 => Score::Dot,
        1 => Score::Scaled(
            (0..rows).map(|_| [0, 1, 65535, lcg.word() as u16][lcg.word() as usize & 3]).collect(),
        ),
        _ => Score::Euclid(codes.chunks_exact(width).map(squares).collect()),
    };
    Vectors { width, codes: codes.into(), score }
}

/// A table with the score of this number, 0 to 2.
pub(super) fn floats(values: Vec<f32>, width: usize, score: usize) -> FloatVectors<'static> {
    let squares = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
    let rows = values.chunks_exact(width);
    let score = match score {
        0 => FloatScore::Dot,
        1 => FloatScore::Scaled(rows.map(|row| 1.0 / squares(row).sqrt().max(1e-3)).collect()),
        _ => FloatScore::Euclid(rows.map(squares).collect()),
    };
    FloatVectors { width, values: values.into(), score }
}

pub(super) fn bits(bits: Vec<u32>, width: usize) -> BitVectors<'static> {
    BitVectors { width, bits: bits.into() }
}
