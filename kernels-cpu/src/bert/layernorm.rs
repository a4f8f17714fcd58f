use super::math::{inverse_sqrt, lg, ms16_signed, rsh};
use crate::LayerNormArgs;

/// Step 3 of the scheme. Four passes over a row that stays in L1:
///
/// ```text
/// d = clamp(input + residual)          and its sum
/// d -= mean                            and its largest magnitude
/// d = 16-bit form of d                 and the sum of its squares
/// out = d * inverse * gain + bias
/// ```
#[inline(always)]
pub(crate) fn layernorm(args: LayerNormArgs<'_>) {
    let w = args.width;
    let (gain, bias) = (&args.norm.gain[..w], &args.norm.bias[..w]);
    let gain_shift = args.norm.exponent - 2;
    for (row, out) in args.out.chunks_exact_mut(w).enumerate() {
        let input = &args.input[row * w..(row + 1) * w];
        let sum = match args.residual {
            Some(residual) => load_sum(out, input, &residual[row * w..(row + 1) * w]),
            None => load(out, input),
        };
        let width = w as i64;
        let mean = ((sum + (width << 22) + width / 2) as u64 / w as u64) as i32 - (1 << 22);
        let n = lg(centre(out, mean));
        let v = if n <= 14 {
            squares(out, |d| d << (14 - n))
        } else {
            squares(out, |d| rsh(d, n - 14).clamp(-32767, 32767))
        };
        let (z, inverse) = inverse_sqrt(v.max(1 << 20));
        let inverse = inverse as i32;
        for ((o, &g), &b) in out.iter_mut().zip(gain).zip(bias) {
            *o = rsh(ms16_signed(rsh(*o * inverse, 9 - z), g), gain_shift) + b;
        }
    }
}

#[inline(always)]
fn load_sum(out: &mut [i32], input: &[i32], residual: &[i32]) -> i64 {
    let mut sum = 0;
    let blocks = out.chunks_mut(BLOCK).zip(input.chunks(BLOCK)).zip(residual.chunks(BLOCK));
    for ((out, input), residual) in blocks {
        let mut part = 0;
        for ((o, &x), &r) in out.iter_mut().zip(input).zip(residual) {
            *o = (x + r).clamp(-LIMIT, LIMIT);
            part += *o;
        }
        sum += i64::from(part);
    }
    sum
}

#[inline(always)]
fn load(out: &mut [i32], input: &[i32]) -> i64 {
    let mut sum = 0;
    for (out, input) in out.chunks_mut(BLOCK).zip(input.chunks(BLOCK)) {
        let mut part = 0;
        for (o, &x) in out.iter_mut().zip(input) {
            *o = x.clamp(-LIMIT, LIMIT);
            part += *o;
        }
        sum += i64::from(part);
    }
    sum
}

/// Subtracts the mean; the largest magnitude that leaves.
#[inline(always)]
fn centre(row: &mut [i32], mean: i32) -> u32 {
    let mut top = 0;
    for d in row {
        *d -= mean;
        top = top.max(d.unsigned_abs());
    }
    top
}

/// Rescales the row; the sum of squares of its 11-bit form.
#[inline(always)]
fn squares(row: &mut [i32], scale: impl Fn(i32) -> i32) -> u32 {
    let mut v = 0;
    for d in row {
        *d = scale(*d);
        let short = (*d + 8) >> 4;
        v += (short * short) as u32;
    }
    v
}

const LIMIT: i32 = (1 << 22) - 1;
/// Columns whose clamped sum fits 32 bits.
const BLOCK: usize = 384;
