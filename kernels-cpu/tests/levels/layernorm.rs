use kernels_cpu::{Kernels, LayerNormArgs, oracle};
use plan::NormWeight;

use crate::inputs::{Difference, Random, same, ugly_rows};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    for width in [384, 32, 20, 768] {
        let mut random = Random(width as u64);
        // Beyond +-(2^22 - 1) the scheme clamps; the sum of input and residual is still far below 2^31.
        let rows = ugly_rows(width, -(1 << 29), 1 << 29, 1);
        for (exponent, edge) in [(3, 32767), (14, 32767), (9, 200), (16, 1)] {
            let mut gain: Vec<i16> = random.values(width, -edge, edge);
            (gain[0], gain[1]) = (i16::MAX, i16::MIN);
            let bias: Vec<i32> = random.values(width, -(1 << 20), 1 << 20);
            for (i, (name, row)) in rows.iter().enumerate() {
                let residual = (i % 2 == 1).then(|| rows[(i * 7 + 1) % rows.len()].1.as_slice());
                let run = |run: &dyn Fn(LayerNormArgs<'_>)| {
                    let norm = NormWeight { gain: (&gain).into(), exponent, bias: (&bias).into() };
                    let mut out = vec![7; width];
                    run(LayerNormArgs { width, input: row, residual, norm, out: &mut out });
                    out
                };
                let found = run(&|args| kernels.layernorm(args));
                let wanted = run(&|args| oracle::layernorm(args, &mut ()));
                same(&format!("width {width}, exponent {exponent}, {name}"), &found, &wanted)?;
                cases += 1;
            }
        }
    }
    several_rows(kernels).map(|more| cases + more)
}

/// Rows do not see each other, and no rows is no work.
fn several_rows(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let width = 384;
    let mut random = Random(5);
    let gain: Vec<i16> = random.values(width, -32768, 32767);
    let bias: Vec<i32> = random.values(width, -4096, 4096);
    for rows in [0, 1, 2, 17] {
        let input: Vec<i32> = random.values(rows * width, -(1 << 22), 1 << 22);
        let residual: Vec<i32> = random.values(rows * width, -(1 << 18), 1 << 18);
        let run = |run: &dyn Fn(LayerNormArgs<'_>)| {
            let norm = NormWeight { gain: (&gain).into(), exponent: 11, bias: (&bias).into() };
            let mut out = vec![7; rows * width];
            run(LayerNormArgs { width, input: &input, residual: Some(&residual), norm, out: &mut out });
            out
        };
        let found = run(&|args| kernels.layernorm(args));
        let wanted = run(&|args| oracle::layernorm(args, &mut ()));
        same(&format!("{rows} rows"), &found, &wanted)?;
    }
    Ok(4)
}
