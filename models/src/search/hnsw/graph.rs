//! The graph as plain slices: what walks read.

use plan::Gather;

use super::Metric;

/// Ends a list that is not full.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
pub(super) struct Graph<'a> {
    pub(super) width: usize,
    pub(super) m: usize,
    pub(super) ef_construction: usize,
    pub(super) metric: Metric,
    pub(super) codes: &'a [i8],
    pub(super) norms: &'a [i32],
    pub(super) links: &'a [u32],
    pub(super) upper: &'a [u32],
    pub(super) upper_at: &'a [u32],
    pub(super) levels: &'a [u8],
    pub(super) entry: Option<u32>,
}

impl<'a> Graph<'a> {
    pub(super) fn rows(&self) -> usize {
        self.levels.len()
    }

    /// Longest list of a layer.
    pub(super) fn capacity(&self, layer: u8) -> usize {
        if layer == 0 { 2 * self.m } else { self.m }
    }

    pub(super) fn level(&self, row: u32) -> u8 {
        self.levels[row as usize]
    }

    /// The highest layer that has links.
    pub(super) fn top(&self) -> u8 {
        self.entry.map_or(0, |entry| self.level(entry))
    }

    /// Length of all lists of a row together.
    pub(super) fn lists_len(&self, row: u32) -> usize {
        (2 + usize::from(self.level(row))) * self.m
    }

    /// Where a row's list of a layer lies in `links` (layer 0) or `upper`.
    pub(super) fn list_at(&self, row: u32, layer: u8) -> usize {
        match layer {
            0 => row as usize * 2 * self.m,
            _ => (self.upper_at[row as usize] as usize + usize::from(layer) - 1) * self.m,
        }
    }

    /// The list with its unused end.
    pub(super) fn list(&self, row: u32, layer: u8) -> &'a [u32] {
        let table = if layer == 0 { self.links } else { self.upper };
        &table[self.list_at(row, layer)..][..self.capacity(layer)]
    }

    /// Brings a list near: one word of every cache line is read and dropped, and the processor goes on meanwhile.
    pub(super) fn touch(&self, row: u32, layer: u8) {
        for line in self.list(row, layer).chunks(WORDS_A_LINE) {
            std::hint::black_box(line[0]);
        }
    }

    /// The rows a row links to.
    pub(super) fn neighbours(&self, row: u32, layer: u8) -> &'a [u32] {
        let list = self.list(row, layer);
        &list[..list.iter().position(|&n| n == NONE).unwrap_or(list.len())]
    }

    pub(super) fn row(&self, row: u32) -> &'a [i8] {
        &self.codes[row as usize * self.width..][..self.width]
    }

    /// Integer scores of `rows`: `q.v` for cosine and dot; `2 q.v - v.v` for L2, which orders as minus the squared
    /// distance does. Within 2^28 of zero.
    pub(super) fn scores(&self, gather: &dyn Gather, query: &[i8], rows: &[u32], out: &mut [i32]) {
        gather.dots(query, self.codes, rows, out);
        if self.metric == Metric::L2 {
            for (score, &row) in out.iter_mut().zip(rows) {
                *score = 2 * *score - self.norms[row as usize];
            }
        }
    }

    /// What to add to a score from `row` so that scores from two different rows compare.
    pub(super) fn offset(&self, row: u32) -> i32 {
        if self.metric == Metric::L2 { -self.norms[row as usize] } else { 0 }
    }
}

const WORDS_A_LINE: usize = 16;
