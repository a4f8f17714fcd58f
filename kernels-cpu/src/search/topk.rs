use plan::NOTHING;

use crate::TopKArgs;

/// Merges list after list into the result. A list whose best pair does not beat the result's last is passed over.
#[inline(always)]
pub(crate) fn topk(args: TopKArgs<'_>) {
    let (k, lists) = (args.k, args.lists);
    let mut before = vec![NOTHING; k];
    for (query, out) in args.out.chunks_exact_mut(k).enumerate() {
        out.fill(NOTHING);
        for list in args.input[query * lists * k..][..lists * k].chunks_exact(k) {
            if rank(list[0]) > rank(out[k - 1]) {
                before.copy_from_slice(out);
                merge(&before, list, out);
            }
        }
    }
}

/// The best of two lists as long as the result.
fn merge(a: &[[u32; 2]], b: &[[u32; 2]], out: &mut [[u32; 2]]) {
    let (mut i, mut j) = (0, 0);
    for out in out {
        let first = rank(a[i]) >= rank(b[j]);
        *out = if first { a[i] } else { b[j] };
        i += usize::from(first);
        j += usize::from(!first);
    }
}

/// Grows as pairs get better: with the key, then with falling rows.
#[inline(always)]
fn rank([key, row]: [u32; 2]) -> u64 {
    u64::from(key) << 32 | u64::from(!row)
}
