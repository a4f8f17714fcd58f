//! The formulas of `numerics.md` section 3: from f32 weights and a layout to integers.
//!
//! Everything but the rounding of GEMM weights is fixed by formula. How weights are rounded (to the nearest, fed
//! forward by GPTQ, or read from a recipe) is the one thing that varies, behind [`Rounding`]. All arithmetic is f64
//! `+ - * / sqrt floor ceil` in a fixed order, so that every target computes the same integers.

use super::error::QuantiseError;
use super::float::{FloatBert, Linear, Norm};
use super::layout::Layout;
use super::tensors::{IntData, IntTensors};
use super::{Progress, tables};
use crate::bert::IntModelError;
use crate::bert::scheme::{
    FFN_EXPONENT_MAX, GELU_OFFSET, HIDDEN_EXPONENT_MAX, NORM_EXPONENT_MAX, Q_EMBEDDING, Q_FFN, Q_KEY,
    Q_QUERY, Q_VALUE, Q_X, SCALE_SHIFT_MAX,
};

/// Chooses the integer codes of a weight matrix.
pub(super) trait Rounding {
    /// Codes `[rows, cols]` with |code| <= the limit of its column, standing for `code * steps[row]`.
    fn round(&mut self, site: Site, matrix: &Scaled) -> Result<Vec<i32>, QuantiseError>;
}

/// Rounds every weight to the nearest code by itself.
pub(super) struct Nearest;

impl Rounding for Nearest {
    fn round(&mut self, _: Site, matrix: &Scaled) -> Result<Vec<i32>, QuantiseError> {
        let mut codes = Vec::with_capacity(matrix.weights.len());
        for (row, &step) in matrix.weights.chunks_exact(matrix.cols).zip(&matrix.steps) {
            codes.extend(
                row.iter().zip(&matrix.limits).map(|(w, &limit)| nearest_code(w / step, limit) as i32),
            );
        }
        Ok(codes)
    }
}

/// The nearest code within the limit; halves go up.
pub(super) fn nearest_code(scaled: f64, limit: f64) -> f64 {
    (scaled + 0.5).floor().clamp(-limit, limit)
}

/// Which weight matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) layer: usize,
    pub(super) op: Op,
}

/// The GEMMs of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Query,
    Key,
    Value,
    Output,
    Up,
    Down,
}

impl Op {
    pub(super) const ALL: [Self; 6] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Up, Self::Down];

    /// Its part of a tensor name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::Output => "o",
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// Fixed points of input and output, largest group exponent.
    pub(super) fn points(self) -> Points {
        let (f_in, f_out, e_max) = match self {
            Self::Query => (Q_X, Q_QUERY, HIDDEN_EXPONENT_MAX),
            Self::Key => (Q_X, Q_KEY, HIDDEN_EXPONENT_MAX),
            Self::Value => (Q_X, Q_VALUE, HIDDEN_EXPONENT_MAX),
            Self::Output => (Q_X, Q_X, 0),
            Self::Up => (Q_X, Q_FFN, HIDDEN_EXPONENT_MAX),
            Self::Down => (Q_FFN, Q_X, FFN_EXPONENT_MAX),
        };
        Points { f_in, f_out, e_max, levels: if self == Self::Down { 254 } else { 127 } }
    }
}

/// Number formats around a GEMM.
pub(super) struct Points {
    pub(super) f_in: i32,
    pub(super) f_out: i32,
    pub(super) e_max: u32,
    /// Largest activation code.
    pub(super) levels: u32,
}

/// A weight matrix in the integer model's order of rows and columns, with the step of each row.
pub(super) struct Scaled {
    pub(super) cols: usize,
    /// `[rows, cols]`
    pub(super) weights: Vec<f64>,
    /// `[rows]`
    pub(super) steps: Vec<f64>,
    /// `[cols]`, largest magnitude of a code
    pub(super) limits: Vec<f64>,
}

impl Scaled {
    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.weights[row * self.cols..][..self.cols]
    }
}

/// A GEMM before its codes are chosen.
pub(super) struct Prepared {
    pub(super) scaled: Scaled,
    /// mc of each row: step = mc * levels / 2^exponent.
    pub(super) multipliers: Vec<u16>,
    exponent: i32,
    /// Real bias, `[rows]`.
    bias: Vec<f64>,
    op: Op,
}

impl Prepared {
    /// The integer bias of a GEMM whose input has no offset.
    pub(super) fn plain_bias(&self) -> Vec<i32> {
        self.bias.iter().map(|&b| fixed(b, self.op.points().f_out)).collect()
    }
}

/// Builds the integer model. `progress` runs over the weight matrices and the embedding.
pub(super) fn build(
    float: &FloatBert,
    layout: &Layout,
    rounding: &mut dyn Rounding,
    progress: &mut dyn FnMut(Progress),
) -> Result<IntTensors, QuantiseError> {
    let config = &float.config;
    let total = 1 + config.num_hidden_layers * Op::ALL.len();
    let mut done = 0;
    let mut step = || {
        done += 1;
        progress(Progress { step: "integers", done, total });
    };
    let mut out = IntTensors::default();
    out.set("format", IntTensors::FORMAT);
    out.set("numerics", IntTensors::NUMERICS);
    out.set("config", serde_json::to_string(config).expect("a plain struct has a JSON form"));
    out.set("hidden_groups", format!("{:?}", layout.hidden_groups));
    out.set("ffn_groups", format!("{:?}", layout.ffn_groups));
    out.insert("perm", &[config.hidden_size], IntData::U16(layout.perm.clone()));
    out.insert("exp2", &[256], IntData::U16(tables::exp2(config.probability_levels())));
    out.insert("gelu", &[tables::GELU_ENTRIES], IntData::U8(tables::gelu()));
    embedding(float, &layout.perm, &mut out);
    norm(&float.norm, &layout.perm, "ln0", &mut out);
    step();
    for layer in 0..config.num_hidden_layers {
        for op in Op::ALL {
            let site = Site { layer, op };
            let prepared = prepare(float, &layout.perm, Some(layout), site);
            let codes = rounding.round(site, &prepared.scaled)?;
            finish(&prepared, &codes, layout, site, &mut out)?;
            step();
        }
        norm(&float.layers[layer].norm1, &layout.perm, &format!("layer.{layer}.ln1"), &mut out);
        norm(&float.layers[layer].norm2, &layout.perm, &format!("layer.{layer}.ln2"), &mut out);
    }
    Ok(out)
}

/// Orders rows and columns of a matrix and chooses its steps. Without `copies` every column may reach 127.
pub(super) fn prepare(float: &FloatBert, perm: &[u16], copies: Option<&Layout>, site: Site) -> Prepared {
    let (hidden, ffn) = (float.config.hidden_size, float.config.intermediate_size);
    let layer = &float.layers[site.layer];
    let identity: Vec<u16> = (0..hidden.max(ffn) as u16).collect();
    let query_scale = std::f64::consts::LOG2_E / 32f64.sqrt();
    let (Linear { weight, bias }, rows, columns, multiplier) = match site.op {
        Op::Query => (&layer.query, &identity[..hidden], perm, query_scale),
        Op::Key => (&layer.key, &identity[..hidden], perm, 1.0),
        Op::Value => (&layer.value, &identity[..hidden], perm, 1.0),
        Op::Output => (&layer.output, perm, &identity[..hidden], 1.0),
        Op::Up => (&layer.up, &identity[..ffn], perm, 1.0),
        Op::Down => (&layer.down, perm, &identity[..ffn], 1.0),
    };
    let cols = columns.len();
    let mut weights = Vec::with_capacity(rows.len() * cols);
    for &row in rows {
        let row = &weight[usize::from(row) * cols..][..cols];
        weights.extend(columns.iter().map(|&c| f64::from(row[usize::from(c)]) * multiplier));
    }
    let mut limits = vec![127.0; cols];
    if let (Op::Down, Some(layout)) = (site.op, copies) {
        let copies = layout.copies(site.layer, ffn);
        limits = copies.into_iter().map(|k| 127.0 * k as f64).collect();
    }
    let points = site.op.points();
    let wanted = weights
        .chunks_exact(cols)
        .map(|row| row.iter().zip(&limits).map(|(w, limit)| w.abs() / limit).fold(0.0, f64::max));
    let most = SCALE_SHIFT_MAX - 15 - points.f_in + points.f_out + 32;
    let (multipliers, exponent) = steps(&wanted.collect::<Vec<f64>>(), f64::from(points.levels), most);
    let steps =
        multipliers.iter().map(|&mc| f64::from(mc) * f64::from(points.levels) / pow2(exponent)).collect();
    let bias = rows.iter().map(|&r| f64::from(bias[usize::from(r)]) * multiplier).collect();
    Prepared { scaled: Scaled { cols, weights, steps, limits }, multipliers, exponent, bias, op: site.op }
}

/// Row steps as dyadic multiples: step = mc * levels / 2^P, at least the wanted one, with P as large as u16 allows.
fn steps(wanted: &[f64], levels: f64, most: i32) -> (Vec<u16>, i32) {
    let largest = wanted.iter().copied().fold(0.0, f64::max);
    let exponent = if largest > 0.0 { floor_log2(65535.0 * levels / largest).min(most) } else { most };
    // A row of zeros still needs a step to be divided by.
    let mc = |s: &f64| (s * pow2(exponent) / levels).ceil().clamp(1.0, 65535.0) as u16;
    (wanted.iter().map(mc).collect(), exponent)
}

/// Stores a GEMM with its chosen codes.
fn finish(
    prepared: &Prepared,
    codes: &[i32],
    layout: &Layout,
    site: Site,
    out: &mut IntTensors,
) -> Result<(), QuantiseError> {
    let op = site.op;
    let points = op.points();
    let Scaled { cols, steps, .. } = &prepared.scaled;
    let rows = steps.len();
    let sums = |abs: bool| {
        codes
            .chunks_exact(*cols)
            .map(move |r| r.iter().map(|&c| i64::from(if abs { c.abs() } else { c })).sum())
    };
    let heaviest: i64 = sums(true).max().unwrap_or(0);
    let reach = (heaviest.max(1) as u64 * u64::from(points.levels)) << points.e_max;
    let s_without_t = prepared.exponent + 15 + points.f_in - points.f_out - 32;
    let t = (30 - ceil_log2(reach)).min(SCALE_SHIFT_MAX - s_without_t);
    let name = |field: &str| format!("layer.{}.{}.{field}", site.layer, op.name());
    if t < 0 {
        let (value, limit) = (i128::from(reach), 1 << 30);
        let row = sums(true).position(|l1: i64| l1 == heaviest).unwrap_or(0);
        return Err(IntModelError::Bound { name: name("q"), row, quantity: "acc", value, limit }.into());
    }
    out.set(name("t"), t);
    out.set(name("S"), s_without_t + t);
    let order = &layout.units[site.layer];
    match op {
        Op::Up => {
            let gather = |unit: &u16| codes[usize::from(*unit) * cols..][..*cols].iter().map(|&c| c as i8);
            out.insert(
                name("q"),
                &[order.len(), *cols],
                IntData::I8(order.iter().flat_map(gather).collect()),
            );
            let mc = order.iter().map(|&u| prepared.multipliers[usize::from(u)]).collect();
            out.insert(name("mc"), &[order.len()], IntData::U16(mc));
            let plain = prepared.plain_bias();
            let bias = order.iter().map(|&u| plain[usize::from(u)]).collect();
            out.insert(name("b"), &[order.len()], IntData::I32(bias));
            return Ok(());
        }
        Op::Down => {
            let split = split_copies(codes, *cols, order);
            let groups = &layout.ffn_groups;
            let corr = corrections(&split, groups, rows);
            out.insert(name("corr"), &[groups.len(), rows], IntData::I32(corr));
            out.insert(name("q"), &[rows, order.len()], IntData::I8(split));
            // GELU outputs are stored raised by GELU_OFFSET; the bias takes the offset's share off again.
            let offset = -f64::from(GELU_OFFSET) / pow2(points.f_in);
            let shifted = prepared.bias.iter().zip(sums(false).zip(steps));
            let bias =
                shifted.map(|(&b, (sum, &s))| fixed(b + offset * (sum as f64 * s), points.f_out)).collect();
            out.insert(name("b"), &[rows], IntData::I32(bias));
        }
        _ => {
            let q = codes.iter().map(|&c| c as i8).collect();
            out.insert(name("q"), &[rows, *cols], IntData::I8(q));
            out.insert(name("b"), &[rows], IntData::I32(prepared.plain_bias()));
        }
    }
    out.insert(name("mc"), &[rows], IntData::U16(prepared.multipliers.clone()));
    Ok(())
}

/// Spreads the code of a unit over its copies: |code| / n each, the remainder to the first ones.
fn split_copies(codes: &[i32], cols: usize, order: &[u16]) -> Vec<i8> {
    let mut copies = vec![0i32; cols];
    let ranks: Vec<i32> = order
        .iter()
        .map(|&unit| {
            copies[usize::from(unit)] += 1;
            copies[usize::from(unit)] - 1
        })
        .collect();
    let mut split = Vec::with_capacity(codes.len() / cols * order.len());
    for row in codes.chunks_exact(cols) {
        split.extend(order.iter().zip(&ranks).map(|(&unit, &rank)| {
            let (code, n) = (row[usize::from(unit)], copies[usize::from(unit)]);
            let share = code.abs() / n + i32::from(rank < code.abs() % n);
            (code.signum() * share) as i8
        }));
    }
    split
}

/// 127 times the row sums of each group, `[groups, rows]`: the activation codes of FFN-down stand for code + 127.
pub(super) fn corrections(q: &[i8], groups: &[usize], rows: usize) -> Vec<i32> {
    let width: usize = groups.iter().sum();
    let mut corr = Vec::with_capacity(groups.len() * rows);
    let mut start = 0;
    for group in groups {
        let sums = q
            .chunks_exact(width)
            .map(|row| row[start..start + group].iter().map(|&c| i32::from(c)).sum::<i32>());
        corr.extend(sums.map(|sum| 127 * sum));
        start += group;
    }
    corr
}

fn embedding(float: &FloatBert, perm: &[u16], out: &mut IntTensors) {
    let (h, vocab, tokens) = (perm.len(), float.config.vocab_size, float.config.max_tokens);
    let one = pow2(Q_EMBEDDING);
    let mut word = Vec::with_capacity(vocab * h);
    let mut scales = Vec::with_capacity(vocab);
    for row in float.word.chunks_exact(h) {
        let largest = row.iter().map(|w| f64::from(w.abs())).fold(0.0, f64::max);
        let scale = (largest * one / 127.0).ceil().clamp(1.0, 65535.0);
        scales.push(scale as u16);
        let code = |&c: &u16| nearest_code(f64::from(row[usize::from(c)]) * one / scale, 127.0) as i8;
        word.extend(perm.iter().map(code));
    }
    // The published sum of position and type rows is in f32.
    let sums = float.position[..tokens * h].chunks_exact(h).flat_map(|row| {
        perm.iter().map(|&c| f64::from(row[usize::from(c)] + float.token_type[usize::from(c)]))
    });
    let sums: Vec<f64> = sums.collect();
    let e = headroom(sums.iter().copied()).min(Q_EMBEDDING);
    out.insert("word", &[vocab, h], IntData::I8(word));
    out.insert("word_s", &[vocab], IntData::U16(scales));
    out.insert("pos", &[tokens, h], IntData::I16(sums.iter().map(|&x| fixed_i16(x, e)).collect()));
    out.set("pos_e", e);
}

fn norm(norm: &Norm, perm: &[u16], name: &str, out: &mut IntTensors) {
    let root = (perm.len() as f64).sqrt();
    let gains: Vec<f64> = perm.iter().map(|&c| f64::from(norm.gamma[usize::from(c)]) * root).collect();
    let e = headroom(gains.iter().copied()).min(NORM_EXPONENT_MAX);
    let b = perm.iter().map(|&c| fixed(f64::from(norm.beta[usize::from(c)]), Q_X)).collect();
    out.insert(
        format!("{name}.g"),
        &[perm.len()],
        IntData::I16(gains.iter().map(|&g| fixed_i16(g, e)).collect()),
    );
    out.insert(format!("{name}.b"), &[perm.len()], IntData::I32(b));
    out.set(format!("{name}.e"), e);
}

/// Fractional bits that bring the largest magnitude into [2^14, 2^15).
fn headroom(values: impl Iterator<Item = f64>) -> i32 {
    let largest = values.map(f64::abs).fold(0.0, f64::max);
    if largest > 0.0 { 14 - floor_log2(largest) } else { 14 }
}

/// round(value * 2^bits), saturating; validation rejects what saturates.
fn fixed(value: f64, bits: i32) -> i32 {
    (value * pow2(bits) + 0.5).floor() as i32
}

fn fixed_i16(value: f64, bits: i32) -> i16 {
    (value * pow2(bits) + 0.5).floor() as i16
}

/// floor(log2 x) of a normal positive number, from its exponent bits.
fn floor_log2(x: f64) -> i32 {
    (x.to_bits() >> 52) as i32 - 1023
}

/// ceil(log2 n), n >= 1.
fn ceil_log2(n: u64) -> i32 {
    64 - (n - 1).leading_zeros() as i32
}

/// 2^e for an exponent of a normal number.
pub(super) fn pow2(e: i32) -> f64 {
    f64::from_bits(((1023 + e.clamp(-1022, 1023)) as u64) << 52)
}
