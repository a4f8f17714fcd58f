//! Answers: the walk, what may be an answer, the exact scan where a walk would not pay, the re-rank.

use plan::Gather;
use thiserror::Error;

use super::{
    Hnsw, Metric,
    codes::{minus_distance, norm, quantise, query_scale},
    graph::Graph,
    walk::Walk,
};
use crate::search::normalise;

/// What is asked beside the vector.
#[derive(Clone, Copy, Default)]
pub struct Ask<'a> {
    /// Answers wanted; fewer come only where fewer match.
    pub k: usize,
    /// Rows the walk keeps: more are slower and find more. At least `k` is used.
    pub ef: usize,
    /// Which ids may be answers; all, without one.
    pub filter: Option<&'a dyn Fn(u64) -> bool>,
}

/// Why a query has no answer.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum QueryError {
    /// The query is not as wide as the index.
    #[error("the query has {found} values, the index {width}")]
    Width {
        /// Values of the query.
        found: usize,
        /// Values a vector of the index.
        width: usize,
    },
    /// A value is not finite.
    #[error("value {0} of the query is not finite")]
    NotFinite(usize),
    /// A code is -128, which has no opposite.
    #[error("code {0} of the query is -128, must be within +-127")]
    Code(usize),
}

/// What one search after another writes to, so that a search allocates nothing once it has grown.
#[derive(Default)]
pub struct Searcher {
    walk: Walk,
    query: Vec<f32>,
    codes: Vec<i8>,
    rows: Vec<u32>,
    scores: Vec<i32>,
    floats: Vec<f32>,
    found: Vec<(u64, i32)>,
    ranked: Vec<(u64, f32)>,
}

impl Hnsw {
    /// The `k` nearest ids with their scores, nearest first, equal scores by rising id.
    ///
    /// The walk compares codes; where the index keeps floats, what it found is scored and ordered exactly: the dot
    /// product (of unit vectors for cosine) or minus the squared distance. Without floats, scores are those of the
    /// codes in the same units. Fewer than `k` come only where fewer match.
    ///
    /// # Errors
    /// When the query has the wrong width or a value that is not finite.
    pub fn search<'s>(
        &self,
        query: &[f32],
        ask: &Ask,
        gather: &dyn Gather,
        searcher: &'s mut Searcher,
    ) -> Result<&'s [(u64, f32)], QueryError> {
        self.check_width(query.len())?;
        if let Some(at) = query.iter().position(|v| !v.is_finite()) {
            return Err(QueryError::NotFinite(at));
        }
        searcher.query.clear();
        searcher.query.extend(query);
        if self.params.metric == Metric::Cosine {
            normalise(&mut searcher.query, self.params.width);
        }
        let scale = self.params.scale.unwrap_or(1.0);
        let query_scale = query_scale(self.params.metric, &searcher.query, scale);
        searcher.codes.resize(query.len(), 0);
        quantise(&searcher.query, query_scale, &mut searcher.codes);
        self.candidates(ask, gather, searcher);
        if self.params.keep_floats {
            self.rerank(gather, searcher);
        } else {
            self.rescale(scale, query_scale, searcher);
        }
        searcher.ranked.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        searcher.ranked.truncate(ask.k);
        Ok(&searcher.ranked)
    }

    /// The `k` nearest ids to a query of codes, with integer scores that are the same on every machine: `q.v`, or
    /// `2 q.v - v.v` for [`Metric::L2`]. Nearest first, equal scores by rising id.
    ///
    /// # Errors
    /// When the query has the wrong width or holds -128.
    pub fn search_codes<'s>(
        &self,
        query: &[i8],
        ask: &Ask,
        gather: &dyn Gather,
        searcher: &'s mut Searcher,
    ) -> Result<&'s [(u64, i32)], QueryError> {
        self.check_width(query.len())?;
        if let Some(at) = query.iter().position(|&c| c == i8::MIN) {
            return Err(QueryError::Code(at));
        }
        searcher.codes.clear();
        searcher.codes.extend(query);
        self.candidates(ask, gather, searcher);
        let ids = self.ids.get();
        searcher.found.clear();
        let found =
            searcher.rows.iter().zip(&searcher.scores).map(|(&row, &score)| (ids[row as usize], score));
        searcher.found.extend(found);
        searcher.found.sort_unstable_by_key(|&(id, score)| (std::cmp::Reverse(score), id));
        searcher.found.truncate(ask.k);
        Ok(&searcher.found)
    }

    /// A query as codes for [`Hnsw::search_codes`], the same on every machine.
    ///
    /// # Errors
    /// As [`Hnsw::search`].
    pub fn quantise_query(&self, query: &[f32]) -> Result<Vec<i8>, QueryError> {
        self.check_width(query.len())?;
        if let Some(at) = query.iter().position(|v| !v.is_finite()) {
            return Err(QueryError::NotFinite(at));
        }
        let mut query = query.to_vec();
        if self.params.metric == Metric::Cosine {
            normalise(&mut query, self.params.width);
        }
        let scale = query_scale(self.params.metric, &query, self.params.scale.unwrap_or(1.0));
        let mut codes = vec![0; query.len()];
        quantise(&query, scale, &mut codes);
        Ok(codes)
    }

    fn check_width(&self, found: usize) -> Result<(), QueryError> {
        let width = self.params.width;
        if found == width { Ok(()) } else { Err(QueryError::Width { found, width }) }
    }

    /// Rows that may be answers and their integer scores, at least `k` where as many match, into the searcher.
    fn candidates(&self, ask: &Ask, gather: &dyn Gather, searcher: &mut Searcher) {
        searcher.rows.clear();
        searcher.scores.clear();
        let wanted = ask.k.min(self.len());
        if wanted == 0 {
            return;
        }
        let graph = self.graph();
        let ef = ask.ef.max(ask.k).min(self.rows());
        if let Some(wide) = self.walk_width(ask, ef) {
            let start = searcher.walk.descend(&graph, gather, &searcher.codes, 0);
            let start = start.expect("an index with rows has an entry");
            searcher.walk.layer(&graph, gather, &searcher.codes, 0, wide, start);
            let found = searcher.walk.pool.rows().filter(|&(row, _)| self.may_answer(row, ask));
            for (row, score) in found.take(ef) {
                searcher.rows.push(row);
                searcher.scores.push(score);
            }
            if searcher.rows.len() >= wanted {
                return;
            }
        }
        self.scan(&graph, ask, ef, gather, searcher);
    }

    /// How many rows a walk must keep so that about `ef` of them may be answers; none where comparing every row that
    /// may be an answer is cheaper.
    ///
    /// What is kept is the nearest of all rows, so those of them that may be answers are the nearest such: a filter
    /// costs no recall, only width.
    fn walk_width(&self, ask: &Ask, ef: usize) -> Option<usize> {
        let rows = self.rows();
        let (matching, sampled) = match ask.filter {
            None => (self.len(), rows),
            Some(_) => {
                let step = rows.div_ceil(SAMPLE);
                let sample = (0..rows).step_by(step);
                let sampled = sample.len();
                (sample.filter(|&row| self.may_answer(row as u32, ask)).count(), sampled)
            }
        };
        let [rows, ef, matching, sampled] = [rows, ef, matching, sampled].map(|n| n as u64);
        let wide = (ef * sampled).div_ceil(matching.max(1));
        let scanned = rows * matching / sampled;
        (matching > 0 && wide * SCORES_A_KEPT_ROW < scanned).then_some(wide as usize)
    }

    fn may_answer(&self, row: u32, ask: &Ask) -> bool {
        !self.is_dead(row) && ask.filter.is_none_or(|filter| filter(self.ids.get()[row as usize]))
    }

    /// Compares every row that may be an answer and keeps the best `ef`.
    fn scan(&self, graph: &Graph, ask: &Ask, ef: usize, gather: &dyn Gather, searcher: &mut Searcher) {
        let pool = &mut searcher.walk.pool;
        pool.reset(ef);
        searcher.rows.clear();
        searcher.scores.resize(SCAN_ROWS, 0);
        let last = self.rows() as u32 - 1;
        for row in 0..=last {
            if self.may_answer(row, ask) {
                searcher.rows.push(row);
            }
            if searcher.rows.len() == SCAN_ROWS || row == last {
                let scores = &mut searcher.scores[..searcher.rows.len()];
                graph.scores(gather, &searcher.codes, &searcher.rows, scores);
                searcher.rows.iter().zip(scores).for_each(|(&row, &mut score)| pool.offer(row, score));
                searcher.rows.clear();
            }
        }
        searcher.scores.clear();
        for (row, score) in pool.rows() {
            searcher.rows.push(row);
            searcher.scores.push(score);
        }
    }

    fn rerank(&self, gather: &dyn Gather, searcher: &mut Searcher) {
        let (ids, floats, width) = (self.ids.get(), self.floats.get(), self.params.width);
        searcher.floats.resize(searcher.rows.len(), 0.0);
        if self.params.metric == Metric::L2 {
            for (score, &row) in searcher.floats.iter_mut().zip(&searcher.rows) {
                *score = minus_distance(&searcher.query, &floats[row as usize * width..][..width]);
            }
        } else {
            gather.float_dots(&searcher.query, floats, &searcher.rows, &mut searcher.floats);
        }
        searcher.ranked.clear();
        let ranked =
            searcher.rows.iter().zip(&searcher.floats).map(|(&row, &score)| (ids[row as usize], score));
        searcher.ranked.extend(ranked);
    }

    /// Scores of codes in units of the vectors.
    fn rescale(&self, scale: f32, query_scale: f32, searcher: &mut Searcher) {
        let ids = self.ids.get();
        let unit = 1.0 / (scale * query_scale);
        let query_norm = if self.params.metric == Metric::L2 { norm(&searcher.codes) } else { 0 };
        searcher.ranked.clear();
        let ranked = searcher.rows.iter().zip(&searcher.scores);
        searcher
            .ranked
            .extend(ranked.map(|(&row, &score)| (ids[row as usize], (score - query_norm) as f32 * unit)));
    }
}

/// Rows whose filter is asked to guess how many match.
const SAMPLE: usize = 256;
/// Rows compared in one call of an exact scan.
const SCAN_ROWS: usize = 256;
/// Scores a walk makes for each row it keeps, about; a scan makes one a row.
const SCORES_A_KEPT_ROW: u64 = 16;
