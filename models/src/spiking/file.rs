//! The integer network file: safetensors whose arrays are what the kernels read, padding included.

use std::{borrow::Cow, ops::Range, sync::Arc};

use plan::{LIF_POTENTIAL_MAX, LifWeight, Reset, Weight, WeightId, Weights};

use super::{
    SpikingError,
    container::{self, Data, Header, LayerHeader, Reader, Tensor, VERSION},
};
use crate::bert::ModelBytes;

/// One layer in integers, without padding: what [`SpikingNet::write`] takes.
///
/// Potentials of neuron `o` count in units of `unit[o]`, codes in units of `unit[o] * 2^shift`.
#[derive(Clone, Debug, PartialEq)]
pub struct IntLif {
    /// Inputs.
    pub inputs: usize,
    /// Neurons.
    pub outputs: usize,
    /// `[inputs][outputs]`.
    pub q: Vec<i8>,
    /// `[outputs][outputs]`, from the neuron of the first index to that of the second.
    pub recurrent: Option<Vec<i8>>,
    /// Fractional bits of the potential.
    pub shift: u32,
    /// `[outputs]`, Q16.
    pub leak: Vec<i32>,
    /// `[outputs]`; [`LIF_POTENTIAL_MAX`] is never exceeded.
    pub threshold: Vec<i32>,
    /// `[outputs]`.
    pub bias: Vec<i32>,
    /// `[outputs]`: value of one potential unit in the float network.
    pub unit: Vec<f32>,
    /// What a spike does to the potential.
    pub reset: Reset,
}

/// An integer spiking network, ready to write plans. Weight `n` is layer `n`. Codes stay in the file's bytes.
///
/// The file is safetensors with the metadata `format` = [`SpikingNet::FORMAT`] and `spiking`, a JSON object
/// `{"version":1,"steps":25,"layers":[{"inputs":784,"outputs":10,"reset":"subtract_next","recurrent":false,"shift":8}]}`.
/// With `I` and `O` the layer's inputs and neurons, each rounded up to a multiple of 32, its tensors are
///
/// ```text
/// layer.N.q          i8  [I][O]     layer.N.leak  i32 [O]    layer.N.threshold i32 [O]
/// layer.N.recurrent  i8  [O][O]     layer.N.bias  i32 [O]    layer.N.unit      f32 [O]
/// ```
///
/// Padding is in the file, so that a mapped file is what a kernel reads: codes, leaks, biases and units there are 0, and
/// thresholds the largest there is, which no potential exceeds. A file in which they are not is refused.
pub struct SpikingNet {
    bytes: ModelBytes,
    steps: Option<u32>,
    pub(super) layers: Vec<Layer>,
}

pub(super) struct Layer {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) unit: Vec<f32>,
    q: Range<usize>,
    recurrent: Option<Range<usize>>,
    shift: u32,
    leak: Vec<u32>,
    threshold: Vec<i32>,
    bias: Vec<i32>,
    reset: Reset,
}

impl SpikingNet {
    /// Value of the metadata key `format`.
    pub const FORMAT: &'static str = "edge-net.spiking-int";

    /// Reads and checks a network file.
    ///
    /// # Errors
    /// Names the tensor or metadata entry at fault. A file that passes cannot leave 32 bits in any stage.
    pub fn from_bytes(bytes: ModelBytes) -> Result<Self, SpikingError> {
        let reader = Reader::open((*bytes).as_ref())?;
        let header = reader.header(Self::FORMAT, &["q", "leak", "threshold", "bias", "unit"])?;
        let layer = |(n, header)| Layer::read(&reader, n, header);
        let layers = header.layers.iter().enumerate().map(layer).collect::<Result<Vec<_>, _>>()?;
        let net = Self { bytes: bytes.clone(), steps: header.steps, layers };
        for (n, layer) in net.layers.iter().enumerate() {
            if let Some(defect) = net.view(layer).defect() {
                return Err(SpikingError::Defect { layer: n, defect });
            }
            layer.check_padding(n, &net)?;
        }
        Ok(net)
    }

    /// Writes a network file; equal networks give equal bytes.
    ///
    /// # Errors
    /// What [`SpikingNet::from_bytes`] would find wrong with it.
    pub fn write(steps: Option<u32>, layers: &[IntLif]) -> Result<Vec<u8>, SpikingError> {
        container::check_sizes(layers.iter().map(|l| (l.inputs, l.outputs)))?;
        let mut tensors = Vec::new();
        for (n, layer) in layers.iter().enumerate() {
            layer.tensors(n, &mut tensors)?;
        }
        let header = |l: &IntLif| LayerHeader {
            inputs: l.inputs,
            outputs: l.outputs,
            reset: l.reset,
            recurrent: l.recurrent.is_some(),
            shift: Some(l.shift),
        };
        let header = Header { version: VERSION, steps, layers: layers.iter().map(header).collect() };
        let bytes = Arc::new(container::write(Self::FORMAT, &header, tensors));
        Self::from_bytes(bytes.clone()).map(drop)?;
        Ok(Arc::try_unwrap(bytes).unwrap_or_else(|shared| shared.to_vec()))
    }

    /// Spike words of the widest layer, inputs included, in one step of one run: what plans are cut by.
    pub fn widest_words(&self) -> usize {
        let outputs = self.layers.iter().map(|l| l.outputs.div_ceil(32)).max().unwrap_or(0);
        outputs.max(self.inputs().div_ceil(32))
    }

    /// Inputs of the first layer.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs
    }

    /// Neurons of the last layer.
    pub fn outputs(&self) -> usize {
        self.last().outputs
    }

    /// Time steps the network was trained for, where that is known.
    pub fn steps(&self) -> Option<u32> {
        self.steps
    }

    /// The whole file.
    pub fn file(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    pub(super) fn last(&self) -> &Layer {
        self.layers.last().expect("a network has layers")
    }

    fn codes(&self, range: &Range<usize>) -> &[i8] {
        bytemuck::cast_slice(&self.file()[range.clone()])
    }

    fn view(&self, layer: &Layer) -> LifWeight<'_> {
        LifWeight {
            inputs: padded(layer.inputs),
            outputs: padded(layer.outputs),
            q: Cow::Borrowed(self.codes(&layer.q)),
            recurrent: layer.recurrent.as_ref().map(|r| Cow::Borrowed(self.codes(r))),
            shift: layer.shift,
            leak: Cow::Owned(layer.leak.clone()),
            threshold: Cow::Owned(layer.threshold.clone()),
            bias: Cow::Owned(layer.bias.clone()),
            reset: layer.reset,
        }
    }
}

impl Weights for SpikingNet {
    fn len(&self) -> usize {
        self.layers.len()
    }

    fn get(&self, id: WeightId) -> Weight<'_> {
        let layer = &self.layers[id.0];
        Weight::Lif(LifWeight {
            leak: Cow::Borrowed(&layer.leak),
            threshold: Cow::Borrowed(&layer.threshold),
            bias: Cow::Borrowed(&layer.bias),
            ..self.view(layer)
        })
    }
}

impl Layer {
    fn read(reader: &Reader<'_>, n: usize, header: &LayerHeader) -> Result<Self, SpikingError> {
        let LayerHeader { inputs, outputs, reset, recurrent, shift } = *header;
        let (i, o) = (padded(inputs), padded(outputs));
        let name = |part: &str| format!("layer.{n}.{part}");
        let shift = shift.ok_or_else(|| {
            let problem = format!("layer {n} has no shift");
            SpikingError::Metadata { key: "spiking", problem }
        })?;
        let leak = reader.integers(&name("leak"), &[o])?;
        let unit = reader.floats(&name("unit"), &[o])?;
        let element = |part: &str, index, value, rule| {
            Err(SpikingError::Element { name: name(part), index, value, rule })
        };
        if let Some(index) = leak.iter().position(|&l| l < 0) {
            return element("leak", index, f64::from(leak[index]), "0 to 65536");
        }
        if let Some(index) = unit[..outputs].iter().position(|u| !(u.is_finite() && *u > 0.0)) {
            return element("unit", index, f64::from(unit[index]), "above 0 and finite");
        }
        Ok(Self {
            inputs,
            outputs,
            unit,
            q: reader.codes(&name("q"), &[i, o])?,
            recurrent: recurrent.then(|| reader.codes(&name("recurrent"), &[o; 2])).transpose()?,
            shift,
            leak: leak.into_iter().map(i32::cast_unsigned).collect(),
            threshold: reader.integers(&name("threshold"), &[o])?,
            bias: reader.integers(&name("bias"), &[o])?,
            reset,
        })
    }

    fn check_padding(&self, n: usize, net: &SpikingNet) -> Result<(), SpikingError> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let columns = padded(outputs);
        let codes = |part: &str, codes: &[i8], rows: usize| {
            let stray = |at: usize| (at / columns >= rows || at % columns >= outputs) && codes[at] != 0;
            padding(n, part, (0..codes.len()).find(|&at| stray(at)).map(|at| (at, f64::from(codes[at]))), "0")
        };
        codes("q", net.codes(&self.q), inputs)?;
        self.recurrent.iter().try_for_each(|r| codes("recurrent", net.codes(r), outputs))?;
        let stray = |at: Option<usize>, value: &dyn Fn(usize) -> f64| at.map(|at| (at, value(at)));
        let leak = (outputs..columns).find(|&o| self.leak[o] != 0);
        padding(n, "leak", stray(leak, &|o| f64::from(self.leak[o])), "0")?;
        let bias = (outputs..columns).find(|&o| self.bias[o] != 0);
        padding(n, "bias", stray(bias, &|o| f64::from(self.bias[o])), "0")?;
        let unit = (outputs..columns).find(|&o| self.unit[o].to_bits() != 0);
        padding(n, "unit", stray(unit, &|o| f64::from(self.unit[o])), "0")?;
        let threshold = (outputs..columns).find(|&o| self.threshold[o] != LIF_POTENTIAL_MAX);
        padding(n, "threshold", stray(threshold, &|o| f64::from(self.threshold[o])), "2^29")
    }
}

impl IntLif {
    /// The layer's arrays in their padded form.
    fn tensors(&self, n: usize, tensors: &mut Vec<Tensor>) -> Result<(), SpikingError> {
        let (i, o) = (padded(self.inputs), padded(self.outputs));
        let name = |part: &str| format!("layer.{n}.{part}");
        let checked =
            |part: &str, found: usize, wanted: &[usize]| match found == wanted.iter().product::<usize>() {
                true => Ok(()),
                false => {
                    Err(SpikingError::Shape { name: name(part), wanted: wanted.to_vec(), found: vec![found] })
                }
            };
        let codes = |part: &str, codes: &[i8], rows: usize, padded_rows: usize| {
            checked(part, codes.len(), &[rows, self.outputs])?;
            let mut wide = vec![0; padded_rows * o];
            for (to, from) in wide.chunks_exact_mut(o).zip(codes.chunks_exact(self.outputs)) {
                to[..self.outputs].copy_from_slice(from);
            }
            Ok::<_, SpikingError>(Tensor {
                name: name(part),
                shape: vec![padded_rows, o],
                data: Data::I8(wide),
            })
        };
        tensors.push(codes("q", &self.q, self.inputs, i)?);
        if let Some(recurrent) = &self.recurrent {
            tensors.push(codes("recurrent", recurrent, self.outputs, o)?);
        }
        let rows = [
            ("leak", &self.leak, 0),
            ("bias", &self.bias, 0),
            ("threshold", &self.threshold, LIF_POTENTIAL_MAX),
        ];
        for (part, values, fill) in rows {
            checked(part, values.len(), &[self.outputs])?;
            let mut wide = values.clone();
            wide.resize(o, fill);
            tensors.push(Tensor { name: name(part), shape: vec![o], data: Data::I32(wide) });
        }
        checked("unit", self.unit.len(), &[self.outputs])?;
        let mut unit = self.unit.clone();
        unit.resize(o, 0.0);
        tensors.push(Tensor { name: name("unit"), shape: vec![o], data: Data::F32(unit) });
        Ok(())
    }
}

fn padding(
    n: usize,
    part: &str,
    stray: Option<(usize, f64)>,
    rule: &'static str,
) -> Result<(), SpikingError> {
    match stray {
        Some((index, value)) => {
            Err(SpikingError::Element { name: format!("layer.{n}.{part}"), index, value, rule })
        }
        None => Ok(()),
    }
}

/// Neurons or inputs in whole words of bits.
pub(super) fn padded(neurons: usize) -> usize {
    neurons.next_multiple_of(32)
}
