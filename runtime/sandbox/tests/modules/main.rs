//! Modules that mean well: the interface, the examples, the price of things, and the same answers as another engine.

mod crypto;
mod differential;
mod examples;
mod fuel;
mod fuzz;
mod interface;

use sandbox::{Limits, Module, Outcome, Policy, SandboxError};

/// Compiles and runs with a large budget.
fn run(wasm: &[u8], input: &[u8]) -> Result<Outcome, SandboxError> {
    Module::compile(wasm, &Policy::default())?.execute(input, &limits())
}

fn limits() -> Limits {
    Limits::new(10_000_000, None).expect("in range")
}

/// A module from its text.
fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("text of a test")
}

/// A module with `execute` of this body, one page of memory, and these fields first.
fn module(fields: &str, body: &str) -> Vec<u8> {
    wat(&format!(
        "(module {fields} (memory (export \"memory\") 1)
            (func (export \"execute\") (param i32 i32) (result i64) {body}))"
    ))
}

#[expect(clippy::print_stderr, reason = "tests say what they compared and what was not run")]
fn report(line: &str) {
    eprintln!("{line}");
}
