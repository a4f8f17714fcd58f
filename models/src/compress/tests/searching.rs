use super::*;

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::L2, Metric::Dot];

fn table() -> Vec<f32> {
    clusters(1500, 48)
}

/// Recall of the ten nearest over fifty queries near the rows.
fn recall_of(search: impl Fn(&[f32]) -> Vec<Hit>, values: &[f32], metric: Metric) -> f64 {
    let mut queries = noise(6, 50 * 48);
    queries.iter_mut().zip(values).for_each(|(q, v)| *q = *q * 0.2 + v);
    let found: Vec<Vec<Hit>> = queries.chunks_exact(48).map(search).collect();
    let pairs = queries.chunks_exact(48).zip(found.iter().map(Vec::as_slice));
    recall(Vectors::new(values, 48).unwrap(), pairs, 10, metric).unwrap()
}

#[test]
fn finer_codes_find_more() {
    let values = table();
    for metric in METRICS {
        let recall = |codec| {
            let coded = encoded(&values, 48, codec);
            recall_of(|q| coded.search(q, 10, metric).unwrap(), &values, metric)
        };
        let [int8, int4, binary, wide, narrow] = CODECS.map(recall);
        assert!(
            int8 > 0.97 && int8 > int4 && int4 > 0.75 && int4 > binary,
            "{metric:?} {int8} {int4} {binary}"
        );
        assert!(wide > narrow && narrow > 0.1, "{metric:?} {wide} {narrow}");
    }
}

/// Scores on codes are those of the decoded rows and the decoded query.
#[test]
fn scores_are_those_of_the_decoded_vectors() {
    let values = table();
    let query = &noise(7, 48);
    for codec in CODECS {
        let coded = encoded(&values, 48, codec);
        // Product codes meet the query itself, the others its own codes.
        let product = matches!(codec, Codec::Product { .. });
        let query_codec = if codec == Codec::Int4 { Codec::Int8 } else { codec };
        let seen = if product { query.clone() } else { encoded(query, 48, query_codec).decode() };
        let decoded = coded.decode();
        for metric in METRICS {
            let truth = exact_search(Vectors::new(&decoded, 48).unwrap(), &seen, 1500, metric).unwrap();
            let mut by_row = vec![0.0; 1500];
            truth.iter().for_each(|hit| by_row[hit.id as usize] = hit.score);
            for hit in coded.search(query, 1500, metric).unwrap() {
                let wanted = by_row[hit.id as usize];
                assert!(
                    (hit.score - wanted).abs() < 1e-4 * (1.0 + wanted.abs()),
                    "{codec:?} {metric:?} {hit:?} {wanted}"
                );
            }
        }
    }
}

#[test]
fn reranking_finds_what_codes_blur() {
    let values = table();
    let vectors = Vectors::new(&values, 48).unwrap();
    let coded = encoded(&values, 48, Codec::Binary);
    for metric in METRICS {
        let plain = recall_of(|q| coded.search(q, 10, metric).unwrap(), &values, metric);
        let better =
            recall_of(|q| coded.search_reranked(q, 10, metric, 300, vectors).unwrap(), &values, metric);
        assert!(better > plain + 0.1, "{metric:?} {plain} {better}");
        let all =
            recall_of(|q| coded.search_reranked(q, 10, metric, 1500, vectors).unwrap(), &values, metric);
        assert_eq!(all, 1.0);
    }
}

#[test]
fn a_planted_fault_is_caught() {
    let values = table();
    let coded = encoded(&values, 48, Codec::Int8);
    let off_by_one = |q: &[f32]| {
        let mut hits = coded.search(q, 10, Metric::L2).unwrap();
        hits.iter_mut().for_each(|hit| hit.id = (hit.id + 1) % 1500);
        hits
    };
    assert!(recall_of(off_by_one, &values, Metric::L2) < 0.2);
}

#[test]
fn ties_go_to_the_lowest_id() {
    let values = noise(8, 48).repeat(9);
    let query = noise(9, 48);
    for codec in CODECS {
        for metric in METRICS {
            let hits = encoded(&values, 48, codec).search(&query, 5, metric).unwrap();
            assert_eq!(
                hits.iter().map(|h| h.id).collect::<Vec<_>>(),
                [0, 1, 2, 3, 4],
                "{codec:?} {metric:?}"
            );
        }
    }
    // Directions alone decide a cosine: rows of one sign pattern tie whatever their lengths.
    let scaled: Vec<f32> = (1..6).flat_map(|s| noise(8, 48).into_iter().map(move |x| x / s as f32)).collect();
    let hits = encoded(&scaled, 48, Codec::Binary).search(&query, 5, Metric::Cosine).unwrap();
    assert_eq!(hits.iter().map(|h| h.id).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn zero_rows_and_queries_score_without_panic() {
    let mut values = noise(10, 48 * 3);
    values[48..96].fill(0.0);
    for codec in CODECS {
        let coded = encoded(&values, 48, codec);
        let hits = coded.search(&[0.0; 48], 9, Metric::Cosine).unwrap();
        assert!(hits.len() == 3 && hits.iter().all(|hit| hit.score == 0.0), "{codec:?} {hits:?}");
        let nearest = coded.search(&[0.0; 48], 1, Metric::L2).unwrap();
        assert_eq!(nearest[0].id, 1, "{codec:?}");
    }
}

#[test]
fn bad_queries_are_named() {
    let coded = encoded(&noise(11, 48), 48, Codec::Int8);
    let refused = |query: &[f32], k| coded.search(query, k, Metric::Dot).unwrap_err();
    assert_eq!(refused(&[1.0; 47], 1), QueryError::Width { found: 47, wanted: 48 });
    assert_eq!(refused(&[1.0; 48], 0), QueryError::NoK);
    let mut query = [1.0; 48];
    query[40] = f32::NAN;
    assert_eq!(refused(&query, 1), QueryError::NotFinite { column: 40 });
    let other = [1.0; 96];
    let vectors = Vectors::new(&other, 48).unwrap();
    let refused = coded.search_reranked(&[1.0; 48], 1, Metric::Dot, 5, vectors).unwrap_err();
    let shape = CompressError::Shape { found: (2, 48), wanted: (1, 48) };
    assert_eq!(refused, QueryError::Vectors(shape));
}
