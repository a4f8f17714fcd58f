use super::common::{Sandbox, run};

const AGENTS: &str = concat!(
    "{\"id\":\"greeter\",\"description\":\"hello world\"}\n",
    "\n",
    "{\"id\":\"keeper\",\"description\":\"the cat\"}\n",
    "{\"id\":\"counter\",\"description\":\"0123456789\"}\n",
);

#[test]
fn queries_go_to_the_agents_that_fit() {
    let sandbox = Sandbox::new("match");
    let file = sandbox.file("agents.jsonl", AGENTS);
    let mut command = sandbox.tiny();
    let command = command.args(["match", "the cat", "hello world", "--json", "--agents"]).arg(&file);
    let json = run(command, b"").expect(0).json();
    assert_eq!(json[0]["query"], "the cat");
    assert_eq!(
        (&json[0]["agents"][0]["id"], &json[1]["agents"][0]["id"]),
        (&"keeper".into(), &"greeter".into())
    );
    let score = json[0]["agents"][0]["score"].as_f64().unwrap();
    assert!((score - 1.0).abs() < 1e-3, "{score}");
    assert_eq!(json[0]["agents"].as_array().unwrap().len(), 3);
    // Again, with the agents' vectors remembered.
    let mut command = sandbox.tiny();
    let again =
        run(command.args(["match", "the cat", "hello world", "--json", "--agents", "-"]), AGENTS.as_bytes());
    assert_eq!(again.expect(0).json(), json);
    let mut command = sandbox.tiny();
    let command = command.args(["match", "the cat", "-k", "1", "--agents"]).arg(&file);
    let text = run(command, b"").expect(0).out;
    assert!(
        text.starts_with("\"the cat\"\n") && text.contains("  keeper\n") && text.lines().count() == 2,
        "{text}"
    );
    let mut command = sandbox.tiny();
    let command = command.args(["match", "zzz 99", "--threshold", "0.999", "--agents"]).arg(&file);
    assert!(run(command, b"").expect(0).out.contains("no agent reaches the threshold"));
}

#[test]
fn wrong_agents_and_flags_are_named() {
    let sandbox = Sandbox::new("match_bad");
    let cases: [(&str, i32, &[&str]); 6] = [
        ("", 1, &["agents: no agents"]),
        ("{\"id\":\"a\"}\n", 1, &["agents: line 1", "missing field `description`"]),
        ("{\"id\":\"a\",\"description\":\"x\"}\nnope\n", 1, &["agents: line 2", "expected {\"id\""]),
        ("{\"id\":\"a\",\"description\":\"x\",\"cost\":1}\n", 1, &["line 1", "unknown field `cost`"]),
        ("{\"id\":\"a\",\"description\":\"x\"}\n{\"id\":\"a\",\"description\":\"y\"}\n", 1, &["agents[1]"]),
        (
            "{\"id\":\"a\\u001b[31m\",\"description\":\"x\"}\n",
            1,
            &["agents[0].id: holds a control character"],
        ),
    ];
    for (agents, code, parts) in cases {
        let file = sandbox.file("agents", agents);
        let said = run(sandbox.tiny().args(["match", "x", "--agents"]).arg(file), b"").expect(code);
        assert_eq!(said.says(parts).out, "");
    }
    let file = sandbox.file("agents", AGENTS);
    let ask =
        |flags: &[&str]| run(sandbox.tiny().args(["match", "x", "--agents"]).arg(&file).args(flags), b"");
    ask(&["--threshold", "2"]).expect(2).says(&["--threshold: is 2, must be -1 to 1"]);
    ask(&["-k", "0"]).expect(2).says(&["-k: is 0"]);
    ask(&["--model", "gpt"]).expect(2).says(&["unknown model \"gpt\""]);
    run(sandbox.tiny().args(["match", "--agents", "-"]), b"").expect(2).says(&["QUERY"]);
    // Without any model there is nothing to match with.
    run(sandbox.edge_net().args(["match", "x", "--agents"]).arg(&file), b"").expect(1).says(&["minilm"]);
}
