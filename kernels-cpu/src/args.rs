//! What each kernel is given. Shapes are those of the step of the same name in `plan`.

use plan::{
    BitVectors, EmbeddingWeight, Epilogue, FloatVectors, Gather, GemmWeight, LifWeight, MAX_GROUPS,
    NormWeight, PackedGemm, PoolKind, Range, Vectors,
};

/// The stages of a plan on one kind of processor. All implementations give equal bytes, [`Kernels::distance_f32`] equal
/// results within its tolerance.
///
/// # Panics
/// Every method may panic when slices do not have the lengths its arguments state: engines check plans
/// before they run them, so that is a bug and never input.
pub trait Kernels: Gather {
    /// Lays weights out as [`Kernels::gemm`] wants them in [`GemmInput::packed`].
    fn pack(&self, weight: &GemmWeight<'_>) -> PackedGemm {
        plan::pack_gemm(weight)
    }
    /// Word and position rows summed.
    fn embed(&self, args: EmbedArgs<'_>);
    /// Layer normalisation with an optional residual.
    fn layernorm(&self, args: LayerNormArgs<'_>);
    /// Fixed point to i8 codes and row scales.
    fn quantise(&self, args: QuantiseArgs<'_>);
    /// i8 matrix product with its epilogue.
    fn gemm(&self, args: GemmArgs<'_>);
    /// Softmax attention within each sequence.
    fn attention(&self, args: AttentionArgs<'_>);
    /// Token vectors to normalised sentence vectors.
    fn pool(&self, args: PoolArgs<'_>);
    /// f32 vectors to i8 codes.
    fn encode(&self, args: EncodeArgs<'_>);
    /// The best rows of a table of i8 codes.
    fn distance(&self, args: DistanceArgs<'_>);
    /// The best rows of a table of floats. Sums run in an order fixed for this level, whatever the batch.
    fn distance_f32(&self, args: DistanceF32Args<'_>);
    /// The best rows of a table of bits.
    fn hamming(&self, args: HammingArgs<'_>);
    /// Sorted lists merged.
    fn topk(&self, args: TopKArgs<'_>);
    /// Lays a layer out as [`Kernels::lif`] wants it in [`LifArgs::packed`].
    fn pack_lif(&self, _: &LifWeight<'_>) -> Vec<u32> {
        Vec::new()
    }
    /// A layer of spiking neurons over all time steps.
    fn lif(&self, args: LifArgs<'_>);
}

/// Arguments of [`Kernels::embed`].
pub struct EmbedArgs<'a> {
    /// Columns.
    pub width: usize,
    /// `[tokens]`: row of the word table.
    pub ids: &'a [u32],
    /// `[tokens][2]`: first row and length of the row's sequence.
    pub spans: &'a [u32],
    /// The tables.
    pub table: EmbeddingWeight<'a>,
    /// `[tokens][width]`, Q20.
    pub out: &'a mut [i32],
}

/// Arguments of [`Kernels::layernorm`].
pub struct LayerNormArgs<'a> {
    /// Columns.
    pub width: usize,
    /// `[tokens][width]`.
    pub input: &'a [i32],
    /// `[tokens][width]`, added to `input` first.
    pub residual: Option<&'a [i32]>,
    /// Gain and bias.
    pub norm: NormWeight<'a>,
    /// `[tokens][width]`, Q12.
    pub out: &'a mut [i32],
}

/// The two input formats of [`Kernels::quantise`], as [`plan::Signal`] describes them.
#[derive(Clone, Copy)]
pub enum QuantiseInput<'a> {
    /// `[tokens][width]`, either sign.
    Signed(&'a [i32]),
    /// `[tokens][width]`, never negative.
    Offset(&'a [u16]),
}

/// Arguments of [`Kernels::quantise`].
pub struct QuantiseArgs<'a> {
    /// Columns.
    pub width: usize,
    /// The values.
    pub input: QuantiseInput<'a>,
    /// Columns of each group; unused groups are 0.
    pub groups: [usize; MAX_GROUPS],
    /// Largest exponent of a group.
    pub exponent_max: u32,
    /// `[tokens][width]`.
    pub codes: &'a mut [i8],
    /// `[tokens][8]`: [`plan::RowScale`] words.
    pub scales: &'a mut [u32],
}

/// The left operand and the weights of [`Kernels::gemm`].
pub struct GemmInput<'a> {
    /// `[tokens][k]`.
    pub codes: &'a [i8],
    /// `[tokens][8]`: [`plan::RowScale`] words.
    pub scales: &'a [u32],
    /// Canonical weights; the oracle reads these, so that packing is under test too.
    pub weight: GemmWeight<'a>,
    /// The same weights as [`Kernels::pack`] of the same level laid them out.
    pub packed: &'a PackedGemm,
}

/// Where [`Kernels::gemm`] stores, in the form the epilogue gives.
pub enum Output<'a> {
    /// `[tokens][outputs]` of [`Epilogue::Wide`].
    Wide(&'a mut [i32]),
    /// `[tokens][outputs]` of [`Epilogue::Clamp`].
    Clamp {
        /// Largest magnitude kept.
        limit: i32,
        /// The values.
        out: &'a mut [i16],
    },
    /// `[tokens][outputs]` of [`Epilogue::Gelu`].
    Gelu {
        /// `[1280]`.
        table: &'a [u8],
        /// Added so that no value is negative.
        offset: i32,
        /// The values.
        out: &'a mut [u16],
    },
}

impl<'a> Output<'a> {
    /// Views the words of an output buffer as the epilogue fills them. `gelu` is the table an
    /// [`Epilogue::Gelu`] names.
    pub fn new(epilogue: Epilogue, gelu: &'a [u8], words: &'a mut [u32]) -> Self {
        match epilogue {
            Epilogue::Wide => Output::Wide(bytemuck::cast_slice_mut(words)),
            Epilogue::Clamp { limit } => {
                Output::Clamp { limit: limit as i32, out: bytemuck::cast_slice_mut(words) }
            }
            Epilogue::Gelu { offset, .. } => {
                Output::Gelu { table: gelu, offset: offset as i32, out: bytemuck::cast_slice_mut(words) }
            }
        }
    }
}

/// Arguments of [`Kernels::gemm`].
pub struct GemmArgs<'a> {
    /// What is multiplied.
    pub input: GemmInput<'a>,
    /// `[tokens][outputs]`.
    pub output: Output<'a>,
}

/// Arguments of [`Kernels::attention`].
pub struct AttentionArgs<'a> {
    /// Heads of 32 columns.
    pub heads: usize,
    /// `[tokens][3 * heads * 32]`: q, k, v side by side.
    pub qkv: &'a [i16],
    /// `[tokens][2]`: first row and length of the row's sequence.
    pub spans: &'a [u32],
    /// `[256]`: fractional powers of two.
    pub exp: &'a [u16],
    /// `[tokens][heads * 32]`, Q12.
    pub out: &'a mut [i32],
}

/// Arguments of [`Kernels::pool`].
pub struct PoolArgs<'a> {
    /// Columns.
    pub width: usize,
    /// Which rows count.
    pub kind: PoolKind,
    /// `[tokens][width]`.
    pub input: &'a [i32],
    /// `[sequences][2]`: first row and length.
    pub spans: &'a [u32],
    /// `[width]`: the channel each column belongs to.
    pub permutation: &'a [u16],
    /// `[sequences][width]`, Q15.
    pub out: &'a mut [i16],
}

/// Arguments of [`Kernels::encode`].
pub struct EncodeArgs<'a> {
    /// Columns.
    pub width: usize,
    /// What codes stand for.
    pub range: Range,
    /// `[rows][width]`, finite.
    pub input: &'a [f32],
    /// `[rows][width]`.
    pub codes: &'a mut [i8],
    /// `[rows]`: the value of one step of the row's codes.
    pub steps: &'a mut [f32],
}

/// Arguments of the scans: queries of elements `Q` over a table `V`.
pub struct ScanArgs<'a, Q, V> {
    /// Length of a list.
    pub k: usize,
    /// First row that is looked at.
    pub first: usize,
    /// Rows looked at.
    pub rows: usize,
    /// Rows a list covers.
    pub group: usize,
    /// `[queries][width]`, or `[queries][width / 32]` of bits.
    pub queries: &'a [Q],
    /// The table.
    pub vectors: &'a V,
    /// Bits: rows whose bit is 0 are passed over.
    pub filter: Option<&'a [u32]>,
    /// `[queries][lists][k]`: sorted (key, row) pairs.
    pub out: &'a mut [[u32; 2]],
}

/// Arguments of [`Kernels::distance`].
pub type DistanceArgs<'a> = ScanArgs<'a, i8, Vectors<'a>>;

/// Arguments of [`Kernels::distance_f32`].
pub type DistanceF32Args<'a> = ScanArgs<'a, f32, FloatVectors<'a>>;

/// Arguments of [`Kernels::hamming`].
pub type HammingArgs<'a> = ScanArgs<'a, u32, BitVectors<'a>>;

/// Arguments of [`Kernels::topk`].
pub struct TopKArgs<'a> {
    /// Lists of a query.
    pub lists: usize,
    /// Length of each list and of the result.
    pub k: usize,
    /// `[queries][lists][k]`: sorted (key, row) pairs.
    pub input: &'a [[u32; 2]],
    /// `[queries][k]`: sorted (key, row) pairs.
    pub out: &'a mut [[u32; 2]],
}

/// Arguments of [`Kernels::lif`].
pub struct LifArgs<'a> {
    /// Independent runs.
    pub batch: usize,
    /// Time steps.
    pub steps: usize,
    /// Bits `[batch][steps][inputs / 32]`.
    pub spikes: &'a [u32],
    /// The layer, canonical; the oracle reads it, so that packing is under test too.
    pub layer: &'a LifWeight<'a>,
    /// The same layer as [`Kernels::pack_lif`] of the same level laid it out.
    pub packed: &'a [u32],
    /// Bits `[batch][steps][outputs / 32]`.
    pub out: &'a mut [u32],
    /// `[batch][outputs]`: potentials after the last step.
    pub potential: &'a mut [i32],
}
