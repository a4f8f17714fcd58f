//! What can be wrong with spiking networks and the spikes they are given.

use safetensors::SafeTensorError;
use thiserror::Error;

/// Why a network is refused.
#[derive(Debug, Error)]
pub enum SpikingError {
    /// The container itself is damaged.
    #[error("spiking network: {0}")]
    Container(#[from] SafeTensorError),
    /// A metadata entry is missing, malformed or outside what the format allows.
    #[error("spiking network: metadata {key}: {problem}")]
    Metadata {
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A tensor that the metadata calls for is absent.
    #[error("spiking network: no tensor {name}")]
    MissingTensor {
        /// The tensor.
        name: String,
    },
    /// A tensor that the format does not have.
    #[error("spiking network: {name} is not a tensor of this format")]
    UnknownTensor {
        /// The tensor.
        name: String,
    },
    /// A tensor, or a layer's array, has another shape than the layer.
    #[error("spiking network: {name} has shape {found:?}, wanted {wanted:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Axes by the metadata.
        wanted: Vec<usize>,
        /// Axes found.
        found: Vec<usize>,
    },
    /// A tensor has another element type than the format says.
    #[error("spiking network: {name} has dtype {found}, wanted {wanted}")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its element type.
        found: String,
        /// The types allowed.
        wanted: &'static str,
    },
    /// An element is outside the range the format allows.
    #[error("spiking network: {name}[{index}] is {value}, must be {rule}")]
    Element {
        /// The tensor.
        name: String,
        /// Row-major position.
        index: usize,
        /// The element.
        value: f64,
        /// What the format allows.
        rule: &'static str,
    },
    /// The network has no layers or too many, or a layer has a size the format does not carry.
    #[error("spiking network: {what} is {value}, must be 1 to {limit}")]
    Size {
        /// The quantity.
        what: String,
        /// Its value.
        value: usize,
        /// The largest allowed.
        limit: usize,
    },
    /// A layer does not take what the one before gives.
    #[error("spiking network: layer {layer} takes {inputs} inputs, the layer before has {outputs} neurons")]
    Chain {
        /// The layer.
        layer: usize,
        /// Inputs it takes.
        inputs: usize,
        /// Neurons before it.
        outputs: usize,
    },
    /// A layer's numbers could leave 32 bits.
    #[error("spiking network: layer {layer} has {defect}")]
    Defect {
        /// The layer.
        layer: usize,
        /// As [`plan::LifWeight::defect`] puts it.
        defect: String,
    },
}

/// Why spikes, or what is to become spikes, are refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SpikesError {
    /// There is nothing to do.
    #[error("spikes: {what} is 0")]
    Empty {
        /// Batch, steps or neurons.
        what: &'static str,
    },
    /// More spikes than one plan carries.
    #[error("spikes: {batch} runs of {steps} steps of {neurons} neurons are more than {limit} words of bits")]
    TooMany {
        /// Independent runs.
        batch: usize,
        /// Time steps.
        steps: usize,
        /// Neurons.
        neurons: usize,
        /// Words allowed.
        limit: usize,
    },
    /// An array has another length than its shape.
    #[error("spikes: {found} {what}, wanted {wanted}")]
    Length {
        /// What the array holds.
        what: &'static str,
        /// Elements found.
        found: usize,
        /// Elements by the shape.
        wanted: usize,
    },
    /// A bit beyond the last neuron is set.
    #[error("spikes: run {run}, step {step}: neuron {neuron} of {neurons} spikes")]
    Padding {
        /// The run.
        run: usize,
        /// The time step.
        step: usize,
        /// The bit.
        neuron: usize,
        /// Neurons there are.
        neurons: usize,
    },
    /// The network takes another number of inputs.
    #[error("spikes of {found} neurons for a network of {wanted} inputs")]
    Inputs {
        /// Neurons of the spikes.
        found: usize,
        /// Inputs of the network.
        wanted: usize,
    },
}
