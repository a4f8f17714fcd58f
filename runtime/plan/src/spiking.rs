//! Layers of leaky integrate-and-fire neurons in fixed point.

use std::borrow::Cow;

use crate::{BufferId, WeightId};

/// Bound of a layer's input in one time step, bias and weights apart: `2^28`.
pub const LIF_INPUT_MAX: i64 = 1 << 28;

/// Bound of the membrane potential, which saturates, and of the threshold: `2^29`.
pub const LIF_POTENTIAL_MAX: i32 = 1 << 29;

/// A leak of one: nothing leaks.
pub const LIF_LEAK_ONE: u32 = 1 << 16;

/// Weights of a layer. Values of neuron `o` are in steps of its own, so every neuron has its own threshold.
#[derive(Clone, Debug)]
pub struct LifWeight<'a> {
    /// Inputs, a multiple of 32.
    pub inputs: usize,
    /// Neurons, a multiple of 32.
    pub outputs: usize,
    /// `[inputs][outputs]`.
    pub q: Cow<'a, [i8]>,
    /// `[outputs][outputs]`, from the neuron of the first index to that of the second.
    pub recurrent: Option<Cow<'a, [i8]>>,
    /// Left shift of the sum of weights: the fractional bits of the potential.
    pub shift: u32,
    /// `[outputs]`, Q16: what is kept of the potential in one step, at most [`LIF_LEAK_ONE`].
    pub leak: Cow<'a, [u32]>,
    /// `[outputs]`: a neuron spikes above it. From 1 to [`LIF_POTENTIAL_MAX`].
    pub threshold: Cow<'a, [i32]>,
    /// `[outputs]`: added in every step, within [`LIF_INPUT_MAX`].
    pub bias: Cow<'a, [i32]>,
    /// What a spike does to the potential.
    pub reset: Reset,
}

/// What a spike does to the potential of its neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The threshold is taken off at once.
    Subtract,
    /// The potential becomes 0 at once.
    Zero,
    /// The threshold is taken off in the next step, after the leak.
    SubtractNext,
    /// The potential is 0 in the next step, whatever comes in.
    ZeroNext,
}

/// All time steps of one layer: spikes in, spikes out.
///
/// In step `t`, with `s` the sum of the weights of the inputs that spike in `t` and of the neurons that spiked in
/// `t - 1`, neuron `o` has
/// ```text
/// v = clamp(floor(v * leak / 2^16) + (s << shift) + bias, +-2^29)    SubtractNext: - threshold after a spike
///                                                                    ZeroNext:     v = 0       after a spike
/// spike = v > threshold
/// v = v - threshold, or 0, where a spike resets at once
/// ```
/// Before the first step `v` is 0 and nothing has spiked. (Gerstner et al., *Neuronal Dynamics*, section 1.3; the
/// delayed forms are those of snnTorch.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lif {
    /// Independent runs.
    pub batch: usize,
    /// Time steps.
    pub steps: usize,
    /// Inputs, a multiple of 32.
    pub inputs: usize,
    /// Neurons, a multiple of 32.
    pub outputs: usize,
    /// Bits `[batch][steps][inputs / 32]`, first input in the lowest bit.
    pub spikes: BufferId,
    /// A [`crate::Weight::Lif`].
    pub layer: WeightId,
    /// Bits `[batch][steps][outputs / 32]`.
    pub out: BufferId,
    /// i32 `[batch][outputs]`: the potential after the last step.
    pub potential: BufferId,
}

impl LifWeight<'_> {
    /// Why the layer's numbers could leave 32 bits, or its shapes disagree; `None` if all is well.
    pub fn defect(&self) -> Option<String> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let recurrent = self.recurrent.as_ref().map_or(0, |_| outputs);
        let most = 128 * (inputs + recurrent) as i64;
        if !inputs.is_multiple_of(32) || !outputs.is_multiple_of(32) || inputs == 0 || outputs == 0 {
            return Some(format!("{inputs} inputs and {outputs} neurons, not multiples of 32"));
        }
        if self.q.len() != inputs * outputs
            || self.recurrent.as_ref().is_some_and(|r| r.len() != outputs * outputs)
        {
            return Some("weights of another shape than the layer".into());
        }
        if [self.leak.len(), self.threshold.len(), self.bias.len()] != [outputs; 3] {
            return Some("leak, threshold or bias of another length than the layer".into());
        }
        if self.shift > 16 || most << self.shift > LIF_INPUT_MAX {
            return Some(format!("a shift of {}, too large for {most} a step", self.shift));
        }
        let leak = self.leak.iter().position(|&l| l > LIF_LEAK_ONE);
        let threshold = self.threshold.iter().position(|t| !(1..=LIF_POTENTIAL_MAX).contains(t));
        let bias = self.bias.iter().position(|&b| i64::from(b).abs() > LIF_INPUT_MAX);
        let named = [("leak", leak), ("threshold", threshold), ("bias", bias)];
        named.into_iter().find_map(|(what, at)| at.map(|at| format!("a {what} out of range at neuron {at}")))
    }
}
