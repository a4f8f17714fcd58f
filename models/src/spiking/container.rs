//! The safetensors container of both network formats: canonical writing, checked reading.

use std::{collections::BTreeMap, fmt::Write as _, ops::Range};

use plan::Reset;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{MAX_LAYERS, MAX_NEURONS, SpikingError};
use crate::quantise::f16_to_f32;

/// The metadata entry `spiking`: what the tensors are.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) version: u32,
    /// Time steps the network was trained for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) steps: Option<u32>,
    pub(super) layers: Vec<LayerHeader>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerHeader {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    #[serde(with = "ResetName")]
    pub(super) reset: Reset,
    pub(super) recurrent: bool,
    /// Fractional bits of the potential; integer networks only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shift: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Reset", rename_all = "snake_case")]
enum ResetName {
    Subtract,
    Zero,
    SubtractNext,
    ZeroNext,
}

/// One tensor to write.
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

pub(super) enum Data {
    F32(Vec<f32>),
    I32(Vec<i32>),
    I8(Vec<i8>),
}

impl Data {
    fn dtype(&self) -> (&'static str, usize) {
        match self {
            Data::F32(_) => ("F32", 4),
            Data::I32(_) => ("I32", 4),
            Data::I8(_) => ("I8", 1),
        }
    }

    fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::I8(v) => v.len(),
        }
    }

    fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Data::F32(v) => v.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes())),
            Data::I32(v) => v.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes())),
            Data::I8(v) => bytes.extend_from_slice(bytemuck::cast_slice(v)),
        }
    }
}

/// Serialises to bytes that depend on the contents alone: tensors go by falling element size, then by name, and the
/// data starts at a multiple of 64 bytes, so that every element is aligned in a mapped file.
pub(super) fn write(format: &str, header: &Header, mut tensors: Vec<Tensor>) -> Vec<u8> {
    tensors.sort_by(|a, b| b.data.dtype().1.cmp(&a.data.dtype().1).then_with(|| a.name.cmp(&b.name)));
    let metadata = BTreeMap::from([("format", format.to_owned()), ("spiking", json(header))]);
    let mut text = format!("{{\"__metadata__\":{}", json(&metadata));
    let mut at = 0;
    for Tensor { name, shape, data } in &tensors {
        let (dtype, size) = data.dtype();
        let (end, shape) = (at + data.len() * size, json(shape));
        let name = json(name);
        let entry =
            format_args!(",{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{at},{end}]}}");
        text.write_fmt(entry).expect("writing to a string cannot fail");
        at = end;
    }
    text.push('}');
    while (8 + text.len()) % ALIGN != 0 {
        text.push(' ');
    }
    let mut bytes = Vec::with_capacity(8 + text.len() + at);
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    tensors.iter().for_each(|tensor| tensor.data.append_to(&mut bytes));
    bytes
}

/// A container opened for reading.
pub(super) struct Reader<'a> {
    file: &'a [u8],
    tensors: SafeTensors<'a>,
    metadata: BTreeMap<String, String>,
}

impl<'a> Reader<'a> {
    pub(super) fn open(file: &'a [u8]) -> Result<Self, SpikingError> {
        let (_, header) = SafeTensors::read_metadata(file)?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        Ok(Self { file, tensors: SafeTensors::deserialize(file)?, metadata })
    }

    /// The metadata of a network of this format, with sizes that chain and tensors all of which it calls for.
    pub(super) fn header(&self, format: &str, parts: &[&str]) -> Result<Header, SpikingError> {
        let entry = |key: &'static str| {
            let missing = || SpikingError::Metadata { key, problem: "is missing".into() };
            self.metadata.get(key).ok_or_else(missing)
        };
        let found = entry("format")?;
        if found != format {
            return Err(SpikingError::Metadata {
                key: "format",
                problem: format!("is {found}, not {format}"),
            });
        }
        let bad = |problem: String| SpikingError::Metadata { key: "spiking", problem };
        let header: Header = serde_json::from_str(entry("spiking")?).map_err(|e| bad(e.to_string()))?;
        if header.version != VERSION {
            return Err(bad(format!("version {}, this build reads version {VERSION}", header.version)));
        }
        check_sizes(header.layers.iter().map(|l| (l.inputs, l.outputs)))?;
        for name in self.tensors.names() {
            let known = name.strip_prefix("layer.").and_then(|rest| rest.split_once('.'));
            let known = known.is_some_and(|(layer, part)| {
                // A number has one spelling.
                let layer = layer.parse().ok().filter(|n: &usize| n.to_string() == layer);
                layer.is_some_and(|n| {
                    n < header.layers.len() && (header.layers[n].recurrent || part != "recurrent")
                }) && (parts.contains(&part) || part == "recurrent")
            });
            if !known {
                return Err(SpikingError::UnknownTensor { name: name.to_owned() });
            }
        }
        Ok(header)
    }

    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.tensors.names()
    }

    /// The axes of a tensor.
    pub(super) fn shape(&self, name: &str) -> Result<Vec<usize>, SpikingError> {
        self.view(name).map(|view| view.shape().to_vec())
    }

    /// Floats of a tensor of this shape, f16 and bf16 widened exactly.
    pub(super) fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, SpikingError> {
        let view = self.shaped(name, shape)?;
        let halves = || view.data().as_chunks().0.iter().map(|&b| u16::from_le_bytes(b));
        Ok(match view.dtype() {
            Dtype::F32 => view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Dtype::BF16 => halves().map(|h| f32::from_bits(u32::from(h) << 16)).collect(),
            Dtype::F16 => halves().map(f16_to_f32).collect(),
            found => return Err(dtype(name, found, "F32, F16 or BF16")),
        })
    }

    /// Numbers of a tensor of this shape, of any type that a scalar setting is kept in.
    pub(super) fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, SpikingError> {
        let view = self.shaped(name, shape)?;
        match view.dtype() {
            Dtype::I64 => {
                Ok(view.data().as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect())
            }
            Dtype::F64 => Ok(view.data().as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect()),
            _ => Ok(self.floats(name, shape)?.into_iter().map(f64::from).collect()),
        }
    }

    pub(super) fn integers(&self, name: &str, shape: &[usize]) -> Result<Vec<i32>, SpikingError> {
        let view = self.shaped(name, shape)?;
        match view.dtype() {
            Dtype::I32 => Ok(view.data().as_chunks().0.iter().map(|&b| i32::from_le_bytes(b)).collect()),
            found => Err(dtype(name, found, "I32")),
        }
    }

    /// Byte range in the file of an i8 tensor of this shape.
    pub(super) fn codes(&self, name: &str, shape: &[usize]) -> Result<Range<usize>, SpikingError> {
        let view = self.shaped(name, shape)?;
        if view.dtype() != Dtype::I8 {
            return Err(dtype(name, view.dtype(), "I8"));
        }
        let start = view.data().as_ptr() as usize - self.file.as_ptr() as usize;
        Ok(start..start + view.data().len())
    }

    fn shaped(&self, name: &str, shape: &[usize]) -> Result<TensorView<'a>, SpikingError> {
        let view = self.view(name)?;
        if view.shape() != shape {
            let (wanted, found) = (shape.to_vec(), view.shape().to_vec());
            return Err(SpikingError::Shape { name: name.into(), wanted, found });
        }
        Ok(view)
    }

    fn view(&self, name: &str) -> Result<TensorView<'a>, SpikingError> {
        self.tensors.tensor(name).map_err(|_| SpikingError::MissingTensor { name: name.into() })
    }
}

/// Checks the inputs and neurons of every layer: within limits, and each taking what the one before gives.
pub(super) fn check_sizes(layers: impl ExactSizeIterator<Item = (usize, usize)>) -> Result<(), SpikingError> {
    let size = |what: String, value: usize, limit: usize| match value {
        _ if (1..=limit).contains(&value) => Ok(()),
        _ => Err(SpikingError::Size { what, value, limit }),
    };
    size("the number of layers".into(), layers.len(), MAX_LAYERS)?;
    let mut before = None;
    for (layer, (inputs, outputs)) in layers.enumerate() {
        size(format!("inputs of layer {layer}"), inputs, MAX_NEURONS)?;
        size(format!("neurons of layer {layer}"), outputs, MAX_NEURONS)?;
        match before {
            Some(before) if before != inputs => {
                return Err(SpikingError::Chain { layer, inputs, outputs: before });
            }
            _ => before = Some(outputs),
        }
    }
    Ok(())
}

fn dtype(name: &str, found: Dtype, wanted: &'static str) -> SpikingError {
    SpikingError::Dtype { name: name.into(), found: format!("{found:?}"), wanted }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("strings and lists of numbers always have a JSON form")
}

/// Version of both formats.
pub(super) const VERSION: u32 = 1;

/// A cache line: mapped files and uploaded buffers then start aligned.
const ALIGN: usize = 64;
