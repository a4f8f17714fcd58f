//! The integer model file: one safetensors file with weights, tables, vocabulary and scales.

use std::{borrow::Cow, collections::BTreeMap, ops::Range, sync::Arc};

use plan::{
    EmbeddingWeight, GemmSection, GemmWeight, MAX_GROUPS, NormWeight, PANEL, Weight, WeightId, Weights,
};
use safetensors::{Dtype, SafeTensors};

use super::{
    BertConfig, IntModelError, bounds,
    scheme::{NORM_EXPONENT_MAX, NORM_EXPONENT_MIN, Q_EMBEDDING, SCALE_SHIFT_MAX},
};

/// The bytes of a model file, shared and perhaps memory-mapped.
pub type ModelBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// An integer BERT, ready to write plans. Large tables stay in the file's bytes.
pub struct IntBert {
    pub(super) config: BertConfig,
    pub(super) hidden_groups: [usize; MAX_GROUPS],
    pub(super) ffn_groups: [usize; MAX_GROUPS],
    bytes: ModelBytes,
    metadata: BTreeMap<String, String>,
    weights: Vec<Stored>,
    vocab: Range<usize>,
}

impl IntBert {
    /// Reads and checks a model file.
    ///
    /// # Errors
    /// Names the tensor or metadata entry at fault. A file that passes cannot overflow 32 bits in any stage.
    pub fn from_bytes(bytes: ModelBytes) -> Result<Self, IntModelError> {
        let file = (*bytes).as_ref();
        let (_, header) = SafeTensors::read_metadata(file)?;
        let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        let tensors = SafeTensors::deserialize(file)?;
        let reader = Reader { file, tensors, metadata: &metadata };
        let config = reader.config()?;
        let hidden_groups = reader.groups("hidden_groups", 4, config.hidden_size)?;
        let ffn_width =
            reader.json::<Vec<usize>>("ffn_groups")?.iter().fold(0usize, |a, &b| a.saturating_add(b));
        let ffn_groups = reader.groups("ffn_groups", PANEL, ffn_width)?;
        let shape = Shape { config: &config, hidden_groups, ffn_groups, ffn_width };
        let weights = reader.weights(&shape)?;
        let vocab = match reader.range("vocab", Dtype::U8, None) {
            Err(IntModelError::MissingTensor { .. }) => 0..0,
            range => range?,
        };
        let model =
            IntBert { config, hidden_groups, ffn_groups, metadata, weights, vocab, bytes: bytes.clone() };
        bounds::check(&model)?;
        Ok(model)
    }

    /// Shape of the encoder.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// The vocabulary, one token a line, as its tokenizer takes it; empty where the file has none.
    pub fn vocab(&self) -> &[u8] {
        &self.file()[self.vocab.clone()]
    }

    /// The file's metadata: shape, scales, source and golden digest.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    fn file(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    fn codes(&self, range: &Range<usize>) -> &[i8] {
        bytemuck::cast_slice(&self.file()[range.clone()])
    }
}

impl Weights for IntBert {
    fn len(&self) -> usize {
        self.weights.len()
    }

    fn get(&self, id: WeightId) -> Weight<'_> {
        match &self.weights[id.0] {
            Stored::Embedding { word, word_scale, position, position_shift } => {
                Weight::Embedding(EmbeddingWeight {
                    width: self.config.hidden_size,
                    word: self.codes(word),
                    word_scale: Cow::Borrowed(word_scale),
                    position: Cow::Borrowed(position),
                    position_shift: *position_shift,
                })
            }
            Stored::Norm { gain, exponent, bias } => Weight::Norm(NormWeight {
                gain: Cow::Borrowed(gain),
                exponent: *exponent,
                bias: Cow::Borrowed(bias),
            }),
            Stored::Gemm { k, groups, sections } => Weight::Gemm(GemmWeight {
                k: *k,
                groups: *groups,
                sections: sections.iter().map(|s| s.view(self)).collect(),
            }),
            Stored::Exp(table) => Weight::Exp(Cow::Borrowed(table)),
            Stored::Gelu(table) => Weight::Gelu(Cow::Borrowed(table)),
            Stored::Permutation(places) => Weight::Permutation(Cow::Borrowed(places)),
        }
    }
}

enum Stored {
    Embedding { word: Range<usize>, word_scale: Vec<u16>, position: Vec<i16>, position_shift: u32 },
    Norm { gain: Vec<i16>, exponent: u32, bias: Vec<i32> },
    Gemm { k: usize, groups: [usize; MAX_GROUPS], sections: Vec<Section> },
    Exp(Vec<u16>),
    Gelu(Vec<u8>),
    Permutation(Vec<u16>),
}

struct Section {
    q: Range<usize>,
    mc: Vec<u16>,
    bias: Vec<i32>,
    correction: Option<Vec<i32>>,
    accumulator_shift: u32,
    scale_shift: i32,
}

impl Section {
    fn view<'a>(&'a self, model: &'a IntBert) -> GemmSection<'a> {
        GemmSection {
            outputs: self.mc.len(),
            q: model.codes(&self.q),
            mc: Cow::Borrowed(&self.mc),
            bias: Cow::Borrowed(&self.bias),
            correction: self.correction.as_deref().map(Cow::Borrowed),
            accumulator_shift: self.accumulator_shift,
            scale_shift: self.scale_shift,
        }
    }
}

struct Shape<'a> {
    config: &'a BertConfig,
    hidden_groups: [usize; MAX_GROUPS],
    ffn_groups: [usize; MAX_GROUPS],
    ffn_width: usize,
}

/// What the matrices of one call share.
struct MatrixSpec {
    k: usize,
    groups: [usize; MAX_GROUPS],
    outputs: usize,
    corrected: bool,
}

struct Reader<'a> {
    file: &'a [u8],
    tensors: SafeTensors<'a>,
    metadata: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn config(&self) -> Result<BertConfig, IntModelError> {
        for (key, wanted) in [("format", "edge-net.int-bert"), ("numerics", "1")] {
            let found = self.entry(key)?;
            if found != wanted {
                return Err(IntModelError::Metadata { key: key.into(), value: found.into() });
            }
        }
        let config: BertConfig = self.json("config")?;
        config.validate()?;
        Ok(config)
    }

    fn weights(&self, shape: &Shape<'_>) -> Result<Vec<Stored>, IntModelError> {
        let (h, ffn) = (shape.config.hidden_size, shape.ffn_width);
        let mut weights = vec![
            self.embedding(shape.config)?,
            self.norm("ln0", h)?,
            Stored::Exp(self.values("exp2", Dtype::U16, &[256])?),
            Stored::Gelu(self.values("gelu", Dtype::U8, &[1280])?),
            Stored::Permutation(self.values("perm", Dtype::U16, &[h])?),
        ];
        let hidden = |outputs| MatrixSpec { k: h, groups: shape.hidden_groups, outputs, corrected: false };
        let context = MatrixSpec { groups: [h, 0, 0, 0], ..hidden(h) };
        let down = MatrixSpec { k: ffn, groups: shape.ffn_groups, outputs: h, corrected: true };
        for l in 0..shape.config.num_hidden_layers {
            let name = |part: &str| format!("layer.{l}.{part}");
            weights.push(self.gemm(&[name("query"), name("key"), name("value")], &hidden(h))?);
            weights.push(self.gemm(&[name("o")], &context)?);
            weights.push(self.norm(&name("ln1"), h)?);
            weights.push(self.gemm(&[name("up")], &hidden(ffn))?);
            weights.push(self.gemm(&[name("down")], &down)?);
            weights.push(self.norm(&name("ln2"), h)?);
        }
        Ok(weights)
    }

    fn embedding(&self, config: &BertConfig) -> Result<Stored, IntModelError> {
        let (h, vocab) = (config.hidden_size, config.vocab_size);
        let position_e = self.number("pos_e", 5..=Q_EMBEDDING)?;
        Ok(Stored::Embedding {
            word: self.range("word", Dtype::I8, Some(&[vocab, h]))?,
            word_scale: self.values("word_s", Dtype::U16, &[vocab])?,
            position: self.values("pos", Dtype::I16, &[config.max_tokens, h])?,
            position_shift: (Q_EMBEDDING - position_e) as u32,
        })
    }

    fn norm(&self, name: &str, width: usize) -> Result<Stored, IntModelError> {
        Ok(Stored::Norm {
            gain: self.values(&format!("{name}.g"), Dtype::I16, &[width])?,
            exponent: self.number(&format!("{name}.e"), NORM_EXPONENT_MIN..=NORM_EXPONENT_MAX)? as u32,
            bias: self.values(&format!("{name}.b"), Dtype::I32, &[width])?,
        })
    }

    fn gemm(&self, names: &[String], spec: &MatrixSpec) -> Result<Stored, IntModelError> {
        let sections = names.iter().map(|n| self.section(n, spec)).collect::<Result<_, _>>()?;
        Ok(Stored::Gemm { k: spec.k, groups: spec.groups, sections })
    }

    fn section(&self, name: &str, spec: &MatrixSpec) -> Result<Section, IntModelError> {
        let part = |suffix: &str| format!("{name}.{suffix}");
        let (k, n) = (spec.k, spec.outputs);
        let groups = spec.groups.iter().filter(|&&g| g > 0).count();
        let correction = match spec.corrected {
            true => Some(self.values(&part("corr"), Dtype::I32, &[groups, n])?),
            false => None,
        };
        Ok(Section {
            q: self.range(&part("q"), Dtype::I8, Some(&[n, k]))?,
            mc: self.values(&part("mc"), Dtype::U16, &[n])?,
            bias: self.values(&part("b"), Dtype::I32, &[n])?,
            correction,
            accumulator_shift: self.number(&part("t"), 0..=30)? as u32,
            scale_shift: self.number(&part("S"), 0..=SCALE_SHIFT_MAX)?,
        })
    }

    fn groups(&self, key: &str, multiple: usize, width: usize) -> Result<[usize; MAX_GROUPS], IntModelError> {
        let list: Vec<usize> = self.json(key)?;
        let fits = list.iter().all(|&g| g > 0 && g % multiple == 0)
            && (1..=MAX_GROUPS).contains(&list.len())
            && list.iter().fold(0usize, |a, &g| a.saturating_add(g)) == width
            && width <= MAX_FFN_WIDTH;
        if !fits {
            return Err(IntModelError::Metadata { key: key.into(), value: self.entry(key)?.into() });
        }
        let mut groups = [0; MAX_GROUPS];
        groups[..list.len()].copy_from_slice(&list);
        Ok(groups)
    }

    fn entry(&self, key: &str) -> Result<&str, IntModelError> {
        let missing = || IntModelError::MissingMetadata { key: key.into() };
        self.metadata.get(key).map(String::as_str).ok_or_else(missing)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<T, IntModelError> {
        let value = self.entry(key)?;
        serde_json::from_str(value)
            .map_err(|_| IntModelError::Metadata { key: key.into(), value: value.into() })
    }

    fn number(&self, key: &str, allowed: std::ops::RangeInclusive<i32>) -> Result<i32, IntModelError> {
        let text = self.entry(key)?;
        match text.parse() {
            Ok(n) if allowed.contains(&n) => Ok(n),
            _ => Err(IntModelError::Metadata { key: key.into(), value: text.into() }),
        }
    }

    /// Byte range of a tensor inside the file; `None` admits any one-dimensional length.
    fn range(
        &self,
        name: &str,
        dtype: Dtype,
        shape: Option<&[usize]>,
    ) -> Result<Range<usize>, IntModelError> {
        let missing = |_| IntModelError::MissingTensor { name: name.into() };
        let tensor = self.tensors.tensor(name).map_err(missing)?;
        if tensor.dtype() != dtype {
            return Err(IntModelError::Dtype { name: name.into(), found: format!("{:?}", tensor.dtype()) });
        }
        if !shape.map_or(tensor.shape().len() == 1, |s| tensor.shape() == s) {
            let (wanted, found) = (shape.unwrap_or(&[0]).to_vec(), tensor.shape().to_vec());
            return Err(IntModelError::Shape { name: name.into(), wanted, found });
        }
        let start = tensor.data().as_ptr() as usize - self.file.as_ptr() as usize;
        Ok(start..start + tensor.data().len())
    }

    fn values<T: bytemuck::AnyBitPattern>(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<Vec<T>, IntModelError> {
        let range = self.range(name, dtype, Some(shape))?;
        Ok(self.file[range].chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect())
    }
}

const MAX_FFN_WIDTH: usize = 16384;
