//! Rows of fixed-point values that are hard to normalise or quantise.

use crate::lcg::Lcg;

/// Rows of `width` values of either sign, up to `2^bits` in magnitude: nothing, all equal, extremes, one outlier,
/// and random rows of every size.
pub(super) fn signed(width: usize, bits: u32, lcg: &mut Lcg) -> Vec<i32> {
    let top = 1i32 << bits;
    let mut rows = Vec::new();
    for value in [0, 1, -1, 5, (1 << 22) - 1, -(1 << 22), top, -top] {
        rows.extend(std::iter::repeat_n(value, width));
    }
    for value in [1, 16383, 16384, 32767, 32768, 1 << 20, (1 << 22) - 1, 1 << 22, top] {
        rows.extend((0..width).map(|c| if c % 2 == 0 { value } else { -value }));
        rows.extend((0..width).map(|c| if c == width / 3 { value } else { 0 }));
        rows.extend((0..width).map(|c| if c == width - 1 { -value } else { (c % 3) as i32 - 1 }));
    }
    for bit in 0..=bits {
        rows.extend(lcg.many::<i32>(width, -(1 << bit)..=1 << bit));
    }
    rows
}

/// [`signed`] rows, and rows where each group has a magnitude of its own, the last never more than
/// `2^exponent_max` below the others unless it is empty.
pub(super) fn grouped(groups: &[usize], bits: u32, exponent_max: u32, lcg: &mut Lcg) -> Vec<i32> {
    let width = groups.iter().sum();
    let mut rows = signed(width, bits, lcg);
    let top = (1i64 << bits) - 1;
    rows.iter_mut().for_each(|v| *v = (*v).clamp(-top as i32, top as i32));
    for round in 0..12 {
        for (g, &group) in groups.iter().enumerate() {
            let last = groups.get(g + 1).is_none_or(|&next| next == 0);
            let size = match (last, round) {
                (true, 0) => 0,
                (true, _) => top >> exponent_max,
                (false, 1) => top,
                (false, 2) => (top >> exponent_max << exponent_max) + 1,
                (false, _) => top >> lcg.within(0..=i64::from(bits)),
            };
            rows.extend(lcg.many::<i32>(group, -size..=size));
        }
    }
    rows
}
