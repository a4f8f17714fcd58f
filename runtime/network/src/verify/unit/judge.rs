//! What an end of a task means for its workers.

use identity::AccountId;
use ledger::{Id, exposure::may_settle, reputation::Outcome};

use super::{Assigned, Phase, Tag};
use crate::verify::{
    credibility::{self, Credibility},
    policy::{Level, Rules, Strategy},
};

/// How an assignment ended, or that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No end yet.
    Init,
    /// Equal to the accepted result.
    Valid,
    /// Proved wrong.
    Invalid,
    /// The worker reported an error.
    Error,
    /// A result that nothing was decided about.
    Inconclusive,
    /// Not committed or not revealed in time.
    TooLate,
}

impl State {
    /// Its stable name.
    pub fn code(self) -> &'static str {
        match self {
            State::Init => "init",
            State::Valid => "valid",
            State::Invalid => "invalid",
            State::Error => "error",
            State::Inconclusive => "inconclusive",
            State::TooLate => "too_late",
        }
    }
}

/// Why a worker was judged as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// Its result agrees with others, and the group is believed.
    Agreed,
    /// Its result was accepted without an independent one: paid, and no mark of reputation.
    AcceptedUnchecked,
    /// Its hidden rows, or its hidden check, were right. Only a whole check makes reputation.
    CheckPassed,
    /// Its hidden rows, or its hidden check, were wrong.
    CheckFailed,
    /// Another result was accepted, and is believed enough to blame, not enough to take the stake.
    Outvoted,
    /// Another result was accepted beyond reasonable doubt.
    OutvotedClearly,
    /// Another result was accepted by count, and is not believed enough to blame anyone.
    OutvotedUnclear,
    /// It failed where another worker succeeded.
    FailedAlone,
    /// It was not in time where another worker was.
    TimedOut,
    /// Right and late: not paid.
    LateRight,
    /// The task ended without an accepted result: nobody is blamed.
    Undecided,
}

impl Because {
    /// Its stable name.
    pub fn code(self) -> &'static str {
        match self {
            Because::Agreed => "agreed",
            Because::AcceptedUnchecked => "accepted_unchecked",
            Because::CheckPassed => "check_passed",
            Because::CheckFailed => "check_failed",
            Because::Outvoted => "outvoted",
            Because::OutvotedClearly => "outvoted_clearly",
            Because::OutvotedUnclear => "outvoted_unclear",
            Because::FailedAlone => "failed_alone",
            Because::TimedOut => "timed_out",
            Because::LateRight => "late_right",
            Because::Undecided => "undecided",
        }
    }
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A group of equal results was believed.
    Credible(Tag),
    /// Enough results were equal.
    Quorum(Tag),
    /// A result whose known rows were right.
    Checked(Tag),
    /// A hidden check was judged; it has no result to accept.
    CheckJudged,
    /// Too many workers failed or were late: likely the task cannot be done.
    TooManyFailures,
    /// Too many results without agreement.
    NoAgreement,
    /// Too many assignments, however they went.
    TooManyAssignments,
    /// No worker is left that could help.
    NoWorkers,
    /// The answer of a hidden check did not come.
    NoAnswer,
}

impl End {
    /// Its stable name.
    pub fn code(self) -> &'static str {
        match self {
            End::Credible(_) => "accepted_credible",
            End::Quorum(_) => "accepted_quorum",
            End::Checked(_) => "accepted_checked",
            End::CheckJudged => "check_judged",
            End::TooManyFailures => "too_many_failures",
            End::NoAgreement => "no_agreement",
            End::TooManyAssignments => "too_many_assignments",
            End::NoWorkers => "no_workers",
            End::NoAnswer => "no_answer",
        }
    }

    /// The accepted result.
    pub fn tag(self) -> Option<Tag> {
        match self {
            End::Credible(tag) | End::Quorum(tag) | End::Checked(tag) => Some(tag),
            _ => None,
        }
    }
}

/// The judgement on one worker, made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Who.
    pub worker: AccountId,
    /// For which assignment.
    pub assignment: Id,
    /// How that ended.
    pub state: State,
    /// What goes into its reputation; nothing where nothing was proved.
    pub outcome: Option<Outcome>,
    /// The whole task stake is burned.
    pub stake_burned: bool,
    /// Why.
    pub because: Because,
}

/// The decision on a task, made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How it ended.
    pub end: End,
    /// How far the accepted result is believed.
    pub credibility: Credibility,
    /// All workers but those that are late, ascending by account; the late follow in judgements of their own.
    pub judged: Vec<Judgement>,
    /// Who shares the price, ascending.
    pub paid: Vec<AccountId>,
}

/// The end and how far the accepted result is believed, if the votes suffice.
pub(super) fn accepted(rules: &Rules, assignments: &[Assigned]) -> Option<(End, Credibility)> {
    let groups = groups(assignments);
    let credibilities = credibilities(&groups);
    let enough = groups.iter().enumerate().filter_map(|(at, (tag, votes))| {
        let credibility = credibility::of_group(&credibilities, at);
        Some((accepts(rules, *tag, votes, credibility)?, credibility))
    });
    let mut enough: Vec<(End, Credibility)> = enough.collect();
    enough.sort_by_key(|(_, credibility)| std::cmp::Reverse(*credibility));
    match enough[..] {
        // Two that suffice, equally believed: neither.
        [(_, first), (_, second), ..] if first == second => None,
        _ => enough.first().copied(),
    }
}

/// Whether workers could settle the task if all of them gave one result, or joined the group that leads.
pub(super) fn could_settle(rules: &Rules, assignments: &[Assigned]) -> bool {
    let open: Vec<&Assigned> = assignments.iter().filter(|a| a.is_open()).collect();
    accepts(rules, Tag::from_bytes([0; 32]), &open, credibility::of_group(&[credibility_of(&open)], 0))
        .is_some()
}

/// Whether the next worker has to be an established one: whoever is there so far, or leads so far, cannot settle.
pub(super) fn needs_established(assignments: &[Assigned]) -> bool {
    let may = |votes: &[&Assigned]| may_settle(votes.iter().map(|a| a.worker.standing));
    let groups = groups(assignments);
    let credibilities = credibilities(&groups);
    let lead = (0..groups.len()).max_by_key(|&at| credibility::of_group(&credibilities, at));
    let open: Vec<&Assigned> = assignments.iter().filter(|a| a.is_open()).collect();
    match lead {
        Some(lead) => !may(&groups[lead].1) && !may(&open),
        None => !open.is_empty() && !may(&open),
    }
}

/// Judges one assignment at the end of its task; [`None`] for one that is late and may still come.
pub(super) fn judge(end: End, credibility: Credibility, rules: &Rules, a: &Assigned) -> Option<Judgement> {
    use Because as B;
    let (state, outcome, because) = match (a.phase, end.tag()) {
        (Phase::Caught, _) => (State::Invalid, Some(Outcome::Invalid), B::CheckFailed),
        (Phase::Revealed { passed: true, .. }, None) if end == End::CheckJudged => {
            (State::Valid, Some(Outcome::Valid), B::CheckPassed)
        }
        (Phase::Revealed { .. }, None) => (State::Inconclusive, None, B::Undecided),
        (Phase::Revealed { tag, passed, .. }, Some(accepted)) if tag == accepted => {
            if a.seconded && credibility >= blame_at() {
                (State::Valid, Some(Outcome::Valid), B::Agreed)
            } else {
                // Right rows prove those rows: whoever lies on one of a hundred passes two of them nearly always. So
                // they can cost a reputation and not make one.
                (State::Valid, None, if passed { B::CheckPassed } else { B::AcceptedUnchecked })
            }
        }
        (Phase::Revealed { .. }, Some(_)) => against(credibility, rules, a.worker.clean),
        (Phase::Failed, None) => (State::Error, None, B::Undecided),
        (Phase::Failed, Some(_)) => (State::Error, Some(Outcome::Timeout), B::FailedAlone),
        (Phase::Late { .. }, None) => (State::TooLate, None, B::Undecided),
        (Phase::Late { tag: Some(tag), .. }, Some(accepted)) => late(tag == accepted, credibility, rules, a),
        (Phase::Late { .. }, Some(_)) => return None,
        (Phase::Waiting { .. } | Phase::Committed { .. } | Phase::Opened { .. }, _) => {
            (State::Inconclusive, None, B::Undecided)
        }
    };
    let stake_burned = matches!(because, B::CheckFailed | B::OutvotedClearly);
    Some(Judgement { worker: a.worker.account, assignment: a.id, state, outcome, stake_burned, because })
}

/// Judges a late worker whose result did not come at all.
pub(super) fn never_came(a: &Assigned) -> Judgement {
    Judgement {
        worker: a.worker.account,
        assignment: a.id,
        state: State::TooLate,
        outcome: Some(Outcome::Timeout),
        stake_burned: false,
        because: Because::TimedOut,
    }
}

/// Votes by tag, ascending; the failed, the late and the caught have none.
pub(super) fn groups(assignments: &[Assigned]) -> Vec<(Tag, Vec<&Assigned>)> {
    let mut votes: Vec<(Tag, &Assigned)> = assignments.iter().filter_map(|a| Some((a.vote()?, a))).collect();
    votes.sort_by_key(|(tag, a)| (*tag, a.worker.account));
    votes
        .chunk_by(|a, b| a.0 == b.0)
        .map(|group| (group[0].0, group.iter().map(|(_, a)| *a).collect()))
        .collect()
}

fn credibilities(groups: &[(Tag, Vec<&Assigned>)]) -> Vec<Vec<Credibility>> {
    groups.iter().map(|(_, votes)| credibility_of(votes)).collect()
}

fn credibility_of(votes: &[&Assigned]) -> Vec<Credibility> {
    votes.iter().map(|a| a.worker.credibility()).collect()
}

/// How a group is accepted, if it is.
fn accepts(rules: &Rules, tag: Tag, votes: &[&Assigned], credibility: Credibility) -> Option<End> {
    if votes.len() < rules.least_votes || !may_settle(votes.iter().map(|a| a.worker.standing)) {
        return None;
    }
    let credible = credibility >= rules.theta;
    match rules.strategy {
        Strategy::Adaptive => credible.then_some(End::Credible(tag)),
        Strategy::Redundant(_) => Some(End::Quorum(tag)),
        Strategy::SpotCheck if votes.iter().any(|a| !a.refuses_rows()) => Some(End::Checked(tag)),
        // Nobody said how the rows are: then it is believed as without them.
        Strategy::SpotCheck => credible.then_some(End::Credible(tag)),
        Strategy::KnownAnswer => None,
    }
}

fn late(
    right: bool,
    credibility: Credibility,
    rules: &Rules,
    a: &Assigned,
) -> (State, Option<Outcome>, Because) {
    if right {
        return (State::TooLate, Some(Outcome::Timeout), Because::LateRight);
    }
    match against(credibility, rules, a.worker.clean) {
        // Late all the same.
        (_, None, _) => (State::TooLate, Some(Outcome::Timeout), Because::TimedOut),
        wrong => wrong,
    }
}

/// A vote against an accepted group.
fn against(credibility: Credibility, rules: &Rules, clean: bool) -> (State, Option<Outcome>, Because) {
    let slash_at = if clean { rules.slash_first_at } else { rules.slash_again_at };
    if credibility >= slash_at {
        (State::Invalid, Some(Outcome::Invalid), Because::OutvotedClearly)
    } else if credibility >= blame_at() {
        (State::Invalid, Some(Outcome::Invalid), Because::Outvoted)
    } else {
        (State::Inconclusive, None, Because::OutvotedUnclear)
    }
}

/// A group of this credibility proves its own right and the others wrong, for reputation.
fn blame_at() -> Credibility {
    Credibility::at_least_ppm(Level::Normal.theta_ppm())
}
