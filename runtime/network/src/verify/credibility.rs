//! How far workers are believed: credibility voting in whole numbers.
//!
//! With f the share of workers that collude and k the checks a worker survived:
//!
//! ```text
//! doubt of a worker     D(k) = min(f, f / ((1-f) k e))      when a failed check costs the identity
//!                       D(k) = min(f, f / k)                when it does not
//! worker                Cr(k) = 1 - D(k)
//! group a               Cr(a) = G_a prod_{i!=a} B_i / (prod B_i + sum_j G_j prod_{i!=j} B_i),  G = prod Cr, B = prod D
//! ```
//!
//! Shares are parts of 2^32. A doubt is rounded up, a group's credibility down: both towards not accepting. Between the two
//! nothing is rounded: with n votes every product in the formula has n factors of 32 bits, so all have the scale 2^(32 n) and
//! are added and compared as whole numbers. So the order of votes and groups cannot matter, and a further vote never lowers its
//! group.

use std::fmt;

use ledger::price::PPM;

/// The share of workers assumed to collude.
pub const ASSUMED_LIARS_PPM: u32 = 200_000;
/// Most votes that are weighed together.
pub const MAX_VOTES: usize = 128;

/// A probability in parts of 2^32, from 0 to below 1: nobody is believed without doubt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credibility(u32);

impl Credibility {
    /// Not believed at all.
    pub const NONE: Credibility = Credibility(0);

    /// The least credibility that is at least this share of a million; for thresholds, so rounded up. Shares of one and
    /// more give the highest there is.
    pub const fn at_least_ppm(ppm: u32) -> Self {
        let parts = ((ppm as u64) << 32).div_ceil(PPM as u64);
        Credibility(if parts > u32::MAX as u64 { u32::MAX } else { parts as u32 })
    }

    /// That of a worker which survived `checks` and was never proved wrong, or was and came back.
    ///
    /// # Panics
    /// With an assumed share of liars of 0, or of a half and more: voting says nothing then.
    pub fn of_worker(liars_ppm: u32, checks: u64, clean: bool) -> Self {
        Credibility(u32::MAX - (doubt(liars_ppm, checks, clean) - 1))
    }

    /// Parts of 2^32.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// Parts of a million, rounded down.
    pub const fn ppm(self) -> u32 {
        ((self.0 as u64 * PPM as u64) >> 32) as u32
    }
}

impl fmt::Debug for Credibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/2^32", self.0)
    }
}

/// The credibility of one of several groups of equal votes, each a list of its workers' credibilities. The other groups say
/// something else, so each takes some away. Votes above [`MAX_VOTES`] and groups that are not there are believed not at all.
pub fn of_group<G: AsRef<[Credibility]>>(groups: &[G], which: usize) -> Credibility {
    let votes: usize = groups.iter().map(|group| group.as_ref().len()).sum();
    if votes > MAX_VOTES || groups.get(which).is_none_or(|group| group.as_ref().is_empty()) {
        return Credibility::NONE;
    }
    // What the votes say if group `right` alone is right, times 2^(32 n); if none is, for `None`.
    let likelihood = |right: Option<usize>| {
        let mut product = Wide::one(votes);
        for (at, group) in groups.iter().enumerate() {
            for vote in group.as_ref() {
                let credible = u64::from(vote.0);
                product.multiply(if right == Some(at) { credible } else { (1 << 32) - credible });
            }
        }
        product
    };
    let wanted = likelihood(Some(which));
    let mut all = likelihood(None);
    // An empty group has the likelihood of none being right; it is no hypothesis.
    let voted = (0..groups.len()).filter(|&group| !groups[group].as_ref().is_empty());
    voted.for_each(|group| all.add(&likelihood(Some(group))));
    Credibility(wanted.share_of(&all))
}

/// `1 - Cr` of a worker in parts of 2^32, rounded up; at least 1, so that a credibility is below 1 and never 0.
fn doubt(liars_ppm: u32, checks: u64, clean: bool) -> u32 {
    assert!(liars_ppm > 0 && liars_ppm < PPM / 2, "an assumed share of liars of {liars_ppm} ppm");
    let unchecked = ((u64::from(liars_ppm) << 32).div_ceil(u64::from(PPM))) as u32;
    // More checks than this leave a doubt that rounds to 1 anyway.
    let Some(checks @ 1..) = Some(u128::from(checks.min(1 << 40))) else { return unchecked };
    let (over, under) = (u128::from(liars_ppm), u128::from(PPM - liars_ppm));
    let survived = if clean {
        // Below 2^20 * 2^63 over at least 2^18: fits.
        (over * INVERSE_E_Q64).div_ceil(under * checks).div_ceil(1 << 32)
    } else {
        (over << 32).div_ceil(u128::from(PPM) * checks)
    };
    u32::try_from(survived).map_or(unchecked, |survived| unchecked.min(survived)).max(1)
}

/// A whole number of some words of 32 bits, the lowest first.
struct Wide(Vec<u32>);

impl Wide {
    /// One, with room for a product of `factors` factors of up to 2^32 and for a sum of a few.
    fn one(factors: usize) -> Self {
        let mut words = vec![0; factors + 2];
        words[0] = 1;
        Wide(words)
    }

    /// Times a factor of at most 2^32.
    fn multiply(&mut self, factor: u64) {
        let mut carry = 0;
        for word in &mut self.0 {
            // At most (2^32 - 1) 2^32 + 2^32 - 1: fits.
            carry += u64::from(*word) * factor;
            *word = carry as u32;
            carry >>= 32;
        }
        assert_eq!(carry, 0, "the words hold every product of that many votes");
    }

    fn add(&mut self, other: &Wide) {
        let mut carry = 0;
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            carry += u64::from(*word) + u64::from(*more);
            *word = carry as u32;
            carry >>= 32;
        }
        assert_eq!(carry, 0, "the words hold every sum of that many groups");
    }

    fn subtract(&mut self, other: &Wide) {
        let mut borrow = 0;
        for (word, less) in self.0.iter_mut().zip(&other.0) {
            let left = i64::from(*word) - i64::from(*less) + borrow;
            *word = left as u32;
            borrow = left >> 32;
        }
        assert_eq!(borrow, 0, "only the smaller is subtracted");
    }

    fn at_least(&self, other: &Wide) -> bool {
        self.0.iter().rev().ge(other.0.iter().rev())
    }

    /// `self / whole` in parts of 2^32, rounded down, by long division; for a part below the whole.
    fn share_of(mut self, whole: &Wide) -> u32 {
        let mut share = 0;
        for _ in 0..32 {
            self.multiply(2);
            share <<= 1;
            if self.at_least(whole) {
                self.subtract(whole);
                share |= 1;
            }
        }
        share
    }
}

/// 1/e in parts of 2^64, rounded up.
const INVERSE_E_Q64: u128 = 6_786_177_901_268_885_275;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const F: u32 = ASSUMED_LIARS_PPM;

    fn worker(checks: u64) -> Credibility {
        Credibility::of_worker(F, checks, true)
    }

    fn real(credibility: Credibility) -> f64 {
        f64::from(credibility.0) / 4_294_967_296.0
    }

    /// The formulas of the document in floats.
    fn worker_by_the_book(f: f64, k: f64, clean: bool) -> f64 {
        let survived = if clean { f / ((1.0 - f) * k * std::f64::consts::E) } else { f / k };
        1.0 - if k == 0.0 { f } else { f.min(survived) }
    }

    fn group_by_the_book(groups: &[Vec<Credibility>], which: usize) -> f64 {
        let product = |right: Option<usize>| {
            let each = groups.iter().enumerate().flat_map(|(at, group)| group.iter().map(move |v| (at, v)));
            each.map(|(at, &vote)| if right == Some(at) { real(vote) } else { 1.0 - real(vote) })
                .product::<f64>()
        };
        let voted = (0..groups.len()).filter(|&group| !groups[group].is_empty());
        product(Some(which)) / (product(None) + voted.map(|group| product(Some(group))).sum::<f64>())
    }

    #[test]
    fn the_figures_of_the_document() {
        let normal = Credibility::at_least_ppm(990_000);
        let high = Credibility::at_least_ppm(999_000);
        // At f = 0.2 ten checks carry a single vote at 1 %, 92 at 0.1 %.
        assert!(worker(9) < normal && worker(10) >= normal);
        assert!(worker(91) < high && worker(92) >= high);
        // Four fresh equal votes for 1 %; one fresh and one of ten checks leave 0.23 %, two of ten checks 0.009 %.
        assert!(of_group(&[[worker(0); 3]], 0) < normal && of_group(&[[worker(0); 4]], 0) >= normal);
        assert_eq!(of_group(&[[worker(0), worker(10)]], 0).ppm(), 997_684);
        assert_eq!(of_group(&[[worker(10); 2]], 0).ppm(), 999_913);
        // Other assumed shares, single runs: 5 % -> 2 and 20, 10 % -> 5 and 41, 35 % -> 20 and 199.
        for (f, for_normal, for_high) in [(50_000, 2, 20), (100_000, 5, 41), (350_000, 20, 199)] {
            let of = |k| Credibility::of_worker(f, k, true);
            assert!(of(for_normal - 1) < normal && of(for_normal) >= normal, "{f}");
            assert!(of(for_high - 1) < high && of(for_high) >= high, "{f}");
        }
        // Who was once proved wrong needs 21 instead of 10: 0.2 / 20 rounds up to just above 1 %.
        let back = |k| Credibility::of_worker(F, k, false);
        assert!(back(20) < normal && back(21) >= normal);
    }

    #[test]
    fn equal_groups_stand_against_each_other() {
        let two_sides = [vec![worker(10)], vec![worker(10)]];
        assert_eq!(of_group(&two_sides, 0), of_group(&two_sides, 1));
        assert!(of_group(&two_sides, 0).ppm() < 500_000);
        assert_eq!(of_group(&two_sides, 2), Credibility::NONE);
        assert_eq!(of_group(&[vec![worker(10)], vec![]], 1), Credibility::NONE);
        assert_eq!(of_group(&[vec![worker(10)], vec![]], 0), of_group(&[[worker(10)]], 0));
        // A lone vote is believed as its worker is, but for the rounding.
        assert_eq!(of_group(&[[worker(10)]], 0), worker(10));
    }

    #[test]
    fn the_ends() {
        assert_eq!(Credibility::at_least_ppm(0), Credibility::NONE);
        assert_eq!(Credibility::at_least_ppm(PPM).parts(), u32::MAX);
        assert_eq!(Credibility::at_least_ppm(u32::MAX).parts(), u32::MAX);
        assert_eq!(worker(u64::MAX).parts(), u32::MAX);
        assert_eq!(Credibility::of_worker(F, u64::MAX, false).parts(), u32::MAX);
        assert_eq!(of_group(&[[Credibility(u32::MAX); MAX_VOTES]], 0).parts(), u32::MAX);
        assert_eq!(of_group(&[[worker(9); MAX_VOTES + 1]], 0), Credibility::NONE);
        let sides = vec![vec![Credibility(u32::MAX)]; MAX_VOTES];
        assert_eq!(of_group(&sides, 0).ppm(), 1_000_000 / 128);
    }

    #[test]
    fn sixteen_groups_of_eight_fit() {
        let split = vec![vec![worker(50); 8]; 16];
        assert_eq!(of_group(&split, 3).ppm(), 62_499);
        let mut most = split;
        most[3].push(worker(0));
        assert_eq!(of_group(&most, 3), Credibility::NONE);
        most[0].pop();
        assert!(of_group(&most, 3) > of_group(&most, 4));
        // Who is not believed at all says nothing.
        assert_eq!(of_group(&[[Credibility::NONE; 3]], 0), Credibility::NONE);
    }

    #[test]
    #[should_panic(expected = "an assumed share")]
    fn half_liars_are_no_assumption() {
        Credibility::of_worker(500_000, 1, true);
    }

    fn votes() -> impl Strategy<Value = Vec<Credibility>> {
        prop::collection::vec((0u64..300, any::<bool>()), 1..5).prop_map(|votes| {
            votes.into_iter().map(|(k, clean)| Credibility::of_worker(F, k, clean)).collect()
        })
    }

    fn groups() -> impl Strategy<Value = Vec<Vec<Credibility>>> {
        prop::collection::vec(votes(), 1..7)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// A doubt is at most one part of 2^32 too high, and never too low.
        #[test]
        fn a_worker_as_in_floats(f in 1u32..500_000, k in 0u64..1_000_000, clean: bool) {
            let (found, expected) =
                (real(Credibility::of_worker(f, k, clean)), worker_by_the_book(f64::from(f) / 1e6, k as f64, clean));
            prop_assert!(found <= expected + 1e-13, "{found} {expected}");
            prop_assert!(found >= expected - 2.0 / 4_294_967_296.0 , "{found} {expected}");
        }

        #[test]
        fn a_group_as_in_floats(groups in groups()) {
            for which in 0..groups.len() {
                let (found, expected) = (real(of_group(&groups, which)), group_by_the_book(&groups, which));
                prop_assert!((found - expected).abs() < 3e-10, "{found} {expected}");
            }
        }

        #[test]
        fn order_does_not_matter(
            (groups, shuffled) in groups().prop_flat_map(|g| (Just(g.clone()), Just(g).prop_shuffle())),
        ) {
            for (which, group) in groups.iter().enumerate() {
                let mut mixed = shuffled.clone();
                mixed.iter_mut().for_each(|votes| votes.reverse());
                let mut backwards = group.clone();
                backwards.reverse();
                let there = mixed.iter().position(|votes| *votes == backwards).unwrap();
                prop_assert_eq!(of_group(&groups, which), of_group(&mixed, there));
            }
        }

        #[test]
        fn a_further_vote_raises_its_group_and_lowers_the_others(groups in groups(), k in 0u64..300) {
            let mut more = groups.clone();
            more[0].push(worker(k));
            prop_assert!(of_group(&more, 0) >= of_group(&groups, 0));
            for other in 1..groups.len() {
                prop_assert!(of_group(&more, other) <= of_group(&groups, other));
            }
            let mut against = groups.clone();
            against.push(vec![worker(k)]);
            prop_assert!(of_group(&against, 0) <= of_group(&groups, 0));
        }

        #[test]
        fn a_more_credible_voter_never_lowers_its_group(groups in groups(), k in 0u64..300, more in 0u64..300) {
            let with = |k| {
                let mut all = groups.clone();
                all[0].push(worker(k));
                of_group(&all, 0)
            };
            prop_assert!(with(k + more) >= with(k));
        }

        #[test]
        fn more_checks_never_lower_a_worker(f in 1u32..500_000, k: u64, clean: bool) {
            let of = |k| Credibility::of_worker(f, k, clean);
            prop_assert!(of(k.saturating_add(1)) >= of(k));
            prop_assert!(Credibility::of_worker(f, k, true) >= Credibility::of_worker(f, k, false));
        }

        #[test]
        fn groups_share_less_than_the_whole(groups in groups()) {
            let sum: u64 = (0..groups.len()).map(|which| u64::from(of_group(&groups, which).parts())).sum();
            prop_assert!(sum < 1 << 32);
        }
    }
}
