//! Every level gives the oracle's bytes, stage by stage, on inputs that are ugly on purpose.
//!
//! A stage's `check` runs a level and the oracle on the same cases and names the first difference. The same
//! function is given a level with one planted fault and must find it.

mod attention;
mod canary;
mod embed;
mod gemm;
mod inputs;
mod layernorm;
mod pool;
mod quantise;

use kernels_cpu::{Kernels, Level, oracle::Oracle};
use plan::Stage;

use crate::{canary::Planted, inputs::Difference};

fn check(stage: Stage, kernels: &dyn Kernels) -> Result<usize, Difference> {
    match stage {
        Stage::Embed => embed::check(kernels),
        Stage::LayerNorm => layernorm::check(kernels),
        Stage::Quantise => quantise::check(kernels),
        Stage::Gemm => gemm::check(kernels),
        Stage::Attention => attention::check(kernels),
        Stage::Pool => pool::check(kernels),
    }
}

fn every_level(stage: Stage) {
    for &level in Level::ALL {
        match level.kernels() {
            Ok(kernels) => match check(stage, kernels) {
                Ok(cases) => report(&format!("{} at {level}: {cases} cases", stage.stem())),
                Err(difference) => panic!("{} at {level}: {difference}", stage.stem()),
            },
            Err(_) => report(&format!("not run: {level}")),
        }
    }
}

fn finds_a_planted_fault(stage: Stage) {
    let found = check(stage, &Planted { kernels: &Oracle, stage });
    assert!(found.is_err(), "{}: a fault of one in one element went unseen", stage.stem());
}

#[expect(clippy::print_stderr, reason = "what ran and what did not is this test's result")]
fn report(line: &str) {
    eprintln!("{line}");
}

macro_rules! stages {
    ($($name:ident: $stage:ident),*) => {
        $(mod $name {
            #[test]
            fn is_equal_at_every_level() {
                super::super::every_level(plan::Stage::$stage);
            }

            #[test]
            fn finds_a_planted_fault() {
                super::super::finds_a_planted_fault(plan::Stage::$stage);
            }
        })*
    };
}

mod stage {
    stages!(embed: Embed, layernorm: LayerNorm, quantise: Quantise, gemm: Gemm, attention: Attention, pool: Pool);
}

#[test]
fn levels_are_known_by_name() {
    for &level in Level::ALL {
        assert_eq!(level.name().parse(), Ok(level));
    }
    assert!("sse9".parse::<Level>().is_err());
    assert!(Level::detect().is_supported());
}
