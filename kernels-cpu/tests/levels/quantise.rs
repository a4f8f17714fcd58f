use kernels_cpu::{Kernels, QuantiseArgs, QuantiseInput, oracle};

use crate::inputs::{Difference, Random, same, ugly_rows};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    // The scheme's range is amplitude * 2^exponent < 2^30.
    let edge = (1 << 29) - 1;
    for groups in
        [[4, 12, 48, 320], [384, 0, 0, 0], [64, 320, 0, 0], [4, 4, 4, 4], [4, 0, 0, 0], [20, 8, 0, 0]]
    {
        let width = groups.iter().sum();
        for exponent_max in [0, 5, 6] {
            let mut rows: Vec<_> = ugly_rows(width, -edge, edge, 2).into_iter().map(|r| r.1).collect();
            rows.extend(outliers(groups, edge));
            let x: Vec<i32> = rows.concat();
            let at = format!("signed, groups {groups:?}, exponent {exponent_max}");
            compare(kernels, &at, width, QuantiseInput::Signed(&x), groups, exponent_max)?;
            for x in &rows {
                compare(kernels, &at, width, QuantiseInput::Signed(x), groups, exponent_max)?;
            }
            cases += 1 + rows.len();
        }
    }
    for groups in [[64, 1504, 0, 0], [32, 0, 0, 0], [4, 12, 48, 320]] {
        let width = groups.iter().sum();
        for exponent_max in [0, 5] {
            let rows = ugly_rows(width, 0, 65535, 3).into_iter().map(|r| r.1).chain(outliers(groups, 65535));
            let x: Vec<u16> = rows.flatten().map(|v| v.unsigned_abs() as u16).collect();
            let at = format!("offset, groups {groups:?}, exponent {exponent_max}");
            compare(kernels, &at, width, QuantiseInput::Offset(&x), groups, exponent_max)?;
            cases += x.len() / width;
        }
    }
    compare(kernels, "no rows", 384, QuantiseInput::Signed(&[]), [384, 0, 0, 0], 6)?;
    Ok(cases + 1)
}

/// One huge value in one group each, down to just below and above each exponent.
fn outliers(groups: [usize; 4], edge: i64) -> Vec<Vec<i32>> {
    let width = groups.iter().sum();
    let mut random = Random(11);
    let mut rows = Vec::new();
    let mut start = 0;
    for group in groups.into_iter().filter(|&g| g > 0) {
        for scale in 0..10 {
            for nudge in [-1, 0, 1] {
                let mut row: Vec<i32> = random.values(width, -1000, 1000);
                row[start + group - 1] = ((1000i64 << scale) + nudge).min(edge) as i32;
                rows.push(row);
            }
        }
        start += group;
    }
    rows
}

fn compare(
    kernels: &dyn Kernels,
    case: &str,
    width: usize,
    input: QuantiseInput<'_>,
    groups: [usize; 4],
    exponent_max: u32,
) -> Result<(), Difference> {
    let rows = match input {
        QuantiseInput::Signed(x) => x.len() / width,
        QuantiseInput::Offset(x) => x.len() / width,
    };
    let run = |run: &dyn Fn(QuantiseArgs<'_>)| {
        let (mut codes, mut scales) = (vec![7; rows * width], vec![7; rows * 8]);
        let (c, s) = (&mut codes, &mut scales);
        run(QuantiseArgs { width, input, groups, exponent_max, codes: c, scales: s });
        (codes, scales)
    };
    let (codes, scales) = run(&|args| kernels.quantise(args));
    let (wanted_codes, wanted_scales) = run(&|args| oracle::quantise(args, &mut ()));
    same(&format!("{case}, scales"), &scales, &wanted_scales)?;
    same(&format!("{case}, codes"), &codes, &wanted_codes)
}
