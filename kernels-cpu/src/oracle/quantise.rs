use plan::{MAX_GROUPS, RowScale, SCALE_WORDS};

use super::{
    Trace,
    math::{lg, mant, ms16, rsh},
};
use crate::{QuantiseArgs, QuantiseInput};

/// Step 4: one mantissa per row, one exponent per group, codes within +-127.
pub fn quantise(args: QuantiseArgs<'_>, trace: &mut impl Trace) {
    let w = args.width;
    let e_max = i64::from(args.exponent_max);
    let value = |i: usize| match args.input {
        QuantiseInput::Signed(x) => i64::from(x[i]),
        QuantiseInput::Offset(x) => i64::from(x[i]),
    };
    let rows = args.codes.chunks_exact_mut(w).zip(args.scales.chunks_exact_mut(SCALE_WORDS));
    for (row, (codes, scale)) in rows.enumerate() {
        let x: Vec<i64> = (row * w..(row + 1) * w).map(value).collect();
        let groups = group_ranges(args.groups);
        let amax: Vec<i64> =
            groups.iter().map(|g| x[g.clone()].iter().map(|v| v.abs()).max().unwrap_or(0)).collect();
        let (last, others) = amax.split_last().expect("a row has at least one group");
        let amplitude = others.iter().map(|a| (a + (1 << e_max) - 1) >> e_max).fold(1.max(*last), i64::max);
        let (n, mantissa) = mant(amplitude);
        let r = (127 << 24) / mantissa;
        trace.record("quant.r", 0, r);
        let mut out = RowScale { log2: n as u32, mantissa: mantissa as u32, ..RowScale::default() };
        for (g, range) in groups.into_iter().enumerate() {
            let mut e = (lg(amax[g]) - n).max(0);
            e += i64::from(amax[g] > amplitude << e);
            out.exponents[g] = e as u8;
            for c in range {
                let shifted = x[c] << (29 - n - e);
                let high = ms16(shifted, r);
                trace.record("quant.x<<", g, shifted);
                trace.record("quant.hi", g, high);
                let code = match args.input {
                    QuantiseInput::Signed(_) => rsh(high, 22),
                    QuantiseInput::Offset(_) => rsh(high, 21) - 127,
                };
                codes[c] = code.clamp(-127, 127) as i8;
                out.sums[g] += i32::from(codes[c]);
            }
        }
        scale.copy_from_slice(&out.to_words());
    }
}

/// Column range of each group in use.
pub(super) fn group_ranges(groups: [usize; MAX_GROUPS]) -> Vec<std::ops::Range<usize>> {
    let mut start = 0;
    let used = groups.into_iter().filter(|&g| g > 0);
    used.map(|g| (start..start + g, start += g).0).collect()
}
