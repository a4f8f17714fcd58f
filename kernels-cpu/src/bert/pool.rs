use plan::PoolKind;

use super::math::{inverse_sqrt, lg, rsh};
use crate::PoolArgs;

/// Step 11 of the scheme.
#[inline(always)]
pub(crate) fn pool(args: PoolArgs<'_>) {
    let w = args.width;
    let mut y = vec![0; w];
    for (span, out) in args.spans.chunks_exact(2).zip(args.out.chunks_exact_mut(w)) {
        let (first, len) = (span[0] as usize, span[1] as usize);
        let rows = match args.kind {
            PoolKind::Sum => len,
            PoolKind::First => 1,
        };
        y.fill(0);
        for row in args.input[first * w..(first + rows) * w].chunks_exact(w) {
            y.iter_mut().zip(row).for_each(|(y, x)| *y += x);
        }
        normalise(&mut y, args.permutation, out);
    }
}

#[inline(always)]
fn normalise(y: &mut [i32], permutation: &[u16], out: &mut [i16]) {
    let n = lg(y.iter().map(|y| y.unsigned_abs()).max().unwrap_or(0));
    if n <= 13 {
        y.iter_mut().for_each(|y| *y <<= 13 - n);
    } else {
        y.iter_mut().for_each(|y| *y = rsh(*y, n - 13));
    }
    let (mut low, mut high) = (0, 0);
    for y in &*y {
        let square = (y * y) as u32;
        low += square & 0xffff;
        high += square >> 16;
    }
    let v = (((high + (low >> 16)) << 8) | ((low & 0xffff) >> 8)).max(1 << 18);
    let (z, inverse) = inverse_sqrt(v);
    for (&y, &place) in y.iter().zip(permutation) {
        out[place as usize] = rsh(y * inverse as i32, 20 - z).clamp(-32767, 32767) as i16;
    }
}
