//! Whatever bytes come in, decoders answer with a value or a refusal.

use proptest::prelude::*;
use serde_json::{Value, json};
use tasks::{Outcome, Task, Tier};

fn samples() -> Vec<Vec<u8>> {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    [
        (
            "vector_search",
            json!({"queries": [[1.0, 2.0]], "vectors": [[1.0, 2.0], [3.0, 4.0]], "k": 1, "filter": [1]}),
        ),
        ("vector_insert", json!({"index": "a", "ids": [1, 2], "vectors": [[1.0], [2.0]]})),
        ("embedding", json!({"texts": ["a", "b"]})),
        ("semantic_match", json!({"queries": ["a"], "agents": [{"id": "x", "description": "y"}]})),
        ("neural_inference", json!({"network": "AAAA", "inputs": [[0.5]], "steps": 5})),
        ("encryption", json!({"op": "encrypt", "data": "AAAA", "key": key})),
        ("compression", json!({"vectors": [[1.0, 2.0]], "target": {"recall": 0.5}})),
        ("custom_wasm", json!({"module": "AAAA", "input": "", "maxFuel": 10})),
    ]
    .into_iter()
    .map(|(name, payload)| Task::from_json(name, payload).expect("a sample").to_bytes())
    .collect()
}

/// Decodes, checks what decodes, and encodes it again.
fn exercise(bytes: &[u8]) -> bool {
    drop(Outcome::from_bytes(bytes));
    match Task::from_bytes(bytes) {
        Ok(task) => {
            assert_eq!(task.to_bytes(), bytes);
            drop(task.check(Tier::Public));
            true
        }
        Err(_) => false,
    }
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9+/=]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let field = prop_oneof![
            Just("queries"),
            Just("vectors"),
            Just("k"),
            Just("index"),
            Just("ids"),
            Just("texts"),
            Just("agents"),
            Just("network"),
            Just("inputs"),
            Just("steps"),
            Just("op"),
            Just("data"),
            Just("key"),
            Just("codec"),
            Just("target"),
            Just("module"),
            Just("input"),
            Just("maxFuel"),
            Just("metric"),
            Just("id"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(field.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
    }

    #[test]
    fn changed_bytes(sample in 0..8usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = samples().swap_remove(sample);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        exercise(&bytes);
    }

    #[test]
    fn any_json(name in 0..8usize, payload in json_values()) {
        let name = Task::names().nth(name).expect("eight names");
        if let Ok(task) = Task::from_json(name, payload) {
            prop_assert!(exercise(&task.to_bytes()));
        }
    }
}

/// The harness sees valid bytes as valid: it does not only ever refuse.
#[test]
fn samples_pass() {
    assert!(samples().iter().all(|bytes| exercise(bytes)));
}

/// Raised by `PROPTEST_CASES` for a longer hunt.
fn cases() -> u32 {
    #[expect(clippy::disallowed_methods, reason = "a test, not the pure crate")]
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000)
}
