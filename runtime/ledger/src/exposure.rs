//! Stake arithmetic: what a worker puts at risk, and how much unsettled work that carries.

use crate::{MICRO, price::PPM};

/// Full participation needs this much.
pub const BASE_STAKE_UCREDITS: u64 = 100 * MICRO;
/// What a claim puts at risk.
pub const TASK_STAKE_UCREDITS: u64 = 10 * MICRO;
/// What a worker on probation may have open at once.
pub const PROBATION_OPEN_UCREDITS: u64 = MICRO;
/// A worker on probation has this part of every rate limit: one in ten.
pub const PROBATION_RATE_PARTS: u64 = 10;
/// Stake comes back a day after it was called back.
pub const UNBONDING_EPOCHS: u64 = 1_440;
/// Rewards can be forfeited for an hour.
pub const PAYOUT_LOCK_EPOCHS: u64 = 60;

/// The most unsettled work a worker may have: `L p / (2 (1 - p))`, rounded down, for a value at risk `L` and a check
/// rate `p`.
///
/// Whoever takes a gain `g` by lying loses `L` when caught, so lying does not pay while `L >= 2 g (1 - p) / p`; the 2
/// is a margin. `L` is the worker's stake at risk plus its locked rewards. With `p` of 1 or more every result is
/// checked and nothing can be gained: no cap, [`u64::MAX`], which also stands for caps above it.
pub fn open_work_cap_ucredits(value_at_risk_ucredits: u64, check_rate_ppm: u32) -> u64 {
    let Some(unchecked_ppm @ 1..) = PPM.checked_sub(check_rate_ppm) else {
        return u64::MAX;
    };
    let cap =
        u128::from(value_at_risk_ucredits) * u128::from(check_rate_ppm) / (2 * u128::from(unchecked_ppm));
    u64::try_from(cap).unwrap_or(u64::MAX)
}

/// What a claim puts at risk: [`TASK_STAKE_UCREDITS`], at most the free part of the base stake.
pub fn task_stake_ucredits(free_base_stake_ucredits: u64) -> u64 {
    free_base_stake_ucredits.min(TASK_STAKE_UCREDITS)
}

/// Where a reward goes, as (stake, owner): into the base stake until that is full, the rest to the owner. They sum to
/// the reward.
pub fn stake_first(reward_ucredits: u64, base_stake_ucredits: u64) -> (u64, u64) {
    let stake = reward_ucredits.min(BASE_STAKE_UCREDITS.saturating_sub(base_stake_ucredits));
    (stake, reward_ucredits - stake)
}

/// What a worker's base stake makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Less than the base stake: small work, under supervision.
    Probation,
    /// The whole base stake.
    Established,
}

impl Standing {
    /// The standing of a base stake.
    pub fn of(base_stake_ucredits: u64) -> Self {
        if base_stake_ucredits < BASE_STAKE_UCREDITS { Self::Probation } else { Self::Established }
    }

    /// Its part of a rate limit. A tenth rounds up, so that a small limit slows a newcomer and does not bar it.
    pub fn rate_limit(self, full: u64) -> u64 {
        match self {
            Self::Probation => full.div_ceil(PROBATION_RATE_PARTS),
            Self::Established => full,
        }
    }

    /// The most unsettled work.
    ///
    /// On probation it is [`PROBATION_OPEN_UCREDITS`] whatever is at risk: a newcomer has nothing to lose, and nothing
    /// to gain either, since its vote never settles a task alone.
    pub fn open_work_cap_ucredits(self, value_at_risk_ucredits: u64, check_rate_ppm: u32) -> u64 {
        match self {
            Self::Probation => PROBATION_OPEN_UCREDITS,
            Self::Established => open_work_cap_ucredits(value_at_risk_ucredits, check_rate_ppm),
        }
    }

    /// Whether a task of this worker is always given to an established one too.
    pub fn needs_established_partner(self) -> bool {
        self == Self::Probation
    }

    /// Whether this worker's vote can settle a task with no other.
    pub fn may_settle_alone(self) -> bool {
        self == Self::Established
    }
}

/// Whether workers of these standings that agree may settle a task: at least one must be established, however many
/// newcomers there are, since identities are free and stake is not.
pub fn may_settle(agreeing: impl IntoIterator<Item = Standing>) -> bool {
    agreeing.into_iter().any(Standing::may_settle_alone)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_caps_of_the_document() {
        // 100 credits at a check rate of 10 % carry 5.5 credits; the task stake alone carries 0.55.
        assert_eq!(open_work_cap_ucredits(100 * MICRO, 100_000), 5_555_555);
        assert_eq!(open_work_cap_ucredits(10 * MICRO, 100_000), 555_555);
        // A gain g needs 18 g at 10 % and 38 g at 5 %.
        assert_eq!(open_work_cap_ucredits(18 * MICRO, 100_000), MICRO);
        assert_eq!(open_work_cap_ucredits(38 * MICRO, 50_000), MICRO);
        assert_eq!(open_work_cap_ucredits(38 * MICRO - 1, 50_000), MICRO - 1);
    }

    #[test]
    fn caps_at_the_edges() {
        assert_eq!(open_work_cap_ucredits(u64::MAX, 0), 0);
        assert_eq!(open_work_cap_ucredits(0, 999_999), 0);
        assert_eq!(open_work_cap_ucredits(u64::MAX, 999_999), u64::MAX);
        assert_eq!(open_work_cap_ucredits(2, 999_999), 999_999);
        assert_eq!(open_work_cap_ucredits(0, 1_000_000), u64::MAX);
        assert_eq!(open_work_cap_ucredits(0, u32::MAX), u64::MAX);
    }

    #[test]
    fn probation_ends_with_a_whole_stake() {
        assert_eq!(Standing::of(0), Standing::Probation);
        assert_eq!(Standing::of(99_999_999), Standing::Probation);
        assert_eq!(Standing::of(100_000_000), Standing::Established);
        assert_eq!(Standing::of(u64::MAX), Standing::Established);
    }

    #[test]
    fn what_probation_means() {
        let (new, old) = (Standing::Probation, Standing::Established);
        assert_eq!(
            [600, 6, 1, 0, u64::MAX].map(|l| new.rate_limit(l)),
            [60, 1, 1, 0, 1_844_674_407_370_955_162]
        );
        assert_eq!([600, 0, u64::MAX].map(|l| old.rate_limit(l)), [600, 0, u64::MAX]);
        assert_eq!(new.open_work_cap_ucredits(0, 100_000), 1_000_000);
        assert_eq!(new.open_work_cap_ucredits(u64::MAX, 1_000_000), 1_000_000);
        assert_eq!(old.open_work_cap_ucredits(100 * MICRO, 100_000), 5_555_555);
        assert!(new.needs_established_partner() && !old.needs_established_partner());
        assert!(!new.may_settle_alone() && old.may_settle_alone());
    }

    #[test]
    fn newcomers_never_settle_by_number() {
        assert!(!may_settle([]));
        assert!(!may_settle([Standing::Probation; 7]));
        assert!(may_settle([Standing::Probation, Standing::Established]));
        assert!(may_settle([Standing::Established]));
    }

    #[test]
    fn the_first_rewards_become_the_stake() {
        assert_eq!(stake_first(30 * MICRO, 0), (30 * MICRO, 0));
        assert_eq!(stake_first(30 * MICRO, 90 * MICRO), (10 * MICRO, 20 * MICRO));
        assert_eq!(stake_first(30 * MICRO, 100 * MICRO), (0, 30 * MICRO));
        assert_eq!(stake_first(u64::MAX, u64::MAX), (0, u64::MAX));
        assert_eq!([0, 7, 10 * MICRO, u64::MAX].map(task_stake_ucredits), [0, 7, 10 * MICRO, 10 * MICRO]);
    }

    /// Whether the deterrence bound of the document fails for a cap: too much open, or less than could be.
    fn breaks_the_bound(cap: impl Fn(u64, u32) -> u64, risk: u64, rate: u32) -> bool {
        let holds = |gain: u128| u128::from(risk) * u128::from(rate) >= 2 * gain * u128::from(PPM - rate);
        let gain = u128::from(cap(risk, rate));
        !holds(gain) || (gain < u128::from(u64::MAX) && holds(gain + 1))
    }

    /// A cap without its margin of 2, and one that rounds up.
    #[test]
    fn a_planted_fault_is_caught() {
        assert!(!breaks_the_bound(open_work_cap_ucredits, 100 * MICRO, 100_000));
        let no_margin = |risk, rate| open_work_cap_ucredits(risk, rate) * 2;
        assert!(breaks_the_bound(no_margin, 100 * MICRO, 100_000));
        assert!(breaks_the_bound(|risk, rate| open_work_cap_ucredits(risk, rate) + 1, 100 * MICRO, 100_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_cap_is_the_largest_that_deters(risk: u64, rate in 0..PPM) {
            prop_assert!(!breaks_the_bound(open_work_cap_ucredits, risk, rate));
        }

        #[test]
        fn more_at_risk_or_more_checks_never_lower_the_cap(risk in 0..u64::MAX, rate in 0..PPM) {
            let cap = open_work_cap_ucredits(risk, rate);
            prop_assert!(open_work_cap_ucredits(risk + 1, rate) >= cap);
            prop_assert!(open_work_cap_ucredits(risk, rate + 1) >= cap);
        }

        #[test]
        fn a_reward_is_staked_whole(reward: u64, stake: u64) {
            let (staked, paid) = stake_first(reward, stake);
            prop_assert_eq!(staked.checked_add(paid), Some(reward));
            prop_assert!(paid == 0 || Standing::of(stake.saturating_add(staked)) == Standing::Established);
        }

        #[test]
        fn probation_is_never_the_better_standing(full: u64) {
            prop_assert!(Standing::Probation.rate_limit(full) <= Standing::Established.rate_limit(full));
        }
    }
}
