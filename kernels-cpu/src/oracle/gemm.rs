use plan::{GemmSection, RowScale, SCALE_WORDS};

use super::{
    Trace,
    math::{ms16, rsh},
    quantise::group_ranges,
};
use crate::{GemmArgs, GemmInput, Output};

/// Steps 5, 6 and 9: exact dot products per group, shifted, summed, scaled, bias, epilogue.
pub fn gemm(args: GemmArgs<'_>, trace: &mut impl Trace) {
    let GemmArgs { input, mut output } = args;
    let outputs = input.weight.outputs();
    for row in 0..input.codes.len() / input.weight.k {
        let mut column = 0;
        for (part, section) in input.weight.sections.iter().enumerate() {
            for o in 0..section.outputs {
                let y = output_value(&input, row, part, section, o, trace);
                store(&mut output, row * outputs + column, y, trace, part);
                column += 1;
            }
        }
    }
}

fn output_value(
    input: &GemmInput<'_>,
    row: usize,
    part: usize,
    section: &GemmSection<'_>,
    o: usize,
    trace: &mut impl Trace,
) -> i64 {
    let k = input.weight.k;
    let scale = RowScale::from_words(&input.scales[row * SCALE_WORDS..]);
    let (codes, q) = (&input.codes[row * k..(row + 1) * k], &section.q[o * k..(o + 1) * k]);
    let mut sum = 0;
    for (g, range) in group_ranges(input.weight.groups).into_iter().enumerate() {
        let mut dot: i64 = range.map(|c| i64::from(codes[c]) * i64::from(q[c])).sum();
        trace.record("acc_g", part * plan::MAX_GROUPS + g, dot);
        if let Some(correction) = &section.correction {
            dot += i64::from(correction[g * section.outputs + o]);
            trace.record("acc_g+corr", part * plan::MAX_GROUPS + g, dot);
        }
        sum += dot << (u32::from(scale.exponents[g]) + section.accumulator_shift);
    }
    trace.record("acc", part, sum);
    let product = i64::from(scale.mantissa) * i64::from(section.mc[o]) + 32768;
    trace.record("epi.M*mc", part, product);
    let v = ms16(sum, product >> 16);
    trace.record("epi.v", part, v);
    let shift = i64::from(section.scale_shift) - i64::from(scale.log2);
    let y = if shift >= 1 { rsh(v, shift) } else { v << -shift } + i64::from(section.bias[o]);
    trace.record("out", part, y);
    y
}

fn store(output: &mut Output<'_>, index: usize, y: i64, trace: &mut impl Trace, part: usize) {
    match output {
        Output::Wide(out) => out[index] = y as i32,
        Output::Clamp { limit, out } => {
            let y = y.clamp(i64::from(-*limit), i64::from(*limit));
            trace.record("clamped", part, y);
            out[index] = y as i16;
        }
        Output::Gelu { table, offset, out } => {
            let h = y.clamp(-32767, 32767);
            let tail = i64::from(table[(h.abs() >> 2).min(1279) as usize]);
            out[index] = (h.max(0) - tail + i64::from(*offset)) as u16;
        }
    }
}
