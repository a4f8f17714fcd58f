//! `edge-net up --demo`: liars are caught; without verification they are believed.

use serde_json::Value;

use crate::{
    common::{Sandbox, run},
    minilm,
};

fn demo(sandbox: &Sandbox, more: &[&str]) -> Option<Value> {
    let model = minilm(sandbox)?;
    let mut command = sandbox.edge_net();
    command.env("EDGENET_MODEL_DIR", model).args(["up", "--demo", "--json", "--device", "cpu"]).args(more);
    Some(run(&mut command, b"").expect(0).json())
}

#[test]
fn liars_are_caught_and_every_result_is_right() {
    let Some(report) = demo(&Sandbox::new("demo-verified"), &[]) else { return };
    assert_eq!(report["wrong"], 0, "{report}");
    for contributor in report["contributors"].as_array().expect("a list") {
        let slashed = contributor["slashedUcredits"].as_u64().expect("a number");
        assert_eq!(contributor["lies"].as_bool().expect("said"), slashed > 0, "{contributor}");
    }
    let tasks = report["tasks"].as_array().expect("a list");
    let kinds: Vec<&str> = tasks.iter().filter_map(|task| task["kind"].as_str()).collect();
    for kind in ["embedding", "vector_search", "neural_inference", "custom_wasm"] {
        assert!(kinds.contains(&kind), "{kind} was shown");
    }
    assert!(tasks.iter().all(|task| task["verdict"] == "verified"), "{report}");
}

/// Two of seven lie, so that none of a dozen results is theirs once in sixty runs; five runs leave one in 10^9.
#[test]
fn without_verification_a_wrong_result_is_delivered() {
    for _ in 0..5 {
        let Some(report) = demo(&Sandbox::new("demo-unverified"), &["--unverified"]) else { return };
        if report["wrong"].as_u64().expect("a number") > 0 {
            return;
        }
    }
    panic!("liars were never believed: then the demonstration shows nothing");
}
