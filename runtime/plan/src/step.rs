//! The stages a plan is made of. One stem per stage, everywhere: the WGSL file, the CPU kernel, the oracle
//! function and the twin test all carry the name [`Stage::stem`] gives.
//!
//! Shapes are `[rows][columns]`, row-major. `tokens` is the number of rows of a varlen batch: all
//! sequences one after another, without padding. No step writes a buffer it reads. Arithmetic is defined by the
//! oracle in `kernels-cpu`.

use crate::{Encode, Lif, Scan, TopK};

/// Index into [`crate::Plan::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// Index of a weight of the model, as [`crate::Weights::get`] takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub usize);

/// The kinds of step, without their parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Word and position rows summed.
    Embed,
    /// Layer normalisation, with an optional residual.
    LayerNorm,
    /// Fixed point to i8 codes with per-row, per-group scales.
    Quantise,
    /// i8 matrix product with a fused epilogue.
    Gemm,
    /// Softmax attention within each sequence.
    Attention,
    /// Token vectors to one L2-normalised sentence vector.
    Pool,
    /// f32 vectors to i8 codes.
    Encode,
    /// The best rows of a table of i8 codes.
    Distance,
    /// The best rows of a table of floats, within a tolerance.
    DistanceF32,
    /// The best rows of a table of bits.
    Hamming,
    /// Sorted lists merged.
    TopK,
    /// A layer of spiking neurons over all time steps.
    Lif,
}

impl Stage {
    /// Every stage: a forward pass of BERT, vector search, spiking networks.
    pub const ALL: [Stage; 12] = [
        Stage::Embed,
        Stage::LayerNorm,
        Stage::Quantise,
        Stage::Gemm,
        Stage::Attention,
        Stage::Pool,
        Stage::Encode,
        Stage::Distance,
        Stage::DistanceF32,
        Stage::Hamming,
        Stage::TopK,
        Stage::Lif,
    ];

    /// The family of kernels it belongs to, which its folder is named by.
    pub fn family(self) -> &'static str {
        match self {
            Stage::Embed
            | Stage::LayerNorm
            | Stage::Quantise
            | Stage::Gemm
            | Stage::Attention
            | Stage::Pool => "bert",
            Stage::Encode | Stage::Distance | Stage::DistanceF32 | Stage::Hamming | Stage::TopK => "search",
            Stage::Lif => "spiking",
        }
    }

    /// The stem its files and tests are named by.
    pub fn stem(self) -> &'static str {
        match self {
            Stage::Embed => "embed",
            Stage::LayerNorm => "layernorm",
            Stage::Quantise => "quantise",
            Stage::Gemm => "gemm",
            Stage::Attention => "attention",
            Stage::Pool => "pool",
            Stage::Encode => "encode",
            Stage::Distance => "distance",
            Stage::DistanceF32 => "distance_f32",
            Stage::Hamming => "hamming",
            Stage::TopK => "topk",
            Stage::Lif => "lif",
        }
    }
}

/// One stage with its buffers, weights and parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// See [`Embed`].
    Embed(Embed),
    /// See [`LayerNorm`].
    LayerNorm(LayerNorm),
    /// See [`Quantise`].
    Quantise(Quantise),
    /// See [`Gemm`].
    Gemm(Gemm),
    /// See [`Attention`].
    Attention(Attention),
    /// See [`Pool`].
    Pool(Pool),
    /// See [`crate::Encode`].
    Encode(Encode),
    /// See [`crate::Scan`]; the table is [`crate::Weight::Vectors`].
    Distance(Scan),
    /// See [`crate::Scan`]; the table is [`crate::Weight::FloatVectors`].
    DistanceF32(Scan),
    /// See [`crate::Scan`]; the table is [`crate::Weight::BitVectors`].
    Hamming(Scan),
    /// See [`crate::TopK`].
    TopK(TopK),
    /// See [`crate::Lif`].
    Lif(Lif),
}

impl Step {
    /// The kind of this step.
    pub fn stage(&self) -> Stage {
        match self {
            Step::Embed(_) => Stage::Embed,
            Step::LayerNorm(_) => Stage::LayerNorm,
            Step::Quantise(_) => Stage::Quantise,
            Step::Gemm(_) => Stage::Gemm,
            Step::Attention(_) => Stage::Attention,
            Step::Pool(_) => Stage::Pool,
            Step::Encode(_) => Stage::Encode,
            Step::Distance(_) => Stage::Distance,
            Step::DistanceF32(_) => Stage::DistanceF32,
            Step::Hamming(_) => Stage::Hamming,
            Step::TopK(_) => Stage::TopK,
            Step::Lif(_) => Stage::Lif,
        }
    }
}

/// `out[t][c] = word[ids[t]][c] * word_scale[ids[t]] + (position[t - first][c] << position_shift)`, i32 Q20.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Embed {
    /// Rows of the batch.
    pub tokens: usize,
    /// Columns.
    pub width: usize,
    /// u32 `[tokens]`: row of the word table, already checked against its height.
    pub ids: BufferId,
    /// u32 `[tokens][2]`: first row and length of the sequence a row belongs to.
    pub spans: BufferId,
    /// A [`crate::Weight::Embedding`].
    pub table: WeightId,
    /// i32 `[tokens][width]`, Q20.
    pub out: BufferId,
}

/// `out = norm(input + residual)`, i32 Q12 out of any fixed point in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// Rows of the batch.
    pub tokens: usize,
    /// Columns.
    pub width: usize,
    /// i32 `[tokens][width]`.
    pub input: BufferId,
    /// i32 `[tokens][width]`, in the fixed point of `input`.
    pub residual: Option<BufferId>,
    /// A [`crate::Weight::Norm`].
    pub norm: WeightId,
    /// i32 `[tokens][width]`, Q12.
    pub out: BufferId,
}

/// What a [`Quantise`] reads and how codes stand for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// i32 `[tokens][width]` of either sign; codes are -127..=127.
    Signed,
    /// u16 pairs `[tokens][width / 2]`, never negative; code `c` stands for level `c + 127` of 254.
    Offset,
}

/// Per-row, per-group dynamic quantisation to i8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantise {
    /// Rows of the batch.
    pub tokens: usize,
    /// Columns.
    pub width: usize,
    /// Format of `input` and meaning of the codes.
    pub signal: Signal,
    /// The values to quantise.
    pub input: BufferId,
    /// Columns of each group, each a multiple of 4, first to last; unused groups are 0.
    pub groups: [usize; crate::MAX_GROUPS],
    /// Largest exponent of a group.
    pub exponent_max: u32,
    /// i8 quads `[tokens][width / 4]`.
    pub codes: BufferId,
    /// [`crate::RowScale`] words `[tokens][8]`.
    pub scales: BufferId,
}

/// What happens to an output of a [`Gemm`] after scaling and bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// Stored as i32 `[tokens][out]`.
    Wide,
    /// Clamped to `+-limit` (at most 32767), stored as i16 pairs `[tokens][out / 2]`.
    Clamp {
        /// Largest magnitude kept.
        limit: u32,
    },
    /// Clamped to +-32767, exact-table GELU in Q10 plus `offset`, stored as u16 pairs `[tokens][out / 2]`.
    Gelu {
        /// A [`crate::Weight::Gelu`].
        table: WeightId,
        /// Added so that no value is negative.
        offset: u32,
    },
}

/// `out = epilogue(scale(codes x weight^T) + bias)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemm {
    /// Rows of the batch.
    pub tokens: usize,
    /// i8 quads `[tokens][k / 4]`.
    pub codes: BufferId,
    /// [`crate::RowScale`] words `[tokens][8]`.
    pub scales: BufferId,
    /// A [`crate::Weight::Gemm`].
    pub weight: WeightId,
    /// What is stored, and in what form.
    pub epilogue: Epilogue,
    /// `[tokens][outputs]` in the form the epilogue gives.
    pub out: BufferId,
}

/// Softmax attention, 32-wide heads, each row over the rows of its own sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Rows of the batch.
    pub tokens: usize,
    /// Heads of 32 columns; the width is `heads * 32`.
    pub heads: usize,
    /// Longest sequence in the batch.
    pub longest: usize,
    /// i16 pairs `[tokens][3 * width / 2]`: q (Q9, base-2 units), k (Q7), v (Q8), each within +-4095.
    pub qkv: BufferId,
    /// u32 `[tokens][2]`: first row and length of the sequence a row belongs to.
    pub spans: BufferId,
    /// A [`crate::Weight::Exp`].
    pub exp: WeightId,
    /// i32 `[tokens][width]`, Q12.
    pub out: BufferId,
}

/// How token vectors become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Sum over the rows of the sequence.
    Sum,
    /// The first row of the sequence.
    First,
}

/// Pooling, L2 normalisation, and the channel permutation undone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    /// Sequences of the batch.
    pub sequences: usize,
    /// Columns, even.
    pub width: usize,
    /// Which rows count.
    pub kind: PoolKind,
    /// i32 `[tokens][width]`.
    pub input: BufferId,
    /// u32 `[sequences][2]`: first row and length of each sequence.
    pub spans: BufferId,
    /// A [`crate::Weight::Permutation`]: column `c` of the input is channel `permutation[c]` of the output.
    pub permutation: WeightId,
    /// i16 pairs `[sequences][width / 2]`, Q15.
    pub out: BufferId,
}
