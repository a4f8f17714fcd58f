//! A page's frames against its display's refresh: how many it shows, and how many it misses because of this node.

use std::collections::VecDeque;

/// How a visible page shows its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// The refresh period is not measured yet.
    Measuring,
    /// No frames arrive.
    Stalled,
    /// Thousandths of the frames that the display could have shown in the last second.
    Shown(u16),
}

/// Frames of a page since it was last shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    /// Intervals of the last second.
    second: VecDeque<u64>,
    second_us: u64,
    /// Intervals until there are enough to measure the refresh by.
    block: Vec<u64>,
    baseline_us: Option<u64>,
    /// Of the blocks in a row that were steady and slower than the baseline, those in which this node did next to nothing.
    slower_blocks: u32,
    /// Whether this node does next to nothing.
    quiet: bool,
    /// Frames of the window that harm is judged by, and its length.
    due: u64,
    missed: u64,
    window_us: u64,
    /// Share of frames that the page misses by itself.
    own_permille: u64,
    shown_since_us: u64,
    last_us: Option<u64>,
    last_long_us: Option<u64>,
}

impl Frames {
    /// The page was shown or hidden: what was seen says nothing about what comes. The display stays the same.
    pub(super) fn restart(&mut self, now_us: u64) {
        let (baseline_us, own_permille) = (self.baseline_us, self.own_permille);
        *self = Frames { baseline_us, own_permille, shown_since_us: now_us, ..Frames::default() };
    }

    pub(super) fn frame(&mut self, now_us: u64, interval_us: u64) {
        self.last_us = Some(now_us);
        // Two callbacks of one frame.
        if interval_us < FRAME_LEAST_US {
            return;
        }
        let interval_us = interval_us.min(SECOND_US);
        self.second.push_back(interval_us);
        self.second_us += interval_us;
        while self.second_us > SECOND_US {
            self.second_us -= self.second.pop_front().unwrap_or(self.second_us);
        }
        self.measure(interval_us);
        if let Some(baseline_us) = self.baseline_us {
            let due = due(interval_us, baseline_us);
            (self.due, self.missed) = (self.due + due, self.missed + due - 1);
            self.window_us += interval_us;
        }
    }

    pub(super) fn long_frame(&mut self, now_us: u64, duration_us: u64) {
        if duration_us >= LONG_FRAME_US {
            self.last_long_us = Some(now_us);
        }
    }

    pub(super) fn long_frame_lately(&self, now_us: u64) -> bool {
        self.last_long_us.is_some_and(|at_us| now_us.saturating_sub(at_us) < SECOND_US)
    }

    /// The refresh period.
    pub(super) fn baseline_us(&self) -> Option<u32> {
        self.baseline_us.map(|us| us as u32)
    }

    pub(super) fn pace(&self, now_us: u64) -> Pace {
        let silent_us =
            now_us.saturating_sub(self.last_us.unwrap_or(self.shown_since_us).max(self.shown_since_us));
        let stalled = silent_us >= STALLED_US;
        match self.baseline_us {
            None if stalled || now_us.saturating_sub(self.shown_since_us) >= MEASURE_MAX_US => Pace::Stalled,
            None => Pace::Measuring,
            Some(_) if stalled => Pace::Stalled,
            Some(_) if self.second_us < JUDGE_LEAST_US => Pace::Shown(1000),
            Some(baseline_us) => {
                let due: u64 = self.second.iter().map(|&us| due(us, baseline_us)).sum();
                Pace::Shown((self.second.len() as u64 * 1000 / due.max(1)) as u16)
            }
        }
    }

    /// Whether the page lost frames since this was last asked that it would not have lost by itself. `quiet` says that this node
    /// did next to nothing in the meantime: then it learns what the page loses by itself.
    pub(super) fn harm(&mut self, quiet: bool) -> bool {
        self.quiet = quiet;
        let own = self.due * self.own_permille / 1000;
        // Stutters come in clusters: what is usual varies by its root.
        let usual = own + 2 * own.isqrt() + self.due * TOLERATED_PERMILLE / 1000;
        let complete = self.window_us >= HARM_WINDOW_US;
        // A burst need not wait for its window's end.
        let burst = self.missed > usual + BURST_FRAMES;
        if !(complete || (burst && !quiet)) {
            return false;
        }
        let missed_permille = self.missed * 1000 / self.due.max(1);
        let harm = !quiet && self.missed > usual;
        (self.due, self.missed, self.window_us) = (0, 0, 0);
        if missed_permille < self.own_permille {
            // A window may be clean by chance.
            self.own_permille -= (self.own_permille - missed_permille).div_ceil(8);
        } else if quiet {
            self.own_permille = (self.own_permille + missed_permille).div_ceil(2);
        }
        harm
    }

    /// Follows the display by blocks of frames: the fastest quarter of a block is what the display can do.
    fn measure(&mut self, interval_us: u64) {
        self.block.push(interval_us);
        if self.block.len() < BLOCK {
            return;
        }
        self.block.sort_unstable();
        let quarter_us = self.block[BLOCK / 4].clamp(BASELINE_LEAST_US, BASELINE_MOST_US);
        let p95_us = self.block[BLOCK * 95 / 100];
        self.block.clear();
        let Some(baseline_us) = self.baseline_us else {
            self.baseline_us = Some(quarter_us);
            return;
        };
        let slower = quarter_us * 5 > baseline_us * 6;
        let steady = p95_us * 5 <= quarter_us * 6;
        self.slower_blocks = if slower && steady { self.slower_blocks + u32::from(self.quiet) } else { 0 };
        if quarter_us < baseline_us || self.slower_blocks >= SLOWER_BLOCKS {
            // Faster, or a display that saves power.
            self.baseline_us = Some(quarter_us);
            self.slower_blocks = 0;
        } else if !slower {
            // Jitter makes some blocks look faster than the display is.
            self.baseline_us = Some(baseline_us + (quarter_us - baseline_us) / 8);
        }
    }
}

/// Frames a display could have shown in an interval: 1 if none was missed.
fn due(interval_us: u64, baseline_us: u64) -> u64 {
    ((interval_us + baseline_us / 2) / baseline_us).max(1)
}

const SECOND_US: u64 = 1_000_000;
const FRAME_LEAST_US: u64 = 1000;
const BASELINE_LEAST_US: u64 = 2000;
const BASELINE_MOST_US: u64 = 50_000;
const BLOCK: usize = 32;
const SLOWER_BLOCKS: u32 = 4;
const JUDGE_LEAST_US: u64 = 250_000;
const STALLED_US: u64 = 500_000;
const MEASURE_MAX_US: u64 = 3_000_000;
const LONG_FRAME_US: u64 = 50_000;
const HARM_WINDOW_US: u64 = 500_000;
const BURST_FRAMES: u64 = 2;
const TOLERATED_PERMILLE: u64 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    fn page(intervals: &[(usize, u64)]) -> (Frames, u64) {
        let (mut frames, mut now_us) = (Frames::default(), 0);
        for &(times, us) in intervals {
            for _ in 0..times {
                now_us += us;
                frames.frame(now_us, us);
            }
        }
        (frames, now_us)
    }

    #[test]
    fn the_refresh_is_measured_and_followed() {
        let (frames, _) = page(&[(10, 33_333), (22, 16_667)]);
        assert_eq!(frames.baseline_us(), Some(16_667));
        let (frames, _) = page(&[(64, 16_667), (32, 6944)]);
        assert_eq!(frames.baseline_us(), Some(6944), "moved to a faster display");
    }

    #[test]
    fn a_display_that_saves_power_is_followed_only_while_nothing_runs() {
        let (mut frames, _) = page(&[(32, 8333)]);
        for quiet in [false, true] {
            frames.harm(quiet);
            (0..SLOWER_BLOCKS as usize * BLOCK).for_each(|_| frames.frame(0, 16_667));
            assert_eq!(frames.baseline_us(), Some(if quiet { 16_667 } else { 8333 }));
        }
    }

    #[test]
    fn missed_frames_are_counted_against_the_refresh() {
        let (frames, now_us) = page(&[(32, 16_667), (30, 33_333)]);
        assert_eq!(frames.pace(now_us), Pace::Shown(500));
        let (frames, now_us) = page(&[(32, 16_667), (10, 50_000), (10, 16_667), (10, 33_333)]);
        assert_eq!(frames.pace(now_us), Pace::Shown(30 * 1000 / 60));
        assert_eq!(frames.pace(now_us + STALLED_US), Pace::Stalled);
    }

    #[test]
    fn a_page_that_shows_nothing_is_stalled_not_fine() {
        let mut frames = Frames::default();
        frames.restart(7);
        assert_eq!(frames.pace(8), Pace::Measuring);
        assert_eq!(frames.pace(7 + STALLED_US), Pace::Stalled);
    }

    #[test]
    fn what_the_page_loses_by_itself_is_no_harm() {
        let (mut frames, _) = page(&[(32, 16_667)]);
        frames.harm(true);
        let janky = |frames: &mut Frames| {
            for _ in 0..10 {
                [16_667, 33_333].into_iter().for_each(|us| frames.frame(0, us));
            }
        };
        janky(&mut frames);
        assert!(frames.harm(false), "unknown, so it is taken for harm");
        for _ in 0..8 {
            janky(&mut frames);
            assert!(!frames.harm(true), "nothing runs, so nothing is hurt");
        }
        janky(&mut frames);
        assert!(!frames.harm(false), "known by now");
        for _ in 0..20 {
            [16_667, 50_000].into_iter().for_each(|us| frames.frame(0, us));
        }
        assert!(frames.harm(false), "more than it loses by itself");
    }
}
