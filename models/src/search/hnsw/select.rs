//! Which of the near rows to link to.

use plan::Gather;

use super::graph::Graph;

/// Scratch of [`Select::run`].
#[derive(Default)]
pub(super) struct Select {
    /// Candidates left, nearest first.
    rows: Vec<u32>,
    /// Their scores from the row that links.
    scores: Vec<i32>,
    between: Vec<i32>,
    /// What was chosen, nearest first.
    pub(super) chosen: Vec<u32>,
}

impl Select {
    /// Chooses up to `most` of `candidates` (rows and scores from `row`, nearest first, `row` not among them): a
    /// candidate is taken unless one taken before is nearer to it than `row` is. Algorithm 4 of the paper, without its
    /// options.
    ///
    /// Each taken row is compared with all candidates left in one call and strikes those it covers, which takes the
    /// same rows in the same order as comparing each candidate with the taken ones.
    ///
    /// Of candidates equal to `row` itself at most half of `m` are taken: more would leave no links to lead away from
    /// a heap of equal vectors.
    pub(super) fn run(
        &mut self,
        graph: &Graph,
        gather: &dyn Gather,
        row: u32,
        candidates: impl Iterator<Item = (u32, i32)>,
        most: usize,
    ) {
        self.rows.clear();
        self.scores.clear();
        self.chosen.clear();
        for (candidate, score) in candidates {
            self.rows.push(candidate);
            self.scores.push(score);
        }
        self.between.resize(self.rows.len().max(self.between.len()), 0);
        let is_equal = |other: u32| graph.row(other) == graph.row(row);
        let from_row = graph.offset(row);
        let (mut left, mut first, mut equals) = (self.rows.len(), 0, 0);
        while first < left && self.chosen.len() < most {
            let taken = self.rows[first];
            equals += usize::from(is_equal(taken));
            self.chosen.push(taken);
            first += 1;
            let between = &mut self.between[..left - first];
            graph.scores(gather, graph.row(taken), &self.rows[first..left], between);
            let from_taken = graph.offset(taken);
            let enough_equals = equals >= graph.m / 2;
            let mut kept = first;
            for (at, &mut score) in (first..left).zip(between) {
                let candidate = self.rows[at];
                self.rows[kept] = candidate;
                self.scores[kept] = self.scores[at];
                let covered = score + from_taken > self.scores[at] + from_row;
                kept += usize::from(!(covered || enough_equals && is_equal(candidate)));
            }
            left = kept;
        }
    }
}
