//! The integer model file: one safetensors file with weights, tables, vocabulary and scales.

use std::{borrow::Cow, collections::BTreeMap, ops::Range, sync::Arc};

use plan::{
    EmbeddingWeight, GemmSection, GemmWeight, MAX_GROUPS, NormWeight, PANEL, Weight, WeightId, Weights,
};
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

use super::{BertConfig, ConfigError};

/// The bytes of a model file, shared and perhaps memory-mapped.
pub type ModelBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Why a file is not an integer model.
#[derive(Debug, Error)]
pub enum FileError {
    /// Not safetensors, or damaged.
    #[error("not a safetensors file: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// A metadata entry is missing or malformed.
    #[error("model metadata \"{key}\": {problem}")]
    Metadata {
        /// The entry.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The shape is outside what the integer scheme carries.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor is missing.
    #[error("model tensor \"{0}\" is missing")]
    Missing(String),
    /// A tensor has another type or shape.
    #[error("model tensor \"{name}\" is {found}, must be {wanted}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its type and shape.
        found: String,
        /// What the config asks for.
        wanted: String,
    },
    /// A value breaks a bound that the arithmetic rests on.
    #[error("model tensor \"{name}\": {problem}")]
    Bound {
        /// The tensor.
        name: String,
        /// Which bound, and by what.
        problem: String,
    },
}

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
    pub fn from_bytes(bytes: ModelBytes) -> Result<Self, FileError> {
        let file = (*bytes).as_ref();
        let (_, header) = SafeTensors::read_metadata(file)?;
        let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        let tensors = SafeTensors::deserialize(file)?;
        let reader = Reader { file, tensors, metadata: &metadata };
        let config = reader.config()?;
        let hidden_groups = reader.groups("hidden_groups", config.hidden_size)?;
        let ffn_width =
            reader.json::<Vec<usize>>("ffn_groups")?.iter().fold(0usize, |a, &b| a.saturating_add(b));
        let ffn_groups = reader.groups("ffn_groups", ffn_width)?;
        let shape = Shape { config: &config, hidden_groups, ffn_groups, ffn_width };
        let weights = reader.weights(&shape)?;
        let vocab = reader.range("vocab", Dtype::U8, None)?;
        Ok(IntBert { config, hidden_groups, ffn_groups, metadata, weights, vocab, bytes: bytes.clone() })
    }

    /// Shape of the encoder.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// The vocabulary, one token a line, as its tokenizer takes it.
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

/// Where each weight lies in [`IntBert`]'s list.
pub(super) mod ids {
    use plan::WeightId;

    pub(crate) const EMBEDDING: WeightId = WeightId(0);
    pub(crate) const NORM_IN: WeightId = WeightId(1);
    pub(crate) const EXP: WeightId = WeightId(2);
    pub(crate) const GELU: WeightId = WeightId(3);
    pub(crate) const PERMUTATION: WeightId = WeightId(4);
    const FIRST_LAYER: usize = 5;

    /// The weights of one layer, in the order of a forward pass.
    #[derive(Clone, Copy)]
    pub(crate) enum Of {
        Qkv,
        AttentionOut,
        NormAttention,
        Up,
        Down,
        NormOut,
    }

    pub(crate) fn layer(layer: usize, of: Of) -> WeightId {
        WeightId(FIRST_LAYER + 6 * layer + of as usize)
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
    /// Largest code magnitude times largest exponent factor of the input.
    input_max: i64,
    corrected: bool,
}

struct Reader<'a> {
    file: &'a [u8],
    tensors: SafeTensors<'a>,
    metadata: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn config(&self) -> Result<BertConfig, FileError> {
        for (key, wanted) in [("format", "edge-net.int-bert"), ("numerics", "1")] {
            let found = self.entry(key)?;
            if found != wanted {
                let problem = format!("is \"{found}\", must be \"{wanted}\"");
                return Err(FileError::Metadata { key: key.into(), problem });
            }
        }
        let config: BertConfig = self.json("config")?;
        config.validate()?;
        Ok(config)
    }

    fn weights(&self, shape: &Shape<'_>) -> Result<Vec<Stored>, FileError> {
        let (h, ffn) = (shape.config.hidden_size, shape.ffn_width);
        let mut weights = vec![
            self.embedding(shape.config)?,
            self.norm("ln0", h)?,
            Stored::Exp(self.exp(shape.config)?),
            Stored::Gelu(self.values("gelu", Dtype::U8, &[1280])?),
            Stored::Permutation(self.permutation(h)?),
        ];
        let hidden = |outputs| MatrixSpec {
            k: h,
            groups: shape.hidden_groups,
            outputs,
            input_max: 127 << HIDDEN_EXPONENT_MAX,
            corrected: false,
        };
        let context = MatrixSpec { groups: [h, 0, 0, 0], input_max: 127, ..hidden(h) };
        let down = MatrixSpec {
            k: ffn,
            groups: shape.ffn_groups,
            outputs: h,
            input_max: 254 << FFN_EXPONENT_MAX,
            corrected: true,
        };
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

    fn embedding(&self, config: &BertConfig) -> Result<Stored, FileError> {
        let (h, vocab) = (config.hidden_size, config.vocab_size);
        let position_e = self.number("pos_e", 4..=20)?;
        Ok(Stored::Embedding {
            word: self.range("word", Dtype::I8, Some(&[vocab, h]))?,
            word_scale: self.values("word_s", Dtype::U16, &[vocab])?,
            position: self.values("pos", Dtype::I16, &[config.max_tokens, h])?,
            position_shift: (20 - position_e) as u32,
        })
    }

    fn norm(&self, name: &str, width: usize) -> Result<Stored, FileError> {
        let bias_name = format!("{name}.b");
        let bias: Vec<i32> = self.values(&bias_name, Dtype::I32, &[width])?;
        if let Some(b) = bias.iter().find(|b| b.unsigned_abs() > 1 << 24) {
            return Err(FileError::Bound { name: bias_name, problem: format!("{b} exceeds 2^24") });
        }
        Ok(Stored::Norm {
            gain: self.values(&format!("{name}.g"), Dtype::I16, &[width])?,
            exponent: self.number(&format!("{name}.e"), 3..=20)? as u32,
            bias,
        })
    }

    fn exp(&self, config: &BertConfig) -> Result<Vec<u16>, FileError> {
        let table: Vec<u16> = self.values("exp2", Dtype::U16, &[256])?;
        let top = u64::from(config.probability_levels()) * 16;
        match table.iter().find(|&&p| u64::from(p) > top || p < 16) {
            Some(p) => {
                Err(FileError::Bound { name: "exp2".into(), problem: format!("{p} is outside 16..={top}") })
            }
            None => Ok(table),
        }
    }

    fn permutation(&self, width: usize) -> Result<Vec<u16>, FileError> {
        let places: Vec<u16> = self.values("perm", Dtype::U16, &[width])?;
        let mut sorted = places.clone();
        sorted.sort_unstable();
        if sorted.iter().enumerate().any(|(i, &p)| i != usize::from(p)) {
            let problem = format!("is not a permutation of 0..{width}");
            return Err(FileError::Bound { name: "perm".into(), problem });
        }
        Ok(places)
    }

    fn gemm(&self, names: &[String], spec: &MatrixSpec) -> Result<Stored, FileError> {
        let sections = names.iter().map(|n| self.section(n, spec)).collect::<Result<_, _>>()?;
        Ok(Stored::Gemm { k: spec.k, groups: spec.groups, sections })
    }

    fn section(&self, name: &str, spec: &MatrixSpec) -> Result<Section, FileError> {
        let part = |suffix: &str| format!("{name}.{suffix}");
        let (k, n) = (spec.k, spec.outputs);
        if n % PANEL != 0 {
            let problem = format!("has {n} outputs, not a multiple of {PANEL}");
            return Err(FileError::Bound { name: name.into(), problem });
        }
        let q = self.range(&part("q"), Dtype::I8, Some(&[n, k]))?;
        let shift = self.number(&part("t"), 0..=30)?;
        check_rows(&part("q"), bytemuck::cast_slice(&self.file[q.clone()]), k, spec.input_max << shift)?;
        let groups = spec.groups.iter().filter(|&&g| g > 0).count();
        let correction = match spec.corrected {
            true => Some(self.values(&part("corr"), Dtype::I32, &[groups, n])?),
            false => None,
        };
        let bias: Vec<i32> = self.values(&part("b"), Dtype::I32, &[n])?;
        if let Some(b) = bias.iter().find(|b| b.unsigned_abs() > 1 << 28) {
            return Err(FileError::Bound { name: part("b"), problem: format!("{b} exceeds 2^28") });
        }
        let section = Section {
            mc: self.values(&part("mc"), Dtype::U16, &[n])?,
            bias,
            correction,
            accumulator_shift: shift as u32,
            scale_shift: self.number(&part("S"), -30..=60)? as i32,
            q,
        };
        section.check_correction(&part("corr"), self.file, spec)?;
        Ok(section)
    }

    fn groups(&self, key: &str, width: usize) -> Result<[usize; MAX_GROUPS], FileError> {
        let list: Vec<usize> = self.json(key)?;
        let fits = list.iter().all(|&g| g > 0 && g % 4 == 0)
            && (1..=MAX_GROUPS).contains(&list.len())
            && list.iter().fold(0usize, |a, &g| a.saturating_add(g)) == width
            && width <= MAX_FFN_WIDTH;
        if !fits {
            let problem = format!("{list:?} is not 1 to {MAX_GROUPS} multiples of 4 that add up to {width}");
            return Err(FileError::Metadata { key: key.into(), problem });
        }
        let mut groups = [0; MAX_GROUPS];
        groups[..list.len()].copy_from_slice(&list);
        Ok(groups)
    }

    fn entry(&self, key: &str) -> Result<&str, FileError> {
        let missing = || FileError::Metadata { key: key.into(), problem: "is missing".into() };
        self.metadata.get(key).map(String::as_str).ok_or_else(missing)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<T, FileError> {
        let bad = |e: serde_json::Error| FileError::Metadata { key: key.into(), problem: e.to_string() };
        serde_json::from_str(self.entry(key)?).map_err(bad)
    }

    fn number(&self, key: &str, allowed: std::ops::RangeInclusive<i64>) -> Result<i64, FileError> {
        let text = self.entry(key)?;
        match text.parse() {
            Ok(n) if allowed.contains(&n) => Ok(n),
            _ => {
                let problem = format!("is \"{text}\", must be a number in {allowed:?}");
                Err(FileError::Metadata { key: key.into(), problem })
            }
        }
    }

    /// Byte range of a tensor inside the file; `None` admits any one-dimensional length.
    fn range(&self, name: &str, dtype: Dtype, shape: Option<&[usize]>) -> Result<Range<usize>, FileError> {
        let tensor = self.tensors.tensor(name).map_err(|_| FileError::Missing(name.into()))?;
        let fits = shape.map_or(tensor.shape().len() == 1, |s| tensor.shape() == s);
        if tensor.dtype() != dtype || !fits {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            let wanted = shape.map_or_else(|| format!("{dtype:?} [bytes]"), |s| format!("{dtype:?} {s:?}"));
            return Err(FileError::Shape { name: name.into(), found, wanted });
        }
        let start = tensor.data().as_ptr() as usize - self.file.as_ptr() as usize;
        Ok(start..start + tensor.data().len())
    }

    fn values<T: bytemuck::AnyBitPattern>(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<Vec<T>, FileError> {
        let range = self.range(name, dtype, Some(shape))?;
        Ok(self.file[range].chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect())
    }
}

impl Section {
    /// The correction of a group is 127 times its row sum: anything else would break the accumulator bound.
    fn check_correction(&self, name: &str, file: &[u8], spec: &MatrixSpec) -> Result<(), FileError> {
        let Some(correction) = &self.correction else { return Ok(()) };
        let q: &[i8] = bytemuck::cast_slice(&file[self.q.clone()]);
        for (o, row) in q.chunks_exact(spec.k).enumerate() {
            let mut start = 0;
            for (g, &width) in spec.groups.iter().take_while(|&&w| w > 0).enumerate() {
                let sum: i32 = row[start..start + width].iter().map(|&q| i32::from(q)).sum();
                start += width;
                if correction[g * spec.outputs + o] != 127 * sum {
                    let problem = format!("group {g}, output {o} is not 127 times its row sum");
                    return Err(FileError::Bound { name: name.into(), problem });
                }
            }
        }
        Ok(())
    }
}

/// Accumulators stay within 2^30: the largest row L1 norm times the largest shifted code.
fn check_rows(name: &str, q: &[i8], k: usize, input_max: i64) -> Result<(), FileError> {
    for (o, row) in q.chunks_exact(k).enumerate() {
        let l1: i32 = row.iter().map(|&q| i32::from(q).abs()).sum();
        if row.contains(&-128) || i64::from(l1).saturating_mul(input_max) > 1 << 30 {
            let problem = format!("row {o} with absolute sum {l1} can leave +-127 codes or 2^30");
            return Err(FileError::Bound { name: name.into(), problem });
        }
    }
    Ok(())
}

/// Largest group exponent of hidden vectors and of feed-forward activations.
pub(super) const HIDDEN_EXPONENT_MAX: u32 = 6;
pub(super) const FFN_EXPONENT_MAX: u32 = 5;
const MAX_FFN_WIDTH: usize = 16384;
