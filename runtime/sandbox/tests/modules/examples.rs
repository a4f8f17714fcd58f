//! The same program in Rust, AssemblyScript and the text format gives equal bytes.

use std::{fs, path::Path, process::Command};

use crate::{report, run, wat};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/sandbox");

#[test]
fn three_languages_give_equal_bytes() {
    let mut modules = vec![("text", text("reverse.wat")), ("AssemblyScript", text("reverse.ts.wat"))];
    modules.extend(rust().map(|wasm| ("Rust", wasm)));
    for length in [0, 1, 8, 65_528, 65_529, 200_000] {
        let input: Vec<u8> = (0..length).map(|i: u32| (i * 7 % 251) as u8).collect();
        let expected = reversed(&input);
        for (language, wasm) in &modules {
            let outcome = run(wasm, &input).unwrap_or_else(|e| panic!("{language}, {length} bytes: {e}"));
            assert!(outcome.output == expected, "{language}, {length} bytes");
        }
    }
}

/// What the examples say they do.
fn reversed(input: &[u8]) -> Vec<u8> {
    let sum: u64 = input.iter().map(|&byte| u64::from(byte)).sum();
    input.iter().rev().copied().chain(sum.to_le_bytes()).collect()
}

/// An example in the text format.
pub(crate) fn text(name: &str) -> Vec<u8> {
    wat(&fs::read_to_string(Path::new(FOLDER).join(name)).expect("an example"))
}

/// The example in Rust, where this machine's compiler can make it.
fn rust() -> Option<Vec<u8>> {
    let wasm = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reverse.wasm");
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "--target", "wasm32-unknown-unknown", "--crate-type", "cdylib"])
        .args(["-C", "opt-level=s", "-C", "strip=symbols", "-o"])
        .args([&wasm, &Path::new(FOLDER).join("reverse.rs")])
        .output();
    match compiled {
        Ok(output) if output.status.success() => Some(fs::read(wasm).expect("the compiler wrote it")),
        failed => {
            assert!(std::env::var_os("EDGENET_TEST_ALL").is_none(), "the example in Rust: {failed:?}");
            report("not run: the sandbox example in Rust (no compiler for wasm32-unknown-unknown)");
            None
        }
    }
}
