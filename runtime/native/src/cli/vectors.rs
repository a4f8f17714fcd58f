//! Vectors from files, and texts embedded.

use std::{num::NonZeroUsize, path::Path};

use edge_net::{
    host::LocalHost,
    model::{Observer, Unit, Work},
};
use serde::Deserialize;
use tasks::{Embedding, Matrix, Outcome, Task, limits::MAX_TEXTS};

use super::{
    failure::Failure,
    task::{self, is_stream, json_problem, place, read, read_text},
    terminal::Terminal,
};

/// Vectors and the id of each.
pub(crate) struct Table {
    pub(crate) ids: Vec<u64>,
    pub(crate) vectors: Matrix,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    id: u64,
    vector: Vec<f32>,
}

/// Reads JSON lines, or raw f32: where the name ends in `.f32`, and on stdin where a width is given. Vectors without
/// an id are numbered from `first_id`.
pub(crate) fn read_vectors(
    path: &Path,
    width: Option<NonZeroUsize>,
    first_id: u64,
) -> Result<Table, Failure> {
    let table = match (is_raw(path) || is_stream(path), width) {
        (true, Some(width)) => raw(path, width.get(), first_id)?,
        (true, None) if is_raw(path) => {
            return Err(Failure::Usage(format!("{}: raw f32 needs --width", place(path))));
        }
        _ => lines(path, width, first_id)?,
    };
    match table.ids.is_empty() {
        true => Err(Failure::Failed(format!("{}: no vectors", place(path)))),
        false => Ok(table),
    }
}

/// Whether a file is raw f32, by its name.
pub(crate) fn is_raw(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "f32")
}

fn raw(path: &Path, width: usize, first_id: u64) -> Result<Table, Failure> {
    let bytes = read(path)?;
    let (quads, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() || !quads.len().is_multiple_of(width) {
        let message = format!("{} bytes are not whole vectors of {width} f32", bytes.len());
        return Err(Failure::Failed(format!("{}: {message}", place(path))));
    }
    let values: Vec<f32> = quads.iter().map(|&q| f32::from_le_bytes(q)).collect();
    let ids = numbers(first_id, values.len() / width)?;
    Ok(Table { ids, vectors: Matrix { width, values } })
}

fn lines(path: &Path, width: Option<NonZeroUsize>, first_id: u64) -> Result<Table, Failure> {
    let text = read_text(path)?;
    let (mut ids, mut vectors) = (Vec::new(), Matrix::default());
    for (index, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let wrong =
            |message: &str| Failure::Failed(format!("{}: line {}: {message}", place(path), index + 1));
        let (id, vector) = parse(line).map_err(|problem| wrong(&problem))?;
        let next = || first_id.checked_add(ids.len() as u64).ok_or_else(|| wrong("no id is left"));
        let id = id.map_or_else(next, Ok)?;
        let (wanted, by) = match (width, vectors.width) {
            (Some(width), _) => (width.get(), "--width says"),
            (None, 0) => (vector.len(), ""),
            (None, first) => (first, "the first vector has"),
        };
        if vector.is_empty() {
            return Err(wrong("an empty vector"));
        }
        if vector.len() != wanted {
            return Err(wrong(&format!("{}, {by} {wanted}", task::count(vector.len(), "value"))));
        }
        vectors.width = wanted;
        ids.push(id);
        vectors.values.extend(vector);
    }
    Ok(Table { ids, vectors })
}

fn parse(line: &str) -> Result<(Option<u64>, Vec<f32>), String> {
    let wanted = "expected a list of numbers or {\"id\": N, \"vector\": [...]}";
    let problem = |e: serde_json::Error| format!("{wanted}: {}", json_problem(&e));
    match line.trim_start().as_bytes() {
        [b'{', ..] => {
            serde_json::from_str(line).map(|Named { id, vector }| (Some(id), vector)).map_err(problem)
        }
        _ => serde_json::from_str(line).map(|vector| (None, vector)).map_err(problem),
    }
}

/// So many ids, from the first on.
fn numbers(first: u64, count: usize) -> Result<Vec<u64>, Failure> {
    let last = first.checked_add(count as u64);
    let last = last.ok_or_else(|| Failure::Failed(format!("no ids are left for {count} vectors")))?;
    Ok((first..last).collect())
}

/// The lines of a file, embedded and numbered.
pub(crate) fn read_texts(
    host: &mut LocalHost,
    path: &Path,
    model: &str,
    first_id: u64,
    terminal: &mut Terminal,
) -> Result<Table, Failure> {
    let texts = read_lines(path)?;
    let ids = numbers(first_id, texts.len())?;
    let total = Some(texts.len() as u64);
    let vectors = embed(host, model, &texts, &mut |done| {
        terminal.progress(Work { step: "embedding", done: done as u64, total, unit: Unit::Steps });
    })?;
    Ok(Table { ids, vectors })
}

/// Texts, embedded in order; `done` is told how many there are so far.
pub(crate) fn embed(
    host: &mut LocalHost,
    model: &str,
    texts: &[String],
    done: &mut dyn FnMut(usize),
) -> Result<Matrix, Failure> {
    let mut matrix = Matrix::default();
    for part in texts.chunks(MAX_TEXTS) {
        let task = Task::Embedding(Embedding { texts: part.to_vec(), model: model.into(), normalize: true });
        let Outcome::Embedding(embeddings) = task::run(host, task)? else {
            unreachable!("an embedding task gives embeddings")
        };
        matrix.width = embeddings.width as usize;
        matrix.values.extend(embeddings.vectors.iter().map(|&v| f32::from(v) / 32768.0));
        done(matrix.rows());
    }
    Ok(matrix)
}

/// The lines of a file of texts.
pub(crate) fn read_lines(path: &Path) -> Result<Vec<String>, Failure> {
    let lines: Vec<String> = read_text(path)?.lines().map(str::to_owned).collect();
    match lines.is_empty() {
        true => Err(Failure::Failed(format!("{}: no texts", place(path)))),
        false => Ok(lines),
    }
}
