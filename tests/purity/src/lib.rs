//! The pure crates as one wasm module. The test run builds it for `wasm32-unknown-unknown` and fails if it
//! imports anything: a clock, a file, a socket or an entropy source would show up as an import.

use std::sync::Arc;

use models::{bert::IntBert, tokenizer::WordPiece};
use plan::Weights;

/// Reads a model from `len` bytes at `model`, tokenises its own vocabulary as a text and writes a plan: what
/// the pure crates do, so that none of it is optimised away. Returns the steps of the plan, 0 on bad input.
///
/// # Safety
/// `model` must point to `len` readable bytes.
#[allow(unsafe_code, reason = "the one exported symbol of a module that only a test loads")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn exercise(model: *const u8, len: usize) -> usize {
    // SAFETY: the caller promises a readable range.
    let bytes = unsafe { std::slice::from_raw_parts(model, len) }.to_vec();
    steps(bytes).unwrap_or(0)
}

fn steps(bytes: Vec<u8>) -> Option<usize> {
    let model = IntBert::from_bytes(Arc::new(bytes)).ok()?;
    let tokenizer = WordPiece::new(model.vocab()).ok()?;
    let mut ids = Vec::new();
    tokenizer.encode(std::str::from_utf8(model.vocab()).ok()?, model.config().max_tokens, &mut ids);
    let plan = model.plan(&[&ids]).ok()?;
    plan.check(&model).ok()?;
    Some(plan.steps.len() + model.len())
}
