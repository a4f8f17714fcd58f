//! The CPU backend: a plan's steps, one kernel call each.

use std::{mem, sync::Arc};

use bytemuck::{cast_slice, cast_slice_mut};
use kernels_cpu::{
    AttentionArgs, EmbedArgs, EncodeArgs, GemmArgs, GemmInput, Kernels, LayerNormArgs, Level, LevelError,
    LifArgs, Output, PoolArgs, QuantiseArgs, QuantiseInput, ScanArgs, TopKArgs,
};
use plan::{
    BufferId, EmbeddingWeight, Epilogue, GemmWeight, NormWeight, PackedGemm, Plan, SCALE_WORDS, Scan, Signal,
    Step, Weight, WeightId, Weights,
};

/// A model laid out for one CPU level. Shared by threads; each brings its own [`Arena`].
pub struct CpuModel {
    kernels: &'static dyn Kernels,
    weights: Arc<dyn Weights>,
    packed: Vec<Packed>,
}

/// A weight as the level wants it, where that is not how the model has it.
enum Packed {
    Gemm(PackedGemm),
    Lif(Vec<u32>),
    AsItIs,
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
            Weight::Gemm(gemm) => Packed::Gemm(kernels.pack(&gemm)),
            Weight::Lif(layer) => Packed::Lif(kernels.pack_lif(&layer)),
            _ => Packed::AsItIs,
        };
        let packed = (0..weights.len()).map(pack).collect();
        CpuModel { kernels, weights, packed }
    }

    /// Runs a plan that [`Plan::check`] has passed for these weights; returns the output words.
    pub fn run(&self, plan: &Plan, arena: &mut Arena) -> Vec<u32> {
        arena.load(plan);
        self.steps(&plan.steps, arena);
        arena.output(plan)
    }

    /// Runs some of a plan's steps, in an arena that has loaded the plan and run those before.
    pub(crate) fn steps(&self, steps: &[Step], arena: &mut Arena) {
        for step in steps {
            self.step(step, arena);
        }
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
            Step::Encode(s) => self.encode(s, arena),
            Step::Distance(s) | Step::DistanceF32(s) | Step::Hamming(s) => self.scan(s, arena),
            Step::TopK(s) => self.topk(s, arena),
            Step::Lif(s) => self.lif(s, arena),
        }
    }

    fn encode(&self, s: &plan::Encode, arena: &mut Arena) {
        arena.write(s.codes, s.rows * s.width / 4, |arena, codes| {
            arena.write(s.steps, s.rows, |arena, steps| {
                self.kernels.encode(EncodeArgs {
                    width: s.width,
                    range: s.range,
                    input: cast_slice(arena.read(s.input, s.rows * s.width)),
                    codes: cast_slice_mut(codes),
                    steps: cast_slice_mut(steps),
                });
            });
        });
    }

    fn topk(&self, s: &plan::TopK, arena: &mut Arena) {
        arena.write(s.out, s.queries * s.k * 2, |arena, out| {
            self.kernels.topk(TopKArgs {
                lists: s.lists,
                k: s.k,
                input: cast_slice(arena.read(s.input, s.queries * s.lists * s.k * 2)),
                out: cast_slice_mut(out),
            });
        });
    }

    fn scan(&self, s: &Scan, arena: &mut Arena) {
        arena.write(s.out, s.queries * s.lists() * s.k * 2, |arena, out| {
            let filter = s.filter.map(|f| &*arena.buffers[f.0]);
            let (k, first, rows, group) = (s.k, s.first, s.rows, s.group);
            let out = cast_slice_mut(out);
            match self.weights.get(s.vectors) {
                Weight::Vectors(vectors) => {
                    let queries = cast_slice(arena.read(s.input, s.queries * s.width / 4));
                    let vectors = &vectors;
                    self.kernels.distance(ScanArgs { k, first, rows, group, queries, vectors, filter, out });
                }
                Weight::FloatVectors(vectors) => {
                    let queries = cast_slice(arena.read(s.input, s.queries * s.width));
                    let vectors = &vectors;
                    self.kernels.distance_f32(ScanArgs {
                        k,
                        first,
                        rows,
                        group,
                        queries,
                        vectors,
                        filter,
                        out,
                    });
                }
                Weight::BitVectors(vectors) => {
                    let queries = arena.read(s.input, s.queries * s.width / 32);
                    let vectors = &vectors;
                    self.kernels.hamming(ScanArgs { k, first, rows, group, queries, vectors, filter, out });
                }
                _ => unreachable!("{CHECKED}"),
            }
        });
    }

    fn lif(&self, s: &plan::Lif, arena: &mut Arena) {
        let Weight::Lif(layer) = self.weights.get(s.layer) else { unreachable!("{CHECKED}") };
        let Packed::Lif(packed) = &self.packed[s.layer.0] else { unreachable!("every layer was packed") };
        arena.write(s.out, s.batch * s.steps * s.outputs / 32, |arena, out| {
            arena.write(s.potential, s.batch * s.outputs, |arena, potential| {
                self.kernels.lif(LifArgs {
                    batch: s.batch,
                    steps: s.steps,
                    spikes: arena.read(s.spikes, s.batch * s.steps * s.inputs / 32),
                    layer: &layer,
                    packed,
                    out,
                    potential: cast_slice_mut(potential),
                });
            });
        });
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
            let Packed::Gemm(packed) = &self.packed[s.weight.0] else {
                unreachable!("every matrix was packed")
            };
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
    /// Takes a plan's buffers and uploads.
    pub(crate) fn load(&mut self, plan: &Plan) {
        self.buffers.resize_with(plan.buffers.len().max(self.buffers.len()), Vec::new);
        for (buffer, &words) in self.buffers.iter_mut().zip(&plan.buffers) {
            buffer.resize(words, 0);
        }
        for upload in &plan.uploads {
            self.buffers[upload.buffer.0].copy_from_slice(&upload.words);
        }
    }

    /// The output words of a plan whose steps have run.
    pub(crate) fn output(&self, plan: &Plan) -> Vec<u32> {
        self.buffers[plan.output.0].clone()
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
