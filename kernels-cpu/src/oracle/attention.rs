use super::{
    Trace,
    math::{mant, ms16, rsh},
};
use crate::AttentionArgs;

const HEAD: usize = 32;

/// Step 7: softmax in base 2 with a table, then the weighted sum of v, in Q12.
pub fn attention(args: AttentionArgs<'_>, trace: &mut impl Trace) {
    let width = args.heads * HEAD;
    let at = |row: usize, part: usize, head: usize| {
        let start = row * 3 * width + part * width + head * HEAD;
        &args.qkv[start..start + HEAD]
    };
    for head in 0..args.heads {
        for row in 0..args.spans.len() / 2 {
            let (first, len) = (args.spans[2 * row] as usize, args.spans[2 * row + 1] as usize);
            let q = at(row, 0, head);
            let mut scores = Vec::with_capacity(len);
            for other in first..first + len {
                let score: i64 =
                    q.iter().zip(at(other, 1, head)).map(|(&q, &k)| i64::from(q) * i64::from(k)).sum();
                trace.record("attn.score", 0, score);
                scores.push(score);
            }
            let top = scores.iter().copied().max().expect("a sequence has at least one row");
            let probability = |s: &i64| {
                let d = top - s;
                rsh(i64::from(args.exp[(d >> 8) as usize & 255]), (d >> 16).min(20) + 4)
            };
            let p: Vec<i64> = scores.iter().map(probability).collect();
            let (n, mantissa) = mant(p.iter().sum());
            let inverse = ((1 << 31) - 1) / mantissa;
            for c in 0..HEAD {
                let acc: i64 =
                    p.iter().zip(first..).map(|(p, other)| p * i64::from(at(other, 2, head)[c])).sum();
                trace.record("attn.pv", 0, acc);
                args.out[row * width + head * HEAD + c] = rsh(ms16(acc, inverse), n - 4) as i32;
            }
        }
    }
}
