//! Quotes, fees and shares, in whole micro-credits.
//!
//! What is paid rounds up, by at most one micro-credit an item; what is given from the treasury rounds down. A sum that
//! is split comes out whole. Nothing wraps: what does not fit is an error.

use std::{collections::BTreeSet, num::NonZeroU32};

use thiserror::Error;

use crate::{EPOCH_SECONDS, MICRO};

/// Most replicas of one task.
pub const MAX_REDUNDANCY: u8 = 7;
/// Epochs in an hour.
pub const EPOCHS_PER_HOUR: u64 = 3_600 / EPOCH_SECONDS;
/// Epochs in a day.
pub const EPOCHS_PER_DAY: u64 = 24 * EPOCHS_PER_HOUR;
/// Bytes in a MB.
pub const MB: u64 = 1_000_000;
/// A hundredth of a credit keeps a MB of vectors for a day.
pub const STORAGE_UCREDITS_PER_MB_DAY: u64 = MICRO / 100;
/// The treasury gives at most this part of itself in an epoch: with 525,600 epochs in a year, 10 % a year.
pub const TREASURY_PARTS: u64 = 5_256_000;
/// A tenth of a credit for an hour online in which something was proved.
pub const UPTIME_UCREDITS_PER_HOUR: u64 = MICRO / 10;
/// A referrer's part: one in ten.
pub const REFERRAL_PARTS: u64 = 10;
/// A referral pays for 30 days.
pub const REFERRAL_EPOCHS: u64 = 30 * EPOCHS_PER_DAY;
/// The whole, where a part is given in millionths.
pub const PPM: u32 = 1_000_000;
/// A site's part of what its page earns, where its config names none: half.
pub const DEFAULT_SITE_SHARE_PPM: u32 = PPM / 2;

/// How soon a task should run, and what that costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Half the price, behind all others.
    Low,
    /// The price.
    #[default]
    Normal,
    /// Twice the price: the fast lane.
    High,
}

impl Priority {
    /// All of them, cheapest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Its name in settings and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The priority of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    fn halves(self) -> u128 {
        match self {
            Self::Low => 1,
            Self::Normal => 2,
            Self::High => 4,
        }
    }
}

/// Why there is no price or share.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum QuoteError {
    /// A task runs on 1 to [`MAX_REDUNDANCY`] workers.
    #[error("redundancy is {found}, must be 1 to {MAX_REDUNDANCY}")]
    Redundancy {
        /// What was asked for.
        found: u8,
    },
    /// More than an amount can hold.
    #[error("the price is more than {} micro-credits", u64::MAX)]
    TooMuch,
    /// A part larger than the whole.
    #[error("the site's share is {found} ppm, must be at most {PPM}")]
    SiteShare {
        /// What the config says.
        found: u32,
    },
}

/// What a task costs: base x redundancy x priority.
///
/// Only half of an odd number is not whole; it rounds up, so one quote is at most half a micro-credit dearer than the
/// exact price.
///
/// # Errors
/// A redundancy out of range, or a price that no amount can hold.
pub fn quote(base_ucredits: u64, redundancy: u8, priority: Priority) -> Result<u64, QuoteError> {
    if !(1..=MAX_REDUNDANCY).contains(&redundancy) {
        return Err(QuoteError::Redundancy { found: redundancy });
    }
    let halves = u128::from(base_ucredits) * u128::from(redundancy) * priority.halves();
    amount(halves.div_ceil(2))
}

/// What it costs to keep vectors: 0.01 credit for a MB and a day, rounded up once over the whole time.
///
/// # Errors
/// [`QuoteError::TooMuch`].
pub fn storage_fee_ucredits(bytes: u64, epochs: u64) -> Result<u64, QuoteError> {
    // bytes / MB * epochs / EPOCHS_PER_DAY * price; the price divides a MB, so the product of two u64 is the largest.
    let per_ucredit = u128::from(MB / STORAGE_UCREDITS_PER_MB_DAY * EPOCHS_PER_DAY);
    amount((u128::from(bytes) * u128::from(epochs)).div_ceil(per_ucredit))
}

/// The most that bonuses, uptime and referrals together may take from the treasury in an epoch, rounded down.
pub fn treasury_cap_ucredits(treasury_at_epoch_start_ucredits: u64) -> u64 {
    treasury_at_epoch_start_ucredits / TREASURY_PARTS
}

/// Hours that count as uptime: those in which at least one verified task or answered spot check happened.
///
/// Takes the epochs of these events, in any order and as often as they come. Hours start at multiples of
/// [`EPOCHS_PER_HOUR`], so that an hour is the same hour on every node.
pub fn proved_hours(event_epochs: impl IntoIterator<Item = u64>) -> u64 {
    event_epochs.into_iter().map(|epoch| epoch / EPOCHS_PER_HOUR).collect::<BTreeSet<_>>().len() as u64
}

/// What proved hours earn.
///
/// # Errors
/// [`QuoteError::TooMuch`].
pub fn uptime_reward_ucredits(hours: u64) -> Result<u64, QuoteError> {
    amount(u128::from(hours) * u128::from(UPTIME_UCREDITS_PER_HOUR))
}

/// What a referrer gets for a task reward of the referee, rounded down: a tenth in the [`REFERRAL_EPOCHS`] that begin
/// with the registration's epoch, after that and before it nothing. It comes from the treasury.
pub fn referral_ucredits(task_reward_ucredits: u64, registered_epoch: u64, epoch: u64) -> u64 {
    let runs = epoch.checked_sub(registered_epoch).is_some_and(|age_epochs| age_epochs < REFERRAL_EPOCHS);
    if runs { task_reward_ucredits / REFERRAL_PARTS } else { 0 }
}

/// Splits what a page earned into the visitor's and the site's part, in this order. They sum to the reward; the site's
/// part rounds down, so the odd micro-credit is the visitor's.
///
/// # Errors
/// [`QuoteError::SiteShare`] over a whole.
pub fn split(reward_ucredits: u64, site_share_ppm: u32) -> Result<(u64, u64), QuoteError> {
    if site_share_ppm > PPM {
        return Err(QuoteError::SiteShare { found: site_share_ppm });
    }
    // At most the reward, so it fits.
    let site = (u128::from(reward_ucredits) * u128::from(site_share_ppm) / u128::from(PPM)) as u64;
    Ok((reward_ucredits - site, site))
}

/// Splits a price over the replicas that agreed. The parts sum to the total and differ by at most one micro-credit; the
/// first get the remainder, so the caller's order must be one that every node has, such as that of the assignment.
pub fn share_out(total_ucredits: u64, replicas: NonZeroU32) -> impl ExactSizeIterator<Item = u64> {
    let parts = u64::from(replicas.get());
    let (part, larger) = (total_ucredits / parts, total_ucredits % parts);
    (0..replicas.get()).map(move |i| part + u64::from(u64::from(i) < larger))
}

fn amount(ucredits: u128) -> Result<u64, QuoteError> {
    u64::try_from(ucredits).map_err(|_| QuoteError::TooMuch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::GENESIS;

    #[test]
    fn quotes() {
        for (base, redundancy, priority, wanted) in [
            (0, 7, Priority::High, 0),
            (1, 1, Priority::Low, 1),
            (1, 1, Priority::Normal, 1),
            (1, 1, Priority::High, 2),
            (3, 1, Priority::Low, 2),
            (3, 2, Priority::Low, 3),
            (5 * MICRO, 3, Priority::Normal, 15 * MICRO),
            (5 * MICRO, 3, Priority::High, 30 * MICRO),
            (5 * MICRO, 3, Priority::Low, 7_500_000),
            (u64::MAX, 1, Priority::Low, 1 << 63),
            (u64::MAX, 1, Priority::Normal, u64::MAX),
            (u64::MAX, 2, Priority::Low, u64::MAX),
        ] {
            assert_eq!(quote(base, redundancy, priority), Ok(wanted), "{base} x {redundancy} {priority:?}");
        }
        assert_eq!(quote(1, 0, Priority::Low), Err(QuoteError::Redundancy { found: 0 }));
        assert_eq!(quote(1, 8, Priority::Low), Err(QuoteError::Redundancy { found: 8 }));
        assert_eq!(quote(u64::MAX, 3, Priority::Low), Err(QuoteError::TooMuch));
        assert_eq!(quote(u64::MAX, 1, Priority::High), Err(QuoteError::TooMuch));
    }

    #[test]
    fn names_of_priorities() {
        assert_eq!(Priority::ALL.map(Priority::name), ["low", "normal", "high"]);
        assert!(Priority::ALL.iter().all(|p| Priority::from_name(p.name()) == Some(*p)));
        assert_eq!(Priority::from_name("urgent"), None);
        assert_eq!(Priority::default(), Priority::Normal);
    }

    #[test]
    fn storage() {
        for (bytes, epochs, wanted) in [
            (0, u64::MAX, 0),
            (u64::MAX, 0, 0),
            (1, 1, 1),
            (MB, 1_440, 10_000),
            (MB, 1, 7),
            (MB + 1, 1_440, 10_001),
            (1_000 * MB, 30 * 1_440, 300 * MICRO),
        ] {
            assert_eq!(storage_fee_ucredits(bytes, epochs), Ok(wanted), "{bytes} bytes, {epochs} epochs");
        }
        assert_eq!(storage_fee_ucredits(u64::MAX, u64::MAX), Err(QuoteError::TooMuch));
        assert_eq!(storage_fee_ucredits(u64::MAX, 144_000), Ok(u64::MAX));
        assert_eq!(storage_fee_ucredits(u64::MAX, 144_001), Err(QuoteError::TooMuch));
    }

    #[test]
    fn the_treasury_gives_at_most_a_tenth_a_year() {
        assert_eq!(treasury_cap_ucredits(GENESIS), 190_258_751);
        assert_eq!(treasury_cap_ucredits(5_255_999), 0);
        assert_eq!(treasury_cap_ucredits(5_256_000), 1);
        let mut treasury = GENESIS;
        for _ in 0..365 * EPOCHS_PER_DAY {
            treasury -= treasury_cap_ucredits(treasury);
        }
        // 1 - exp(-0.1) = 9.516 %.
        assert_eq!((GENESIS - treasury) / (GENESIS / 100_000), 9_516);
    }

    #[test]
    fn uptime_counts_hours_with_proof() {
        assert_eq!(proved_hours([]), 0);
        assert_eq!(proved_hours([59, 0, 30, 0]), 1);
        assert_eq!(proved_hours([120, 59, 60, 61]), 3);
        assert_eq!(proved_hours([u64::MAX, u64::MAX - 1]), 1);
        assert_eq!(uptime_reward_ucredits(3), Ok(300_000));
        assert_eq!(uptime_reward_ucredits(u64::MAX), Err(QuoteError::TooMuch));
    }

    #[test]
    fn a_referral_pays_for_thirty_days() {
        assert_eq!(REFERRAL_EPOCHS, 43_200);
        assert_eq!(referral_ucredits(MICRO, 100, 99), 0);
        assert_eq!(referral_ucredits(MICRO, 100, 100), 100_000);
        assert_eq!(referral_ucredits(MICRO, 100, 43_299), 100_000);
        assert_eq!(referral_ucredits(MICRO, 100, 43_300), 0);
        assert_eq!(referral_ucredits(19, 0, 0), 1);
        assert_eq!(referral_ucredits(u64::MAX, u64::MAX, u64::MAX), u64::MAX / 10);
    }

    #[test]
    fn site_and_visitor() {
        assert_eq!(split(MICRO + 1, DEFAULT_SITE_SHARE_PPM), Ok((500_001, 500_000)));
        assert_eq!(split(u64::MAX, 0), Ok((u64::MAX, 0)));
        assert_eq!(split(u64::MAX, PPM), Ok((0, u64::MAX)));
        assert_eq!(split(10, 300_000), Ok((7, 3)));
        assert_eq!(split(10, PPM + 1), Err(QuoteError::SiteShare { found: 1_000_001 }));
    }

    #[test]
    fn the_first_replicas_get_the_remainder() {
        let shares = |total, n| share_out(total, NonZeroU32::new(n).unwrap()).collect::<Vec<_>>();
        assert_eq!(shares(11, 3), [4, 4, 3]);
        assert_eq!(shares(2, 4), [1, 1, 0, 0]);
        assert_eq!(shares(u64::MAX, 1), [u64::MAX]);
    }

    /// What every way of sharing must hold; a fault in one is found.
    fn shares_wrongly(share: impl Fn(u64, u64) -> Vec<u64>) -> bool {
        [(0, 1), (1, 7), (7, 7), (13, 7), (MICRO, 3), (u64::MAX, 7)].into_iter().any(|(total, n)| {
            let shares = share(total, n);
            let sum: u128 = shares.iter().map(|&s| u128::from(s)).sum();
            let even = shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1;
            sum != u128::from(total) || !even || !shares.is_sorted_by(|a, b| a >= b)
        })
    }

    #[test]
    fn a_planted_fault_is_caught() {
        let right = |total, n| share_out(total, NonZeroU32::new(n as u32).unwrap()).collect();
        assert!(!shares_wrongly(right));
        assert!(shares_wrongly(|total, n| vec![total / n; n as usize]));
        assert!(shares_wrongly(|total, n| {
            let mut shares = vec![total / n; n as usize];
            shares[0] += total % n;
            shares
        }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_quote_is_exact_or_half_a_ucredit_dearer(base: u64, redundancy in 1u8..=7, priority in 0usize..3) {
            let priority = Priority::ALL[priority];
            let doubled = u128::from(base) * u128::from(redundancy) * [1, 2, 4][priority as usize];
            match quote(base, redundancy, priority) {
                Ok(price) => prop_assert!([0, 1].contains(&(u128::from(price) * 2 - doubled))),
                Err(error) => {
                    prop_assert_eq!(error, QuoteError::TooMuch);
                    prop_assert!(doubled > u128::from(u64::MAX) * 2);
                }
            }
        }

        #[test]
        fn quotes_are_monotone(base in 0..u64::MAX / 28, redundancy in 1u8..7) {
            for priority in Priority::ALL {
                let price = quote(base, redundancy, priority).unwrap();
                prop_assert!(quote(base + 1, redundancy, priority).unwrap() >= price);
                prop_assert!(quote(base, redundancy + 1, priority).unwrap() >= price);
            }
            let of = |priority| quote(base, redundancy, priority).unwrap();
            prop_assert!(of(Priority::Low) <= of(Priority::Normal) && of(Priority::Normal) <= of(Priority::High));
        }

        #[test]
        fn a_storage_fee_is_the_next_whole(bytes: u64, epochs in 0u64..1 << 20) {
            let exact = u128::from(bytes) * u128::from(epochs) * 10_000;
            match storage_fee_ucredits(bytes, epochs) {
                Ok(fee) => {
                    let paid = u128::from(fee) * 1_000_000 * 1_440;
                    prop_assert!(paid >= exact && paid - exact < 1_000_000 * 1_440);
                }
                Err(_) => prop_assert!(exact > u128::from(u64::MAX) * 1_000_000 * 1_440),
            }
        }

        #[test]
        fn a_split_is_whole(reward: u64, ppm in 0..=PPM) {
            let (visitor, site) = split(reward, ppm).unwrap();
            prop_assert_eq!(visitor.checked_add(site), Some(reward));
            let exact = u128::from(reward) * u128::from(ppm);
            let paid = u128::from(site) * 1_000_000;
            prop_assert!(paid <= exact && exact - paid < 1_000_000);
        }

        #[test]
        fn shares_are_whole(total: u64, n in 1u32..100) {
            let shares: Vec<u64> = share_out(total, NonZeroU32::new(n).unwrap()).collect();
            prop_assert_eq!(shares.len(), n as usize);
            prop_assert_eq!(shares.iter().map(|&s| u128::from(s)).sum::<u128>(), u128::from(total));
            prop_assert!(shares.is_sorted_by(|a, b| a >= b) && shares[0] - shares[n as usize - 1] <= 1);
        }

        #[test]
        fn what_the_treasury_gives_is_rounded_down(reward: u64, age in 0u64..50_000) {
            let referral = u128::from(referral_ucredits(reward, 7, 7 + age));
            prop_assert!(referral * 10 <= u128::from(reward));
            prop_assert!(referral == 0 || age < REFERRAL_EPOCHS);
            prop_assert!(u128::from(treasury_cap_ucredits(reward)) * 5_256_000 <= u128::from(reward));
        }
    }
}
