use kernels_cpu::{GemmArgs, GemmInput, Kernels, Output, oracle};
use plan::{GemmSection, GemmWeight, MAX_GROUPS, RowScale};

use crate::inputs::{Difference, Random, same};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    let qkv = Shape { groups: [4, 12, 48, 320], sections: &[384, 384, 384], offset: false };
    let out = Shape { groups: [384, 0, 0, 0], sections: &[384], offset: false };
    let up = Shape { groups: [4, 12, 48, 320], sections: &[1568], offset: false };
    let down = Shape { groups: [64, 1504, 0, 0], sections: &[384], offset: true };
    for (shape, form) in [(qkv, Form::Clamp), (out, Form::Wide), (up, Form::Gelu), (down, Form::Wide)] {
        for rows in [1, 4, 13] {
            cases += compare(kernels, shape, rows, Fill::Random, form, 6)?;
        }
    }
    let small = Shape { groups: [4, 12, 48, 64], sections: &[16, 48, 32, 16], offset: false };
    for rows in (0..=26).chain([36, 47, 64]) {
        cases += compare(kernels, small, rows, Fill::Random, Form::Wide, 6)?;
    }
    for sections in [&[16][..], &[32], &[16, 32], &[64], &[80], &[16, 96]] {
        for rows in [1, 2, 3, 5, 6, 7, 12] {
            let shape = Shape { groups: [8, 4, 0, 0], sections, offset: true };
            cases += compare(kernels, shape, rows, Fill::Random, Form::Clamp, 5)?;
        }
    }
    for fill in [Fill::High, Fill::Low, Fill::Every7th, Fill::Zero, Fill::Turns] {
        for (form, offset) in [(Form::Wide, true), (Form::Clamp, false), (Form::Gelu, false)] {
            let shape = Shape { offset, ..small };
            cases += compare(kernels, shape, 13, fill, form, 6)?;
            cases += compare(kernels, Shape { groups: [384, 0, 0, 0], ..shape }, 5, fill, form, 0)?;
        }
    }
    Ok(cases)
}

#[derive(Clone, Copy)]
struct Shape {
    groups: [usize; MAX_GROUPS],
    sections: &'static [usize],
    /// Whether codes stand for 0..=254, so that the weights come with corrections.
    offset: bool,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Wide,
    Clamp,
    Gelu,
}

#[derive(Clone, Copy, Debug)]
enum Fill {
    Random,
    High,
    Low,
    Every7th,
    Zero,
    Turns,
}

impl Fill {
    fn codes(self, len: usize, random: &mut Random) -> Vec<i8> {
        match self {
            Fill::Random => random.values(len, -127, 127),
            Fill::High => vec![127; len],
            Fill::Low => vec![-127; len],
            Fill::Every7th => (0..len).map(|i| if i % 7 == 0 { 126 } else { 127 }).collect(),
            Fill::Zero => vec![0; len],
            Fill::Turns => (0..len).map(|i| if i % 2 == 0 { 127 } else { -127 }).collect(),
        }
    }
}

/// One section's owned numbers.
struct Section {
    q: Vec<i8>,
    mc: Vec<u16>,
    bias: Vec<i32>,
    correction: Option<Vec<i32>>,
    accumulator_shift: u32,
    scale_shift: i32,
}

/// Weights whose accumulator stays within 2^30, as the scheme's choice of shift guarantees.
fn sections(shape: Shape, fill: Fill, exponent: u32, random: &mut Random) -> Vec<Section> {
    let k: usize = shape.groups.iter().sum();
    let code = if shape.offset { 254 } else { 127 };
    let weights = |(i, &outputs): (usize, &usize)| {
        let q: Vec<i8> = fill.codes(outputs * k, random);
        let row = |row: &[i8]| row.iter().map(|&q| i64::from(q).abs()).sum::<i64>();
        let widest = (q.chunks_exact(k).map(row).max().unwrap_or(1).max(1) * code) << exponent;
        assert!(widest <= 1 << 30, "a case outside the scheme: {widest}");
        let accumulator_shift = ((1i64 << 30) / widest).ilog2().min(12);
        let mut bias: Vec<i32> = random.values(outputs, -(1 << 20), 1 << 20);
        (bias[0], bias[1]) = (0, 1 << 24);
        // Rows have log2 0..=22: shifts from 3 to the left (which only small steps bear) to beyond 32.
        let (scale_shift, step) = [(41, 65535), (19, 2000), (30, 65535), (22, 65535)][i % 4];
        let mut mc: Vec<u16> = random.values(outputs, 0, step);
        (mc[0], mc[1], mc[2]) = (0, step as u16, 1);
        let correction = shape.offset.then(|| corrections(&q, shape.groups));
        Section { q, mc, bias, correction, accumulator_shift, scale_shift }
    };
    shape.sections.iter().enumerate().map(weights).collect()
}

/// `[groups][outputs]`: 127 times the sum of a group's weights.
fn corrections(q: &[i8], groups: [usize; MAX_GROUPS]) -> Vec<i32> {
    let k = groups.iter().sum();
    let mut start = 0;
    let mut all = Vec::new();
    for group in groups.into_iter().filter(|&g| g > 0) {
        let sum = |row: &[i8]| row[start..start + group].iter().map(|&q| i32::from(q)).sum::<i32>();
        all.extend(q.chunks_exact(k).map(|row| 127 * sum(row)));
        start += group;
    }
    all
}

/// Codes and scales; exponents fall in the first rows and come in any order in the others.
fn rows(shape: Shape, count: usize, fill: Fill, exponent: u32, random: &mut Random) -> (Vec<i8>, Vec<u32>) {
    let (mut codes, mut scales) = (Vec::new(), Vec::new());
    for row in 0..count {
        let row_codes = fill.codes(shape.groups.iter().sum(), random);
        let used = shape.groups.iter().filter(|&&g| g > 0).count();
        let mut scale = RowScale {
            log2: random.within(0, 22) as u32,
            mantissa: [32768, 65535, random.within(32768, 65535) as u32][row % 3],
            ..RowScale::default()
        };
        let mut start = 0;
        for g in 0..used {
            let exponents = random.within(0, i64::from(exponent));
            scale.exponents[g] = if g + 1 < used { exponents as u8 } else { 0 };
            let group = &row_codes[start..start + shape.groups[g]];
            scale.sums[g] = group.iter().map(|&c| i32::from(c)).sum();
            start += shape.groups[g];
        }
        if row < 7 {
            scale.exponents[..used].sort_by(|a, b| b.cmp(a));
        }
        if row == 0 {
            scale.exponents[..used - 1].fill(exponent as u8);
        }
        // Quantised rows never have this; the sum is defined all the same.
        if row % 9 == 8 {
            scale.exponents[used - 1] = exponent.min(2) as u8;
        }
        codes.extend(row_codes);
        scales.extend(scale.to_words());
    }
    (codes, scales)
}

fn compare(
    kernels: &dyn Kernels,
    shape: Shape,
    count: usize,
    fill: Fill,
    form: Form,
    exponent: u32,
) -> Result<usize, Difference> {
    let mut random = Random(count as u64 + 100);
    // A matrix as wide as FFN-down keeps the scheme's bound only with the smaller exponent and milder rows.
    let exponent = if shape.offset { exponent.min(4) } else { exponent };
    let owned = sections(shape, fill, exponent, &mut random);
    let (codes, scales) = rows(shape, count, fill, exponent, &mut random);
    let section = |(s, &outputs): (&'_ Section, &usize)| GemmSection {
        outputs,
        q: Box::leak(s.q.clone().into_boxed_slice()),
        mc: s.mc.clone().into(),
        bias: s.bias.clone().into(),
        correction: s.correction.clone().map(Into::into),
        accumulator_shift: s.accumulator_shift,
        scale_shift: s.scale_shift,
    };
    let sections = owned.iter().zip(shape.sections).map(section).collect();
    let weight = GemmWeight { k: shape.groups.iter().sum(), groups: shape.groups, sections };
    let packed = kernels.pack(&weight);
    let gelu: Vec<u8> = (0..1280).map(|i| (i * 37 % 256) as u8).collect();
    let run = |run: &dyn Fn(GemmArgs<'_>)| {
        let mut words = vec![7; count * weight.outputs()];
        let out: &mut [u32] = &mut words;
        let output = match form {
            Form::Wide => Output::Wide(bytemuck::cast_slice_mut(out)),
            Form::Clamp => {
                let half = count * weight.outputs() / 2;
                Output::Clamp { limit: 4095, out: bytemuck::cast_slice_mut(&mut out[..half]) }
            }
            Form::Gelu => {
                let half = count * weight.outputs() / 2;
                Output::Gelu { table: &gelu, offset: 174, out: bytemuck::cast_slice_mut(&mut out[..half]) }
            }
        };
        let input = GemmInput { codes: &codes, scales: &scales, weight: weight.clone(), packed: &packed };
        run(GemmArgs { input, output });
        words
    };
    let found = run(&|args| kernels.gemm(args));
    let wanted = run(&|args| oracle::gemm(args, &mut ()));
    let case = format!("{:?} -> {:?}, {count} rows, {fill:?}, {form:?}", shape.groups, shape.sections);
    same(&case, &found, &wanted).map(|()| 1)
}
