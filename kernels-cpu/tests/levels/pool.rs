use kernels_cpu::{Kernels, PoolArgs, oracle};
use plan::PoolKind;

use crate::inputs::{Difference, Random, same, ugly_rows};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    for width in [384, 32, 6] {
        let mut random = Random(width as u64);
        let mut permutation: Vec<u16> = (0..width as u16).rev().collect();
        permutation.rotate_left(width / 3);
        // A token is within 2^17 in Q12, so a sum of 256 is within 2^25.
        let rows: Vec<_> = ugly_rows(width, -(1 << 17), 1 << 17, 4).into_iter().map(|r| r.1).collect();
        let mut tokens = rows.concat();
        let one_by_one: Vec<u32> = (0..rows.len() as u32).flat_map(|r| [r, 1]).collect();
        compare(kernels, "each row alone", width, &tokens, &one_by_one, &permutation)?;
        let first = rows.len() as u32;
        tokens.extend(random.values::<i32>(256 * width, -(1 << 17), 1 << 17));
        tokens.extend(vec![1 << 17; 256 * width]);
        let spans = [0, first, first, 256, first + 256, 256, first, 2, first + 7, 33];
        compare(kernels, "sequences", width, &tokens, &spans, &permutation)?;
        compare(kernels, "none", width, &tokens, &[], &permutation)?;
        cases += 3;
    }
    Ok(cases)
}

fn compare(
    kernels: &dyn Kernels,
    case: &str,
    width: usize,
    input: &[i32],
    spans: &[u32],
    permutation: &[u16],
) -> Result<(), Difference> {
    for kind in [PoolKind::Sum, PoolKind::First] {
        let run = |run: &dyn Fn(PoolArgs<'_>)| {
            let mut out = vec![7; spans.len() / 2 * width];
            run(PoolArgs { width, kind, input, spans, permutation, out: &mut out });
            out
        };
        let found = run(&|args| kernels.pool(args));
        let wanted = run(&|args| oracle::pool(args, &mut ()));
        same(&format!("width {width}, {kind:?}, {case}"), &found, &wanted)?;
    }
    Ok(())
}
