//! Reputation: a whole-number fold of certified outcomes, the same on every node.
//!
//! Nobody gossips it and nobody writes it. It folds over outcomes in one canonical order, by (epoch, id), so it is a
//! function of the set of outcomes: whatever the order in which a node heard of them, the same set gives the same
//! reputation. An outcome that arrives late therefore means folding again from the set, not appending.
//!
//! The rules, per worker and task type:
//!
//! ```text
//! start     score 0, survived 0
//! valid     score += (1 - score) / 16, rounded up     survived += 1    the clock starts again
//! invalid   score /= 4                                survived  = 0    the clock starts again
//! timeout   score -= score / 16, rounded up           survived stays   the clock runs on
//! idle      each 7 days since the clock started: score /= 2, survived /= 2, before whatever comes next
//! ```
//!
//! A score is so the share of valid results among about the last sixteen. A timeout is no check: it proves nothing
//! about correctness, so it costs some score, no survived check, and refreshes nothing.

use std::collections::BTreeMap;

use thiserror::Error;

/// Without a fresh check a reputation halves in this time: 7 days.
pub const HALVING_EPOCHS: u64 = 10_080;
/// The best score.
pub const MAX_SCORE_PPM: u32 = 1_000_000;

/// What became of a worker's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Checked against something independent (a known answer, another worker, a re-execution) and found right. A
    /// result that was accepted unchecked is no outcome.
    Valid,
    /// Proved wrong.
    Invalid,
    /// Not there in time.
    Timeout,
}

/// One outcome of one worker, as a certified resolve tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// The epoch of the resolve.
    pub epoch: u64,
    /// The id of the resolve: the order among outcomes of one epoch.
    pub id: [u8; 32],
    /// What became of the result.
    pub outcome: Outcome,
}

/// Why outcomes do not fold.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReputationError {
    /// Not ascending by (epoch, id), or two with the same.
    #[error("outcome {position} does not come after the one before it by epoch and id")]
    Order {
        /// Which outcome, from 0.
        position: usize,
    },
    /// One resolve says two things about one worker and task type.
    #[error("the resolve of epoch {epoch} has two outcomes for one worker and task type")]
    Contradiction {
        /// The epoch of the resolve.
        epoch: u64,
    },
}

/// What the outcomes of one worker in one task type come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reputation {
    valid: u64,
    invalid: u64,
    timeout: u64,
    score_ppm: u32,
    survived: u64,
    /// When the clock of idle time started; after some idle weeks, the start of the week that is not over.
    clock_epoch: u64,
}

impl Reputation {
    /// Folds outcomes that ascend by (epoch, id), each once.
    ///
    /// # Errors
    /// [`ReputationError::Order`].
    pub fn fold(ascending: impl IntoIterator<Item = Seen>) -> Result<Self, ReputationError> {
        let mut folded = Self::default();
        let mut before = None;
        for (position, seen) in ascending.into_iter().enumerate() {
            let key = (seen.epoch, seen.id);
            if before.is_some_and(|before| before >= key) {
                return Err(ReputationError::Order { position });
            }
            before = Some(key);
            folded.add(seen.epoch, seen.outcome);
        }
        Ok(folded)
    }

    /// All valid, invalid and late results, in this order, however old.
    pub fn counts(&self) -> (u64, u64, u64) {
        (self.valid, self.invalid, self.timeout)
    }

    /// The score at an epoch, from 0 to [`MAX_SCORE_PPM`]. Before the last outcome it is that after the last outcome.
    pub fn score_at(&self, epoch: u64) -> u32 {
        u32::try_from(self.idle_weeks(epoch))
            .map_or(0, |weeks| self.score_ppm.checked_shr(weeks).unwrap_or(0))
    }

    /// Consecutive survived checks at an epoch, the k of credibility voting: none after an invalid result, halved for
    /// each idle week.
    pub fn survived_checks(&self, epoch: u64) -> u64 {
        u32::try_from(self.idle_weeks(epoch)).map_or(0, |weeks| self.survived.checked_shr(weeks).unwrap_or(0))
    }

    fn idle_weeks(&self, epoch: u64) -> u64 {
        epoch.saturating_sub(self.clock_epoch) / HALVING_EPOCHS
    }

    fn add(&mut self, epoch: u64, outcome: Outcome) {
        self.score_ppm = self.score_at(epoch);
        self.survived = self.survived_checks(epoch);
        // Only whole weeks are settled; the begun one goes on.
        self.clock_epoch += self.idle_weeks(epoch) * HALVING_EPOCHS;
        match outcome {
            Outcome::Valid => {
                self.valid += 1;
                self.score_ppm += (MAX_SCORE_PPM - self.score_ppm).div_ceil(SCORE_MEMORY);
                self.survived += 1;
                self.clock_epoch = epoch;
            }
            Outcome::Invalid => {
                self.invalid += 1;
                self.score_ppm /= INVALID_DIVISOR;
                self.survived = 0;
                self.clock_epoch = epoch;
            }
            Outcome::Timeout => {
                self.timeout += 1;
                self.score_ppm -= self.score_ppm.div_ceil(SCORE_MEMORY);
            }
        }
    }
}

/// An outcome with whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The worker's account.
    pub worker: [u8; 32],
    /// The code of the task type.
    pub task_type: u8,
    /// What happened.
    pub seen: Seen,
}

/// The reputation of all workers in all task types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reputations(BTreeMap<([u8; 32], u8), Reputation>);

impl Reputations {
    /// Folds records in any order; one that comes again counts once.
    ///
    /// # Errors
    /// [`ReputationError::Contradiction`].
    pub fn fold(records: impl IntoIterator<Item = Record>) -> Result<Self, ReputationError> {
        // Record orders by worker, task type, epoch, id: the canonical order of each worker and task type in turn.
        let mut records: Vec<Record> = records.into_iter().collect();
        records.sort_unstable();
        records.dedup();
        let mut all = BTreeMap::new();
        for group in records.chunk_by(|a, b| (a.worker, a.task_type) == (b.worker, b.task_type)) {
            // Sorted and without repeats, so only a second outcome can be out of order.
            let reputation =
                Reputation::fold(group.iter().map(|record| record.seen)).map_err(|error| match error {
                    ReputationError::Order { position } => {
                        ReputationError::Contradiction { epoch: group[position].seen.epoch }
                    }
                    contradiction => contradiction,
                })?;
            all.insert((group[0].worker, group[0].task_type), reputation);
        }
        Ok(Self(all))
    }

    /// The reputation of a worker in a task type; that of a newcomer, where nothing is known.
    pub fn of(&self, worker: &[u8; 32], task_type: u8) -> Reputation {
        self.0.get(&(*worker, task_type)).copied().unwrap_or_default()
    }

    /// All that is known, by worker and task type.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; 32], u8, &Reputation)> {
        self.0.iter().map(|((worker, task_type), reputation)| (worker, *task_type, reputation))
    }
}

/// A result moves the score by one part in this.
const SCORE_MEMORY: u32 = 16;
/// An invalid result leaves one part in this.
const INVALID_DIVISOR: u32 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Outcome::*, *};

    fn seen(epoch: u64, id: u8, outcome: Outcome) -> Seen {
        Seen { epoch, id: [id; 32], outcome }
    }

    fn fold(outcomes: &[(u64, Outcome)]) -> Reputation {
        let seen = outcomes.iter().enumerate().map(|(i, &(epoch, outcome))| seen(epoch, i as u8, outcome));
        Reputation::fold(seen).expect("ascending")
    }

    #[test]
    fn the_rules() {
        let nobody = Reputation::default();
        assert_eq!(
            (nobody.score_at(0), nobody.survived_checks(u64::MAX), nobody.counts()),
            (0, 0, (0, 0, 0))
        );
        for (outcomes, score, survived) in [
            (&[(5, Valid)][..], 62_500, 1),
            (&[(5, Valid), (5, Valid)], 121_094, 2),
            (&[(5, Valid), (6, Invalid)], 15_625, 0),
            (&[(5, Valid), (6, Timeout)], 58_593, 1),
            (&[(5, Invalid), (6, Valid)], 62_500, 1),
            (&[(5, Timeout)], 0, 0),
            (&[(5, Valid), (6, Valid), (7, Invalid), (8, Timeout), (9, Valid)], 89_107, 1),
        ] {
            let folded = fold(outcomes);
            let last = outcomes.last().unwrap().0;
            assert_eq!(
                (folded.score_at(last), folded.survived_checks(last)),
                (score, survived),
                "{outcomes:?}"
            );
        }
        let counted = fold(&[(1, Valid), (2, Valid), (3, Invalid), (4, Timeout), (5, Timeout), (6, Timeout)]);
        assert_eq!(counted.counts(), (2, 1, 3));
    }

    #[test]
    fn good_work_reaches_the_best_score_and_stays() {
        let best = fold(&[(1, Valid); 250]);
        assert_eq!((best.score_at(1), best.survived_checks(1)), (MAX_SCORE_PPM, 250));
        // Fifty valid results are 96 %.
        assert_eq!(fold(&[(1, Valid); 50]).score_at(1), 960_327);
    }

    #[test]
    fn idle_weeks_halve() {
        let best = fold(&[(100, Valid); 200]);
        assert_eq!(best.score_at(0), best.score_at(100));
        assert_eq!(best.score_at(100), 1_000_000);
        for (idle, score, survived) in [
            (10_079, 1_000_000, 200),
            (10_080, 500_000, 100),
            (20_159, 500_000, 100),
            (20_160, 250_000, 50),
            (3 * 10_080, 125_000, 25),
            (4 * 10_080, 62_500, 12),
            (20 * 10_080, 0, 0),
            (64 * 10_080, 0, 0),
            (u64::MAX - 100, 0, 0),
        ] {
            assert_eq!(
                (best.score_at(100 + idle), best.survived_checks(100 + idle)),
                (score, survived),
                "{idle}"
            );
        }
    }

    #[test]
    fn coming_back_does_not_bring_back_what_time_took() {
        let mut outcomes = vec![(0, Valid); 200];
        outcomes.push((10_080, Valid));
        let back = fold(&outcomes);
        assert_eq!((back.score_at(10_080), back.survived_checks(10_080)), (531_250, 101));
        assert_eq!(back.survived_checks(20_159), 101);
        assert_eq!(back.survived_checks(20_160), 50);
    }

    #[test]
    fn a_timeout_does_not_stop_the_clock() {
        let mut outcomes = vec![(0, Valid); 200];
        outcomes.push((15_000, Timeout));
        let late = fold(&outcomes);
        assert_eq!((late.score_at(15_000), late.survived_checks(15_000)), (468_750, 100));
        // The second week ends when it would have ended.
        assert_eq!((late.score_at(20_159), late.survived_checks(20_159)), (468_750, 100));
        assert_eq!((late.score_at(20_160), late.survived_checks(20_160)), (234_375, 50));
    }

    #[test]
    fn only_one_order_folds() {
        let order = |seen: [Seen; 2]| Reputation::fold(seen).map(|r| r.counts());
        assert_eq!(order([seen(1, 1, Valid), seen(1, 2, Valid)]), Ok((2, 0, 0)));
        let wrong = Err(ReputationError::Order { position: 1 });
        assert_eq!(order([seen(1, 2, Valid), seen(1, 1, Valid)]), wrong);
        assert_eq!(order([seen(2, 1, Valid), seen(1, 2, Valid)]), wrong);
        assert_eq!(order([seen(1, 1, Valid), seen(1, 1, Valid)]), wrong);
        assert_eq!(order([seen(1, 1, Valid), seen(1, 1, Invalid)]), wrong);
    }

    #[test]
    fn workers_and_task_types_are_apart() {
        let record = |worker, task_type, outcome| Record {
            worker: [worker; 32],
            task_type,
            seen: seen(1, 9, outcome),
        };
        let all =
            Reputations::fold([record(2, 0, Invalid), record(1, 1, Timeout), record(1, 0, Valid)]).unwrap();
        assert_eq!(all.of(&[1; 32], 0).counts(), (1, 0, 0));
        assert_eq!(all.of(&[1; 32], 1).counts(), (0, 0, 1));
        assert_eq!(all.of(&[2; 32], 0).counts(), (0, 1, 0));
        assert_eq!(all.of(&[2; 32], 1), Reputation::default());
        let keys: Vec<_> = all.iter().map(|(worker, task_type, _)| (worker[0], task_type)).collect();
        assert_eq!(keys, [(1, 0), (1, 1), (2, 0)]);
        let twice = Reputations::fold([record(1, 0, Valid), record(1, 0, Invalid)]);
        assert_eq!(twice, Err(ReputationError::Contradiction { epoch: 1 }));
    }

    /// The rules, week by week and in the plainest words.
    fn by_the_book(outcomes: &[Seen], until: u64) -> (u32, u64) {
        let (mut score, mut survived, mut next_halving) = (0u32, 0u64, None);
        let wait = |epoch: u64, score: &mut u32, survived: &mut u64, next: &mut Option<u64>| {
            while let Some(due) = next.filter(|&due| due <= epoch) {
                (*score, *survived, *next) = (*score / 2, *survived / 2, Some(due + HALVING_EPOCHS));
            }
        };
        for seen in outcomes {
            wait(seen.epoch, &mut score, &mut survived, &mut next_halving);
            match seen.outcome {
                Valid => (score, survived) = (score + (1_000_000 - score).div_ceil(16), survived + 1),
                Invalid => (score, survived) = (score / 4, 0),
                Timeout => score -= score.div_ceil(16),
            }
            if seen.outcome != Timeout {
                next_halving = Some(seen.epoch + HALVING_EPOCHS);
            }
        }
        wait(until, &mut score, &mut survived, &mut next_halving);
        (score, survived)
    }

    fn outcomes() -> impl Strategy<Value = Vec<Seen>> {
        let outcome = prop_oneof![4 => Just(Valid), 1 => Just(Invalid), 1 => Just(Timeout)];
        let one =
            (0u64..200_000, any::<u8>(), outcome).prop_map(|(epoch, id, outcome)| seen(epoch, id, outcome));
        prop::collection::vec(one, 0..60).prop_map(|mut all| {
            all.sort_unstable();
            all.dedup_by_key(|s| (s.epoch, s.id));
            all
        })
    }

    fn arrivals() -> impl Strategy<Value = (Vec<Record>, Vec<Record>)> {
        let records = (outcomes(), prop::collection::vec((0u8..3, 0u8..2), 60)).prop_map(|(seen, whose)| {
            let owned = seen.into_iter().zip(whose);
            owned
                .map(|(seen, (worker, task_type))| Record { worker: [worker; 32], task_type, seen })
                .collect()
        });
        records.prop_flat_map(|r: Vec<Record>| (Just(r.clone()), Just(r).prop_shuffle()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn any_arrival_order_gives_the_same((records, shuffled) in arrivals(), again in 0usize..60) {
            let mut repeated = shuffled.clone();
            repeated.extend(shuffled.iter().take(again));
            let folded = Reputations::fold(records).unwrap();
            prop_assert_eq!(&Reputations::fold(shuffled).unwrap(), &folded);
            prop_assert_eq!(&Reputations::fold(repeated).unwrap(), &folded);
        }

        #[test]
        fn the_fold_goes_by_the_book(outcomes in outcomes(), later in 0u64..100_000) {
            let until = outcomes.last().map_or(0, |s| s.epoch) + later;
            let folded = Reputation::fold(outcomes.iter().copied()).unwrap();
            prop_assert_eq!((folded.score_at(until), folded.survived_checks(until)), by_the_book(&outcomes, until));
        }

        #[test]
        fn halving_is_exact(outcomes in outcomes(), weeks in 0u32..70) {
            let folded = Reputation::fold(outcomes.iter().copied()).unwrap();
            let (mut score, mut survived) = (folded.score_ppm, folded.survived);
            for _ in 0..weeks {
                (score, survived) = (score / 2, survived / 2);
            }
            let due = folded.clock_epoch + u64::from(weeks) * HALVING_EPOCHS;
            prop_assert_eq!((folded.score_at(due), folded.survived_checks(due)), (score, survived));
            prop_assert_eq!(folded.score_at(due + HALVING_EPOCHS - 1), score);
        }

        #[test]
        fn scores_stay_in_bounds_and_move_the_right_way(outcomes in outcomes()) {
            let before = Reputation::fold(outcomes.iter().copied()).unwrap();
            let epoch = outcomes.last().map_or(0, |s| s.epoch);
            let after = |outcome| {
                let mut after = before;
                after.add(epoch, outcome);
                after.score_at(epoch)
            };
            prop_assert!(before.score_at(epoch) <= MAX_SCORE_PPM && after(Valid) <= MAX_SCORE_PPM);
            prop_assert!(after(Valid) >= before.score_at(epoch));
            prop_assert!(after(Timeout) <= before.score_at(epoch) && after(Invalid) <= before.score_at(epoch));
        }

        /// A fold that takes outcomes as they arrive is what the canonical order is there against.
        #[test]
        fn a_planted_fault_is_caught(k in 1usize..50) {
            let arrive = |order: [Outcome; 2]| {
                let mut hasty = Reputation::default();
                order.iter().for_each(|&outcome| (0..k).for_each(|_| hasty.add(1, outcome)));
                hasty
            };
            prop_assert_ne!(arrive([Valid, Invalid]), arrive([Invalid, Valid]));
        }
    }
}
