//! Networks as they are trained: f32 weights, and the forward pass that integer inference is held against.

use plan::Reset;

use super::{
    Spikes, SpikesError, SpikingError,
    container::{self, Data, Header, LayerHeader, Reader, Tensor, VERSION, check_sizes},
};

/// One dense layer of leaky integrate-and-fire neurons.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatLif {
    /// Inputs.
    pub inputs: usize,
    /// Neurons.
    pub outputs: usize,
    /// `[outputs][inputs]`.
    pub weight: Vec<f32>,
    /// `[outputs][outputs]`, to the neuron of the first index from that of the second, one step later.
    pub recurrent: Option<Vec<f32>>,
    /// `[outputs]`: added in every step.
    pub bias: Vec<f32>,
    /// `[outputs]`, 0 to 1: what is kept of the potential in one step.
    pub beta: Vec<f32>,
    /// `[outputs]`, above 0; infinite for a neuron that only integrates.
    pub threshold: Vec<f32>,
    /// What a spike does to the potential.
    pub reset: Reset,
}

/// A feed-forward chain of layers.
///
/// As a file: safetensors with the metadata `format` = [`FloatNet::FORMAT`] and `spiking`, a JSON object
/// `{"version":1,"steps":25,"layers":[{"inputs":784,"outputs":10,"reset":"subtract_next","recurrent":false}]}`, and for
/// every layer the tensors `layer.N.{weight, bias, beta, threshold}` and, where it is recurrent, `layer.N.recurrent`,
/// shaped as [`FloatLif`] says. `steps` may be absent.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNet {
    /// Time steps the network was trained for, where that is known.
    pub steps: Option<u32>,
    /// First to last.
    pub layers: Vec<FloatLif>,
}

/// What a forward pass gives.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatRun {
    /// Spikes of the last layer.
    pub spikes: Spikes,
    /// `[batch][outputs]`: the last layer's potential after the last step.
    pub potential: Vec<f32>,
}

impl FloatNet {
    /// Value of the metadata key `format`.
    pub const FORMAT: &'static str = "edge-net.spiking-float";

    /// Reads and checks a network file.
    ///
    /// # Errors
    /// Names the tensor or metadata entry at fault.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, SpikingError> {
        let reader = Reader::open(bytes)?;
        let header = reader.header(Self::FORMAT, &["weight", "bias", "beta", "threshold"])?;
        let layer = |(n, l): (usize, &LayerHeader)| {
            let part = |part: &str, shape: &[usize]| reader.floats(&format!("layer.{n}.{part}"), shape);
            if l.shift.is_some() {
                let problem = format!("layer {n} has a shift, which integer networks have");
                return Err(SpikingError::Metadata { key: "spiking", problem });
            }
            Ok(FloatLif {
                inputs: l.inputs,
                outputs: l.outputs,
                weight: part("weight", &[l.outputs, l.inputs])?,
                recurrent: l.recurrent.then(|| part("recurrent", &[l.outputs; 2])).transpose()?,
                bias: part("bias", &[l.outputs])?,
                beta: part("beta", &[l.outputs])?,
                threshold: part("threshold", &[l.outputs])?,
                reset: l.reset,
            })
        };
        let layers = header.layers.iter().enumerate().map(layer).collect::<Result<_, _>>()?;
        let net = Self { steps: header.steps, layers };
        net.validate()?;
        Ok(net)
    }

    /// Serialises; equal networks give equal bytes.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let mut tensors = Vec::new();
        let mut layers = Vec::new();
        for (n, l) in self.layers.iter().enumerate() {
            let mut tensor = |part: &str, shape: &[usize], data: &[f32]| {
                let (name, shape) = (format!("layer.{n}.{part}"), shape.to_vec());
                tensors.push(Tensor { name, shape, data: Data::F32(data.to_vec()) });
            };
            tensor("weight", &[l.outputs, l.inputs], &l.weight);
            l.recurrent.iter().for_each(|r| tensor("recurrent", &[l.outputs; 2], r));
            [("bias", &l.bias), ("beta", &l.beta), ("threshold", &l.threshold)]
                .iter()
                .for_each(|(part, data)| tensor(part, &[l.outputs], data));
            let (inputs, outputs, reset) = (l.inputs, l.outputs, l.reset);
            layers.push(LayerHeader {
                inputs,
                outputs,
                reset,
                recurrent: l.recurrent.is_some(),
                shift: None,
            });
        }
        container::write(Self::FORMAT, &Header { version: VERSION, steps: self.steps, layers }, tensors)
    }

    /// Checks shapes and values.
    ///
    /// # Errors
    /// Names the layer's array, `layer.N.weight` and so on, and what is wrong with it.
    pub fn validate(&self) -> Result<(), SpikingError> {
        check_sizes(self.layers.iter().map(|l| (l.inputs, l.outputs)))?;
        for (n, l) in self.layers.iter().enumerate() {
            let (i, o) = (l.inputs, l.outputs);
            check(n, "weight", &l.weight, &[o, i], "finite", f32::is_finite)?;
            if let Some(recurrent) = &l.recurrent {
                check(n, "recurrent", recurrent, &[o, o], "finite", f32::is_finite)?;
            }
            check(n, "bias", &l.bias, &[o], "finite", f32::is_finite)?;
            check(n, "beta", &l.beta, &[o], "0 to 1", |b| (0.0..=1.0).contains(&b))?;
            check(n, "threshold", &l.threshold, &[o], "above 0", |t| t > 0.0)?;
        }
        Ok(())
    }

    /// Runs the network in f32, one run, one step and one neuron after another.
    ///
    /// # Errors
    /// When the spikes are not of the first layer's inputs.
    ///
    /// # Panics
    /// If the network does not pass [`FloatNet::validate`]: a bug of its maker.
    pub fn forward(&self, spikes: &Spikes) -> Result<FloatRun, SpikesError> {
        let wanted = self.layers[0].inputs;
        if spikes.neurons() != wanted {
            return Err(SpikesError::Inputs { found: spikes.neurons(), wanted });
        }
        let mut run = FloatRun { spikes: spikes.clone(), potential: Vec::new() };
        for layer in &self.layers {
            run = layer.forward(&run.spikes)?;
        }
        Ok(run)
    }
}

impl FloatLif {
    fn forward(&self, input: &Spikes) -> Result<FloatRun, SpikesError> {
        let mut spikes = Spikes::silent(input.batch(), input.steps(), self.outputs)?;
        let mut potential = vec![0f32; input.batch() * self.outputs];
        for (run, v) in potential.chunks_exact_mut(self.outputs).enumerate() {
            let mut before: Vec<usize> = Vec::new();
            for step in 0..input.steps() {
                let active: Vec<usize> = input.active(run, step).collect();
                for (o, v) in v.iter_mut().enumerate() {
                    let spiked = before.binary_search(&o).is_ok();
                    if self.update(o, v, &active, &before, spiked) {
                        spikes.set(run, step, o);
                    }
                }
                before = spikes.active(run, step).collect();
            }
        }
        Ok(FloatRun { spikes, potential })
    }

    /// One step of neuron `o`; whether it spikes.
    fn update(&self, o: usize, v: &mut f32, active: &[usize], before: &[usize], spiked: bool) -> bool {
        let sum = |row: &[f32], from: &[usize]| from.iter().map(|&i| row[i]).sum::<f32>();
        let mut current = self.bias[o] + sum(&self.weight[o * self.inputs..][..self.inputs], active);
        if let Some(recurrent) = &self.recurrent {
            current += sum(&recurrent[o * self.outputs..][..self.outputs], before);
        }
        *v = self.beta[o] * *v + current;
        match self.reset {
            Reset::SubtractNext if spiked => *v -= self.threshold[o],
            Reset::ZeroNext if spiked => *v = 0.0,
            _ => {}
        }
        let spikes = *v > self.threshold[o];
        match self.reset {
            Reset::Subtract if spikes => *v -= self.threshold[o],
            Reset::Zero if spikes => *v = 0.0,
            _ => {}
        }
        spikes
    }
}

fn check(
    layer: usize,
    part: &str,
    values: &[f32],
    wanted: &[usize],
    rule: &'static str,
    ok: fn(f32) -> bool,
) -> Result<(), SpikingError> {
    let name = format!("layer.{layer}.{part}");
    if values.len() != wanted.iter().product::<usize>() {
        return Err(SpikingError::Shape { name, wanted: wanted.to_vec(), found: vec![values.len()] });
    }
    match values.iter().position(|&v| !ok(v)) {
        Some(index) => Err(SpikingError::Element { name, index, value: f64::from(values[index]), rule }),
        None => Ok(()),
    }
}
