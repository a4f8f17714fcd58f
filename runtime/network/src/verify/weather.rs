//! Whether trusted workers are being caught.
//!
//! Survived checks say how a worker was, not how it will be: one that is honest until it is trusted and then lies lands about
//! (1-q)/q wrong results before a check finds it, and where many do so at once, the wrong results come in a burst that no
//! threshold holds back. What gives a burst away is its first catches. So a relay counts, over the last [`WINDOW_TASKS`]
//! tasks it decided, how many workers were proved wrong that were believed alone:
//!
//! ```text
//! storm   while   caught (1-q)/q  >=  decided (1 - theta) / 2
//! ```
//!
//! Left of it stand the wrong results that those catches let expect, right of it half of what the threshold allows. In a
//! storm no worker is believed alone (see [`crate::verify::policy`]). The counts go into the evidence of a decision, so an
//! auditor can check them against the resolves.

use std::collections::VecDeque;

use ledger::price::PPM;

/// Tasks that the weather looks back on.
pub const WINDOW_TASKS: u64 = 4_096;

/// Counts of the last tasks, in the order in which the relay decided them. Holds at most [`MAX_CATCHES`] numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    decided: u64,
    /// The number of the task that was the last before each catch, ascending.
    catches: VecDeque<u64>,
}

impl Weather {
    /// A task was decided, by whatever means and with whatever end.
    pub fn decided(&mut self) {
        self.decided += 1;
        while self.catches.front().is_some_and(|&at| at + WINDOW_TASKS <= self.decided) {
            self.catches.pop_front();
        }
    }

    /// A worker that was believed alone when its task was opened was proved wrong.
    pub fn caught_trusted(&mut self) {
        // More catches than this are a storm whatever the threshold; which of them go does not matter but for its end.
        if self.catches.len() == MAX_CATCHES {
            self.catches.pop_front();
        }
        self.catches.push_back(self.decided);
    }

    /// Catches and decided tasks of the window.
    pub fn counts(&self) -> (u64, u64) {
        (self.catches.len() as u64, self.decided.min(WINDOW_TASKS))
    }

    /// Whether as many trusted workers were caught as a threshold does not bear, at a check rate. Without catches never.
    pub fn is_storm(&self, theta_ppm: u32, check_rate_ppm: u32) -> bool {
        let (caught, decided) = self.counts();
        let checked = u128::from(check_rate_ppm.min(PPM));
        let unchecked = u128::from(PPM) - checked;
        let doubt = u128::from(PPM.saturating_sub(theta_ppm));
        let let_expect = 2 * u128::from(caught) * unchecked * u128::from(PPM);
        caught > 0 && let_expect >= u128::from(decided) * doubt * checked
    }
}

/// Catches remembered.
pub const MAX_CATCHES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(decided: u64, catches: u64) -> Weather {
        let mut weather = Weather::default();
        (0..decided).for_each(|_| weather.decided());
        (0..catches).for_each(|_| weather.caught_trusted());
        weather
    }

    #[test]
    fn a_few_catches_make_a_storm() {
        let storm = |decided, catches| after(decided, catches).is_storm(990_000, 100_000);
        assert!(!storm(0, 0) && !storm(100_000, 0));
        // 2 * 9 >= 0.01 * decided.
        assert!(storm(0, 1) && storm(1_800, 1) && !storm(1_801, 1));
        assert!(!storm(4_096, 2) && storm(4_096, 3) && storm(100_000, 3));
        // At 0.1 % one catch in a window is enough.
        assert!(after(4_096, 1).is_storm(999_000, 100_000));
        // Nothing is ever doubted that is always checked, and no check is no excuse.
        assert!(!after(1, 1).is_storm(990_000, PPM));
        assert!(after(4_096, 1).is_storm(990_000, 0));
    }

    #[test]
    fn a_storm_passes() {
        let mut weather = after(10_000, 3);
        for _ in 0..WINDOW_TASKS - 1 {
            weather.decided();
            assert!(weather.is_storm(990_000, 100_000));
        }
        weather.decided();
        assert!(!weather.is_storm(990_000, 100_000));
        assert_eq!(weather.counts(), (0, WINDOW_TASKS));
    }

    #[test]
    fn memory_is_bounded() {
        let weather = after(5, 10_000);
        assert_eq!(weather.counts(), (MAX_CATCHES as u64, 5));
    }
}
