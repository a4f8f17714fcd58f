//! The pure crates as one wasm module. The test run builds it for `wasm32-unknown-unknown` and fails if it
//! imports anything: a clock, a file, a socket or an entropy source would show up as an import.

use std::sync::Arc;

use identity::{Assignment, Delivery, OpenGuard, Payload, Prekeys, SecretKey, backup, seal};
use kernels_cpu::oracle::Oracle;
use models::{
    bert::IntBert,
    compress::{Codec, Compressed, Machine, Vectors},
    search::{
        Metric,
        hnsw::{Ask, Compute, Hnsw, Params, Searcher},
    },
    spiking::SpikingNet,
    tokenizer::WordPiece,
};
use plan::{Sequential, Weights};
use sandbox::{Limits, Module, Policy};
use tasks::encryption::{Key, Portable, seal_stream};

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

/// Reads a task from `len` bytes, checks and prices it, runs a module in the sandbox, and compresses, indexes, searches,
/// seals and opens the bytes: what else the pure crates do. Returns the price, 0 on bad input.
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
    tasks::base_price(&checked, tasks::Known::default())
        + ran
        + index
        + network
        + golden()
        + search(bytes)
        + sealed(bytes).unwrap_or(0)
}

/// The bytes sealed for a worker and opened by it, and its key in a backup.
fn sealed(bytes: &[u8]) -> Option<u64> {
    let random = &mut |to: &mut [u8]| to.fill(7);
    let identity = SecretKey::generate(random);
    let account = identity.account().to_string().parse().ok()?;
    let mut prekeys = Prekeys::new(account);
    let prekey = *prekeys.rotate(&identity, 1, random)?;
    let payload = Payload::new(bytes, random).ok()?;
    let envelope = seal::envelope_hash(&payload.commit().0);
    let assignment = Assignment {
        network: [1; 32],
        task: [2; 32],
        number: 0,
        submitter: account,
        worker: account,
        envelope,
    };
    let commit = payload.commit();
    let (payload, key) = payload.seal(&envelope, random).ok()?;
    let (key, _) = key.wrap(&assignment, &identity, &prekey, 1, random).ok()?;
    let delivery =
        Delivery { assignment: &assignment, commit: &commit, expiry_epoch: 2, key: &key, payload: &payload };
    let opened = seal::open(&mut prekeys, &mut OpenGuard::new(), &delivery, 1).ok()?;
    let cost = backup::Cost { memory_kib: 8, passes: 1, lanes: 1 };
    let file = backup::export(&identity, opened.plain(), b"passphrase", cost, random).ok()?;
    Some(backup::import(&file, b"passphrase").ok()?.extra.len() as u64)
}

fn run_module(task: &tasks::Task) -> Option<u64> {
    let tasks::Task::CustomWasm(task) = task else { return None };
    let module = Module::compile(&task.module.as_ref()?.0, &Policy { allow_crypto: true }).ok()?;
    Some(module.execute(&task.input.0, &Limits::new(task.max_fuel, None).ok()?).ok()?.fuel_used)
}

/// Vectors of the bytes compressed, indexed and searched with the oracle's kernels; the result is sealed.
fn search(bytes: &[u8]) -> u64 {
    let values: Vec<f32> = bytes.iter().map(|&b| f32::from(b)).collect();
    let searched = || {
        let vectors = Vectors::new(&values, 1).ok()?;
        let small = Compressed::encode(vectors, Codec::Int4, Machine::PLAIN).ok()?.to_bytes();
        let mut index = Hnsw::new(Params::new(1, Metric::L2)).ok()?;
        let ids: Vec<u64> = (0..values.len() as u64).collect();
        index.insert(&ids, &values, Compute { gather: &Oracle, parallel: &Sequential }).ok()?;
        let ask = Ask { k: 3, ef: 8, filter: None };
        let mut searcher = Searcher::default();
        let found = index.search(&[1.0], &ask, &Oracle, &mut searcher).ok()?.len();
        let cipher = Portable::new(&Key::new([1; 32]));
        let sealed = seal_stream(&cipher, &mut |bytes: &mut [u8]| bytes.fill(7), b"", &small).ok()?;
        Some((found + sealed.len()) as u64)
    };
    searched().unwrap_or(0)
}

fn golden() -> u64 {
    let (weights, test) = models::self_test();
    test.plan.check(&*weights).map_or(0, |()| test.plan.bytes() as u64)
}
