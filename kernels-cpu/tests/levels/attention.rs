use kernels_cpu::{AttentionArgs, Kernels, oracle};

use crate::{
    embed::spans,
    inputs::{Difference, Random, same},
};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let exp: Vec<u16> =
        (0..256).map(|i| (2047.0 * 16.0 * (-(f64::from(i) + 0.5) / 256.0).exp2()).round() as u16).collect();
    let mut cases = 0;
    for len in [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        for fill in FILLS {
            compare(kernels, 2, &[len], *fill, &exp)?;
            cases += 1;
        }
    }
    for fill in FILLS {
        compare(kernels, 1, &[256], *fill, &exp)?;
        compare(kernels, 12, &[5, 1, 33, 2], *fill, &exp)?;
        cases += 2;
    }
    Ok(cases)
}

/// Bounds of q, k and v.
type Fill = (&'static str, [(i64, i64); 3]);

const FILLS: &[Fill] = &[
    ("usual", [(-600, 600), (-500, 500), (-1500, 1500)]),
    ("edge of the format", [(-4095, 4095); 3]),
    ("highest", [(4095, 4095); 3]),
    ("lowest scores", [(4095, 4095), (-4095, -4095), (-4095, -4095)]),
    ("all scores equal", [(0, 0), (-4095, 4095), (-4095, 4095)]),
    ("scores near each other", [(-12, 12), (-12, 12), (-4095, 4095)]),
    ("values equal", [(-900, 900), (-900, 900), (4095, 4095)]),
];

fn compare(
    kernels: &dyn Kernels,
    heads: usize,
    lengths: &[usize],
    (name, bounds): Fill,
    exp: &[u16],
) -> Result<(), Difference> {
    let spans = spans(lengths);
    let (rows, width) = (spans.len() / 2, heads * 32);
    let mut random = Random(rows as u64);
    let mut qkv: Vec<i16> = Vec::new();
    for _ in 0..rows {
        bounds.iter().for_each(|&(low, high)| qkv.extend(random.values::<i16>(width, low, high)));
    }
    let run = |run: &dyn Fn(AttentionArgs<'_>)| {
        let mut out = vec![7; rows * width];
        run(AttentionArgs { heads, qkv: &qkv, spans: &spans, exp, out: &mut out });
        out
    };
    let found = run(&|args| kernels.attention(args));
    let wanted = run(&|args| oracle::attention(args, &mut ()));
    same(&format!("lengths {lengths:?}, {name}"), &found, &wanted)
}
