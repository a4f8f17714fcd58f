//! Recall on handwritten digits.

use std::io::Read;

use models::search::hnsw::{Ask, Hnsw, Metric, Params, Searcher};

use crate::support::{COMPUTE, Plain, exact};

const WIDTH: usize = 784;
const BASE: usize = 8000;
const QUERIES: usize = 500;

#[test]
fn digits_are_found() {
    let Some(pixels) = images() else { return };
    let vectors: Vec<f32> = pixels[..BASE * WIDTH].iter().map(|&p| f32::from(p)).collect();
    let params = Params { m: 16, ef_construction: 64, keep_floats: false, ..Params::new(WIDTH, Metric::L2) };
    let mut index = Hnsw::new(params).unwrap();
    index.insert(&(0..BASE as u64).collect::<Vec<_>>(), &vectors, COMPUTE).unwrap();
    let mut searcher = Searcher::default();
    let mut hits = 0;
    for query in pixels[BASE * WIDTH..][..QUERIES * WIDTH].chunks_exact(WIDTH) {
        let query: Vec<f32> = query.iter().map(|&p| f32::from(p)).collect();
        let query = index.quantise_query(&query).unwrap();
        let truth = exact(Metric::L2, &query, 10, (0..BASE as u64).map(|id| (id, index.codes(id).unwrap())));
        let ask = Ask { k: 10, ef: 64, filter: None };
        let found = index.search_codes(&query, &ask, &Plain, &mut searcher).unwrap();
        hits += found.iter().filter(|found| truth.contains(found)).count();
    }
    let recall = hits as f64 / (10 * QUERIES) as f64;
    assert!(recall >= 0.99, "{recall}");
}

/// Every pixel of the test set, or none where the shared data is absent.
#[expect(clippy::disallowed_methods, reason = "a test is a shell: it brings the bytes")]
fn images() -> Option<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/ann/mnist-t10k-images-idx3-ubyte.gz");
    let Ok(packed) = std::fs::read(path) else {
        assert!(std::env::var_os("EDGENET_TEST_SHARED").is_none(), "{path} is missing");
        report("no MNIST beside the project");
        return None;
    };
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 16 + 10_000 * WIDTH);
    Some(bytes.split_off(16))
}

#[expect(clippy::print_stderr, reason = "what did not run is said")]
fn report(what: &str) {
    eprintln!("not run: {what}");
}
