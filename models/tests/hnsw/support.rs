//! Plain arithmetic and threads to run the index with, and the exact answers to hold it against.

use std::{
    cmp::Reverse,
    sync::atomic::{AtomicUsize, Ordering},
};

use models::search::hnsw::{Compute, Metric};
use plan::{Gather, Parallel, Sequential};

/// The shortest correct [`Gather`].
pub(crate) struct Plain;

impl Gather for Plain {
    fn dots(&self, query: &[i8], codes: &[i8], rows: &[u32], out: &mut [i32]) {
        assert_eq!(rows.len(), out.len());
        for (out, &row) in out.iter_mut().zip(rows) {
            *out = dot(query, &codes[row as usize * query.len()..][..query.len()]);
        }
    }

    fn float_dots(&self, query: &[f32], values: &[f32], rows: &[u32], out: &mut [f32]) {
        assert_eq!(rows.len(), out.len());
        for (out, &row) in out.iter_mut().zip(rows) {
            let values = &values[row as usize * query.len()..][..query.len()];
            *out = query.iter().zip(values).map(|(a, b)| a * b).sum();
        }
    }
}

/// One thread.
pub(crate) const COMPUTE: Compute = Compute { gather: &Plain, parallel: &Sequential };

/// So many threads.
pub(crate) struct Threads(pub(crate) usize);

impl Parallel for Threads {
    #[expect(clippy::disallowed_methods, reason = "a test is a shell: it brings the threads")]
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let drain = || {
            while let Some(piece) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&piece| piece < count)
            {
                work(piece);
            }
        };
        std::thread::scope(|threads| {
            (0..self.0).for_each(|_| drop(threads.spawn(drain)));
        });
    }
}

pub(crate) fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// The integer score of the contract.
pub(crate) fn score(metric: Metric, query: &[i8], codes: &[i8]) -> i32 {
    match metric {
        Metric::Cosine | Metric::Dot => dot(query, codes),
        Metric::L2 => 2 * dot(query, codes) - dot(codes, codes),
    }
}

/// The `k` best of all, by falling score and rising id.
pub(crate) fn exact<'a>(
    metric: Metric,
    query: &[i8],
    k: usize,
    rows: impl Iterator<Item = (u64, &'a [i8])>,
) -> Vec<(u64, i32)> {
    let mut all: Vec<(u64, i32)> = rows.map(|(id, codes)| (id, score(metric, query, codes))).collect();
    all.sort_unstable_by_key(|&(id, score)| (Reverse(score), id));
    all.truncate(k);
    all
}
