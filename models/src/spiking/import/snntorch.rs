//! snnTorch state dicts, as safetensors.
//!
//! A model of `torch.nn.Linear`, `snntorch.Leaky` and `snntorch.RLeaky` in turn is exported by
//!
//! ```python
//! import torch
//! from safetensors.torch import save_file
//!
//! class Net(torch.nn.Module):
//!     def __init__(self):
//!         super().__init__()
//!         self.fc1, self.lif1 = torch.nn.Linear(784, 128), snntorch.Leaky(beta=0.9)
//!         self.fc2, self.lif2 = torch.nn.Linear(128, 10), snntorch.Leaky(beta=0.9)
//!
//! state = {name: tensor.clone().contiguous() for name, tensor in net.state_dict().items()}
//! save_file(state, "net.safetensors", metadata={"steps": "25"})
//! ```
//!
//! Module names end in their place (`fc1`, `lif1`, or the bare numbers of a `Sequential`); at one place weights go
//! before neurons. The state dict does not say whether resets are delayed, so [`SnnTorch`] does.

use std::collections::BTreeMap;

use plan::Reset;

use super::ImportError;
use crate::spiking::{FloatLif, FloatNet, SpikingError, container::Reader};

/// What a state dict leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnnTorch {
    /// The neurons' `reset_delay`, true by default there. Without delay, subtraction equals snnTorch's as long as no
    /// potential exceeds twice its threshold, where snnTorch takes it off a second time in the next step.
    pub reset_delay: bool,
}

impl Default for SnnTorch {
    fn default() -> Self {
        Self { reset_delay: true }
    }
}

/// Reads the state dict of a chain of linear modules and leaky neurons.
///
/// # Errors
/// Names the module and the parameter that is missing, malformed or not supported.
pub fn from_snntorch(bytes: &[u8], options: SnnTorch) -> Result<FloatNet, ImportError> {
    let reader = Reader::open(bytes)?;
    let mut modules: BTreeMap<(u64, bool, String), Vec<String>> = BTreeMap::new();
    let names: Vec<String> = reader.names().into_iter().map(str::to_owned).collect();
    for name in &names {
        let (module, parameter) = split(name)?;
        let neuron = names.contains(&format!("{module}.beta"));
        let place = place(module)?;
        modules.entry((place, neuron, module.to_owned())).or_default().push(parameter.to_owned());
    }
    let modules: Vec<Module> = modules
        .into_iter()
        .map(|((_, neuron, name), parameters)| Module { name, neuron, parameters })
        .collect();
    let steps = reader.metadata("steps").map(|text| {
        text.parse().map_err(|_| SpikingError::Metadata { key: "steps", problem: format!("is {text}") })
    });
    let steps = steps.transpose()?;
    let mut layers = Vec::new();
    for pair in modules.chunks(2) {
        let (linear, neurons) = match pair {
            [linear, neurons] if !linear.neuron && neurons.neuron => (linear, neurons),
            _ => {
                let node = pair[usize::from(pair.len() == 2 && !pair[0].neuron)].name.clone();
                let problem = "weights and neurons must take turns, weights first".into();
                return Err(ImportError::Chain { node, problem });
            }
        };
        layers.push(layer(&reader, linear, neurons, options)?);
    }
    let net = FloatNet { steps, layers };
    net.validate()?;
    Ok(net)
}

struct Module {
    name: String,
    neuron: bool,
    parameters: Vec<String>,
}

impl Module {
    fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|p| p == parameter)
    }

    fn only(&self, known: &[&str]) -> Result<(), ImportError> {
        match self.parameters.iter().find(|p| !known.contains(&p.as_str())) {
            Some(what) => Err(ImportError::Unsupported { node: self.name.clone(), what: what.clone() }),
            None => Ok(()),
        }
    }

    fn tensor(&self, parameter: &str) -> String {
        format!("{}.{parameter}", self.name)
    }

    fn parameter(&self, parameter: &str, problem: String) -> ImportError {
        ImportError::Parameter { node: self.name.clone(), parameter: parameter.into(), problem }
    }

    /// A setting that holds for all neurons or for each.
    fn numbers(&self, reader: &Reader<'_>, parameter: &str, outputs: usize) -> Result<Vec<f64>, ImportError> {
        let name = self.tensor(parameter);
        let shape = reader.shape(&name)?;
        let values = reader.numbers(&name, &shape)?;
        match values.len() {
            1 => Ok(vec![values[0]; outputs]),
            n if n == outputs => Ok(values),
            n => Err(self.parameter(parameter, format!("has {n} values for {outputs} neurons"))),
        }
    }
}

/// Module and parameter of a tensor's name; what a recurrent neuron holds is its own.
fn split(name: &str) -> Result<(&str, &str), ImportError> {
    let own = name.strip_suffix(".recurrent.weight").or(name.strip_suffix(".recurrent.bias"));
    let own = own.or(name.strip_suffix(".recurrent.V")).map(|module| (module, &name[module.len() + 1..]));
    own.or_else(|| name.rsplit_once('.')).ok_or_else(|| ImportError::Chain {
        node: name.into(),
        problem: "is a parameter of no module".into(),
    })
}

fn place(module: &str) -> Result<u64, ImportError> {
    let digits = module.len() - module.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    module[module.len() - digits..].parse().map_err(|_| ImportError::Chain {
        node: module.into(),
        problem: "the name does not end in its place, as fc1 and lif1 do".into(),
    })
}

fn layer(
    reader: &Reader<'_>,
    linear: &Module,
    neurons: &Module,
    options: SnnTorch,
) -> Result<FloatLif, ImportError> {
    linear.only(&["weight", "bias"])?;
    // State that a run leaves behind is no parameter.
    let state = ["mem", "spk", "reset"];
    let known = ["beta", "threshold", "reset_mechanism_val", "graded_spikes_factor", "V"];
    let recurrent = ["recurrent.weight", "recurrent.bias", "recurrent.V"];
    neurons.only(&[&state[..], &known, &recurrent].concat())?;
    let shape = reader.shape(&linear.tensor("weight"))?;
    let &[outputs, inputs] = shape.as_slice() else {
        let what = format!("a weight of {} axes", shape.len());
        return Err(ImportError::Unsupported { node: linear.name.clone(), what });
    };
    let weight = reader.floats(&linear.tensor("weight"), &shape)?;
    let mut bias = match linear.has("bias") {
        true => reader.floats(&linear.tensor("bias"), &[outputs])?,
        false => vec![0.0; outputs],
    };
    if neurons.has("recurrent.bias") {
        let more = reader.floats(&neurons.tensor("recurrent.bias"), &[outputs])?;
        bias.iter_mut().zip(more).for_each(|(bias, more)| *bias += more);
    }
    if neurons.has("graded_spikes_factor") {
        let factors = neurons.numbers(reader, "graded_spikes_factor", outputs)?;
        if let Some(factor) = factors.iter().find(|f| **f != 1.0) {
            let what = format!("graded_spikes_factor {factor}");
            return Err(ImportError::Unsupported { node: neurons.name.clone(), what });
        }
    }
    let recurrent = recurrent_weight(reader, neurons, outputs)?;
    // Clamped in every forward pass there.
    let beta =
        neurons.numbers(reader, "beta", outputs)?.into_iter().map(|b| b.clamp(0.0, 1.0) as f32).collect();
    let threshold = neurons.numbers(reader, "threshold", outputs)?.into_iter().map(|t| t as f32).collect();
    let reset = reset(reader, neurons, recurrent.is_some(), options)?;
    Ok(FloatLif { inputs, outputs, weight, recurrent, bias, beta, threshold, reset })
}

/// `[outputs][outputs]`, to the first index from the second.
fn recurrent_weight(
    reader: &Reader<'_>,
    neurons: &Module,
    outputs: usize,
) -> Result<Option<Vec<f32>>, ImportError> {
    if neurons.has("recurrent.weight") {
        return Ok(Some(reader.floats(&neurons.tensor("recurrent.weight"), &[outputs; 2])?));
    }
    let Some(parameter) = ["recurrent.V", "V"].into_iter().find(|p| neurons.has(p)) else { return Ok(None) };
    if outputs > MAX_DIAGONAL {
        let what = format!("one-to-one recurrence among {outputs} neurons, more than {MAX_DIAGONAL},");
        return Err(ImportError::Unsupported { node: neurons.name.clone(), what });
    }
    let own = neurons.numbers(reader, parameter, outputs)?;
    let diagonal = |at: usize| if at / outputs == at % outputs { own[at % outputs] as f32 } else { 0.0 };
    Ok(Some((0..outputs * outputs).map(diagonal).collect()))
}

/// `Leaky` with a delayed "zero" clears the potential before it takes the next input in, which is the reset at once but
/// for when the potential is looked at; `RLeaky` clears the input too.
fn reset(
    reader: &Reader<'_>,
    neurons: &Module,
    recurrent: bool,
    options: SnnTorch,
) -> Result<Reset, ImportError> {
    let kind = neurons.numbers(reader, "reset_mechanism_val", 1)?[0];
    match (kind as i64, options.reset_delay) {
        (0, true) => Ok(Reset::SubtractNext),
        (0, false) => Ok(Reset::Subtract),
        (1, true) if recurrent => Ok(Reset::ZeroNext),
        (1, _) => Ok(Reset::Zero),
        (2, _) => Err(ImportError::Unsupported {
            node: neurons.name.clone(),
            what: "reset_mechanism \"none\"".into(),
        }),
        _ => Err(neurons.parameter("reset_mechanism_val", format!("is {kind}, must be 0 or 1"))),
    }
}

/// One-to-one weights become a matrix: a small file must not make a large one.
const MAX_DIAGONAL: usize = 4096;
