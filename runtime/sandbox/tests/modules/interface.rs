//! What a module may look like, where its input lies, what it may point at, and how a run is stopped.

use std::cell::Cell;

use sandbox::{Limits, MAX_MODULE_BYTES, MAX_OUTPUT_BYTES, Module, Policy, RunError, SandboxError};

use crate::{limits, module, run, wat};

/// A packed result: the input itself.
const ECHO: &str =
    "(i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))";

#[test]
fn the_input_lies_behind_the_memory_or_where_alloc_says() {
    let appended =
        run(&module("", "(i64.store (i32.const 0) (i64.extend_i32_u (local.get 0))) (i64.const 8)"), b"x");
    assert_eq!(appended.expect("runs").output, 65_536_u64.to_le_bytes());
    let alloc = "(func (export \"alloc\") (param i32) (result i32) (i32.const 1000))";
    let allocated =
        run(&module(alloc, "(i64.store (i32.const 0) (i64.extend_i32_u (local.get 0))) (i64.const 8)"), b"x");
    assert_eq!(allocated.expect("runs").output, 1000_u64.to_le_bytes());
    for input in [&b""[..], b"some input", &[7; 100_000]] {
        assert_eq!(run(&module("", ECHO), input).expect("an echo").output, input);
    }
}

#[test]
fn two_values_and_one_packed_value_mean_the_same() {
    let two = wat("(module (memory (export \"memory\") 1)
        (func (export \"execute\") (param i32 i32) (result i32 i32) (local.get 0) (local.get 1)))");
    assert_eq!(
        run(&two, b"both").expect("runs").output,
        run(&module("", ECHO), b"both").expect("runs").output
    );
}

#[test]
fn initialize_runs_first() {
    let fields = "(global $g (mut i32) (i32.const 1))
        (func (export \"_initialize\") (global.set $g (i32.mul (global.get $g) (i32.const 5))))
        (func (export \"alloc\") (param i32) (result i32) (global.set $g (i32.add (global.get $g) (i32.const 2))) (i32.const 0))";
    let outcome = run(&module(fields, "(i32.store (i32.const 0) (global.get $g)) (i64.const 4)"), b"");
    assert_eq!(outcome.expect("runs").output, 7_u32.to_le_bytes());
}

#[test]
fn runs_do_not_see_each_other() {
    let count = "(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))) (i64.const 4)";
    let module = Module::compile(&module("", count), &Policy::default()).expect("compiles");
    for _ in 0..3 {
        assert_eq!(module.execute(b"", &limits()).expect("runs").output, 1_u32.to_le_bytes());
    }
}

#[test]
fn exports_must_have_their_types() {
    let memory = "(memory (export \"memory\") 1)";
    let execute = "(func (export \"execute\") (param i32 i32) (result i64) (i64.const 0))";
    for (fields, code) in [
        (execute.to_owned(), "missing-export"),
        (memory.to_owned(), "missing-export"),
        (format!("{execute} (func (export \"memory\"))"), "export-type"),
        (
            format!("{memory} (func (export \"execute\") (param i32) (result i64) (i64.const 0))"),
            "export-type",
        ),
        (format!("{memory} (func (export \"execute\") (param i32 i32))"), "export-type"),
        (
            format!("{memory} {execute} (func (export \"alloc\") (param i64) (result i32) (i32.const 0))"),
            "export-type",
        ),
        (
            format!("{memory} {execute} (func (export \"_initialize\") (result i32) (i32.const 0))"),
            "export-type",
        ),
        (format!("{memory} {execute} (func (param {}))", "i32 ".repeat(33)), "too-many-params"),
        (format!("{memory} {execute} (table 10001 funcref)"), "table-limit"),
        (format!("{execute} (memory (export \"memory\") 4097)"), "memory-limit"),
        (format!("{execute} (memory (export \"memory\") 1) (memory 1)"), "too-many-memories"),
    ] {
        assert_eq!(code_of(&wat(&format!("(module {fields})"))), code, "{fields}");
    }
    assert!(Module::compile(&module("", "(i64.const 0)"), &Policy::default()).is_ok());
}

/// Four bytes of a branch with 32 values become hundreds when translated.
#[test]
fn values_that_branches_carry_are_counted() {
    let results = "i64 ".repeat(32);
    let values = "(i64.const 0)".repeat(32);
    for branch in ["(br_if 0 (i32.const 1))", "(if (param i64) (result i64) (i32.const 1) (then) (else))"] {
        let many = |count: usize| {
            let body = branch.repeat(count);
            module(
                "",
                &format!("(block (result {results}) {values} {body}) {} (i64.const 0)", "(drop)".repeat(32)),
            )
        };
        assert!(run(&many(1_000), b"").is_ok(), "{branch}");
        let count = if branch.starts_with("(br_if") { 10_000 } else { 150_000 };
        assert_eq!(code_of(&many(count)), "too-many-branch-values", "{branch}");
    }
}

#[test]
fn later_proposals_are_refused() {
    for (name, fields) in [
        ("simd", "(func (drop (v128.const i64x2 0 0)))"),
        ("tail calls", "(func $f (return_call $f))"),
        ("64-bit memory", "(memory i64 1)"),
        ("shared memory", "(memory 1 1 shared)"),
        ("exceptions", "(tag)"),
        ("extended constants", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
        ("garbage collection", "(type (struct))"),
        ("recursive types", "(rec (type (func)) (type (func)))"),
        ("no type at all", "(rec)"),
        ("typed references", "(type $t (func)) (func (param (ref $t)))"),
        (
            "wide arithmetic",
            "(func (drop (drop (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)))))",
        ),
        ("page sizes", "(memory 1 (pagesize 1))"),
    ] {
        assert_eq!(code_of(&wat(&format!("(module {fields})"))), "invalid-module", "{name}");
    }
}

#[test]
fn a_module_has_a_longest_length() {
    let error = Module::compile(&vec![0; MAX_MODULE_BYTES + 1], &Policy::default()).expect_err("too long");
    assert_eq!(error.code(), "module-too-large");
    assert_eq!(code_of(&vec![0; MAX_MODULE_BYTES]), "invalid-module");
}

#[test]
fn an_output_must_lie_in_the_memory() {
    for (place, length, code) in [
        (0, MAX_OUTPUT_BYTES, Some("output-place")),
        (0, MAX_OUTPUT_BYTES + 1, Some("output-too-large")),
        (65_536, 0, None),
        (65_537, 0, Some("output-place")),
        (65_535, 1, None),
        (65_535, 2, Some("output-place")),
        (u32::MAX, u32::MAX, Some("output-too-large")),
        (u32::MAX, 1, Some("output-place")),
    ] {
        let packed = u64::from(place) << 32 | u64::from(length);
        let result = run(&module("", &format!("(i64.const {packed})")), b"");
        match (result, code) {
            (Ok(outcome), None) => assert_eq!(outcome.output, vec![0; length as usize]),
            (Err(error), Some(code)) => assert_eq!(error.code(), code, "{place} {length}"),
            (result, code) => panic!("{place} {length}: {result:?}, expected {code:?}"),
        }
    }
}

#[test]
fn an_input_must_have_a_place() {
    let alloc = |at: &str| format!("(func (export \"alloc\") (param i32) (result i32) {at})");
    for at in ["(i32.const 65536)", "(i32.const 65535)", "(i32.const -1)"] {
        assert_eq!(code_of_run(&module(&alloc(at), "(i64.const 0)"), b"xy", limits()), "input-place", "{at}");
    }
    assert_eq!(
        code_of_run(&module(&alloc("(unreachable)"), "(i64.const 0)"), b"", limits()),
        "trap-unreachable"
    );
    let fixed = wat("(module (memory (export \"memory\") 1 1)
        (func (export \"execute\") (param i32 i32) (result i64) (i64.const 0)))");
    assert_eq!(code_of_run(&fixed, b"x", limits()), "input-place");
    assert!(run(&fixed, b"").is_ok(), "no input needs no page");
    let one_page = Limits::new(1_000_000, Some(65_536)).expect("in range");
    assert_eq!(code_of_run(&module("", "(i64.const 0)"), b"x", one_page), "memory-limit");
}

#[test]
fn growth_beyond_the_declared_maximum_fails_and_beyond_the_limit_ends_the_run() {
    let grow = |memory: &str| {
        wat(&format!(
            "(module (memory (export \"memory\") {memory})
                (func (export \"execute\") (param i32 i32) (result i64)
                    (i32.store (i32.const 0) (memory.grow (i32.const 2))) (i64.const 4)))"
        ))
    };
    let two_pages = Limits::new(1_000_000, Some(2 * 65_536)).expect("in range");
    let run =
        |wasm: &[u8]| Module::compile(wasm, &Policy::default()).expect("compiles").execute(b"", &two_pages);
    assert_eq!(run(&grow("1 2")).expect("runs").output, (-1_i32).to_le_bytes());
    assert_eq!(run(&grow("1")).expect_err("three pages").code(), "memory-limit");
    assert_eq!(run(&grow("3")).expect_err("three pages").code(), "memory-limit");
}

#[test]
fn a_run_stops_when_asked() {
    let wasm = module("", "(loop (br 0)) (i64.const 0)");
    let module = Module::compile(&wasm, &Policy::default()).expect("compiles");
    let asked = Cell::new(0);
    let stop_at_third = || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    };
    let error = module.execute_until(b"", &limits(), &stop_at_third).expect_err("an endless loop");
    assert_eq!(error.code(), "stopped");
    assert!(error.fuel_used() > 0 && error.fuel_used() < 10_000_000, "{error}");
    let never_begun = module.execute_until(b"", &limits(), &|| true).expect_err("stopped at once");
    assert!(matches!(never_begun, SandboxError::Run { cause: RunError::Stopped, .. }), "{never_begun}");
}

/// Modules go between threads, whoever runs them.
#[test]
fn a_module_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Module>();
}

fn code_of(wasm: &[u8]) -> &'static str {
    Module::compile(wasm, &Policy::default()).expect_err("refused").code()
}

fn code_of_run(wasm: &[u8], input: &[u8], limits: Limits) -> &'static str {
    let module = Module::compile(wasm, &Policy::default()).expect("compiles");
    module.execute(input, &limits).expect_err("no result").code()
}
