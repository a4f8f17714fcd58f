//! A GPU that is lost, exhausted or wrong is left for the CPU: same bits, and a reason.
#![cfg(feature = "gpu")]

use std::sync::Arc;

use edge_net_tests::{backends, generated};
use engine::{Backend, Device, Engine, EngineError, Loaded, Options, gpu::GpuOptions};
use models::bert::Pooling;
use plan::{Plan, SelfTest, Weights};
use sha2::{Digest, Sha256};

struct World {
    weights: Arc<dyn Weights>,
    plans: Vec<Plan>,
    expected: Vec<Vec<u32>>,
}

impl World {
    /// One plan a text, the longest text and so the largest plan in the middle.
    fn new() -> World {
        let (model, texts) = generated::model(Pooling::Mean);
        let plan = |text: &Vec<u32>| model.plan(&[text]).expect("a valid batch");
        let plans: Vec<Plan> = texts[..10].iter().map(plan).collect();
        let weights: Arc<dyn Weights> = model.clone();
        let mut oracle = backends::oracle();
        let expected = plans.iter().map(|p| oracle(&weights, p)).collect();
        World { weights, plans, expected }
    }

    fn self_test(&self) -> SelfTest {
        let digest = Sha256::digest(bytemuck::cast_slice::<u32, u8>(&self.expected[4])).into();
        SelfTest { plan: self.plans[4].clone(), digest }
    }

    fn load(
        &self,
        device: Device,
        pool_cap_bytes: Option<u64>,
        test: SelfTest,
    ) -> Result<Loaded, EngineError> {
        let mut gpu = GpuOptions { allow_software: true, ..GpuOptions::default() };
        gpu.pool_cap_bytes = pool_cap_bytes.unwrap_or(gpu.pool_cap_bytes);
        let options = Options { device, gpu, ..Options::default() };
        pollster::block_on(async {
            Engine::open(options).await?.load(self.weights.clone(), Some(test)).await
        })
    }

    /// Loads on the GPU, or says that there is none.
    fn on_gpu(&self, pool_cap_bytes: Option<u64>) -> Option<Loaded> {
        let loaded = self.load(Device::Auto, pool_cap_bytes, self.self_test()).expect("some backend loads");
        if let Backend::Cpu(_) = loaded.status().backend {
            assert!(std::env::var_os("EDGENET_TEST_ALL").is_none(), "no GPU: {:?}", loaded.status());
            edge_net_tests::report(&format!("not run: {:?}", loaded.status().fallbacks));
            return None;
        }
        Some(loaded)
    }
}

#[test]
fn a_destroyed_device_is_left_for_the_cpu() {
    let world = World::new();
    let Some(mut loaded) = world.on_gpu(None) else { return };
    let first = pollster::block_on(loaded.run(&world.plans[..3])).expect("the GPU runs");
    assert_eq!(first, world.expected[..3]);
    loaded.gpu().expect("still on the GPU").destroy();
    let rest = pollster::block_on(loaded.run(&world.plans[3..])).expect("the CPU takes over");
    assert_eq!(rest, world.expected[3..]);
    left(&loaded, "device-lost");
}

#[test]
fn exhausted_memory_in_the_middle_is_left_for_the_cpu() {
    let world = World::new();
    let largest = world.plans.iter().map(Plan::bytes).max().expect("plans");
    // Room for the self-test and the short texts, not for the longest with what the pool rounds up.
    let Some(mut loaded) = world.on_gpu(Some(largest as u64)) else { return };
    let outputs = pollster::block_on(loaded.run(&world.plans)).expect("the CPU takes over");
    assert_eq!(outputs, world.expected);
    left(&loaded, "out-of-memory");
}

#[test]
fn a_device_that_fails_its_self_test_is_not_used() {
    let world = World::new();
    if world.on_gpu(None).is_none() {
        return;
    }
    // The digest of another plan stands in for a device that computes something else.
    let wrong = SelfTest { plan: world.plans[3].clone(), ..world.self_test() };
    match world.load(Device::Gpu, None, wrong.clone()) {
        Err(EngineError::Gpu(fallback)) => assert_eq!(fallback.code, "self-test"),
        other => panic!("a GPU asked for by name must be refused, got {:?}", other.map(|l| l.status())),
    }
    // The CPU fails that test too: nothing is trusted.
    assert!(matches!(world.load(Device::Auto, None, wrong), Err(EngineError::SelfTest(_))));
}

fn left(loaded: &Loaded, code: &str) {
    let status = loaded.status();
    assert!(matches!(status.backend, Backend::Cpu(_)), "{status:?}");
    assert_eq!(status.fallbacks.iter().map(|f| f.code).collect::<Vec<_>>(), [code], "{status:?}");
}
