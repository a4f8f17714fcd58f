//! Every level gives the oracle's bytes, stage by stage, on inputs that are ugly on purpose.
//!
//! A stage's `check` runs a level and the oracle on the same cases and names the first difference. The same
//! function is given a level with one planted fault and must find it.

mod attention;
mod canary;
mod distance;
mod distance_f32;
mod embed;
mod encode;
mod gather;
mod gemm;
mod hamming;
mod inputs;
mod layernorm;
mod lif;
mod pool;
mod quantise;
mod scans;
mod topk;

use kernels_cpu::{Kernels, Level, oracle::Oracle};
use plan::Stage;

use crate::{
    canary::{OffByOne, Planted, Unsteady},
    inputs::Difference,
};

fn check(stage: Stage, kernels: &dyn Kernels) -> Result<usize, Difference> {
    match stage {
        Stage::Embed => embed::check(kernels),
        Stage::LayerNorm => layernorm::check(kernels),
        Stage::Quantise => quantise::check(kernels),
        Stage::Gemm => gemm::check(kernels),
        Stage::Attention => attention::check(kernels),
        Stage::Pool => pool::check(kernels),
        Stage::Encode => encode::check(kernels),
        Stage::Distance => distance::check(kernels),
        Stage::DistanceF32 => distance_f32::check(kernels),
        Stage::Hamming => hamming::check(kernels),
        Stage::TopK => topk::check(kernels),
        Stage::Lif => lif::check(kernels),
    }
}

fn every_level(stem: &str, check: impl Fn(&dyn Kernels) -> Result<usize, Difference>) {
    for &level in Level::ALL {
        match level.kernels() {
            Ok(kernels) => match check(kernels) {
                Ok(cases) => report(&format!("{stem} at {level}: {cases} cases")),
                Err(difference) => panic!("{stem} at {level}: {difference}"),
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
                let stage = plan::Stage::$stage;
                super::super::every_level(stage.stem(), |kernels| super::super::check(stage, kernels));
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
    stages!(encode: Encode, distance: Distance, distance_f32: DistanceF32, hamming: Hamming, topk: TopK, lif: Lif);
}

#[test]
fn scattered_rows_are_scored_at_every_level() {
    every_level("gather", gather::check);
    assert!(gather::check(&OffByOne(&Oracle)).is_err(), "a fault of one in one sum went unseen");
}

#[test]
fn float_sums_that_follow_the_batch_are_found() {
    assert!(
        distance_f32::check(&Unsteady(&Oracle)).is_err(),
        "a last bit that depends on the batch went unseen"
    );
}

#[test]
fn levels_are_known_by_name() {
    for &level in Level::ALL {
        assert_eq!(level.name().parse(), Ok(level));
    }
    assert!("sse9".parse::<Level>().is_err());
    assert!(Level::detect().is_supported());
}
