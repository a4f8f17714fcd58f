use std::ops::Range;

use plan::{MAX_GROUPS, RowScale, SCALE_WORDS};

use super::math::{lg, mant, ms16, rsh};
use crate::{QuantiseArgs, QuantiseInput};

/// Step 4 of the scheme.
#[inline(always)]
pub(crate) fn quantise(args: QuantiseArgs<'_>) {
    let (w, groups, e_max) = (args.width, args.groups, args.exponent_max);
    let rows = args.codes.chunks_exact_mut(w).zip(args.scales.chunks_exact_mut(SCALE_WORDS));
    match args.input {
        QuantiseInput::Signed(x) => {
            for ((codes, scale), x) in rows.zip(x.chunks_exact(w)) {
                let code = |h| rsh(h, 22).clamp(-127, 127) as i8;
                quantise_row(x, groups, e_max, code, codes, scale);
            }
        }
        QuantiseInput::Offset(x) => {
            for ((codes, scale), x) in rows.zip(x.chunks_exact(w)) {
                let code = |h| (rsh(h, 21) - 127).clamp(-127, 127) as i8;
                quantise_row(x, groups, e_max, code, codes, scale);
            }
        }
    }
}

/// Columns of each group.
#[inline(always)]
fn group_ranges(groups: [usize; MAX_GROUPS]) -> [Range<usize>; MAX_GROUPS] {
    let mut start = 0;
    groups.map(|g| (start..start + g, start += g).0)
}

#[inline(always)]
fn quantise_row<T: Copy + Into<i32>>(
    x: &[T],
    groups: [usize; MAX_GROUPS],
    e_max: u32,
    code: impl Fn(i32) -> i8,
    codes: &mut [i8],
    scale: &mut [u32],
) {
    let ranges = group_ranges(groups);
    let mut amax = [0u32; MAX_GROUPS];
    for (amax, range) in amax.iter_mut().zip(&ranges) {
        for &x in &x[range.clone()] {
            *amax = (*amax).max(x.into().unsigned_abs());
        }
    }
    let last = groups.iter().rposition(|&g| g > 0).expect("a row has at least one group");
    let amplitude = amax[..last].iter().map(|a| (a + (1 << e_max) - 1) >> e_max);
    let amplitude = amplitude.fold(amax[last].max(1), u32::max);
    let (n, mantissa) = mant(amplitude);
    let r = (127 << 24) / mantissa;
    let mut out = RowScale { log2: n, mantissa, ..RowScale::default() };
    for (g, range) in ranges.into_iter().enumerate().take(last + 1) {
        let mut e = lg(amax[g]).saturating_sub(n);
        e += u32::from(amax[g] > amplitude << e);
        out.exponents[g] = e as u8;
        let shift = 29 - n - e;
        let mut sum = 0;
        for (c, &x) in codes[range.clone()].iter_mut().zip(&x[range]) {
            *c = code(ms16(x.into() << shift, r));
            sum += i32::from(*c);
        }
        out.sums[g] = sum;
    }
    scale.copy_from_slice(&out.to_words());
}
