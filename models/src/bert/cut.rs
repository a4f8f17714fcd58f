//! How a batch of texts becomes plans.

use std::ops::Range;

/// Cuts texts of these token counts into the texts of one plan each, in order. A plan holds about `slice` tokens; a
/// batch too small to fill `workers` plans is shared out among them, down to a size below which a plan costs more than it
/// carries. Has no influence on vectors.
pub fn cut(tokens: &[usize], workers: usize, slice: usize) -> Vec<Range<usize>> {
    let slice = slice.min(MAX_PLAN_TOKENS);
    let share = tokens.iter().sum::<usize>().div_ceil(workers.max(1));
    let target = share.clamp(MIN_PLAN_TOKENS.min(slice), slice);
    let (mut slices, mut first) = (Vec::new(), 0);
    while first < tokens.len() {
        let mut sum = 0;
        let fits = |t: &&usize| {
            sum += **t;
            sum <= target
        };
        let end = first + tokens[first..].iter().take_while(fits).count().max(1);
        slices.push(first..end);
        first = end;
    }
    slices
}

const MIN_PLAN_TOKENS: usize = 64;
/// Some 600 MB of activations for MiniLM; beyond it no device gains.
const MAX_PLAN_TOKENS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_plan_and_plans_are_of_a_size() {
        let tokens: Vec<usize> = (0..500).map(|i| 1 + i * 7 % 250).collect();
        for (workers, slice) in [(1, 256), (2, 256), (16, 4096), (1, 1), (3, usize::MAX)] {
            let slices = cut(&tokens, workers, slice);
            assert_eq!(slices.iter().cloned().flatten().collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
            let long = |s: &Range<usize>| s.len() > 1 && tokens[s.clone()].iter().sum::<usize>() > slice;
            assert!(!slices.iter().any(long), "{workers} {slice}");
        }
        assert_eq!(cut(&[], 2, 256), []);
    }
}
