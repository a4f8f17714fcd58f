//! The nearest vectors of a payload, or of an index.

use std::sync::Arc;

use models::search::{
    Metric,
    exact::{CodeTable, Prepared, Search, matches},
    hnsw::{Ask, Searcher},
};
use plan::{Plan, Weight, WeightId, Weights};

use super::{RunError, missing};
use crate::{
    host::{Execute, Host},
    outcome::{Found, Match},
    refusal::{Code, refuse},
    task::VectorSearch,
    values::Matrix,
};

pub(super) async fn run<H: Host>(task: &VectorSearch, host: &mut H) -> Result<Found, RunError> {
    let matches = match (&task.index, &task.vectors) {
        (Some(index), _) => in_index(task, index, host)?,
        (None, Some(vectors)) => in_vectors(task, vectors, host.execute()).await?,
        (None, None) => unreachable!("a checked search has one of them"),
    };
    Ok(Found { metric: task.metric, matches })
}

/// An exact scan of the vectors' codes.
async fn in_vectors<E: Execute>(
    task: &VectorSearch,
    vectors: &Matrix,
    devices: &mut E,
) -> Result<Vec<Vec<Match>>, RunError> {
    let filter = task.filter.as_ref().map(|ids| bits(ids, vectors.rows()));
    let table = Prepared::new(&vectors.values, vectors.width, task.metric);
    let queries = Prepared::new(&task.queries.values, vectors.width, task.metric);
    let range = table.range(task.metric);
    let codes = encode(&table, range, devices).await?;
    let query_codes = encode(&queries, range, devices).await?;
    let rows = table.rows();
    let table = Arc::new(CodeTable::new(codes, table.width, &table.steps(range), task.metric));
    let mut model = devices.add(table.clone(), None).await?;
    let shape = devices.shape();
    let k = task.k as usize;
    let group = shape.scan_group.min(rows).max(k);
    let search = Search { k, first: 0, rows, group, filter: filter.as_deref() };
    let words = queries.width / 4;
    let a_plan = queries.rows().div_ceil(shape.parallel_plans).clamp(1, QUERIES_A_PLAN);
    let chunks = bytemuck::cast_slice::<i8, [u8; 4]>(&query_codes).chunks(a_plan * words);
    let plans: Vec<Plan> = chunks
        .map(|quads| {
            let words: Vec<u32> = quads.iter().map(|&q| u32::from_le_bytes(q)).collect();
            search.plan(&*table, &words)
        })
        .collect();
    let outputs = devices.run(&mut model, &plans).await?;
    let lists = outputs.iter().flat_map(|words| matches(words, k));
    let found = |(key, row)| Match { id: u64::from(row), score: plan::score(key) };
    Ok(lists.map(|list| list.into_iter().map(found).collect()).collect())
}

/// Codes of prepared vectors, made on the device.
async fn encode<E: Execute>(
    vectors: &Prepared,
    range: plan::Range,
    devices: &mut E,
) -> Result<Vec<i8>, RunError> {
    let mut model = devices.add(Arc::new(Nothing), None).await?;
    let outputs = devices.run(&mut model, &vectors.encode(range, ROWS_A_PLAN)).await?;
    Ok(outputs.iter().flat_map(|words| bytemuck::cast_slice::<u32, i8>(words)).copied().collect())
}

/// A walk of an index, by integers only.
fn in_index<H: Host>(task: &VectorSearch, name: &str, host: &mut H) -> Result<Vec<Vec<Match>>, RunError> {
    let (index, devices) = host.index(name).map_err(|e| missing("index", e))?;
    if index.params().metric != task.metric {
        let message = format!("the index measures {}", metric_name(index.params().metric));
        return Ok(refuse(Code::OutOfRange, "metric", message)?);
    }
    if index.params().width != task.queries.width {
        let message = format!("of {} values, the index has {}", task.queries.width, index.params().width);
        return Ok(refuse(Code::Shape, "queries", message)?);
    }
    let allowed =
        task.filter.as_ref().map(|ids| ids.iter().copied().collect::<std::collections::BTreeSet<u64>>());
    let pass = |id: u64| allowed.as_ref().is_none_or(|ids| ids.contains(&id));
    let filter: Option<&dyn Fn(u64) -> bool> = allowed.as_ref().map(|_| &pass as &dyn Fn(u64) -> bool);
    let k = task.k as usize;
    let ask = Ask { k, ef: task.ef.map_or_else(|| k.max(DEFAULT_EF), |ef| ef as usize), filter };
    let mut searcher = Searcher::default();
    let mut lists = Vec::with_capacity(task.queries.rows());
    for query in 0..task.queries.rows() {
        let codes = index.quantise_query(task.queries.row(query));
        let found = codes.and_then(|codes| index.search_codes(&codes, &ask, devices.gather(), &mut searcher));
        match found {
            Ok(found) => lists.push(found.iter().map(|&(id, score)| Match { id, score }).collect()),
            Err(e) => return Ok(refuse(Code::OutOfRange, "queries", e.to_string())?),
        }
    }
    Ok(lists)
}

pub(super) fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Cosine => "cosine",
        Metric::L2 => "l2",
        Metric::Dot => "dot",
    }
}

/// One bit a row; ids beyond the last row name nothing.
fn bits(ids: &[u64], rows: usize) -> Vec<u32> {
    let mut bits = vec![0; rows.div_ceil(32)];
    for &id in ids.iter().filter(|&&id| id < rows as u64) {
        bits[id as usize / 32] |= 1 << (id % 32);
    }
    bits
}

/// Encoding reads no weights.
struct Nothing;

impl Weights for Nothing {
    fn len(&self) -> usize {
        0
    }

    fn get(&self, id: WeightId) -> Weight<'_> {
        panic!("there is no weight {}", id.0)
    }
}

/// Rows of a table that one plan encodes: about a megabyte of sentence vectors.
const ROWS_A_PLAN: usize = 1024;
/// Queries of one plan: they stay in a core's cache while the table streams by.
const QUERIES_A_PLAN: usize = 512;
/// Candidates a walk keeps where a task names no number.
const DEFAULT_EF: usize = 64;
