//! From f32 to integers, by formula.
//!
//! With `m` the largest weight into neuron `o`, from inputs and neurons alike, a code is worth `s = m / 127`, and the
//! potential counts in units of `u = s / 2^shift`:
//!
//! ```text
//! q = round(w / s)    threshold = round(theta / u)    bias = round(b / u)    leak = round(beta * 2^16)
//! ```
//!
//! Leak, bias and threshold thus err by fractions of a code, and what is lost is the rounding of weights. `s` is larger
//! where the threshold or the bias would not fit: those weights are too small to matter. All arithmetic is f64
//! `/ * round`, so that every target computes the same integers.

use std::sync::Arc;

use plan::{LIF_INPUT_MAX, LIF_LEAK_ONE, LIF_POTENTIAL_MAX};

use super::{FloatLif, FloatNet, IntLif, SpikingError, SpikingNet, file::padded};

/// Quantises a network.
///
/// # Errors
/// When the float network is not valid, as [`FloatNet::validate`] says.
pub fn quantise(net: &FloatNet) -> Result<SpikingNet, SpikingError> {
    net.validate()?;
    let layers: Vec<IntLif> = net.layers.iter().map(layer).collect();
    SpikingNet::from_bytes(Arc::new(SpikingNet::write(net.steps, &layers)?))
}

fn layer(float: &FloatLif) -> IntLif {
    let (inputs, outputs) = (float.inputs, float.outputs);
    let recurrent = float.recurrent.as_deref();
    let shift = shift(padded(inputs) + recurrent.map_or(0, |_| padded(outputs)));
    let steps: Vec<f64> = (0..outputs).map(|o| step(float, o)).collect();
    let units: Vec<f64> = steps.iter().map(|s| s / f64::from(1u32 << shift)).collect();
    // `[out][in]` becomes `[in][out]`: a kernel adds the row of an input that spikes.
    let codes = |weight: &[f32], rows: usize| {
        let code = |at: usize| {
            let (i, o) = (at / outputs, at % outputs);
            (f64::from(weight[o * rows + i]) / steps[o]).round() as i8
        };
        (0..rows * outputs).map(code).collect()
    };
    let round = |value: f32, o: usize| (f64::from(value) / units[o]).round();
    let threshold = |o: usize| match float.threshold[o] {
        f32::INFINITY => LIF_POTENTIAL_MAX,
        theta => round(theta, o).max(1.0) as i32,
    };
    IntLif {
        inputs,
        outputs,
        q: codes(&float.weight, inputs),
        recurrent: recurrent.map(|r| codes(r, outputs)),
        shift,
        leak: float.beta.iter().map(|&b| (f64::from(b) * f64::from(LIF_LEAK_ONE)).round() as i32).collect(),
        threshold: (0..outputs).map(threshold).collect(),
        bias: (0..outputs).map(|o| round(float.bias[o], o) as i32).collect(),
        unit: units.iter().map(|&u| (u as f32).max(f32::MIN_POSITIVE)).collect(),
        reset: float.reset,
    }
}

/// The largest shift that keeps `fan_in` weights in bounds.
fn shift(fan_in: usize) -> u32 {
    let fits = |shift: &u32| (128 * fan_in as i64) << shift <= LIF_INPUT_MAX;
    (0..=MAX_SHIFT).rev().find(fits).expect("the widest layer fits without a shift")
}

/// What a code of neuron `o` is worth.
fn step(float: &FloatLif, o: usize) -> f64 {
    let row = |weight: &[f32], width: usize| {
        weight[o * width..][..width].iter().fold(0.0, |most: f64, w| most.max(f64::from(w.abs())))
    };
    let recurrent = float.recurrent.as_ref().map_or(0.0, |r| row(r, float.outputs));
    let weights = row(&float.weight, float.inputs).max(recurrent) / 127.0;
    let threshold = Some(float.threshold[o]).filter(|t| t.is_finite()).map_or(0.0, f64::from);
    let bias = f64::from(float.bias[o].abs());
    let step = weights.max(threshold / MAX_THRESHOLD_CODES).max(bias / MAX_BIAS_CODES);
    if step > 0.0 { step } else { 1.0 }
}

/// More fractional bits than this change nothing that 8-bit weights show.
const MAX_SHIFT: u32 = 8;
/// Threshold in codes: with [`MAX_SHIFT`], half of the largest potential.
const MAX_THRESHOLD_CODES: f64 = (1 << 20) as f64;
/// Bias in codes: with [`MAX_SHIFT`], half of its bound.
const MAX_BIAS_CODES: f64 = (1 << 19) as f64;
