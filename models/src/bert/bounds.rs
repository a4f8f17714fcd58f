//! The overflow bounds of the integer scheme, proved from the integers a file ships: a model that passes cannot
//! leave 32 bits in any stage, whatever the text.

use plan::{EmbeddingWeight, GemmSection, GemmWeight, NormWeight, Weight, WeightId, Weights};

use super::{
    IntBert, IntModelError,
    ids::{self, Of},
    scheme::{FFN_EXPONENT_MAX, GELU_OFFSET, HIDDEN_EXPONENT_MAX},
};
use crate::quantise::tables;

/// Checks every tensor of a model whose shapes are right.
pub(super) fn check(model: &IntBert) -> Result<(), IntModelError> {
    let bounds = Bounds { model };
    bounds.tables()?;
    bounds.embedding()?;
    let mut reach = bounds.norm("ln0", ids::NORM_IN)?;
    for l in 0..model.config.num_hidden_layers {
        let hidden = Input { reach, levels: 127, exponent_max: HIDDEN_EXPONENT_MAX };
        bounds.gemm(l, Of::Qkv, &["query", "key", "value"], &hidden, 0)?;
        let context = Input { reach: CONTEXT_REACH, levels: 127, exponent_max: 0 };
        bounds.gemm(l, Of::AttentionOut, &["o"], &context, reach)?;
        reach = bounds.norm(&format!("layer.{l}.ln1"), ids::layer(l, Of::NormAttention))?;
        let hidden = Input { reach, levels: 127, exponent_max: HIDDEN_EXPONENT_MAX };
        bounds.gemm(l, Of::Up, &["up"], &hidden, 0)?;
        let activations = Input { reach: FFN_REACH, levels: 254, exponent_max: FFN_EXPONENT_MAX };
        bounds.gemm(l, Of::Down, &["down"], &activations, reach)?;
        reach = bounds.norm(&format!("layer.{l}.ln2"), ids::layer(l, Of::NormOut))?;
    }
    Ok(())
}

/// What a GEMM's quantised input can hold.
struct Input {
    /// Largest magnitude before quantisation.
    reach: i128,
    /// Largest code.
    levels: i128,
    /// Largest group exponent.
    exponent_max: u32,
}

struct Bounds<'a> {
    model: &'a IntBert,
}

impl<'a> Bounds<'a> {
    fn tables(&self) -> Result<(), IntModelError> {
        let config = &self.model.config;
        if let Weight::Exp(exp) = self.model.get(ids::EXP) {
            equal(
                "exp2",
                &exp,
                &tables::exp2(config.probability_levels()),
                "the table of its number of levels",
            )?;
        }
        if let Weight::Gelu(gelu) = self.model.get(ids::GELU) {
            equal("gelu", &gelu, &tables::gelu(), "the GELU table")?;
        }
        let Weight::Permutation(permutation) = self.model.get(ids::PERMUTATION) else {
            unreachable!("{LAID_OUT}")
        };
        let mut seen = vec![false; config.hidden_size];
        for (index, &channel) in permutation.iter().enumerate() {
            let new = seen.get_mut(usize::from(channel)).is_some_and(|seen| !std::mem::replace(seen, true));
            ensure(new, "perm", index, channel.into(), "a channel that occurs once")?;
        }
        Ok(())
    }

    fn embedding(&self) -> Result<(), IntModelError> {
        let Weight::Embedding(table) = self.model.get(ids::EMBEDDING) else { unreachable!("{LAID_OUT}") };
        let EmbeddingWeight { word, word_scale, position_shift, .. } = table;
        symmetric("word", word)?;
        let largest = word_scale.iter().enumerate().max_by_key(|(_, scale)| **scale);
        let (row, &scale) = largest.expect("a vocabulary has words");
        bound(127 * i128::from(scale) + (1 << (15 + position_shift)), I32_LIMIT, "word", row, "emb.sum")
    }

    /// Checks a LayerNorm and returns the largest magnitude it can put out.
    fn norm(&self, name: &str, id: WeightId) -> Result<i128, IntModelError> {
        let Weight::Norm(NormWeight { gain, exponent, bias }) = self.model.get(id) else {
            unreachable!("{LAID_OUT}")
        };
        let reach = |(&g, &b): (&i16, &i32)| {
            let scaled = ((XN_REACH * i128::from(g.unsigned_abs())) >> 16) >> (exponent - 2);
            scaled + 2 + i128::from(b.unsigned_abs())
        };
        let largest = gain.iter().zip(bias.iter()).map(reach).enumerate().max_by_key(|(_, reach)| *reach);
        let (row, reach) = largest.expect("hidden_size > 0");
        bound(reach * self.model.config.max_tokens as i128, I32_LIMIT, name, row, "pool.sum")?;
        Ok(reach)
    }

    /// Checks matrices whose outputs are added to a stream within `residual`.
    fn gemm(
        &self,
        layer: usize,
        of: Of,
        names: &[&str],
        input: &Input,
        residual: i128,
    ) -> Result<(), IntModelError> {
        let Weight::Gemm(gemm) = self.model.get(ids::layer(layer, of)) else { unreachable!("{LAID_OUT}") };
        for (section, name) in gemm.sections.iter().zip(names) {
            let name = |field: &str| format!("layer.{layer}.{name}.{field}");
            symmetric(&name("q"), section.q)?;
            for (row, weights) in section.q.chunks_exact(gemm.k).enumerate() {
                let l1: u32 = weights.iter().map(|w| u32::from(w.unsigned_abs())).sum();
                let code_sum = (i128::from(l1) * input.levels) << section.accumulator_shift;
                bound(code_sum << input.exponent_max, 1 << 30, &name("q"), row, "acc")?;
                // Row scale and group exponent together stay below twice the input: 2^(n + e_g) < 2 * reach.
                // Floors on the way are at most 4 units of the last left shift, which is at most lg(reach).
                let scaled = code_sum * 2 * input.reach * i128::from(section.mc[row]);
                let y = (scaled >> (16 + section.scale_shift)) + 4 * input.reach;
                bound(
                    y + i128::from(section.bias[row].unsigned_abs()) + residual,
                    I32_LIMIT,
                    &name("q"),
                    row,
                    "y",
                )?;
            }
            corrections(&name("corr"), &gemm, section)?;
        }
        Ok(())
    }
}

/// The correction of a group is 127 times its row sum: anything else would break the accumulator bound.
fn corrections(name: &str, gemm: &GemmWeight<'_>, section: &GemmSection<'_>) -> Result<(), IntModelError> {
    let Some(correction) = &section.correction else { return Ok(()) };
    let mut start = 0;
    for (g, &width) in gemm.groups.iter().take_while(|&&w| w > 0).enumerate() {
        for (o, row) in section.q.chunks_exact(gemm.k).enumerate() {
            let sum: i32 = row[start..start + width].iter().map(|&q| i32::from(q)).sum();
            let index = g * section.outputs + o;
            let found = correction[index];
            ensure(found == 127 * sum, name, index, found.into(), "127 times the group's row sum")?;
        }
        start += width;
    }
    Ok(())
}

fn symmetric(name: &str, values: &[i8]) -> Result<(), IntModelError> {
    match values.iter().position(|&v| v == i8::MIN) {
        Some(index) => ensure(false, name, index, i8::MIN.into(), "within +-127"),
        None => Ok(()),
    }
}

fn equal<T: Copy + PartialEq + Into<i64>>(
    name: &str,
    found: &[T],
    wanted: &[T],
    rule: &'static str,
) -> Result<(), IntModelError> {
    let differs = found.iter().zip(wanted).position(|(a, b)| a != b);
    differs.map_or(Ok(()), |index| ensure(false, name, index, found[index].into(), rule))
}

fn ensure(ok: bool, name: &str, index: usize, value: i64, rule: &'static str) -> Result<(), IntModelError> {
    if ok { Ok(()) } else { Err(IntModelError::Element { name: name.into(), index, value, rule }) }
}

fn bound(
    value: i128,
    limit: i128,
    name: &str,
    row: usize,
    quantity: &'static str,
) -> Result<(), IntModelError> {
    if value <= limit {
        return Ok(());
    }
    Err(IntModelError::Bound { name: name.into(), row, quantity, value, limit })
}

const LAID_OUT: &str = "the reader puts each kind of weight in its place";
const I32_LIMIT: i128 = i32::MAX as i128;
/// |xn|, LayerNorm's Q26 value over sqrt(width): at most 1, and what floors of s and d11 add.
const XN_REACH: i128 = (1 << 26) + (1 << 17);
/// |ctx|: a weighted mean of values within +-4095, in Q12 of Q8; the floor in the mantissa adds a little.
const CONTEXT_REACH: i128 = 1 << 16;
/// Largest FFN-down input: h at its clamp plus the GELU offset.
const FFN_REACH: i128 = 32767 + GELU_OFFSET as i128;
