//! Random edits against a map.

use std::collections::BTreeMap;

use models::search::hnsw::{Ask, Hnsw, InsertError, Metric, Params, ParamsError, Searcher};
use proptest::prelude::*;

use crate::support::{COMPUTE, Plain, exact};

const WIDTH: usize = 5;

#[derive(Clone, Debug)]
enum Edit {
    Insert(Vec<(u64, [i8; WIDTH])>),
    Update(Vec<(u64, [i8; WIDTH])>),
    Delete(Vec<u64>),
    Compact,
    Reload,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let vector = prop_oneof![proptest::array::uniform5(-127i8..=127), proptest::array::uniform5(-1i8..=1)];
    let rows = proptest::collection::vec((0u64..200, vector), 0..60);
    let edit = prop_oneof![
        4 => rows.clone().prop_map(Edit::Insert),
        3 => rows.prop_map(Edit::Update),
        3 => proptest::collection::vec(0u64..200, 0..40).prop_map(Edit::Delete),
        1 => Just(Edit::Compact),
        1 => Just(Edit::Reload),
    ];
    proptest::collection::vec(edit, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn an_index_holds_what_a_map_holds(edits in edits(), query in proptest::array::uniform5(-127i8..=127), l2: bool) {
        let metric = if l2 { Metric::L2 } else { Metric::Dot };
        let params = Params {
            m: 2, ef_construction: 6, keep_floats: l2, scale: Some(1.0), ..Params::new(WIDTH, metric)
        };
        let mut index = Hnsw::new(params).unwrap();
        let mut model = BTreeMap::new();
        let mut searcher = Searcher::default();
        for edit in edits {
            apply(&mut index, &mut model, edit);
            prop_assert!(index.ids().eq(model.keys().copied()));
            for (k, ef, odd) in [(10, 10, false), (300, 300, false), (4, 1, true), (1, 1, false)] {
                let filter = |id: u64| !odd || id % 2 == 1;
                let ask = Ask { k, ef, filter: odd.then_some(&filter) };
                let found = index.search_codes(&query, &ask, &Plain, &mut searcher).unwrap();
                let rows = model.iter().filter(|(id, _)| filter(**id)).map(|(id, codes)| (*id, &codes[..]));
                let truth = exact(metric, &query, k, rows);
                prop_assert_eq!(found.len(), truth.len());
                // So wide a walk on so few rows is an exact scan.
                if k == 300 {
                    prop_assert_eq!(found, truth);
                } else {
                    prop_assert!(found.iter().all(|&(id, _)| model.contains_key(&id) && filter(id)));
                    prop_assert!(found.iter().zip(&truth).all(|(found, best)| found.1 <= best.1));
                }
            }
        }
    }
}

/// The same edit on both; what the index refuses changes neither.
fn apply(index: &mut Hnsw, model: &mut BTreeMap<u64, [i8; WIDTH]>, edit: Edit) {
    match edit {
        Edit::Insert(rows) => {
            let (ids, codes) = split(&rows);
            let distinct: BTreeMap<_, _> = rows.iter().copied().collect();
            let fresh = distinct.len() == rows.len() && ids.iter().all(|id| !model.contains_key(id));
            let done = if index.params().keep_floats {
                let floats: Vec<f32> = codes.iter().map(|&c| f32::from(c)).collect();
                index.insert(&ids, &floats, COMPUTE)
            } else {
                index.insert_codes(&ids, &codes, COMPUTE)
            };
            assert_eq!(done.is_ok(), fresh, "{done:?}");
            if fresh {
                model.extend(distinct);
            }
        }
        Edit::Update(rows) => {
            let rows: BTreeMap<_, _> = rows.into_iter().collect();
            let (ids, codes) = split(&rows.clone().into_iter().collect::<Vec<_>>());
            let floats: Vec<f32> = codes.iter().map(|&c| f32::from(c)).collect();
            index.update(&ids, &floats, COMPUTE).unwrap();
            model.extend(rows);
        }
        Edit::Delete(ids) => {
            let present = ids.iter().filter(|id| model.remove(id).is_some()).count();
            assert_eq!(index.delete(&ids), present);
        }
        Edit::Compact => index.compact(COMPUTE),
        Edit::Reload => *index = Hnsw::load(std::sync::Arc::new(index.to_bytes())).unwrap(),
    }
}

fn split(rows: &[(u64, [i8; WIDTH])]) -> (Vec<u64>, Vec<i8>) {
    (rows.iter().map(|r| r.0).collect(), rows.iter().flat_map(|r| r.1).collect())
}

#[test]
fn bad_parameters_and_vectors_are_named() {
    let range = |params: Params| match params.validate() {
        Err(ParamsError::Range { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let good = Params::new(2, Metric::L2);
    assert_eq!(range(Params { width: 0, ..good.clone() }), "width");
    assert_eq!(range(Params { width: plan::MAX_WIDTH + 1, ..good.clone() }), "width");
    assert_eq!(range(Params { m: 1, ..good.clone() }), "m");
    assert_eq!(range(Params { ef_construction: 15, ..good.clone() }), "ef_construction");
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-40] {
        assert!(matches!(
            Params { scale: Some(scale), ..good.clone() }.validate(),
            Err(ParamsError::Scale(_))
        ));
    }
    let mut index = Hnsw::new(good.clone()).unwrap();
    let mut insert = |ids: &[u64], values: &[f32]| index.insert(ids, values, COMPUTE);
    assert_eq!(insert(&[1], &[0.0]), Err(InsertError::Length { ids: 1, width: 2, values: 1 }));
    assert_eq!(insert(&[4, 6], &[0., 0., 0., f32::INFINITY]), Err(InsertError::NotFinite { id: 6, at: 1 }));
    assert_eq!(insert(&[4, 4], &[0.; 4]), Err(InsertError::Duplicate(4)));
    assert_eq!(insert(&[4], &[0.; 2]), Ok(()));
    assert_eq!(insert(&[3, 4], &[0.; 4]), Err(InsertError::Duplicate(4)));
    assert_eq!(index.insert_codes(&[9], &[1, 1], COMPUTE), Err(InsertError::FloatsWanted));
    let mut coded = Hnsw::new(Params { keep_floats: false, ..good }).unwrap();
    assert_eq!(coded.insert_codes(&[9], &[1, -128], COMPUTE), Err(InsertError::Code { id: 9, at: 1 }));
    assert_eq!((index.len(), coded.len()), (1, 0));
}
