use kernels_cpu::{EmbedArgs, Kernels, oracle};
use plan::EmbeddingWeight;

use crate::inputs::{Difference, Random, same};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let (vocab, positions) = (9, 40);
    let mut cases = 0;
    for (width, shift) in [(384, 4), (384, 0), (32, 15), (4, 7)] {
        let mut random = Random(width as u64);
        let mut word: Vec<i8> = random.values(vocab * width, -127, 127);
        let mut position: Vec<i16> = random.values(positions * width, -32768, 32767);
        word[..width].fill(127);
        word[width..2 * width].fill(-127);
        position[..width].fill(32767);
        position[width..2 * width].fill(-32768);
        let scale = vec![65535, 65535, 0, 1, 2, 300, 40_000, 32_768, 65_535];
        for lengths in [&[][..], &[1], &[2], &[1, 1, 1], &[5, 40, 3]] {
            let spans = spans(lengths);
            let ids: Vec<u32> = random.values(spans.len() / 2, 0, vocab as i64 - 1);
            let run = |run: &dyn Fn(EmbedArgs<'_>)| {
                let table = EmbeddingWeight {
                    width,
                    word: &word,
                    word_scale: (&scale).into(),
                    position: (&position).into(),
                    position_shift: shift,
                };
                let mut out = vec![7; ids.len() * width];
                run(EmbedArgs { width, ids: &ids, spans: &spans, table, out: &mut out });
                out
            };
            let found = run(&|args| kernels.embed(args));
            let wanted = run(&|args| oracle::embed(args, &mut ()));
            same(&format!("width {width}, lengths {lengths:?}"), &found, &wanted)?;
            cases += 1;
        }
    }
    Ok(cases)
}

/// First row and length of each row's sequence.
pub(crate) fn spans(lengths: &[usize]) -> Vec<u32> {
    let mut first = 0;
    let mut spans = Vec::new();
    for &len in lengths {
        (0..len).for_each(|_| spans.extend([first as u32, len as u32]));
        first += len;
    }
    spans
}
