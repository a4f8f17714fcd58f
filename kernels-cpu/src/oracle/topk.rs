use std::{cmp::Reverse, ops::Range};

use plan::NOTHING;

use crate::TopKArgs;

/// Sorted lists merged: all pairs of a query sorted, the first `k` kept.
pub fn topk(args: TopKArgs<'_>) {
    let (k, lists) = (args.k, args.lists);
    for (query, out) in args.out.chunks_exact_mut(k).enumerate() {
        best(args.input[query * lists * k..][..lists * k].to_vec(), out);
    }
}

/// Writes every list of a scan: the best rows of each group, for each query. `key` is `None` for rows passed over.
pub(super) fn lists(
    queries: usize,
    rows: Range<usize>,
    group: usize,
    k: usize,
    out: &mut [[u32; 2]],
    key: impl Fn(usize, usize) -> Option<u32>,
) {
    let lists = rows.len().div_ceil(group);
    for (list, out) in out.chunks_exact_mut(k).take(queries * lists).enumerate() {
        let first = rows.start + list % lists * group;
        let group = first..(first + group).min(rows.end);
        let pairs = group.filter_map(|row| Some([key(list / lists, row)?, row as u32]));
        best(pairs.collect(), out);
    }
}

/// The best pairs: keys fall, rows of one key rise; [`NOTHING`] after the last.
fn best(mut pairs: Vec<[u32; 2]>, out: &mut [[u32; 2]]) {
    pairs.sort_by_key(|&[key, row]| (Reverse(key), row));
    let mut pairs = pairs.into_iter();
    out.iter_mut().for_each(|out| *out = pairs.next().unwrap_or(NOTHING));
}
