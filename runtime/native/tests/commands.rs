//! `doctor`, `model` and `completions`, on a small generated model.

mod common;

use std::fs;

use common::{Sandbox, hex, run};
use serde_json::Value;

#[test]
fn doctor_works_without_a_model() {
    let sandbox = Sandbox::new("doctor_bare");
    let said = run(sandbox.edge_net().args(["doctor"]), b"").expect(0);
    for part in [
        "cpu levels",
        "scalar",
        "gpu adapters",
        "model minilm\n  absent",
        "not run: no model",
        "model fetch minilm",
    ] {
        assert!(said.out.contains(part), "{part:?} is not in {}", said.out);
    }
    assert!(!sandbox.cache().exists(), "doctor only looks");
    let json = run(sandbox.edge_net().args(["doctor", "--json"]), b"").expect(0).json();
    assert_eq!(json["model"]["state"], "absent");
    assert_eq!(json["choice"]["backend"], Value::Null);
    run(sandbox.edge_net().args(["doctor", "--model", "gpt"]), b"").expect(2).says(&["gpt"]);
}

#[test]
fn doctor_tests_every_level_and_gives_reasons() {
    let sandbox = Sandbox::new("doctor");
    run(sandbox.tiny().args(["embed", "cat"]), b"").expect(0);
    let json = run(sandbox.tiny().args(["doctor", "--json"]), b"").expect(0).json();
    let levels = json["cpu_levels"].as_array().unwrap();
    let supported: Vec<String> = levels
        .iter()
        .filter(|l| l["supported"] == true)
        .map(|l| format!("cpu ({})", l["name"].as_str().unwrap()))
        .collect();
    let tests = json["self_tests"].as_array().unwrap();
    let passed: Vec<&str> = tests
        .iter()
        .filter(|t| t["outcome"] == "passed")
        .map(|t| t["device"].as_str().unwrap())
        .filter(|d| d.starts_with("cpu"))
        .collect();
    assert_eq!(passed, supported);
    assert!(!json["choice"]["reasons"].as_array().unwrap().is_empty());
    let forced = run(sandbox.tiny().args(["doctor", "--json", "--device", "cpu", "--level", "scalar"]), b"");
    assert_eq!(forced.expect(0).json()["choice"]["backend"], "cpu (scalar)");
}

#[test]
fn doctor_says_where_each_task_runs() {
    let sandbox = Sandbox::new("doctor_tasks");
    let args = ["doctor", "--device", "cpu", "--level", "portable"];
    let json = run(sandbox.edge_net().args(args).arg("--json"), b"").expect(0).json();
    let rows = json["tasks"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|r| r["task"].as_str().unwrap()).collect();
    assert_eq!(names, tasks::Task::names().collect::<Vec<_>>());
    for row in rows {
        assert_eq!(row["runs_on"], "cpu (portable)");
        assert!(!row["why"].as_str().unwrap().is_empty());
    }
    let text = run(sandbox.edge_net().args(args), b"").expect(0).out;
    let tasks = text.split("\ntasks\n").nth(1).unwrap();
    assert!(names.iter().all(|name| tasks.contains(name)), "{tasks}");
    // What never runs on a GPU runs where a GPU is asked for and there is none.
    let wanted = ["doctor", "--json", "--device", "gpu", "--adapter", "no such adapter"];
    let json = run(sandbox.edge_net().args(wanted), b"").expect(0).json();
    let row =
        |name: &str| json["tasks"].as_array().unwrap().iter().find(|r| r["task"] == name).unwrap().clone();
    assert!(row("encryption")["runs_on"].as_str().unwrap().starts_with("cpu ("));
    assert!(!row("embedding")["runs_on"].as_str().unwrap().starts_with("cpu ("));
}

#[test]
fn a_model_that_fails_its_self_test_is_not_run() {
    let sandbox = Sandbox::new("canary");
    let out = sandbox.root.join("own");
    fs::create_dir(&out).unwrap();
    let file = out.join("minilm-int.safetensors");
    run(sandbox.tiny().args(["model", "quantize", "minilm", "--out"]).arg(&file), b"").expect(0);
    let mut command = sandbox.edge_net();
    let command = command.env("EDGENET_MODEL_DIR", &out);
    run(command.args(["model", "verify", "minilm"]), b"").expect(0);

    // Canary: one digit of the golden digest.
    let mut bytes = fs::read(&file).unwrap();
    let key = b"\"golden.sha256\":\"";
    let at = bytes.windows(key.len()).position(|w| w == key).unwrap() + key.len();
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    fs::write(&file, bytes).unwrap();
    let with = || {
        let mut command = sandbox.edge_net();
        command.env("EDGENET_MODEL_DIR", &out);
        command
    };
    run(with().args(["embed", "cat"]), b"").expect(1).says(&["golden self-test"]);
    let said =
        run(with().args(["model", "verify", "minilm"]), b"").expect(1).says(&["the self-test failed on "]);
    assert!(said.out.contains("FAILED"), "{}", said.out);
    run(with().args(["doctor"]), b"").expect(1).says(&["cpu (scalar) fails the self-test"]);
}

#[test]
fn models_are_listed_with_what_there_is_of_them() {
    let sandbox = Sandbox::new("list");
    let said = run(sandbox.edge_net().args(["model", "list"]), b"").expect(0);
    assert!(said.out.contains("minilm") && said.out.contains("bge-small") && said.out.contains("absent"));
    let json = run(sandbox.tiny().args(["model", "list", "--json"]), b"").expect(0).json();
    assert_eq!((&json[0]["name"], &json[0]["state"]), (&"minilm".into(), &"weights".into()));
    let said = run(sandbox.edge_net().args(["model", "verify", "minilm"]), b"").expect(1);
    said.says(&["model \"minilm\" is not there: edge-net model fetch minilm"]);
}

#[test]
fn quantising_gives_the_same_file_every_time() {
    let sandbox = Sandbox::new("quantize");
    let files = ["a", "b"].map(|name| sandbox.root.join(name));
    for file in &files {
        let said =
            run(sandbox.tiny().args(["model", "quantize", "minilm", "--out"]).arg(file), b"").expect(0);
        assert_eq!(said.out, format!("{}  {}\n", hex(&fs::read(file).unwrap()), file.display()));
    }
    assert_eq!(fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
    let said = run(sandbox.tiny().args(["model", "quantize", "minilm"]), b"").expect(0);
    assert!(said.out.contains("cache"), "{}", said.out);
}

#[test]
fn a_calibrated_recipe_leads_to_its_integers() {
    let sandbox = Sandbox::new("calibrate");
    let path = |name: &str| sandbox.root.join(name);
    fs::write(path("texts"), "hello world\nthe cat\n\nthe world 42\n").unwrap();
    let args = ["model", "calibrate", "minilm", "--texts"];
    let mut command = sandbox.tiny();
    let command = command.args(args).arg(path("texts")).arg("--out").arg(path("recipe"));
    run(command, b"").expect(0);
    let quantise = |out: &str| {
        let mut command = sandbox.tiny();
        let command = command.args(["model", "quantize", "minilm", "--recipe"]).arg(path("recipe"));
        run(command.arg("--out").arg(path(out)), b"").expect(0)
    };
    quantise("int");
    // The recipe read off the integers is the recipe they were made with.
    let mut command = sandbox.tiny();
    let command = command.args(["model", "recipe", "minilm", "--target"]).arg(path("int"));
    run(command.arg("--out").arg(path("again")), b"").expect(0);
    assert_eq!(fs::read(path("again")).unwrap(), fs::read(path("recipe")).unwrap());

    let mut bytes = fs::read(path("recipe")).unwrap();
    let last = bytes.len() - 40;
    bytes[last] ^= 1;
    fs::write(path("recipe"), bytes).unwrap();
    let mut command = sandbox.tiny();
    let command = command.args(["model", "quantize", "minilm", "--recipe"]).arg(path("recipe"));
    run(command.arg("--out").arg(path("int")), b"").expect(1).says(&["recipe: "]);

    fs::write(path("texts"), b"hello\n\xff\n").unwrap();
    let mut command = sandbox.tiny();
    let command = command.args(args).arg(path("texts")).arg("--out").arg(path("recipe"));
    run(command, b"").expect(1).says(&["texts: line 2: invalid UTF-8"]);
}

#[test]
fn damaged_float_weights_are_named() {
    let sandbox = Sandbox::new("damaged_float");
    let cases: [(&str, &[u8], &str); 3] = [
        ("model.safetensors", b"{}", "model.safetensors: "),
        ("config.json", b"{\"model_type\":\"t5\"}", "config.json: "),
        ("vocab.txt", b"[PAD]\n", "vocabulary"),
    ];
    for (name, bytes, message) in cases {
        let mut command = sandbox.tiny();
        fs::write(sandbox.root.join("model").join(name), bytes).unwrap();
        run(command.args(["embed", "cat"]), b"").expect(1).says(&[message]);
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = run(Sandbox::new("completions").edge_net().args(["completions", shell]), b"").expect(0);
        assert!(said.out.contains("doctor") && said.out.contains("jsonl"), "{shell}");
    }
    run(Sandbox::new("completions").edge_net().args(["completions", "csh"]), b"").expect(2).says(&["csh"]);
}
