use std::{path::PathBuf, process::Command};

use super::{
    common::{Sandbox, run},
    raw, repository,
};

/// The bytes of a module, as a file.
fn module(sandbox: &Sandbox, text: &str) -> PathBuf {
    sandbox.file("module.wasm", wat::parse_str(text).unwrap())
}

fn example(sandbox: &Sandbox, name: &str) -> PathBuf {
    module(sandbox, &std::fs::read_to_string(repository().join("tests/sandbox").join(name)).unwrap())
}

fn execute(sandbox: &Sandbox, module: &PathBuf) -> Command {
    let mut command = sandbox.edge_net();
    command.args(["sandbox", "run"]).arg(module);
    command
}

fn body(code: &str) -> String {
    let signature = "(func (export \"execute\") (param i32 i32) (result i64)";
    format!("(module (memory (export \"memory\") 1) {signature} {code}))")
}

/// The input turned round, and the sum of its bytes.
fn reversed(input: &[u8]) -> Vec<u8> {
    let sum: u64 = input.iter().map(|&b| u64::from(b)).sum();
    input.iter().rev().copied().chain(sum.to_le_bytes()).collect()
}

#[test]
fn examples_turn_their_input_round() {
    let sandbox = Sandbox::new("sandbox_run");
    for name in ["reverse.wat", "reverse.ts.wat"] {
        let module = example(&sandbox, name);
        let said = raw(execute(&sandbox, &module).args(["--input", "-"]), b"edge\xff");
        assert_eq!((said.code, said.out), (Some(0), reversed(b"edge\xff")), "{name}: {}", said.err);
        let said = raw(&mut execute(&sandbox, &module), b"not read");
        assert_eq!((said.code, said.out), (Some(0), reversed(b"")), "{name}: {}", said.err);
        let input = sandbox.file("in", "cat");
        let json =
            run(execute(&sandbox, &module).arg("--json").arg("--input").arg(&input), b"").expect(0).json();
        // base64 of "tac" and 312.
        assert_eq!((&json["output"], &json["bytes"]), (&"dGFjOAEAAAAAAAA=".into(), &11.into()));
        assert!(json["fuel"].as_u64().unwrap() > 0);
        assert_eq!(json["sha256"], super::common::hex(&reversed(b"cat")));
        let out = sandbox.root.join("out");
        let mut command = execute(&sandbox, &module);
        let json =
            run(command.arg("--json").arg("--input").arg(&input).arg("--out").arg(&out), b"").expect(0);
        assert!(json.json()["output"].is_null(), "it is in the file");
        assert_eq!(std::fs::read(out).unwrap(), reversed(b"cat"));
    }
}

#[test]
fn what_a_module_may_not_do_ends_it_with_a_code() {
    let sandbox = Sandbox::new("sandbox_refused");
    let fails = |text: &str, flags: &[&str], parts: &[&str]| {
        let module = module(&sandbox, text);
        let said = run(execute(&sandbox, &module).args(flags), b"").expect(1).says(parts);
        assert_eq!(said.out, "");
    };
    let endless = body("(loop (br 0)) (i64.const 0)");
    fails(&endless, &["--max-fuel", "100000"], &["out of fuel", "out-of-fuel"]);
    fails(&endless, &["--max-fuel", "100000000000", "--timeout", "1"], &["stopped"]);
    fails(&body("unreachable"), &[], &["trap: unreachable"]);
    fails("(module (memory (export \"memory\") 1))", &[], &["no export execute"]);
    let sha = "(import \"edgenet\" \"sha256\" (func $sha (param i32 i32 i32)))";
    let text = body("(call $sha (i32.const 0) (i32.const 0) (i32.const 0)) (i64.const 32)");
    let text = text.replacen("(module", &format!("(module {sha}"), 1);
    fails(&text, &[], &["unknown import edgenet.sha256"]);
    let allowed = module(&sandbox, &text);
    let said = raw(execute(&sandbox, &allowed).arg("--allow-crypto"), b"");
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(said.out.iter().map(|b| format!("{b:02x}")).collect::<String>(), empty);
    let wasi =
        "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func)) (memory (export \"memory\") 1))";
    fails(wasi, &["--allow-crypto"], &["unknown import wasi_snapshot_preview1.fd_write"]);
}

#[test]
fn what_is_no_module_and_what_is_no_limit_is_refused() {
    let sandbox = Sandbox::new("sandbox_bad");
    for (bytes, message) in [
        (&b""[..], "is no WebAssembly module"),
        (b"junk", "is no WebAssembly module"),
        (b"\0asm\x01\0\0\0junk", "module refused"),
        (b"(module)", "WebAssembly text"),
    ] {
        let file = sandbox.file("junk", bytes);
        run(&mut execute(&sandbox, &file), b"").expect(1).says(&[message]);
    }
    run(&mut execute(&sandbox, &"/nowhere.wasm".into()), b"").expect(1).says(&["/nowhere.wasm"]);
    let good = example(&sandbox, "reverse.wat");
    let wrong = |flags: &[&str], part: &str| {
        run(execute(&sandbox, &good).args(flags), b"").expect(2).says(&[part]);
    };
    wrong(&["--max-fuel", "0"], "--max-fuel: is 0");
    wrong(&["--max-fuel", "1000000000000"], "--max-fuel: is 1000000000000");
    wrong(&["--max-memory", "1"], "--max-memory: is 1");
    wrong(&["--timeout", "0"], "--timeout");
    run(execute(&sandbox, &"-".into()).args(["--input", "-"]), b"").expect(2).says(&["stdin"]);
}
