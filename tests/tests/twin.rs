//! One test body per stage over every backend and level: equal bytes, or lists within their tolerance, or a named
//! difference.

use std::sync::Arc;

use edge_net_tests::{
    backends::{self, Run},
    cases::{self, Case},
    lists,
};
use plan::{Agreement, Stage};

/// The comparison itself, so that the canary below goes through the same lines.
fn compare(case: &Case, name: &str, run: &mut Run) -> Result<(), String> {
    let (expected, found) = (backends::oracle()(&case.weights, &case.plan), run(&case.weights, &case.plan));
    if expected.len() != found.len() {
        return Err(format!("{name}, {}: {} words, oracle {}", case.name, found.len(), expected.len()));
    }
    if let Agreement::Tolerance(_) = case.plan.agreement {
        return lists::agree(&case.plan, &*case.weights, &found)
            .map_err(|what| format!("{name}, {}: {what}", case.name));
    }
    match expected.iter().zip(&found).position(|(e, f)| e != f) {
        Some(i) => {
            Err(format!("{name}, {}: word {i} is {:#x}, oracle {:#x}", case.name, found[i], expected[i]))
        }
        None => Ok(()),
    }
}

fn twin(stage: Stage) {
    let cases = cases::of(stage);
    let mut failures = Vec::new();
    for (name, mut run) in backends::all() {
        failures.extend(cases.iter().filter_map(|case| compare(case, &name, &mut run).err()));
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        stage.stem(),
        failures[..failures.len().min(20)].join("\n")
    );
}

#[test]
fn embed() {
    twin(Stage::Embed);
}

#[test]
fn layernorm() {
    twin(Stage::LayerNorm);
}

#[test]
fn quantise() {
    twin(Stage::Quantise);
}

#[test]
fn gemm() {
    twin(Stage::Gemm);
}

#[test]
fn attention() {
    twin(Stage::Attention);
}

#[test]
fn pool() {
    twin(Stage::Pool);
}

#[test]
fn encode() {
    twin(Stage::Encode);
}

#[test]
fn distance() {
    twin(Stage::Distance);
}

#[test]
fn distance_f32() {
    twin(Stage::DistanceF32);
}

#[test]
fn hamming() {
    twin(Stage::Hamming);
}

#[test]
fn topk() {
    twin(Stage::TopK);
}

#[test]
fn lif() {
    twin(Stage::Lif);
}

/// Lists merged are the list of one scan, on every backend.
#[test]
fn chains_of_steps() {
    let chains = cases::chains();
    for (name, mut run) in backends::all() {
        for chain in &chains {
            for case in [&chain.merged, &chain.whole] {
                compare(case, &name, &mut run).unwrap_or_else(|difference| panic!("{difference}"));
            }
            let [merged, whole] = [&chain.merged, &chain.whole].map(|case| run(&case.weights, &case.plan));
            assert_eq!(merged, whole, "{name}, {}", chain.merged.name);
        }
    }
}

/// A backend that is off by one in one word of one case, or far off where a tolerance holds, is caught, for every
/// stage.
#[test]
fn a_planted_fault_is_caught() {
    for stage in Stage::ALL {
        let cases = cases::of(stage);
        let planted = cases.len() / 2;
        let mut calls = 0;
        let mut run: Run = Box::new(move |weights: &Arc<dyn plan::Weights>, plan: &plan::Plan| {
            let mut words = backends::oracle()(weights, plan);
            if calls == planted {
                let middle = words.len() / 2;
                words[middle] = match plan.agreement {
                    Agreement::Exact => words[middle].wrapping_add(1),
                    // The top bit of a key's exponent, or a row there is not.
                    Agreement::Tolerance(_) => words[middle] ^ 1 << 30,
                };
            }
            calls += 1;
            words
        });
        let caught: Vec<usize> =
            (0..cases.len()).filter(|&i| compare(&cases[i], "planted", &mut run).is_err()).collect();
        assert_eq!(caught, [planted], "{}", stage.stem());
    }
}
