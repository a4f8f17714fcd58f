//! An index of vectors and the CPU that walks it.

use std::{io, path::Path, sync::Arc};

use kernels_cpu::{Kernels, Level};
use models::search::hnsw::{
    Ask, Compute, FileError, Hnsw, InsertError, Params, ParamsError, QueryError, Searcher,
};
use thiserror::Error;

use crate::{
    files::{self, Mapped},
    machine::Threads,
};

/// An index of vectors: an [`Hnsw`] with this machine's fastest kernels and all its threads.
pub struct Index {
    graph: Hnsw,
    kernels: &'static dyn Kernels,
    threads: Threads,
    searcher: Searcher,
}

/// Why an index cannot be made or opened.
#[derive(Debug, Error)]
pub enum IndexError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The file is no index, or was changed.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: FileError,
    },
    /// A parameter is out of range.
    #[error(transparent)]
    Params(#[from] ParamsError),
}

impl Index {
    /// An empty index.
    ///
    /// # Errors
    /// If a parameter is out of range.
    pub fn new(params: Params) -> Result<Self, IndexError> {
        Ok(Self::of(Hnsw::new(params)?))
    }

    /// Opens an index file, memory-mapped: its tables are read as they are touched.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let place = || path.display().to_string();
        let mapped = Mapped::open(path).map_err(|error| IndexError::Read { path: place(), error })?;
        let graph = Hnsw::load(Arc::new(mapped));
        graph.map(Self::of).map_err(|error| IndexError::File { path: place(), error })
    }

    fn of(graph: Hnsw) -> Self {
        // The level that was detected is supported, and the oracle always is.
        let kernels = Level::detect().kernels().unwrap_or(&kernels_cpu::oracle::Oracle);
        Index { graph, kernels, threads: Threads::all(), searcher: Searcher::default() }
    }

    /// Inserts `[ids][width]` vectors.
    ///
    /// # Errors
    /// Names the first id that is present, repeated, or has a value that is not finite; nothing is inserted then.
    pub fn insert(&mut self, ids: &[u64], vectors: &[f32]) -> Result<(), InsertError> {
        self.graph.insert(ids, vectors, Compute { gather: self.kernels, parallel: &self.threads })
    }

    /// The `k` nearest ids with their scores, nearest first; `ef` candidates are kept on the way.
    ///
    /// # Errors
    /// When the query has the wrong width or a value that is not finite.
    pub fn search(&mut self, query: &[f32], k: usize, ef: usize) -> Result<&[(u64, f32)], QueryError> {
        self.graph.search(query, &Ask { k, ef, filter: None }, self.kernels, &mut self.searcher)
    }

    /// Writes the index file; a reader sees the old file or the new one, never half of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        files::replace(path, |file| {
            let mut result = Ok(());
            self.graph.save(&mut |bytes| {
                if result.is_ok() {
                    result = io::Write::write_all(file, bytes);
                }
            });
            result
        })
    }

    /// The graph, for deletes, updates, filters and everything else it offers.
    pub fn graph(&mut self) -> &mut Hnsw {
        &mut self.graph
    }

    /// The graph alone, as tasks take it.
    pub fn into_graph(self) -> Hnsw {
        self.graph
    }
}

impl From<Hnsw> for Index {
    fn from(graph: Hnsw) -> Self {
        Self::of(graph)
    }
}
