use plan::key;

use super::{distance::allowed, topk::lists};
use crate::HammingArgs;

/// The best rows of a table of bits, by the number of equal bits.
pub fn hamming(args: HammingArgs<'_>) {
    let (table, words) = (args.vectors, args.vectors.width / 32);
    let queries = args.queries;
    lists(
        queries.len() / words,
        args.first..args.first + args.rows,
        args.group,
        args.k,
        args.out,
        |query, row| {
            let pairs = queries[query * words..][..words].iter().zip(&table.bits[row * words..]);
            let equal: u32 = pairs.map(|(q, b)| (q ^ b).count_zeros()).sum();
            allowed(args.filter, row).then(|| key(equal as i32))
        },
    );
}
