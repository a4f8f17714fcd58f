//! Runs untrusted WebAssembly modules: fuel, memory limits, closed imports, equal bytes on every machine.
//!
//! [`Module::compile`] checks and translates a module once, [`Module::execute`] runs it on an input within
//! [`Limits`]. The interpreter is [`wasmi`]. Nothing here reads a clock: whoever wants a limit in seconds passes
//! a question to [`Module::execute_until`], and a run that was stopped is an error, never another result.
//!
//! # What a module exports
//!
//! | export | type | meaning |
//! |---|---|---|
//! | `memory` | memory | where input and output lie |
//! | `execute` | `(i32, i32) -> (i32, i32)` or `(i32, i32) -> i64` | from the place and length of the input to the place and length of the output; as one `i64` it is `place << 32 \| length` |
//! | `alloc` | `(i32) -> i32`, may be missing | a free place of that many bytes for the input |
//! | `_initialize` | `()`, may be missing | called before anything else, in place of a start function |
//!
//! `alloc` is called once, before `execute`, also for an empty input. Where there is none, the host adds pages to
//! the memory and puts the input at their beginning; a language whose own allocator takes all memory it finds
//! (AssemblyScript) must export `alloc`. Places and lengths are unsigned. Examples: `tests/sandbox/`.
//!
//! A module imports nothing. Where [`Policy::allow_crypto`] is set it may import, from `edgenet`:
//!
//! | import | type | meaning |
//! |---|---|---|
//! | `sha256` | `(start, length, out)` | SHA-256 of the bytes, 32 bytes to `out` |
//! | `ed25519_verify` | `(key, signature, start, length) -> i32` | 1 if the signature is valid by the strict rules, else 0 |
//!
//! # Which WebAssembly
//!
//! The core specification 1.0 with mutable globals, sign extension, saturating conversions, multi-value, bulk
//! memory and reference types, but `table.grow`. No SIMD, threads, tail calls, exceptions, 64-bit memories,
//! several memories, extended constants or garbage collection, and no start function. A module has at most
//! [`MAX_MODULE_BYTES`], a function 128 KiB and 1,000 locals; [`Count`] names what else is limited. Floats are allowed and
//! exact: every NaN that an operation makes is the canonical one.
//!
//! # What fuel buys
//!
//! One unit an instruction (none for those that only mark structure), one unit per [`BYTES_PER_FUEL`] bytes that
//! are filled, copied or grown, be it by an instruction or by the host: the module itself, the initial memory and
//! tables, input, output. `sha256` costs 200 units and 2 a byte, `ed25519_verify` 50,000 and 2 a byte. Fuel used
//! is equal on every machine. A run never uses more than its budget.

#[doc(hidden)]
pub mod conformance;
mod crypto;
mod engine;
mod error;
mod limits;
mod module;
mod scan;

pub use error::{Count, ModuleError, RunError, SHOWN_CHARS, SandboxError, Trap};
pub use limits::{
    BYTES_PER_FUEL, DEFAULT_MEMORY_BYTES, Limits, MAX_CALL_DEPTH, MAX_FUEL, MAX_MEMORY_BYTES,
    MAX_MODULE_BYTES, MAX_OUTPUT_BYTES, MAX_STACK_BYTES, MAX_TABLE_ELEMENTS, PAGE_BYTES, Policy,
};
pub use module::{Module, Outcome};
