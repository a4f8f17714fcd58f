//! The checks an integer model must pass before anything runs on it: shapes, ranges and the overflow bounds of
//! `numerics.md` section 4, from the shipped integers themselves.

use super::build::{self, Op, Q_EMBEDDING};
use super::error::IntModelError;
use super::tables;
use super::tensors::IntTensors;
use crate::bert::BertConfig;

impl IntTensors {
    /// Checks shapes, element ranges and accumulator bounds; the config comes from the metadata. `vocab` is the
    /// tokenizer's to check.
    pub fn validate(&self) -> Result<BertConfig, IntModelError> {
        for (key, wanted) in [("format", Self::FORMAT), ("numerics", Self::NUMERICS)] {
            let value = self.text(key)?;
            if value != wanted {
                return Err(IntModelError::Metadata { key: key.into(), value: value.into() });
            }
        }
        let config = self.config()?;
        let hidden_groups = self.group_sizes("hidden_groups", Some(config.hidden_size), 4)?;
        let ffn_groups = self.group_sizes("ffn_groups", None, 16)?;
        let ffn: usize = ffn_groups.iter().sum();
        let check = Check { model: self, config: &config, hidden: config.hidden_size, ffn };
        check.tables()?;
        check.embedding()?;
        let mut reach = check.norm("ln0")?;
        for layer in 0..config.num_hidden_layers {
            for op in [Op::Query, Op::Key, Op::Value] {
                check.gemm(layer, op, reach, 0, &hidden_groups)?;
            }
            check.gemm(layer, Op::Output, CONTEXT_REACH, reach, &[config.hidden_size])?;
            reach = check.norm(&format!("layer.{layer}.ln1"))?;
            check.gemm(layer, Op::Up, reach, 0, &hidden_groups)?;
            check.gemm(layer, Op::Down, FFN_REACH, reach, &ffn_groups)?;
            check.corrections(layer, &ffn_groups)?;
            reach = check.norm(&format!("layer.{layer}.ln2"))?;
        }
        Ok(config)
    }

    /// A list of group sizes, each a multiple of `multiple`, with the given sum.
    fn group_sizes(
        &self,
        key: &str,
        sum: Option<usize>,
        multiple: usize,
    ) -> Result<Vec<usize>, IntModelError> {
        let groups = self.groups(key)?;
        let sizes = groups.iter().all(|&g| g > 0 && g % multiple == 0);
        let total: usize = groups.iter().sum();
        if groups.is_empty() || !sizes || sum.is_some_and(|sum| sum != total) {
            return Err(IntModelError::Metadata { key: key.into(), value: self.text(key)?.into() });
        }
        Ok(groups)
    }
}

struct Check<'a> {
    model: &'a IntTensors,
    config: &'a BertConfig,
    hidden: usize,
    /// Feed-forward units, copies included.
    ffn: usize,
}

impl Check<'_> {
    fn tables(&self) -> Result<(), IntModelError> {
        let exp2 = self.model.get::<u16>("exp2", &[256])?;
        equal(
            "exp2",
            exp2,
            &tables::exp2(self.config.probability_levels()),
            "the table of its number of levels",
        )?;
        let gelu = self.model.get::<u8>("gelu", &[tables::GELU_ENTRIES])?;
        equal("gelu", gelu, &tables::gelu(), "the GELU table")?;
        let mut seen = vec![false; self.hidden];
        for (index, &channel) in self.model.get::<u16>("perm", &[self.hidden])?.iter().enumerate() {
            let new = seen.get_mut(usize::from(channel)).is_some_and(|seen| !std::mem::replace(seen, true));
            ensure(new, "perm", index, channel.into(), "a channel that occurs once")?;
        }
        Ok(())
    }

    fn embedding(&self) -> Result<(), IntModelError> {
        let (vocab, tokens) = (self.config.vocab_size, self.config.max_tokens);
        symmetric("word", self.model.get("word", &[vocab, self.hidden])?)?;
        let scales = self.model.get::<u16>("word_s", &[vocab])?;
        self.model.get::<i16>("pos", &[tokens, self.hidden])?;
        let e = self.scalar("pos_e", 5..=Q_EMBEDDING)?;
        let (row, &scale) =
            scales.iter().enumerate().max_by_key(|(_, s)| **s).expect("a vocabulary has words");
        let value = 127 * i128::from(scale) + (1 << (15 + Q_EMBEDDING - e));
        bound(value, I32_LIMIT, "word", row, "emb.sum")
    }

    /// Checks a LayerNorm and returns the largest magnitude it can put out.
    fn norm(&self, name: &str) -> Result<i128, IntModelError> {
        let gains = self.model.get::<i16>(&format!("{name}.g"), &[self.hidden])?;
        let offsets = self.model.get::<i32>(&format!("{name}.b"), &[self.hidden])?;
        let e = self.scalar(&format!("{name}.e"), 3..=build::MAX_LN_E)?;
        let reach = |(&g, &b): (&i16, &i32)| {
            (((XN_REACH * i128::from(g.unsigned_abs())) >> 16) >> (e - 2)) + 2 + i128::from(b.unsigned_abs())
        };
        let (row, reach) = gains
            .iter()
            .zip(offsets)
            .map(reach)
            .enumerate()
            .max_by_key(|(_, r)| *r)
            .expect("hidden_size > 0");
        bound(reach * self.config.max_tokens as i128, I32_LIMIT, name, row, "pool.sum")?;
        Ok(reach)
    }

    /// Checks a GEMM whose input stays within `reach` and whose output is added to a stream within `residual`.
    fn gemm(
        &self,
        layer: usize,
        op: Op,
        reach: i128,
        residual: i128,
        groups: &[usize],
    ) -> Result<(), IntModelError> {
        let name = |field: &str| format!("layer.{layer}.{}.{field}", op.name());
        let rows = if op == Op::Up { self.ffn } else { self.hidden };
        let cols: usize = groups.iter().sum();
        let points = op.points();
        let q = self.model.get::<i8>(&name("q"), &[rows, cols])?;
        symmetric(&name("q"), q)?;
        let mc = self.model.get::<u16>(&name("mc"), &[rows])?;
        let b = self.model.get::<i32>(&name("b"), &[rows])?;
        let t = self.scalar(&name("t"), 0..=30)?;
        let s = self.scalar(&name("S"), 0..=build::MAX_S)?;
        for (row, weights) in q.chunks_exact(cols).enumerate() {
            let l1: i128 = weights.iter().map(|w| i128::from(w.unsigned_abs())).sum();
            let code_sum = (l1 * i128::from(points.levels)) << t;
            bound(code_sum << points.e_max, 1 << 30, &name("q"), row, "acc")?;
            // Token scale and group exponent together stay below twice the input: 2^(n + e_g) < 2 * reach.
            // Floors on the way are at most 4 units of the last left shift, which is at most lg(reach).
            let y = ((code_sum * 2 * reach * i128::from(mc[row])) >> (16 + s)) + 4 * reach;
            let value = y + i128::from(b[row].unsigned_abs()) + residual;
            bound(value, I32_LIMIT, &name("q"), row, "y")?;
        }
        Ok(())
    }

    fn corrections(&self, layer: usize, groups: &[usize]) -> Result<(), IntModelError> {
        let name = |field: &str| format!("layer.{layer}.down.{field}");
        let q = self.model.get::<i8>(&name("q"), &[self.hidden, self.ffn])?;
        let corr = self.model.get::<i32>(&name("corr"), &[groups.len(), self.hidden])?;
        equal(
            &name("corr"),
            corr,
            &build::corrections(q, groups, self.hidden),
            "127 times the group's row sum",
        )
    }

    fn scalar(&self, key: &str, range: std::ops::RangeInclusive<i32>) -> Result<i32, IntModelError> {
        let value = self.model.number(key)?;
        if range.contains(&value) {
            return Ok(value);
        }
        Err(IntModelError::Metadata { key: key.into(), value: value.to_string() })
    }
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

const I32_LIMIT: i128 = i32::MAX as i128;
/// |xn|, LayerNorm's Q26 value over sqrt(width): at most 1, and what floors of s and d11 add.
const XN_REACH: i128 = (1 << 26) + (1 << 17);
/// |ctx|: a weighted mean of values within +-4095, in Q12 of Q8; the floor in the mantissa adds a little.
const CONTEXT_REACH: i128 = 1 << 16;
/// Largest FFN-down input: h at its clamp plus the GELU offset.
const FFN_REACH: i128 = 32767 + build::GELU_OFFSET as i128;
