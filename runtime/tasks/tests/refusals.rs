//! Every bad payload is refused with a code and the field it is in, before any work.

use serde_json::{Value, json};
use tasks::{Code, Refusal, Task, Tier};

fn refusal(name: &str, payload: Value, tier: Tier) -> Refusal {
    match Task::from_json(name, payload.clone()).and_then(|task| task.check(tier)) {
        Err(refusal) => refusal,
        Ok(_) => panic!("{name} {payload}: not refused"),
    }
}

/// A valid payload with some fields replaced, or taken out where the new value is null.
fn with(valid: &Value, changes: Value) -> Value {
    let mut payload = valid.clone();
    let object = payload.as_object_mut().expect("an object");
    for (field, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(object.remove(field)),
            _ => drop(object.insert(field.clone(), value.clone())),
        }
    }
    payload
}

/// A valid payload of every type.
fn valid(name: &str) -> Value {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    match name {
        "vector_search" => json!({"queries": [[1.0, 2.0]], "vectors": [[1.0, 2.0], [3.0, 4.0]], "k": 1}),
        "vector_insert" => json!({"index": "a", "ids": [1, 2], "vectors": [[1.0], [2.0]]}),
        "embedding" => json!({"texts": ["a"]}),
        "semantic_match" => json!({"queries": ["a"], "agents": [{"id": "x", "description": "y"}]}),
        "neural_inference" => json!({"network": "AAAA", "inputs": [[0.5]], "steps": 5}),
        "encryption" => json!({"op": "encrypt", "data": "AAAA", "key": key}),
        "compression" => json!({"vectors": [[1.0, 2.0]]}),
        "custom_wasm" => json!({"module": "AAAA", "input": "", "maxFuel": 10}),
        _ => json!({}),
    }
}

/// Each change of a valid payload is refused with its code, naming its field.
fn refused(name: &str, cases: Vec<(Value, Code, &str)>) {
    for (changes, code, field) in cases {
        let found = refusal(name, with(&valid(name), changes.clone()), Tier::Own);
        assert_eq!((found.code, found.field.as_str()), (code, field), "{name} {changes}: {found}");
    }
}

#[test]
fn valid_payloads_pass_and_unknown_fields_are_named() {
    for name in Task::names() {
        let checked = Task::from_json(name, valid(name)).and_then(|task| task.check(Tier::Own));
        assert!(checked.is_ok(), "{name}: {checked:?}");
        let unknown = refusal(name, with(&valid(name), json!({"surprise": 1})), Tier::Own);
        assert_eq!(unknown.code, Code::Malformed, "{name}");
        assert!(unknown.message.contains("surprise"), "{name}: {unknown}");
    }
    refused("teleport", vec![(json!({}), Code::Unknown, "type")]);
}

#[test]
fn search_payloads() {
    let huge = vec![0.5; plan::MAX_WIDTH + 1];
    refused(
        "vector_search",
        vec![
            (json!({"k": 0}), Code::OutOfRange, "k"),
            (json!({"k": 257}), Code::OutOfRange, "k"),
            (json!({"queries": []}), Code::Empty, "queries"),
            (json!({"queries": [[]]}), Code::Empty, "queries"),
            (json!({"queries": [[1.0, 2.0], [1.0]]}), Code::Malformed, "payload"),
            (json!({"queries": [[1.0]]}), Code::Shape, "queries"),
            (json!({"queries": [[1.0, 1e39]]}), Code::NotFinite, "queries[0][1]"),
            (json!({"queries": [huge]}), Code::TooLarge, "queries"),
            (json!({"query": [1.0, 2.0]}), Code::Choice, "query"),
            (json!({"index": "a"}), Code::Choice, "vectors"),
            (json!({"vectors": null}), Code::Choice, "vectors"),
            (json!({"ef": 0}), Code::OutOfRange, "ef"),
            (json!({"filter": []}), Code::Empty, "filter"),
            (json!({"metric": "manhattan"}), Code::Malformed, "payload"),
        ],
    );
}

#[test]
fn insert_payloads() {
    refused(
        "vector_insert",
        vec![
            (json!({"ids": [1]}), Code::Shape, "ids"),
            (json!({"ids": [1, 1]}), Code::Duplicate, "ids[1]"),
            (json!({"index": ""}), Code::Empty, "index"),
            (json!({"index": "a\nb"}), Code::Malformed, "index"),
            (json!({"index": "n".repeat(300)}), Code::TooLarge, "index"),
        ],
    );
}

#[test]
fn embedding_payloads() {
    let long = "x".repeat(tasks::limits::MAX_TEXT_BYTES + 1);
    refused(
        "embedding",
        vec![
            (json!({"texts": []}), Code::Empty, "texts"),
            (json!({"texts": ["a", long]}), Code::TooLarge, "texts[1]"),
            (json!({"texts": vec!["a"; 2049]}), Code::TooLarge, "texts"),
            (json!({"normalize": false}), Code::OutOfRange, "normalize"),
        ],
    );
}

#[test]
fn match_payloads() {
    refused(
        "semantic_match",
        vec![
            (json!({"agents": []}), Code::Empty, "agents"),
            (json!({"threshold": 1.5}), Code::OutOfRange, "threshold"),
        ],
    );
}

#[test]
fn inference_payloads() {
    refused(
        "neural_inference",
        vec![
            (json!({"network": null}), Code::Choice, "network"),
            (json!({"spikes": "AAAAAA=="}), Code::Choice, "inputs"),
            (json!({"inputs": null, "spikes": "AAAA"}), Code::Shape, "spikes"),
            (json!({"inputs": [[1.5]]}), Code::OutOfRange, "inputs[0][0]"),
            (json!({"steps": 0}), Code::OutOfRange, "steps"),
            (json!({"networkHash": "xyz", "network": null}), Code::Malformed, "payload"),
        ],
    );
}

#[test]
fn encryption_payloads() {
    refused(
        "encryption",
        vec![
            (json!({"key": "AAAA"}), Code::Shape, "key"),
            (json!({"data": "not base64!"}), Code::Malformed, "payload"),
        ],
    );
}

#[test]
fn compression_payloads() {
    refused(
        "compression",
        vec![
            (json!({"codec": "int8", "target": {"bytes": 4.0}}), Code::Choice, "target"),
            (json!({"target": {"bytes": 4.0, "recall": 0.5}}), Code::Choice, "target"),
            (json!({"target": {"recall": 1.5}}), Code::OutOfRange, "target.recall"),
            (json!({"target": {"bytes": 0.0}}), Code::OutOfRange, "target.bytes"),
        ],
    );
}

#[test]
fn module_payloads() {
    refused(
        "custom_wasm",
        vec![
            (json!({"maxFuel": 0}), Code::OutOfRange, "maxFuel"),
            (json!({"maxMemory": u64::MAX}), Code::OutOfRange, "maxMemory"),
            (json!({"module": null}), Code::Choice, "module"),
            (json!({"module": ""}), Code::Empty, "module"),
        ],
    );
}

#[test]
fn keys_are_not_sent_to_strangers() {
    let payload =
        json!({"op": "encrypt", "data": "AAAA", "key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="});
    let found = refusal("encryption", payload.clone(), Tier::Public);
    assert_eq!((found.code, found.field.as_str()), (Code::Tier, "key"));
    let group =
        Task::from_json("encryption", payload).and_then(|task| task.check(Tier::Group)).expect("allowed");
    assert!(!format!("{group:?}").contains("0, 1, 2"), "a key is printed");
}

#[test]
fn names_are_stable_and_distinct() {
    let names: Vec<&str> = Task::names().collect();
    assert_eq!(
        names,
        [
            "vector_search",
            "vector_insert",
            "embedding",
            "semantic_match",
            "neural_inference",
            "encryption",
            "compression",
            "custom_wasm"
        ]
    );
    assert!(names.iter().all(|name| Task::canonical_name(name) == Some(name)));
    let codes: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|c| c.name()).collect();
    assert_eq!(codes.len(), Code::ALL.len());
}

#[test]
fn results_and_payloads_are_bounded() {
    let agents: Vec<Value> = (0..10_000).map(|i| json!({"id": i.to_string(), "description": ""})).collect();
    let payload = json!({"queries": vec![""; 200], "agents": agents, "k": 10_000});
    let found = refusal("semantic_match", payload, Tier::Own);
    assert_eq!((found.code, found.field.as_str()), (Code::TooLarge, "k"), "{found}");
    let huge = vec![0; tasks::limits::MAX_PAYLOAD_BYTES + 1];
    let found = Task::from_bytes(&huge).expect_err("too many bytes");
    assert_eq!((found.code, found.field.as_str()), (Code::TooLarge, "payload"), "{found}");
}
