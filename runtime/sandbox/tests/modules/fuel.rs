//! Fuel is part of the result: pinned, equal however it is handed out, and never more than the budget.

use sandbox::{
    Limits, Module, Policy, SandboxError,
    conformance::{self, State},
};
use sha2::{Digest, Sha256};
use wasmi::{Store, Val};

use crate::{examples, limits, module, wat};

/// Name, module, input length, fuel, first bytes of the SHA-256 of the output.
fn pinned() -> Vec<(&'static str, Vec<u8>, usize, u64, &'static str)> {
    let bulk = "(memory.fill (i32.const 0) (i32.const 9) (i32.const 65536))
        (memory.copy (i32.const 1) (i32.const 0) (i32.const 65535)) (i64.const 64)";
    let floats = "(local f64 i32) (loop
        (local.set 2 (f64.sqrt (f64.add (local.get 2) (f64.const 1.5))))
        (local.set 3 (i32.add (local.get 3) (i32.const 1)))
        (br_if 0 (i32.lt_u (local.get 3) (i32.const 1000))))
        (f64.store (i32.const 0) (local.get 2)) (i64.const 8)";
    vec![
        ("nothing", module("", "(i64.const 0)"), 0, 1_026, "e3b0c442"),
        ("text, no input", examples::text("reverse.wat"), 0, 1_075, "af5570f5"),
        ("text", examples::text("reverse.wat"), 1000, 29_129, "4e73af62"),
        ("AssemblyScript", examples::text("reverse.ts.wat"), 1000, 30_183, "4e73af62"),
        ("bulk memory", module("", bulk), 70_000, 6_224, "aa725e51"),
        ("floats", module("", floats), 0, 15_030, "49236532"),
        ("calls", calls(), 0, 328_697, "c9a41c78"),
    ]
}

#[test]
fn fuel_and_bytes_are_pinned() {
    for (name, wasm, length, fuel, digest) in pinned() {
        let input: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let module = Module::compile(&wasm, &Policy::default()).expect(name);
        let first = module.execute(&input, &limits()).expect(name);
        for _ in 0..2 {
            assert_eq!(module.execute(&input, &limits()).as_ref(), Ok(&first), "{name}: every run");
        }
        let found = hex(&Sha256::digest(&first.output)[..4]);
        assert_eq!((first.fuel_used, found.as_str()), (fuel, digest), "{name}");
    }
}

/// With exactly what it needs a run succeeds, with one unit less it does not, and says so within the budget.
#[test]
fn the_budget_is_exact() {
    for (name, wasm, length, fuel, _) in pinned() {
        let module = Module::compile(&wasm, &Policy::default()).expect(name);
        let input: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let run = |fuel| module.execute(&input, &Limits::new(fuel, None).expect("in range"));
        assert_eq!(run(fuel).expect(name).fuel_used, fuel);
        let error = run(fuel - 1).expect_err(name);
        assert_eq!(error.code(), "out-of-fuel", "{name}");
        assert!(error.fuel_used() < fuel, "{name}: {error}");
    }
}

/// Every instruction that pays for what it does in the middle of a block can be resumed there.
#[test]
fn slices_change_nothing() {
    for (name, text) in PAYING {
        let wasm = wat(text);
        let whole = in_slices(&wasm, u64::MAX);
        assert!(whole.0.is_ok() || name.contains("trap"), "{name}: {whole:?}");
        for slice in [1, 2, 3, 5, 17, 1000] {
            assert_eq!(in_slices(&wasm, slice), whole, "{name}, {slice} units at a time");
        }
    }
}

#[test]
fn a_stop_that_never_comes_changes_nothing() {
    for (name, wasm, length, ..) in pinned() {
        let module = Module::compile(&wasm, &Policy::default()).expect(name);
        let input = vec![1; length];
        let asked: Result<_, SandboxError> = module.execute_until(&input, &limits(), &|| false);
        assert_eq!(asked, module.execute(&input, &limits()), "{name}");
    }
}

/// Result, fuel and memory of `run`, given `slice` units of fuel at a time.
pub(crate) fn in_slices(wasm: &[u8], slice: u64) -> (Result<String, String>, u64, String) {
    let engine = conformance::engine();
    let module = conformance::compile(&engine, wasm).expect("compiles");
    let mut store: Store<State> = conformance::store(&engine, &limits());
    conformance::set_slice(&mut store, slice);
    let instance = conformance::instantiate(&mut store, &module, &[]).expect("instantiates");
    let run = instance.get_func(&store, "run").expect("an export");
    let mut results = vec![Val::I32(0); run.ty(&store).results().len()];
    let ran = conformance::call(&mut store, &run, &[], &mut results);
    let memory = instance.get_memory(&store, "memory").expect("an export");
    let digest = hex(&Sha256::digest(memory.data(&store)));
    let result = ran.map(|()| format!("{results:?}")).map_err(|error| error.code().to_owned());
    (result, conformance::fuel_left(&store), digest)
}

/// Sixteen levels of two calls each.
fn calls() -> Vec<u8> {
    let tree = "(func $tree (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1))
            (else (i32.add (call $tree (i32.sub (local.get 0) (i32.const 1)))
                (call $tree (i32.sub (local.get 0) (i32.const 1)))))))";
    module(tree, "(i32.store (i32.const 0) (call $tree (i32.const 14))) (i64.const 4)")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const PAYING: [(&str, &str); 8] = [
    (
        "memory.fill and memory.copy",
        "(module (memory (export \"memory\") 1) (func (export \"run\") (result i32)
            (memory.fill (i32.const 5) (i32.const 7) (i32.const 5000))
            (memory.copy (i32.const 9000) (i32.const 1) (i32.const 6000))
            (i32.load (i32.const 9004))))",
    ),
    (
        "memory.init and memory.grow",
        "(module (memory (export \"memory\") 1) (data $d \"some bytes of a passive segment, more than one unit of fuel buys, that is\")
            (func (export \"run\") (result i32)
            (memory.init $d (i32.const 70) (i32.const 0) (i32.const 70)) (data.drop $d)
            (i32.add (memory.grow (i32.const 3)) (i32.mul (memory.grow (i32.const 2)) (i32.const 16)))))",
    ),
    (
        "tables",
        "(module (memory (export \"memory\") 1) (table $t 1000 funcref) (table $u 1000 funcref)
            (type $f (func (result i32))) (elem $e func $one $one $one $one $one $one $one $one $one $one $one $one $one
                $one $one $one $one $one $one $one $one $one $one $one $one $one $one $one $one $one $one $one $one)
            (func $one (type $f) (i32.const 1))
            (func (export \"run\") (result i32)
            (table.init $t $e (i32.const 3) (i32.const 0) (i32.const 33)) (elem.drop $e)
            (table.copy $u $t (i32.const 100) (i32.const 0) (i32.const 900))
            (table.copy $u $u (i32.const 101) (i32.const 100) (i32.const 800))
            (table.fill $u (i32.const 500) (ref.func $one) (i32.const 400))
            (i32.add (call_indirect $u (type $f) (i32.const 104)) (call_indirect $u (type $f) (i32.const 899)))))",
    ),
    (
        "calls and loops",
        "(module (memory (export \"memory\") 1)
            (func $fib (param i32) (result i32) (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
                (then (local.get 0))
                (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
            (func (export \"run\") (result i32) (local $i i32) (local $sum i32)
                (loop $next (local.set $sum (i32.add (local.get $sum) (call $fib (local.get $i))))
                    (i32.store (i32.shl (local.get $i) (i32.const 2)) (local.get $sum))
                    (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 15))))
                (local.get $sum)))",
    ),
    (
        "floats across a pause",
        "(module (memory (export \"memory\") 1) (func (export \"run\") (result f64 f32) (local $i i32) (local $x f64) (local $y f32)
            (loop $next
                (local.set $x (f64.add (f64.mul (local.get $x) (f64.const 1.25)) (f64.const 0.1)))
                (local.set $y (f32.sqrt (f32.add (local.get $y) (f32.demote_f64 (local.get $x)))))
                (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
            (local.get $x) (local.get $y)))",
    ),
    (
        "a trap in a copy",
        "(module (memory (export \"memory\") 1) (func (export \"run\") (result i32)
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 100))
            (memory.copy (i32.const 1) (i32.const 0) (i32.const 65536)) (i32.const 0)))",
    ),
    (
        "a trap in the depth",
        "(module (memory (export \"memory\") 1) (func $f (export \"run\") (result i32) (i32.add (i32.const 1) (call $f))))",
    ),
    (
        "a branch with values",
        "(module (memory (export \"memory\") 1) (func (export \"run\") (result i32 i64) (local $i i32)
            (block $out (result i32 i64)
                (loop $next (drop (drop (br_if $out (i32.const 7) (i64.const 8) (i32.gt_u (local.get $i) (i32.const 50)))))
                    (br $next (local.set $i (i32.add (local.get $i) (i32.const 1)))))
                (unreachable))))",
    ),
];
