//! One test body per stage over every backend and level: equal bytes or a named difference.

use std::sync::Arc;

use edge_net_tests::{
    backends::{self, Run},
    cases::{self, Case},
};
use plan::Stage;

/// The comparison itself, so that the canary below goes through the same lines.
fn compare(case: &Case, name: &str, run: &mut Run) -> Result<(), String> {
    let (expected, found) = (backends::oracle()(&case.weights, &case.plan), run(&case.weights, &case.plan));
    if expected.len() != found.len() {
        return Err(format!("{name}, {}: {} words, oracle {}", case.name, found.len(), expected.len()));
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

/// A backend that is off by one in one word of one case is caught, for every stage.
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
                words[middle] = words[middle].wrapping_add(1);
            }
            calls += 1;
            words
        });
        let caught: Vec<usize> =
            (0..cases.len()).filter(|&i| compare(&cases[i], "planted", &mut run).is_err()).collect();
        assert_eq!(caught, [planted], "{}", stage.stem());
    }
}
