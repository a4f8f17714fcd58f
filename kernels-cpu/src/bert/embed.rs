use crate::EmbedArgs;

/// Step 2 of the scheme, one row at a time.
#[inline(always)]
pub(crate) fn embed(args: EmbedArgs<'_>) {
    let (w, table) = (args.width, &args.table);
    let rows = args.out.chunks_exact_mut(w).zip(args.ids).zip(args.spans.chunks_exact(2));
    for (row, ((out, &id), span)) in rows.enumerate() {
        let (id, position) = (id as usize, row - span[0] as usize);
        let (scale, shift) = (i32::from(table.word_scale[id]), table.position_shift);
        let word = &table.word[id * w..(id + 1) * w];
        let position = &table.position[position * w..(position + 1) * w];
        for ((o, &word), &position) in out.iter_mut().zip(word).zip(position) {
            *o = (i32::from(word) * scale).wrapping_add(i32::from(position) << shift);
        }
    }
}
