//! The interpreter as it is always set up: which WebAssembly it takes, how it counts fuel, what memory it gives.

use std::ops::Range;

use wasmi::{
    CompilationMode, Config, CustomFuelCosts, Engine, Error, Func, ResourceLimiter, ResumableCall, Store,
    TrapCode, Val,
    errors::{ErrorKind, InstantiationError, MemoryError, TableError},
};
use wasmi_core::LimiterError;

use crate::{
    BYTES_PER_FUEL, Limits, MAX_CALL_DEPTH, MAX_STACK_BYTES, MAX_TABLE_ELEMENTS, RunError, Trap,
    error::shown,
    limits::{MAX_MEMORIES, MAX_TABLES},
};

/// An interpreter of its own for every module, so that nothing is shared between strangers.
///
/// Translation is eager: which functions a run reaches does not change its fuel. NaNs are canonical by a feature
/// of the interpreter, SIMD and 64-bit memories are not compiled in.
pub(crate) fn engine() -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: BYTES_PER_FUEL as u32,
            // Charged only where translation is lazy.
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        .compilation_mode(CompilationMode::Eager)
        .ignore_custom_sections(true)
        .allow_start_fn(false)
        .set_max_recursion_depth(MAX_CALL_DEPTH)
        .set_max_stack_height(MAX_STACK_BYTES)
        .set_max_cached_stacks(1)
        .floats(true)
        .wasm_mutable_global(true)
        .wasm_sign_extension(true)
        .wasm_saturating_float_to_int(true)
        .wasm_multi_value(true)
        .wasm_bulk_memory(true)
        .wasm_reference_types(true)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false);
    Engine::new(&config)
}

/// A store with the whole budget of `limits` in it, for at most `instances` instances.
pub(crate) fn store(engine: &Engine, limits: &Limits, instances: usize) -> Store<State> {
    let state = State {
        max_memory_bytes: limits.max_memory_bytes(),
        instances,
        reserve: limits.max_fuel(),
        slice: SLICE_FUEL,
        refusal: None,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| state);
    store
}

/// What belongs to a run beside the interpreter's own state.
#[derive(Debug)]
pub struct State {
    max_memory_bytes: u64,
    instances: usize,
    /// Units of fuel that the interpreter does not have yet: it gets them in slices.
    reserve: u64,
    /// Units of fuel that it gets at a time.
    pub(crate) slice: u64,
    /// Why the last growth was refused.
    refusal: Option<RunError>,
}

impl State {
    fn refuse(&mut self, why: RunError) -> Result<bool, LimiterError> {
        self.refusal = Some(why);
        Err(LimiterError::ResourceLimiterDeniedAllocation)
    }
}

/// Growth up to the declared maximum and the limit succeeds, growth beyond the declared maximum gives -1 as the
/// specification says, growth beyond the limit ends the run: a module never sees how much a machine had to give.
impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        match desired as u64 > self.max_memory_bytes {
            true => self.refuse(RunError::MemoryLimit { max: self.max_memory_bytes }),
            false => Ok(true),
        }
    }

    fn memory_grow_failed(&mut self, error: &MemoryError) -> Result<(), LimiterError> {
        match error {
            MemoryError::OutOfSystemMemory => self.refuse(RunError::HostMemory).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        match desired as u64 > MAX_TABLE_ELEMENTS {
            true => self.refuse(RunError::TableLimit { max: MAX_TABLE_ELEMENTS }),
            false => Ok(true),
        }
    }

    fn table_grow_failed(&mut self, error: &TableError) -> Result<(), LimiterError> {
        match error {
            TableError::OutOfSystemMemory => self.refuse(RunError::HostMemory).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances.saturating_mul(MAX_TABLES as usize)
    }

    fn memories(&self) -> usize {
        self.instances.saturating_mul(MAX_MEMORIES as usize)
    }
}

/// Calls `func`, in slices of fuel, asking `should_stop` before each.
///
/// # Errors
///
/// Whatever ended the call: no fuel, no permission to go on, a trap, a limit.
pub(crate) fn call(
    store: &mut Store<State>,
    func: &Func,
    params: &[Val],
    results: &mut [Val],
    should_stop: &dyn Fn() -> bool,
) -> Result<(), RunError> {
    let mut required = 0;
    let mut paused: Option<wasmi::ResumableCallOutOfFuel> = None;
    loop {
        if should_stop() {
            return Err(RunError::Stopped);
        }
        refill(store, required)?;
        let call = match paused.take() {
            None => func.call_resumable(&mut *store, params, results),
            Some(call) => call.resume(&mut *store, results),
        };
        match call.map_err(|error| cause(store, &error))? {
            ResumableCall::Finished => return Ok(()),
            ResumableCall::HostTrap(trap) => return Err(cause(store, trap.host_error())),
            ResumableCall::OutOfFuel(call) => {
                required = call.required_fuel();
                paused = Some(call);
            }
        }
    }
}

/// Moves one slice, or `required` units if they are more, from the reserve to the interpreter.
fn refill(store: &mut Store<State>, required: u64) -> Result<(), RunError> {
    let left = fuel_left(store);
    if required > left {
        return Err(RunError::OutOfFuel);
    }
    let slice = store.data().slice.max(required).min(left);
    store.data_mut().reserve = left - slice;
    store.set_fuel(slice).expect("fuel is counted");
    Ok(())
}

/// Takes `fuel` units for something that the host does.
///
/// # Errors
///
/// [`RunError::OutOfFuel`] where there are fewer; then none is taken.
pub(crate) fn charge(store: &mut Store<State>, fuel: u64) -> Result<(), RunError> {
    let left = fuel_left(store).checked_sub(fuel).ok_or(RunError::OutOfFuel)?;
    store.data_mut().reserve = left;
    store.set_fuel(0).expect("fuel is counted");
    Ok(())
}

/// [`charge`] from inside a host function. The interpreter keeps what its slice has left over.
///
/// # Errors
///
/// The interpreter's out of fuel.
pub(crate) fn charge_caller(caller: &mut wasmi::Caller<'_, State>, fuel: u64) -> Result<(), Error> {
    let slice = caller.get_fuel()?;
    let from_slice = slice.min(fuel);
    let reserve = caller.data().reserve.checked_sub(fuel - from_slice).ok_or(TrapCode::OutOfFuel)?;
    caller.data_mut().reserve = reserve;
    caller.set_fuel(slice - from_slice)
}

/// `length` bytes from `start`, where a machine can count so far.
pub(crate) fn range(start: u32, length: usize) -> Option<Range<usize>> {
    let start = start as usize;
    Some(start..start.checked_add(length)?)
}

/// Units of fuel that are left of the budget.
pub(crate) fn fuel_left(store: &Store<State>) -> u64 {
    store.data().reserve + store.get_fuel().expect("fuel is counted")
}

/// Why the last growth was refused, if one was.
pub(crate) fn refusal(store: &mut Store<State>) -> Option<RunError> {
    store.data_mut().refusal.take()
}

/// What ended a run, from what the interpreter said.
pub(crate) fn cause(store: &mut Store<State>, error: &Error) -> RunError {
    let refusal = refusal(store);
    let trap = match error.kind() {
        ErrorKind::Instantiation(error) => match instantiation(error) {
            Some(code) => code,
            None => return interpreter(error.to_string(), refusal),
        },
        kind => match kind.as_trap_code() {
            Some(code) => code,
            None => return interpreter(error.to_string(), refusal),
        },
    };
    RunError::Trap(match trap {
        TrapCode::UnreachableCodeReached => Trap::Unreachable,
        TrapCode::MemoryOutOfBounds => Trap::MemoryOutOfBounds,
        TrapCode::TableOutOfBounds => Trap::TableOutOfBounds,
        TrapCode::IndirectCallToNull => Trap::IndirectCallToNull,
        TrapCode::BadSignature => Trap::BadSignature,
        TrapCode::IntegerDivisionByZero => Trap::DivisionByZero,
        TrapCode::IntegerOverflow => Trap::IntegerOverflow,
        TrapCode::BadConversionToInteger => Trap::BadConversion,
        TrapCode::StackOverflow => Trap::StackOverflow,
        TrapCode::OutOfFuel => return RunError::OutOfFuel,
        TrapCode::GrowthOperationLimited => return refusal.unwrap_or(RunError::HostMemory),
        TrapCode::OutOfSystemMemory => return RunError::HostMemory,
    })
}

/// Instantiation fails as an instruction would that does the same.
fn instantiation(error: &InstantiationError) -> Option<TrapCode> {
    match error {
        InstantiationError::ElementSegmentDoesNotFit { .. } => Some(TrapCode::TableOutOfBounds),
        InstantiationError::FailedToInstantiateMemory(MemoryError::OutOfSystemMemory)
        | InstantiationError::FailedToInstantiateTable(TableError::OutOfSystemMemory) => {
            Some(TrapCode::OutOfSystemMemory)
        }
        InstantiationError::FailedToInstantiateMemory(MemoryError::ResourceLimiterDeniedAllocation)
        | InstantiationError::FailedToInstantiateTable(TableError::ResourceLimiterDeniedAllocation) => {
            Some(TrapCode::GrowthOperationLimited)
        }
        _ => None,
    }
}

fn interpreter(message: String, refusal: Option<RunError>) -> RunError {
    refusal.unwrap_or(RunError::Interpreter { message: shown(&message) })
}

/// Units of fuel between two questions whether to stop: some milliseconds.
const SLICE_FUEL: u64 = 1_000_000;
