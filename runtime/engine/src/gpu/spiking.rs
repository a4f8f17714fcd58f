//! The stage of spiking networks and its layers.

use plan::{Lif, LifWeight, Reset, Stage};
use shaders::LIF_MAX_RECURRENT;

use super::{
    GpuError, GpuModel,
    record::{Call, Source, weight, wrong},
    weights::{GpuWeight, Uploader, quads},
};

/// A layer of spiking neurons.
pub(super) struct GpuLayer {
    weights: wgpu::Buffer,
    recurrent: Option<wgpu::Buffer>,
    /// Leaks, then thresholds, then biases.
    constants: wgpu::Buffer,
    shift: u32,
    reset: u32,
}

pub(super) fn lay_out(layer: &LifWeight<'_>, upload: Uploader<'_>) -> Result<GpuLayer, GpuError> {
    let mut constants = layer.leak.to_vec();
    constants.extend(layer.threshold.iter().chain(layer.bias.iter()).map(|&v| v as u32));
    let mut codes = |codes: &[i8]| upload(&quads(bytemuck::cast_slice(codes)));
    Ok(GpuLayer {
        weights: codes(&layer.q)?,
        recurrent: layer.recurrent.as_deref().map(&mut codes).transpose()?,
        constants: upload(&constants)?,
        shift: layer.shift,
        reset: match layer.reset {
            Reset::Subtract => 0,
            Reset::Zero => 1,
            Reset::SubtractNext => 2,
            Reset::ZeroNext => 3,
        },
    })
}

/// The dispatch of a layer.
pub(super) fn lif<'a>(s: &Lif, model: &'a GpuModel) -> Result<Call<'a>, GpuError> {
    let GpuWeight::Layer(layer) = weight(model, s.layer)? else {
        return Err(wrong(s.layer, "a layer of spiking neurons"));
    };
    let recurrent = layer.recurrent.is_some();
    if recurrent && s.outputs > LIF_MAX_RECURRENT {
        let what = "neurons that feed each other".to_owned();
        return Err(GpuError::Limit { what, wanted: s.outputs as u64, max: LIF_MAX_RECURRENT as u64 });
    }
    let shape = [s.batch, s.steps, s.inputs, s.outputs].map(|n| n as u32);
    let mut params = shape.to_vec();
    params.extend([layer.shift, layer.reset]);
    Ok(Call {
        stage: Stage::Lif,
        variant: recurrent.into(),
        params,
        sources: vec![
            Source::Plan(s.spikes),
            Source::Weight(&layer.weights),
            // Its variant never reads what stands in for missing weights.
            Source::Weight(layer.recurrent.as_ref().unwrap_or(&layer.weights)),
            Source::Weight(&layer.constants),
            Source::Plan(s.potential),
            Source::Plan(s.out),
        ],
        grid: (s.batch, if recurrent { 1 } else { s.outputs / 32 }),
        loops: [loops(s, recurrent); 2],
    })
}

/// As if everything spiked: each word of spikes costs its own iteration and one for two of its bits.
fn loops(s: &Lif, recurrent: bool) -> u64 {
    let words = (s.inputs + if recurrent { s.outputs } else { 0 }) as u64 / 32;
    let turns = if recurrent { (s.outputs as u64 / 4).div_ceil(LANES) } else { 1 };
    s.steps as u64 * (1 + turns * (2 + words * 17)) + 2 * turns
}

/// Invocations of a workgroup, as in `lif.wgsl`.
const LANES: u64 = 128;
