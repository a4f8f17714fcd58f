//! The CPU backend: a plan's steps, one kernel call each.

use std::{mem, sync::Arc};

use bytemuck::{cast_slice, cast_slice_mut};
use kernels_cpu::{
    AttentionArgs, EmbedArgs, GemmArgs, GemmInput, Kernels, LayerNormArgs, Level, LevelError, Output,
    PoolArgs, QuantiseArgs, QuantiseInput,
};
use plan::{
    BufferId, EmbeddingWeight, Epilogue, GemmWeight, NormWeight, PackedGemm, Plan, SCALE_WORDS, Signal, Step,
    Weight, WeightId, Weights,
};

/// A model laid out for one CPU level. Shared by threads; each brings its own [`Arena`].
pub struct CpuModel {
    kernels: &'static dyn Kernels,
    weights: Arc<dyn Weights>,
    packed: Vec<Option<PackedGemm>>,
}

/// The buffers of one running plan, kept between plans.
#[derive(Default)]
pub struct Arena {
    buffers: Vec<Vec<u32>>,
}

impl CpuModel {
    /// Packs the model's matrices for `level`.
    ///
    /// # Errors
    /// If this processor lacks the level.
    pub fn new(level: Level, weights: Arc<dyn Weights>) -> Result<Self, LevelError> {
        Ok(Self::with_kernels(level.kernels()?, weights))
    }

    /// Packs the model's matrices for kernels of the caller's own, such as a traced oracle.
    pub fn with_kernels(kernels: &'static dyn Kernels, weights: Arc<dyn Weights>) -> Self {
        let pack = |id| match weights.get(WeightId(id)) {
            Weight::Gemm(gemm) => Some(kernels.pack(&gemm)),
            _ => None,
        };
        let packed = (0..weights.len()).map(pack).collect();
        CpuModel { kernels, weights, packed }
    }

    /// Runs a plan that [`Plan::check`] has passed for these weights; returns the output words.
    pub fn run(&self, plan: &Plan, arena: &mut Arena) -> Vec<u32> {
        arena.load(plan);
        for step in &plan.steps {
            self.step(step, arena);
        }
        arena.buffers[plan.output.0].clone()
    }

    fn step(&self, step: &Step, arena: &mut Arena) {
        let kernels = self.kernels;
        match step {
            Step::Embed(s) => arena.write(s.out, s.tokens * s.width, |arena, out| {
                kernels.embed(EmbedArgs {
                    width: s.width,
                    ids: arena.read(s.ids, s.tokens),
                    spans: arena.read(s.spans, 2 * s.tokens),
                    table: self.embedding(s.table),
                    out: cast_slice_mut(out),
                });
            }),
            Step::LayerNorm(s) => arena.write(s.out, s.tokens * s.width, |arena, out| {
                let n = s.tokens * s.width;
                kernels.layernorm(LayerNormArgs {
                    width: s.width,
                    input: cast_slice(arena.read(s.input, n)),
                    residual: s.residual.map(|r| cast_slice(arena.read(r, n))),
                    norm: self.norm(s.norm),
                    out: cast_slice_mut(out),
                });
            }),
            Step::Quantise(s) => arena.write(s.codes, s.tokens * s.width / 4, |arena, codes| {
                arena.write(s.scales, s.tokens * SCALE_WORDS, |arena, scales| {
                    let n = s.tokens * s.width;
                    let input = match s.signal {
                        Signal::Signed => QuantiseInput::Signed(cast_slice(arena.read(s.input, n))),
                        Signal::Offset => QuantiseInput::Offset(cast_slice(arena.read(s.input, n / 2))),
                    };
                    let (groups, exponent_max) = (s.groups, s.exponent_max);
                    let codes = cast_slice_mut(codes);
                    kernels.quantise(QuantiseArgs {
                        width: s.width,
                        input,
                        groups,
                        exponent_max,
                        codes,
                        scales,
                    });
                });
            }),
            Step::Gemm(s) => self.gemm(s, arena),
            Step::Attention(s) => arena.write(s.out, s.tokens * s.heads * 32, |arena, out| {
                kernels.attention(AttentionArgs {
                    heads: s.heads,
                    qkv: cast_slice(arena.read(s.qkv, s.tokens * 3 * s.heads * 16)),
                    spans: arena.read(s.spans, 2 * s.tokens),
                    exp: &self.exp(s.exp),
                    out: cast_slice_mut(out),
                });
            }),
            Step::Pool(s) => arena.write(s.out, s.sequences * s.width / 2, |arena, out| {
                kernels.pool(PoolArgs {
                    width: s.width,
                    kind: s.kind,
                    input: cast_slice(&arena.buffers[s.input.0]),
                    spans: arena.read(s.spans, 2 * s.sequences),
                    permutation: &self.permutation(s.permutation),
                    out: cast_slice_mut(out),
                });
            }),
        }
    }

    fn gemm(&self, s: &plan::Gemm, arena: &mut Arena) {
        let weight = self.matrix(s.weight);
        let outputs = weight.outputs();
        let words = if s.epilogue == Epilogue::Wide { outputs } else { outputs / 2 };
        let gelu = match s.epilogue {
            Epilogue::Gelu { table, .. } => self.gelu(table),
            _ => Default::default(),
        };
        arena.write(s.out, s.tokens * words, |arena, out| {
            let codes = cast_slice(arena.read(s.codes, s.tokens * weight.k / 4));
            let scales = arena.read(s.scales, s.tokens * SCALE_WORDS);
            let packed = self.packed[s.weight.0].as_ref().expect("every matrix was packed");
            let input = GemmInput { codes, scales, weight, packed };
            self.kernels.gemm(GemmArgs { input, output: Output::new(s.epilogue, &gelu, out) });
        });
    }

    fn embedding(&self, id: WeightId) -> EmbeddingWeight<'_> {
        match self.weights.get(id) {
            Weight::Embedding(table) => table,
            _ => unreachable!("{CHECKED}"),
        }
    }

    fn norm(&self, id: WeightId) -> NormWeight<'_> {
        match self.weights.get(id) {
            Weight::Norm(norm) => norm,
            _ => unreachable!("{CHECKED}"),
        }
    }

    fn matrix(&self, id: WeightId) -> GemmWeight<'_> {
        match self.weights.get(id) {
            Weight::Gemm(gemm) => gemm,
            _ => unreachable!("{CHECKED}"),
        }
    }

    fn exp(&self, id: WeightId) -> std::borrow::Cow<'_, [u16]> {
        match self.weights.get(id) {
            Weight::Exp(table) => table,
            _ => unreachable!("{CHECKED}"),
        }
    }

    fn gelu(&self, id: WeightId) -> std::borrow::Cow<'_, [u8]> {
        match self.weights.get(id) {
            Weight::Gelu(table) => table,
            _ => unreachable!("{CHECKED}"),
        }
    }

    fn permutation(&self, id: WeightId) -> std::borrow::Cow<'_, [u16]> {
        match self.weights.get(id) {
            Weight::Permutation(places) => places,
            _ => unreachable!("{CHECKED}"),
        }
    }
}

impl Arena {
    fn load(&mut self, plan: &Plan) {
        self.buffers.resize_with(plan.buffers.len().max(self.buffers.len()), Vec::new);
        for (buffer, &words) in self.buffers.iter_mut().zip(&plan.buffers) {
            buffer.resize(words, 0);
        }
        for upload in &plan.uploads {
            self.buffers[upload.buffer.0].copy_from_slice(&upload.words);
        }
    }

    fn read(&self, buffer: BufferId, words: usize) -> &[u32] {
        &self.buffers[buffer.0][..words]
    }

    /// Lends `buffer` to be written while the others are read: no step reads what it writes.
    fn write(&mut self, buffer: BufferId, words: usize, f: impl FnOnce(&mut Arena, &mut [u32])) {
        let mut out = mem::take(&mut self.buffers[buffer.0]);
        f(self, &mut out[..words]);
        self.buffers[buffer.0] = out;
    }
}

const CHECKED: &str = "Plan::check admits only weights of the right kind";
