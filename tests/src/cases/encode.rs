//! Floats at the edges of rounding: ties, subnormals, the ends of the format.

use plan::{ENCODE_MIN, Encode, Range, Step};

use super::{Builder, Case, bits_of};
use crate::lcg::Lcg;

pub(super) fn cases() -> Vec<Case> {
    let steps = [1.0, 0.1, 1.0 / 3.0, 3.0, 0.007_812_5, ENCODE_MIN, 1.0 / ENCODE_MIN, 1.234_567e-20, 9.87e25];
    let ranges = steps.map(|step| Range::Fixed { step });
    let mut cases = Vec::new();
    for width in [4, 60, 384] {
        for range in ranges.iter().copied().chain([Range::Row]) {
            let input = rows(width, range, &mut Lcg::new(width as u64));
            let rows = input.len() / width;
            for output_steps in [false, true] {
                let mut b = Builder::default();
                let input = b.input(bits_of(&input));
                let (codes, steps) = (b.output(rows * width / 4), b.output(rows));
                let step = Step::Encode(Encode { rows, width, range, input, codes, steps });
                let name = format!("width {width}, {range:?}, steps {output_steps}");
                cases.push(b.case(name, step, if output_steps { steps } else { codes }, vec![]));
            }
        }
    }
    cases
}

fn rows(width: usize, range: Range, lcg: &mut Lcg) -> Vec<f32> {
    let mut rows = Vec::new();
    let tiny = f32::from_bits(1);
    let least = ENCODE_MIN.to_bits();
    let around = [least - 1, least, least + 1].map(f32::from_bits);
    for size in
        [0.0, -0.0, tiny, f32::MIN_POSITIVE, 1.0, 127.0, 126.99999, 1e30, f32::MAX].into_iter().chain(around)
    {
        rows.extend((0..width).map(|c| if c % 2 == 0 { size } else { -size }));
        rows.extend((0..width).map(|c| if c == width - 1 { -size } else { tiny * c as f32 }));
        rows.extend((0..width).map(|_| size * (lcg.within(-1 << 24..=1 << 24) as f32 / (1 << 24) as f32)));
    }
    // Ties and their neighbours, in steps of the row.
    for most in [127.0f32, 1.0, 0.3, 1e-29, 3e38, 1.000_000_1, 254.0, 1.999_999_9, ENCODE_MIN] {
        let step = match range {
            Range::Row => most / 127.0,
            Range::Fixed { step } => step,
        };
        for offset in [-1i32, 0, 1] {
            let near = |c: usize| {
                let tie = (lcg.within(-129..=128) as f32 + 0.5) * step;
                let moved = f32::from_bits(tie.to_bits().wrapping_add_signed(offset));
                let moved = if moved.is_finite() { moved } else { step };
                match range {
                    Range::Row if c == 0 => most,
                    Range::Row => moved.clamp(-most, most),
                    Range::Fixed { .. } => moved,
                }
            };
            rows.extend((0..width).map(near));
        }
    }
    for _ in 0..8 {
        rows.extend(
            (0..width).map(|_| f32::from_bits(lcg.word())).map(|x| if x.is_finite() { x } else { 1.5 }),
        );
    }
    rows
}
