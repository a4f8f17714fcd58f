//! For tests only: the same interpreter, limits and slices of fuel, without the rules about imports and exports.

use wasmi::{Engine, Func, Instance, Store, Val};

pub use crate::engine::State;
use crate::{Limits, ModuleError, RunError, engine, module};

/// The interpreter that [`crate::Module`] uses.
pub fn engine() -> Engine {
    engine::engine()
}

/// A store as a run has it, but for many instances that know each other.
pub fn store(engine: &Engine, limits: &Limits) -> Store<State> {
    engine::store(engine, limits, INSTANCES)
}

/// Sets how much fuel the interpreter gets at a time, which must change nothing.
pub fn set_slice(store: &mut Store<State>, fuel: u64) {
    store.data_mut().slice = fuel;
}

/// Units of fuel that are left of the budget.
pub fn fuel_left(store: &Store<State>) -> u64 {
    engine::fuel_left(store)
}

/// Scans and translates, with any imports and exports.
///
/// # Errors
///
/// As [`crate::Module::compile`].
pub fn compile(engine: &Engine, wasm: &[u8]) -> Result<wasmi::Module, ModuleError> {
    Ok(module::translate(engine, wasm)?.0)
}

/// An instance with the given imports.
///
/// # Errors
///
/// A limit, or what the interpreter says about imports that do not fit.
pub fn instantiate(
    store: &mut Store<State>,
    module: &wasmi::Module,
    imports: &[wasmi::Extern],
) -> Result<Instance, RunError> {
    Instance::new(&mut *store, module, imports).map_err(|error| engine::cause(store, &error))
}

/// Calls any function.
///
/// # Errors
///
/// As [`crate::Module::execute`].
pub fn call(
    store: &mut Store<State>,
    func: &Func,
    params: &[Val],
    results: &mut [Val],
) -> Result<(), RunError> {
    engine::call(store, func, params, results, &|| false)
}

const INSTANCES: usize = 10_000;
