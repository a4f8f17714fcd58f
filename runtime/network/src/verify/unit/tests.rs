use ledger::{exposure::Standing, reputation::Outcome};
use proptest::{prelude::*, strategy::Strategy as Generator};

use super::*;
use crate::verify::{
    policy::{Level, Options, Place, Strategy},
    weather::Weather,
};

const RIGHT: Tag = Tag::from_bytes([1; 32]);
const WRONG: Tag = Tag::from_bytes([2; 32]);
const COMMIT_MS: u64 = 30_000;
const REVEAL_MS: u64 = 5_000;
const LATE_MS: u64 = 60_000;

fn options(strategy: Strategy) -> Options {
    Options { strategy, level: Level::Normal, hidden_rows: false }
}

fn worker(number: u8, survived_checks: u64) -> Worker {
    Worker {
        account: AccountId::from_bytes([number; 32]),
        place: Place { site: Some([number; 32]), block: [number; 8] },
        standing: Standing::Established,
        survived_checks,
        clean: true,
    }
}

fn newcomer(number: u8) -> Worker {
    Worker { standing: Standing::Probation, ..worker(number, 0) }
}

fn id(number: u8) -> Id {
    Id::from_bytes([number; 32])
}

fn reveal(tag: Tag) -> Reveal {
    Reveal { tag, ciphertext: [8; 32], nonce: [9; 32] }
}

fn rules_of(strategy: Strategy) -> Rules {
    Rules::of(options(strategy), &Weather::default()).unwrap()
}

/// A unit and what it asked for; ids of assignments are those of their workers.
struct Bench {
    unit: Unit,
    now_ms: u64,
    asked: Vec<Action>,
}

impl Bench {
    fn new(options: Options) -> Self {
        let rules = Rules::of(options, &Weather::default()).unwrap();
        let (unit, asked) = Unit::open(id(99), rules);
        Bench { unit, now_ms: 1_000, asked }
    }

    fn step(&mut self, event: Event) -> Result<(), Refused> {
        self.asked = self.unit.step(self.now_ms, event)?;
        Ok(())
    }

    fn assign(&mut self, worker: Worker) -> Result<(), Refused> {
        self.step(Event::Assigned { assignment: Id::from_bytes(worker.account.to_bytes()), worker })
    }

    fn commit(&mut self, number: u8, tag: Tag) -> Result<(), Refused> {
        let commit = reveal(tag).commit(&id(99), &id(number), &AccountId::from_bytes([number; 32]));
        self.step(Event::Committed { assignment: id(number), commit })
    }

    fn reveal(&mut self, number: u8, tag: Tag) -> Result<(), Refused> {
        self.step(Event::Revealed { assignment: id(number), reveal: reveal(tag) })
    }

    fn tick(&mut self, by_ms: u64) {
        self.now_ms += by_ms;
        self.step(Event::Tick).unwrap();
    }

    /// Assigns, commits and reveals one worker after another, until a decision.
    fn give(&mut self, votes: &[(Worker, Tag)]) -> Option<Decision> {
        let mut left = votes.iter();
        loop {
            let mut round = vec![];
            while matches!(self.asked[..], [Action::Draw { .. }]) {
                let &(worker, tag) = left.next()?;
                self.assign(worker).unwrap();
                round.push((worker.account.as_bytes()[0], tag));
            }
            for &(number, tag) in &round {
                self.commit(number, tag).unwrap();
            }
            assert!(matches!(self.asked[..], [Action::OpenReveals(_)]));
            for (number, tag) in round {
                self.reveal(number, tag).unwrap();
            }
            if let [Action::Decided(decision)] = &self.asked[..] {
                return Some(decision.clone());
            }
        }
    }

    fn decision(&self) -> Decision {
        let [Action::Decided(decision)] = &self.asked[..] else { panic!("{:?}", self.asked) };
        decision.clone()
    }
}

fn of(decision: &Decision, number: u8) -> (State, Option<Outcome>, bool, Because) {
    let j = decision.judged.iter().find(|j| j.assignment == id(number)).expect("judged");
    (j.state, j.outcome, j.stake_burned, j.because)
}

const AGREED: (State, Option<Outcome>, bool, Because) =
    (State::Valid, Some(Outcome::Valid), false, Because::Agreed);
const UNDECIDED: (State, Option<Outcome>, bool, Because) =
    (State::Inconclusive, None, false, Because::Undecided);

#[test]
fn a_trusted_worker_is_believed_alone_and_earns_no_mark() {
    let mut bench = Bench::new(options(Strategy::Adaptive));
    let decision = bench.give(&[(worker(1, 10), RIGHT)]).unwrap();
    assert_eq!((decision.end, decision.end.code()), (End::Credible(RIGHT), "accepted_credible"));
    assert_eq!(of(&decision, 1), (State::Valid, None, false, Because::AcceptedUnchecked));
    assert_eq!(decision.paid, [AccountId::from_bytes([1; 32])]);
    assert!(bench.unit.is_closed() && bench.unit.state(&id(1)) == Some(State::Valid));
}

#[test]
fn the_little_known_need_each_other() {
    // 9 checks do not carry alone, two of them do; of fresh ones it takes four: three at first and one more.
    let two = Bench::new(options(Strategy::Adaptive)).give(&[(worker(1, 9), RIGHT), (worker(2, 9), RIGHT)]);
    assert_eq!([of(&two.clone().unwrap(), 1), of(&two.unwrap(), 2)], [AGREED; 2]);
    let mut bench = Bench::new(options(Strategy::Adaptive));
    assert_eq!(bench.give(&[(worker(1, 0), RIGHT), (worker(2, 0), RIGHT), (worker(3, 0), RIGHT)]), None);
    assert_eq!(bench.give(&[(worker(4, 0), RIGHT)]).unwrap().end, End::Credible(RIGHT));
}

#[test]
fn in_a_storm_nobody_is_believed_alone() {
    let mut weather = Weather::default();
    weather.caught_trusted();
    let rules = Rules::of(options(Strategy::Adaptive), &weather).unwrap();
    let (unit, asked) = Unit::open(id(99), rules);
    let mut bench = Bench { unit, now_ms: 0, asked };
    assert_eq!(bench.give(&[(worker(1, 1_000_000), RIGHT)]), None);
    assert_eq!(bench.asked, [Action::Draw { established: false }]);
}

#[test]
fn newcomers_settle_nothing_without_an_established_one() {
    for strategy in [Strategy::Adaptive, Strategy::SpotCheck, Strategy::Redundant(1)] {
        let mut bench = Bench::new(options(strategy));
        bench.assign(Worker { survived_checks: 1_000, ..newcomer(1) }).unwrap();
        if strategy == Strategy::Redundant(1) {
            bench.commit(1, RIGHT).unwrap();
            bench.reveal(1, RIGHT).unwrap();
        }
        assert_eq!(bench.asked, [Action::Draw { established: true }], "{strategy:?}");
        assert_eq!(bench.assign(newcomer(2)), Err(Refused::NotEstablished));
        bench.assign(worker(3, 10)).unwrap();
    }
}

#[test]
fn a_liar_among_known_workers_loses_its_reputation_and_the_second_time_its_stake() {
    let mut bench = Bench::new(options(Strategy::Redundant(3)));
    let votes = [(worker(1, 20), RIGHT), (worker(2, 20), WRONG), (worker(3, 20), RIGHT)];
    let decision = bench.give(&votes).unwrap();
    assert_eq!((decision.end, of(&decision, 1)), (End::Quorum(RIGHT), AGREED));
    assert_eq!(of(&decision, 2), (State::Invalid, Some(Outcome::Invalid), false, Because::Outvoted));
    assert_eq!(decision.paid, [1, 3].map(|n| AccountId::from_bytes([n; 32])));

    let again = Worker { clean: false, ..worker(2, 0) };
    let votes = [(worker(1, 20), RIGHT), (again, WRONG), (worker(3, 20), RIGHT)];
    let decision = Bench::new(options(Strategy::Redundant(3))).give(&votes).unwrap();
    assert_eq!(of(&decision, 2), (State::Invalid, Some(Outcome::Invalid), true, Because::OutvotedClearly));

    let fresh = [(worker(1, 0), RIGHT), (worker(2, 0), WRONG), (worker(3, 0), RIGHT)];
    let decision = Bench::new(options(Strategy::Redundant(3))).give(&fresh).unwrap();
    assert_eq!(of(&decision, 2), (State::Inconclusive, None, false, Because::OutvotedUnclear));
    assert_eq!(of(&decision, 1), (State::Valid, None, false, Because::AcceptedUnchecked));
}

/// Rows say nothing about the other rows, so two results can both have theirs right.
#[test]
fn of_two_that_suffice_the_more_believed_is_accepted_and_of_equals_none() {
    let decide = |first: Worker, second: Worker| {
        let spot = Rules { least_votes: 1, most_at_first: 2, ..rules_of(Strategy::SpotCheck) };
        let (unit, asked) = Unit::open(id(99), Rules { strategy: Strategy::Redundant(2), ..spot.clone() });
        let mut bench = Bench { unit, now_ms: 0, asked };
        bench.assign(first).unwrap();
        bench.assign(second).unwrap();
        bench.unit.rules = spot;
        bench.commit(1, WRONG).unwrap();
        bench.commit(2, RIGHT).unwrap();
        bench.reveal(1, WRONG).unwrap();
        bench.reveal(2, RIGHT).unwrap();
        bench.step(Event::Checked { assignment: id(1), right: true }).unwrap();
        bench.step(Event::Checked { assignment: id(2), right: true }).unwrap();
        bench
    };
    // A newcomer settles nothing, right rows or not; what it said is not clearly wrong either.
    let decision = decide(newcomer(1), worker(2, 10)).decision();
    assert_eq!(decision.end, End::Checked(RIGHT));
    assert_eq!(of(&decision, 1), (State::Inconclusive, None, false, Because::OutvotedUnclear));
    assert_eq!(decide(worker(1, 9), worker(2, 10)).decision().end, End::Checked(RIGHT));
    assert_eq!(decide(worker(1, 10), worker(2, 9)).decision().end, End::Checked(WRONG));
    assert_eq!(decide(worker(1, 10), worker(2, 10)).asked, [Action::Draw { established: false }]);
}

#[test]
fn endless_disagreement_ends_and_blames_nobody() {
    let mut bench = Bench::new(options(Strategy::Adaptive));
    let votes: Vec<_> = (1..=16).map(|n| (worker(n, 0), Tag::from_bytes([n; 32]))).collect();
    let decision = bench.give(&votes).unwrap();
    assert_eq!((decision.end, decision.judged.len(), decision.paid.len()), (End::NoAgreement, 11, 0));
    assert!((1..=11).all(|n| of(&decision, n) == UNDECIDED));
}

#[test]
fn failures_end_a_task_and_blame_nobody() {
    let mut bench = Bench::new(options(Strategy::Adaptive));
    for number in 1..=5 {
        assert!(matches!(bench.asked[..], [Action::Draw { .. }]), "{number}");
        bench.assign(worker(number, 10)).unwrap();
        bench.step(Event::Failed { assignment: id(number) }).unwrap();
    }
    let decision = bench.decision();
    assert_eq!(decision.end, End::TooManyFailures);
    assert!((1..=5).all(|n| of(&decision, n) == (State::Error, None, false, Because::Undecided)));
}

#[test]
fn who_fails_is_blamed_after_another_succeeded() {
    let mut bench = Bench::new(options(Strategy::Adaptive));
    bench.assign(worker(1, 10)).unwrap();
    bench.step(Event::Failed { assignment: id(1) }).unwrap();
    assert_eq!(bench.unit.state(&id(1)), Some(State::Error));
    let decision = bench.give(&[(worker(2, 10), RIGHT)]).unwrap();
    assert_eq!(of(&decision, 1), (State::Error, Some(Outcome::Timeout), false, Because::FailedAlone));
}

#[test]
fn nobody_reveals_before_everybody_is_bound_or_over_time() {
    let mut bench = Bench::new(options(Strategy::Redundant(2)));
    bench.assign(worker(1, 10)).unwrap();
    bench.assign(worker(2, 10)).unwrap();
    bench.commit(1, RIGHT).unwrap();
    assert!(bench.asked.is_empty());
    assert_eq!(bench.reveal(1, RIGHT), Err(Refused::OutOfPlace));
    assert_eq!(bench.unit.next_deadline_ms(), Some(1_000 + COMMIT_MS));
    bench.tick(COMMIT_MS - 1);
    assert!(bench.asked.is_empty());
    bench.tick(1);
    assert_eq!(bench.asked, [Action::OpenReveals(vec![id(1)])]);
    // By one tick too late.
    assert_eq!(bench.commit(2, RIGHT), Err(Refused::OutOfPlace));
    assert_eq!(bench.unit.state(&id(2)), Some(State::TooLate));
    assert_eq!(bench.reveal(1, WRONG), Err(Refused::WrongReveal));
    bench.reveal(1, RIGHT).unwrap();
    assert_eq!(bench.reveal(1, RIGHT), Err(Refused::OutOfPlace));
}

#[test]
fn an_unrevealed_commit_is_a_timeout_and_costs_no_stake() {
    let mut bench = Bench::new(options(Strategy::Adaptive));
    bench.assign(worker(1, 10)).unwrap();
    bench.commit(1, RIGHT).unwrap();
    bench.tick(REVEAL_MS);
    assert_eq!(bench.asked, [Action::Draw { established: false }]);
    let decision = bench.give(&[(worker(2, 10), RIGHT)]).unwrap();
    assert!(decision.judged.iter().all(|j| j.assignment != id(1)) && !bench.unit.is_closed());
    assert_eq!(bench.unit.next_deadline_ms(), Some(bench.now_ms + LATE_MS));
    bench.tick(LATE_MS - 1);
    assert!(bench.asked.is_empty());
    bench.tick(1);
    let [Action::Judged(j)] = bench.asked[..] else { panic!("{:?}", bench.asked) };
    let found = (j.state, j.outcome, j.stake_burned, j.because);
    assert_eq!(found, (State::TooLate, Some(Outcome::Timeout), false, Because::TimedOut));
    assert!(bench.unit.is_closed());
    assert_eq!(bench.reveal(1, RIGHT), Err(Refused::OutOfPlace));
}

/// One worker late, then two trusted ones settle it: 0.9999, so a wrong late result costs reputation.
fn with_a_late_one() -> Bench {
    let mut bench = Bench::new(options(Strategy::Redundant(2)));
    bench.assign(worker(1, 10)).unwrap();
    bench.assign(worker(2, 10)).unwrap();
    bench.commit(2, RIGHT).unwrap();
    bench.tick(COMMIT_MS);
    bench.reveal(2, RIGHT).unwrap();
    bench
}

#[test]
fn late_results_are_judged_and_not_paid() {
    for (tag, before, expected) in [
        (RIGHT, false, (State::TooLate, Some(Outcome::Timeout), false, Because::LateRight)),
        (WRONG, false, (State::Invalid, Some(Outcome::Invalid), false, Because::Outvoted)),
        (RIGHT, true, (State::TooLate, Some(Outcome::Timeout), false, Because::LateRight)),
        (WRONG, true, (State::Invalid, Some(Outcome::Invalid), false, Because::Outvoted)),
    ] {
        let mut bench = with_a_late_one();
        let draw = bench.asked.clone();
        if before {
            bench.reveal(1, tag).unwrap();
            bench.asked = draw;
        }
        let decision = bench.give(&[(worker(3, 10), RIGHT)]).unwrap();
        assert_eq!(decision.paid, [2, 3].map(|n| AccountId::from_bytes([n; 32])));
        if before {
            assert_eq!(of(&decision, 1), expected);
        } else {
            bench.reveal(1, tag).unwrap();
            let [Action::Judged(j)] = bench.asked[..] else { panic!("{:?}", bench.asked) };
            assert_eq!((j.state, j.outcome, j.stake_burned, j.because), expected);
        }
        assert!(bench.unit.is_closed());
    }
}

#[test]
fn a_failed_check_burns_the_stake() {
    let judged = |right| {
        let mut bench = Bench::new(options(Strategy::KnownAnswer));
        bench.assign(worker(1, 50)).unwrap();
        bench.commit(1, RIGHT).unwrap();
        bench.reveal(1, RIGHT).unwrap();
        assert_eq!(bench.asked, [Action::Check(id(1))]);
        bench.step(Event::Checked { assignment: id(1), right }).unwrap();
        let decision = bench.decision();
        assert_eq!((decision.end, decision.paid.len()), (End::CheckJudged, usize::from(right)));
        of(&decision, 1)
    };
    assert_eq!(judged(true), (State::Valid, Some(Outcome::Valid), false, Because::CheckPassed));
    assert_eq!(judged(false), (State::Invalid, Some(Outcome::Invalid), true, Because::CheckFailed));
}

#[test]
fn a_check_without_an_answer_blames_nobody() {
    let mut bench = Bench::new(options(Strategy::KnownAnswer));
    bench.assign(worker(1, 50)).unwrap();
    bench.commit(1, RIGHT).unwrap();
    bench.reveal(1, RIGHT).unwrap();
    bench.tick(LATE_MS);
    assert_eq!((bench.decision().end, of(&bench.decision(), 1)), (End::NoAnswer, UNDECIDED));
}

#[test]
fn hidden_rows_accept_and_catch() {
    // A fresh worker whose rows are right is enough for spot-check, and gets no mark for it.
    let mut bench = Bench::new(options(Strategy::SpotCheck));
    bench.assign(worker(1, 0)).unwrap();
    bench.commit(1, RIGHT).unwrap();
    bench.reveal(1, RIGHT).unwrap();
    bench.step(Event::Checked { assignment: id(1), right: true }).unwrap();
    let decision = bench.decision();
    assert_eq!(decision.end, End::Checked(RIGHT));
    assert_eq!(of(&decision, 1), (State::Valid, None, false, Because::CheckPassed));

    let mut bench = Bench::new(Options { hidden_rows: true, ..options(Strategy::Adaptive) });
    bench.assign(worker(1, 50)).unwrap();
    bench.commit(1, WRONG).unwrap();
    bench.reveal(1, WRONG).unwrap();
    bench.step(Event::Checked { assignment: id(1), right: false }).unwrap();
    assert_eq!(bench.unit.state(&id(1)), Some(State::Invalid));
    assert_eq!(bench.asked, [Action::Draw { established: false }]);
    bench.assign(worker(2, 50)).unwrap();
    bench.commit(2, RIGHT).unwrap();
    bench.reveal(2, RIGHT).unwrap();
    bench.step(Event::Checked { assignment: id(2), right: true }).unwrap();
    let decision = bench.decision();
    assert_eq!(decision.end, End::Credible(RIGHT));
    assert_eq!(of(&decision, 1), (State::Invalid, Some(Outcome::Invalid), true, Because::CheckFailed));
}

#[test]
fn rows_that_nobody_compares_hold_nothing_up() {
    let mut bench = Bench::new(options(Strategy::SpotCheck));
    bench.assign(worker(1, 0)).unwrap();
    bench.commit(1, RIGHT).unwrap();
    bench.reveal(1, RIGHT).unwrap();
    bench.tick(LATE_MS);
    // Fresh, so not believed without its rows.
    assert_eq!(bench.asked, [Action::Draw { established: false }]);
}

#[test]
fn nobody_left_is_an_end() {
    let mut bench = Bench::new(options(Strategy::Adaptive));
    bench.step(Event::NobodyDrawn).unwrap();
    assert_eq!(bench.decision().end, End::NoWorkers);
    assert_eq!(bench.step(Event::NobodyDrawn), Err(Refused::NotDrawing));

    let mut bench = Bench::new(options(Strategy::Redundant(2)));
    bench.assign(worker(1, 10)).unwrap();
    bench.step(Event::NobodyDrawn).unwrap();
    bench.commit(1, RIGHT).unwrap();
    bench.reveal(1, RIGHT).unwrap();
    assert_eq!(bench.asked, [Action::Draw { established: false }]);
    bench.step(Event::NobodyDrawn).unwrap();
    assert_eq!((bench.decision().end, of(&bench.decision(), 1)), (End::NoWorkers, UNDECIDED));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut bench = Bench::new(options(Strategy::Redundant(3)));
    bench.assign(worker(1, 10)).unwrap();
    let before = bench.unit.clone();
    assert_eq!(bench.assign(worker(1, 10)), Err(Refused::Repeated));
    let near = Worker { account: AccountId::from_bytes([7; 32]), ..worker(1, 10) };
    assert_eq!(bench.assign(near), Err(Refused::SamePlace));
    assert_eq!(bench.commit(5, RIGHT), Err(Refused::Unknown));
    assert_eq!(bench.reveal(1, RIGHT), Err(Refused::OutOfPlace));
    let checked = Event::Checked { assignment: id(1), right: false };
    assert_eq!(bench.step(checked), Err(Refused::OutOfPlace));
    assert_eq!(bench.unit, before);
}

#[test]
fn a_commit_names_all_of_it() {
    let base = reveal(RIGHT);
    let of = |r: &Reveal, task, assignment, worker| {
        r.commit(&id(task), &id(assignment), &AccountId::from_bytes([worker; 32]))
    };
    let first = of(&base, 1, 2, 3);
    let others = [
        of(&base, 9, 2, 3),
        of(&base, 1, 9, 3),
        of(&base, 1, 2, 9),
        of(&Reveal { tag: WRONG, ..base }, 1, 2, 3),
        of(&Reveal { ciphertext: [0; 32], ..base }, 1, 2, 3),
        of(&Reveal { nonce: [0; 32], ..base }, 1, 2, 3),
    ];
    assert!(others.iter().all(|other| *other != first));
}

/// Any messages at all, right ones among them.
fn messages() -> impl Generator<Value = Vec<(u64, u8, u8, u8)>> {
    prop::collection::vec((0u64..20_000, 0u8..8, 1u8..20, 0u8..3), 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// One decision, at most one judgement of each worker, nobody paid but the valid, nobody slashed without an accepted
    /// result or a failed check, and an end after finitely many messages.
    #[test]
    fn whatever_comes(messages in messages(), strategy in 0usize..5, hidden_rows: bool) {
        let strategy = [Strategy::Adaptive, Strategy::Redundant(1), Strategy::Redundant(4), Strategy::SpotCheck,
            Strategy::KnownAnswer][strategy];
        let mut bench = Bench::new(Options { hidden_rows, ..options(strategy) });
        let (mut decisions, mut judged, mut draws) = (0, vec![], 1);
        let ticks = std::iter::repeat_n((100_000, 7, 1, 0), 40);
        for (passed, kind, number, tag) in messages.into_iter().chain(ticks) {
            bench.now_ms += passed;
            let tag = Tag::from_bytes([tag; 32]);
            let checks = u64::from(number % 4) * 10;
            let done = match kind {
                0 | 1 => bench.assign(if number % 5 == 0 { newcomer(number) } else { worker(number, checks) }),
                2 | 3 => bench.commit(number, tag),
                4 | 5 => bench.reveal(number, tag),
                6 => bench.step(Event::Checked { assignment: id(number), right: tag.as_bytes()[0] > 0 }),
                _ if number % 7 == 0 => bench.step(Event::Failed { assignment: id(number) }),
                _ if number % 11 == 0 || passed == 100_000 => bench.step(Event::NobodyDrawn).or_else(|_| bench.step(Event::Tick)),
                _ => bench.step(Event::Tick),
            };
            if done.is_err() {
                continue;
            }
            for action in std::mem::take(&mut bench.asked) {
                match action {
                    Action::Decided(decision) => {
                        decisions += 1;
                        let valid: Vec<_> = decision.judged.iter().filter(|j| j.state == State::Valid).collect();
                        prop_assert_eq!(valid.len(), decision.paid.len());
                        if decision.end.tag().is_none() {
                            let burned = decision.judged.iter().filter(|j| j.stake_burned);
                            prop_assert!(burned.clone().all(|j| j.because == Because::CheckFailed));
                        }
                        prop_assert!(decision.judged.is_sorted_by(|a, b| a.worker < b.worker));
                        judged.extend(decision.judged.iter().map(|j| j.worker));
                    }
                    Action::Judged(judgement) => {
                        prop_assert_eq!(decisions, 1);
                        judged.push(judgement.worker);
                    }
                    Action::Draw { .. } => draws += 1,
                    _ => {}
                }
            }
        }
        prop_assert_eq!(decisions, 1);
        prop_assert!(bench.unit.is_closed() && draws <= 17);
        let count = judged.len();
        judged.sort_unstable();
        judged.dedup();
        prop_assert_eq!(judged.len(), count);
        prop_assert_eq!(count, bench.unit.assignments.len());
    }

    /// In whatever order the reveals of a round come, the decision is the same.
    #[test]
    fn the_order_of_reveals_does_not_matter(
        tags in prop::collection::vec(0u8..3, 7),
        order in Just([1u8, 2, 3, 4, 5, 6, 7]).prop_shuffle(),
    ) {
        let decide = |order: [u8; 7]| {
            let mut bench = Bench::new(options(Strategy::Redundant(7)));
            for number in 1..=7 {
                bench.assign(worker(number, u64::from(number))).unwrap();
            }
            let tag = |number: u8| Tag::from_bytes([tags[usize::from(number) - 1]; 32]);
            order.into_iter().for_each(|number| bench.commit(number, tag(number)).unwrap());
            order.into_iter().for_each(|number| bench.reveal(number, tag(number)).unwrap());
            bench.asked
        };
        prop_assert_eq!(decide(order), decide([1, 2, 3, 4, 5, 6, 7]));
    }
}
