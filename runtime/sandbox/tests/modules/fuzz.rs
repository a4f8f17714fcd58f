//! Any bytes: a module or an error, an output or an error, never a panic.

use proptest::prelude::*;
use sandbox::{Limits, MAX_MEMORY_BYTES, Module, Policy};

use crate::{differential, examples};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), header in any::<bool>()) {
        let wasm = match header {
            true => [b"\0asm\x01\0\0\0", &bytes[..]].concat(),
            false => bytes,
        };
        try_out(&wasm, b"input");
    }

    #[test]
    fn arbitrary_sections_never_panic(
        sections in prop::collection::vec((0_u8..14, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        for (id, bytes) in sections {
            wasm.extend([id, bytes.len() as u8]);
            wasm.extend(bytes);
        }
        try_out(&wasm, b"input");
    }

    #[test]
    fn changed_modules_never_panic(
        which in 0_u64..40,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        shorten in prop::bool::weighted(0.2),
        input in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut wasm = match which {
            0 => examples::text("reverse.wat"),
            1 => examples::text("reverse.ts.wat"),
            seed => differential::generate(seed),
        };
        for (at, byte) in changes {
            let at = at.index(wasm.len());
            wasm[at] = byte;
        }
        if shorten {
            wasm.truncate(cut.index(wasm.len()));
        }
        try_out(&wasm, &input);
    }
}

/// Compiles with every import allowed, and runs what compiles; the budget holds whatever happens.
fn try_out(wasm: &[u8], input: &[u8]) {
    let limits = Limits::new(100_000, Some(MAX_MEMORY_BYTES)).expect("in range");
    let Ok(module) = Module::compile(wasm, &Policy { allow_crypto: true }) else { return };
    let fuel_used = match module.execute(input, &limits) {
        Ok(outcome) => outcome.fuel_used,
        Err(error) => error.fuel_used(),
    };
    assert!(fuel_used <= limits.max_fuel());
}
