//! Scores, and the bounded list of the best.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::{Metric, QueryError, Vectors, all_finite};

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The row.
    pub id: u32,
    /// More is nearer: the cosine (0 beside a zero vector), minus the squared distance, or the dot product.
    pub score: f64,
}

/// Rows of codes that can be scored. Both sides have a scale, so that products compare without them where only
/// directions matter and equal codes tie exactly.
pub(super) trait Rows {
    /// A query in the form the codes are compared with.
    type Query;
    fn query(&self, query: &[f32]) -> Scaled<Self::Query>;
    /// Product with the row, both without their scale.
    fn dot(&self, query: &Self::Query, row: usize) -> f64;
    /// Squared length of the row without its scale.
    fn norm(&self, row: usize) -> f64;
    fn scale(&self, row: usize) -> f64;
    fn decode(&self, row: usize, out: &mut [f32]);
}

/// A query, its scale, and its squared length without it.
pub(super) struct Scaled<Q> {
    pub(super) codes: Q,
    pub(super) scale: f64,
    pub(super) norm: f64,
}

pub(super) fn scan<R: Rows>(codes: &R, rows: usize, query: &[f32], k: usize, metric: Metric) -> Vec<Hit> {
    let query = codes.query(query);
    let mut best = Best::new(k.min(rows));
    for row in 0..rows {
        let (dot, scale) = (codes.dot(&query.codes, row), codes.scale(row));
        let score = match metric {
            Metric::Dot => dot * (query.scale * scale),
            Metric::Cosine if query.scale == 0.0 || scale == 0.0 => 0.0,
            Metric::Cosine => cosine(dot, query.norm, codes.norm(row)),
            Metric::L2 => {
                let (a, b) = (query.scale, scale);
                2.0 * (dot * (a * b)) - query.norm * (a * a) - codes.norm(row) * (b * b)
            }
        };
        best.offer(Hit { id: row as u32, score: score + 0.0 });
    }
    best.sorted()
}

/// The `k` nearest rows by the vectors themselves, nearest first, ties by lowest id: products of f32 summed in f64, in
/// a fixed order.
///
/// # Errors
/// As [`super::Compressed::search`], and when a vector is not finite.
pub fn exact_search(
    vectors: Vectors<'_>,
    query: &[f32],
    k: usize,
    metric: Metric,
) -> Result<Vec<Hit>, QueryError> {
    check_query(query, k, vectors.width)?;
    vectors.check_finite()?;
    Ok(exact(vectors, query, k, metric))
}

pub(super) fn exact(vectors: Vectors<'_>, query: &[f32], k: usize, metric: Metric) -> Vec<Hit> {
    let mut best = Best::new(k.min(vectors.rows()));
    for (id, row) in vectors.values.chunks_exact(vectors.width).enumerate() {
        best.offer(Hit { id: id as u32, score: exact_score(query, row, metric) });
    }
    best.sorted()
}

pub(super) fn rerank<'a>(
    found: &[Hit],
    query: &[f32],
    k: usize,
    metric: Metric,
    row: impl Fn(u32) -> &'a [f32],
) -> Vec<Hit> {
    let mut best = Best::new(k.min(found.len()));
    for hit in found {
        best.offer(Hit { id: hit.id, score: exact_score(query, row(hit.id), metric) });
    }
    best.sorted()
}

/// The share of the `k` nearest of each query that was found. A row as near as the true `k`-th is a hit, so that
/// duplicates are no misses. `found` holds at most `k` hits a query.
///
/// # Errors
/// As [`exact_search`].
pub fn recall<'a>(
    vectors: Vectors<'_>,
    queries: impl Iterator<Item = (&'a [f32], &'a [Hit])>,
    k: usize,
    metric: Metric,
) -> Result<f64, QueryError> {
    vectors.check_finite()?;
    let (mut hits, mut all) = (0, 0);
    for (query, found) in queries {
        check_query(query, k, vectors.width)?;
        let truth = exact(vectors, query, k, metric);
        hits += count_hits(vectors, query, found, &truth, metric);
        all += truth.len();
    }
    Ok(if all == 0 { 1.0 } else { hits as f64 / all as f64 })
}

pub(super) fn count_hits(
    vectors: Vectors<'_>,
    query: &[f32],
    found: &[Hit],
    truth: &[Hit],
    metric: Metric,
) -> usize {
    let least = truth.last().map_or(f64::INFINITY, |hit| hit.score);
    let near = |hit: &&Hit| exact_score(query, vectors.row(hit.id as usize), metric) >= least;
    found.iter().filter(near).count()
}

pub(super) fn check_query(query: &[f32], k: usize, width: usize) -> Result<(), QueryError> {
    if query.len() != width {
        return Err(QueryError::Width { found: query.len(), wanted: width });
    }
    if !all_finite(query) {
        let column = query.iter().position(|v| !v.is_finite()).expect("one is not finite");
        return Err(QueryError::NotFinite { column });
    }
    if k == 0 { Err(QueryError::NoK) } else { Ok(()) }
}

fn exact_score(a: &[f32], b: &[f32], metric: Metric) -> f64 {
    let score = match metric {
        Metric::Dot => sum(a, b, |x, y| x * y),
        Metric::L2 => -sum(a, b, |x, y| (x - y) * (x - y)),
        Metric::Cosine => cosine(sum(a, b, |x, y| x * y), sum(a, a, |x, y| x * y), sum(b, b, |x, y| x * y)),
    };
    score + 0.0
}

fn cosine(dot: f64, a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { dot / (a.sqrt() * b.sqrt()) }
}

fn sum(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a.remainder().iter().zip(b.remainder()).fold(0.0, |s, (&x, &y)| s + term(x.into(), y.into()));
    for (a, b) in a.zip(b) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(x.into(), y.into());
        }
    }
    lanes.iter().fold(rest, |s, lane| s + lane)
}

/// Exact for rows of up to [`plan::MAX_WIDTH`] codes.
pub(super) fn dot_codes(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// The `k` best seen, the worst of them on top.
struct Best {
    k: usize,
    heap: BinaryHeap<Worse>,
}

impl Best {
    fn new(k: usize) -> Self {
        Best { k, heap: BinaryHeap::with_capacity(k + 1) }
    }

    fn offer(&mut self, hit: Hit) {
        if self.heap.len() < self.k {
            self.heap.push(Worse(hit));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && Worse(hit) < *worst
        {
            *worst = Worse(hit);
        }
    }

    fn sorted(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|hit| hit.0).collect()
    }
}

/// Ordered so that what is farther, or of a higher id at one score, is greater.
struct Worse(Hit);

impl Ord for Worse {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.score.total_cmp(&self.0.score).then(self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Worse {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worse {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Worse {}
