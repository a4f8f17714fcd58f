use kernels_cpu::{EncodeArgs, Kernels, oracle};
use plan::{ENCODE_MIN, Range};

use crate::inputs::{Difference, Random, same};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    for width in [4, 8, 12, 16, 20, 32, 60, 64, 68, 100, 128, 384, 388, 1024] {
        let rows = rows(width);
        let fixed = [1.0, 0.25, 1e-3, 3e-10, 1e30, ENCODE_MIN, 1.0 / ENCODE_MIN, 1.0 / 127.0];
        for range in fixed.map(|step| Range::Fixed { step }).into_iter().chain([Range::Row]) {
            compare(kernels, width, range, &rows.concat())?;
            compare(kernels, width, range, &rows[cases % rows.len()])?;
            cases += rows.len() + 1;
        }
        compare(kernels, width, Range::Row, &[])?;
    }
    Ok(cases)
}

/// Rows of one kind of ugliness each.
fn rows(width: usize) -> Vec<Vec<f32>> {
    let mut random = Random(61);
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for value in [0.0, -0.0, 1.0, -1.0, 3e38, -f32::MAX, 1e-45, -1e-40, f32::MIN_POSITIVE, 0.5] {
        rows.push(vec![value; width]);
        let mut row = vec![0.0; width];
        row[width - 1] = value;
        rows.push(row);
    }
    for nudge in -1i32..=1 {
        rows.push(vec![f32::from_bits(ENCODE_MIN.to_bits().wrapping_add_signed(nudge)); width]);
    }
    // Exact halves of a step, and their neighbours.
    for scale in [1.0, 2.0f32.powi(-40), 2.0f32.powi(90)] {
        for nudge in -1i32..=1 {
            let half = |i: usize| (i as i32 % 256 - 128) as f32 + 0.5;
            let value = |i| f32::from_bits(half(i).to_bits().wrapping_add_signed(nudge)) * scale;
            let mut row: Vec<f32> = (0..width).map(value).collect();
            row[0] = 127.0 * scale;
            rows.push(row);
        }
    }
    for at in [0, 3, width / 2, width - 1] {
        for outlier in [1e6, -3e38, 1.01, 126.5] {
            let mut row = uniform(width, 1.0, &mut random);
            row[at] = outlier;
            rows.push(row);
        }
    }
    for exponent in -45..=38 {
        rows.push(uniform(width, 10.0f32.powi(exponent), &mut random));
    }
    rows
}

fn uniform(width: usize, edge: f32, random: &mut Random) -> Vec<f32> {
    (0..width).map(|_| random.within(-(1 << 24), 1 << 24) as f32 / (1 << 24) as f32 * edge).collect()
}

fn compare(kernels: &dyn Kernels, width: usize, range: Range, input: &[f32]) -> Result<(), Difference> {
    let run = |run: &dyn Fn(EncodeArgs<'_>)| {
        let (mut codes, mut steps) = (vec![7; input.len()], vec![7.0; input.len() / width]);
        run(EncodeArgs { width, range, input, codes: &mut codes, steps: &mut steps });
        (codes, steps.into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    let (codes, steps) = run(&|args| kernels.encode(args));
    let (wanted_codes, wanted_steps) = run(&|args| oracle::encode(args));
    let case = format!("width {width}, {range:?}");
    same(&format!("{case}, steps"), &steps, &wanted_steps)?;
    same(&format!("{case}, codes"), &codes, &wanted_codes)
}
