//! The published encoder in f32: the reference for accuracy and the source of calibration statistics.

use super::dense::{Packed, transpose};
use super::error::FloatModelError;
use super::float::{FloatBert, Linear, Norm};
use super::tables;
use crate::bert::{BertConfig, Pooling};

/// What the inputs of the GEMMs look like, layer by layer, during a forward pass.
pub(super) trait Observe {
    /// `input` `[tokens, width]` feeds the GEMMs of this site. Where its result goes through a LayerNorm, `spread`
    /// holds the variance of that LayerNorm's input per token.
    fn see(&mut self, layer: usize, input: Input, values: &[f32], spread: Option<&[f32]>);
}

/// The four distinct GEMM inputs of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Input {
    Qkv,
    Output,
    Up,
    Down,
}

/// The weights of an encoder in the order the products read them.
pub(super) struct Encoder<'a> {
    float: &'a FloatBert<'a>,
    layers: Vec<[Matrix<'a>; 6]>,
    /// Phi at [`GRID`] points per unit from -[`GRID_END`].
    cdf: Vec<f32>,
}

struct Matrix<'a> {
    weight: Packed,
    bias: &'a [f32],
}

impl FloatBert<'_> {
    /// The L2-normalised sentence vector of one token sequence, `[hidden_size]`. Packs all weights on every call: meant
    /// for tests and comparisons.
    ///
    /// # Errors
    /// The sequence is empty, longer than `max_tokens`, or has an id outside the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, FloatModelError> {
        let mut vectors = self.embed_all(&[ids.to_vec()])?;
        Ok(vectors.remove(0))
    }

    /// [`FloatBert::embed`] of many sequences, each by itself.
    pub fn embed_all(&self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, FloatModelError> {
        check_tokens(&self.config, sequences)?;
        let encoder = Encoder::new(self);
        let pooled = |ids: &Vec<u32>| pool(&encoder.forward(&[ids], &mut Ignore), &self.config);
        Ok(sequences.iter().map(pooled).collect())
    }
}

/// Checks that every sequence can be run.
pub(super) fn check_tokens(config: &BertConfig, sequences: &[Vec<u32>]) -> Result<(), FloatModelError> {
    for (sequence, ids) in sequences.iter().enumerate() {
        let fail = |problem: String| Err(FloatModelError::Tokens { sequence, problem });
        if ids.is_empty() || ids.len() > config.max_tokens {
            return fail(format!("{} tokens, must be 1 to {}", ids.len(), config.max_tokens));
        }
        if let Some(id) = ids.iter().find(|id| **id as usize >= config.vocab_size) {
            return fail(format!("token {id} is not below {}", config.vocab_size));
        }
    }
    Ok(())
}

impl<'a> Encoder<'a> {
    pub(super) fn new(float: &'a FloatBert<'a>) -> Self {
        let pack = |linear: &'a Linear<'a>| Matrix {
            weight: Packed::rows(&linear.weight, linear.weight.len() / linear.bias.len()),
            bias: &linear.bias,
        };
        let layer = |l: &'a super::float::Layer<'a>| {
            [&l.query, &l.key, &l.value, &l.output, &l.up, &l.down].map(pack)
        };
        let layers = float.layers.iter().map(layer).collect();
        let points = (2.0 * GRID_END * GRID) as usize;
        let cdf =
            (0..points).map(|i| tables::normal_cdf(i as f64 / f64::from(GRID) - f64::from(GRID_END)) as f32);
        Self { float, layers, cdf: cdf.collect() }
    }

    /// Token vectors of the last layer, `[tokens of all sequences, hidden]`. The sequences were checked.
    pub(super) fn forward(&self, sequences: &[&[u32]], observe: &mut dyn Observe) -> Vec<f32> {
        let h = self.float.config.hidden_size;
        let mut x = self.embedding(sequences);
        for (n, (layer, weights)) in self.float.layers.iter().zip(&self.layers).enumerate() {
            let [query, key, value, output, up, down] = weights;
            observe.see(n, Input::Qkv, &x, None);
            let context = attention(sequences, [query, key, value].map(|m| m.apply(&x)), h);
            let residual = add(output.apply(&context), &x);
            observe.see(n, Input::Output, &context, Some(&variances(&residual, h)));
            x = normalise(residual, &layer.norm1);
            observe.see(n, Input::Up, &x, None);
            let mut units = up.apply(&x);
            units.iter_mut().for_each(|v| *v = self.gelu(*v));
            let residual = add(down.apply(&units), &x);
            observe.see(n, Input::Down, &units, Some(&variances(&residual, h)));
            x = normalise(residual, &layer.norm2);
        }
        x
    }

    fn embedding(&self, sequences: &[&[u32]]) -> Vec<f32> {
        let h = self.float.config.hidden_size;
        let mut x = Vec::new();
        for (place, &id) in sequences.iter().flat_map(|ids| ids.iter().enumerate()) {
            let word = &self.float.word[id as usize * h..][..h];
            let position = &self.float.position[place * h..][..h];
            let token_type = self.float.token_type.iter();
            x.extend(word.iter().zip(position).zip(token_type).map(|((w, p), t)| w + p + t));
        }
        normalise(x, &self.float.norm)
    }

    /// x Phi(x), Phi interpolated; error below 2e-8.
    fn gelu(&self, x: f32) -> f32 {
        let at = ((x + GRID_END) * GRID).clamp(0.0, (self.cdf.len() - 2) as f32);
        let i = at as usize;
        let (low, high) = (self.cdf[i], self.cdf[i + 1]);
        x * (low + (at - i as f32) * (high - low))
    }
}

impl Matrix<'_> {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut y = self.weight.times(x);
        for row in y.chunks_exact_mut(self.bias.len()) {
            row.iter_mut().zip(self.bias).for_each(|(y, b)| *y += b);
        }
        y
    }
}

struct Ignore;

impl Observe for Ignore {
    fn see(&mut self, _: usize, _: Input, _: &[f32], _: Option<&[f32]>) {}
}

fn attention(sequences: &[&[u32]], qkv: [Vec<f32>; 3], h: usize) -> Vec<f32> {
    let width = BertConfig::HEAD_DIM;
    let mut context = vec![0.0; qkv[0].len()];
    let mut start = 0;
    for tokens in sequences.iter().map(|ids| ids.len()) {
        let range = start * h..(start + tokens) * h;
        for head in (0..h).step_by(width) {
            let [q, k, v] = qkv.each_ref().map(|x| -> Vec<f32> {
                x[range.clone()].chunks_exact(h).flat_map(|row| &row[head..head + width]).copied().collect()
            });
            let mut scores = Packed::rows(&k, width).times(&q);
            scores.chunks_exact_mut(tokens).for_each(softmax);
            let out = Packed::rows(&transpose(&v, width), tokens).times(&scores);
            for (into, row) in context[range.clone()].chunks_exact_mut(h).zip(out.chunks_exact(width)) {
                into[head..head + width].copy_from_slice(row);
            }
        }
        start += tokens;
    }
    context
}

fn softmax(scores: &mut [f32]) {
    let scale = 1.0 / (BertConfig::HEAD_DIM as f32).sqrt();
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|s| *s = ((*s - most) * scale).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|s| *s /= sum);
}

fn normalise(mut x: Vec<f32>, norm: &Norm) -> Vec<f32> {
    for row in x.chunks_exact_mut(norm.gamma.len()) {
        let (mean, variance) = moments(row);
        let scale = 1.0 / (variance + 1e-12).sqrt();
        for ((x, g), b) in row.iter_mut().zip(norm.gamma.iter()).zip(norm.beta.iter()) {
            *x = (*x - mean) * scale * g + b;
        }
    }
    x
}

fn variances(x: &[f32], width: usize) -> Vec<f32> {
    x.chunks_exact(width).map(|row| moments(row).1).collect()
}

fn moments(row: &[f32]) -> (f32, f32) {
    let mean = row.iter().sum::<f32>() / row.len() as f32;
    (mean, row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / row.len() as f32)
}

fn add(mut x: Vec<f32>, y: &[f32]) -> Vec<f32> {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    x
}

fn pool(tokens: &[f32], config: &BertConfig) -> Vec<f32> {
    let h = config.hidden_size;
    let mut pooled = tokens[..h].to_vec();
    if config.pooling == Pooling::Mean {
        for row in tokens[h..].chunks_exact(h) {
            pooled.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }
    let length = pooled.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    pooled.iter_mut().for_each(|x| *x /= length);
    pooled
}

/// Points of the Phi table per unit, and where it ends.
const GRID: f32 = 2048.0;
const GRID_END: f32 = 9.0;
