//! The best rows of each query while a table is scanned.

use std::ops::Range;

use plan::{NOTHING, PANEL};

/// A group's list of each query, sorted at all times. Scores come as i32 of the order of their keys.
pub(crate) struct Lists<'a> {
    pairs: &'a mut [[u32; 2]],
    /// Pairs of a list.
    k: usize,
    /// Lists of a query.
    lists: usize,
    /// The list of each query that is being filled.
    list: usize,
    queries: usize,
    /// `[queries, filled up to whole panels]`: what a score must exceed. No score exceeds that of a panel's lane
    /// without a query.
    least: Vec<i32>,
}

/// The rows of a scan in blocks of at most `most`, each with the group it lies in. Rows rise.
pub(crate) fn blocks(
    first: usize,
    rows: usize,
    group: usize,
    most: usize,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    let end = first + rows;
    (first..end).step_by(group).enumerate().flat_map(move |(list, first)| {
        let end = end.min(first + group);
        (first..end).step_by(most).map(move |first| (list, first..end.min(first + most)))
    })
}

/// Whether a filter lets a row pass.
#[inline(always)]
pub(crate) fn allowed(filter: Option<&[u32]>, row: usize) -> bool {
    filter.is_none_or(|bits| bits[row / 32] >> (row % 32) & 1 == 1)
}

/// The rows that a filter lets pass.
#[inline(always)]
pub(crate) fn pick(rows: Range<usize>, filter: Option<&[u32]>, picked: &mut Vec<u32>) {
    picked.clear();
    match filter {
        None => picked.extend(rows.start as u32..rows.end as u32),
        filter => picked.extend(rows.filter(|&row| allowed(filter, row)).map(|row| row as u32)),
    }
}

impl<'a> Lists<'a> {
    /// Empty lists.
    pub(crate) fn new(out: &'a mut [[u32; 2]], queries: usize, k: usize, lists: usize) -> Self {
        let pairs = &mut out[..queries * lists * k];
        pairs.fill(NOTHING);
        let mut least = vec![i32::MAX; queries.next_multiple_of(PANEL)];
        least[..queries].fill(order(NOTHING[0]));
        Lists { pairs, k, lists, list: 0, queries, least }
    }

    /// Turns to the lists of a group.
    #[inline(always)]
    pub(crate) fn turn_to(&mut self, list: usize) {
        if list != self.list {
            self.list = list;
            self.least[..self.queries].fill(order(NOTHING[0]));
        }
    }

    /// Takes the scores of some rows of one query, which rise.
    #[inline(always)]
    pub(crate) fn offer_rows<const N: usize>(&mut self, query: usize, rows: &[u32], orders: &[i32; N]) {
        let least = self.least[query];
        let mut any = false;
        for order in orders {
            any |= *order > least;
        }
        if any {
            for (&row, &order) in rows.iter().zip(orders) {
                if order > self.least[query] {
                    self.insert(query, row, order);
                }
            }
        }
    }

    /// Takes the scores of one row, of all queries of a panel.
    #[inline(always)]
    pub(crate) fn offer_panel(&mut self, panel: usize, row: usize, orders: &[i32; PANEL]) {
        let least = &self.least.as_chunks::<PANEL>().0[panel];
        let mut any = false;
        for (order, least) in orders.iter().zip(least) {
            any |= order > least;
        }
        if any {
            self.insert_panel(panel, row, orders);
        }
    }

    #[inline(never)]
    fn insert_panel(&mut self, panel: usize, row: usize, orders: &[i32; PANEL]) {
        for (lane, &order) in orders.iter().enumerate() {
            let query = panel * PANEL + lane;
            if order > self.least[query] {
                self.insert(query, row as u32, order);
            }
        }
    }

    /// Puts a row into its place: behind those of the same key, whose numbers are lower.
    #[inline(never)]
    fn insert(&mut self, query: usize, row: u32, order: i32) {
        let pairs = &mut self.pairs[(query * self.lists + self.list) * self.k..][..self.k];
        let key = plan::key(order);
        let place = pairs.partition_point(|pair| pair[0] >= key);
        pairs.copy_within(place..self.k - 1, place + 1);
        pairs[place] = [key, row];
        self.least[query] = self::order(pairs[self.k - 1][0]);
    }
}

/// The i32 of a key's order; below that of any score for [`NOTHING`].
fn order(key: u32) -> i32 {
    plan::score(key)
}
