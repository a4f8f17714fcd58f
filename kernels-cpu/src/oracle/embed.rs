use super::Trace;
use crate::EmbedArgs;

/// Step 2: word row times its step, plus the position row, in Q20.
pub fn embed(args: EmbedArgs<'_>, trace: &mut impl Trace) {
    let (w, table) = (args.width, &args.table);
    for (row, out) in args.out.chunks_exact_mut(w).enumerate() {
        let id = args.ids[row] as usize;
        let position = row - args.spans[2 * row] as usize;
        for (c, o) in out.iter_mut().enumerate() {
            let word = i64::from(table.word[id * w + c]) * i64::from(table.word_scale[id]);
            let sum = word + (i64::from(table.position[position * w + c]) << table.position_shift);
            trace.record("emb.sum", 0, sum);
            *o = sum as i32;
        }
    }
}
