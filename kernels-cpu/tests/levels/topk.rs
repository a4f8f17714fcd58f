use kernels_cpu::{Kernels, TopKArgs, oracle};
use plan::NOTHING;

use crate::inputs::{Difference, Random, same};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    for k in [1, 2, 10, 100, 256] {
        for lists in [0, 1, 2, 3, 7, 16, 33, 100] {
            for queries in [0, 1, 3] {
                for keys in [0, 3, i64::from(u32::MAX) - 1] {
                    compare(kernels, k, lists, queries, keys)?;
                    cases += 1;
                }
            }
        }
    }
    Ok(cases)
}

/// `keys`: the largest key but one; few make ties between lists.
fn compare(
    kernels: &dyn Kernels,
    k: usize,
    lists: usize,
    queries: usize,
    keys: i64,
) -> Result<(), Difference> {
    let mut random = Random(51);
    let mut input = Vec::new();
    for list in 0..queries * lists {
        // Lists of all lengths, also none; rows of one key rise, and lists have no row in common.
        let len = random.within(0, k as i64) as usize;
        let mut pairs: Vec<[u32; 2]> = (0..len)
            .map(|i| [random.within(1, keys + 1) as u32, (list % lists.max(1) * k + i) as u32])
            .collect();
        pairs.sort_by_key(|&[key, row]| (std::cmp::Reverse(key), row));
        pairs.resize(k, NOTHING);
        input.extend(pairs);
    }
    let run = |run: &dyn Fn(TopKArgs<'_>)| {
        let mut out = vec![[7; 2]; queries * k];
        run(TopKArgs { lists, k, input: &input, out: &mut out });
        out
    };
    let (found, wanted) = (run(&|args| kernels.topk(args)), run(&|args| oracle::topk(args)));
    same(&format!("{queries} queries, {lists} lists of {k}, keys to {keys}"), &found, &wanted)
}
