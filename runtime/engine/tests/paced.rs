//! Plans in slices: the same bits however they are cut, and a stop that is obeyed before the next slice. Slices are counted, not timed.

#[allow(dead_code, reason = "other tests need more of it")]
mod layer;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

#[cfg(feature = "gpu")]
use engine::gpu::{Gpu, GpuError, GpuOptions};
use engine::{Device, Engine, EngineError, Loaded, Options, Pace, Turn, TurnFuture, work};
use layer::{Layer, Size};
use plan::{Plan, Weights};
use pollster::block_on;

#[test]
fn a_stop_is_obeyed_before_the_next_slice() {
    for threads in [1, 3] {
        let (layer, mut engine) = cpu(MINILM, threads);
        let plans: Vec<Plan> = (1..6).map(|n| layer.deep_plan(&[16 * n, 7], LAYERS)).collect();
        let slices = slices(&*layer, &plans, MOST);
        assert!(slices > 60, "{slices}: a forward pass is many slices");
        for stop_after in [0, 1, 17, slices as u64 - 1] {
            let pace = Counting { most: MOST, stop_after, ..Counting::default() };
            let error = block_on(engine.run_paced(&plans, &pace)).expect_err("stopped");
            assert!(matches!(error, EngineError::Stopped), "{error}");
            // The stop falls while other lanes are within a slice.
            let late = pace.done_late.load(Ordering::SeqCst);
            assert!(late < threads, "{late} slices after the stop, {threads} threads");
        }
        // A stopped engine is as good as it was.
        let whole = block_on(engine.run(&plans)).expect("runs");
        let pace = Counting { most: MOST, ..Counting::default() };
        assert!(block_on(engine.run_paced(&plans, &pace)).expect("runs") == whole);
        assert_eq!(pace.done.load(Ordering::SeqCst), slices as u64);
    }
}

/// A lane that goes on after it was told to stop is noticed: the same count, over a pace that forgets the stop once.
#[test]
fn a_planted_fault_is_caught() {
    let (layer, mut engine) = cpu(MINILM, 1);
    let plans = [layer.deep_plan(&[24], LAYERS)];
    let pace = Counting { most: MOST, stop_after: 5, deaf: AtomicU64::new(2), ..Counting::default() };
    block_on(engine.run_paced(&plans, &pace)).expect_err("stopped at last");
    assert_eq!(pace.done_late.load(Ordering::SeqCst), 2);
}

#[test]
fn every_cut_gives_the_same_bits_and_does_all_the_work() {
    let (layer, mut engine) = cpu(SMALL, 2);
    let plans: Vec<Plan> = [&[33, 1, 64, 17][..], &[5, 2], &[70; 3]].map(|l| layer.plan(l)).into();
    let whole = block_on(engine.run(&plans)).expect("runs");
    let all: u64 = plans.iter().flat_map(|plan| work(plan, &*layer)).sum();
    for most in [0, 1, 10_000, 100_000, 1_000_000, u64::MAX] {
        let pace = Counting { most, ..Counting::default() };
        assert!(block_on(engine.run_paced(&plans, &pace)).expect("runs") == whole, "cut by {most}");
        assert_eq!(pace.work.load(Ordering::SeqCst), all);
        assert_eq!(pace.done.load(Ordering::SeqCst), slices(&*layer, &plans, most) as u64, "cut by {most}");
    }
}

/// No slice holds more than was allowed, unless it is one step.
#[test]
fn a_slice_is_no_longer_than_allowed() {
    let (layer, mut engine) = cpu(MINILM, 1);
    let plans = [layer.deep_plan(&[40, 3], LAYERS)];
    let pace = Counting { most: MOST, ..Counting::default() };
    block_on(engine.run_paced(&plans, &pace)).expect("runs");
    let steps = work(&plans[0], &*layer);
    let longest = pace.longest.load(Ordering::SeqCst);
    assert!(longest <= MOST.max(*steps.iter().max().expect("steps")), "{longest}");
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_runs_a_submission_a_slice_and_stops_between_them() {
    let Some(mut gpu) = open() else { return };
    let layer = Layer::new(3);
    let model = block_on(gpu.load(&layer)).expect("weights load");
    let plan = layer.deep_plan(&[33, 1, 12], 3);
    let work = work(&plan, &layer);
    let whole = block_on(gpu.run(&model, &plan)).expect("runs");
    for most in [0, 1_000_000, u64::MAX] {
        let before = gpu.stats();
        let pace = Counting { most, ..Counting::default() };
        let words = block_on(gpu.run_paced(&model, &plan, &work, &pace)).expect("runs");
        assert!(words.as_ref() == Some(&whole), "cut by {most}");
        let after = gpu.stats();
        let count = slices(&layer, std::slice::from_ref(&plan), most) as u64;
        assert_eq!(pace.done.load(Ordering::SeqCst), count);
        assert_eq!((after.submissions - before.submissions, after.readbacks - before.readbacks), (count, 1));
    }
    let before = gpu.stats();
    let pace = Counting { most: 0, stop_after: 4, ..Counting::default() };
    assert_eq!(block_on(gpu.run_paced(&model, &plan, &work, &pace)).expect("no fault"), None);
    assert_eq!(gpu.stats().submissions - before.submissions, 4);
    assert_eq!(gpu.stats().pooled_bytes, before.pooled_bytes, "its buffers are kept");
    assert!(block_on(gpu.run(&model, &plan)).expect("runs") == whole);
}

/// A GPU, or a line that says the test did not run.
#[cfg(feature = "gpu")]
#[expect(clippy::print_stderr)]
fn open() -> Option<Gpu> {
    match block_on(Gpu::open(&GpuOptions { allow_software: true, ..GpuOptions::default() })) {
        Ok(gpu) => Some(gpu),
        Err(error @ GpuError::NoAdapter { .. }) => {
            assert!(std::env::var_os("EDGENET_TEST_ALL").is_none(), "{error}");
            eprintln!("not run: no Vulkan adapter");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn cpu(size: Size, threads: usize) -> (Arc<Layer>, Loaded) {
    let layer = Arc::new(Layer::sized(5, size));
    let threads = NonZeroUsize::new(threads).expect("a thread");
    let options = Options { device: Device::Cpu, threads, ..Options::default() };
    let engine = block_on(Engine::open(options)).expect("a CPU");
    (layer.clone(), block_on(engine.load(layer, None)).expect("a level"))
}

/// Slices of plans, by the rule in the words of [`Pace`]: as many steps as fit, one at least.
fn slices(weights: &dyn Weights, plans: &[Plan], most: u64) -> usize {
    let of_plan = |plan: &Plan| {
        let (mut count, mut sum) = (0, None);
        for step in work(plan, weights) {
            sum = match sum {
                Some(sum) if step <= most - u64::min(sum, most) && sum <= most => Some(sum + step),
                _ => {
                    count += 1;
                    Some(step)
                }
            };
        }
        count
    };
    plans.iter().map(of_plan).sum()
}

/// Counts slices, and stops after so many; `u64::MAX` for never.
struct Counting {
    most: u64,
    stop_after: u64,
    /// How often the stop is forgotten.
    deaf: AtomicU64,
    done: AtomicU64,
    done_late: AtomicUsize,
    work: AtomicU64,
    longest: AtomicU64,
    stopped: Mutex<bool>,
}

impl Default for Counting {
    fn default() -> Self {
        Counting {
            most: u64::MAX,
            stop_after: u64::MAX,
            deaf: AtomicU64::new(0),
            done: AtomicU64::new(0),
            done_late: AtomicUsize::new(0),
            work: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            stopped: Mutex::new(false),
        }
    }
}

impl Pace for Counting {
    fn turn(&self, _: usize) -> TurnFuture<'_> {
        let mut stopped = self.stopped.lock().expect("no panic");
        *stopped |= self.done.load(Ordering::SeqCst) >= self.stop_after;
        let deaf = *stopped
            && self.deaf.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |d| d.checked_sub(1)).is_ok();
        let turn = if *stopped && !deaf { Turn::Stop } else { Turn::Run { work: self.most } };
        // Answered at the second asking: a lane waits.
        let mut asked = false;
        Box::pin(std::future::poll_fn(move |context| {
            if asked {
                return std::task::Poll::Ready(turn);
            }
            asked = true;
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        }))
    }

    fn done(&self, _: usize, work: u64) {
        let stopped = self.stopped.lock().expect("no panic");
        self.done.fetch_add(1, Ordering::SeqCst);
        self.done_late.fetch_add(usize::from(*stopped), Ordering::SeqCst);
        self.work.fetch_add(work, Ordering::SeqCst);
        self.longest.fetch_max(work, Ordering::SeqCst);
    }
}

/// all-MiniLM-L6-v2.
const MINILM: Size = Size { width: 384, ffn: 1536, groups: [24, 72, 288, 0], ffn_groups: [256, 1280, 0, 0] };
const LAYERS: usize = 6;
const SMALL: Size = Size { width: 64, ffn: 96, groups: [4, 12, 48, 0], ffn_groups: [16, 80, 0, 0] };
/// Less than a layer of the shortest plan.
const MOST: u64 = 8_000_000;
