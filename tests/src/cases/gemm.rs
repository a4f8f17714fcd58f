//! Matrix products at the edge of their accumulators.

use plan::{Epilogue, Gemm, GemmSection, GemmWeight, MAX_GROUPS, RowScale, Step, Weight, WeightId};

use super::{Builder, Case};
use crate::lcg::Lcg;

/// Every epilogue over shapes and rows around the tiles engines use.
pub(super) fn cases() -> Vec<Case> {
    let shapes: [Shape; 6] = [
        Shape { groups: [4, 0, 0, 0], exponent_max: 0, sections: &[16], corrected: false },
        Shape { groups: [4, 12, 48, 320], exponent_max: 6, sections: &[384, 384, 384], corrected: false },
        Shape { groups: [384, 0, 0, 0], exponent_max: 0, sections: &[384], corrected: false },
        Shape { groups: [64, 1504, 0, 0], exponent_max: 5, sections: &[48], corrected: true },
        Shape { groups: [8, 4, 20, 0], exponent_max: 6, sections: &[32, 16], corrected: false },
        Shape { groups: [16, 240, 0, 0], exponent_max: 5, sections: &[80], corrected: true },
    ];
    let rows = [1, 2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 23, 24, 25, 33];
    let mut cases = Vec::new();
    for (s, shape) in shapes.iter().enumerate() {
        for (e, epilogue) in EPILOGUES.into_iter().enumerate() {
            for (i, codes) in
                [Codes::Random, Codes::Extreme, Codes::Sevenths, Codes::Sparse].into_iter().enumerate()
            {
                // Every row count with the small shapes; a walk through them with the large ones.
                let few = [rows[(s + 3 * e + 5 * i) % rows.len()], 12];
                let counts = if shape.groups.iter().sum::<usize>() < 64 { &rows[..] } else { &few };
                cases.extend(counts.iter().map(|&tokens| case(shape, epilogue, codes, tokens)));
            }
        }
    }
    cases
}

struct Shape {
    groups: [usize; MAX_GROUPS],
    exponent_max: u32,
    sections: &'static [usize],
    corrected: bool,
}

#[derive(Clone, Copy, Debug)]
enum Codes {
    Random,
    /// All +-127.
    Extreme,
    /// 126 at every seventh place: sums that are no multiples of 4.
    Sevenths,
    /// Few and small, so that left shifts of the result stay in range.
    Sparse,
}

impl Codes {
    fn draw(self, index: usize, lcg: &mut Lcg) -> i8 {
        match self {
            Codes::Random => lcg.within(-127..=127) as i8,
            Codes::Extreme if lcg.word() & 1 == 0 => -127,
            Codes::Extreme => 127,
            Codes::Sevenths if index % 7 == 0 => 126,
            Codes::Sevenths => 127,
            Codes::Sparse => i8::from(lcg.within(0..=15) == 0),
        }
    }
}

fn case(shape: &Shape, epilogue: Epilogue, kind: Codes, tokens: usize) -> Case {
    let k: usize = shape.groups.iter().sum();
    let mut lcg = Lcg::new((k * tokens) as u64);
    let weight = weight(shape, k, kind, &mut lcg);
    let outputs = weight.outputs();
    let mut rows = Vec::with_capacity(tokens * k);
    let mut scales = Vec::new();
    for _ in 0..tokens {
        let row: Vec<i8> = (0..k).map(|c| kind.draw(c, &mut lcg)).collect();
        scales.extend(scale(shape, kind, &row, &mut lcg).to_words());
        rows.extend(row.iter().map(|&c| c as u8));
    }
    let mut b = Builder::default();
    let codes = b.input(rows.chunks_exact(4).map(|q| u32::from_le_bytes([q[0], q[1], q[2], q[3]])).collect());
    let scales = b.input(scales);
    let words = if epilogue == Epilogue::Wide { outputs } else { outputs / 2 };
    let out = b.output(tokens * words);
    let step = Gemm { tokens, codes, scales, weight: WeightId(0), epilogue, out };
    let name = format!("{:?} x {:?}, {tokens} rows, {kind:?}, {epilogue:?}", shape.groups, shape.sections);
    let gelu = Weight::Gelu((0..1280).map(|i| ((i * 7) % 175) as u8).collect::<Vec<_>>().into());
    b.case(name, Step::Gemm(step), out, vec![Weight::Gemm(weight), gelu])
}

/// A row scale whose exponents reach the maximum, and whose shift spans what epilogues meet.
fn scale(shape: &Shape, kind: Codes, row: &[i8], lcg: &mut Lcg) -> RowScale {
    let mut scale = RowScale {
        log2: match kind {
            Codes::Sparse => lcg.within(4..=SCALE_SHIFT as i64 + 3),
            _ => lcg.within(0..=SCALE_SHIFT as i64 - 1),
        } as u32,
        mantissa: lcg.within(1 << 15..=65535) as u32,
        ..RowScale::default()
    };
    let mut start = 0;
    for (g, &width) in shape.groups.iter().enumerate().filter(|(_, w)| **w > 0) {
        let last = shape.groups.get(g + 1).is_none_or(|&next| next == 0);
        scale.exponents[g] = if last { 0 } else { lcg.within(0..=i64::from(shape.exponent_max)) as u8 };
        scale.sums[g] = row[start..start + width].iter().map(|&c| i32::from(c)).sum();
        start += width;
    }
    scale
}

/// Weights whose accumulators reach the 2^30 they may, and no further.
fn weight(shape: &Shape, k: usize, kind: Codes, lcg: &mut Lcg) -> GemmWeight<'static> {
    let input_max = if shape.corrected { 254 } else { 127i64 } << shape.exponent_max;
    let sections = shape.sections.iter().enumerate().map(|(i, &outputs)| {
        let dense = (1i64 << 30) / (127 * input_max) >= k as i64;
        let mut q: Vec<i8> = (0..outputs * k).map(|c| kind.draw(c / 3 + c, lcg)).collect();
        if !dense {
            let keep = ((1i64 << 30) / (127 * input_max)).max(1);
            let every = (k as i64 / keep + 1) as usize;
            q.iter_mut().enumerate().filter(|(c, _)| c % k % every != 0).for_each(|(_, q)| *q = 0);
        }
        let l1 =
            q.chunks_exact(k).map(|r| r.iter().map(|&q| i64::from(q).abs()).sum::<i64>()).max().unwrap_or(0);
        let room = ((1i64 << 30) / (l1 * input_max).max(1)).max(1).ilog2();
        let correction = shape.corrected.then(|| correction(shape, outputs, &q).into());
        let sparse = matches!(kind, Codes::Sparse);
        GemmSection {
            outputs,
            q: Box::leak(q.into_boxed_slice()),
            mc: lcg.many::<u16>(outputs, 30000..=65535).into(),
            bias: lcg.many::<i32>(outputs, -(1 << 20)..=1 << 20).into(),
            correction,
            accumulator_shift: if sparse { room.min(4) } else { room.min(12) },
            scale_shift: SCALE_SHIFT + i as i32,
        }
    });
    GemmWeight { k, groups: shape.groups, sections: sections.collect() }
}

/// 127 times the row sum of each group.
fn correction(shape: &Shape, outputs: usize, q: &[i8]) -> Vec<i32> {
    let k: usize = shape.groups.iter().sum();
    let mut values = Vec::new();
    let mut start = 0;
    for &width in shape.groups.iter().filter(|&&w| w > 0) {
        let sum = |row: &[i8]| 127 * row[start..start + width].iter().map(|&q| i32::from(q)).sum::<i32>();
        values.extend(q.chunks_exact(k).take(outputs).map(sum));
        start += width;
    }
    values
}

const SCALE_SHIFT: i32 = 14;
const EPILOGUES: [Epilogue; 3] =
    [Epilogue::Wide, Epilogue::Clamp { limit: 4095 }, Epilogue::Gelu { table: WeightId(1), offset: 174 }];
