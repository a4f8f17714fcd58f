//! A graph index: hierarchical navigable small worlds.
//!
//! Malkov and Yashunin, *Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
//! World graphs* (2018), with what a network of strangers needs: **two machines that insert the same vectors hold the
//! same bytes.** Levels come from a hash of the id, the graph is built from int8 codes with integer scores only, and
//! a batch is linked in two parallel steps whose results do not depend on who did them (see `build`). A graph is
//! defined by the parameters, the scale, and the sequence of calls that changed it: each `insert`, `update`, `delete`
//! and `compact`, with its ids in their order. It does not depend on threads, processors or targets.
//!
//! Storage is flat: one table of codes, one of layer-0 lists of `2 m` rows, one of upper lists of `m` rows, and, if
//! wanted, the float vectors for an exact re-rank. The same arrays are the sections of the file (see `file`), which
//! is read in place.
//!
//! Rows are numbered in order of insertion and never move before [`Hnsw::compact`]. A deleted row keeps its links, so
//! the walk still passes through it, but it is never an answer.

mod build;
mod codes;
mod edit;
mod file;
mod graph;
mod level;
mod search;
mod section;
mod select;
mod walk;

use std::collections::BTreeMap;

use plan::{Gather, MAX_WIDTH, Parallel};
use thiserror::Error;

use graph::Graph;
use section::Section;

pub use super::Metric;
pub use edit::InsertError;
pub use file::{FileError, Owner};
pub use level::level;
pub use search::{Ask, QueryError, Searcher};

/// What an index is made with; it cannot be changed later.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Values a vector, 1 to [`MAX_WIDTH`].
    pub width: usize,
    /// What makes two vectors near.
    pub metric: Metric,
    /// Links a row makes on each layer, 2 to [`MAX_LINKS`]. Layer 0 keeps up to twice as many.
    pub m: usize,
    /// Candidates a row chooses its links from, `m` to [`MAX_CANDIDATES`].
    pub ef_construction: usize,
    /// Decides the levels, together with the ids.
    pub seed: u64,
    /// Whether float vectors are kept, for exact scores and an exact order of the answers.
    pub keep_floats: bool,
    /// Codes per unit: `code = round(value * scale)`, saturating at 127. Without one, the first insert decides:
    /// 127 / its largest absolute value.
    pub scale: Option<f32>,
}

impl Params {
    /// Settings that suit sentence embeddings: `m` 24, 200 candidates, floats kept.
    pub fn new(width: usize, metric: Metric) -> Params {
        Params { width, metric, m: 24, ef_construction: 200, seed: 0, keep_floats: true, scale: None }
    }

    /// # Errors
    /// Names the field that is out of range.
    pub fn validate(&self) -> Result<(), ParamsError> {
        let within = |field, value: usize, least: usize, most: usize| {
            let fits = (least..=most).contains(&value);
            fits.then_some(()).ok_or(ParamsError::Range { field, value, least, most })
        };
        within("width", self.width, 1, MAX_WIDTH)?;
        within("m", self.m, 2, MAX_LINKS)?;
        within("ef_construction", self.ef_construction, self.m, MAX_CANDIDATES)?;
        match self.scale {
            Some(scale) if !(scale.is_normal() && scale > 0.0) => Err(ParamsError::Scale(scale)),
            _ => Ok(()),
        }
    }
}

/// Why parameters make no index.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ParamsError {
    /// A number is out of its range.
    #[error("{field} is {value}, must be {least} to {most}")]
    Range {
        /// Its name in [`Params`].
        field: &'static str,
        /// What it is.
        value: usize,
        /// The smallest it may be.
        least: usize,
        /// The largest it may be.
        most: usize,
    },
    /// The scale is not a positive normal number.
    #[error("the scale is {0}, must be positive and finite")]
    Scale(f32),
}

/// The machine that does the arithmetic. Results do not depend on it.
#[derive(Clone, Copy)]
pub struct Compute<'a> {
    /// Dot products.
    pub gather: &'a dyn Gather,
    /// Threads.
    pub parallel: &'a dyn Parallel,
}

/// The index.
#[derive(Clone)]
pub struct Hnsw {
    params: Params,
    /// External id of every row.
    ids: Section<u64>,
    /// One bit a row, set when the row was deleted.
    dead: Section<u64>,
    /// `[rows][width]`.
    codes: Section<i8>,
    /// `[rows][width]`, or empty.
    floats: Section<f32>,
    /// `[rows][2 m]` rows of layer 0, each list ended by [`NONE`] where it is not full.
    links: Section<u32>,
    /// `[lists][m]`: for every row in order, its layers from 1 up.
    upper: Section<u32>,
    derived: Derived,
}

/// What follows from the sections and is not in the file.
#[derive(Clone, Default)]
struct Derived {
    /// Row of every live id.
    rows_by_id: BTreeMap<u64, u32>,
    /// Highest layer of every row.
    levels: Vec<u8>,
    /// First list of every row in `upper`.
    upper_at: Vec<u32>,
    /// Squared length of every row of codes, for [`Metric::L2`] only.
    norms: Vec<i32>,
    /// Where a walk starts: the first linked row of the highest level.
    entry: Option<u32>,
}

impl Hnsw {
    /// An empty index.
    ///
    /// # Errors
    /// When a parameter is out of range.
    pub fn new(params: Params) -> Result<Hnsw, ParamsError> {
        params.validate()?;
        Ok(Hnsw {
            params,
            ids: Section::default(),
            dead: Section::default(),
            codes: Section::default(),
            floats: Section::default(),
            links: Section::default(),
            upper: Section::default(),
            derived: Derived::default(),
        })
    }

    /// What it was made with, the scale as soon as one is settled.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Codes per unit; none before the first insert where the parameters name none.
    pub fn scale(&self) -> Option<f32> {
        self.params.scale
    }

    /// Vectors that can be found.
    pub fn len(&self) -> usize {
        self.derived.rows_by_id.len()
    }

    /// Whether nothing can be found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows, the deleted included: what memory and walks pay for. [`Hnsw::compact`] brings it down to `len`.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Whether the id is present.
    pub fn contains(&self, id: u64) -> bool {
        self.derived.rows_by_id.contains_key(&id)
    }

    /// Every id that can be found, rising.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.derived.rows_by_id.keys().copied()
    }

    /// The codes of an id, `width` values within +-127.
    pub fn codes(&self, id: u64) -> Option<&[i8]> {
        let row = *self.derived.rows_by_id.get(&id)? as usize;
        Some(&self.codes.get()[row * self.params.width..][..self.params.width])
    }

    /// The float vector of an id, of length one for [`Metric::Cosine`]; none where floats are not kept.
    pub fn vector(&self, id: u64) -> Option<&[f32]> {
        let row = *self.derived.rows_by_id.get(&id)? as usize;
        self.params.keep_floats.then(|| &self.floats.get()[row * self.params.width..][..self.params.width])
    }

    /// Rows a level, level 0 first.
    pub fn rows_by_level(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for &level in &self.derived.levels {
            let least = usize::from(level) + 1;
            counts.resize(least.max(counts.len()), 0);
            counts[..least].iter_mut().for_each(|c| *c += 1);
        }
        counts
    }

    /// Bytes of all tables.
    pub fn bytes(&self) -> usize {
        let words = 4 * (self.links.len() + self.upper.len() + self.floats.len());
        words + 8 * (self.ids.len() + self.dead.len()) + self.codes.len()
    }

    fn graph(&self) -> Graph<'_> {
        Graph {
            width: self.params.width,
            m: self.params.m,
            ef_construction: self.params.ef_construction,
            metric: self.params.metric,
            codes: self.codes.get(),
            norms: &self.derived.norms,
            links: self.links.get(),
            upper: self.upper.get(),
            upper_at: &self.derived.upper_at,
            levels: &self.derived.levels,
            entry: self.derived.entry,
        }
    }

    fn is_dead(&self, row: u32) -> bool {
        self.dead.get()[row as usize / 64] >> (row % 64) & 1 == 1
    }
}

impl std::fmt::Debug for Hnsw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Hnsw");
        shown.field("params", &self.params).field("len", &self.len()).field("rows", &self.rows()).finish()
    }
}

/// Largest [`Params::m`].
pub const MAX_LINKS: usize = 128;
/// Largest [`Params::ef_construction`].
pub const MAX_CANDIDATES: usize = 4096;
/// Most rows: a row and a flag share a word, and all upper lists are counted in 32 bits.
pub const MAX_ROWS: usize = 1 << 28;
