//! Running a plan in slices that somebody may stop between.
//!
//! A slice is as many steps of one plan as the [`Pace`] allows, one at least: one submission on a GPU, a stretch of kernel calls
//! on a CPU. Where a plan is cut has no influence on its bits.

use std::{
    future::{Future, ready},
    ops::Range,
    pin::Pin,
};

use plan::{Plan, Step, Weight, Weights};

/// Who says when the next slice runs, and how long it may be. A scheduler stands behind it; the engine knows none.
pub trait Pace: Sync {
    /// Asked before every slice. A lane is a GPU's queue or one thread of the processor, which waits for the answer: a shell
    /// that wants a pause answers later. In a page the future yields to the event loop.
    fn turn(&self, lane: usize) -> TurnFuture<'_>;

    /// The slice is over: so much [`work`] was done since the turn was given. Its time is the shell's to measure.
    fn done(&self, lane: usize, work: u64);
}

/// What [`Pace::turn`] promises.
pub type TurnFuture<'a> = Pin<Box<dyn Future<Output = Turn> + 'a>>;

/// The answer to a lane that wants to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Run steps of so much [`work`] together, or one step if it is more.
    Run {
        /// The most that the slice may hold.
        work: u64,
    },
    /// Run nothing more: the whole call ends.
    Stop,
}

/// Whole plans, as fast as they go.
pub struct Unpaced;

impl Pace for Unpaced {
    fn turn(&self, _: usize) -> TurnFuture<'_> {
        Box::pin(ready(Turn::Run { work: u64::MAX }))
    }

    fn done(&self, _: usize, _: u64) {}
}

/// Roughly the multiply-adds of every step of a plan that [`Plan::check`] has passed: a measure to cut by, which a shell learns
/// the time of. A step that moves elements rather than multiplying them counts [`ELEMENT`] for each.
pub fn work(plan: &Plan, weights: &dyn Weights) -> Vec<u64> {
    let product = |factors: &[usize]| factors.iter().fold(1u64, |work, &f| work.saturating_mul(f as u64));
    let step = |step: &Step| match step {
        Step::Embed(s) => product(&[s.tokens, s.width, ELEMENT]),
        Step::LayerNorm(s) => product(&[s.tokens, s.width, ELEMENT]),
        Step::Quantise(s) => product(&[s.tokens, s.width, ELEMENT]),
        Step::Gemm(s) => match weights.get(s.weight) {
            Weight::Gemm(gemm) => product(&[s.tokens, gemm.k, gemm.outputs()]),
            _ => 0,
        },
        Step::Attention(s) => product(&[s.tokens, s.longest, s.heads, 2 * HEAD_WIDTH]),
        Step::Pool(s) => product(&[plan.words(s.input), ELEMENT]),
        Step::Encode(s) => product(&[s.rows, s.width, ELEMENT]),
        Step::Distance(s) | Step::DistanceF32(s) => product(&[s.queries, s.rows, s.width]),
        Step::Hamming(s) => product(&[s.queries, s.rows, s.width.div_ceil(32)]),
        Step::TopK(s) => product(&[s.queries, s.lists, s.k, ELEMENT]),
        Step::Lif(s) => product(&[s.batch, s.steps, s.inputs, s.outputs]),
    };
    plan.steps.iter().map(step).collect()
}

/// The steps of the next slice: from the first that has not run, as many as fit, one if none does.
pub(crate) fn slice(work: &[u64], first: usize, most: u64) -> Range<usize> {
    let mut sum = 0u64;
    let fits = |w: &&u64| {
        sum = sum.saturating_add(**w);
        sum <= most
    };
    let count = work[first..].iter().take_while(fits).count();
    first..(first + count.max(1)).min(work.len())
}

/// Work of a slice.
pub(crate) fn total(work: &[u64]) -> u64 {
    work.iter().fold(0, |sum, &w| sum.saturating_add(w))
}

/// What one element of a step without a matrix counts, in multiply-adds.
pub const ELEMENT: usize = 64;
const HEAD_WIDTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_holds_what_fits_and_one_step_at_least() {
        let work = [5, 5, 100, 1, u64::MAX, 1];
        assert_eq!(slice(&work, 0, 10), 0..2);
        assert_eq!(slice(&work, 0, 0), 0..1);
        assert_eq!(slice(&work, 2, 10), 2..3);
        assert_eq!(slice(&work, 3, u64::MAX - 1), 3..4);
        assert_eq!(slice(&work, 0, u64::MAX), 0..6, "sums that overflow are the most there is");
        assert_eq!(slice(&work, 5, 9), 5..6);
        assert_eq!(slice(&[], 0, 9), 0..0);
    }
}
