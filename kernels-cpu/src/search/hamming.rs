//! Scans of a table of bits.
//!
//! Many queries lie side by side in panels, one word of 16 queries after another, and a row's words are broadcast to
//! them. Few queries take the rows one by one.

use plan::PANEL;

use super::{
    lines::Lines,
    lists::{Lists, blocks, pick},
    rows::{ROWS, Rows, four},
};
use crate::HammingArgs;

/// Most queries that take the rows one query after another.
const FEW: usize = 4;
/// Words of a block of rows.
const BLOCK: usize = 1 << 14;

/// The best rows of a table of bits, by the number of equal bits.
#[inline(always)]
pub(crate) fn hamming<L: Rows>(args: HammingArgs<'_>) {
    let words = args.vectors.width / 32;
    let queries = args.queries.len() / words;
    if queries <= FEW { few::<L>(args, words, queries) } else { many::<L>(args, words, queries) }
}

#[inline(always)]
fn few<L: Rows>(args: HammingArgs<'_>, words: usize, queries: usize) {
    let (all, filter, bits) = (args.queries, args.filter, &*args.vectors.bits);
    let mut picked = Vec::new();
    let mut lists = Lists::new(args.out, queries, args.k, args.rows.div_ceil(args.group));
    for (list, block) in blocks(args.first, args.rows, args.group, BLOCK / words) {
        lists.turn_to(list);
        pick(block, filter, &mut picked);
        for (query, query_bits) in all.chunks_exact(words).enumerate() {
            for rows in picked.chunks(ROWS) {
                let unequal = L::unequal(query_bits, four(bits, words, words, rows));
                let mut orders = [32 * words as i32; ROWS];
                for (order, unequal) in orders.iter_mut().zip(unequal) {
                    *order -= unequal as i32;
                }
                lists.offer_rows(query, rows, &orders);
            }
        }
    }
}

#[inline(always)]
fn many<L: Rows>(args: HammingArgs<'_>, words: usize, queries: usize) {
    let (filter, bits) = (args.filter, &*args.vectors.bits);
    let panels = pack(args.queries, words);
    let mut picked = Vec::new();
    let mut lists = Lists::new(args.out, queries, args.k, args.rows.div_ceil(args.group));
    for (list, block) in blocks(args.first, args.rows, args.group, BLOCK / words) {
        lists.turn_to(list);
        pick(block, filter, &mut picked);
        for (panel, queries) in panels.get().as_chunks::<PANEL>().0.chunks_exact(words).enumerate() {
            for &row in &picked {
                let unequal = L::unequal_panel(queries, &bits[row as usize * words..][..words]);
                let mut orders = [32 * words as i32; PANEL];
                for (order, unequal) in orders.iter_mut().zip(unequal) {
                    *order -= unequal as i32;
                }
                lists.offer_panel(panel, row as usize, &orders);
            }
        }
    }
}

/// `[panel][word][query of the panel]`.
fn pack(queries: &[u32], words: usize) -> Lines<u32> {
    let mut panels = Lines::new((queries.len() / words).div_ceil(PANEL) * words * PANEL);
    for (q, query) in queries.chunks_exact(words).enumerate() {
        let panel = &mut panels.get_mut()[q / PANEL * words * PANEL..];
        for (panel, &word) in panel.chunks_exact_mut(PANEL).zip(query) {
            panel[q % PANEL] = word;
        }
    }
    panels
}
