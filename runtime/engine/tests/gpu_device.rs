//! The GPU as a device: whole plans, faults, limits and memory. Single stages are compared in the
//! cross-crate twins.
#![cfg(feature = "gpu")]

mod layer;

use std::{borrow::Cow, sync::Arc};

use engine::{
    Arena, CpuModel,
    gpu::{Gpu, GpuError, GpuOptions, Kernels, adapters},
};
use kernels_cpu::Level;
use layer::Layer;
use plan::{Agreement, BufferId, Plan, Stage, Step, TopK, Upload, Weights};
use pollster::block_on;

#[test]
fn a_layer_gives_the_oracle_bits_in_one_submission_and_one_readback() {
    for kernels in [Kernels::Direct, Kernels::Tiled] {
        let Some(mut gpu) = open(&GpuOptions { kernels: Some(kernels), ..software() }) else { return };
        let layer = Arc::new(Layer::new(7));
        let model = block_on(gpu.load(&*layer)).expect("weights load");
        let (mut submissions, mut dispatches) = (0, 0);
        // The second, shorter run meets buffers full of the first one's values.
        for lengths in [&[33, 1, 64, 17][..], &[5, 2], &[1], &[70; 9]] {
            let plan = layer.plan(lengths);
            let words = block_on(gpu.run(&model, &plan)).expect("the plan runs");
            assert_eq!(words, oracle(&layer, &plan), "{kernels:?}, {lengths:?}");
            (submissions, dispatches) = (submissions + 1, dispatches + plan.steps.len() as u64);
            let stats = gpu.stats();
            assert_eq!((stats.submissions, stats.readbacks), (submissions, submissions));
            assert_eq!(stats.dispatches, dispatches);
        }
    }
}

/// A workgroup per sequence: more than one dimension of a grid holds.
#[test]
fn grids_longer_than_a_dimension_are_folded() {
    let Some(mut gpu) = open(&software()) else { return };
    let layer = Arc::new(Layer::new(6));
    let model = block_on(gpu.load(&*layer)).expect("weights load");
    let plan = layer.pool(65_600);
    let words = block_on(gpu.run(&model, &plan)).expect("the plan runs");
    assert_eq!(words, oracle(&layer, &plan));
}

#[test]
fn buffers_are_kept_between_runs() {
    let Some(mut gpu) = open(&software()) else { return };
    let layer = Layer::new(1);
    let model = block_on(gpu.load(&layer)).expect("weights load");
    let plan = layer.plan(&[12, 30]);
    block_on(gpu.run(&model, &plan)).expect("the plan runs");
    let first = gpu.stats();
    assert!(first.pooled_bytes >= plan.bytes() as u64, "{first:?}");
    block_on(gpu.run(&model, &plan)).expect("the plan runs again");
    let second = gpu.stats();
    assert_eq!((second.pooled_bytes, second.peak_bytes), (first.pooled_bytes, first.pooled_bytes));
    assert_eq!(second.pipelines, first.pipelines);
}

#[test]
fn a_destroyed_device_says_so() {
    let Some(mut gpu) = open(&software()) else { return };
    let layer = Layer::new(2);
    let model = block_on(gpu.load(&layer)).expect("weights load");
    let plan = layer.plan(&[9]);
    block_on(gpu.run(&model, &plan)).expect("the plan runs");
    gpu.destroy();
    for _ in 0..2 {
        let error = block_on(gpu.run(&model, &plan)).expect_err("the device is gone");
        assert!(matches!(error, GpuError::DeviceLost { .. }), "{error:?}");
        assert_eq!(error.code(), "device-lost");
    }
    let error = block_on(gpu.load(&layer)).map(|_| ()).expect_err("the device is gone");
    assert_eq!(error.code(), "device-lost");
}

/// Whenever the device goes, a run gives the right bits or says that it is lost.
#[test]
fn a_device_destroyed_during_a_run_gives_no_wrong_bits() {
    let layer = Arc::new(Layer::new(8));
    let plan = layer.plan(&[70; 60]);
    let expected = oracle(&layer, &plan);
    for delay_ms in [0, 1, 3, 10, 30] {
        let Some(mut gpu) = open(&software()) else { return };
        let model = block_on(gpu.load(&*layer)).expect("weights load");
        let destroy = gpu.destroyer();
        let other = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(delay_ms));
            destroy();
        });
        match block_on(gpu.run(&model, &plan)) {
            Ok(words) => assert!(words == expected, "wrong bits, destroyed after {delay_ms} ms"),
            Err(error) => assert_eq!(error.code(), "device-lost", "{error:?}"),
        }
        other.join().expect("the device can be destroyed from any thread");
        let error = block_on(gpu.run(&model, &plan)).expect_err("the device is gone");
        assert_eq!(error.code(), "device-lost", "{error:?}");
    }
}

#[test]
fn a_plan_over_the_cap_fails_and_the_next_one_runs() {
    let cap = 400 << 10;
    let Some(mut gpu) = open(&GpuOptions { pool_cap_bytes: cap, ..software() }) else { return };
    let layer = Layer::new(3);
    let model = block_on(gpu.load(&layer)).expect("weights are not counted");
    let (small, large) = (layer.plan(&[20]), layer.plan(&[60; 40]));
    block_on(gpu.run(&model, &small)).expect("the small plan fits");
    let error = block_on(gpu.run(&model, &large)).expect_err("the large plan does not fit");
    let GpuError::OutOfMemory { wanted, in_use, cap: allowed } = error else { panic!("{error:?}") };
    assert!(allowed == cap && in_use <= cap && in_use + wanted > cap, "{error:?}");
    assert_eq!(error.code(), "out-of-memory");
    assert!(gpu.stats().peak_bytes <= cap);
    let words = block_on(gpu.run(&model, &small)).expect("memory was given back");
    assert_eq!(words, oracle(&Arc::new(Layer::new(3)), &small));
}

#[test]
fn a_buffer_that_no_device_holds_is_a_limit() {
    let Some(mut gpu) = open(&GpuOptions { pool_cap_bytes: u64::MAX / 2, ..software() }) else { return };
    let layer = Layer::new(4);
    let model = block_on(gpu.load(&layer)).expect("weights load");
    let mut plan = layer.plan(&[3]);
    plan.buffers.push(1 << 60);
    let error = block_on(gpu.run(&model, &plan)).expect_err("no device has this much");
    assert!(matches!(error, GpuError::Limit { max, .. } if max < 1 << 62), "{error:?}");
    assert_eq!(error.code(), "limit");
}

/// Such an adapter would cut the loops short and say nothing.
#[test]
fn more_iterations_than_a_software_adapter_counts_are_a_limit() {
    let Some(mut gpu) = open(&software()) else { return };
    let model = block_on(gpu.load(&Layer::new(9))).expect("weights load");
    let merge = |lists: usize| {
        let (input, out) = (BufferId(0), BufferId(1));
        let words = (0..lists as u32).flat_map(|list| [list + 1, list]).collect();
        Plan {
            buffers: vec![lists * 2, 2],
            uploads: vec![Upload { buffer: input, words }],
            steps: vec![Step::TopK(TopK { queries: 1, lists, k: 1, input, out })],
            output: out,
            agreement: Agreement::Exact,
        }
    };
    assert_eq!(block_on(gpu.run(&model, &merge(1000))), Ok(vec![1000, 999]));
    let outcome = block_on(gpu.run(&model, &merge(100_000)));
    if gpu.info().software {
        assert!(matches!(outcome, Err(GpuError::Limit { .. })), "{outcome:?}");
    } else {
        assert_eq!(outcome, Ok(vec![100_000, 99_999]));
    }
}

/// Runs the test below in a process of its own, whose address space ends before the plan does: software
/// adapters take their memory from it.
#[test]
#[cfg(target_os = "linux")]
fn memory_that_the_driver_lacks_is_an_error() {
    let program = std::env::current_exe().expect("a test binary");
    let kib = 4 << 20;
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -v {kib}; exec \"$0\" \"$@\"")])
        .arg(program)
        .args(["--exact", "plans_past_the_address_space_are_out_of_memory", "--ignored", "--nocapture"])
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{} {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "needs the small address space that memory_that_the_driver_lacks_is_an_error gives it"]
fn plans_past_the_address_space_are_out_of_memory() {
    let Some(mut gpu) = open(&GpuOptions { pool_cap_bytes: u64::MAX / 2, ..software() }) else { return };
    let layer = Arc::new(Layer::new(4));
    let model = block_on(gpu.load(&*layer)).expect("weights load");
    let small = layer.plan(&[3]);
    let mut plan = small.clone();
    plan.buffers.extend([16 << 20; 128]);
    let error = block_on(gpu.run(&model, &plan)).expect_err("8 GiB of 4");
    assert!(matches!(error, GpuError::DriverOutOfMemory { wanted } if wanted > 8 << 30), "{error:?}");
    assert_eq!(error.code(), "out-of-memory");
    let words = block_on(gpu.run(&model, &small)).expect("memory was given back");
    assert_eq!(words, oracle(&layer, &small));
}

#[test]
fn a_planted_fault_in_a_shader_is_caught() {
    let faults: [fn(Stage) -> Cow<'static, str>; 4] = [
        |stage| planted(stage, Stage::Gemm, "vec4<u32>(32768u)", "vec4<u32>(0u)"),
        |stage| planted(stage, Stage::Attention, "d >> 8u", "d >> 9u"),
        |stage| planted(stage, Stage::LayerNorm, "(d15 + 8) >> 4u", "(d15 + 7) >> 4u"),
        |stage| planted(stage, Stage::Pool, "20u - root.z", "19u - root.z"),
    ];
    let layer = Arc::new(Layer::new(5));
    let plan = layer.plan(&[40, 3]);
    let expected = oracle(&layer, &plan);
    for (i, source) in faults.into_iter().enumerate() {
        let Some(mut gpu) = open(&GpuOptions { source, ..software() }) else { return };
        let model = block_on(gpu.load(&*layer)).expect("weights load");
        let words = block_on(gpu.run(&model, &plan)).expect("the plan runs");
        assert_ne!(words, expected, "fault {i} goes unseen");
    }
}

#[test]
fn a_shader_that_does_not_compile_is_named() {
    let source = |stage| planted(stage, Stage::Quantise, "fn per_row(", "fn per_column(");
    if open(&software()).is_none() {
        return;
    }
    let options = GpuOptions { source, kernels: Some(Kernels::Direct), ..software() };
    let error = block_on(Gpu::open(&options)).map(|_| ()).expect_err("no such entry point");
    assert!(matches!(error, GpuError::Shader { stem: "quantise", .. }), "{error:?}");
}

#[test]
fn adapters_that_are_not_wanted_are_not_opened() {
    let options = GpuOptions { adapter: Some("no such adapter".into()), ..software() };
    let error = block_on(Gpu::open(&options)).map(|_| ()).expect_err("no such adapter");
    assert_eq!(error.code(), "no-adapter");
    for adapter in block_on(adapters()).into_iter().filter(|a| a.software) {
        let options = GpuOptions { adapter: Some(adapter.name), ..GpuOptions::default() };
        let error = block_on(Gpu::open(&options)).map(|_| ()).expect_err("software is not allowed");
        assert_eq!(error.code(), "software-adapter");
    }
}

fn planted(stage: Stage, at: Stage, text: &str, fault: &str) -> Cow<'static, str> {
    let source = shaders::shader(stage).source;
    if stage != at {
        return source.into();
    }
    assert!(source.contains(text), "{text} is not in {}", stage.stem());
    source.replace(text, fault).into()
}

fn software() -> GpuOptions {
    GpuOptions { allow_software: true, ..GpuOptions::default() }
}

/// A GPU, or a line that says the test did not run.
#[expect(clippy::print_stderr)]
fn open(options: &GpuOptions) -> Option<Gpu> {
    match block_on(Gpu::open(options)) {
        Ok(gpu) => Some(gpu),
        Err(error @ GpuError::NoAdapter { .. }) => {
            assert!(std::env::var_os("EDGENET_TEST_ALL").is_none(), "{error}");
            eprintln!("not run: no Vulkan adapter");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn oracle(layer: &Arc<Layer>, plan: &Plan) -> Vec<u32> {
    plan.check(&**layer).expect("a well-formed plan");
    let weights: Arc<dyn Weights> = layer.clone();
    CpuModel::new(Level::Scalar, weights).expect("the oracle runs anywhere").run(plan, &mut Arena::default())
}
