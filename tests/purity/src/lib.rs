//! The pure crates as one wasm module. The test run builds it for `wasm32-unknown-unknown` and fails if it
//! imports anything: a clock, a file, a socket or an entropy source would show up as an import.

use std::sync::Arc;

use models::{bert::IntBert, search::hnsw::Hnsw, spiking::SpikingNet, tokenizer::WordPiece};
use plan::Weights;
use sandbox::{Limits, Module, Policy};

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

/// Reads a task from `len` bytes, checks and prices it, and runs a module in the sandbox: the rest of what pure crates
/// do. Returns the price, 0 on bad input.
///
/// # Safety
/// `task` must point to `len` readable bytes.
#[allow(unsafe_code, reason = "the other exported symbol of a module that only a test loads")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn price(task: *const u8, len: usize) -> u64 {
    // SAFETY: the caller promises a readable range.
    let bytes = unsafe { std::slice::from_raw_parts(task, len) };
    let Ok(Ok(checked)) = tasks::Task::from_bytes(bytes).map(|task| task.check(tasks::Tier::Public)) else {
        return 0;
    };
    let ran = run_module(checked.task()).unwrap_or(0);
    let index = Hnsw::load(Arc::new(bytes.to_vec())).map_or(0, |index| index.len() as u64);
    let network = SpikingNet::from_bytes(Arc::new(bytes.to_vec())).map_or(0, |net| net.inputs() as u64);
    tasks::base_price(&checked, tasks::Known::default()) + ran + index + network + golden()
}

fn run_module(task: &tasks::Task) -> Option<u64> {
    let tasks::Task::CustomWasm(task) = task else { return None };
    let module = Module::compile(&task.module.as_ref()?.0, &Policy { allow_crypto: true }).ok()?;
    Some(module.execute(&task.input.0, &Limits::new(task.max_fuel, None).ok()?).ok()?.fuel_used)
}

fn golden() -> u64 {
    let (weights, test) = models::self_test();
    test.plan.check(&*weights).map_or(0, |()| test.plan.bytes() as u64)
}
