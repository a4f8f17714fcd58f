//! Stages of a forward pass, the matrix product apart.

use plan::{
    Attention, Embed, EmbeddingWeight, LayerNorm, NormWeight, Pool, PoolKind, Quantise, SCALE_WORDS, Signal,
    Step, Weight, WeightId,
};

use super::{Builder, Case, pairs, rows, words};
use crate::lcg::Lcg;

/// First row and length: for every row, or once per sequence.
fn spans(lengths: &[usize], per_row: bool) -> Vec<u32> {
    let mut first = 0;
    let mut spans = Vec::new();
    for &len in lengths {
        (0..if per_row { len } else { 1 }).for_each(|_| spans.extend([first as u32, len as u32]));
        first += len;
    }
    spans
}

pub(super) fn embed() -> Vec<Case> {
    let mut cases = Vec::new();
    for (width, lengths) in [(32, vec![1]), (64, vec![3, 1, 7]), (384, vec![31, 2, 32])] {
        for extreme in [false, true] {
            let mut lcg = Lcg::new(width as u64);
            let (vocab, positions, tokens) = (17, 40, lengths.iter().sum::<usize>());
            let word: Vec<i8> =
                if extreme { vec![-127; vocab * width] } else { lcg.many(vocab * width, -127..=127) };
            let table = EmbeddingWeight {
                width,
                word: Box::leak(word.into_boxed_slice()),
                word_scale: if extreme {
                    vec![65535; vocab].into()
                } else {
                    lcg.many::<u16>(vocab, 1..=65535).into()
                },
                position: lcg.many::<i16>(positions * width, -32768..=32767).into(),
                position_shift: 6,
            };
            let mut b = Builder::default();
            let ids = b.input(lcg.many(tokens, 0..=16));
            let spans = b.input(spans(&lengths, true));
            let out = b.output(tokens * width);
            let step = Step::Embed(Embed { tokens, width, ids, spans, table: WeightId(0), out });
            let name = format!("width {width}, lengths {lengths:?}, extreme {extreme}");
            cases.push(b.case(name, step, out, vec![Weight::Embedding(table)]));
        }
    }
    cases
}

pub(super) fn layernorm() -> Vec<Case> {
    let mut cases = Vec::new();
    for width in [32, 64, 384, 480] {
        for (exponent, gain_max) in [(3, 32767), (10, 20000), (14, 300)] {
            for with_residual in [false, true] {
                let mut lcg = Lcg::new((width + exponent) as u64);
                let input = rows::signed(width, 29, &mut lcg);
                let tokens = input.len() / width;
                let residual: Vec<i32> = lcg.many(input.len(), -(1 << 20)..=1 << 20);
                let norm = NormWeight {
                    gain: lcg.many::<i16>(width, -gain_max..=gain_max).into(),
                    exponent: exponent as u32,
                    bias: lcg.many::<i32>(width, -(1 << 24)..=1 << 24).into(),
                };
                let mut b = Builder::default();
                let input = b.input(words(&input));
                let residual = with_residual.then(|| b.input(words(&residual)));
                let out = b.output(tokens * width);
                let norm_id = WeightId(0);
                let step = Step::LayerNorm(LayerNorm { tokens, width, input, residual, norm: norm_id, out });
                let name = format!("width {width}, exponent {exponent}, residual {with_residual}");
                cases.push(b.case(name, step, out, vec![Weight::Norm(norm)]));
            }
        }
    }
    cases
}

pub(super) fn quantise() -> Vec<Case> {
    let layouts: [([usize; 4], u32); 5] = [
        ([384, 0, 0, 0], 0),
        ([4, 12, 48, 320], 6),
        ([64, 1504, 0, 0], 5),
        ([4, 28, 0, 0], 5),
        ([8, 4, 20, 0], 6),
    ];
    let mut cases = Vec::new();
    for (groups, exponent_max) in layouts {
        let width: usize = groups.iter().sum();
        for signal in [Signal::Signed, Signal::Offset] {
            let mut lcg = Lcg::new(width as u64);
            let input = match signal {
                Signal::Signed => rows::grouped(&groups, 23, exponent_max, &mut lcg),
                Signal::Offset => {
                    rows::grouped(&groups, 15, exponent_max, &mut lcg).iter().map(|v| v.abs()).collect()
                }
            };
            let tokens = input.len() / width;
            for output_scales in [false, true] {
                let mut b = Builder::default();
                let packed = if signal == Signal::Signed { words(&input) } else { pairs(&input) };
                let buffer = b.input(packed);
                let (codes, scales) = (b.output(tokens * width / 4), b.output(tokens * SCALE_WORDS));
                let input = buffer;
                let step = Quantise { tokens, width, signal, input, groups, exponent_max, codes, scales };
                let name = format!("groups {groups:?}, {signal:?}, scales {output_scales}");
                let output = if output_scales { scales } else { codes };
                cases.push(b.case(name, Step::Quantise(step), output, vec![]));
            }
        }
    }
    cases
}

pub(super) fn attention() -> Vec<Case> {
    let lengths: [&[usize]; 8] =
        [&[1], &[2, 1, 3], &[7, 8, 9], &[15, 16, 17], &[31, 32, 33], &[64, 1, 65], &[256], &[512]];
    let kinds: [(&str, i64); 5] =
        [("all equal", 0), ("tiny", 3), ("moderate", 300), ("wide", 4095), ("extreme", -1)];
    let mut cases = Vec::new();
    for lengths in lengths {
        for (kind, size) in kinds {
            let heads = if lengths.len() > 1 { 2 } else { 1 };
            let (tokens, longest) =
                (lengths.iter().sum::<usize>(), *lengths.iter().max().expect("not empty"));
            let mut lcg = Lcg::new(tokens as u64);
            let qkv: Vec<i32> = match kind {
                "all equal" => vec![4095; tokens * 3 * heads * 32],
                "extreme" => (0..tokens * 3 * heads * 32)
                    .map(|_| if lcg.word() & 1 == 0 { 4095 } else { -4095 })
                    .collect(),
                _ => lcg.many(tokens * 3 * heads * 32, -size..=size),
            };
            let mut b = Builder::default();
            let qkv = b.input(pairs(&qkv));
            let spans = b.input(spans(lengths, true));
            let out = b.output(tokens * heads * 32);
            let step = Attention { tokens, heads, longest, qkv, spans, exp: WeightId(0), out };
            let exp = Weight::Exp(exp_table(if longest > 256 { 1023 } else { 2047 }).into());
            cases.push(b.case(format!("lengths {lengths:?}, {kind}"), Step::Attention(step), out, vec![exp]));
        }
    }
    cases
}

fn exp_table(levels: u32) -> Vec<u16> {
    (0..256)
        .map(|i| (f64::from(levels * 16) * (-(f64::from(i) + 0.5) / 256.0).exp2()).round() as u16)
        .collect()
}

pub(super) fn pool() -> Vec<Case> {
    let lengths: [&[usize]; 4] = [&[1], &[1, 2, 3], &[33, 1, 16], &[256, 5]];
    let mut cases = Vec::new();
    for (i, lengths) in lengths.into_iter().enumerate() {
        for kind in [PoolKind::Sum, PoolKind::First] {
            for (size, width) in [(0, 64), (1, 32), (1 << 12, 384), (1 << 17, 480)] {
                let tokens = lengths.iter().sum::<usize>();
                let mut lcg = Lcg::new((tokens + i) as u64);
                let mut input: Vec<i32> = lcg.many(tokens * width, -size..=size);
                if size == 1 << 17 {
                    input[..width].fill(1 << 17);
                }
                let places: Vec<u16> = (0..width as u16).map(|c| (c * 5 + 3) % width as u16).collect();
                let mut b = Builder::default();
                let input = b.input(words(&input));
                let spans = b.input(spans(lengths, false));
                let out = b.output(lengths.len() * width / 2);
                let (sequences, permutation) = (lengths.len(), WeightId(0));
                let step = Pool { sequences, width, kind, input, spans, permutation, out };
                let name = format!("lengths {lengths:?}, width {width}, up to {size}, {kind:?}");
                // 5 shares no factor with 32, 64 and 384; for 480 the reversal stands in.
                let places = if width == 480 { (0..480).rev().collect() } else { places };
                cases.push(b.case(name, Step::Pool(step), out, vec![Weight::Permutation(places.into())]));
            }
        }
    }
    cases
}
