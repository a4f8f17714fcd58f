//! Random modules in the sandbox's interpreter and in V8: the same values, traps, globals and memory.
//!
//! `EDGENET_WASM_CASES` sets how many, `EDGENET_WASM_SEED` the first seed.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use arbitrary::Unstructured;
use sandbox::{
    Limits, MAX_MEMORY_BYTES, RunError, Trap,
    conformance::{self, State},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wasm_encoder::{CodeSection, RawSection};
use wasm_smith::{Config, MemoryOffsetChoices};
use wasmi::{Extern, Instance, Store, Val, ValType};
use wasmparser::{FunctionBody, Operator, Parser, Payload};

use crate::{report, wat};

const CASES: u64 = 300;
const FIRST_SEED: u64 = 1;

#[test]
fn random_modules_agree_with_v8() {
    let (cases, first) = (setting("EDGENET_WASM_CASES", CASES), setting("EDGENET_WASM_SEED", FIRST_SEED));
    report(&format!("differential: {cases} modules from seed {first}"));
    let modules: Vec<_> = (first..first + cases).map(|seed| (format!("{seed}"), generate(seed))).collect();
    let ours: Vec<_> = modules.iter().map(|(name, wasm)| ours(name, wasm)).collect();
    let Some(theirs) = theirs("random", &modules, &ours) else { return };
    let mut faults = Vec::new();
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for ((name, _), (ours, theirs)) in modules.iter().zip(ours.iter().zip(&theirs)) {
        faults.extend(differences(name, ours, theirs));
        let calls = ours["calls"].as_array().expect("a list");
        let ended = calls.iter().map(|call| call["outcome"].as_str().unwrap_or("values").to_owned());
        let instantiated = format!("instantiation: {}", ours["instantiation"].as_str().expect("a string"));
        ended.chain([instantiated]).for_each(|outcome| *outcomes.entry(outcome).or_insert(0) += 1);
    }
    assert_eq!(faults, Vec::<String>::new(), "\n{}", faults.join("\n"));
    report(&format!("differential: all agree, {outcomes:?}"));
    assert!(outcomes["values"] > cases / 2 && outcomes["unreachable"] > 0, "the modules do too little");
}

/// A module that differs from the one the other engine got, in a value, a trap or its memory.
#[test]
fn a_planted_fault_is_caught() {
    let module = |body: &str| {
        let text = format!("(module (memory (export \"m\") 1) (func (export \"f\") (result i32) {body}))");
        ("canary".to_owned(), wat(&text))
    };
    let store = "(i32.store8 (i32.const 77) (i32.const 1)) (i32.const 5)";
    let bodies =
        ["(i32.const 5)", "(i32.const 6)", "(unreachable)", "(i32.div_u (i32.const 1) (i32.const 0))", store];
    let real: Vec<_> = bodies.iter().map(|body| module(body)).collect();
    let ours: Vec<_> = real.iter().map(|(name, wasm)| ours(name, wasm)).collect();
    let Some(same) = theirs("canary-same", &real, &ours) else { return };
    let mut planted = real.clone();
    planted.rotate_left(1);
    let planted = theirs("canary-planted", &planted, &ours).expect("the engine ran before");
    for (ours, (same, planted)) in ours.iter().zip(same.iter().zip(&planted)) {
        assert_eq!(differences("canary", ours, same), Vec::<String>::new());
        assert_ne!(differences("canary", ours, planted), Vec::<String>::new(), "{ours} and {planted}");
    }
}

/// Fuel and results do not depend on how fuel is handed out, on modules nobody thought of.
#[test]
fn slices_change_nothing_in_random_modules() {
    for seed in 1..=60 {
        let wasm = generate(seed);
        let whole = run(&wasm, u64::MAX);
        for slice in [1, 13] {
            assert_eq!(run(&wasm, slice), whole, "seed {seed}, {slice} units at a time");
        }
    }
}

/// The module of a seed: valid, without imports, ending by itself, every NaN canonical.
pub(crate) fn generate(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let bytes: Vec<u8> = (0..2048).flat_map(|_| splitmix(&mut state).to_le_bytes()).collect();
    let config = Config {
        allow_start_export: false,
        bulk_memory_enabled: true,
        canonicalize_nans: true,
        exceptions_enabled: false,
        export_everything: true,
        extended_const_enabled: false,
        gc_enabled: false,
        max_data_segments: 5,
        max_element_segments: 5,
        max_funcs: 12,
        max_imports: 0,
        max_instructions: 150,
        max_memory32_bytes: 1 << 20,
        max_table_elements: 500,
        memory64_enabled: false,
        memory_max_size_required: true,
        memory_offset_choices: MemoryOffsetChoices(300, 50, 1),
        min_funcs: 4,
        min_globals: 1,
        min_memories: 1,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        simd_enabled: false,
        table_max_size_required: true,
        tail_call_enabled: false,
        threads_enabled: false,
        ..Config::default()
    };
    let module = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes));
    let mut module = module.expect("enough bytes for a module");
    module.ensure_termination(TURNS).expect("no function is invalid");
    without_float_conversions(&module.to_bytes())
}

/// Conversions between the float types go by integers instead: the generator does not make their NaNs canonical.
fn without_float_conversions(wasm: &[u8]) -> Vec<u8> {
    let mut module = wasm_encoder::Module::new();
    let mut code = CodeSection::new();
    let mut bodies = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.expect("valid");
        match &payload {
            Payload::CodeSectionStart { count, .. } => bodies = *count,
            Payload::CodeSectionEntry(body) => {
                code.raw(&patched(wasm, body));
                if code.len() == bodies {
                    module.section(&code);
                }
            }
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    module.section(&RawSection { id, data: &wasm[range] });
                }
            }
        }
    }
    module.finish()
}

fn patched(wasm: &[u8], body: &FunctionBody<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut from = body.range().start;
    let operators = body.get_operators_reader().expect("valid").into_iter_with_offsets();
    for (operator, at) in operators.map(|found| found.expect("valid")) {
        let instead: &[u8] = match operator {
            // i32.trunc_sat_f64_s, f32.convert_i32_s
            Operator::F32DemoteF64 => &[0xfc, 2, 0xb2],
            // i32.trunc_sat_f32_s, f64.convert_i32_s
            Operator::F64PromoteF32 => &[0xfc, 0, 0xb7],
            _ => continue,
        };
        bytes.extend(&wasm[from..at]);
        bytes.extend(instead);
        from = at + 1;
    }
    bytes.extend(&wasm[from..body.range().end]);
    bytes
}

/// What the sandbox says about a module: how instantiation ended, and for every exported function, each in an
/// instance of its own, its parameters, how it ended, and the globals and memory it left.
fn ours(name: &str, wasm: &[u8]) -> Value {
    let mut said = run(wasm, 1_000_000);
    said["file"] = json!(format!("{name}.wasm"));
    said.as_object_mut().expect("an object").remove("fuel");
    said
}

fn run(wasm: &[u8], slice: u64) -> Value {
    let engine = conformance::engine();
    let module = conformance::compile(&engine, wasm).expect("compiles");
    let limits = Limits::new(10_000_000, Some(MAX_MEMORY_BYTES)).expect("in range");
    let fresh = || {
        let mut store = conformance::store(&engine, &limits);
        conformance::set_slice(&mut store, slice);
        let instance = conformance::instantiate(&mut store, &module, &[]);
        (store, instance)
    };
    if let Err(error) = fresh().1 {
        return json!({ "instantiation": class(&error), "calls": [], "fuel": [] });
    }
    let names: Vec<String> =
        module.exports().filter(|e| e.ty().func().is_some()).map(|e| e.name().to_owned()).collect();
    let mut calls = Vec::new();
    let mut fuel = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let (mut store, instance) = fresh();
        let instance = instance.expect("instantiated before");
        let func = instance.get_func(&store, name).expect("an export");
        let ty = func.ty(&store);
        let params: Vec<Val> = ty.params().iter().enumerate().map(|(i, ty)| param(*ty, index + i)).collect();
        let mut results = vec![Val::I32(0); ty.results().len()];
        let outcome = match conformance::call(&mut store, &func, &params, &mut results) {
            Ok(()) => Value::from(results.iter().map(shown).collect::<Vec<_>>()),
            Err(error) => Value::from(class(&error)),
        };
        let params: Vec<_> = params.iter().map(shown).collect();
        let left = left_behind(&instance, &store);
        calls.push(json!({ "name": name, "params": params, "outcome": outcome, "left": left }));
        fuel.push(conformance::fuel_left(&store));
    }
    json!({ "instantiation": "done", "calls": calls, "fuel": fuel })
}

/// Globals and the hash of the memory, by name.
fn left_behind(instance: &Instance, store: &Store<State>) -> Value {
    let mut left: Vec<_> = instance
        .exports(store)
        .filter_map(|export| {
            let name = export.name().to_owned();
            match export.into_extern() {
                Extern::Global(global) => Some((name, shown(&global.get(store)))),
                Extern::Memory(memory) => {
                    let hash = Sha256::digest(memory.data(store));
                    Some((name, hash.iter().map(|byte| format!("{byte:02x}")).collect()))
                }
                _ => None,
            }
        })
        .collect();
    left.sort();
    json!(left)
}

/// The same modules in V8, by one process. Nothing where there is no node.
fn theirs(folder: &str, modules: &[(String, Vec<u8>)], ours: &[Value]) -> Option<Vec<Value>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).expect("a folder");
    let mut work = Vec::new();
    for (index, ((_, wasm), said)) in modules.iter().zip(ours).enumerate() {
        let file = folder.join(format!("{index}.wasm"));
        fs::write(&file, wasm).expect("a file");
        let calls: Vec<_> = said["calls"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|call| json!({ "name": call["name"], "params": call["params"] }))
            .collect();
        work.push(json!({ "file": file, "calls": calls }));
    }
    let list = folder.join("work.json");
    fs::write(&list, Value::from(work).to_string()).expect("a file");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/modules/v8.mjs");
    let output = match Command::new("node").args([script.as_ref(), list.as_path()]).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("EDGENET_TEST_ALL").is_none(), "node: {error}");
            report("not run: the sandbox beside V8 (no node)");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Vec<Value> = serde_json::from_slice(&output.stdout).expect("the script prints JSON");
    assert_eq!(said.len(), modules.len());
    Some(said)
}

fn differences(name: &str, ours: &Value, theirs: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if ours["instantiation"] != theirs["instantiation"] {
        found.push(format!("{name}: {} here, {} there", ours["instantiation"], theirs["instantiation"]));
    }
    let calls = ours["calls"].as_array().expect("a list");
    for (index, ours) in calls.iter().enumerate() {
        let theirs = &theirs["calls"][index];
        for key in ["outcome", "left"] {
            if ours[key] != theirs[key] {
                found.push(format!(
                    "{name}, {}: {key} {} here, {} there",
                    ours["name"], ours[key], theirs[key]
                ));
            }
        }
    }
    found
}

/// A value as type and bits; all NaNs are one.
fn shown(value: &Val) -> String {
    match value {
        Val::I32(v) => format!("i32:{v}"),
        Val::I64(v) => format!("i64:{v}"),
        Val::F32(v) if v.to_float().is_nan() => "f32:nan".into(),
        Val::F64(v) if v.to_float().is_nan() => "f64:nan".into(),
        Val::F32(v) => format!("f32:{}", v.to_bits()),
        Val::F64(v) => format!("f64:{}", v.to_bits()),
        other => panic!("no such value here: {other:?}"),
    }
}

/// What ended a call, as far as V8 tells things apart.
fn class(error: &RunError) -> String {
    match error {
        RunError::Trap(Trap::IndirectCallToNull | Trap::BadSignature) => "indirect call".into(),
        RunError::Trap(Trap::IntegerOverflow | Trap::BadConversion) => "unrepresentable".into(),
        RunError::Trap(trap) => trap.to_string(),
        other => other.to_string(),
    }
}

fn param(ty: ValType, index: usize) -> Val {
    let number = [0_i64, 1, -1, 7, i64::MAX, i64::MIN, 0x1234_5678_9abc, -123_456][index % 8];
    match ty {
        ValType::I32 => Val::I32(number as i32),
        ValType::I64 => Val::I64(number),
        ValType::F32 => Val::F32((number as f32 / 3.0).into()),
        ValType::F64 => Val::F64((number as f64 / 3.0).into()),
        other => panic!("no such parameter here: {other:?}"),
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Loop heads and calls until a module of `generate` traps: fewer than either engine's depth of calls.
const TURNS: u32 = 200;
