use plan::key;

use super::topk::lists;
use crate::DistanceArgs;

/// The best rows of a table of codes.
pub fn distance(args: DistanceArgs<'_>) {
    let (table, width) = (args.vectors, args.vectors.width);
    let queries = args.queries;
    lists(
        queries.len() / width,
        args.first..args.first + args.rows,
        args.group,
        args.k,
        args.out,
        |query, row| {
            let dot = dot(&queries[query * width..][..width], &table.codes[row * width..]);
            allowed(args.filter, row).then(|| key(table.score_of(row, dot)))
        },
    );
}

/// Sum of products over the length of `query`.
pub(super) fn dot(query: &[i8], row: &[i8]) -> i32 {
    query.iter().zip(row).map(|(&q, &c)| i32::from(q) * i32::from(c)).sum()
}

/// Whether a filter lets a row pass.
pub(super) fn allowed(filter: Option<&[u32]>, row: usize) -> bool {
    filter.is_none_or(|bits| bits[row / 32] >> (row % 32) & 1 == 1)
}
