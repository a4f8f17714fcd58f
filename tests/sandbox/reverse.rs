//! Turns its input round and appends the sum of its bytes, as a sandbox module in Rust.
//!
//! `rustc --edition 2024 --target wasm32-unknown-unknown --crate-type cdylib -C opt-level=s reverse.rs`

use std::slice;

/// A place for the input.
#[unsafe(no_mangle)]
pub extern "C" fn alloc(length: usize) -> *mut u8 {
    vec![0; length].leak().as_mut_ptr()
}

/// The output's place and length as one number.
///
/// # Safety
///
/// There are `length` bytes at `start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execute(start: *const u8, length: usize) -> u64 {
    // SAFETY: the host wrote the input there.
    let input = unsafe { slice::from_raw_parts(start, length) };
    let sum: u64 = input.iter().map(|&byte| u64::from(byte)).sum();
    let output: Vec<u8> = input.iter().rev().copied().chain(sum.to_le_bytes()).collect();
    let output = output.leak();
    (output.as_ptr() as u64) << 32 | output.len() as u64
}
