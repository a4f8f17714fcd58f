use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{
    common::{Sandbox, run},
    json_lines, raw_f32, repository,
};

fn mnist() -> PathBuf {
    repository().join("models/training/mnist_lif.safetensors")
}

fn infer(sandbox: &Sandbox, network: &Path) -> Command {
    let mut command = sandbox.edge_net();
    command.arg("infer").arg(network);
    command
}

/// A stroke down the middle, which the network takes for a one, and a ring, for a zero.
fn digits() -> Vec<Vec<f32>> {
    let picture = |lit: &dyn Fn(f32, f32) -> bool| {
        let pixel = |i: usize| f32::from(u8::from(lit((i % 28) as f32 - 13.5, (i / 28) as f32 - 13.5)));
        (0..784).map(pixel).collect()
    };
    let stroke = picture(&|x, y| x.abs() < 1.6 && y.abs() < 9.0);
    let ring = picture(&|x, y| (5.0..8.0).contains(&(x * 1.3).hypot(y)));
    vec![stroke, ring]
}

fn classes(json: &Value) -> Vec<u64> {
    json["results"].as_array().unwrap().iter().map(|r| r["class"].as_u64().unwrap()).collect()
}

#[test]
fn a_trained_network_classifies_and_its_integers_give_the_same() {
    let sandbox = Sandbox::new("infer");
    let inputs = sandbox.file("digits.jsonl", json_lines(&digits()));
    let saved = sandbox.root.join("mnist.int");
    let mut command = infer(&sandbox, &mnist());
    let said =
        run(command.args(["--json", "--inputs"]).arg(&inputs).arg("--save").arg(&saved), b"").expect(0);
    let json = said.json();
    assert_eq!(json["steps"], 25, "what the network names");
    assert_eq!(classes(&json), [1, 0]);
    assert_eq!(json["results"][0]["counts"].as_array().unwrap().len(), 10);
    let raw = sandbox.file("digits.f32", raw_f32(&digits()));
    for format in ["auto", "int"] {
        let mut command = infer(&sandbox, &saved);
        let command = command.args(["--json", "--format", format, "--inputs"]).arg(&raw);
        assert_eq!(run(command, b"").expect(0).json()["results"], json["results"], "{format}");
    }
    let text = run(infer(&sandbox, &saved).args(["--inputs", "-"]), json_lines(&digits()).as_bytes());
    let text = text.expect(0).out;
    assert!(
        text.starts_with("input 0: class 1  spikes ") && text.contains("2 runs of 25 steps in "),
        "{text}"
    );
    // Canary: another seed draws other spikes.
    let mut command = infer(&sandbox, &saved);
    let gray: String = json_lines(&[vec![0.4; 784]]);
    let first = run(command.args(["--json", "--inputs", "-"]), gray.as_bytes()).expect(0).json();
    let mut command = infer(&sandbox, &saved);
    let other =
        run(command.args(["--json", "--seed", "9", "--inputs", "-"]), gray.as_bytes()).expect(0).json();
    assert_ne!(first["results"], other["results"]);
}

#[test]
fn a_network_is_written_without_inputs() {
    let sandbox = Sandbox::new("infer_save");
    let saved = sandbox.root.join("net");
    let said = run(infer(&sandbox, &mnist()).arg("--save").arg(&saved), b"").expect(0);
    assert!(said.out.contains("784 inputs, 10 outputs"), "{}", said.out);
    assert!(said.out.contains(&super::common::hex(&fs::read(&saved).unwrap())));
    let json = run(infer(&sandbox, &mnist()).arg("--json").arg("--save").arg(&saved), b"").expect(0).json();
    assert_eq!((&json["inputs"], &json["outputs"]), (&784.into(), &10.into()));
    let streamed = super::raw(infer(&sandbox, &mnist()).args(["--save", "-"]), b"");
    assert_eq!(streamed.code, Some(0));
    assert!(streamed.out == fs::read(&saved).unwrap());
}

#[test]
fn graphs_of_nir_run() {
    let graph = r#"{"version": 1, "dt": 0.0001, "steps": 8, "nodes": {
        "i": {"type": "Input"}, "w": {"type": "Linear", "weight": [[2.0, 0.0], [0.0, 2.0]]},
        "n": {"type": "IF", "r": [1.0, 1.0], "v_threshold": [1.0, 1.0], "v_reset": [0.0, 0.0]},
        "o": {"type": "Output"}}, "edges": [["i", "w"], ["w", "n"], ["n", "o"]]}"#;
    let sandbox = Sandbox::new("infer_nir");
    let net = sandbox.file("net.json", graph);
    for format in ["auto", "nir"] {
        let mut command = infer(&sandbox, &net);
        let command = command.args(["--json", "--format", format, "--inputs", "-"]);
        let json = run(command, b"[1, 0]\n[0, 1]\n").expect(0).json();
        assert_eq!(json["results"][0]["counts"], serde_json::json!([8, 0]));
        assert_eq!(classes(&json), [0, 1]);
    }
    let bad = sandbox.file("bad.json", graph.replace("\"IF\"", "\"CubaLIF\""));
    let said = run(infer(&sandbox, &bad).args(["--inputs", "-"]), b"[1, 0]\n").expect(1);
    said.says(&["bad.json: n: the type CubaLIF is not supported"]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let sandbox = Sandbox::new("infer_bad");
    let ask = |flags: &[&str], stdin: &str| {
        run(infer(&sandbox, &mnist()).args(["--inputs", "-"]).args(flags), stdin.as_bytes())
    };
    let one = json_lines(&digits()[..1]);
    ask(&[], "[1, 0]\n").expect(1).says(&["of 2 values, the network has 784 inputs"]);
    ask(&[], "").expect(1).says(&["stdin: no vectors"]);
    ask(&[], "[1,\n").expect(1).says(&["stdin: line 1"]);
    let mut over = digits().remove(0);
    over[3] = 2.0;
    ask(&[], &json_lines(&[over])).expect(1).says(&["inputs[0][3]: is 2, must be 0 to 1"]);
    ask(&["--steps", "0"], &one).expect(2).says(&["--steps: is 0"]);
    ask(&["--format", "int"], &one).expect(1).says(&["mnist_lif.safetensors", "format"]);
    ask(&["--format", "nir"], &one).expect(1).says(&["NIR"]);
    ask(&["--save", "-"], &one).expect(2).says(&["--save"]);
    run(&mut infer(&sandbox, &mnist()), b"").expect(2).says(&["--inputs"]);
    for junk in [&b""[..], b"junk", b"\x08\0\0\0\0\0\0\0{\"a\":1", &[255; 64]] {
        let file = sandbox.file("junk", junk);
        let said = run(infer(&sandbox, &file).args(["--inputs", "-"]), one.as_bytes()).expect(1);
        said.says(&["junk: no network: neither safetensors nor a NIR graph in JSON"]);
    }
    let cut = sandbox.file("cut", &fs::read(mnist()).unwrap()[..5000]);
    run(infer(&sandbox, &cut).args(["--inputs", "-"]), one.as_bytes()).expect(1).says(&["cut: "]);
}
