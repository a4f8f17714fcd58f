//! What the options of a task come to.
//!
//! | strategy | first replicas | a result is accepted |
//! |---|---|---|
//! | adaptive | as few as can carry the threshold if all agree, at most 3 | when its group's credibility reaches the threshold |
//! | redundant, N | N | when more than half of N have equal tags |
//! | spot-check | 1 | when its hidden rows are right |
//! | known answer | 1 | never: it is a hidden check, and the worker is judged |
//!
//! On disagreement, or when results fail to come, one replica is added at a time. Whatever the strategy, a group is accepted
//! only with an established worker in it ([`ledger::exposure::may_settle`]): identities are free and stake is not. In a storm
//! (see [`crate::verify::weather`]) adaptive and spot-check want two equal votes, three at `high`, and
//! adaptive the threshold of `high`.
//! Hidden rows can be in a batch under every strategy: whoever has one wrong is out, and pays.

use identity::AccountId;
use ledger::{Id, exposure::Standing, price::PPM, reputation::Reputation};
use thiserror::Error;

use super::{
    credibility::{ASSUMED_LIARS_PPM, Credibility},
    weather::Weather,
};

/// Part of work that is a hidden check.
pub const CHECK_RATE_PPM: u32 = 100_000;
/// The same while a worker is little known.
pub const CHECK_RATE_UNKNOWN_PPM: u32 = 250_000;
/// A worker with fewer survived checks is little known.
pub const KNOWN_CHECKS: u64 = 10;
/// However an operator sets it, at least this part of work is a hidden check.
pub const CHECK_RATE_FLOOR_PPM: u32 = 50_000;
/// Most replicas a submitter may fix.
pub const MAX_REPLICAS: u8 = 7;

/// How results of a task are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// By credibility: 1 to 3 replicas at first.
    Adaptive,
    /// By equal tags of a fixed number of replicas, from 1 to [`MAX_REPLICAS`].
    Redundant(u8),
    /// By rows hidden in the batch whose answer the submitter knows.
    SpotCheck,
    /// The whole task is a hidden check: its answer is known.
    KnownAnswer,
}

/// How sure a result has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// At most 1 % wrong.
    #[default]
    Normal,
    /// At most 0.1 % wrong.
    High,
}

impl Level {
    /// The threshold of credibility, in parts of a million.
    pub fn theta_ppm(self) -> u32 {
        match self {
            Level::Normal => 990_000,
            Level::High => 999_000,
        }
    }
}

/// `options.verify` of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How.
    pub strategy: Strategy,
    /// How sure.
    pub level: Level,
    /// The batch has rows whose answer the submitter knows. Spot-check has them always.
    pub hidden_rows: bool,
}

/// Options that no task can have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{found} replicas, a task has 1 to {MAX_REPLICAS}")]
pub struct BadReplicas {
    /// Replicas wanted.
    pub found: u8,
}

/// The rules of one task, fixed when it is opened and published with its first assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub(super) strategy: Strategy,
    /// A group of this credibility is accepted.
    pub(super) theta: Credibility,
    /// Against a group of this credibility a vote costs the stake of a worker that was never proved wrong before.
    pub(super) slash_first_at: Credibility,
    /// The same for one that was.
    pub(super) slash_again_at: Credibility,
    /// Equal votes of an accepted group.
    pub(super) least_votes: usize,
    /// Each result's hidden rows are asked for before it counts.
    pub(super) hidden_rows: bool,
    /// Replicas at first; after that one at a time.
    pub(super) most_at_first: usize,
    /// Assignments, errors and timeouts, results: at more the task ends.
    pub(super) caps: Caps,
    pub(super) clocks: Clocks,
}

/// What ends a task with an error instead of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) assignments: usize,
    pub(super) failures: usize,
    pub(super) results: usize,
}

/// How long a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// From the assignment to the commit.
    pub commit_ms: u64,
    /// From the opening of reveals to the reveal.
    pub reveal_ms: u64,
    /// From the decision to the end of waiting for late results.
    pub late_ms: u64,
}

impl Default for Clocks {
    fn default() -> Self {
        Clocks { commit_ms: 30_000, reveal_ms: 5_000, late_ms: 60_000 }
    }
}

impl Rules {
    /// The rules of a task with these options that is opened in this weather.
    ///
    /// # Errors
    /// [`BadReplicas`].
    pub fn of(options: Options, weather: &Weather) -> Result<Self, BadReplicas> {
        let storm = weather.is_storm(options.level.theta_ppm(), CHECK_RATE_PPM);
        let judged_by_group = matches!(options.strategy, Strategy::Adaptive | Strategy::SpotCheck);
        let level = if storm { Level::High } else { options.level };
        let (least_votes, most_at_first) = match options.strategy {
            Strategy::Redundant(0) => return Err(BadReplicas { found: 0 }),
            Strategy::Redundant(found @ 8..) => return Err(BadReplicas { found }),
            Strategy::Redundant(replicas) => (usize::from(replicas) / 2 + 1, usize::from(replicas)),
            // A pair of a fifth of liars is both of them in 4 % of tasks, three are in 0.8 %.
            Strategy::Adaptive | Strategy::SpotCheck => match (storm, options.level) {
                (false, _) => (1, MOST_AT_FIRST),
                (true, Level::Normal) => (2, MOST_AT_FIRST),
                (true, Level::High) => (3, MOST_AT_FIRST),
            },
            Strategy::KnownAnswer => (1, 1),
        };
        Ok(Rules {
            strategy: options.strategy,
            theta: if judged_by_group {
                Credibility::at_least_ppm(level.theta_ppm())
            } else {
                Credibility::NONE
            },
            slash_first_at: Credibility::at_least_ppm(SLASH_FIRST_AT_PPM),
            slash_again_at: Credibility::at_least_ppm(SLASH_AGAIN_AT_PPM),
            least_votes,
            hidden_rows: options.hidden_rows || options.strategy == Strategy::SpotCheck,
            most_at_first,
            caps: Caps { assignments: MAX_ASSIGNMENTS, failures: MAX_FAILURES, results: MAX_RESULTS },
            clocks: Clocks::default(),
        })
    }

    /// The same with other times.
    pub fn with_clocks(self, clocks: Clocks) -> Self {
        Rules { clocks, ..self }
    }
}

/// Where a worker is: replicas of a task never share a site or a network block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The site whose page it runs in; a headless worker has none.
    pub site: Option<[u8; 32]>,
    /// The network block of its address, as the relay cuts it.
    pub block: [u8; 8],
}

impl Place {
    /// Whether two places are not apart.
    pub fn meets(&self, other: &Place) -> bool {
        self.block == other.block || (self.site.is_some() && self.site == other.site)
    }
}

/// A worker as the ledger shows it when it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Who.
    pub account: AccountId,
    /// Where.
    pub place: Place,
    /// By its base stake.
    pub standing: Standing,
    /// Consecutive survived checks in this type of task.
    pub survived_checks: u64,
    /// Never proved wrong in this type of task.
    pub clean: bool,
}

impl Worker {
    /// A worker with this reputation at an epoch.
    pub fn new(account: AccountId, place: Place, standing: Standing, of: &Reputation, epoch: u64) -> Self {
        let (_, invalid, _) = of.counts();
        Worker { account, place, standing, survived_checks: of.survived_checks(epoch), clean: invalid == 0 }
    }

    /// How far it is believed.
    pub fn credibility(&self) -> Credibility {
        Credibility::of_worker(ASSUMED_LIARS_PPM, self.survived_checks, self.clean)
    }

    /// Whether its result alone would be accepted at `normal`. If such a worker is proved wrong, that is weather.
    pub fn is_trusted(&self) -> bool {
        let theta = Credibility::at_least_ppm(Level::Normal.theta_ppm());
        self.standing.may_settle_alone() && self.credibility() >= theta
    }

    /// How often it is checked, in parts of a million, where the operator has set the rate to `rate_ppm`.
    pub fn check_rate_ppm(&self, rate_ppm: u32) -> u32 {
        let rate_ppm = rate_ppm.clamp(CHECK_RATE_FLOOR_PPM, PPM);
        if self.survived_checks < KNOWN_CHECKS { rate_ppm.max(CHECK_RATE_UNKNOWN_PPM) } else { rate_ppm }
    }

    /// Whether it may take a task, by what it puts at risk.
    ///
    /// # Errors
    /// [`NotTaken`], when lying could pay.
    pub fn may_take(&self, exposure: Exposure, rate_ppm: u32) -> Result<(), NotTaken> {
        let cap_ucredits =
            self.standing.open_work_cap_ucredits(exposure.at_risk_ucredits, self.check_rate_ppm(rate_ppm));
        let would_be_ucredits = exposure.open_ucredits.saturating_add(exposure.price_ucredits);
        if would_be_ucredits > cap_ucredits {
            return Err(NotTaken { would_be_ucredits, cap_ucredits });
        }
        Ok(())
    }
}

/// What a worker has to lose and to gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Its stake and its locked rewards.
    pub at_risk_ucredits: u64,
    /// Its unsettled work.
    pub open_ucredits: u64,
    /// What the task would add to that.
    pub price_ucredits: u64,
}

/// A worker has too little at risk for a task.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{would_be_ucredits} micro-credits of unsettled work, what is at risk carries {cap_ucredits}")]
pub struct NotTaken {
    /// Unsettled work with the task.
    pub would_be_ucredits: u64,
    /// The most it may have.
    pub cap_ucredits: u64,
}

impl NotTaken {
    /// The reason as users read it.
    pub fn code(&self) -> &'static str {
        "exposure_cap"
    }
}

/// Whether a worker that the draw gave an assignment gets a hidden check in its stead.
///
/// The beacon is the reveal after the one that the draw used: neither the submitter nor the worker, who both knew the draw,
/// can have known this. On a check another worker is drawn for the task.
pub fn is_check(beacon: &[u8; 32], task: &Id, assignment: &Id, worker: &AccountId, rate_ppm: u32) -> bool {
    let drawn =
        Id::hash("edgenet/check/v1", &[beacon, task.as_bytes(), assignment.as_bytes(), worker.as_bytes()]);
    let [a, b, c, d, e, f, g, h, ..] = *drawn.as_bytes();
    let drawn = u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    (drawn * u128::from(PPM)) >> 64 < u128::from(rate_ppm)
}

/// Adaptive replicas at first.
const MOST_AT_FIRST: usize = 3;
/// All assignments of a task: as many as a resolve can judge.
const MAX_ASSIGNMENTS: usize = ledger::resolve::MAX_JUDGED;
/// Errors and timeouts of a task.
const MAX_FAILURES: usize = 5;
/// Results of a task.
const MAX_RESULTS: usize = 11;
/// A vote against a group of this credibility is slashed. The document has one line, 0.999. Behind it colluders that lie on
/// few tasks, and are trusted, take the stake of five honest workers in a million results (see
/// `verify::frontier`); a liar that is outvoted below this line still loses its reputation.
const SLASH_FIRST_AT_PPM: u32 = 999_999;
/// Being outvoted a second time is no accident: then the line of the document holds.
const SLASH_AGAIN_AT_PPM: u32 = 999_000;

#[cfg(test)]
mod tests {
    use ledger::MICRO;

    use super::*;

    fn worker(survived_checks: u64, standing: Standing) -> Worker {
        let place = Place { site: None, block: [0; 8] };
        let account = AccountId::from_bytes([1; 32]);
        Worker { account, place, standing, survived_checks, clean: true }
    }

    fn rules(strategy: Strategy, level: Level, weather: &Weather) -> Rules {
        Rules::of(Options { strategy, level, hidden_rows: false }, weather).unwrap()
    }

    fn storm() -> Weather {
        let mut weather = Weather::default();
        weather.caught_trusted();
        weather
    }

    #[test]
    fn options_become_rules() {
        let calm = Weather::default();
        let (normal, high) = (Credibility::at_least_ppm(990_000), Credibility::at_least_ppm(999_000));
        let of = |strategy, level, weather: &Weather| {
            let rules = rules(strategy, level, weather);
            (rules.theta, rules.least_votes, rules.most_at_first)
        };
        assert_eq!(of(Strategy::Adaptive, Level::Normal, &calm), (normal, 1, 3));
        assert_eq!(of(Strategy::Adaptive, Level::High, &calm), (high, 1, 3));
        assert_eq!(of(Strategy::Adaptive, Level::Normal, &storm()), (high, 2, 3));
        assert_eq!(of(Strategy::Adaptive, Level::High, &storm()), (high, 3, 3));
        assert_eq!(of(Strategy::SpotCheck, Level::Normal, &storm()), (high, 2, 3));
        for (replicas, majority) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            let fixed = (Credibility::NONE, majority, usize::from(replicas));
            assert_eq!(of(Strategy::Redundant(replicas), Level::High, &storm()), fixed);
        }
        for found in [0, 8, 255] {
            let options =
                Options { strategy: Strategy::Redundant(found), level: Level::Normal, hidden_rows: false };
            assert_eq!(Rules::of(options, &calm), Err(BadReplicas { found }));
        }
    }

    #[test]
    fn the_less_known_the_more_checked() {
        let rate = |checks, set| worker(checks, Standing::Established).check_rate_ppm(set);
        assert_eq!([0, 9, 10, 1_000].map(|k| rate(k, CHECK_RATE_PPM)), [250_000, 250_000, 100_000, 100_000]);
        assert_eq!([rate(10, 0), rate(9, 300_000), rate(10, u32::MAX)], [50_000, 300_000, PPM]);
    }

    #[test]
    fn what_is_at_risk_carries_the_task() {
        let exposure = |open_ucredits, price_ucredits| Exposure {
            at_risk_ucredits: 100 * MICRO,
            open_ucredits,
            price_ucredits,
        };
        let known = worker(10, Standing::Established);
        assert_eq!(known.may_take(exposure(0, 5_555_555), CHECK_RATE_PPM), Ok(()));
        let refused = known.may_take(exposure(1, 5_555_555), CHECK_RATE_PPM).unwrap_err();
        assert_eq!((refused.would_be_ucredits, refused.cap_ucredits), (5_555_556, 5_555_555));
        assert!(known.may_take(exposure(u64::MAX, 1), CHECK_RATE_PPM).is_err());
        // The little known are checked more, so the same stake carries more; one on probation carries a credit.
        let unknown = worker(0, Standing::Established);
        assert_eq!(unknown.may_take(exposure(0, 16_666_666), CHECK_RATE_PPM), Ok(()));
        let probation = worker(50, Standing::Probation);
        assert_eq!(probation.may_take(exposure(0, MICRO), CHECK_RATE_PPM), Ok(()));
        assert!(probation.may_take(exposure(1, MICRO), CHECK_RATE_PPM).is_err());
    }

    #[test]
    fn who_is_trusted() {
        assert!(worker(10, Standing::Established).is_trusted());
        assert!(!worker(9, Standing::Established).is_trusted());
        assert!(!worker(1_000, Standing::Probation).is_trusted());
        // f / k rounds up to just above 1 % at k = 20.
        let back = Worker { clean: false, ..worker(20, Standing::Established) };
        assert!(!back.is_trusted() && Worker { survived_checks: 21, ..back }.is_trusted());
    }

    #[test]
    fn places_meet() {
        let place = |site: Option<u8>, block| Place { site: site.map(|site| [site; 32]), block: [block; 8] };
        assert!(place(None, 1).meets(&place(Some(1), 1)));
        assert!(place(Some(1), 1).meets(&place(Some(1), 2)));
        assert!(!place(Some(1), 1).meets(&place(Some(2), 2)));
        assert!(!place(None, 1).meets(&place(None, 2)));
    }

    #[test]
    fn checks_come_at_their_rate_and_only_from_the_whole_draw() {
        let (task, id) = (Id::from_bytes([1; 32]), AccountId::from_bytes([2; 32]));
        let draws = 20_000u32;
        let drawn = |rate| {
            let checks = (0..draws).filter(|n| {
                let assignment = Id::hash("test", &[&n.to_be_bytes()]);
                is_check(&[7; 32], &task, &assignment, &id, rate)
            });
            checks.count() as f64 / f64::from(draws)
        };
        assert_eq!((drawn(0), drawn(PPM)), (0.0, 1.0));
        for rate in [50_000, 100_000, 250_000] {
            // Five standard deviations.
            assert!((drawn(rate) - f64::from(rate) / 1e6).abs() < 0.016, "{rate}");
        }
        let half = |beacon: u8, task: u8, assignment: u8, worker: u8| {
            let (task, assignment) = (Id::from_bytes([task; 32]), Id::from_bytes([assignment; 32]));
            is_check(&[beacon; 32], &task, &assignment, &AccountId::from_bytes([worker; 32]), PPM / 2)
        };
        for changed in 0..4 {
            let of = |n: u8| {
                let at = |place| if place == changed { n } else { 0 };
                half(at(0), at(1), at(2), at(3))
            };
            assert!((0..32).any(of) && !(0..32).all(of), "part {changed} does not count");
        }
    }
}
