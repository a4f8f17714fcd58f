//! The walk: best-first search of one layer.
//!
//! ```text
//! pool = the starts                          -- best `ef` seen, nearest first, each open or closed
//! while the pool has an open row:
//!     close the nearest open row
//!     for every neighbour not seen before:   -- all of a row's neighbours in one call of `dots`
//!         keep it in the pool if it is among the best `ef`
//! ```
//!
//! The pool is one sorted array of integer keys, so equal scores go to the lowest row and the order of offers never
//! shows. This equals algorithm 2 of the paper: a candidate outside the best `ef` would never be expanded.

use plan::Gather;

use super::graph::{Graph, NONE};

/// The best rows seen, nearest first.
#[derive(Default)]
pub(super) struct Pool {
    keys: Vec<u64>,
    capacity: usize,
    /// No row before this is open.
    cursor: usize,
}

/// Everything a walk writes to; it is kept between walks, so that a walk allocates nothing.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) pool: Pool,
    seen: Vec<u64>,
    fresh: Vec<u32>,
    scores: Vec<i32>,
}

impl Pool {
    pub(super) fn reset(&mut self, capacity: usize) {
        self.keys.clear();
        self.keys.reserve(capacity + 1);
        self.capacity = capacity.max(1);
        self.cursor = 0;
    }

    /// Keeps the row if it is among the best.
    pub(super) fn offer(&mut self, row: u32, score: i32) {
        let key = key(row, score);
        if self.keys.len() == self.capacity {
            if key >= self.keys[self.capacity - 1] {
                return;
            }
            self.keys.pop();
        }
        let at = self.keys.partition_point(|&k| k < key);
        self.keys.insert(at, key);
        self.cursor = self.cursor.min(at);
    }

    /// Closes the nearest open row.
    fn next(&mut self) -> Option<u32> {
        while let Some(key) = self.keys.get_mut(self.cursor) {
            self.cursor += 1;
            if *key & CLOSED == 0 {
                *key |= CLOSED;
                return Some(row_of(*key));
            }
        }
        None
    }

    /// The row [`Pool::next`] will give if no nearer one is offered.
    fn peek(&self) -> Option<u32> {
        self.keys.get(self.cursor..)?.iter().find(|&&key| key & CLOSED == 0).map(|&key| row_of(key))
    }

    /// Rows and scores, nearest first.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = (u32, i32)> {
        self.keys.iter().map(|&key| (row_of(key), score_of(key)))
    }
}

impl Walk {
    /// Goes greedily to the nearest row on every layer above `layer`, from the graph's entry.
    pub(super) fn descend(
        &mut self,
        graph: &Graph,
        gather: &dyn Gather,
        query: &[i8],
        layer: u8,
    ) -> Option<(u32, i32)> {
        let entry = graph.entry?;
        let mut best = (entry, self.score_one(graph, gather, query, entry));
        for above in (layer + 1..=graph.level(entry)).rev() {
            loop {
                let neighbours = graph.neighbours(best.0, above);
                self.scores.resize(neighbours.len().max(self.scores.len()), 0);
                let scores = &mut self.scores[..neighbours.len()];
                graph.scores(gather, query, neighbours, scores);
                let nearer = neighbours.iter().zip(scores).map(|(&row, &mut score)| key(row, score)).min();
                match nearer {
                    Some(nearer) if nearer < key(best.0, best.1) => best = (row_of(nearer), score_of(nearer)),
                    _ => break,
                }
            }
        }
        Some(best)
    }

    /// Fills the pool with the best `ef` rows of a layer that the walk from `start` meets.
    pub(super) fn layer(
        &mut self,
        graph: &Graph,
        gather: &dyn Gather,
        query: &[i8],
        layer: u8,
        ef: usize,
        start: (u32, i32),
    ) {
        self.pool.reset(ef);
        self.seen.clear();
        self.seen.resize(graph.rows().div_ceil(64), 0);
        self.fresh.resize(graph.capacity(0), 0);
        self.scores.resize(graph.capacity(0).max(self.scores.len()), 0);
        mark(&mut self.seen, start.0);
        self.pool.offer(start.0, start.1);
        while let Some(row) = self.pool.next() {
            let mut fresh = 0;
            for &neighbour in graph.list(row, layer) {
                if neighbour == NONE {
                    break;
                }
                self.fresh[fresh] = neighbour;
                fresh += usize::from(mark(&mut self.seen, neighbour));
            }
            if let Some(next) = self.pool.peek() {
                graph.touch(next, layer);
            }
            let (rows, scores) = (&self.fresh[..fresh], &mut self.scores[..fresh]);
            graph.scores(gather, query, rows, scores);
            for (&row, &mut score) in rows.iter().zip(scores) {
                self.pool.offer(row, score);
            }
        }
    }

    fn score_one(&mut self, graph: &Graph, gather: &dyn Gather, query: &[i8], row: u32) -> i32 {
        let mut score = [0];
        graph.scores(gather, query, &[row], &mut score);
        score[0]
    }
}

/// Whether the row had not been marked.
fn mark(seen: &mut [u64], row: u32) -> bool {
    let (word, bit) = (&mut seen[row as usize / 64], row % 64);
    let is_new = *word >> bit & 1 == 0;
    *word |= 1 << bit;
    is_new
}

/// Sorts by falling score, then rising row. The lowest bit is free.
fn key(row: u32, score: i32) -> u64 {
    let falling = !(score as u32 ^ SIGN);
    u64::from(falling) << 32 | u64::from(row) << 1
}

fn row_of(key: u64) -> u32 {
    key as u32 >> 1
}

fn score_of(key: u64) -> i32 {
    (!((key >> 32) as u32) ^ SIGN) as i32
}

const CLOSED: u64 = 1;
const SIGN: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_falling_score_then_rising_row() {
        let far = [(3, i32::MIN), (0, -1), (7, 0), (8, 0), (1, 1), (u32::MAX >> 1, i32::MAX)];
        for (a, x) in far.iter().enumerate() {
            assert_eq!((row_of(key(x.0, x.1)), score_of(key(x.0, x.1))), *x);
            for (b, y) in far.iter().enumerate() {
                let nearer = (y.1, a) < (x.1, b) && x.1 != y.1 || x.1 == y.1 && x.0 < y.0;
                assert_eq!(key(x.0, x.1) < key(y.0, y.1), nearer, "{x:?} {y:?}");
            }
        }
    }

    #[test]
    fn a_pool_keeps_the_best_whatever_the_order() {
        let offers = [(4, 10), (2, 30), (9, 10), (1, 20), (5, 30)];
        for turn in 0..offers.len() {
            let mut pool = Pool::default();
            pool.reset(3);
            for i in 0..offers.len() {
                let (row, score) = offers[(i + turn) % offers.len()];
                pool.offer(row, score);
            }
            assert_eq!(pool.rows().collect::<Vec<_>>(), [(2, 30), (5, 30), (1, 20)]);
            assert_eq!(
                [pool.next(), pool.next(), pool.next(), pool.next()],
                [Some(2), Some(5), Some(1), None]
            );
        }
    }
}
