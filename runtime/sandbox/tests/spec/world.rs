//! The instances of one script, and what its directives do to them, through the sandbox's own interpreter.

use std::collections::HashMap;

use sandbox::{
    Limits, MAX_MEMORY_BYTES, ModuleError, RunError, Trap,
    conformance::{self, State},
};
use wasmi::{
    Engine, Extern, Func, Global, Instance, Memory, MemoryType, Mutability, Nullable, Ref, RefType, Store,
    Table, TableType, Val,
};
use wast::{
    QuoteWat, QuoteWatTest, WastArg, WastDirective, WastExecute, WastInvoke, WastRet,
    core::{NanPattern, WastArgCore, WastRetCore},
};

use crate::Verdict;

/// Enough for the longest script, and a limit all the same.
const FUEL: u64 = 100_000_000;

pub(crate) struct World {
    engine: Engine,
    store: Store<State>,
    /// What other modules may import from, by name.
    registered: HashMap<String, Instance>,
    /// Instances by the name that the script gave them.
    named: HashMap<String, Result<Instance, String>>,
    /// The last module, or why it is out of scope.
    current: Option<Result<Instance, String>>,
    spectest: HashMap<&'static str, Extern>,
}

/// What an action gave: values, or what ended it.
type Acted = Result<Vec<Val>, RunError>;

impl World {
    pub(crate) fn new() -> Self {
        let engine = conformance::engine();
        let limits = Limits::new(FUEL, Some(MAX_MEMORY_BYTES)).expect("in range");
        let mut store = conformance::store(&engine, &limits);
        let spectest = spectest(&mut store);
        Self { engine, store, registered: HashMap::new(), named: HashMap::new(), current: None, spectest }
    }

    /// Does what a directive says. `nan` replaces the results of an `assert_return`.
    pub(crate) fn run(&mut self, directive: WastDirective<'_>, nan: bool) -> Verdict {
        match directive {
            WastDirective::Module(module) => self.module(module),
            WastDirective::Register { name, module, .. } => match self.instance(module.map(|id| id.name())) {
                Ok(instance) => {
                    self.registered.insert(name.to_owned(), instance);
                    Verdict::Done
                }
                Err(verdict) => verdict,
            },
            WastDirective::Invoke(call) => match self.invoke(&call) {
                Ok(Ok(_)) => Verdict::Done,
                Ok(Err(error)) => Verdict::Failed(error.to_string()),
                Err(verdict) => verdict,
            },
            WastDirective::AssertReturn { exec, results, .. } => match self.execute(exec) {
                Ok(Ok(values)) if nan => compare_nan(&values),
                Ok(Ok(values)) => compare(&values, &results),
                Ok(Err(error)) => Verdict::Failed(error.to_string()),
                Err(verdict) => verdict,
            },
            WastDirective::AssertTrap { exec, message, .. } => match self.execute(exec) {
                Ok(acted) => trapped(acted, message),
                Err(verdict) => verdict,
            },
            WastDirective::AssertExhaustion { call, message, .. } => match self.invoke(&call) {
                Ok(acted) => trapped(acted, message),
                Err(verdict) => verdict,
            },
            WastDirective::AssertInvalid { module, message, .. }
            | WastDirective::AssertMalformed { module, message, .. } => self.refused(module, message),
            WastDirective::AssertUnlinkable { mut module, message, .. } => match module.encode() {
                Ok(wasm) => match self.instantiate(&wasm) {
                    Ok(Err(RunError::Interpreter { .. })) => Verdict::Passed,
                    Ok(Err(RunError::Trap(trap))) => {
                        Verdict::Unlike { got: trap.code().into(), message: message.into() }
                    }
                    Ok(Err(error)) => Verdict::Failed(error.to_string()),
                    Ok(Ok(_)) => Verdict::Unlike { got: "linked".into(), message: message.into() },
                    Err(verdict) => verdict,
                },
                Err(error) => Verdict::Failed(error.to_string()),
            },
            other => Verdict::Failed(format!("unknown directive {other:?}")),
        }
    }

    fn module(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        let name = module.name().map(|id| id.name().to_owned());
        let wasm = match module.encode() {
            Ok(wasm) => wasm,
            Err(error) => return Verdict::Failed(error.to_string()),
        };
        let (instance, verdict) = match self.instantiate(&wasm) {
            Ok(Ok(instance)) => (Ok(instance), Verdict::Done),
            Ok(Err(error)) => (Err("instantiation failed".into()), Verdict::Failed(error.to_string())),
            Err(Verdict::OutOfScope(reason)) => (Err(reason.clone()), Verdict::OutOfScope(reason)),
            Err(verdict) => (Err("not translated".into()), verdict),
        };
        if let Some(name) = name {
            self.named.insert(name, instance.clone());
        }
        self.current = Some(instance);
        verdict
    }

    fn instantiate(&mut self, wasm: &[u8]) -> Result<Result<Instance, RunError>, Verdict> {
        let module = conformance::compile(&self.engine, wasm).map_err(|error| match error {
            ModuleError::Invalid { .. } => Verdict::Failed(error.to_string()),
            limit => Verdict::OutOfScope(format!("refused: {}", limit.code())),
        })?;
        let mut imports = Vec::new();
        for import in module.imports() {
            let found = match import.module() {
                "spectest" => self.spectest.get(import.name()).copied(),
                other => self.registered.get(other).and_then(|i| i.get_export(&self.store, import.name())),
            };
            imports.extend(found);
        }
        Ok(conformance::instantiate(&mut self.store, &module, &imports))
    }

    fn execute(&mut self, execute: WastExecute<'_>) -> Result<Acted, Verdict> {
        match execute {
            WastExecute::Invoke(call) => self.invoke(&call),
            WastExecute::Get { module, global, .. } => {
                let instance = self.instance(module.map(|id| id.name()))?;
                let global = instance.get_global(&self.store, global);
                let global = global.ok_or_else(|| Verdict::Failed("no such global".into()))?;
                Ok(Ok(vec![global.get(&self.store)]))
            }
            WastExecute::Wat(mut module) => {
                let wasm = module.encode().map_err(|error| Verdict::Failed(error.to_string()))?;
                Ok(self.instantiate(&wasm)?.map(|_| Vec::new()))
            }
        }
    }

    fn invoke(&mut self, call: &WastInvoke<'_>) -> Result<Acted, Verdict> {
        let instance = self.instance(call.module.map(|id| id.name()))?;
        let func = instance.get_func(&self.store, call.name);
        let func = func.ok_or_else(|| Verdict::Failed(format!("no function {}", call.name)))?;
        let params: Vec<Val> = call.args.iter().map(value).collect();
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        let called = conformance::call(&mut self.store, &func, &params, &mut results);
        Ok(called.map(|()| results))
    }

    fn instance(&self, name: Option<&str>) -> Result<Instance, Verdict> {
        let found = match name {
            Some(name) => self.named.get(name),
            None => self.current.as_ref(),
        };
        match found {
            Some(Ok(instance)) => Ok(*instance),
            Some(Err(reason)) => Err(Verdict::OutOfScope(reason.clone())),
            None => Err(Verdict::Failed("no such module".into())),
        }
    }

    /// The module must be refused as not valid.
    fn refused(&mut self, mut module: QuoteWat<'_>, message: &str) -> Verdict {
        let wasm = match module.to_test() {
            Ok(QuoteWatTest::Binary(wasm)) => wasm,
            Ok(QuoteWatTest::Text(_)) => return Verdict::OutOfScope("text format".into()),
            Err(error) => {
                return Verdict::Unlike { got: format!("no binary: {error}"), message: message.into() };
            }
        };
        match conformance::compile(&self.engine, &wasm) {
            Err(ModuleError::Invalid { .. }) => Verdict::Passed,
            Err(limit) => Verdict::OutOfScope(format!("refused: {}", limit.code())),
            Ok(_) => Verdict::Unlike { got: "valid".into(), message: message.into() },
        }
    }
}

fn value(arg: &WastArg<'_>) -> Val {
    match arg {
        WastArg::Core(WastArgCore::I32(v)) => Val::I32(*v),
        WastArg::Core(WastArgCore::I64(v)) => Val::I64(*v),
        WastArg::Core(WastArgCore::F32(v)) => Val::F32(wasmi::F32::from_bits(v.bits)),
        WastArg::Core(WastArgCore::F64(v)) => Val::F64(wasmi::F64::from_bits(v.bits)),
        other => panic!("no such value in version 1.0: {other:?}"),
    }
}

fn compare(values: &[Val], expected: &[WastRet<'_>]) -> Verdict {
    let fits = values.len() == expected.len() && values.iter().zip(expected).all(|(v, e)| equal(v, e));
    match fits {
        true => Verdict::Passed,
        false => Verdict::Failed(format!("{values:?}, expected {expected:?}")),
    }
}

fn equal(value: &Val, expected: &WastRet<'_>) -> bool {
    let WastRet::Core(expected) = expected else { return false };
    match (value, expected) {
        (Val::I32(v), WastRetCore::I32(e)) => v == e,
        (Val::I64(v), WastRetCore::I64(e)) => v == e,
        (Val::F32(v), WastRetCore::F32(NanPattern::Value(e))) => v.to_bits() == e.bits,
        (Val::F64(v), WastRetCore::F64(NanPattern::Value(e))) => v.to_bits() == e.bits,
        _ => false,
    }
}

/// Stricter than the script: of all NaNs it allows, ours is the positive canonical one.
fn compare_nan(values: &[Val]) -> Verdict {
    let canonical = match values {
        [Val::F32(v)] => v.to_bits() == 0x7fc0_0000,
        [Val::F64(v)] => v.to_bits() == 0x7ff8_0000_0000_0000,
        _ => false,
    };
    match canonical {
        true => Verdict::Passed,
        false => Verdict::Failed(format!("{values:?}, expected the canonical NaN")),
    }
}

fn trapped(acted: Acted, message: &str) -> Verdict {
    let expected = match message {
        "unreachable" => Trap::Unreachable,
        "out of bounds memory access" => Trap::MemoryOutOfBounds,
        "undefined element" | "undefined" => Trap::TableOutOfBounds,
        "uninitialized element" | "uninitialized" | "uninitialized element 7" => Trap::IndirectCallToNull,
        "indirect call type mismatch" | "indirect call" => Trap::BadSignature,
        "integer divide by zero" => Trap::DivisionByZero,
        "integer overflow" => Trap::IntegerOverflow,
        "invalid conversion to integer" => Trap::BadConversion,
        "call stack exhausted" => Trap::StackOverflow,
        other => return Verdict::Failed(format!("unknown trap {other}")),
    };
    match acted {
        Err(RunError::Trap(trap)) if trap == expected => Verdict::Passed,
        other => Verdict::Failed(format!("{other:?}, expected {expected:?}")),
    }
}

/// What the specification's scripts import.
fn spectest(store: &mut Store<State>) -> HashMap<&'static str, Extern> {
    let table = TableType::new(RefType::Func, 10, Some(20));
    let table = Table::new(&mut *store, table, Ref::Func(Nullable::Null)).expect("20 elements");
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2))).expect("2 pages");
    let global =
        |store: &mut Store<State>, value| Extern::Global(Global::new(store, value, Mutability::Const));
    HashMap::from([
        ("print", Extern::Func(Func::wrap(&mut *store, || {}))),
        ("print_i32", Extern::Func(Func::wrap(&mut *store, |_: i32| {}))),
        ("print_i64", Extern::Func(Func::wrap(&mut *store, |_: i64| {}))),
        ("print_f32", Extern::Func(Func::wrap(&mut *store, |_: f32| {}))),
        ("print_f64", Extern::Func(Func::wrap(&mut *store, |_: f64| {}))),
        ("print_i32_f32", Extern::Func(Func::wrap(&mut *store, |_: i32, _: f32| {}))),
        ("print_f64_f64", Extern::Func(Func::wrap(&mut *store, |_: f64, _: f64| {}))),
        ("global_i32", global(store, Val::I32(666))),
        ("global_i64", global(store, Val::I64(666))),
        ("global_f32", global(store, Val::F32(wasmi::F32::from_bits(666.6_f32.to_bits())))),
        ("global_f64", global(store, Val::F64(wasmi::F64::from_bits(666.6_f64.to_bits())))),
        ("table", Extern::Table(table)),
        ("memory", Extern::Memory(memory)),
    ])
}
