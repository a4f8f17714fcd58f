//! Weights as a model hands them to an engine: canonical row-major integers, borrowed from its file.

use std::borrow::Cow;

use crate::{BitVectors, FloatVectors, LifWeight, MAX_GROUPS, Vectors, WeightId};

/// Source of a model's weights. Ids are dense: `0..len`.
pub trait Weights: Send + Sync {
    /// Number of weights.
    fn len(&self) -> usize;
    /// The weight `id` names.
    ///
    /// # Panics
    /// If `id` is not below [`Weights::len`]: a bug of the plan's writer.
    fn get(&self, id: WeightId) -> Weight<'_>;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One weight of a model.
#[derive(Clone, Debug)]
pub enum Weight<'a> {
    /// Word and position tables.
    Embedding(EmbeddingWeight<'a>),
    /// Gain and bias of a LayerNorm.
    Norm(NormWeight<'a>),
    /// One or more matrices that share their input.
    Gemm(GemmWeight<'a>),
    /// `[256]`: `round(levels * 16 * 2^(-(i + 0.5) / 256))`.
    Exp(Cow<'a, [u16]>),
    /// `[1280]`: `round(1024 a Phi(-a))`, `a = (4 i + 2) / 1024`.
    Gelu(Cow<'a, [u8]>),
    /// `[width]`: where each internal channel belongs in the model's own order.
    Permutation(Cow<'a, [u16]>),
    /// A table of i8 codes.
    Vectors(Vectors<'a>),
    /// A table of floats.
    FloatVectors(FloatVectors<'a>),
    /// A table of bits.
    BitVectors(BitVectors<'a>),
    /// A layer of spiking neurons.
    Lif(LifWeight<'a>),
}

/// Word and position tables, i8 rows with a u16 step and i16 rows with one shift.
#[derive(Clone, Debug)]
pub struct EmbeddingWeight<'a> {
    /// Columns.
    pub width: usize,
    /// `[vocab][width]`.
    pub word: &'a [i8],
    /// `[vocab]`: step of a word row in Q20.
    pub word_scale: Cow<'a, [u16]>,
    /// `[positions][width]`.
    pub position: Cow<'a, [i16]>,
    /// Left shift that brings a position to Q20.
    pub position_shift: u32,
}

/// Gain and bias of a LayerNorm.
#[derive(Clone, Debug)]
pub struct NormWeight<'a> {
    /// `[width]`: `gamma * sqrt(width) * 2^exponent`.
    pub gain: Cow<'a, [i16]>,
    /// Fractional bits of the gain, at least 3.
    pub exponent: u32,
    /// `[width]`, Q12.
    pub bias: Cow<'a, [i32]>,
}

/// Matrices over the same input whose outputs lie side by side.
#[derive(Clone, Debug)]
pub struct GemmWeight<'a> {
    /// Input columns, the sum of the groups.
    pub k: usize,
    /// Input columns of each group, each a multiple of 4; unused groups are 0.
    pub groups: [usize; MAX_GROUPS],
    /// Output columns of all sections: one after another.
    pub sections: Vec<GemmSection<'a>>,
}

impl GemmWeight<'_> {
    /// Output columns of all sections together.
    pub fn outputs(&self) -> usize {
        self.sections.iter().map(|s| s.outputs).sum()
    }
}

/// One matrix with its scaling.
#[derive(Clone, Debug)]
pub struct GemmSection<'a> {
    /// Output columns, a multiple of 16.
    pub outputs: usize,
    /// `[outputs][k]`, each within +-127.
    pub q: &'a [i8],
    /// `[outputs]`: step mantissas.
    pub mc: Cow<'a, [u16]>,
    /// `[outputs]`: added after scaling, in the output's fixed point.
    pub bias: Cow<'a, [i32]>,
    /// `[groups][outputs]`: added to each group's dot product (what [`crate::Signal::Offset`] codes lack).
    pub correction: Option<Cow<'a, [i32]>>,
    /// Left shift of every group's dot product, on top of the row's exponents.
    pub accumulator_shift: u32,
    /// `S` of the scheme: right shift after scaling is `S - log2` of the row's scale (left where below 1).
    pub scale_shift: i32,
}
