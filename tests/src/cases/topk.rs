//! Sorted lists to merge: full, short, empty, all alike.

use std::cmp::Reverse;

use plan::{MAX_K, NOTHING, Step, TopK};

use super::{Builder, Case};
use crate::lcg::Lcg;

pub(super) fn cases() -> Vec<Case> {
    let shapes = [
        (1, 1, 1),
        (3, 0, 4),
        (1, 130, 1),
        (2, 3, 10),
        (33, 2, 2),
        (5, 17, 10),
        (3, 13, 10),
        (2, 5, MAX_K - 1),
        (2, 4, MAX_K),
    ];
    let kinds: [(&str, i64); 5] =
        [("few keys", 3), ("any key", u32::MAX as i64), ("equal", 1), ("short", 50), ("empty", 0)];
    let mut cases = Vec::new();
    for (queries, lists, k) in shapes {
        for (kind, keys) in kinds {
            let mut lcg = Lcg::new((queries + 100 * lists + k) as u64);
            let mut pairs = Vec::new();
            for list in 0..queries * lists {
                let length = match kind {
                    "short" => lcg.within(0..=k as i64) as usize,
                    "empty" => 0,
                    _ => k,
                };
                // Lists cover rows of their own, as scans write them.
                let row = |i: usize| (list % lists * k + i) as u32;
                let mut best: Vec<[u32; 2]> =
                    (0..length).map(|i| [lcg.within(1..=keys.max(1)) as u32, row(i)]).collect();
                best.sort_by_key(|&[key, row]| (Reverse(key), row));
                best.resize(k, NOTHING);
                pairs.extend(best.into_iter().flatten());
            }
            let mut b = Builder::default();
            let (input, out) = (b.input(pairs), b.output(queries * k * 2));
            let step = Step::TopK(TopK { queries, lists, k, input, out });
            cases.push(b.case(format!("{queries} queries, {lists} lists of {k}, {kind}"), step, out, vec![]));
        }
    }
    cases.push(rising(33_000));
    cases
}

/// Each list beats the ones before it: as many of them as a software adapter is trusted with.
fn rising(lists: usize) -> Case {
    let mut b = Builder::default();
    let input = b.input((0..lists as u32).flat_map(|list| [list + 1, list]).collect());
    let out = b.output(2);
    let step = Step::TopK(TopK { queries: 1, lists, k: 1, input, out });
    b.case(format!("{lists} rising lists"), step, out, vec![])
}
