//! The float model as published: f32 safetensors, borrowed and checked against the config.

use std::borrow::Cow;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::error::FloatModelError;
use crate::bert::{BertConfig, Pooling};

/// Weights of a BERT encoder. Borrowed where the file holds aligned f32, copied (exactly) otherwise.
pub struct FloatBert<'a> {
    pub(super) config: BertConfig,
    pub(super) bytes: &'a [u8],
    /// `[vocab_size, hidden]`
    pub(super) word: Weights<'a>,
    /// `[at least max_tokens, hidden]`
    pub(super) position: Weights<'a>,
    /// `[types, hidden]`; only row 0 is used
    pub(super) token_type: Weights<'a>,
    pub(super) norm: Norm<'a>,
    pub(super) layers: Vec<Layer<'a>>,
}

pub(super) type Weights<'a> = Cow<'a, [f32]>;

/// Gain and offset of a LayerNorm, each `[hidden]`.
pub(super) struct Norm<'a> {
    pub(super) gamma: Weights<'a>,
    pub(super) beta: Weights<'a>,
}

/// `y = weight x + bias` with weight `[out, in]`.
pub(super) struct Linear<'a> {
    pub(super) weight: Weights<'a>,
    pub(super) bias: Weights<'a>,
}

pub(super) struct Layer<'a> {
    pub(super) query: Linear<'a>,
    pub(super) key: Linear<'a>,
    pub(super) value: Linear<'a>,
    pub(super) output: Linear<'a>,
    pub(super) norm1: Norm<'a>,
    pub(super) up: Linear<'a>,
    pub(super) down: Linear<'a>,
    pub(super) norm2: Norm<'a>,
}

impl<'a> FloatBert<'a> {
    /// Reads the weights of an encoder of this shape. Names may carry the prefix `bert.`; f16 and bf16 are widened.
    /// Every value must be finite.
    pub fn from_safetensors(bytes: &'a [u8], config: &BertConfig) -> Result<Self, FloatModelError> {
        config.validate()?;
        let file = SafeTensors::deserialize(bytes)?;
        let reader = Reader { file, hidden: config.hidden_size };
        let (h, f) = (config.hidden_size, config.intermediate_size);
        let word = reader.read("embeddings.word_embeddings.weight", &[config.vocab_size, h])?;
        let position = reader.table("embeddings.position_embeddings.weight", config.max_tokens)?;
        let token_type = reader.table("embeddings.token_type_embeddings.weight", 1)?;
        let norm = reader.norm("embeddings.LayerNorm")?;
        let layer = |n: usize| {
            let linear =
                |name: &str, out, width| reader.linear(&format!("encoder.layer.{n}.{name}"), out, width);
            let norm = |name: &str| reader.norm(&format!("encoder.layer.{n}.{name}"));
            Ok(Layer {
                query: linear("attention.self.query", h, h)?,
                key: linear("attention.self.key", h, h)?,
                value: linear("attention.self.value", h, h)?,
                output: linear("attention.output.dense", h, h)?,
                norm1: norm("attention.output.LayerNorm")?,
                up: linear("intermediate.dense", f, h)?,
                down: linear("output.dense", h, f)?,
                norm2: norm("output.LayerNorm")?,
            })
        };
        let layers = (0..config.num_hidden_layers).map(layer).collect::<Result<_, FloatModelError>>()?;
        Ok(Self { config: config.clone(), bytes, word, position, token_type, norm, layers })
    }

    /// The shape the weights were checked against.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }
}

/// The encoder's shape from its published `config.json`.
///
/// `max_tokens` and `pooling` are the sentence encoder's choice and stand in other files. Unknown keys are
/// ignored; a model type, activation or position embedding that the integer scheme does not carry is an error.
pub fn config_from_json(
    json: &[u8],
    max_tokens: usize,
    pooling: Pooling,
) -> Result<BertConfig, FloatModelError> {
    let raw: RawConfig =
        serde_json::from_slice(json).map_err(|e| FloatModelError::ConfigJson(e.to_string()))?;
    let must = |field: &str, found: &str, wanted: &str| {
        if found == wanted {
            return Ok(());
        }
        Err(FloatModelError::ConfigJson(format!("{field} is {found:?}, only {wanted:?} is supported")))
    };
    must("model_type", &raw.model_type, "bert")?;
    must("hidden_act", &raw.hidden_act, "gelu")?;
    must(
        "position_embedding_type",
        raw.position_embedding_type.as_deref().unwrap_or("absolute"),
        "absolute",
    )?;
    if max_tokens > raw.max_position_embeddings {
        let limit = raw.max_position_embeddings;
        let text = format!("max_tokens {max_tokens} is above max_position_embeddings {limit}");
        return Err(FloatModelError::ConfigJson(text));
    }
    let config = BertConfig {
        vocab_size: raw.vocab_size,
        hidden_size: raw.hidden_size,
        num_hidden_layers: raw.num_hidden_layers,
        num_attention_heads: raw.num_attention_heads,
        intermediate_size: raw.intermediate_size,
        max_tokens,
        pooling,
    };
    config.validate()?;
    Ok(config)
}

#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    hidden_act: String,
    position_embedding_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
}

struct Reader<'a> {
    file: SafeTensors<'a>,
    hidden: usize,
}

impl<'a> Reader<'a> {
    fn linear(&self, name: &str, out: usize, width: usize) -> Result<Linear<'a>, FloatModelError> {
        let weight = self.read(&format!("{name}.weight"), &[out, width])?;
        Ok(Linear { weight, bias: self.read(&format!("{name}.bias"), &[out])? })
    }

    fn norm(&self, name: &str) -> Result<Norm<'a>, FloatModelError> {
        let gamma = self.read(&format!("{name}.weight"), &[self.hidden])?;
        Ok(Norm { gamma, beta: self.read(&format!("{name}.bias"), &[self.hidden])? })
    }

    /// A table of `rows` rows; the file may hold more.
    fn table(&self, name: &str, rows: usize) -> Result<Weights<'a>, FloatModelError> {
        let found = self.find(name)?.shape().first().copied().unwrap_or(0);
        self.read(name, &[rows.max(found), self.hidden])
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Weights<'a>, FloatModelError> {
        let view = self.find(name)?;
        if view.shape() != shape {
            let (wanted, found) = (shape.to_vec(), view.shape().to_vec());
            return Err(FloatModelError::Shape { name: name.into(), wanted, found });
        }
        let data = view.data();
        let halves = || data.as_chunks().0.iter().map(|&b| u16::from_le_bytes(b));
        let values: Weights<'a> = match view.dtype() {
            Dtype::F32 => match bytemuck::try_cast_slice(data) {
                Ok(aligned) if cfg!(target_endian = "little") => Cow::Borrowed(aligned),
                _ => data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            },
            Dtype::BF16 => halves().map(|h| f32::from_bits(u32::from(h) << 16)).collect(),
            Dtype::F16 => halves().map(f16_to_f32).collect(),
            other => return Err(FloatModelError::Dtype { name: name.into(), found: format!("{other:?}") }),
        };
        match values.iter().position(|v| !v.is_finite()) {
            Some(index) => Err(FloatModelError::NotFinite { name: name.into(), index }),
            None => Ok(values),
        }
    }

    fn find(&self, name: &str) -> Result<safetensors::tensor::TensorView<'a>, FloatModelError> {
        let named = self.file.tensor(name).or_else(|_| self.file.tensor(&format!("bert.{name}")));
        named.map_err(|_| FloatModelError::MissingTensor { name: name.into() })
    }
}

/// IEEE 754 binary16 to binary32, exact.
pub(crate) fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let (exponent, fraction) = (u32::from(half >> 10) & 31, u32::from(half) & 1023);
    match exponent {
        // Subnormal: fraction * 2^-24; a 10-bit integer and a power of two multiply exactly.
        0 => f32::from_bits((fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits() | sign),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_widen_exactly() {
        let cases =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 2f32.powi(-24)), (0x83ff, -1023.0 * 2f32.powi(-24))];
        for (half, value) in cases.into_iter().chain([(0x7bff, 65504.0), (0x3555, 0.333_251_95)]) {
            assert_eq!(f16_to_f32(half), value, "{half:#06x}");
        }
        assert_eq!(f16_to_f32(0x7c00), f32::INFINITY);
        assert!(f16_to_f32(0x8000).is_sign_negative());
    }

    #[test]
    fn config_json_refuses_what_the_scheme_lacks() {
        let json = |act: &str| {
            format!(
                r#"{{"model_type":"bert","hidden_act":"{act}","vocab_size":100,"hidden_size":64,"extra":1,
                "num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":128,"max_position_embeddings":128}}"#
            )
        };
        let read = |json: String, tokens| config_from_json(json.as_bytes(), tokens, Pooling::Cls);
        assert_eq!(read(json("gelu"), 128).unwrap().hidden_size, 64);
        assert!(matches!(read(json("relu"), 128), Err(FloatModelError::ConfigJson(_))));
        assert!(matches!(read(json("gelu"), 129), Err(FloatModelError::ConfigJson(_))));
        assert!(matches!(read(json("gelu"), 1), Err(FloatModelError::Config(_))));
    }
}
