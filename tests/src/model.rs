//! The real model, where the test run has made it.

use std::{path::PathBuf, sync::Arc};

use models::bert::IntBert;

/// The quantised MiniLM that `EDGENET_TEST_MINILM` names. Where it is unset the caller's test is *not run*, and
/// says so; with `EDGENET_TEST_ALL` set that is a failure.
pub fn minilm() -> Option<Arc<IntBert>> {
    let Some(path) = std::env::var_os("EDGENET_TEST_MINILM") else {
        not_run("EDGENET_TEST_ALL", "EDGENET_TEST_MINILM names no quantised model");
        return None;
    };
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Some(Arc::new(IntBert::from_bytes(Arc::new(bytes)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))))
}

/// A file of the reference data that lies beside the project, not in it.
pub fn shared_data(path: &str) -> Option<PathBuf> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(path);
    if file.exists() {
        return Some(file);
    }
    not_run("EDGENET_TEST_SHARED", &format!("no reference data {path} beside the project"));
    None
}

/// Says that a test is not run; fails it where the environment promises that it can be.
fn not_run(promise: &str, why: &str) {
    assert!(std::env::var_os(promise).is_none(), "{promise} is set, but {why}");
    crate::report(&format!("not run: {why}"));
}
