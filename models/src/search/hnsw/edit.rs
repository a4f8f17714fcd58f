//! Insert, update, delete, compact.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{
    Compute, Hnsw, MAX_ROWS, Metric,
    codes::{norm, quantise, scale_of},
    graph::NONE,
    level::{MAX_LEVEL, level},
};
use crate::search::normalise;

/// Why vectors were not inserted. Nothing was changed.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum InsertError {
    /// The ids and the values do not fit together.
    #[error("{ids} ids need {ids} x {width} values, found {values}")]
    Length {
        /// Number of ids.
        ids: usize,
        /// Values a vector.
        width: usize,
        /// Values found.
        values: usize,
    },
    /// A value is not finite.
    #[error("id {id}: value {at} is not finite")]
    NotFinite {
        /// The id.
        id: u64,
        /// Index in its vector.
        at: usize,
    },
    /// A code is -128, which has no opposite.
    #[error("id {id}: code {at} is -128, must be within +-127")]
    Code {
        /// The id.
        id: u64,
        /// Index in its codes.
        at: usize,
    },
    /// An id is present or is given twice.
    #[error("id {0} is present or given twice")]
    Duplicate(u64),
    /// The index keeps floats and got codes.
    #[error("the index keeps float vectors, codes alone cannot be inserted")]
    FloatsWanted,
    /// There would be more than [`MAX_ROWS`] rows, or than this target can address.
    #[error("the index cannot hold {0} rows")]
    Full(usize),
}

impl Hnsw {
    /// Inserts `[ids][width]` vectors.
    ///
    /// The first call settles the scale where the parameters name none.
    ///
    /// # Errors
    /// Names the first id that is present, repeated, or has a value that is not finite.
    pub fn insert(&mut self, ids: &[u64], vectors: &[f32], compute: Compute) -> Result<(), InsertError> {
        self.check_vectors(ids, vectors)?;
        self.check_new(ids)?;
        self.append(ids, vectors, compute);
        Ok(())
    }

    /// Inserts `[ids][width]` vectors, each in place of the one its id had, if any.
    ///
    /// # Errors
    /// As [`Hnsw::insert`], save that ids may be present.
    pub fn update(&mut self, ids: &[u64], vectors: &[f32], compute: Compute) -> Result<(), InsertError> {
        self.check_vectors(ids, vectors)?;
        check_distinct(ids)?;
        self.delete(ids);
        self.append(ids, vectors, compute);
        Ok(())
    }

    /// Inserts `[ids][width]` codes made elsewhere: no float takes part.
    ///
    /// # Errors
    /// When the index keeps floats; else as [`Hnsw::insert`], naming codes of -128.
    pub fn insert_codes(&mut self, ids: &[u64], codes: &[i8], compute: Compute) -> Result<(), InsertError> {
        if self.params.keep_floats {
            return Err(InsertError::FloatsWanted);
        }
        self.check_length(ids, codes.len())?;
        if let Some(at) = codes.iter().position(|&c| c == i8::MIN) {
            return Err(InsertError::Code { id: ids[at / self.params.width], at: at % self.params.width });
        }
        self.check_new(ids)?;
        if !ids.is_empty() {
            self.params.scale.get_or_insert(1.0);
            self.append_codes(ids, codes, compute);
        }
        Ok(())
    }

    /// Deletes those of `ids` that are present and returns how many were. Rows keep their links and their memory
    /// until [`Hnsw::compact`].
    pub fn delete(&mut self, ids: &[u64]) -> usize {
        let rows: Vec<u32> = ids.iter().filter_map(|id| self.derived.rows_by_id.remove(id)).collect();
        if !rows.is_empty() {
            let dead = self.dead.make_mut();
            rows.iter().for_each(|&row| dead[row as usize / 64] |= 1 << (row % 64));
        }
        rows.len()
    }

    /// Builds the index anew from what can be found, in the order of insertion: the same bytes as one insert of
    /// these vectors with this scale.
    pub fn compact(&mut self, compute: Compute) {
        let live: Vec<u32> = (0..self.rows() as u32).filter(|&row| !self.is_dead(row)).collect();
        let fresh = Hnsw::new(self.params.clone());
        let old = std::mem::replace(self, fresh.expect("parameters were checked when the index was made"));
        let width = self.params.width;
        let (mut ids, mut codes) = (Vec::with_capacity(live.len()), Vec::with_capacity(live.len() * width));
        for &row in &live {
            let values = row as usize * width..(row as usize + 1) * width;
            ids.push(old.ids.get()[row as usize]);
            codes.extend(&old.codes.get()[values.clone()]);
            if self.params.keep_floats {
                self.floats.extend(&old.floats.get()[values]);
            }
        }
        self.append_codes(&ids, &codes, compute);
    }

    fn check_length(&self, ids: &[u64], values: usize) -> Result<(), InsertError> {
        let width = self.params.width;
        if ids.len().checked_mul(width) != Some(values) {
            return Err(InsertError::Length { ids: ids.len(), width, values });
        }
        let rows = self.rows() + ids.len();
        // The longest table of a row, were every id of the highest level: an address may have only 32 bits.
        let row_bytes = 4 * width.max(usize::from(MAX_LEVEL) * self.params.m);
        let fits = rows <= MAX_ROWS && rows <= isize::MAX as usize / row_bytes;
        if fits { Ok(()) } else { Err(InsertError::Full(rows)) }
    }

    fn check_vectors(&self, ids: &[u64], vectors: &[f32]) -> Result<(), InsertError> {
        self.check_length(ids, vectors.len())?;
        match vectors.iter().position(|v| !v.is_finite()) {
            Some(at) => {
                let width = self.params.width;
                Err(InsertError::NotFinite { id: ids[at / width], at: at % width })
            }
            None => Ok(()),
        }
    }

    fn check_new(&self, ids: &[u64]) -> Result<(), InsertError> {
        match ids.iter().find(|&&id| self.contains(id)) {
            Some(&id) => Err(InsertError::Duplicate(id)),
            None => check_distinct(ids),
        }
    }

    fn append(&mut self, ids: &[u64], vectors: &[f32], compute: Compute) {
        let width = self.params.width;
        let normalised: Vec<f32>;
        let vectors = if self.params.metric == Metric::Cosine {
            let mut unit = vectors.to_vec();
            normalise(&mut unit, width);
            normalised = unit;
            &normalised
        } else {
            vectors
        };
        if ids.is_empty() {
            return;
        }
        let scale = *self.params.scale.get_or_insert_with(|| scale_of(vectors));
        let mut codes = vec![0; vectors.len()];
        quantise(vectors, scale, &mut codes);
        if self.params.keep_floats {
            self.floats.extend(vectors);
        }
        self.append_codes(ids, &codes, compute);
    }

    fn append_codes(&mut self, ids: &[u64], codes: &[i8], compute: Compute) {
        let first = self.rows();
        let params = &self.params;
        self.ids.extend(ids);
        self.codes.extend(codes);
        self.dead.grow(self.ids.len().div_ceil(64) - self.dead.len());
        let derived = &mut self.derived;
        let mut lists = self.upper.len() / params.m;
        for (at, &id) in ids.iter().enumerate() {
            let level = level(id, params.seed, params.m);
            derived.levels.push(level);
            derived.upper_at.push(lists as u32);
            derived.rows_by_id.insert(id, (first + at) as u32);
            lists += usize::from(level);
        }
        if params.metric == Metric::L2 {
            derived.norms.extend(codes.chunks_exact(params.width).map(norm));
        }
        for (table, len) in
            [(&mut self.links, self.ids.len() * 2 * params.m), (&mut self.upper, lists * params.m)]
        {
            let old = table.len();
            table.grow(len - old);
            table.make_mut()[old..].fill(NONE);
        }
        self.link(first as u32, compute);
    }
}

fn check_distinct(ids: &[u64]) -> Result<(), InsertError> {
    let mut seen = BTreeSet::new();
    match ids.iter().find(|&&id| !seen.insert(id)) {
        Some(&id) => Err(InsertError::Duplicate(id)),
        None => Ok(()),
    }
}
