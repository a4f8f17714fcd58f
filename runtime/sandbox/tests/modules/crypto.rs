//! The two imports, where they are allowed.

use ed25519_dalek::{Signer, SigningKey};
use sandbox::{Module, Policy};
use sha2::{Digest, Sha256};

use crate::{limits, module, wat};

const SHA256: &str = "(import \"edgenet\" \"sha256\" (func $sha256 (param i32 i32 i32)))";
const VERIFY: &str =
    "(import \"edgenet\" \"ed25519_verify\" (func $verify (param i32 i32 i32 i32) (result i32)))";
const ALLOWED: Policy = Policy { allow_crypto: true };

#[test]
fn a_hash_is_the_hash() {
    let wasm =
        module(SHA256, "(call $sha256 (local.get 0) (local.get 1) (i32.const 16)) (i64.const 0x1000000020)");
    let module = Module::compile(&wasm, &ALLOWED).expect("allowed");
    let empty = module.execute(b"", &limits()).expect("runs");
    for length in [1, 55, 56, 64, 100_000] {
        let input = vec![3; length];
        let outcome = module.execute(&input, &limits()).expect("runs");
        assert_eq!(outcome.output, Sha256::digest(&input).to_vec(), "{length} bytes");
        assert!(outcome.fuel_used >= empty.fuel_used + 2 * length as u64, "{length} bytes are paid for");
    }
}

#[test]
fn a_signature_is_checked_by_the_strict_rules() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = b"a result";
    let good = [&key.verifying_key().to_bytes()[..], &key.sign(message).to_bytes(), message].concat();
    let body = "(i32.store (i32.const 0) (call $verify (local.get 0) (i32.add (local.get 0) (i32.const 32))
        (i32.add (local.get 0) (i32.const 96)) (i32.sub (local.get 1) (i32.const 96)))) (i64.const 4)";
    let module = Module::compile(&module(VERIFY, body), &ALLOWED).expect("allowed");
    let verify = |input: &[u8]| module.execute(input, &limits()).expect("runs").output;
    assert_eq!(verify(&good), 1_u32.to_le_bytes());
    for at in [0, 31, 32, 63, 64, 95, 96, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(verify(&bad), 0_u32.to_le_bytes(), "byte {at}");
    }
    // A key of small order signs everything by the loose rules.
    let mut small = vec![0; 96];
    (small[0], small[32]) = (1, 1);
    assert_eq!(verify(&small), 0_u32.to_le_bytes());
}

#[test]
fn arguments_are_checked_and_paid_for() {
    for (fields, body, code) in [
        (SHA256, "(call $sha256 (i32.const 65530) (i32.const 7) (i32.const 0))", "trap-memory-out-of-bounds"),
        (SHA256, "(call $sha256 (i32.const 0) (i32.const 1) (i32.const 65505))", "trap-memory-out-of-bounds"),
        (SHA256, "(call $sha256 (i32.const -1) (i32.const 100) (i32.const -1))", "trap-memory-out-of-bounds"),
        (SHA256, "(call $sha256 (i32.const 0) (i32.const -1) (i32.const 0))", "out-of-fuel"),
        (SHA256, "(loop (call $sha256 (i32.const 0) (i32.const 65536) (i32.const 0)) (br 0))", "out-of-fuel"),
        (
            VERIFY,
            "(drop (call $verify (i32.const 65505) (i32.const 0) (i32.const 0) (i32.const 0)))",
            "trap-memory-out-of-bounds",
        ),
        (
            VERIFY,
            "(drop (call $verify (i32.const 0) (i32.const 65473) (i32.const 0) (i32.const 0)))",
            "trap-memory-out-of-bounds",
        ),
        (
            VERIFY,
            "(drop (call $verify (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 1)))",
            "trap-memory-out-of-bounds",
        ),
        (
            VERIFY,
            "(loop (drop (call $verify (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))) (br 0))",
            "out-of-fuel",
        ),
    ] {
        let wasm = module(fields, &format!("{body} (i64.const 0)"));
        let error =
            Module::compile(&wasm, &ALLOWED).expect("allowed").execute(b"", &limits()).expect_err(body);
        assert_eq!(error.code(), code, "{body}");
        assert!(error.fuel_used() <= limits().max_fuel());
    }
}

#[test]
fn nothing_else_is_imported() {
    let compile = |fields: &str, policy: &Policy| {
        Module::compile(&module(fields, "(i64.const 0)"), policy).expect_err("refused")
    };
    let error = compile(SHA256, &Policy::default());
    assert_eq!((error.code(), error.to_string().contains("edgenet.sha256")), ("unknown-import", true));
    for (import, code) in [
        ("(import \"edgenet\" \"sha512\" (func))", "unknown-import"),
        ("(import \"env\" \"sha256\" (func (param i32 i32 i32)))", "unknown-import"),
        ("(import \"wasi_snapshot_preview1\" \"fd_write\" (func))", "unknown-import"),
        ("(import \"edgenet\" \"sha256\" (func (param i32 i32)))", "import-type"),
        ("(import \"edgenet\" \"sha256\" (global i32))", "import-type"),
        ("(import \"edgenet\" \"ed25519_verify\" (func (param i32 i32 i32 i32)))", "import-type"),
    ] {
        assert_eq!(compile(import, &ALLOWED).code(), code, "{import}");
    }
    let memory = wat("(module (import \"env\" \"memory\" (memory 1)) (export \"memory\" (memory 0)))");
    assert_eq!(Module::compile(&memory, &ALLOWED).expect_err("refused").code(), "unknown-import");
    let long = format!("(import \"{}\" \"x\" (func))", "m".repeat(50_000));
    assert!(compile(&long, &ALLOWED).to_string().len() < 500, "names are cut");
}
