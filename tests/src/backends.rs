//! Every backend a plan can run on here, by name.

use std::sync::Arc;

use engine::{Arena, CpuModel};
use kernels_cpu::Level;
use plan::{Plan, Weights};

/// Runs one plan and returns its output words.
pub type Run = Box<dyn FnMut(&Arc<dyn Weights>, &Plan) -> Vec<u32> + Send>;

/// What the oracle gives: the result every backend must give.
pub fn oracle() -> Run {
    cpu(Level::Scalar)
}

/// One CPU level. A model is packed once for all the plans in a row that use it.
pub fn cpu(level: Level) -> Run {
    let mut packed: Option<(Arc<dyn Weights>, CpuModel)> = None;
    Box::new(move |weights, plan| {
        plan.check(&**weights).unwrap_or_else(|e| panic!("malformed plan: {e}"));
        if !packed.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, weights)) {
            let model = CpuModel::new(level, weights.clone()).expect("a supported level");
            packed = Some((weights.clone(), model));
        }
        let (_, model) = packed.as_ref().expect("packed above");
        model.run(plan, &mut Arena::default())
    })
}

/// Every backend but the oracle: each supported CPU level, and the GPU. Those that cannot run here are named on
/// stderr as *not run*, and fail the test where `EDGENET_TEST_ALL` is set and they should be here.
pub fn all() -> Vec<(String, Run)> {
    let mut backends: Vec<(String, Run)> = Vec::new();
    for &level in Level::ALL.iter().filter(|&&l| l != Level::Scalar) {
        if level.is_supported() {
            backends.push((level.to_string(), cpu(level)));
        } else {
            crate::report(&format!("not run: CPU level {level} (this processor lacks it)"));
        }
    }
    backends.extend(gpu());
    let names: Vec<&str> = backends.iter().map(|(name, _)| name.as_str()).collect();
    crate::report(&format!("{} backends: {}", names.len(), names.join(", ")));
    backends
}

/// Both forms of the GPU kernels, whichever the adapter would choose.
#[cfg(feature = "gpu")]
fn gpu() -> Vec<(String, Run)> {
    use engine::gpu::Kernels;
    [Kernels::Direct, Kernels::Tiled].into_iter().filter_map(gpu_with).collect()
}

#[cfg(feature = "gpu")]
fn gpu_with(kernels: engine::gpu::Kernels) -> Option<(String, Run)> {
    use engine::gpu::{Gpu, GpuModel, GpuOptions};
    let options = GpuOptions { allow_software: true, kernels: Some(kernels), ..GpuOptions::default() };
    match pollster::block_on(Gpu::open(&options)) {
        Ok(mut gpu) => {
            let name = format!("gpu ({}, {kernels:?})", gpu.info().name);
            let mut loaded: Option<(Arc<dyn Weights>, GpuModel)> = None;
            let run = move |weights: &Arc<dyn Weights>, plan: &Plan| {
                pollster::block_on(async {
                    if !loaded.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, weights)) {
                        loaded = Some((weights.clone(), gpu.load(&**weights).await.expect("weights load")));
                    }
                    let (_, model) = loaded.as_ref().expect("loaded above");
                    gpu.run(model, plan).await.expect("the plan runs")
                })
            };
            Some((name, Box::new(run)))
        }
        Err(error) => {
            assert!(
                std::env::var_os("EDGENET_TEST_ALL").is_none(),
                "no GPU, not even a software one: {error}"
            );
            crate::report(&format!("not run: GPU, {kernels:?} kernels ({error})"));
            None
        }
    }
}

#[cfg(not(feature = "gpu"))]
fn gpu() -> Vec<(String, Run)> {
    Vec::new()
}
