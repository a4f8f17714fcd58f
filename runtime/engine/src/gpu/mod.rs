//! Plans on the GPU: WGSL kernels through wgpu, natively and in browsers.
//!
//! A plan is one submission: uploads, one compute pass with a dispatch per step, one copy, one readback. A paced plan is one
//! a slice, each awaited before the next; the last has the copy.
//! No stage runs on the CPU. Buffers come from a pool with a cap; weights are uploaded once per model.
//! Nothing here decides what to do when a device fails: it says precisely why ([`GpuError`]).

mod adapter;
mod delivery;
mod error;
mod pipelines;
mod pool;
mod record;
mod search;
mod spiking;
mod weights;

use std::{borrow::Cow, num::NonZeroU64, ops::Range};

use plan::{Plan, Stage, WeightId, Weights};

pub use adapter::{AdapterReport, adapters};
pub use error::GpuError;
pub use weights::GpuModel;

use error::Faults;
use pipelines::Compiled;
use pool::{Lease, Pool, Use};
use record::{Call, Source};

use crate::pace::{Pace, Turn, Unpaced, slice, total};

/// How a GPU is opened.
#[derive(Clone, Debug)]
pub struct GpuOptions {
    /// Most bytes that plans' buffers may take together, kept ones included. Weights are not counted.
    pub pool_cap_bytes: u64,
    /// Whether an adapter that is a CPU program will do.
    pub allow_software: bool,
    /// Part of the name of the adapter wanted, in any case of letters.
    pub adapter: Option<String>,
    /// Which entry points run; `None` chooses by the adapter. The bits are the same.
    pub kernels: Option<Kernels>,
    /// Where shader texts come from. Tests plant faults here.
    pub source: fn(Stage) -> Cow<'static, str>,
}

impl Default for GpuOptions {
    fn default() -> Self {
        GpuOptions {
            pool_cap_bytes: 1 << 30,
            allow_software: false,
            adapter: None,
            kernels: None,
            source: |stage| Cow::Borrowed(shaders::shader(stage).source),
        }
    }
}

/// The two forms every shader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Each invocation by itself: fastest on software adapters.
    Direct,
    /// Workgroups that share what they load: for GPUs.
    Tiled,
}

/// What a GPU has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuStats {
    /// Command buffers submitted: one per slice, and so one per run that is not paced.
    pub submissions: u64,
    /// Buffers mapped for reading: one per run.
    pub readbacks: u64,
    /// Kernels run.
    pub dispatches: u64,
    /// Pipelines compiled.
    pub pipelines: u64,
    /// Bytes the pool holds, lent or not.
    pub pooled_bytes: u64,
    /// Most bytes the pool ever held.
    pub peak_bytes: u64,
}

/// An open GPU.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    report: AdapterReport,
    limits: wgpu::Limits,
    kernels: Kernels,
    stages: Vec<Compiled>,
    pool: Pool,
    faults: Faults,
    stats: GpuStats,
}

impl Gpu {
    /// Opens the adapter the options ask for and hands it every shader. Natively all pipelines are compiled
    /// here; in a browser each when a plan first needs it, because there each can take a second.
    ///
    /// # Errors
    /// If there is no such adapter, it lacks what the shaders need, or a shader does not compile.
    pub async fn open(options: &GpuOptions) -> Result<Gpu, GpuError> {
        let adapter = adapter::choose(options).await?;
        let report = adapter::report(&adapter);
        let limits = required_limits(&adapter.limits())?;
        let descriptor = wgpu::DeviceDescriptor { required_limits: limits.clone(), ..Default::default() };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|e| GpuError::Open { message: e.to_string() })?;
        let faults = Faults::listen(&device);
        let kernels =
            options.kernels.unwrap_or(if report.software { Kernels::Direct } else { Kernels::Tiled });
        let mut stages = Vec::with_capacity(Stage::ALL.len());
        for stage in Stage::ALL {
            let make = || Compiled::new(&device, shaders::shader(stage), kernels, (options.source)(stage));
            let made = guarded(&device, 0, make).await;
            stages.push(made.map_err(|e| in_shader(stage, &e))?);
        }
        let pool = Pool::new(options.pool_cap_bytes);
        let stats = GpuStats::default();
        let mut gpu = Gpu { device, queue, report, limits, kernels, stages, pool, faults, stats };
        if cfg!(not(target_arch = "wasm32")) {
            for stage in Stage::ALL {
                for variant in 0..shaders::shader(stage).variants() {
                    gpu.compile(stage, variant).await?;
                }
            }
        }
        Ok(gpu)
    }

    /// The adapter this GPU is.
    pub fn info(&self) -> &AdapterReport {
        &self.report
    }

    /// What it has done.
    pub fn stats(&self) -> GpuStats {
        let (pooled_bytes, peak_bytes) = self.pool.bytes();
        GpuStats { pooled_bytes, peak_bytes, ..self.stats }
    }

    /// Destroys the device, as a driver reset would. For tests of what happens then.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// What [`Gpu::destroy`] does, to be called while a run is under way.
    pub fn destroyer(&self) -> impl FnOnce() + use<> {
        let device = self.device.clone();
        move || device.destroy()
    }

    /// Uploads a model's weights, which must be as well formed as [`plan::pack_gemm`] requires.
    ///
    /// # Errors
    /// If a weight does not fit the device, memory runs out, or the device is lost.
    pub async fn load(&mut self, weights: &dyn Weights) -> Result<GpuModel, GpuError> {
        self.alive()?;
        let mut model = GpuModel { weights: Vec::with_capacity(weights.len()), bytes: 0 };
        for id in (0..weights.len()).map(WeightId) {
            let mut bytes = 0;
            let mut upload = |words: &[u32]| {
                bytes += words.len() as u64 * 4;
                self.upload(words)
            };
            let laid_out = || weights::lay_out(&weights.get(id), id, &mut upload);
            let laid_out = guarded(&self.device, 0, laid_out).await.map_err(|error| match error {
                GpuError::DriverOutOfMemory { .. } => GpuError::DriverOutOfMemory { wanted: bytes },
                other => other,
            });
            model.weights.push(laid_out.and_then(|made| made).map_err(|e| self.explain(e))?);
            model.bytes += bytes;
        }
        Ok(model)
    }

    /// Runs a plan that [`Plan::check`] has passed for the model's weights; returns the output words.
    ///
    /// Natively the future waits for the device itself; in a browser it yields to the event loop.
    ///
    /// # Errors
    /// If the plan does not fit the device or the pool, or the device fails. The GPU can be used again
    /// unless it was lost.
    pub async fn run(&mut self, model: &GpuModel, plan: &Plan) -> Result<Vec<u32>, GpuError> {
        let words = self.run_paced(model, plan, &vec![0; plan.steps.len()], &Unpaced).await?;
        Ok(words.expect("nobody stops a run without a pace"))
    }

    /// Runs a plan in slices of its steps, whose work is given; `None` if the pace stopped it.
    ///
    /// # Errors
    /// As [`Gpu::run`].
    pub async fn run_paced(
        &mut self,
        model: &GpuModel,
        plan: &Plan,
        work: &[u64],
        pace: &dyn Pace,
    ) -> Result<Option<Vec<u32>>, GpuError> {
        assert_eq!(work.len(), plan.steps.len(), "every step has its work");
        self.alive()?;
        let calls = plan.steps.iter().map(|step| record::call(step, model)).collect::<Result<Vec<_>, _>>()?;
        for call in &calls {
            self.check_loops(call)?;
            self.compile(call.stage, call.variant).await?;
        }
        let grids = calls.iter().map(|call| self.grid(call)).collect::<Result<Vec<_>, _>>()?;
        let lease = self.lend(plan, calls.len()).await?;
        self.write(plan, &calls, &lease).await?;
        let mut first = 0;
        let words = loop {
            let Turn::Run { work: most } = pace.turn(GPU_LANE).await else {
                lease.give_back();
                return Ok(None);
            };
            let steps = slice(work, first, most);
            let last = steps.end == calls.len();
            let commands = self.record(plan, &calls, &grids, steps.clone(), &lease).await?;
            let words = self.submit(plan, commands, &lease, last).await.map_err(|e| self.explain(e))?;
            self.stats.dispatches += steps.len() as u64;
            first = steps.end;
            pace.done(GPU_LANE, total(&work[steps]));
            if last {
                break words;
            }
        };
        lease.give_back();
        Ok(Some(words))
    }

    /// Mesa's software rasteriser ends an invocation's loops without a word after 65,535 iterations of all of them
    /// together (`LP_MAX_TGSI_LOOP_ITERATIONS`), and counts ways out of loops too: what may come near is refused.
    fn check_loops(&self, call: &Call<'_>) -> Result<(), GpuError> {
        let [direct, tiled] = call.loops;
        let wanted = if self.kernels == Kernels::Direct { direct } else { tiled };
        if self.report.software && wanted > SOFTWARE_LOOPS {
            let what = format!("loop iterations of {} on a software adapter", call.stage.stem());
            return Err(GpuError::Limit { what, wanted, max: SOFTWARE_LOOPS });
        }
        Ok(())
    }

    /// Compiles one variant of a stage unless that is done.
    async fn compile(&mut self, stage: Stage, variant: u32) -> Result<(), GpuError> {
        let compiled = &mut self.stages[pipelines::index(stage)];
        match guarded(&self.device, 0, || compiled.compile(&self.device, variant)).await {
            Ok(fresh) => self.stats.pipelines += u64::from(fresh),
            Err(error) => {
                self.stages[pipelines::index(stage)].forget(variant);
                return Err(self.explain(in_shader(stage, &error)));
            }
        }
        Ok(())
    }

    /// One buffer per buffer of the plan, then the parameters', then the readback's.
    async fn lend(&self, plan: &Plan, steps: usize) -> Result<Lease, GpuError> {
        let mut wanted: Vec<(Use, u64)> =
            plan.buffers.iter().map(|&words| (Use::Storage, binding_bytes(words))).collect();
        wanted.push((Use::Uniform, self.params_stride() * steps.max(1) as u64));
        wanted.push((Use::Readback, binding_bytes(plan.words(plan.output))));
        for &(_, bytes) in &wanted {
            let max = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
            if bytes > max {
                return Err(GpuError::Limit { what: "bytes of a buffer".into(), wanted: bytes, max });
            }
        }
        let total = wanted.iter().map(|(_, bytes)| bytes).sum();
        let lent = guarded(&self.device, total, || self.pool.lend(&self.device, &wanted)).await;
        lent.and_then(|lease| lease).map_err(|e| self.explain(e))
    }

    /// Writes the inputs and the parameters of every call; they travel with the first submission.
    async fn write(&self, plan: &Plan, calls: &[Call<'_>], lease: &Lease) -> Result<(), GpuError> {
        let stride = self.params_stride();
        let params = &lease.buffers[plan.buffers.len()];
        let mut words = vec![0u32; calls.len() * stride as usize / 4];
        for (call, slot) in calls.iter().zip(words.chunks_exact_mut(stride as usize / 4)) {
            slot[..call.params.len()].copy_from_slice(&call.params);
        }
        let write = || {
            for upload in plan.uploads.iter().filter(|u| !u.words.is_empty()) {
                let buffer = &lease.buffers[upload.buffer.0];
                self.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&upload.words));
            }
            if !words.is_empty() {
                self.queue.write_buffer(params, 0, bytemuck::cast_slice(&words));
            }
        };
        guarded(&self.device, 0, write).await.map_err(|e| self.explain(e))
    }

    /// Records the dispatches of some steps, and the copy of the output after the last.
    async fn record(
        &self,
        plan: &Plan,
        calls: &[Call<'_>],
        grids: &[(u32, u32)],
        steps: Range<usize>,
        lease: &Lease,
    ) -> Result<wgpu::CommandBuffer, GpuError> {
        let record = || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for index in steps.clone() {
                let (call, grid) = (&calls[index], grids[index]);
                let compiled = &self.stages[pipelines::index(call.stage)];
                let Some(pipeline) = compiled.pipeline(call.variant) else { continue };
                if grid == (0, 0) {
                    continue;
                }
                let group = self.bind(compiled, call, plan, lease);
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, &group, &[(index as u64 * self.params_stride()) as u32]);
                pass.dispatch_workgroups(grid.0, grid.1, 1);
            }
            drop(pass);
            if steps.end == calls.len() {
                let output = &lease.buffers[plan.output.0];
                let bytes = plan.words(plan.output) as u64 * 4;
                encoder.copy_buffer_to_buffer(output, 0, &lease.buffers[plan.buffers.len() + 1], 0, bytes);
            }
            encoder.finish()
        };
        guarded(&self.device, 0, record).await.map_err(|e| self.explain(e))
    }

    fn bind(&self, compiled: &Compiled, call: &Call<'_>, plan: &Plan, lease: &Lease) -> wgpu::BindGroup {
        let params = wgpu::BufferBinding {
            buffer: &lease.buffers[plan.buffers.len()],
            offset: 0,
            size: Some(compiled.params_bytes()),
        };
        let mut entries =
            vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(params) }];
        for (binding, source) in (1..).zip(&call.sources) {
            let resource = match source {
                Source::Plan(id) => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &lease.buffers[id.0],
                    offset: 0,
                    size: NonZeroU64::new(binding_bytes(plan.words(*id))),
                }),
                Source::Weight(buffer) => buffer.as_entire_binding(),
            };
            entries.push(wgpu::BindGroupEntry { binding, resource });
        }
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &compiled.bindings,
            entries: &entries,
        })
    }

    /// Workgroups along x and y; (0, 0) where there is nothing to do.
    fn grid(&self, call: &Call<'_>) -> Result<(u32, u32), GpuError> {
        let entry = self.stages[pipelines::index(call.stage)].entry;
        let (rows, columns) = call.grid;
        let workgroups =
            rows.div_ceil(entry.rows as usize) as u64 * columns.div_ceil(entry.columns as usize) as u64;
        let per_dimension = u64::from(self.limits.max_compute_workgroups_per_dimension);
        let x = workgroups.min(per_dimension);
        let y = workgroups.div_ceil(x.max(1));
        if y > per_dimension {
            let what = format!("workgroups of {}", call.stage.stem());
            return Err(GpuError::Limit { what, wanted: workgroups, max: per_dimension * per_dimension });
        }
        Ok((x as u32, y as u32))
    }

    /// Submits and waits until it is done; the output words if it was the last slice, else none.
    async fn submit(
        &mut self,
        plan: &Plan,
        commands: wgpu::CommandBuffer,
        lease: &Lease,
        last: bool,
    ) -> Result<Vec<u32>, GpuError> {
        let bytes = if last { plan.words(plan.output) as u64 * 4 } else { 0 };
        let readback = &lease.buffers[plan.buffers.len() + 1];
        let (sender, receiver) = delivery::delivery();
        let submit = || {
            let submission = self.queue.submit([commands]);
            if bytes > 0 {
                readback.slice(..bytes).map_async(wgpu::MapMode::Read, |mapped| sender.send(mapped));
            } else {
                self.queue.on_submitted_work_done(|| sender.send(Ok(())));
            }
            submission
        };
        let submission = guarded(&self.device, 0, submit).await?;
        self.stats.submissions += 1;
        let failed = |message: String| GpuError::Readback { message };
        wait(&self.device, submission, receiver).await?;
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let view = readback.slice(..bytes).get_mapped_range().map_err(|e| failed(e.to_string()))?;
        let words = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        readback.unmap();
        self.stats.readbacks += 1;
        Ok(words)
    }

    /// A storage buffer with these words, whole 16-byte elements long.
    fn upload(&self, words: &[u32]) -> Result<wgpu::Buffer, GpuError> {
        let size = binding_bytes(words.len());
        let max = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        if size > max {
            return Err(GpuError::Limit { what: "bytes of a weight".into(), wanted: size, max });
        }
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: true,
        });
        let bytes = words.len() as u64 * 4;
        if bytes > 0 {
            let mut view = buffer
                .slice(..bytes)
                .get_mapped_range_mut()
                .map_err(|_| GpuError::DriverOutOfMemory { wanted: size })?;
            view.copy_from_slice(bytemuck::cast_slice(words));
        }
        buffer.unmap();
        Ok(buffer)
    }

    fn params_stride(&self) -> u64 {
        PARAMS_BYTES.next_multiple_of(u64::from(self.limits.min_uniform_buffer_offset_alignment))
    }

    fn alive(&self) -> Result<(), GpuError> {
        self.faults.first().map_or(Ok(()), Err)
    }

    /// A lost device fails in many ways; the loss is the reason.
    fn explain(&self, error: GpuError) -> GpuError {
        // Lets a pending loss reach its callback. What the poll itself says is of no use here.
        let _ = self.device.poll(wgpu::PollType::Poll);
        self.faults.first().unwrap_or(error)
    }
}

/// Runs calls to the device and returns the first error they cause. `wanted` is what they allocate.
async fn guarded<T>(device: &wgpu::Device, wanted: u64, work: impl FnOnce() -> T) -> Result<T, GpuError> {
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let value = work();
    let (internal, memory, validation) = (internal.pop(), memory.pop(), validation.pop());
    let (internal, memory, validation) = (internal.await, memory.await, validation.await);
    if memory.is_some() {
        return Err(GpuError::DriverOutOfMemory { wanted });
    }
    match internal.or(validation) {
        Some(error) => Err(GpuError::Refused { message: error.to_string() }),
        None => Ok(value),
    }
}

type Mapped = Result<(), wgpu::BufferAsyncError>;

#[cfg(not(target_arch = "wasm32"))]
async fn wait(
    device: &wgpu::Device,
    submission: wgpu::SubmissionIndex,
    mapped: delivery::Receiver<Mapped>,
) -> Result<(), GpuError> {
    let failed = |message: String| GpuError::Readback { message };
    let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
    device.poll(wait).map_err(|e| failed(e.to_string()))?;
    match mapped.arrived() {
        Some(mapped) => mapped.map_err(|e| failed(e.to_string())),
        None => Err(failed("the device never answered".into())),
    }
}

#[cfg(target_arch = "wasm32")]
async fn wait(
    _: &wgpu::Device,
    _: wgpu::SubmissionIndex,
    mapped: delivery::Receiver<Mapped>,
) -> Result<(), GpuError> {
    mapped.await.map_err(|e| GpuError::Readback { message: e.to_string() })
}

/// WebGPU's defaults, with buffers as large as the adapter has them.
fn required_limits(adapter: &wgpu::Limits) -> Result<wgpu::Limits, GpuError> {
    let mut limits = wgpu::Limits::defaults().or_worse_values_from(adapter);
    limits.max_storage_buffer_binding_size = adapter.max_storage_buffer_binding_size;
    limits.max_buffer_size = adapter.max_buffer_size;
    let needs = [
        ("storage buffers per stage", 6, limits.max_storage_buffers_per_shader_stage),
        ("workgroup bytes", WORKGROUP_BYTES, limits.max_compute_workgroup_storage_size),
        ("workgroup invocations", 128, limits.max_compute_invocations_per_workgroup),
    ];
    for (what, wanted, max) in needs {
        if max < wanted {
            return Err(GpuError::Limit { what: what.into(), wanted: wanted.into(), max: max.into() });
        }
    }
    Ok(limits)
}

fn in_shader(stage: Stage, error: &GpuError) -> GpuError {
    GpuError::Shader { stem: stage.stem(), message: error.to_string() }
}

/// Bytes of a binding of so many words: whole 16-byte elements, and never none.
fn binding_bytes(words: usize) -> u64 {
    (words as u64 * 4).next_multiple_of(16).max(16)
}

/// The largest uniform parameters, as WGSL lays them out.
const PARAMS_BYTES: u64 = 48;
/// The one queue.
const GPU_LANE: usize = 0;
const SOFTWARE_LOOPS: u64 = 30_000;
const WORKGROUP_BYTES: u32 = 14 * 1024 + 512;
