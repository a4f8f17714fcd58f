//! The vocabulary models and engines share.
//!
//! A model writes a [`Plan`]: the buffers of one run, the words to upload, and an ordered list of
//! [`Step`]s. An engine runs it on whatever device it holds. Neither knows the other, and nothing here
//! knows a device, a clock or a file.
//!
//! Every buffer is an array of 32-bit little-endian words, so that a WGSL kernel and a CPU kernel read the
//! same memory. Narrower elements are packed low half (or low byte) first.

#[cfg(target_endian = "big")]
compile_error!("buffers are little-endian words that kernels view as narrower elements");

mod check;
mod gather;
mod layout;
mod row;
mod spiking;
mod step;
mod vectors;
mod weight;

pub use check::PlanError;
pub use gather::{Gather, Parallel, Sequential};
pub use layout::{PANEL, PackedGemm, pack_gemm};
pub use row::{GroupSums, MAX_GROUPS, RowScale, SCALE_WORDS};
pub use spiking::{LIF_INPUT_MAX, LIF_LEAK_ONE, LIF_POTENTIAL_MAX, Lif, LifWeight, Reset};
pub use step::{
    Attention, BufferId, Embed, Epilogue, Gemm, LayerNorm, Pool, PoolKind, Quantise, Signal, Stage, Step,
    WeightId,
};
pub use vectors::{
    BitVectors, ENCODE_MIN, Encode, FloatScore, FloatVectors, MAX_K, MAX_WIDTH, NOTHING, Range, Scan, Score,
    TopK, Vectors, float_key, float_score, float_tolerance, key, scaled_shift, score,
};
pub use weight::{EmbeddingWeight, GemmSection, GemmWeight, NormWeight, Weight, Weights};

/// Whether two runs of a plan on different devices agree to the bit or within a stated tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Agreement {
    /// Integer arithmetic throughout: results are compared by hash.
    Exact,
    /// Float arithmetic, for local use only: largest absolute difference allowed.
    Tolerance(f32),
}

/// Words that travel to the device before the first step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Where they go; the buffer has exactly this many words.
    pub buffer: BufferId,
    /// What they are.
    pub words: Vec<u32>,
}

/// A plan whose result is known, run once on every device before it is trusted with work.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfTest {
    /// What to run.
    pub plan: Plan,
    /// SHA-256 of the output words in little-endian order.
    pub digest: [u8; 32],
}

/// One run of a model on one slice of work: data, not code.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Length of every buffer in words; a [`BufferId`] indexes this list.
    pub buffers: Vec<usize>,
    /// Contents of the input buffers.
    pub uploads: Vec<Upload>,
    /// What to run, in order. A step may read what earlier steps wrote.
    pub steps: Vec<Step>,
    /// The buffer to read back when all steps are done.
    pub output: BufferId,
    /// How far results of two devices may differ.
    pub agreement: Agreement,
}

impl Plan {
    /// Bytes of all buffers together.
    pub fn bytes(&self) -> usize {
        self.buffers.iter().sum::<usize>() * 4
    }

    /// Length of `buffer` in words.
    ///
    /// # Panics
    /// If the id is not of this plan: a bug of the model that wrote it.
    pub fn words(&self, buffer: BufferId) -> usize {
        self.buffers[buffer.0]
    }
}
