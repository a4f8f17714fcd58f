//! Our graph index. The requests are those of `bench/peers/hnsw_peer.py`.

use std::{num::NonZeroUsize, path::Path, sync::Mutex};

use edge_net::machine::Threads;
use kernels_cpu::{Kernels, Level};
use models::search::{
    Metric,
    hnsw::{Ask, Compute, Hnsw, Params, Searcher},
};
use plan::Parallel;
use serde_json::{Value, json};

use crate::{
    Error,
    engines::{Fields, Loaded, OURS},
    serve::{Serve, number, text},
    vectors::read,
};

/// The engine of this name.
pub(crate) fn open(name: &str, threads: NonZeroUsize) -> Result<Box<dyn Serve>, Error> {
    let level = match name.strip_prefix(OURS) {
        Some("") => Level::detect(),
        Some(level) => crate::level(level.trim_start_matches('-')).map_err(|e| Error::engine(name, e))?,
        None => return Err(Error::engine(name, "has no index")),
    };
    Ok(Box::new(Index {
        level,
        kernels: level.kernels()?,
        threads: Threads(threads),
        base: Vec::new(),
        queries: Vec::new(),
        params: Params::new(1, Metric::Dot),
        index: None,
        k: 1,
    }))
}

struct Index {
    level: Level,
    kernels: &'static dyn Kernels,
    threads: Threads,
    base: Vec<f32>,
    queries: Vec<f32>,
    params: Params,
    index: Option<Hnsw>,
    k: usize,
}

impl Serve for Index {
    fn load(&mut self, fields: &Fields) -> Result<Loaded, Error> {
        let (width, rows) = (number(fields, "width")?, number(fields, "rows")?);
        let queries = Path::new(text(fields, "queries")?);
        let query_rows = std::fs::metadata(queries).map_err(Error::io("queries"))?.len() as usize / 4 / width;
        self.base = read(Path::new(text(fields, "base")?), width, rows)?;
        self.queries = read(queries, width, query_rows)?;
        self.k = number(fields, "k")?;
        let (m, ef_construction) = (number(fields, "m")?, number(fields, "ef_construction")?);
        self.params = Params { m, ef_construction, ..Params::new(width, Metric::Cosine) };
        let setting = format!(
            "cpu ({}), M {m}, efConstruction {ef_construction}, walks i8 codes, re-ranked in f32",
            self.level
        );
        Ok(Loaded { version: env!("CARGO_PKG_VERSION").into(), setting, absent: None })
    }

    fn run(&mut self, case: &Fields) -> Result<(), Error> {
        match text(case, "what")? {
            "build" => self.build(),
            _ => (0..number(case, "calls")?).try_for_each(|_| self.search(number(case, "ef")?).map(drop)),
        }
    }

    fn answers(&mut self, case: &Fields) -> Result<Value, Error> {
        Ok(match text(case, "what")? {
            "build" => json!({"rows": self.index.as_ref().map_or(0, Hnsw::len)}),
            _ => json!({"ids": self.search(number(case, "ef")?)?}),
        })
    }
}

impl Index {
    fn build(&mut self) -> Result<(), Error> {
        let wrong = |e: &dyn std::fmt::Display| Error::engine(OURS, e.to_string());
        let mut index = Hnsw::new(self.params.clone()).map_err(|e| wrong(&e))?;
        let ids: Vec<u64> = (0..(self.base.len() / self.params.width) as u64).collect();
        let compute = Compute { gather: self.kernels, parallel: &self.threads };
        index.insert(&ids, &self.base, compute).map_err(|e| wrong(&e))?;
        self.index = Some(index);
        Ok(())
    }

    /// Ids of every query, which threads share out among themselves in parts.
    fn search(&self, ef: usize) -> Result<Vec<Vec<u64>>, Error> {
        let Some(index) = &self.index else { return Err(Error::engine(OURS, "has built no index")) };
        let width = self.params.width;
        let share = (self.queries.len() / width).div_ceil(self.threads.0.get());
        let parts: Vec<&[f32]> = self.queries.chunks(share * width).collect();
        let found: Vec<Mutex<Vec<Vec<u64>>>> = parts.iter().map(|_| Mutex::default()).collect();
        self.threads.run(parts.len(), &|part| {
            let mut searcher = Searcher::default();
            let ask = Ask { k: self.k, ef, filter: None };
            let search = |query: &[f32]| {
                let hits = index.search(query, &ask, self.kernels, &mut searcher);
                hits.expect("queries as wide as the index").iter().map(|h| h.0).collect()
            };
            let ids = parts[part].chunks_exact(width).map(search).collect();
            *found[part].lock().unwrap_or_else(|e| e.into_inner()) = ids;
        });
        Ok(found.into_iter().flat_map(|f| f.into_inner().unwrap_or_else(|e| e.into_inner())).collect())
    }
}
