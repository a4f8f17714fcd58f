//! Scans of every kind of table, around the tiles engines use.

use plan::{Agreement, FloatScore, FloatVectors, MAX_K, Scan, Step, Weight, WeightId, float_tolerance};

use super::{
    Builder, Case, bits_of, quads,
    table::{self, Values},
};
use crate::lcg::Lcg;

/// i8 codes, under each score.
pub(super) fn distance() -> Vec<Case> {
    let widths = [4, 8, 384, 388, 516, 12, 64, 4096, 16, 32, 20, 4];
    cases(widths, |shape, values, score, lcg| {
        let codes = values.codes(shape.height(), shape.width, lcg);
        let table = table::codes(codes, shape.width, score, lcg);
        let queries = quads(&values.codes(shape.queries, shape.width, lcg));
        (queries, Weight::Vectors(table), Step::Distance)
    })
}

/// Floats, under each score; agreement is within a tolerance.
pub(super) fn distance_f32() -> Vec<Case> {
    let widths = [4, 8, 96, 100, 132, 12, 64, 260, 16, 32, 20, 4];
    cases(widths, |shape, values, score, lcg| {
        let table = values.floats(shape.height(), shape.width, lcg);
        let table = table::floats(table, shape.width, score);
        let queries = bits_of(&values.floats(shape.queries, shape.width, lcg));
        (queries, Weight::FloatVectors(table), Step::DistanceF32)
    })
}

/// Bits.
pub(super) fn hamming() -> Vec<Case> {
    let widths = [32, 64, 384, 416, 512, 96, 64, 4096, 128, 32, 160, 32];
    cases(widths, |shape, values, _, lcg| {
        let words = shape.width / 32;
        let table = table::bits(values.bits(shape.height(), words, lcg), shape.width);
        (values.bits(shape.queries, words, lcg), Weight::BitVectors(table), Step::Hamming)
    })
}

/// A scan without its numbers.
#[derive(Clone, Copy, Debug)]
struct Shape {
    width: usize,
    queries: usize,
    k: usize,
    first: usize,
    rows: usize,
    group: usize,
    filter: Filter,
}

/// Which rows a filter lets pass.
#[derive(Clone, Copy, Debug)]
enum Filter {
    Absent,
    Nothing,
    One,
    Half,
}

impl Shape {
    /// Rows of the table: some lie after those looked at.
    fn height(&self) -> usize {
        self.first + self.rows + 3
    }

    fn mask(&self, lcg: &mut Lcg) -> Option<Vec<u32>> {
        let mut words = vec![0; self.height().div_ceil(32)];
        match self.filter {
            Filter::Absent => return None,
            Filter::Nothing => {}
            Filter::One => {
                let row = self.first + self.rows * 2 / 3;
                words[row / 32] = 1 << (row % 32);
            }
            Filter::Half => words.iter_mut().for_each(|word| *word = lcg.word()),
        }
        Some(words)
    }
}

type Table = (Vec<u32>, Weight<'static>, fn(Scan) -> Step);

/// Every shape with every kind of values; the scores take turns.
fn cases(
    widths: [usize; SHAPES.len()],
    table: impl Fn(&Shape, Values, usize, &mut Lcg) -> Table,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for (s, (shape, width)) in SHAPES.into_iter().zip(widths).enumerate() {
        for (v, values) in Values::ALL.into_iter().enumerate() {
            let shape = Shape { width, ..shape };
            let score = (s + v) % 3;
            let mut lcg = Lcg::new((s * 7 + v) as u64);
            let mut b = Builder::default();
            let (queries, weight, step) = table(&shape, values, score, &mut lcg);
            let input = b.input(queries.clone());
            let filter = shape.mask(&mut lcg).map(|mask| b.input(mask));
            let Shape { width, queries: count, k, first, rows, group, .. } = shape;
            let out = b.output(count * rows.div_ceil(group) * k * 2);
            let vectors = WeightId(0);
            let scan = Scan { queries: count, width, k, first, rows, group, input, vectors, filter, out };
            let tolerance = match &weight {
                Weight::FloatVectors(table) => Some(largest_tolerance(table, &queries)),
                _ => None,
            };
            let name = format!("{shape:?}, {values:?}, score {score}");
            let mut case = b.case(name, step(scan), out, vec![weight]);
            case.plan.agreement = tolerance.map_or(Agreement::Exact, Agreement::Tolerance);
            cases.push(case);
        }
    }
    cases
}

fn largest_tolerance(table: &FloatVectors<'_>, queries: &[u32]) -> f32 {
    let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
    let queries: Vec<f32> = queries.iter().map(|&bits| f32::from_bits(bits)).collect();
    let longest = |rows: &[f32]| rows.chunks_exact(table.width).map(length).fold(0.0, f32::max);
    let dot = float_tolerance(table.width, longest(&queries) * longest(&table.values));
    match &table.score {
        FloatScore::Dot => dot,
        FloatScore::Scaled(terms) => dot * terms.iter().copied().fold(0.0, f32::max),
        FloatScore::Euclid(_) => 2.0 * dot,
    }
}

const SHAPES: [Shape; 12] = [
    shape(1, 1, 0, 1, 1, Filter::Absent),
    shape(7, 2, 31, 33, 5, Filter::Half),
    shape(8, 10, 33, 127, 128, Filter::Absent),
    shape(9, 10, 0, 129, 1000, Filter::One),
    shape(5, MAX_K, 3, 300, 150, Filter::Half),
    shape(33, MAX_K - 1, 0, 700, 256, Filter::Absent),
    shape(1, 10, 1, 1000, 1000, Filter::Half),
    shape(2, 3, 0, 40, 16, Filter::Absent),
    shape(9, 20, 5, 400, 128, Filter::Nothing),
    shape(3, 5, 2, 0, 7, Filter::Absent),
    shape(17, 1, 127, 260, 1, Filter::Absent),
    // As much as a software adapter is trusted with, if each row beats the ones before it.
    shape(1, MAX_K, 0, 370, 370, Filter::Absent),
];

const fn shape(queries: usize, k: usize, first: usize, rows: usize, group: usize, filter: Filter) -> Shape {
    Shape { width: 0, queries, k, first, rows, group, filter }
}
