//! This machine's devices as tasks use them.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use engine::{Backend, Device, Engine, EngineError, Pace, Status, Unpaced};
use kernels_cpu::{EncodeArgs, Kernels, Level};
use models::compress::Encoder;
use plan::{Gather, Parallel, Plan, Range, SelfTest, Weights};
use tasks::{Execute, ExecuteError, Shape};

/// Which devices a [`Machine`] uses.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// Which device runs plans.
    pub device: Device,
    /// CPU level, forced; `None` takes the fastest.
    pub level: Option<Level>,
    /// CPU threads.
    pub threads: NonZeroUsize,
    /// Part of the name of the GPU wanted; `None` takes the fastest.
    pub adapter: Option<String>,
}

impl Default for MachineOptions {
    fn default() -> Self {
        let engine = engine::Options::default();
        MachineOptions { device: engine.device, level: engine.level, threads: engine.threads, adapter: None }
    }
}

impl MachineOptions {
    /// The same, as the engine takes them.
    pub(crate) fn engine(&self) -> engine::Options {
        engine::Options {
            device: self.device,
            level: self.level,
            threads: self.threads,
            #[cfg(feature = "gpu")]
            gpu: engine::gpu::GpuOptions { adapter: self.adapter.clone(), ..Default::default() },
        }
    }
}

/// The devices, opened and proved; implements [`Execute`].
pub struct Machine {
    engine: Engine,
    /// The model that proved the engine; its status is that of every table.
    golden: engine::Model,
    level: Level,
    kernels: &'static dyn Kernels,
    threads: Threads,
    encoder: KernelEncoder,
    pace: Arc<dyn Pace + Send + Sync>,
}

impl Machine {
    /// Opens the devices and proves them with the golden plan of search and spiking.
    ///
    /// # Errors
    /// If a device asked for by name cannot be used.
    pub fn open(options: &MachineOptions) -> Result<Self, EngineError> {
        let (weights, test) = models::self_test();
        let opened = async {
            let mut engine = Engine::open(options.engine()).await?;
            let golden = engine.add(weights, Some(test)).await?;
            Ok::<_, EngineError>((engine, golden))
        };
        let (engine, golden) = pollster::block_on(opened)?;
        // The level that passed, where one was asked to.
        let level = match engine.status(&golden).backend {
            Backend::Cpu(level) => level,
            Backend::Gpu(_) => options.level.unwrap_or_else(Level::detect),
        };
        let kernels = level.kernels()?;
        Ok(Machine {
            engine,
            golden,
            level,
            kernels,
            threads: Threads(options.threads),
            encoder: KernelEncoder(kernels),
            pace: Arc::new(Unpaced),
        })
    }

    /// The backend in use and what was tried before it.
    pub fn status(&self) -> Status {
        self.engine.status(&self.golden)
    }

    /// Where work that never runs on a GPU runs: the walk of an index, encryption, the sandbox.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Runs plans in slices that this allows from here on.
    pub fn set_pace(&mut self, pace: Arc<dyn Pace + Send + Sync>) {
        self.pace = pace;
    }

    /// How long a tiny dispatch takes: the golden plan, unpaced. With nothing else of this process on the device it shows
    /// whether others use it.
    ///
    /// # Errors
    /// If no device can run it.
    pub async fn probe(&mut self) -> Result<Duration, EngineError> {
        let (_, test) = models::self_test();
        let began = Instant::now();
        self.engine.run(&mut self.golden, &[test.plan]).await?;
        Ok(began.elapsed())
    }
}

impl Execute for Machine {
    type Model = engine::Model;

    async fn add(
        &mut self,
        weights: Arc<dyn Weights>,
        test: Option<SelfTest>,
    ) -> Result<engine::Model, ExecuteError> {
        self.engine.add(weights, test).await.map_err(failed)
    }

    async fn run(
        &mut self,
        model: &mut engine::Model,
        plans: &[Plan],
    ) -> Result<Vec<Vec<u32>>, ExecuteError> {
        self.engine.run_paced(model, plans, &*self.pace).await.map_err(failed)
    }

    fn shape(&self) -> Shape {
        Shape {
            parallel_plans: self.engine.parallel_plans(),
            slice_tokens: self.engine.slice_tokens(),
            scan_group: self.engine.scan_group(),
        }
    }

    fn gather(&self) -> &dyn Gather {
        self.kernels
    }

    fn parallel(&self) -> &dyn Parallel {
        &self.threads
    }

    fn encoder(&self) -> &dyn Encoder {
        &self.encoder
    }
}

/// The encoder of a CPU level.
pub struct KernelEncoder(pub &'static dyn Kernels);

impl Encoder for KernelEncoder {
    fn encode(&self, width: usize, input: &[f32], codes: &mut [i8], steps: &mut [f32]) {
        self.0.encode(EncodeArgs { width, range: Range::Row, input, codes, steps });
    }
}

fn failed(error: EngineError) -> ExecuteError {
    ExecuteError(error.to_string())
}

/// So many threads, started for a piece of work and joined after it.
pub struct Threads(pub NonZeroUsize);

impl Threads {
    /// One a core.
    pub fn all() -> Self {
        Threads(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }
}

impl Parallel for Threads {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let threads = self.0.get().min(count);
        let next = AtomicUsize::new(0);
        let each = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                work(index);
            }
        };
        if threads <= 1 {
            return each();
        }
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(each);
            }
            each();
        });
    }
}
