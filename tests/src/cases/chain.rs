//! Steps in a row: vectors encoded, scanned in many lists, and the lists merged.

use plan::{Encode, Range, Scan, Step, TopK, Weight, WeightId};

use super::{
    Builder, Case, bits_of,
    table::{self, Values},
};
use crate::lcg::Lcg;

/// Two plans of one result.
pub struct Chain {
    /// Encodes the queries, scans in several lists and merges them.
    pub merged: Case,
    /// Encodes the queries and scans in one list.
    pub whole: Case,
}

/// Chains over every score.
pub fn chains() -> Vec<Chain> {
    let shapes = [(384, 3, 10, 777, 64), (64, 9, 33, 500, 130), (32, 1, 1, 40, 7), (16, 2, 256, 300, 100)];
    let mut chains = Vec::new();
    for (width, queries, k, rows, group) in shapes {
        for (score, values) in Values::ALL.into_iter().enumerate() {
            let mut lcg = Lcg::new((width + score) as u64);
            let codes = values.codes(rows + 5, width, &mut lcg);
            let table = table::codes(codes, width, score % 3, &mut lcg);
            let floats = Values::Random.floats(queries, width, &mut lcg);
            let mut b = Builder::default();
            let input = b.input(bits_of(&floats));
            let (codes, steps) = (b.output(queries * width / 4), b.output(queries));
            let encode =
                Step::Encode(Encode { rows: queries, width, range: Range::Row, input, codes, steps });
            let scan = |group, out| {
                let (first, vectors, filter) = (5, WeightId(0), None);
                Scan { queries, width, k, first, rows, group, input: codes, vectors, filter, out }
            };
            let (lists, out) = (rows.div_ceil(group), b.output(queries * k * 2));
            let name = format!("width {width}, {queries} queries, {k} of {rows}, {values:?}");
            let whole = vec![encode, Step::Distance(scan(rows, out))];
            let whole = b.clone().chain(name.clone(), whole, out, vec![Weight::Vectors(table.clone())]);
            let found = b.output(queries * lists * k * 2);
            let merge = Step::TopK(TopK { queries, lists, k, input: found, out });
            let merged = vec![encode, Step::Distance(scan(group, found)), merge];
            let merged = b.chain(format!("{name}, {lists} lists"), merged, out, vec![Weight::Vectors(table)]);
            chains.push(Chain { merged, whole });
        }
    }
    chains
}
