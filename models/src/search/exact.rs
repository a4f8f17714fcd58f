//! Exact search: tables of codes, floats or bits, and the plans that scan them.
//!
//! A table is made of f32 vectors. Its codes come from the `encode` stage, which is exact, so a search over codes gives
//! one result on every device. What codes lose is won back by [`rerank`]: the caller, who has the f32 vectors, orders
//! the candidates again.

use std::borrow::Cow;

use plan::{
    Agreement, BitVectors, BufferId, Encode, FloatScore, FloatVectors, NOTHING, Plan, Range, Scan, Score,
    Step, TopK, Upload, Vectors, Weight, WeightId, Weights,
};

use super::metric::{Metric, normalise};

/// Rows of f32 vectors as a metric wants them: brought to length one for [`Metric::Cosine`], padded with zeros to a
/// multiple of 4 columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Columns, padding included.
    pub width: usize,
    /// `[rows][width]`.
    pub values: Vec<f32>,
}

impl Prepared {
    /// Prepares `[rows][width]` finite values.
    pub fn new(values: &[f32], width: usize, metric: Metric) -> Self {
        let padded = width.next_multiple_of(4);
        let mut out = vec![0.0; values.len() / width * padded];
        for (row, out) in values.chunks_exact(width).zip(out.chunks_exact_mut(padded)) {
            out[..width].copy_from_slice(row);
        }
        if metric == Metric::Cosine {
            normalise(&mut out, padded);
        }
        Prepared { width: padded, values: out }
    }

    /// Vectors.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// The range of codes for a table of these vectors and the queries it will get: a step a row, but one step for
    /// [`Metric::L2`], whose terms mix rows. Queries beyond the table's largest value saturate there.
    pub fn range(&self, metric: Metric) -> Range {
        match metric {
            Metric::Cosine | Metric::Dot => Range::Row,
            Metric::L2 => {
                let most = self.values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                let step = (most / 127.0).clamp(plan::ENCODE_MIN, 1.0 / plan::ENCODE_MIN);
                Range::Fixed { step }
            }
        }
    }

    /// Plans that encode the rows, `rows_a_plan` at a time. Each output holds codes; [`Prepared::steps`] has the steps.
    pub fn encode(&self, range: Range, rows_a_plan: usize) -> Vec<Plan> {
        let plan = |values: &[f32]| {
            let (rows, width) = (values.len() / self.width, self.width);
            let [input, codes, steps] = [BufferId(0), BufferId(1), BufferId(2)];
            Plan {
                buffers: vec![values.len(), values.len() / 4, rows],
                uploads: vec![Upload { buffer: input, words: values.iter().map(|x| x.to_bits()).collect() }],
                steps: vec![Step::Encode(Encode { rows, width, range, input, codes, steps })],
                output: codes,
                agreement: Agreement::Exact,
            }
        };
        self.values.chunks(rows_a_plan.max(1) * self.width).map(plan).collect()
    }

    /// The value of one step of each row's codes.
    pub fn steps(&self, range: Range) -> Vec<f32> {
        let most = |row: &[f32]| row.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        self.values.chunks_exact(self.width).map(|row| range.multiplier_and_step(most(row)).1).collect()
    }

    /// One bit a dimension, set where the value is positive; padded with zeros to a multiple of 32.
    pub fn bits(&self) -> BitTable {
        let words = self.width.div_ceil(32);
        let mut bits = vec![0; self.rows() * words];
        for (row, bits) in self.values.chunks_exact(self.width).zip(bits.chunks_exact_mut(words)) {
            for (c, _) in row.iter().enumerate().filter(|(_, x)| **x > 0.0) {
                bits[c / 32] |= 1 << (c % 32);
            }
        }
        BitTable { width: words * 32, bits }
    }
}

/// Weights that are one table of vectors, as weight 0.
pub trait Table: Weights {
    /// How far two devices' scores of these queries may differ.
    fn agreement(&self, _: &[u32]) -> Agreement {
        Agreement::Exact
    }
}

/// A table of i8 codes.
pub struct CodeTable {
    width: usize,
    codes: Vec<i8>,
    terms: Terms,
}

enum Terms {
    Multipliers(Vec<u16>),
    Norms(Vec<i32>),
}

impl CodeTable {
    /// A table of `[rows][width]` codes with the step of each row.
    pub fn new(codes: Vec<i8>, width: usize, steps: &[f32], metric: Metric) -> Self {
        let terms = match metric {
            Metric::Cosine | Metric::Dot => {
                let most = steps.iter().fold(0.0f32, |most, &s| most.max(s));
                let share = |step: f32| (f64::from(step) / f64::from(most) * 65535.0).round() as u16;
                Terms::Multipliers(steps.iter().map(|&s| if most > 0.0 { share(s) } else { 0 }).collect())
            }
            Metric::L2 => {
                let norm = |row: &[i8]| row.iter().map(|&c| i32::from(c) * i32::from(c)).sum();
                Terms::Norms(codes.chunks_exact(width).map(norm).collect())
            }
        };
        CodeTable { width, codes, terms }
    }
}

impl Weights for CodeTable {
    fn len(&self) -> usize {
        1
    }

    fn get(&self, _: WeightId) -> Weight<'_> {
        let score = match &self.terms {
            Terms::Multipliers(m) => Score::Scaled(Cow::Borrowed(m)),
            Terms::Norms(n) => Score::Euclid(Cow::Borrowed(n)),
        };
        Weight::Vectors(Vectors { width: self.width, codes: Cow::Borrowed(&self.codes), score })
    }
}

impl Table for CodeTable {}

/// A table of floats, for local use.
pub struct FloatTable {
    vectors: Prepared,
    norms: Option<Vec<f32>>,
    /// Length of the longest row.
    longest: f32,
}

impl FloatTable {
    /// A table of prepared vectors.
    pub fn new(vectors: Prepared, metric: Metric) -> Self {
        let norm = |row: &[f32]| row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() as f32;
        let norms = || vectors.values.chunks_exact(vectors.width).map(norm).collect();
        let norms = (metric == Metric::L2).then(norms);
        let longest = longest(&vectors.values, vectors.width);
        FloatTable { vectors, norms, longest }
    }
}

impl Table for FloatTable {
    fn agreement(&self, queries: &[u32]) -> Agreement {
        let width = self.vectors.width;
        let scale = if self.norms.is_some() { 2.0 } else { 1.0 };
        let lengths = self.longest * longest(bytemuck::cast_slice(queries), width);
        Agreement::Tolerance(scale * plan::float_tolerance(width, lengths))
    }
}

/// Length of the longest row.
fn longest(values: &[f32], width: usize) -> f32 {
    let squares = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
    values.chunks_exact(width).map(squares).fold(0.0, f32::max).sqrt()
}

impl Weights for FloatTable {
    fn len(&self) -> usize {
        1
    }

    fn get(&self, _: WeightId) -> Weight<'_> {
        let score = self.norms.as_ref().map_or(FloatScore::Dot, |n| FloatScore::Euclid(Cow::Borrowed(n)));
        let (width, values) = (self.vectors.width, Cow::Borrowed(&self.vectors.values[..]));
        Weight::FloatVectors(FloatVectors { width, values, score })
    }
}

/// A table of bits.
pub struct BitTable {
    width: usize,
    bits: Vec<u32>,
}

impl BitTable {
    /// The rows as words, for queries.
    pub fn words(&self) -> &[u32] {
        &self.bits
    }
}

impl Weights for BitTable {
    fn len(&self) -> usize {
        1
    }

    fn get(&self, _: WeightId) -> Weight<'_> {
        Weight::BitVectors(BitVectors { width: self.width, bits: Cow::Borrowed(&self.bits) })
    }
}

impl Table for BitTable {}

/// A search of one table: which rows, how many results, how the work is cut.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Length of each result, 1 to [`plan::MAX_K`].
    pub k: usize,
    /// First row that is looked at.
    pub first: usize,
    /// Rows looked at.
    pub rows: usize,
    /// Rows one list covers: a device's choice, without influence on the result.
    pub group: usize,
    /// Bits of the rows that may be returned; all of them if `None`.
    pub filter: Option<&'a [u32]>,
}

impl Search<'_> {
    /// The plan for `queries` in the table's element. The output is `[queries][k]` (key, row) pairs.
    ///
    /// # Panics
    /// If the table's weight is not one of vectors: a bug of its writer.
    pub fn plan(&self, table: &dyn Table, queries: &[u32]) -> Plan {
        let agreement = table.agreement(queries);
        let table = table.get(WeightId(0));
        let (width, words) = match &table {
            Weight::Vectors(v) => (v.width, v.width / 4),
            Weight::FloatVectors(v) => (v.width, v.width),
            Weight::BitVectors(v) => (v.width, v.width / 32),
            other => panic!("{other:?} is no table of vectors"),
        };
        let count = queries.len() / words;
        let (lists_out, input, out) = (BufferId(0), BufferId(1), BufferId(2));
        let filter = self.filter.map(|_| BufferId(3));
        let (k, first, rows, group) = (self.k, self.first, self.rows, self.group.max(1));
        let scan = Scan {
            queries: count,
            width,
            k,
            first,
            rows,
            group,
            input,
            vectors: WeightId(0),
            filter,
            out: lists_out,
        };
        let lists = scan.lists();
        let mut uploads = vec![Upload { buffer: input, words: queries.to_vec() }];
        let mut buffers = vec![count * lists * k * 2, queries.len(), count * k * 2];
        if let Some(filter) = self.filter {
            buffers.push(filter.len());
            uploads.push(Upload { buffer: BufferId(3), words: filter.to_vec() });
        }
        let step = match table {
            Weight::FloatVectors(_) => Step::DistanceF32(scan),
            Weight::BitVectors(_) => Step::Hamming(scan),
            _ => Step::Distance(scan),
        };
        let merge = Step::TopK(TopK { queries: count, lists, k, input: lists_out, out });
        let (steps, output) = if lists == 1 { (vec![step], lists_out) } else { (vec![step, merge], out) };
        Plan { buffers, uploads, steps, output, agreement }
    }
}

/// (key, row) pairs of one query out of a plan's output, without the [`NOTHING`] at the end.
pub fn matches(words: &[u32], k: usize) -> impl Iterator<Item = Vec<(u32, u32)>> + '_ {
    words.chunks_exact(2 * k).map(|list| {
        let pairs = list.chunks_exact(2).take_while(|p| *p != NOTHING);
        pairs.map(|p| (p[0], p[1])).collect()
    })
}

/// The best `k` of lists over different rows of one table: keys fall, rows of one key rise.
pub fn merge(lists: impl Iterator<Item = Vec<(u32, u32)>>, k: usize) -> Vec<(u32, u32)> {
    let mut pairs: Vec<(u32, u32)> = lists.flatten().collect();
    pairs.sort_unstable_by_key(|&(key, row)| (std::cmp::Reverse(key), row));
    pairs.truncate(k);
    pairs
}

/// The best `k` of candidate rows by their f32 scores, ties by lowest row.
pub fn rerank(
    metric: Metric,
    query: &[f32],
    candidates: impl Iterator<Item = u32>,
    row: impl Fn(u32) -> Vec<f32>,
    k: usize,
) -> Vec<(u32, f32)> {
    let mut scored: Vec<(u32, f32)> = candidates.map(|c| (c, metric.score(query, &row(c)))).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scored.truncate(k);
    scored
}
