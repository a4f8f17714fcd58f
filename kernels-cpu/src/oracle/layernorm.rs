use super::{
    Trace,
    math::{inverse_sqrt, lg, ms16, rsh},
};
use crate::LayerNormArgs;

/// Step 3: subtract the mean, divide by the spread, gain and bias, in Q12.
pub fn layernorm(args: LayerNormArgs<'_>, trace: &mut impl Trace) {
    let (w, limit) = (args.width, (1 << 22) - 1);
    for (row, out) in args.out.chunks_exact_mut(w).enumerate() {
        let mut sums = Vec::with_capacity(w);
        for c in row * w..(row + 1) * w {
            let sum = i64::from(args.input[c]) + args.residual.map_or(0, |r| i64::from(r[c]));
            trace.record("ln.in", 0, sum);
            sums.push(sum.clamp(-limit, limit));
        }
        let width = w as i64;
        let mean = (sums.iter().sum::<i64>() + (width << 22) + width / 2) / width - (1 << 22);
        let d: Vec<i64> = sums.iter().map(|s| s - mean).collect();
        let n = lg(d.iter().map(|d| d.abs()).max().unwrap_or(0));
        let scale = |&d: &i64| if n <= 14 { d << (14 - n) } else { rsh(d, n - 14) };
        let d15: Vec<i64> = d.iter().map(scale).map(|d| d.clamp(-32767, 32767)).collect();
        let v = d15.iter().map(|d| ((d + 8) >> 4).pow(2)).sum::<i64>().max(1 << 20);
        trace.record("ln.V", 0, v);
        let (z, inverse) = inverse_sqrt(v);
        for (c, o) in out.iter_mut().enumerate() {
            let product = d15[c] * inverse;
            let xn = rsh(product, 9 - z);
            let shift = i64::from(args.norm.exponent) - 2;
            let y = rsh(ms16(xn, i64::from(args.norm.gain[c])), shift) + i64::from(args.norm.bias[c]);
            trace.record("ln.d*r", 0, product);
            trace.record("ln.xn", 0, xn);
            trace.record("ln.out", 0, y);
            *o = y as i32;
        }
    }
}
