//! One sequence of calls gives one file.

use models::search::hnsw::{Compute, Hnsw, level};
use plan::{Gather, Sequential};
use sha2::{Digest, Sha256};

use crate::{
    generated::{DIGESTS, WIDTH, built, codes},
    support::{COMPUTE, Plain, Threads},
};

#[test]
fn every_machine_builds_the_pinned_file() {
    for (metric, pinned) in DIGESTS {
        for threads in [1, 2, 5] {
            let compute = Compute { gather: &Plain, parallel: &Threads(threads) };
            assert_eq!(digest(&built(metric, compute)), pinned, "{metric:?}, {threads} threads");
        }
    }
}

#[test]
fn a_wrong_product_is_caught() {
    let compute = Compute { gather: &Faulty, parallel: &Sequential };
    let (metric, pinned) = DIGESTS[0];
    assert_ne!(digest(&built(metric, compute)), pinned);
}

#[test]
fn a_loaded_index_grows_as_the_saved_one_would() {
    let more = crate::generated::floats(&codes(300, 5));
    let ids: Vec<u64> = (5000..5300).collect();
    for (metric, _) in DIGESTS {
        let mut kept = built(metric, COMPUTE);
        let bytes = kept.to_bytes();
        let mut loaded = Hnsw::load(std::sync::Arc::new(bytes)).unwrap();
        for index in [&mut kept, &mut loaded] {
            index.insert(&ids, &more, COMPUTE).unwrap();
            index.delete(&[5001, 1]);
        }
        assert_eq!(kept.to_bytes(), loaded.to_bytes());
    }
}

#[test]
fn compacting_equals_building_from_what_is_left() {
    for (metric, _) in DIGESTS {
        let mut index = built(metric, COMPUTE);
        let rows = index.rows();
        index.compact(COMPUTE);
        assert!(index.rows() < rows && index.rows() == index.len());
        let bytes = index.to_bytes();
        index.compact(COMPUTE);
        assert_eq!(index.to_bytes(), bytes);
    }
}

#[test]
fn levels_fall_by_m() {
    for m in [2, 8, 16] {
        let mut at_least = [0u32; 14];
        (0..100_000).for_each(|id| (0..=level(id, 3, m)).for_each(|l| at_least[usize::from(l)] += 1));
        for pair in at_least.windows(2).filter(|pair| pair[0] > 2000) {
            let expected = pair[0] as f64 / m as f64;
            assert!((f64::from(pair[1]) - expected).abs() < 5.0 * expected.sqrt(), "m {m}: {at_least:?}");
        }
    }
    assert_eq!([0, 1, 17, u64::MAX].map(|id| level(id, 3, 2)), [1, 0, 1, 0]);
    assert_ne!(level(17, 3, 2), level(17, 4, 2));
}

fn digest(index: &Hnsw) -> String {
    Sha256::digest(index.to_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Off by one for one row.
struct Faulty;

impl Gather for Faulty {
    fn dots(&self, query: &[i8], codes: &[i8], rows: &[u32], out: &mut [i32]) {
        assert_eq!(query.len(), WIDTH);
        Plain.dots(query, codes, rows, out);
        out.iter_mut().zip(rows).filter(|&(_, &row)| row == 40).for_each(|(out, _)| *out += 500);
    }

    fn float_dots(&self, query: &[f32], values: &[f32], rows: &[u32], out: &mut [f32]) {
        Plain.float_dots(query, values, rows, out);
    }
}
