//! Ugly inputs for every stage, each a plan of one step with weights of its own, and a few chains of steps.
//!
//! Values sit at the edges the numerics allow and not beyond: all equal, all extreme, one outlier, nothing
//! at all, lengths around every tile. Gentle random inputs hide drift.

mod bert;
mod chain;
mod encode;
mod gemm;
mod lif;
mod rows;
mod scan;
mod table;
mod topk;

use std::{borrow::Cow, sync::Arc};

use plan::{
    Agreement, BitVectors, BufferId, EmbeddingWeight, FloatScore, FloatVectors, GemmSection, GemmWeight,
    LifWeight, NormWeight, Plan, Score, Stage, Step, Upload, Vectors, Weight, WeightId, Weights,
};

pub use chain::{Chain, chains};

/// Steps on one input.
pub struct Case {
    /// What is ugly about it.
    pub name: String,
    /// The steps, with their inputs.
    pub plan: Plan,
    /// The weights they name.
    pub weights: Arc<dyn Weights>,
}

/// Every case of a stage.
pub fn of(stage: Stage) -> Vec<Case> {
    match stage {
        Stage::Embed => bert::embed(),
        Stage::LayerNorm => bert::layernorm(),
        Stage::Quantise => bert::quantise(),
        Stage::Gemm => gemm::cases(),
        Stage::Attention => bert::attention(),
        Stage::Pool => bert::pool(),
        Stage::Encode => encode::cases(),
        Stage::Distance => scan::distance(),
        Stage::DistanceF32 => scan::distance_f32(),
        Stage::Hamming => scan::hamming(),
        Stage::TopK => topk::cases(),
        Stage::Lif => lif::cases(),
    }
}

/// Weights held in memory.
#[derive(Default)]
pub struct TestWeights(pub Vec<Weight<'static>>);

impl Weights for TestWeights {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, id: WeightId) -> Weight<'_> {
        borrowed(&self.0[id.0])
    }
}

fn borrowed<'a>(weight: &'a Weight<'static>) -> Weight<'a> {
    match weight {
        Weight::Embedding(w) => Weight::Embedding(EmbeddingWeight {
            width: w.width,
            word: w.word,
            word_scale: Cow::Borrowed(&w.word_scale),
            position: Cow::Borrowed(&w.position),
            position_shift: w.position_shift,
        }),
        Weight::Norm(w) => Weight::Norm(NormWeight {
            gain: Cow::Borrowed(&w.gain),
            exponent: w.exponent,
            bias: Cow::Borrowed(&w.bias),
        }),
        Weight::Gemm(w) => {
            let section = |s: &'a GemmSection<'static>| GemmSection {
                outputs: s.outputs,
                q: s.q,
                mc: Cow::Borrowed(&s.mc),
                bias: Cow::Borrowed(&s.bias),
                correction: s.correction.as_deref().map(Cow::Borrowed),
                accumulator_shift: s.accumulator_shift,
                scale_shift: s.scale_shift,
            };
            Weight::Gemm(GemmWeight {
                k: w.k,
                groups: w.groups,
                sections: w.sections.iter().map(section).collect(),
            })
        }
        Weight::Exp(w) => Weight::Exp(Cow::Borrowed(w)),
        Weight::Gelu(w) => Weight::Gelu(Cow::Borrowed(w)),
        Weight::Permutation(w) => Weight::Permutation(Cow::Borrowed(w)),
        Weight::Vectors(w) => Weight::Vectors(Vectors {
            width: w.width,
            codes: Cow::Borrowed(&w.codes),
            score: match &w.score {
                Score::Dot => Score::Dot,
                Score::Scaled(terms) => Score::Scaled(Cow::Borrowed(terms)),
                Score::Euclid(terms) => Score::Euclid(Cow::Borrowed(terms)),
            },
        }),
        Weight::FloatVectors(w) => Weight::FloatVectors(FloatVectors {
            width: w.width,
            values: Cow::Borrowed(&w.values),
            score: match &w.score {
                FloatScore::Dot => FloatScore::Dot,
                FloatScore::Scaled(terms) => FloatScore::Scaled(Cow::Borrowed(terms)),
                FloatScore::Euclid(terms) => FloatScore::Euclid(Cow::Borrowed(terms)),
            },
        }),
        Weight::BitVectors(w) => {
            Weight::BitVectors(BitVectors { width: w.width, bits: Cow::Borrowed(&w.bits) })
        }
        Weight::Lif(w) => Weight::Lif(LifWeight {
            inputs: w.inputs,
            outputs: w.outputs,
            q: Cow::Borrowed(&w.q),
            recurrent: w.recurrent.as_deref().map(Cow::Borrowed),
            shift: w.shift,
            leak: Cow::Borrowed(&w.leak),
            threshold: Cow::Borrowed(&w.threshold),
            bias: Cow::Borrowed(&w.bias),
            reset: w.reset,
        }),
    }
}

/// Collects the buffers of a plan.
#[derive(Clone, Default)]
struct Builder {
    buffers: Vec<usize>,
    uploads: Vec<Upload>,
}

impl Builder {
    fn input(&mut self, words: Vec<u32>) -> BufferId {
        let buffer = self.output(words.len());
        self.uploads.push(Upload { buffer, words });
        buffer
    }

    fn output(&mut self, words: usize) -> BufferId {
        self.buffers.push(words);
        BufferId(self.buffers.len() - 1)
    }

    fn case(self, name: String, step: Step, output: BufferId, weights: Vec<Weight<'static>>) -> Case {
        self.chain(name, vec![step], output, weights)
    }

    fn chain(self, name: String, steps: Vec<Step>, output: BufferId, weights: Vec<Weight<'static>>) -> Case {
        let Builder { buffers, uploads } = self;
        let plan = Plan { buffers, uploads, steps, output, agreement: Agreement::Exact };
        Case { name, plan, weights: Arc::new(TestWeights(weights)) }
    }
}

fn words(values: &[i32]) -> Vec<u32> {
    values.iter().map(|&v| v as u32).collect()
}

fn pairs(values: &[i32]) -> Vec<u32> {
    values.chunks_exact(2).map(|p| (p[0] as u32 & 0xffff) | (p[1] as u32) << 16).collect()
}

/// i8 quads.
fn quads(codes: &[i8]) -> Vec<u32> {
    codes.chunks_exact(4).map(|q| u32::from_le_bytes([q[0], q[1], q[2], q[3]].map(|c| c as u8))).collect()
}

fn bits_of(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}
