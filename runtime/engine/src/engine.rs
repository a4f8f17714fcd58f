//! Choosing a device, proving it, and leaving it for the CPU when it fails.

use std::{
    num::NonZeroUsize,
    str::FromStr,
    sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering},
    thread,
};

use kernels_cpu::{Level, LevelError};
use plan::{Plan, PlanError, SelfTest, Weights};
use sha2::{Digest, Sha256};
use thiserror::Error;

#[cfg(feature = "gpu")]
use crate::gpu::{Gpu, GpuError, GpuModel, GpuOptions};
use crate::{
    Arena, Backend, CpuModel, Fallback, Pace, Status, Turn, Unpaced,
    pace::{slice, total, work},
};

/// Which device the caller wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// A hardware GPU if one passes its self-test, else the CPU.
    #[default]
    Auto,
    /// A GPU, software adapters included; it is an error if none can be used.
    Gpu,
    /// The CPU.
    Cpu,
}

/// No device has this name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown device \"{0}\": known are auto, gpu, cpu")]
pub struct UnknownDevice(String);

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(name: &str) -> Result<Self, UnknownDevice> {
        match name {
            "auto" => Ok(Device::Auto),
            "gpu" => Ok(Device::Gpu),
            "cpu" => Ok(Device::Cpu),
            _ => Err(UnknownDevice(name.to_owned())),
        }
    }
}

/// How an engine is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which device is wanted.
    pub device: Device,
    /// CPU level, forced; `None` takes the fastest that passes its self-test.
    pub level: Option<Level>,
    /// CPU threads; plans are shared out among them.
    pub threads: NonZeroUsize,
    /// How the GPU is opened.
    #[cfg(feature = "gpu")]
    pub gpu: GpuOptions,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            device: Device::Auto,
            level: None,
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            #[cfg(feature = "gpu")]
            gpu: GpuOptions::default(),
        }
    }
}

/// Why plans cannot be run.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The GPU that was asked for cannot be used.
    #[error("no usable GPU: {0}")]
    Gpu(Fallback),
    /// The CPU level that was asked for cannot be used.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// Not even the scalar level gives the model's golden result: the model file or the build is broken.
    #[error("the CPU fails the model's golden self-test at level {0}")]
    SelfTest(Level),
    /// The plan of a self-test is malformed.
    #[error("self-test: {0}")]
    SelfTestPlan(PlanError),
    /// A plan is malformed.
    #[error("plan {index}: {error}")]
    Plan {
        /// Its index in the call.
        index: usize,
        /// What is wrong.
        error: PlanError,
    },
    /// The pace stopped the run between two slices.
    #[error("stopped")]
    Stopped,
}

/// The devices of this machine, opened.
pub struct Engine {
    options: Options,
    #[cfg(feature = "gpu")]
    gpu: Option<Gpu>,
    fallbacks: Vec<Fallback>,
    arenas: Vec<Mutex<Arena>>,
}

impl Engine {
    /// Opens the device the options ask for.
    ///
    /// # Errors
    /// Only where a device was asked for by name and cannot be had.
    pub async fn open(options: Options) -> Result<Engine, EngineError> {
        if let Some(level) = options.level {
            level.kernels()?;
        }
        let mut engine = Engine {
            options,
            #[cfg(feature = "gpu")]
            gpu: None,
            fallbacks: Vec::new(),
            arenas: Vec::new(),
        };
        if engine.options.device != Device::Cpu {
            engine.open_gpu().await?;
        }
        Ok(engine)
    }

    #[cfg(feature = "gpu")]
    async fn open_gpu(&mut self) -> Result<(), EngineError> {
        let mut options = self.options.gpu.clone();
        options.allow_software |= self.options.device == Device::Gpu;
        match Gpu::open(&options).await {
            Ok(gpu) => self.gpu = Some(gpu),
            Err(error) => self.leave("gpu".into(), &error)?,
        }
        Ok(())
    }

    #[cfg(not(feature = "gpu"))]
    async fn open_gpu(&mut self) -> Result<(), EngineError> {
        let message = "this build has no GPU support".to_owned();
        let fallback = Fallback { code: "not-built", device: "gpu".into(), message };
        if self.options.device == Device::Gpu {
            return Err(EngineError::Gpu(fallback));
        }
        self.fallbacks.push(fallback);
        Ok(())
    }

    /// Notes why the GPU is not used; an error where the caller insisted on it.
    #[cfg(feature = "gpu")]
    fn leave(&mut self, device: String, error: &GpuError) -> Result<(), EngineError> {
        let fallback = Fallback { code: error.code(), device, message: error.to_string() };
        if self.options.device == Device::Gpu {
            return Err(EngineError::Gpu(fallback));
        }
        self.fallbacks.push(fallback);
        Ok(())
    }

    /// Puts a model on the engine's devices and gives the engine to it, for callers that run one model.
    ///
    /// # Errors
    /// As [`Engine::add`].
    pub async fn load(
        mut self,
        weights: Arc<dyn Weights>,
        test: Option<SelfTest>,
    ) -> Result<Loaded, EngineError> {
        let model = self.add(weights, test).await?;
        Ok(Loaded { engine: self, model })
    }

    /// Puts a model on the engine's devices. The first that passes `test` runs its plans.
    ///
    /// # Errors
    /// If a device asked for by name fails, or no CPU level passes.
    pub async fn add(
        &mut self,
        weights: Arc<dyn Weights>,
        test: Option<SelfTest>,
    ) -> Result<Model, EngineError> {
        if let Some(test) = &test {
            test.plan.check(&*weights).map_err(EngineError::SelfTestPlan)?;
        }
        let mut model = Model {
            weights,
            test,
            cpu: None,
            #[cfg(feature = "gpu")]
            gpu: None,
        };
        self.add_to_gpu(&mut model).await?;
        if !self.on_gpu() {
            self.add_to_cpu(&mut model)?;
        }
        Ok(model)
    }

    /// A GPU that fails a model's test is left for all models: it is not to be trusted.
    #[cfg(feature = "gpu")]
    async fn add_to_gpu(&mut self, model: &mut Model) -> Result<(), EngineError> {
        let Some(gpu) = &mut self.gpu else { return Ok(()) };
        let device = gpu.info().name.clone();
        let proved = async {
            let loaded = gpu.load(&*model.weights).await?;
            if let Some(test) = &model.test {
                let words = gpu.run(&loaded, &test.plan).await?;
                if digest(&words) != test.digest {
                    return Err(GpuError::SelfTest);
                }
            }
            Ok(loaded)
        };
        match proved.await {
            Ok(loaded) => {
                model.gpu = Some(loaded);
                Ok(())
            }
            Err(error) => {
                // A model beyond the device's limits says nothing against the device.
                if !matches!(error, GpuError::Limit { .. }) {
                    self.gpu = None;
                }
                self.leave(device, &error)
            }
        }
    }

    #[cfg(not(feature = "gpu"))]
    async fn add_to_gpu(&mut self, _: &mut Model) -> Result<(), EngineError> {
        Ok(())
    }

    /// Runs plans of a model of this engine and returns their output words, in order. A GPU that fails on the way is left
    /// for the CPU, which runs the plans that remain: the bits are the same.
    ///
    /// # Errors
    /// If a plan is malformed (nothing is run then), or the CPU that takes over fails its self-test.
    pub async fn run(&mut self, model: &mut Model, plans: &[Plan]) -> Result<Vec<Vec<u32>>, EngineError> {
        self.run_paced(model, plans, &Unpaced).await
    }

    /// Runs plans as [`Engine::run`] does, in slices that `pace` allows one by one. The bits are the same.
    ///
    /// # Errors
    /// As [`Engine::run`], and [`EngineError::Stopped`] if the pace says so: a lane then ends before its next slice, and no
    /// plan's output is returned.
    pub async fn run_paced(
        &mut self,
        model: &mut Model,
        plans: &[Plan],
        pace: &dyn Pace,
    ) -> Result<Vec<Vec<u32>>, EngineError> {
        for (index, plan) in plans.iter().enumerate() {
            plan.check(&*model.weights).map_err(|error| EngineError::Plan { index, error })?;
        }
        let mut outputs = self.run_gpu(model, plans, pace).await?;
        let rest = &plans[outputs.len()..];
        if !rest.is_empty() {
            outputs.extend(self.run_cpu(model, rest, pace).await?);
        }
        Ok(outputs)
    }

    /// The backend a model runs on, and what was tried before it.
    pub fn status(&self, model: &Model) -> Status {
        Status {
            backend: self.backend(model),
            proved: model.test.is_some(),
            fallbacks: self.fallbacks.clone(),
        }
    }

    /// Rows a plan should have for this engine to work well: enough to fill it, few enough to stop between
    /// plans and to stay in its caches.
    pub fn slice_tokens(&self) -> usize {
        if self.on_gpu() { GPU_SLICE_TOKENS } else { CPU_SLICE_TOKENS }
    }

    /// Rows of a table one list of a scan should cover: a workgroup's share on a GPU; a CPU keeps one list a query.
    pub fn scan_group(&self) -> usize {
        if self.on_gpu() { GPU_SCAN_GROUP } else { usize::MAX }
    }

    /// Plans that run side by side.
    pub fn parallel_plans(&self) -> usize {
        if self.on_gpu() { 1 } else { self.options.threads.get() }
    }

    /// The GPU in use, if there is one.
    #[cfg(feature = "gpu")]
    pub fn gpu(&self) -> Option<&Gpu> {
        self.gpu.as_ref()
    }

    fn backend(&self, model: &Model) -> Backend {
        #[cfg(feature = "gpu")]
        if let (Some(gpu), Some(_)) = (&self.gpu, &model.gpu) {
            return Backend::Gpu(gpu.info().name.clone());
        }
        Backend::Cpu(model.cpu.as_ref().map_or_else(Level::detect, |(level, _)| *level))
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(&self) -> bool {
        self.gpu.is_some()
    }

    #[cfg(not(feature = "gpu"))]
    fn on_gpu(&self) -> bool {
        false
    }

    /// Outputs of as many plans as the GPU managed; none without one.
    #[cfg(feature = "gpu")]
    async fn run_gpu(
        &mut self,
        model: &Model,
        plans: &[Plan],
        pace: &dyn Pace,
    ) -> Result<Vec<Vec<u32>>, EngineError> {
        let mut outputs = Vec::with_capacity(plans.len());
        let (Some(gpu), Some(loaded)) = (&mut self.gpu, &model.gpu) else { return Ok(outputs) };
        for plan in plans {
            match gpu.run_paced(loaded, plan, &work(plan, &*model.weights), pace).await {
                Ok(Some(words)) => outputs.push(words),
                Ok(None) => return Err(EngineError::Stopped),
                Err(error) => {
                    let device = gpu.info().name.clone();
                    self.fallbacks.push(Fallback { code: error.code(), device, message: error.to_string() });
                    // A plan beyond the device's limits says nothing against the device.
                    if !matches!(error, GpuError::Limit { .. }) {
                        self.gpu = None;
                    }
                    break;
                }
            }
        }
        Ok(outputs)
    }

    #[cfg(not(feature = "gpu"))]
    async fn run_gpu(&mut self, _: &Model, _: &[Plan], _: &dyn Pace) -> Result<Vec<Vec<u32>>, EngineError> {
        Ok(Vec::new())
    }

    async fn run_cpu(
        &mut self,
        model: &mut Model,
        plans: &[Plan],
        pace: &dyn Pace,
    ) -> Result<Vec<Vec<u32>>, EngineError> {
        self.add_to_cpu(model)?;
        let (_, cpu) = model.cpu.as_ref().expect("added on the line above");
        let threads = self.options.threads.get().min(plans.len());
        self.arenas.resize_with(threads.max(self.arenas.len()), Mutex::default);
        let (lanes, next, weights) = (&mut self.arenas[..threads], &AtomicUsize::new(0), &model.weights);
        // Plans one lane ran; `None` once it was stopped.
        let run = async |lane: usize, arena: &mut Mutex<Arena>| {
            let arena = arena.get_mut().unwrap_or_else(|e| e.into_inner());
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(plan) = plans.get(index) else { return Some(done) };
                done.push((index, run_slices(cpu, plan, &work(plan, &**weights), arena, lane, pace).await?));
            }
        };
        let done: Option<Vec<_>> = if let [arena] = lanes {
            run(0, arena).await
        } else {
            thread::scope(|scope| {
                let lanes = lanes.iter_mut().enumerate();
                let spawn = |(lane, arena)| scope.spawn(move || pollster::block_on(run(lane, arena)));
                let handles: Vec<_> = lanes.map(spawn).collect();
                let joined = handles.into_iter().map(|h| h.join());
                let done: Option<Vec<Vec<_>>> = joined
                    .map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                    .collect();
                done.map(|lanes| lanes.into_iter().flatten().collect())
            })
        };
        let mut outputs = done.ok_or(EngineError::Stopped)?;
        outputs.sort_unstable_by_key(|(index, _)| *index);
        Ok(outputs.into_iter().map(|(_, words)| words).collect())
    }

    /// Packs the model for the fastest level that passes its self-test. A forced level has no second choice.
    fn add_to_cpu(&mut self, model: &mut Model) -> Result<(), EngineError> {
        if model.cpu.is_some() {
            return Ok(());
        }
        let levels: Vec<Level> = match self.options.level {
            Some(level) => vec![level],
            None => Level::ALL.iter().rev().copied().filter(|l| l.is_supported()).collect(),
        };
        for &level in &levels {
            let cpu = CpuModel::new(level, model.weights.clone())?;
            let passes = |t: &SelfTest| digest(&cpu.run(&t.plan, &mut Arena::default())) == t.digest;
            if model.test.as_ref().is_none_or(passes) {
                model.cpu = Some((level, cpu));
                return Ok(());
            }
            let message = "wrong result in the model's golden self-test".to_owned();
            self.fallbacks.push(Fallback { code: "self-test", device: format!("cpu ({level})"), message });
        }
        Err(EngineError::SelfTest(*levels.last().unwrap_or(&Level::Scalar)))
    }
}

/// A model on an engine's devices; its memory there is freed when it is dropped.
pub struct Model {
    weights: Arc<dyn Weights>,
    test: Option<SelfTest>,
    cpu: Option<(Level, CpuModel)>,
    #[cfg(feature = "gpu")]
    gpu: Option<GpuModel>,
}

/// An engine with the one model it runs.
pub struct Loaded {
    engine: Engine,
    model: Model,
}

impl Loaded {
    /// See [`Engine::run`].
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub async fn run(&mut self, plans: &[Plan]) -> Result<Vec<Vec<u32>>, EngineError> {
        self.engine.run(&mut self.model, plans).await
    }

    /// See [`Engine::run_paced`].
    ///
    /// # Errors
    /// As [`Engine::run_paced`].
    pub async fn run_paced(&mut self, plans: &[Plan], pace: &dyn Pace) -> Result<Vec<Vec<u32>>, EngineError> {
        self.engine.run_paced(&mut self.model, plans, pace).await
    }

    /// See [`Engine::status`].
    pub fn status(&self) -> Status {
        self.engine.status(&self.model)
    }

    /// See [`Engine::slice_tokens`].
    pub fn slice_tokens(&self) -> usize {
        self.engine.slice_tokens()
    }

    /// See [`Engine::parallel_plans`].
    pub fn parallel_plans(&self) -> usize {
        self.engine.parallel_plans()
    }

    /// The GPU, for tests that take it away.
    #[cfg(feature = "gpu")]
    pub fn gpu(&self) -> Option<&Gpu> {
        self.engine.gpu()
    }
}

/// One plan on one lane of the CPU; `None` if it was stopped.
async fn run_slices(
    cpu: &CpuModel,
    plan: &Plan,
    work: &[u64],
    arena: &mut Arena,
    lane: usize,
    pace: &dyn Pace,
) -> Option<Vec<u32>> {
    let mut first = 0;
    arena.load(plan);
    while first < work.len() {
        let Turn::Run { work: most } = pace.turn(lane).await else { return None };
        let steps = slice(work, first, most);
        cpu.steps(&plan.steps[steps.clone()], arena);
        first = steps.end;
        pace.done(lane, total(&work[steps]));
    }
    Some(arena.output(plan))
}

fn digest(words: &[u32]) -> [u8; 32] {
    Sha256::digest(bytemuck::cast_slice(words)).into()
}

/// About 2 MiB of activations: a core's level-2 cache and its share of the next.
const CPU_SLICE_TOKENS: usize = 256;
const GPU_SLICE_TOKENS: usize = 4096;
/// What a workgroup sorts at once.
const GPU_SCAN_GROUP: usize = 1024;
