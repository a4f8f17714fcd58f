//! Our scans: `edge-net-f32`, `edge-net-i8`, `edge-net-b1`, and the last two `-rerank`: the best candidates again in
//! f32.
//!
//! The requests are those of `bench/peers/knn_peer.py`.

use std::{num::NonZeroUsize, path::Path, sync::Arc};

use engine::{Backend, Device, Engine, Model, Options};
use models::search::{
    Metric,
    exact::{self, CodeTable, FloatTable, Prepared, Search, Table},
};
use plan::{Plan, Weights};
use serde_json::{Value, json};

use crate::{
    Error,
    engines::{Fields, Loaded},
    serve::{Serve, number, text},
    vectors::read,
};

/// The engine of this name.
pub(crate) fn open(name: &str, threads: NonZeroUsize) -> Result<Box<dyn Serve>, Error> {
    let (element, candidates) = match name {
        "edge-net-f32" => (Element::F32, 1),
        "edge-net-i8" | "edge-net-i8-gpu" => (Element::I8, 1),
        "edge-net-i8-rerank" => (Element::I8, 4),
        "edge-net-b1" => (Element::B1, 1),
        "edge-net-b1-rerank" => (Element::B1, 10),
        _ => return Err(Error::engine(name, "does not scan")),
    };
    // A hardware GPU or nothing: a software one says nothing about any.
    let device = if name.ends_with("-gpu") { Device::Auto } else { Device::Cpu };
    let options = Options { device, threads, ..Options::default() };
    let engine = pollster::block_on(Engine::open(options)).map_err(|e| Error::engine(name, e))?;
    Ok(Box::new(Scanner {
        name: name.to_owned(),
        element,
        candidates,
        threads: threads.get(),
        engine,
        table: None,
    }))
}

#[derive(Clone, Copy)]
enum Element {
    F32,
    I8,
    B1,
}

struct Scanner {
    name: String,
    element: Element,
    /// Times `k`.
    candidates: usize,
    threads: usize,
    engine: Engine,
    table: Option<Loads>,
}

struct Loads {
    table: Arc<dyn Table>,
    model: Model,
    /// `[queries][words]`.
    queries: Vec<u32>,
    words: usize,
    base: Prepared,
    query_values: Prepared,
    k: usize,
}

impl Serve for Scanner {
    fn load(&mut self, fields: &Fields) -> Result<Loaded, Error> {
        let (width, rows, k) = (number(fields, "width")?, number(fields, "rows")?, number(fields, "k")?);
        let of = |path: &str, count| {
            read(Path::new(path), width, count).map(|v| Prepared::new(&v, width, Metric::Dot))
        };
        let base = of(text(fields, "base")?, rows)?;
        let query_rows = std::fs::metadata(text(fields, "queries")?).map_err(Error::io("queries"))?.len()
            as usize
            / 4
            / width;
        let queries = of(text(fields, "queries")?, query_rows)?;
        let table: Arc<dyn Table>;
        let words: Vec<u32>;
        match self.element {
            Element::F32 => {
                table = Arc::new(FloatTable::new(base.clone(), Metric::Dot));
                words = queries.values.iter().map(|v| v.to_bits()).collect();
            }
            Element::I8 => {
                let range = base.range(Metric::Dot);
                let codes = self.encode(&base, range)?;
                table = Arc::new(CodeTable::new(codes, base.width, &base.steps(range), Metric::Dot));
                let codes = self.encode(&queries, range)?;
                words =
                    codes.as_chunks::<4>().0.iter().map(|q| u32::from_le_bytes(q.map(|c| c as u8))).collect();
            }
            Element::B1 => {
                table = Arc::new(base.bits());
                words = queries.bits().words().to_vec();
            }
        }
        let model = self.add(table.clone())?;
        let backend = self.engine.status(&model).backend;
        let absent = (self.name.ends_with("-gpu") && matches!(backend, Backend::Cpu(_)))
            .then(|| "no hardware GPU passes here".to_owned());
        let setting = format!("{backend}, {} candidates a result", self.candidates);
        let words_a_query = words.len() / query_rows.max(1);
        self.table = Some(Loads {
            table,
            model,
            queries: words,
            words: words_a_query,
            base,
            query_values: queries,
            k,
        });
        Ok(Loaded { version: env!("CARGO_PKG_VERSION").into(), setting, absent })
    }

    fn run(&mut self, case: &Fields) -> Result<(), Error> {
        let (calls, batch) = (number(case, "calls")?, number(case, "batch")?);
        (0..calls).try_for_each(|call| self.search(call * batch, batch).map(drop))
    }

    fn answers(&mut self, case: &Fields) -> Result<Value, Error> {
        let (calls, batch) = (number(case, "calls")?, number(case, "batch")?);
        let mut ids = Vec::new();
        for call in 0..calls {
            ids.extend(self.search(call * batch, batch)?);
        }
        Ok(json!({"ids": ids}))
    }
}

impl Scanner {
    fn add(&mut self, weights: Arc<dyn Weights>) -> Result<Model, Error> {
        pollster::block_on(self.engine.add(weights, None)).map_err(|e| Error::engine(&self.name, e))
    }

    fn encode(&mut self, vectors: &Prepared, range: plan::Range) -> Result<Vec<i8>, Error> {
        let mut model = self.add(Arc::new(Nothing))?;
        let outputs = pollster::block_on(self.engine.run(&mut model, &vectors.encode(range, ROWS_A_PLAN)));
        let outputs = outputs.map_err(|e| Error::engine(&self.name, e))?;
        Ok(outputs.iter().flatten().flat_map(|w| w.to_le_bytes().map(|b| b as i8)).collect())
    }

    /// A batch is shared out among threads by its queries, a single query by the rows of the table.
    fn search(&mut self, first: usize, batch: usize) -> Result<Vec<Vec<u32>>, Error> {
        let Some(loaded) = &mut self.table else {
            return Err(Error::engine(&self.name, "has nothing loaded"));
        };
        let first = first.min(loaded.queries.len() / loaded.words - batch);
        let k = (loaded.k * self.candidates).min(plan::MAX_K);
        let rows = loaded.base.rows();
        let words = &loaded.queries[first * loaded.words..][..batch * loaded.words];
        let scan = |first, rows| Search { k, first, rows, group: rows, filter: None };
        let plans: Vec<Plan> = match batch >= self.threads {
            true => {
                let share = batch.div_ceil(self.threads) * loaded.words;
                words.chunks(share).map(|words| scan(0, rows).plan(&*loaded.table, words)).collect()
            }
            false => {
                let share = rows.div_ceil(self.threads);
                let parts = (0..rows).step_by(share).map(|first| scan(first, share.min(rows - first)));
                parts.map(|part| part.plan(&*loaded.table, words)).collect()
            }
        };
        let outputs = pollster::block_on(self.engine.run(&mut loaded.model, &plans));
        let outputs = outputs.map_err(|e| Error::engine(&self.name, e))?;
        let mut lists: Vec<Vec<Vec<(u32, u32)>>> =
            outputs.iter().map(|o| exact::matches(o, k).collect()).collect();
        let merged: Vec<Vec<(u32, u32)>> = match batch >= self.threads {
            true => lists.into_iter().flatten().collect(),
            false => {
                let of = |query: usize, lists: &mut Vec<Vec<Vec<(u32, u32)>>>| {
                    exact::merge(lists.iter_mut().map(|l| std::mem::take(&mut l[query])), k)
                };
                (0..batch).map(|query| of(query, &mut lists)).collect()
            }
        };
        let ids = |list: Vec<(u32, u32)>| list.into_iter().map(|(_, row)| row).collect::<Vec<u32>>();
        if self.candidates == 1 {
            return Ok(merged.into_iter().map(ids).collect());
        }
        let width = loaded.base.width;
        let row = |values: &[f32], row: usize| values[row * width..][..width].to_vec();
        let reranked = merged.into_iter().enumerate().map(|(q, list)| {
            let query = row(&loaded.query_values.values, first + q);
            let found = exact::rerank(
                Metric::Dot,
                &query,
                ids(list).into_iter(),
                |r| row(&loaded.base.values, r as usize),
                loaded.k,
            );
            found.into_iter().map(|(row, _)| row).collect()
        });
        Ok(reranked.collect())
    }
}

/// Encoding reads no weights.
struct Nothing;

impl Weights for Nothing {
    fn len(&self) -> usize {
        0
    }

    fn get(&self, id: plan::WeightId) -> plan::Weight<'_> {
        panic!("there is no weight {}", id.0)
    }
}

const ROWS_A_PLAN: usize = 1024;
