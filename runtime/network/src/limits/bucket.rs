use super::{BURST_MS, UNITS_PER_TASK, VERIFICATIONS_PER_SECOND};

/// What comes into a bucket, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units that come in an hour.
    pub units_per_hour: u64,
    /// Units a full bucket holds.
    pub burst_units: u64,
}

impl Rate {
    /// A rate that holds 10 seconds' worth, and at least one ordinary task: a newcomer's ten seconds are less than
    /// that, and it could never send one.
    pub fn of_units(units_per_hour: u64) -> Self {
        let burst = u128::from(units_per_hour) * u128::from(BURST_MS) / u128::from(HOUR_MS);
        // A 360th of a u64.
        Rate { units_per_hour, burst_units: (burst as u64).max(UNITS_PER_TASK) }
    }

    /// Verifications: in any second the burst and what comes in are at most `peers` x 200 together.
    pub fn of_verifications(peers: u64) -> Self {
        let per_second = VERIFICATIONS_PER_SECOND.saturating_mul(peers);
        let burst_units = (per_second / 10).max(1);
        Rate { units_per_hour: per_second.saturating_sub(burst_units).saturating_mul(3_600), burst_units }
    }

    fn burst(self) -> u128 {
        u128::from(self.burst_units) * u128::from(HOUR_MS)
    }
}

/// A token bucket. It starts full.
///
/// Exact: the level is kept in 3,600,000ths of a unit, so that any rate an hour adds a whole number each millisecond. In
/// any window at most `rate x time + burst` units leave it. The rate is an argument of every call, for a peer's standing
/// changes while its bucket stands; a lower one takes effect at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    level: u128,
    at_ms: u64,
}

/// What a bucket lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// It will hold enough after this time.
    For {
        /// Milliseconds, at least 1.
        ms: u64,
    },
    /// It never holds that much.
    Forever,
}

impl Bucket {
    /// A full bucket.
    pub fn full(rate: Rate, now_ms: u64) -> Self {
        Bucket { level: rate.burst(), at_ms: now_ms }
    }

    /// What is missing for a cost; `None` if it can be taken.
    pub fn short(&self, rate: Rate, now_ms: u64, units: u64) -> Option<Short> {
        let wanted = u128::from(units) * u128::from(HOUR_MS);
        if wanted > rate.burst() {
            return Some(Short::Forever);
        }
        let missing = wanted.saturating_sub(self.level_at(rate, now_ms));
        if missing == 0 {
            return None;
        }
        match rate.units_per_hour {
            0 => Some(Short::Forever),
            per_hour => Some(Short::For { ms: whole_ms(missing, per_hour) }),
        }
    }

    /// Takes a cost that [`Bucket::short`] found to be there; of a cost that is not, it takes what is.
    pub fn take(&mut self, rate: Rate, now_ms: u64, units: u64) {
        self.level = self.level_at(rate, now_ms).saturating_sub(u128::from(units) * u128::from(HOUR_MS));
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// When it holds `full`'s burst, coming in at `rate`: from then on it is worth no more than a fresh one.
    fn full_at_ms(&self, rate: Rate, full: Rate) -> u64 {
        let missing = full.burst().saturating_sub(self.level);
        match rate.units_per_hour {
            _ if missing == 0 => self.at_ms,
            0 => u64::MAX,
            per_hour => self.at_ms.saturating_add(whole_ms(missing, per_hour)),
        }
    }

    /// Time that went back adds nothing.
    fn level_at(&self, rate: Rate, now_ms: u64) -> u128 {
        let come = u128::from(now_ms.saturating_sub(self.at_ms)) * u128::from(rate.units_per_hour);
        self.level.saturating_add(come).min(rate.burst())
    }
}

/// The rates of a [`Meter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Cost units.
    pub units: Rate,
    /// Signatures verified.
    pub verifications: Rate,
}

impl Rates {
    /// The rates of so many peers of this many units an hour.
    pub fn new(units_per_hour: u64, peers: u64) -> Self {
        Rates {
            units: Rate::of_units(units_per_hour.saturating_mul(peers)),
            verifications: Rate::of_verifications(peers),
        }
    }
}

/// What a frame would use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Cost units.
    pub units: u64,
    /// Signatures to verify.
    pub verifications: u64,
}

/// Two buckets side by side: cost units, and verifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    units: Bucket,
    verifications: Bucket,
}

impl Meter {
    /// Both full.
    pub fn full(rates: Rates, now_ms: u64) -> Self {
        Meter {
            units: Bucket::full(rates.units, now_ms),
            verifications: Bucket::full(rates.verifications, now_ms),
        }
    }

    /// What is missing: in units, and in verifications.
    pub fn short(&self, rates: Rates, now_ms: u64, ask: Ask) -> (Option<Short>, Option<Short>) {
        (
            self.units.short(rates.units, now_ms, ask.units),
            self.verifications.short(rates.verifications, now_ms, ask.verifications),
        )
    }

    /// Takes it.
    pub fn take(&mut self, rates: Rates, now_ms: u64, ask: Ask) {
        self.units.take(rates.units, now_ms, ask.units);
        self.verifications.take(rates.verifications, now_ms, ask.verifications);
    }

    /// When a fresh meter of the rates `full` would be worth no more than this one.
    pub(super) fn full_at_ms(&self, rates: Rates, full: Rates) -> u64 {
        let units_ms = self.units.full_at_ms(rates.units, full.units);
        units_ms.max(self.verifications.full_at_ms(rates.verifications, full.verifications))
    }
}

fn whole_ms(missing: u128, per_hour: u64) -> u64 {
    u64::try_from(missing.div_ceil(u128::from(per_hour))).unwrap_or(u64::MAX)
}

const HOUR_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes greedily, and says whether any window let through more than `rate x time + burst`.
    fn breaks_the_bound(
        rate: Rate,
        asks: &[(u64, u64)],
        take: impl Fn(&mut Bucket, u64, u64) -> bool,
    ) -> bool {
        let mut bucket = Bucket::full(rate, 0);
        let (mut now_ms, mut taken) = (0, Vec::new());
        for &(step_ms, units) in asks {
            now_ms += step_ms;
            if take(&mut bucket, now_ms, units) {
                taken.push((now_ms, units));
            }
        }
        (0..taken.len()).any(|first| {
            let mut sum = 0u128;
            taken[first..].iter().any(|&(at_ms, units)| {
                sum += u128::from(units) * u128::from(HOUR_MS);
                let window_ms = u128::from(at_ms - taken[first].0);
                sum > window_ms * u128::from(rate.units_per_hour) + rate.burst()
            })
        })
    }

    fn honest(rate: Rate) -> impl Fn(&mut Bucket, u64, u64) -> bool {
        move |bucket, now_ms, units| {
            let fits = bucket.short(rate, now_ms, units).is_none();
            if fits {
                bucket.take(rate, now_ms, units);
            }
            fits
        }
    }

    /// A bucket without a bottom, and one whose burst comes back with every second.
    #[test]
    fn a_planted_fault_is_caught() {
        let rate = Rate::of_units(600_000);
        let asks = [(0, 1_000), (1_000, 1_000), (1_000, 1_000)];
        assert!(!breaks_the_bound(rate, &asks, honest(rate)));
        assert!(breaks_the_bound(rate, &asks, |_, _, _| true));
        assert!(breaks_the_bound(rate, &asks, |bucket, now_ms, units| {
            *bucket = Bucket::full(rate, now_ms);
            honest(rate)(bucket, now_ms, units)
        }));
    }

    #[test]
    fn bursts() {
        assert_eq!(Rate::of_units(600_000).burst_units, 1_666);
        assert_eq!(Rate::of_units(60_000_000).burst_units, 166_666);
        assert_eq!(Rate::of_units(60_000).burst_units, 1_000);
        assert_eq!(Rate::of_units(u64::MAX).burst_units, u64::MAX / 360);
        assert_eq!(Rate::of_verifications(1), Rate { units_per_hour: 180 * 3_600, burst_units: 20 });
    }

    #[test]
    fn how_long_to_wait_is_exact() {
        let rate = Rate { units_per_hour: 3_600, burst_units: 10 };
        let mut bucket = Bucket::full(rate, 0);
        assert_eq!(bucket.short(rate, 0, 11), Some(Short::Forever));
        bucket.take(rate, 0, 10);
        assert_eq!(bucket.short(rate, 0, 3), Some(Short::For { ms: 3_000 }));
        assert_eq!(bucket.short(rate, 2_999, 3), Some(Short::For { ms: 1 }));
        assert_eq!(bucket.short(rate, 3_000, 3), None);
        let closed = Rate { units_per_hour: 0, burst_units: 10 };
        assert_eq!(bucket.short(closed, 3_000, 3), Some(Short::Forever));
    }

    #[test]
    fn a_clock_that_goes_back_adds_nothing() {
        let rate = Rate { units_per_hour: 3_600, burst_units: 10 };
        let mut bucket = Bucket::full(rate, 1_000_000);
        bucket.take(rate, 1_000_000, 10);
        for now_ms in [0, 999_999, 5, 1_000_000] {
            assert!(bucket.short(rate, now_ms, 1).is_some());
            bucket.take(rate, now_ms, 0);
        }
        assert!(bucket.short(rate, u64::MAX, 10).is_none());
        assert_eq!(bucket.short(rate, u64::MAX, 11), Some(Short::Forever));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn never_more_than_rate_and_burst(
            units_per_hour in prop_oneof![0..10_000u64, Just(600_000), Just(60_000_000), any::<u64>()],
            burst_units in prop_oneof![0..50u64, 0..200_000u64],
            asks in prop::collection::vec((prop_oneof![0..5u64, 0..20_000u64], 0..3_000u64), 1..80),
        ) {
            let rate = Rate { units_per_hour, burst_units };
            prop_assert!(!breaks_the_bound(rate, &asks, honest(rate)));
        }

        #[test]
        fn waiting_as_told_is_enough_and_no_less_is(
            units_per_hour in 1..100_000_000u64,
            burst_units in 1..100_000u64,
            spent in 0..100_000u64,
            wanted in 1..100_000u64,
        ) {
            let rate = Rate { units_per_hour, burst_units };
            let mut bucket = Bucket::full(rate, 7);
            bucket.take(rate, 7, spent);
            match bucket.short(rate, 7, wanted) {
                None => {}
                Some(Short::Forever) => prop_assert!(bucket.short(rate, u64::MAX, wanted).is_some()),
                Some(Short::For { ms }) => {
                    prop_assert_eq!(bucket.short(rate, 7 + ms, wanted), None);
                    prop_assert!(bucket.short(rate, 6 + ms, wanted).is_some());
                }
            }
        }

        #[test]
        fn no_second_sees_more_than_the_verifications(
            steps_ms in prop::collection::vec(0..12u64, 1..600),
        ) {
            let rate = Rate::of_verifications(1);
            let (mut bucket, mut now_ms, mut taken) = (Bucket::full(rate, 0), 0, Vec::new());
            for step_ms in steps_ms {
                now_ms += step_ms;
                while honest(rate)(&mut bucket, now_ms, 1) {
                    taken.push(now_ms);
                }
            }
            for (first, start_ms) in taken.iter().enumerate() {
                let within = taken[first..].iter().filter(|&&at_ms| at_ms - start_ms < 1_000).count();
                prop_assert!(within as u64 <= VERIFICATIONS_PER_SECOND);
            }
        }
    }
}
