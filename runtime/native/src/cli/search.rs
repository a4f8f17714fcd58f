//! `edge-net search`.

use std::{path::Path, time::Instant};

use edge_net::{
    host::LocalHost,
    local::Index,
    machine::{Machine, MachineOptions},
    model::{Observer, Store, Unit, Work},
};
use models::search::{
    Metric,
    exact::{self, FloatTable, Prepared},
    hnsw::{Compute, Hnsw, InsertError, Params, ParamsError},
};
use plan::MAX_K;
use serde::Serialize;
use tasks::{Execute, Hash, Matrix, Outcome, Task, VectorSearch, limits::MAX_QUERIES};

use super::{
    args::{
        Run,
        tasks::{Exact, Search, SearchBuild, SearchQuery},
    },
    failure::Failure,
    format::one_line,
    model::print_json,
    print,
    task::{self, at, count, host, not_over, without_gpu},
    terminal::{Terminal, printable},
    vectors::{Table, embed, read_lines, read_texts, read_vectors},
};

/// Builds, queries or describes an index.
pub(crate) fn run(command: &Search, terminal: &mut Terminal) -> Result<(), Failure> {
    match command {
        Search::Build(args) => build(args, terminal),
        Search::Query(args) => query(args, terminal),
        Search::Info { index, json } => info(index, *json),
    }
}

#[derive(Serialize)]
struct Built<'a> {
    index: &'a str,
    added: usize,
    vectors: usize,
    seconds: f64,
    sha256: String,
}

fn build(args: &SearchBuild, terminal: &mut Terminal) -> Result<(), Failure> {
    folder_is_there(&args.index)?;
    not_over(source(args), &args.index)?;
    let old = if args.add { Some(open(&args.index)?) } else { None };
    let first_id = old.as_ref().and_then(|i| i.ids().last()).map_or(0, |last| last.saturating_add(1));
    let (mut host, table) = match (&args.source.vectors, &args.source.texts) {
        (Some(path), _) => {
            let table = read_vectors(path, args.width, first_id)?;
            (host(&without_gpu(args.run.devices.machine()), terminal)?, table)
        }
        (None, Some(path)) => {
            let mut host = host(&text_machine(&args.run)?, terminal)?;
            let table = read_texts(&mut host, path, &args.run.model, first_id, terminal)?;
            (host, table)
        }
        (None, None) => return Err(Failure::Usage("give --vectors or --texts".into())),
    };
    let width = table.vectors.width;
    let mut index = match old {
        Some(index) if index.params().width != width => {
            let wanted = index.params().width;
            let found = format!("{}, the index holds vectors of {wanted}", count(width, "value"));
            return Err(at(source(args), &std::io::Error::other(found)));
        }
        Some(index) => index,
        None => Hnsw::new(params(args, width)).map_err(|e| wrong_params(args, &e))?,
    };
    let started = Instant::now();
    insert(&mut index, &table, host.machine(), terminal).map_err(|e| at(source(args), &e))?;
    let seconds = started.elapsed().as_secs_f64();
    let vectors = index.len();
    Index::from(index).save(&args.index).map_err(|e| at(&args.index, &e))?;
    let name = args.index.display().to_string();
    let sha256 = Hash::of(&std::fs::read(&args.index).map_err(|e| at(&args.index, &e))?).hex();
    let added = table.ids.len();
    if args.json {
        return print_json(&Built { index: &name, added, vectors, seconds, sha256 });
    }
    let all = count(vectors, "vector");
    let name = printable(&name);
    print(&format!("{name}: {all} of width {width}, {added} added in {seconds:.2} s\nsha256 {sha256}\n"))
}

/// Found out before the work, not after it.
fn folder_is_there(index: &Path) -> Result<(), Failure> {
    match index.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Failure::Failed(format!("{}: there is no such folder", folder.display())))
        }
        _ => Ok(()),
    }
}

fn source(args: &SearchBuild) -> &Path {
    args.source.vectors.as_deref().or(args.source.texts.as_deref()).unwrap_or(&args.index)
}

/// The devices to embed on, once the model's name is known to be one.
fn text_machine(run: &Run) -> Result<MachineOptions, Failure> {
    Store::manifest(&run.model)?;
    Ok(run.devices.machine())
}

fn params(args: &SearchBuild, width: usize) -> Params {
    Params {
        m: args.m,
        ef_construction: args.ef_construction,
        seed: args.seed,
        keep_floats: !args.no_floats,
        ..Params::new(width, args.metric)
    }
}

/// All parameters but the width come from flags.
fn wrong_params(args: &SearchBuild, error: &ParamsError) -> Failure {
    match error {
        ParamsError::Range { field: "width", .. } => at(source(args), error),
        ParamsError::Range { .. } => Failure::Usage(format!("--{error}").replace('_', "-")),
        ParamsError::Scale(_) => Failure::Usage(error.to_string()),
    }
}

/// Inserts in parts, so that there is progress to show. Parts have a fixed size: they are part of what defines the
/// graph.
fn insert(
    index: &mut Hnsw,
    table: &Table,
    machine: &Machine,
    terminal: &mut Terminal,
) -> Result<(), InsertError> {
    let compute = Compute { gather: machine.gather(), parallel: machine.parallel() };
    let width = table.vectors.width;
    let total = Some(table.ids.len() as u64);
    let mut done = 0;
    for (ids, vectors) in table.ids.chunks(INSERT_PART).zip(table.vectors.values.chunks(INSERT_PART * width))
    {
        index.insert(ids, vectors, compute)?;
        done += ids.len() as u64;
        terminal.progress(Work { step: "linking", done, total, unit: Unit::Steps });
    }
    Ok(())
}

fn open(path: &Path) -> Result<Hnsw, Failure> {
    Index::open(path).map(Index::into_graph).map_err(|e| Failure::Failed(e.to_string()))
}

#[derive(Serialize)]
struct Answer {
    results: Vec<Vec<Hit>>,
    backend: String,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    recall: Option<f64>,
}

#[derive(Serialize)]
struct Hit {
    id: u64,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

fn query(args: &SearchQuery, terminal: &mut Terminal) -> Result<(), Failure> {
    let index = open(&args.index)?;
    let texts = args.texts.as_deref().map(read_lines).transpose()?;
    let (mut host, queries) = queries(args, terminal)?;
    if queries.width != index.params().width {
        let (found, wanted) = (count(queries.width, "value"), index.params().width);
        let message = format!("{}: vectors of {wanted}, the query has {found}", args.index.display());
        return Err(Failure::Failed(message));
    }
    let started = Instant::now();
    let found = match args.exact {
        None => walked(args, &queries, index.clone(), &mut host)?,
        Some(how) => scanned(how, args, &queries, &index, &mut host)?,
    };
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let recall = match args.recall {
        true => Some(recall(&found, &scanned(Exact::F32, args, &queries, &index, &mut host)?)),
        false => None,
    };
    let text = |id: u64| texts.as_ref().and_then(|t| t.get(usize::try_from(id).ok()?).cloned());
    let hits = |list: Vec<(u64, f32)>| {
        list.into_iter().map(|(id, score)| Hit { id, score, text: text(id) }).collect()
    };
    let results: Vec<Vec<Hit>> = found.into_iter().map(hits).collect();
    let answer = Answer { results, backend: backend(args, &host), ms, recall };
    if args.json { print_json(&answer) } else { show(args, &answer) }
}

/// What is looked for, and the devices: a GPU only where texts are embedded or all vectors scanned.
fn queries(args: &SearchQuery, terminal: &mut Terminal) -> Result<(LocalHost, Matrix), Failure> {
    match (&args.vectors, args.queries.is_empty()) {
        (Some(path), _) => {
            let vectors = read_vectors(path, args.width, 0)?.vectors;
            let machine = args.run.devices.machine();
            let scans = args.exact.is_some() || args.recall;
            Ok((host(&if scans { machine } else { without_gpu(machine) }, terminal)?, vectors))
        }
        (None, false) => {
            let mut host = host(&text_machine(&args.run)?, terminal)?;
            let vectors = embed(&mut host, &args.run.model, &args.queries, &mut |_| {})?;
            Ok((host, vectors))
        }
        (None, true) => Err(Failure::Usage("give texts to look for, or --vectors".into())),
    }
}

/// A walk runs on the CPU, scans wherever plans run.
fn backend(args: &SearchQuery, host: &LocalHost) -> String {
    match args.exact {
        None => format!("cpu ({})", host.level()),
        Some(_) => host.status().backend.to_string(),
    }
}

/// The task as the network would run it, by integers, and its candidates ordered by their float scores.
fn walked(
    args: &SearchQuery,
    queries: &Matrix,
    index: Hnsw,
    host: &mut LocalHost,
) -> Result<Vec<Vec<(u64, f32)>>, Failure> {
    let metric = index.params().metric;
    let k = args.ef.clamp(args.k, MAX_K as u32);
    host.add_index(INDEX, index);
    let task = |queries: Matrix| VectorSearch {
        queries,
        index: Some(INDEX.into()),
        k,
        metric,
        ef: Some(args.ef.max(k)),
        filter: args.filter.clone(),
        ..VectorSearch::default()
    };
    let lists = searched(queries, task, host)?;
    let index = host.take_index(INDEX).expect("put there above");
    let rerank = |(q, list): (usize, &Vec<tasks::Match>)| {
        let score = |m: &tasks::Match| {
            let exact = index.vector(m.id).map(|v| metric.score(queries.row(q), v));
            (m.id, exact.unwrap_or(m.score as f32))
        };
        let mut hits: Vec<(u64, f32)> = list.iter().map(score).collect();
        hits.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        hits.truncate(args.k as usize);
        hits
    };
    Ok(lists.iter().enumerate().map(rerank).collect())
}

/// Runs a search in tasks of as many queries as one takes.
fn searched(
    queries: &Matrix,
    task: impl Fn(Matrix) -> VectorSearch,
    host: &mut LocalHost,
) -> Result<Vec<Vec<tasks::Match>>, Failure> {
    let mut lists = Vec::with_capacity(queries.rows());
    for values in queries.values.chunks(MAX_QUERIES * queries.width) {
        let part = Matrix { width: queries.width, values: values.to_vec() };
        let Outcome::VectorSearch(found) = task::run(host, Task::VectorSearch(task(part)))? else {
            unreachable!("a search gives what it found")
        };
        lists.extend(found.matches);
    }
    Ok(lists)
}

/// All vectors, in the table's element, and the best candidates again in f32.
fn scanned(
    how: Exact,
    args: &SearchQuery,
    queries: &Matrix,
    index: &Hnsw,
    host: &mut LocalHost,
) -> Result<Vec<Vec<(u64, f32)>>, Failure> {
    let wanted = |id: &u64| args.filter.as_ref().is_none_or(|ids| ids.contains(id));
    let ids: Vec<u64> = index.ids().filter(wanted).collect();
    if ids.is_empty() {
        return Ok(vec![Vec::new(); queries.rows()]);
    }
    let metric = index.params().metric;
    let vectors: Option<Vec<&[f32]>> = ids.iter().map(|&id| index.vector(id)).collect();
    let Some(vectors) = vectors else {
        return Err(Failure::Usage("the index keeps no floats: leave out --exact and --recall".into()));
    };
    let matrix = Matrix { width: queries.width, values: vectors.concat() };
    let k = args.k as usize;
    let candidates = match how {
        Exact::F32 => k,
        Exact::Int8 => (4 * k).min(MAX_K),
        Exact::Bits => (10 * k).min(MAX_K),
    };
    let rows = match how {
        Exact::Int8 => {
            let task = |queries: Matrix| VectorSearch {
                queries,
                vectors: Some(matrix.clone()),
                k: candidates as u32,
                metric,
                ..VectorSearch::default()
            };
            let lists = searched(queries, task, host)?;
            lists.iter().map(|list| list.iter().map(|m| m.id as u32).collect()).collect()
        }
        Exact::F32 | Exact::Bits => local_scan(how, metric, candidates, queries, &matrix, host)?,
    };
    let reranked = rows.into_iter().enumerate().map(|(q, rows): (usize, Vec<u32>)| {
        let row = |r: u32| matrix.row(r as usize).to_vec();
        let best = exact::rerank(metric, queries.row(q), rows.into_iter(), row, k);
        best.into_iter().map(|(row, score)| (ids[row as usize], score)).collect()
    });
    Ok(reranked.collect())
}

/// Scans that are not network tasks: floats, which hold within a tolerance, and bits.
fn local_scan(
    how: Exact,
    metric: Metric,
    k: usize,
    queries: &Matrix,
    matrix: &Matrix,
    host: &mut LocalHost,
) -> Result<Vec<Vec<u32>>, Failure> {
    let failed = |e: tasks::ExecuteError| Failure::Failed(e.to_string());
    let table = Prepared::new(&matrix.values, matrix.width, metric);
    let queries = Prepared::new(&queries.values, queries.width, metric);
    let rows = table.rows();
    let machine = host.machine();
    let group = machine.shape().scan_group.min(rows).max(k);
    let search = exact::Search { k, first: 0, rows, group, filter: None };
    let (weights, words): (std::sync::Arc<dyn exact::Table>, Vec<u32>) = match how {
        Exact::Bits => (std::sync::Arc::new(table.bits()), queries.bits().words().to_vec()),
        _ => {
            let words = queries.values.iter().map(|v| v.to_bits()).collect();
            (std::sync::Arc::new(FloatTable::new(table, metric)), words)
        }
    };
    let plan = search.plan(&*weights, &words);
    let mut model = pollster::block_on(machine.add(weights, None)).map_err(failed)?;
    let outputs = pollster::block_on(machine.run(&mut model, &[plan])).map_err(failed)?;
    let lists = outputs.iter().flat_map(|words| exact::matches(words, k));
    Ok(lists.map(|list| list.into_iter().map(|(_, row)| row).collect()).collect())
}

/// Share of results at least as near as the last of the true nearest: equal vectors stand in for each other.
fn recall(found: &[Vec<(u64, f32)>], truth: &[Vec<(u64, f32)>]) -> f64 {
    let wanted: usize = truth.iter().map(Vec::len).sum();
    let hits = found.iter().zip(truth).map(|(found, truth)| {
        let least = truth.last().map_or(f32::INFINITY, |(_, score)| *score);
        found.iter().filter(|(_, score)| *score >= least).count()
    });
    hits.sum::<usize>() as f64 / wanted.max(1) as f64
}

fn show(args: &SearchQuery, answer: &Answer) -> Result<(), Failure> {
    let mut text = String::new();
    for (q, hits) in answer.results.iter().enumerate() {
        let name = args.queries.get(q).map(|t| format!("\"{}\"", one_line(t)));
        text += &format!("{}\n", name.unwrap_or_else(|| format!("query {q}")));
        for hit in hits {
            let line = one_line(hit.text.as_deref().unwrap_or_default());
            text += format!("  {:>8.4}  {:<10} {line}", hit.score, hit.id).trim_end();
            text.push('\n');
        }
        if hits.is_empty() {
            text += "  nothing found\n";
        }
    }
    let queries = match answer.results.len() {
        1 => "1 query".to_owned(),
        n => format!("{n} queries"),
    };
    text += &format!("{queries} in {:.1} ms on {}\n", answer.ms, answer.backend);
    if let Some(recall) = answer.recall {
        text += &format!("recall@{} against an exact f32 scan: {recall:.4}\n", args.k);
    }
    print(&text)
}

#[derive(Serialize)]
struct Info {
    index: String,
    vectors: usize,
    deleted: usize,
    width: usize,
    metric: Metric,
    m: usize,
    ef_construction: usize,
    seed: u64,
    floats: bool,
    bytes: usize,
    rows_by_level: Vec<usize>,
}

fn info(path: &Path, json: bool) -> Result<(), Failure> {
    let index = open(path)?;
    let params = index.params();
    let info = Info {
        index: path.display().to_string(),
        vectors: index.len(),
        deleted: index.rows() - index.len(),
        width: params.width,
        metric: params.metric,
        m: params.m,
        ef_construction: params.ef_construction,
        seed: params.seed,
        floats: params.keep_floats,
        bytes: index.bytes(),
        rows_by_level: index.rows_by_level(),
    };
    if json {
        return print_json(&info);
    }
    let index = printable(&info.index);
    let Info { vectors, deleted, width, m, ef_construction, seed, bytes, .. } = &info;
    let metric = format!("{:?}", info.metric).to_lowercase();
    let floats = if info.floats { "i8 codes and f32" } else { "i8 codes only" };
    let levels: Vec<String> = info.rows_by_level.iter().map(usize::to_string).collect();
    print(&format!(
        "{index}\n\
         vectors          {vectors} of width {width}, {deleted} deleted\n\
         metric           {metric}\n\
         kept             {floats}, {bytes} bytes in all\n\
         m                {m}\n\
         ef-construction  {ef_construction}\n\
         seed             {seed}\n\
         rows by level    {}\n",
        levels.join(" "),
    ))
}

const INDEX: &str = "index";
const INSERT_PART: usize = 10_000;
