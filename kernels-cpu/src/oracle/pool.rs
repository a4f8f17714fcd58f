use plan::PoolKind;

use super::{
    Trace,
    math::{inverse_sqrt, lg, rsh},
};
use crate::PoolArgs;

/// Step 11: sum (or first row), L2 normalisation to Q15, channels back in the model's order.
pub fn pool(args: PoolArgs<'_>, trace: &mut impl Trace) {
    let w = args.width;
    for (span, out) in args.spans.chunks_exact(2).zip(args.out.chunks_exact_mut(w)) {
        let (first, len) = (span[0] as usize, span[1] as usize);
        let rows = match args.kind {
            PoolKind::Sum => first..first + len,
            PoolKind::First => first..first + 1,
        };
        let y: Vec<i64> =
            (0..w).map(|c| rows.clone().map(|r| i64::from(args.input[r * w + c])).sum()).collect();
        y.iter().for_each(|&y| trace.record("pool.sum", 0, y));
        let n = lg(y.iter().map(|y| y.abs()).max().unwrap_or(0));
        let y14: Vec<i64> = y.iter().map(|&y| if n <= 13 { y << (13 - n) } else { rsh(y, n - 13) }).collect();
        let low: i64 = y14.iter().map(|y| (y * y) & 0xffff).sum();
        let high: i64 = y14.iter().map(|y| (y * y) >> 16).sum();
        let v = (((high + (low >> 16)) << 8) | ((low & 0xffff) >> 8)).max(1 << 18);
        let (z, inverse) = inverse_sqrt(v);
        trace.record("norm.lo", 0, low);
        trace.record("norm.hi", 0, high);
        trace.record("norm.V", 0, v);
        for (c, &y) in y14.iter().enumerate() {
            trace.record("norm.y*r", 0, y * inverse);
            out[args.permutation[c] as usize] = rsh(y * inverse, 20 - z).clamp(-32767, 32767) as i16;
        }
    }
}
