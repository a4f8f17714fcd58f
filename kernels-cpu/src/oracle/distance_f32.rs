use plan::float_key;

use super::{distance::allowed, topk::lists};
use crate::DistanceF32Args;

/// The best rows of a table of floats, summed in 64 bits.
pub fn distance_f32(args: DistanceF32Args<'_>) {
    let (table, width) = (args.vectors, args.vectors.width);
    let queries = args.queries;
    lists(
        queries.len() / width,
        args.first..args.first + args.rows,
        args.group,
        args.k,
        args.out,
        |query, row| {
            let dot = dot(&queries[query * width..][..width], &table.values[row * width..]);
            allowed(args.filter, row).then(|| float_key(table.score_of(row, dot)))
        },
    );
}

/// Sum of products over the length of `query`.
pub(super) fn dot(query: &[f32], row: &[f32]) -> f32 {
    query.iter().zip(row).map(|(&q, &c)| f64::from(q) * f64::from(c)).sum::<f64>() as f32
}
