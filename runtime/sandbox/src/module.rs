//! A module that was accepted, and its runs.

use wasmi::{ExternType, FuncType, Instance, Memory, Store, Val, ValType};

use crate::{
    BYTES_PER_FUEL, Limits, MAX_OUTPUT_BYTES, ModuleError, PAGE_BYTES, Policy, RunError, SandboxError,
    crypto,
    engine::{self, State},
    error::shown,
    scan::{self, Shape},
};

/// A module that was checked and translated. It can run any number of times; no run sees another.
#[derive(Clone, Debug)]
pub struct Module {
    module: wasmi::Module,
    shape: Shape,
    optional: Optional,
}

/// Which of the exports that may be missing are there.
#[derive(Clone, Copy, Debug)]
struct Optional {
    initialize: bool,
    alloc: bool,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The bytes that `execute` pointed at.
    pub output: Vec<u8>,
    /// Units of fuel used: equal on every machine.
    pub fuel_used: u64,
}

impl Module {
    /// Checks and translates the binary format.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Module`] says why the module is refused.
    pub fn compile(wasm: &[u8], policy: &Policy) -> Result<Self, SandboxError> {
        let (module, shape) = translate(&engine::engine(), wasm)?;
        for import in module.imports() {
            if !policy.allow_crypto {
                let (module, name) = (shown(import.module()), shown(import.name()));
                return Err(ModuleError::UnknownImport { module, name }.into());
            }
            crypto::check(import.module(), import.name(), import.ty().func())?;
        }
        let optional = check_exports(&module)?;
        Ok(Self { module, shape, optional })
    }

    /// Runs `execute` on `input`.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Run`] with the cause and the fuel used until then.
    pub fn execute(&self, input: &[u8], limits: &Limits) -> Result<Outcome, SandboxError> {
        self.execute_until(input, limits, &|| false)
    }

    /// Runs `execute` on `input` as long as `should_stop` says false. It is asked every few milliseconds. A run
    /// that was not stopped gives what [`Module::execute`] gives, fuel included.
    ///
    /// # Errors
    ///
    /// As [`Module::execute`], and [`RunError::Stopped`].
    pub fn execute_until(
        &self,
        input: &[u8],
        limits: &Limits,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Outcome, SandboxError> {
        let mut store = engine::store(self.module.engine(), limits, 1);
        let ran = self.run(&mut store, input, should_stop);
        let fuel_used = limits.max_fuel() - engine::fuel_left(&store);
        match ran {
            Ok(output) => Ok(Outcome { output, fuel_used }),
            Err(cause) => Err(SandboxError::Run { cause, fuel_used }),
        }
    }

    fn run(
        &self,
        store: &mut Store<State>,
        input: &[u8],
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, RunError> {
        let instance = self.instantiate(store)?;
        if self.optional.initialize {
            let initialize = instance.get_func(&*store, INITIALIZE).expect("checked at translation");
            engine::call(store, &initialize, &[], &mut [], should_stop)?;
        }
        let memory = instance.get_memory(&*store, MEMORY).expect("checked at translation");
        let start = self.place(store, &instance, &memory, input, should_stop)?;
        let length = input.len() as i32;
        let execute = instance.get_func(&*store, EXECUTE).expect("checked at translation");
        let mut results = vec![Val::I32(0); execute.ty(&*store).results().len()];
        engine::call(
            store,
            &execute,
            &[Val::I32(start as i32), Val::I32(length)],
            &mut results,
            should_stop,
        )?;
        let (start, bytes) = match results[..] {
            [Val::I32(start), Val::I32(bytes)] => (start as u32, bytes as u32),
            [Val::I64(packed)] => ((packed as u64 >> 32) as u32, packed as u32),
            _ => unreachable!("checked at translation"),
        };
        if bytes > MAX_OUTPUT_BYTES {
            return Err(RunError::OutputTooLarge { bytes, max: MAX_OUTPUT_BYTES });
        }
        charge_copy(store, u64::from(bytes))?;
        let data = memory.data(&*store);
        let output = engine::range(start, bytes as usize).and_then(|range| data.get(range));
        let memory_bytes = data.len() as u64;
        output.map(<[u8]>::to_vec).ok_or(RunError::OutputPlace { start, bytes, memory_bytes })
    }

    fn instantiate(&self, store: &mut Store<State>) -> Result<Instance, RunError> {
        engine::charge(store, self.shape.setup_fuel())?;
        let names: Vec<_> = self.module.imports().map(|import| import.name().to_owned()).collect();
        let externs: Vec<_> = names.iter().map(|name| crypto::import(store, name)).collect();
        Instance::new(&mut *store, &self.module, &externs).map_err(|error| engine::cause(store, &error))
    }

    /// Puts the input where `alloc` says, or into pages added to the memory.
    fn place(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        memory: &Memory,
        input: &[u8],
        should_stop: &dyn Fn() -> bool,
    ) -> Result<u32, RunError> {
        let refused = |reason| RunError::InputPlace { bytes: input.len(), reason };
        let length = i32::try_from(input.len()).map_err(|_| refused("longer than any memory"))?;
        charge_copy(store, input.len() as u64)?;
        let start = match self.optional.alloc {
            true => {
                let alloc = instance.get_func(&*store, ALLOC).expect("checked at translation");
                let mut results = [Val::I32(0)];
                engine::call(store, &alloc, &[Val::I32(length)], &mut results, should_stop)?;
                results[0].i32().expect("checked at translation") as u32
            }
            false => append(store, memory, input.len() as u64)?
                .ok_or_else(|| refused("the memory may not grow"))?,
        };
        let data = memory.data_mut(&mut *store);
        let to = engine::range(start, input.len()).and_then(|range| data.get_mut(range));
        to.ok_or_else(|| refused("alloc gave a place outside the memory"))?.copy_from_slice(input);
        Ok(start)
    }
}

/// The interpreter's form of a module, whatever it imports and exports.
///
/// # Errors
///
/// It is too large or not valid.
pub(crate) fn translate(engine: &wasmi::Engine, wasm: &[u8]) -> Result<(wasmi::Module, Shape), ModuleError> {
    let shape = scan::scan(wasm)?;
    let module = wasmi::Module::new(engine, wasm);
    let module = module.map_err(|error| ModuleError::Invalid { reason: shown(&error.to_string()) })?;
    Ok((module, shape))
}

fn check_exports(module: &wasmi::Module) -> Result<Optional, ModuleError> {
    match module.get_export(MEMORY) {
        None => return Err(ModuleError::MissingExport { name: MEMORY, expected: "a memory" }),
        Some(ExternType::Memory(_)) => {}
        Some(_) => return Err(ModuleError::ExportType { name: MEMORY, expected: "a memory" }),
    }
    let two = [ValType::I32, ValType::I32];
    let executes = has_function(module, EXECUTE, EXECUTE_TYPE, |ty| {
        ty.params() == two && (ty.results() == two || ty.results() == [ValType::I64])
    })?;
    if !executes {
        return Err(ModuleError::MissingExport { name: EXECUTE, expected: EXECUTE_TYPE });
    }
    Ok(Optional {
        initialize: has_function(module, INITIALIZE, "a function () -> ()", |ty| {
            ty.params().is_empty() && ty.results().is_empty()
        })?,
        alloc: has_function(module, ALLOC, "a function (i32) -> i32", |ty| {
            ty.params() == [ValType::I32] && ty.results() == [ValType::I32]
        })?,
    })
}

/// Whether there is an export `name`, which must be a function whose type `fits`.
fn has_function(
    module: &wasmi::Module,
    name: &'static str,
    expected: &'static str,
    fits: impl Fn(&FuncType) -> bool,
) -> Result<bool, ModuleError> {
    match module.get_export(name) {
        None => Ok(false),
        Some(ExternType::Func(ty)) if fits(&ty) => Ok(true),
        Some(_) => Err(ModuleError::ExportType { name, expected }),
    }
}

/// Adds pages for `bytes` bytes and gives the first byte, or nothing if the module declared that its memory may
/// not grow so far.
fn append(store: &mut Store<State>, memory: &Memory, bytes: u64) -> Result<Option<u32>, RunError> {
    let pages = bytes.div_ceil(PAGE_BYTES);
    charge_copy(store, pages * PAGE_BYTES)?;
    let start = memory.data_size(&*store) as u32;
    match memory.grow(&mut *store, pages) {
        Ok(_) => Ok(Some(start)),
        Err(_) => engine::refusal(store).map_or(Ok(None), Err),
    }
}

fn charge_copy(store: &mut Store<State>, bytes: u64) -> Result<(), RunError> {
    engine::charge(store, bytes / BYTES_PER_FUEL)
}

const MEMORY: &str = "memory";
const EXECUTE: &str = "execute";
const ALLOC: &str = "alloc";
const INITIALIZE: &str = "_initialize";
const EXECUTE_TYPE: &str = "a function (i32, i32) -> (i32, i32) or (i32, i32) -> i64";
