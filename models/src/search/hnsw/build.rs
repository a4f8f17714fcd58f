//! Linking rows into the graph, a batch at a time.
//!
//! ```text
//! for each batch of rows, in order:
//!     1. every row of the batch, side by side:
//!            candidates = the walk over the graph as it was before the batch, and the whole batch itself
//!            choose its links on each of its layers
//!     2. write them
//!     3. every row that was linked to, side by side:
//!            add the links back; where its list overflows, choose again
//!     4. write them
//! ```
//!
//! Steps 1 and 3 read a graph that nobody writes and give one result a row, so the graph is the same however many
//! threads did them. A batch is seen by its own rows in full, so its size costs no recall.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Compute, Hnsw,
    graph::{Graph, NONE},
    select::Select,
    walk::Walk,
};

impl Hnsw {
    /// Links the rows from `first` on, whose codes, ids and levels are in place and whose lists are all [`NONE`].
    pub(super) fn link(&mut self, first: u32, compute: Compute) {
        let scratch = Pool::default();
        let end = self.rows() as u32;
        let mut start = first;
        while start < end {
            let batch = start..end.min(start + batch_rows(start));
            self.link_batch(batch.clone(), compute, &scratch);
            start = batch.end;
        }
    }

    fn link_batch(&mut self, batch: Range<u32>, compute: Compute, scratch: &Pool) {
        let graph = self.graph();
        let members = members(&graph, batch.clone());
        let forward = in_pieces(batch.len(), ROWS_A_PIECE, compute, |piece, out: &mut Vec<u32>| {
            let mut scratch = scratch.take();
            for row in piece {
                forward(&graph, compute, batch.start + row as u32, &members, &mut scratch, out);
            }
        });
        for layer in 0..members.len() as u8 {
            let pairs = self.write_forward(&members[usize::from(layer)], layer, &batch, &forward);
            self.link_back(layer, pairs, compute, scratch);
        }
        let levels = &self.derived.levels;
        let highest = |entry: Option<u32>| entry.map(|row| levels[row as usize]);
        for row in batch {
            if Some(levels[row as usize]) > highest(self.derived.entry) {
                self.derived.entry = Some(row);
            }
        }
    }

    /// Writes the chosen links of one layer and returns the links back they ask for: target and source in one word.
    fn write_forward(
        &mut self,
        rows: &[u32],
        layer: u8,
        batch: &Range<u32>,
        pieces: &[Vec<u32>],
    ) -> Vec<u64> {
        let mut pairs = Vec::new();
        let mut places = Vec::with_capacity(batch.len());
        for (piece, start) in pieces.iter().zip((batch.start..batch.end).step_by(ROWS_A_PIECE)) {
            let mut at = 0;
            for row in start..batch.end.min(start + ROWS_A_PIECE as u32) {
                places.push(&piece[at..]);
                at += self.graph().lists_len(row);
            }
        }
        for &row in rows {
            let graph = self.graph();
            let skipped: usize = (0..layer).map(|below| graph.capacity(below)).sum();
            let capacity = graph.capacity(layer);
            let list = &places[(row - batch.start) as usize][skipped..][..capacity];
            let taken = list.iter().take_while(|&&n| n != NONE);
            pairs.extend(taken.map(|&target| u64::from(target) << 32 | u64::from(row)));
            self.list_mut(row, layer).copy_from_slice(list);
        }
        pairs
    }

    fn link_back(&mut self, layer: u8, mut pairs: Vec<u64>, compute: Compute, scratch: &Pool) {
        pairs.sort_unstable();
        let groups: Vec<&[u64]> = pairs.chunk_by(|a, b| a >> 32 == b >> 32).collect();
        let graph = self.graph();
        let lists = in_pieces(groups.len(), TARGETS_A_PIECE, compute, |piece, out: &mut Vec<u32>| {
            let mut scratch = scratch.take();
            for group in &groups[piece] {
                back(&graph, compute, layer, group, &mut scratch, out);
            }
        });
        let capacity = graph.capacity(layer);
        let lists = lists.iter().flat_map(|piece| piece.chunks_exact(capacity));
        for (group, list) in groups.iter().zip(lists) {
            self.list_mut((group[0] >> 32) as u32, layer).copy_from_slice(list);
        }
    }

    fn list_mut(&mut self, row: u32, layer: u8) -> &mut [u32] {
        let graph = self.graph();
        let (at, capacity) = (graph.list_at(row, layer), graph.capacity(layer));
        let table = if layer == 0 { &mut self.links } else { &mut self.upper };
        &mut table.make_mut()[at..][..capacity]
    }
}

/// Rows a batch, from the rows linked before it alone. Small beside the graph, so that links back are spread over
/// many steps; large enough to keep threads busy.
fn batch_rows(linked: u32) -> u32 {
    (linked / 16).clamp(64, 512)
}

/// The rows of the batch on each layer.
fn members(graph: &Graph, batch: Range<u32>) -> Vec<Vec<u32>> {
    let top = batch.clone().map(|row| graph.level(row)).max().unwrap_or(0);
    (0..=top).map(|layer| batch.clone().filter(|&row| graph.level(row) >= layer).collect()).collect()
}

/// Appends the links `row` chooses on each of its layers, from 0 up, each list at its full capacity.
fn forward(
    graph: &Graph,
    compute: Compute,
    row: u32,
    members: &[Vec<u32>],
    scratch: &mut Scratch,
    out: &mut Vec<u32>,
) {
    let query = graph.row(row);
    let top = graph.level(row);
    let begin = out.len();
    out.resize(begin + graph.lists_len(row), NONE);
    let Scratch { walk, select, scores } = scratch;
    let mut start = walk.descend(graph, compute.gather, query, top);
    for layer in (0..=top).rev() {
        match start {
            Some(near) if layer <= graph.top() => {
                walk.layer(graph, compute.gather, query, layer, graph.ef_construction, near);
                start = walk.pool.rows().next();
            }
            _ => walk.pool.reset(graph.ef_construction),
        }
        let others = &members[usize::from(layer)];
        scores.resize(others.len(), 0);
        graph.scores(compute.gather, query, others, scores);
        for (&other, &score) in others.iter().zip(scores.iter()) {
            if other != row {
                walk.pool.offer(other, score);
            }
        }
        select.run(graph, compute.gather, row, walk.pool.rows(), graph.m);
        let skipped: usize = (0..layer).map(|below| graph.capacity(below)).sum();
        out[begin + skipped..][..select.chosen.len()].copy_from_slice(&select.chosen);
    }
}

/// Appends the list of one target after `group` asked for links back.
fn back(
    graph: &Graph,
    compute: Compute,
    layer: u8,
    group: &[u64],
    scratch: &mut Scratch,
    out: &mut Vec<u32>,
) {
    let target = (group[0] >> 32) as u32;
    let capacity = graph.capacity(layer);
    let held = graph.neighbours(target, layer);
    let begin = out.len();
    out.extend(held);
    out.extend(group.iter().map(|&pair| pair as u32).filter(|source| !held.contains(source)));
    let Scratch { walk, select, scores } = scratch;
    let rows = &out[begin..];
    if rows.len() > capacity {
        scores.resize(rows.len(), 0);
        graph.scores(compute.gather, graph.row(target), rows, scores);
        walk.pool.reset(rows.len());
        rows.iter().zip(scores.iter()).for_each(|(&row, &score)| walk.pool.offer(row, score));
        select.run(graph, compute.gather, target, walk.pool.rows(), capacity);
        out.truncate(begin);
        out.extend(&select.chosen);
    }
    out.resize(begin + capacity, NONE);
}

/// Runs `work` over `count` things in pieces of `size`; the pieces' results in order.
fn in_pieces<T: Default + Send>(
    count: usize,
    size: usize,
    compute: Compute,
    work: impl Fn(Range<usize>, &mut T) + Sync,
) -> Vec<T> {
    let results: Vec<Mutex<T>> = (0..count.div_ceil(size)).map(|_| Mutex::default()).collect();
    compute.parallel.run(results.len(), &|piece| {
        work(piece * size..count.min((piece + 1) * size), &mut unpoisoned(&results[piece]));
    });
    results.into_iter().map(|r| r.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Scratch that outlives a piece of work: as many as ever ran side by side.
#[derive(Default)]
struct Pool(Mutex<Vec<Scratch>>);

#[derive(Default)]
struct Scratch {
    walk: Walk,
    select: Select,
    scores: Vec<i32>,
}

/// Scratch that returns to its pool.
struct Lent<'a> {
    pool: &'a Pool,
    scratch: Scratch,
}

impl Pool {
    fn take(&self) -> Lent<'_> {
        Lent { pool: self, scratch: unpoisoned(&self.0).pop().unwrap_or_default() }
    }
}

impl std::ops::Deref for Lent<'_> {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl std::ops::DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Scratch {
        &mut self.scratch
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        unpoisoned(&self.pool.0).push(std::mem::take(&mut self.scratch));
    }
}

/// A panic in one piece is the caller's to report; what the lock guards is whole either way.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rows a thread takes at a time when it chooses links.
const ROWS_A_PIECE: usize = 8;
/// Rows a thread takes at a time when it adds links back.
const TARGETS_A_PIECE: usize = 64;
