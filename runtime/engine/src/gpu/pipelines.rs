//! Shaders compiled for one device.

use std::{borrow::Cow, num::NonZeroU64};

use plan::Stage;
use shaders::{Access, Entry, Shader};

use super::Kernels;

/// A stage on one device: its layout, and a pipeline for each variant that has been wanted.
pub(super) struct Compiled {
    pub(super) shader: Shader,
    pub(super) entry: Entry,
    pub(super) bindings: wgpu::BindGroupLayout,
    module: wgpu::ShaderModule,
    layout: wgpu::PipelineLayout,
    variants: Vec<Option<wgpu::ComputePipeline>>,
}

impl Compiled {
    /// Hands the shader's text to the device and states its bindings. Errors go to the caller's scope.
    pub(super) fn new(
        device: &wgpu::Device,
        shader: Shader,
        kernels: Kernels,
        text: Cow<'static, str>,
    ) -> Self {
        let label = Some(shader.stage.stem());
        let entries: Vec<_> = (0..).zip(shader.bindings).map(|(i, b)| binding(i, b.access)).collect();
        let bindings =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let source = wgpu::ShaderSource::Wgsl(text);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
        let entry = match kernels {
            Kernels::Direct => shader.direct,
            Kernels::Tiled => shader.tiled,
        };
        let variants = (0..shader.variants()).map(|_| None).collect();
        Compiled { shader, entry, bindings, module, layout, variants }
    }

    /// Compiles a variant unless that is done; says whether it was not.
    pub(super) fn compile(&mut self, device: &wgpu::Device, variant: u32) -> bool {
        let slot = &mut self.variants[variant as usize];
        if slot.is_some() {
            return false;
        }
        let constants: Vec<(&str, f64)> =
            self.shader.variant.iter().map(|v| (v.name, f64::from(variant))).collect();
        *slot = Some(device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(self.shader.stage.stem()),
            layout: Some(&self.layout),
            module: &self.module,
            entry_point: Some(self.entry.name),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Every shader initialises what it shares: the default fills it on one invocation.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        }));
        true
    }

    /// A variant that [`Compiled::compile`] has made.
    pub(super) fn pipeline(&self, variant: u32) -> Option<&wgpu::ComputePipeline> {
        self.variants.get(variant as usize).and_then(Option::as_ref)
    }

    /// Forgets a variant that did not compile.
    pub(super) fn forget(&mut self, variant: u32) {
        self.variants[variant as usize] = None;
    }

    /// Bytes of the uniform parameters as WGSL lays the struct out.
    pub(super) fn params_bytes(&self) -> NonZeroU64 {
        let bytes = u64::from(self.shader.params_words()) * 4;
        NonZeroU64::new(bytes.next_multiple_of(16)).unwrap_or(NonZeroU64::MIN)
    }
}

/// Where a stage stands in a list of all stages.
pub(super) fn index(stage: Stage) -> usize {
    match stage {
        Stage::Embed => 0,
        Stage::LayerNorm => 1,
        Stage::Quantise => 2,
        Stage::Gemm => 3,
        Stage::Attention => 4,
        Stage::Pool => 5,
        Stage::Encode => 6,
        Stage::Distance => 7,
        Stage::DistanceF32 => 8,
        Stage::Hamming => 9,
        Stage::TopK => 10,
        Stage::Lif => 11,
    }
}

fn binding(index: u32, access: Access) -> wgpu::BindGroupLayoutEntry {
    let ty = match access {
        Access::Uniform => wgpu::BufferBindingType::Uniform,
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
    };
    wgpu::BindGroupLayoutEntry {
        binding: index,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: access == Access::Uniform,
            min_binding_size: None,
        },
        count: None,
    }
}
