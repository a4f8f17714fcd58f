//! Other users of the GPU, seen by the latency of a tiny dispatch.
//!
//! Latencies are noisy upwards only: something else ran first. So eight probes give a median, and the lowest median ever
//! seen is the quiet device. It may drift up by half, for clocks that a driver lowered for good, and no further: a game that runs
//! for hours must not become the baseline.

use std::collections::VecDeque;

/// What the probes of one device say.
#[derive(Clone, Debug, Default)]
pub(super) struct Contention {
    latest_us: VecDeque<u64>,
    baseline_us: Option<u64>,
    lowest_us: u64,
}

impl Contention {
    /// Takes the latency of a probe.
    pub(super) fn probe(&mut self, latency_us: u64) {
        if self.latest_us.len() == PROBES {
            self.latest_us.pop_front();
        }
        // Clocks of browsers are coarse: less than their step is no faster device.
        self.latest_us.push_back(latency_us.max(COARSE_CLOCK_US));
        let Some(median_us) = self.median_us() else { return };
        let baseline_us = self.baseline_us.get_or_insert(median_us);
        if median_us <= *baseline_us {
            *baseline_us = median_us;
            self.lowest_us =
                self.lowest_us.min(median_us).max(if self.lowest_us == 0 { median_us } else { 0 });
        } else {
            let step_us = (*baseline_us / DRIFT).max(1);
            let highest_us = self.lowest_us + self.lowest_us / 2;
            *baseline_us = (*baseline_us + step_us).min(highest_us).min(median_us);
        }
    }

    /// Whether others use the device. The probes that say so are forgotten: they saw a duty that is cut because of them.
    pub(super) fn contended_anew(&mut self) -> bool {
        let contended = self.exceeds(CONTENDED_TIMES, CONTENDED_EXCESS_US);
        if contended {
            self.latest_us.clear();
        }
        contended
    }

    /// Whether others use it so much that nothing should run; `already` if nothing does.
    pub(super) fn heavy(&self, already: bool) -> bool {
        let times = if already { HEAVY_LEAVE_TIMES } else { HEAVY_TIMES };
        self.exceeds(times, if already { CONTENDED_EXCESS_US } else { HEAVY_EXCESS_US })
    }

    /// Whether the median is so many times the baseline and so much above it: a clock's step is no contention.
    fn exceeds(&self, times: u64, excess_us: u64) -> bool {
        match (self.median_us(), self.baseline_us) {
            (Some(median_us), Some(baseline_us)) => {
                median_us >= baseline_us.saturating_mul(times) && median_us - baseline_us >= excess_us
            }
            _ => false,
        }
    }

    fn median_us(&self) -> Option<u64> {
        if self.latest_us.len() < PROBES {
            return None;
        }
        let mut sorted: Vec<u64> = self.latest_us.iter().copied().collect();
        sorted.sort_unstable();
        Some(sorted[PROBES / 2])
    }
}

const PROBES: usize = 8;
const COARSE_CLOCK_US: u64 = 100;
/// The baseline's drift a probe, as a fraction of it.
const DRIFT: u64 = 256;
const CONTENDED_TIMES: u64 = 2;
const CONTENDED_EXCESS_US: u64 = 500;
const HEAVY_TIMES: u64 = 6;
const HEAVY_LEAVE_TIMES: u64 = 3;
/// A quarter of a frame at 60 Hz.
const HEAVY_EXCESS_US: u64 = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(probes: &[(usize, u64)]) -> Contention {
        let mut contention = Contention::default();
        for &(times, latency_us) in probes {
            (0..times).for_each(|_| contention.probe(latency_us));
        }
        contention
    }

    #[test]
    fn a_median_of_eight_decides() {
        let mut quiet = after(&[(20, 300), (3, 50_000)]);
        assert!(!quiet.contended_anew(), "three slow probes are noise");
        let mut shared = after(&[(20, 300), (5, 900)]);
        assert!(shared.contended_anew() && !shared.contended_anew(), "once for the same probes");
        let busy = after(&[(20, 300), (5, 4500)]);
        assert!(busy.heavy(false));
        let calmer = after(&[(20, 300), (8, 1200)]);
        assert!(calmer.heavy(true) && !calmer.heavy(false));
    }

    #[test]
    fn hours_of_a_game_do_not_become_the_baseline() {
        let contention = after(&[(20, 300), (100_000, 5000)]);
        assert_eq!(contention.baseline_us, Some(450));
        assert!(contention.heavy(false));
    }

    #[test]
    fn a_load_that_was_there_first_is_found_out_when_it_ends() {
        let mut contention = after(&[(20, 5000), (20, 300), (8, 5000)]);
        assert_eq!(contention.lowest_us, 300);
        assert!(contention.contended_anew());
    }

    #[test]
    fn absurd_latencies_do_no_harm() {
        let contention = after(&[(9, 0), (9, u64::MAX), (9, 0)]);
        assert!(!contention.heavy(false));
        assert!(contention.baseline_us.is_some_and(|b| b <= 150));
    }
}
