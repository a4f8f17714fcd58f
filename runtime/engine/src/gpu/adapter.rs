//! Which GPUs there are, and which one to take.

use std::fmt;

use super::{GpuError, GpuOptions};

/// What an adapter says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterReport {
    /// Name its driver gives.
    pub name: String,
    /// API it is driven through.
    pub backend: String,
    /// Driver and its version, as the driver words them.
    pub driver: String,
    /// Discrete, integrated, virtual, software or unknown.
    pub kind: &'static str,
    /// Whether it is a program on the CPU.
    pub software: bool,
    /// PCI vendor, 0 where unknown.
    pub vendor: u32,
    /// Optional features that matter to integer kernels and to timing.
    pub features: Vec<&'static str>,
    /// Limits that bound batches and kernels, in bytes or counts.
    pub limits: Vec<(&'static str, u64)>,
    /// Shapes of its matrix units, as the driver words them.
    pub matrices: Vec<String>,
}

impl fmt::Display for AdapterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}, {})", self.name, self.kind, self.backend, self.driver)
    }
}

/// Every adapter of this machine; in a browser the one it offers.
pub async fn adapters() -> Vec<AdapterReport> {
    enumerate(&instance()).await.iter().map(report).collect()
}

pub(super) fn report(adapter: &wgpu::Adapter) -> AdapterReport {
    let info = adapter.get_info();
    let (has, limits) = (adapter.features(), adapter.limits());
    AdapterReport {
        name: info.name,
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "unknown",
        },
        software: info.device_type == wgpu::DeviceType::Cpu,
        vendor: info.vendor,
        features: FEATURES.iter().filter(|(f, _)| has.contains(*f)).map(|(_, name)| *name).collect(),
        limits: vec![
            ("storage binding bytes", limits.max_storage_buffer_binding_size),
            ("buffer bytes", limits.max_buffer_size),
            ("storage buffers per stage", limits.max_storage_buffers_per_shader_stage.into()),
            ("workgroup bytes", limits.max_compute_workgroup_storage_size.into()),
            ("workgroup invocations", limits.max_compute_invocations_per_workgroup.into()),
            ("workgroups per dimension", limits.max_compute_workgroups_per_dimension.into()),
        ],
        matrices: matrices(adapter),
    }
}

/// The adapter the options ask for: hardware first, the fastest kind first.
pub(super) async fn choose(options: &GpuOptions) -> Result<wgpu::Adapter, GpuError> {
    let mut named = enumerate(&instance()).await;
    if let Some(wanted) = &options.adapter {
        let wanted = wanted.to_lowercase();
        named.retain(|a| a.get_info().name.to_lowercase().contains(&wanted));
    }
    named.sort_by_key(|a| rank(a.get_info().device_type));
    if named.is_empty() {
        return Err(GpuError::NoAdapter { wanted: options.adapter.clone() });
    }
    let names: Vec<String> = named.iter().map(|a| a.get_info().name).collect();
    named
        .into_iter()
        .find(|a| options.allow_software || a.get_info().device_type != wgpu::DeviceType::Cpu)
        .ok_or_else(|| GpuError::SoftwareOnly { names: names.join(", ") })
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // Validation layers that happen to be installed would change timing and flood logs.
    descriptor.flags = wgpu::InstanceFlags::empty();
    wgpu::Instance::new(descriptor)
}

#[cfg(not(target_arch = "wasm32"))]
async fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    instance.enumerate_adapters(wgpu::Backends::all()).await
}

// A browser does not list adapters, it offers one.
#[cfg(target_arch = "wasm32")]
async fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    instance.request_adapter(&options).await.into_iter().collect()
}

#[cfg(not(target_arch = "wasm32"))]
fn matrices(adapter: &wgpu::Adapter) -> Vec<String> {
    let shape = |p: wgpu::CooperativeMatrixProperties| {
        format!("{}x{}x{} {:?} into {:?}", p.m_size, p.n_size, p.k_size, p.ab_type, p.cr_type)
    };
    adapter.cooperative_matrix_properties().into_iter().map(shape).collect()
}

#[cfg(target_arch = "wasm32")]
fn matrices(_: &wgpu::Adapter) -> Vec<String> {
    Vec::new()
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

const FEATURES: [(wgpu::Features, &str); 7] = [
    (wgpu::Features::SHADER_F16, "shader-f16"),
    (wgpu::Features::SUBGROUP, "subgroups"),
    (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
    (wgpu::Features::PIPELINE_CACHE, "pipeline-cache"),
    (wgpu::Features::MAPPABLE_PRIMARY_BUFFERS, "mappable-primary-buffers"),
    (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative-matrix"),
    (wgpu::Features::PASSTHROUGH_SHADERS, "passthrough-shaders"),
];
