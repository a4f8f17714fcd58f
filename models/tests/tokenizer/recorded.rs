//! Ids recorded from other programs, where their files are present.

use crate::reference::encode;
use models::tokenizer::WordPiece;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[test]
fn golden_ids() {
    let Some((tokenizer, cases)) = recorded("tokenizer/golden_ids.json", "cases") else { return };
    assert_eq!(wrong_cases(&tokenizer, &cases), [""; 0]);
}

#[test]
fn minilm_reference_ids() {
    let Some((tokenizer, items)) = recorded("minilm_reference/reference.json", "items") else { return };
    assert_eq!(wrong_cases(&tokenizer, &items), [""; 0]);
}

#[test]
fn a_wrong_recorded_id_is_caught() {
    let tokenizer = WordPiece::new(b"[UNK]\n[CLS]\n[SEP]\na\nb").unwrap();
    let case = |text: &str, ids: [u32; 3]| serde_json::json!({ "text": text, "ids": ids });
    let cases = [case("a", [1, 3, 2]), case("b", [1, 3, 2])];
    assert_eq!(wrong_cases(&tokenizer, &cases).len(), 1);
}

/// The texts whose ids, at most 256, are not the recorded ones.
fn wrong_cases(tokenizer: &WordPiece, cases: &[Value]) -> Vec<String> {
    assert!(!cases.is_empty());
    let wrong = cases.iter().filter_map(|case| {
        let text = case["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        let (ours, _) = encode(tokenizer, text, 256);
        (ours != ids).then(|| format!("{text:?}: {ours:?}, not {ids:?}"))
    });
    wrong.collect()
}

/// The tokenizer of `bert-base-uncased` and the list `key` of a JSON file; `None` where the files are absent.
fn recorded(file: &str, key: &str) -> Option<(WordPiece, Vec<Value>)> {
    let vocab = std::fs::read(shared_data("tokenizer/bert-base-uncased-vocab.txt")?).unwrap();
    let json: Value = serde_json::from_slice(&std::fs::read(shared_data(file)?).unwrap()).unwrap();
    let Value::Array(cases) = json[key].clone() else { panic!("{file} has no list {key}") };
    Some((WordPiece::new(&vocab).unwrap(), cases))
}

/// Where a file of the shared data lies; says so if it is absent.
#[expect(clippy::print_stderr, reason = "a test that did not run must not look like one that passed")]
pub(crate) fn shared_data(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(file);
    if !path.exists() {
        eprintln!("not run: shared/data/{file} is absent");
        return None;
    }
    Some(path)
}
