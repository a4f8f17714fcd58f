//! What a search returns, against the exact answer.

use std::collections::BTreeSet;

use models::search::hnsw::{Ask, Hnsw, Metric, Params, QueryError, Searcher, level};

use crate::{
    generated::{DIGESTS, WIDTH, built, codes, floats},
    support::{COMPUTE, Plain, exact, score},
};

const QUERIES: usize = 40;

#[test]
fn walks_find_the_nearest_with_and_without_filters() {
    let filters: [&dyn Fn(u64) -> bool; 5] =
        [&|_| true, &|id| id % 2 == 0, &|id| id % 10 == 3, &|id| id == 77, &|_| false];
    for (metric, _) in DIGESTS {
        let index = built(metric, COMPUTE);
        for (which, filter) in filters.iter().enumerate() {
            // The narrow search walks even where half may be answers; the wide one scans.
            for (k, ef, least) in [(10, 40, 0.98), (5, 12, 0.93)] {
                let recall = recall(&index, filter, k, ef);
                assert!(recall >= least, "{metric:?}, filter {which}, ef {ef}: {recall}");
            }
        }
    }
}

/// Every walk begins in the heap, since only its rows have upper layers, and has to find a way out.
#[test]
fn a_heap_of_equal_vectors_hides_nothing() {
    for (metric, _) in DIGESTS {
        let params = Params { m: 8, ef_construction: 48, ..Params::new(WIDTH, metric) };
        let ground = (600..).filter(|&id| level(id, params.seed, params.m) == 0);
        let ids: Vec<u64> = (0..600).chain(ground.take(600)).collect();
        let mut vectors = floats(&codes(1200, 4));
        let (equal, others) = vectors.split_at_mut(600 * WIDTH);
        equal.chunks_exact_mut(WIDTH).for_each(|row| row.copy_from_slice(&others[..WIDTH]));
        let mut index = Hnsw::new(params).unwrap();
        index.insert(&ids, &vectors, COMPUTE).unwrap();
        let recall = recall(&index, &|_| true, 5, 30);
        assert!(recall >= 0.9, "{metric:?}: {recall}");
    }
}

/// Share of the exact `k` nearest that a walk of `ef` finds; asserts that what it returns is well formed.
fn recall(index: &Hnsw, filter: &dyn Fn(u64) -> bool, k: usize, ef: usize) -> f64 {
    let metric = index.params().metric;
    let mut searcher = Searcher::default();
    let matching = index.ids().filter(|&id| filter(id)).count();
    let (mut hits, mut wanted) = (0, 0);
    for query in codes(QUERIES, 9).chunks_exact(WIDTH) {
        let rows = index.ids().filter(|&id| filter(id)).map(|id| (id, index.codes(id).unwrap()));
        let truth = exact(metric, query, k, rows);
        let ask = Ask { k, ef, filter: Some(filter) };
        let found = index.search_codes(query, &ask, &Plain, &mut searcher).unwrap();
        assert_eq!(found.len(), matching.min(k));
        assert!(found.windows(2).all(|pair| (-pair[0].1, pair[0].0) < (-pair[1].1, pair[1].0)), "{found:?}");
        for &(id, found) in found {
            assert!(filter(id));
            assert_eq!(found, score(metric, query, index.codes(id).unwrap()));
        }
        let found: BTreeSet<u64> = found.iter().map(|&(id, _)| id).collect();
        hits += truth.iter().filter(|(id, _)| found.contains(id)).count();
        wanted += truth.len();
    }
    if wanted == 0 { 1.0 } else { hits as f64 / wanted as f64 }
}

#[test]
fn a_graph_without_links_is_caught() {
    let index = built(Metric::L2, COMPUTE);
    let rows = index.rows();
    let mut bytes = index.to_bytes();
    let links = 64 + 8 * rows + rows.div_ceil(64) * 8;
    let links = links.next_multiple_of(64) + rows * WIDTH;
    let links = links.next_multiple_of(64);
    bytes[links..links + rows * 64].fill(0xff);
    crate::files::seal(&mut bytes);
    let unlinked = Hnsw::load(std::sync::Arc::new(bytes)).unwrap();
    assert!(recall(&index, &|_| true, 10, 40) >= 0.98);
    // Where the walk finds too few, the exact scan answers; a wider search than the walk can fill shows the scan.
    let mut searcher = Searcher::default();
    let query = &codes(1, 9);
    let ask = Ask { k: 1, ef: 1, filter: None };
    let near = index.search_codes(query, &ask, &Plain, &mut searcher).unwrap().to_vec();
    let far = unlinked.search_codes(query, &ask, &Plain, &mut searcher).unwrap();
    assert!(far[0].1 < near[0].1, "{far:?} {near:?}");
}

#[test]
fn float_answers_are_exact_scores_in_exact_order() {
    for (metric, _) in DIGESTS {
        let index = built(metric, COMPUTE);
        let mut searcher = Searcher::default();
        for query in floats(&codes(QUERIES, 11)).chunks_exact(WIDTH) {
            let ask = Ask { k: 7, ef: 50, filter: None };
            let found = index.search(query, &ask, &Plain, &mut searcher).unwrap();
            assert!(found.len() == 7 && found.windows(2).all(|pair| pair[0].1 >= pair[1].1));
            for &(id, score) in found {
                let wanted = float_score(metric, query, index.vector(id).unwrap());
                assert!((f64::from(score) - wanted).abs() < 1e-4, "{metric:?}: {score} {wanted}");
            }
        }
    }
}

#[test]
fn without_floats_scores_are_those_of_the_codes() {
    for (metric, _) in DIGESTS {
        let params = Params { keep_floats: false, ..Params::new(WIDTH, metric) };
        let mut index = Hnsw::new(params).unwrap();
        let vectors = floats(&codes(100, 3));
        index.insert(&(0..100).collect::<Vec<_>>(), &vectors, COMPUTE).unwrap();
        let mut searcher = Searcher::default();
        let query = &vectors[5 * WIDTH..6 * WIDTH];
        let ask = Ask { k: 3, ef: 10, filter: None };
        let found = index.search(query, &ask, &Plain, &mut searcher).unwrap();
        for &(id, score) in found {
            let vector = &vectors[id as usize * WIDTH..][..WIDTH];
            let wanted = float_score(metric, query, vector);
            assert!(
                (f64::from(score) - wanted).abs() < 0.02 * wanted.abs().max(1.0),
                "{metric:?}: {score} {wanted}"
            );
        }
        assert!(index.vector(5).is_none() && (metric == Metric::Dot || found[0].0 == 5));
    }
}

fn float_score(metric: Metric, query: &[f32], vector: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    match metric {
        Metric::Dot => dot(query, vector),
        Metric::Cosine => dot(query, vector) / (dot(query, query) * dot(vector, vector)).sqrt(),
        Metric::L2 => 2.0 * dot(query, vector) - dot(query, query) - dot(vector, vector),
    }
}

#[test]
fn ugly_queries_are_errors_or_answers() {
    let index = built(Metric::Cosine, COMPUTE);
    let mut searcher = Searcher::default();
    let ask = Ask { k: 3, ef: 3, filter: None };
    let mut query = vec![0.0; WIDTH];
    assert_eq!(index.search(&query, &ask, &Plain, &mut searcher).unwrap().len(), 3);
    query[5] = f32::NAN;
    assert_eq!(index.search(&query, &ask, &Plain, &mut searcher), Err(QueryError::NotFinite(5)));
    assert_eq!(index.quantise_query(&query), Err(QueryError::NotFinite(5)));
    query.fill(f32::MAX);
    assert_eq!(index.search(&query, &ask, &Plain, &mut searcher).unwrap().len(), 3);
    let narrow = QueryError::Width { found: 1, width: WIDTH };
    assert_eq!(index.search(&[1.0], &ask, &Plain, &mut searcher), Err(narrow));
    let lowest = index.search_codes(&[i8::MIN; WIDTH], &ask, &Plain, &mut searcher);
    assert_eq!(lowest, Err(QueryError::Code(0)));
    let everything = Ask { k: usize::MAX, ef: usize::MAX, filter: None };
    let found = index.search_codes(&[1; WIDTH], &everything, &Plain, &mut searcher).unwrap();
    assert_eq!(found.len(), index.len());
    let nothing = Ask { k: 0, ef: 10, filter: None };
    assert_eq!(index.search_codes(&[1; WIDTH], &nothing, &Plain, &mut searcher).unwrap(), []);
    let empty = Hnsw::new(Params::new(WIDTH, Metric::Dot)).unwrap();
    assert_eq!(empty.search(&[1.0; WIDTH], &ask, &Plain, &mut searcher).unwrap(), []);
}
