//! One task as a state machine, from its first assignment to its last judgement.
//!
//! ```text
//! Waiting --commit--> Committed --(all are bound, or their time is up)--> Opened --reveal--> Revealed   a vote
//!    |                                                                      |                  |
//!    |--error--> Failed                                                     |                  '--rows wrong--> Caught
//!    '--time is up--> Late <--time is up------------------------------------'
//! ```
//!
//! Votes are weighed only when no assignment is open, so the order in which messages of a round arrive does not matter. If they
//! do not suffice one replica is drawn. Caps on assignments, failures and results end a task that goes nowhere. Whoever
//! comes late is judged against the accepted result and not paid.
//!
//! The caller brings time, draws workers, checks signatures, and gives hidden checks in the stead of assignments
//! ([`crate::verify::policy::is_check`]); the machine holds the rules.

mod commit;
mod judge;
#[cfg(test)]
mod tests;

use identity::AccountId;
use ledger::Id;
use thiserror::Error;

pub use self::{
    commit::{Reveal, Tag},
    judge::{Because, Decision, End, Judgement, State},
};
use super::{
    credibility::Credibility,
    policy::{Rules, Strategy, Worker},
};

/// What happens to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The draw gave a worker an assignment, and it is no hidden check.
    Assigned {
        /// The assignment's id.
        assignment: Id,
        /// Whose, as the ledger shows it.
        worker: Worker,
    },
    /// The draw found nobody.
    NobodyDrawn,
    /// A worker binds itself to a result.
    Committed {
        /// Which assignment.
        assignment: Id,
        /// [`Reveal::commit`].
        commit: Id,
    },
    /// A worker shows its result's tag.
    Revealed {
        /// Which assignment.
        assignment: Id,
        /// What it shows.
        reveal: Reveal,
    },
    /// A worker cannot do the task.
    Failed {
        /// Which assignment.
        assignment: Id,
    },
    /// The known answers of a result were compared. Comes only with proof: see [`crate::verify::check`].
    Checked {
        /// Which assignment.
        assignment: Id,
        /// Whether they were all right.
        right: bool,
    },
    /// Time goes by.
    Tick,
}

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Draw one more worker; [`Event::Assigned`] or [`Event::NobodyDrawn`] answers.
    Draw {
        /// It has to be established.
        established: bool,
    },
    /// Tell these assignments, in the order of their drawing, to reveal.
    OpenReveals(Vec<Id>),
    /// Compare the known answers of a result; [`Event::Checked`] answers.
    Check(Id),
    /// The task is decided: resolve it. Once.
    Decided(Decision),
    /// A late worker is judged, after the decision. Once for each.
    Judged(Judgement),
}

/// A message that changes nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// No draw was asked for.
    #[error("no worker was asked for")]
    NotDrawing,
    /// The assignment or the worker is already there.
    #[error("the assignment or its worker is there already")]
    Repeated,
    /// A replica at the same site or in the same network block.
    #[error("the worker shares a site or a network block with another one of this task")]
    SamePlace,
    /// An established worker was asked for.
    #[error("only an established worker helps here")]
    NotEstablished,
    /// No assignment has this id.
    #[error("no such assignment")]
    Unknown,
    /// It does not fit to where the assignment is.
    #[error("the assignment is not where this could follow")]
    OutOfPlace,
    /// The reveal is not that of the commit.
    #[error("the reveal does not open the commit")]
    WrongReveal,
}

impl Refused {
    /// Its stable name.
    pub fn code(self) -> &'static str {
        match self {
            Refused::NotDrawing => "not_drawing",
            Refused::Repeated => "repeated",
            Refused::SamePlace => "same_place",
            Refused::NotEstablished => "not_established",
            Refused::Unknown => "unknown_assignment",
            Refused::OutOfPlace => "out_of_place",
            Refused::WrongReveal => "wrong_reveal",
        }
    }
}

/// A task that is being decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    task: Id,
    rules: Rules,
    assignments: Vec<Assigned>,
    /// A draw was asked for; whether for an established worker.
    drawing: Option<bool>,
    /// A round of results was weighed: from here on one at a time.
    weighed: bool,
    decided: Option<Decided>,
}

impl Unit {
    /// Opens a task and asks for its first worker.
    pub fn open(task: Id, rules: Rules) -> (Self, Vec<Action>) {
        let unit =
            Unit { task, rules, assignments: vec![], drawing: Some(false), weighed: false, decided: None };
        (unit, vec![Action::Draw { established: false }])
    }

    /// Takes what happened at a time, in milliseconds of any clock that does not go back.
    ///
    /// # Errors
    /// [`Refused`]; what the time itself brings is then done at the next step.
    pub fn step(&mut self, now_ms: u64, event: Event) -> Result<Vec<Action>, Refused> {
        let mut next = self.clone();
        let mut actions = vec![];
        let nobody_left = event == Event::NobodyDrawn;
        next.expire(now_ms);
        next.take(now_ms, event, &mut actions)?;
        next.go_on(now_ms, nobody_left, &mut actions);
        *self = next;
        Ok(actions)
    }

    /// When [`Event::Tick`] is due, if nothing happens before.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let open = self.assignments.iter().filter_map(|a| a.phase.deadline_ms());
        let late = self.decided.filter(|_| self.is_waiting_for_late()).map(|decided| decided.close_at_ms);
        open.chain(late).min()
    }

    /// How an assignment stands.
    pub fn state(&self, assignment: &Id) -> Option<State> {
        let assigned = self.assignments.iter().find(|a| a.id == *assignment)?;
        if let Some(judged) = assigned.judged {
            return Some(judged);
        }
        Some(match assigned.phase {
            Phase::Late { .. } => State::TooLate,
            Phase::Failed => State::Error,
            Phase::Caught => State::Invalid,
            _ => State::Init,
        })
    }

    /// Whether it is decided.
    pub fn is_decided(&self) -> bool {
        self.decided.is_some()
    }

    /// Whether an assignment is bound to a result.
    pub fn is_bound(&self, assignment: &Id) -> bool {
        let bound = |a: &&Assigned| {
            !matches!(a.phase, Phase::Waiting { .. } | Phase::Failed | Phase::Late { commit: None, .. })
        };
        self.assignments.iter().filter(bound).any(|a| a.id == *assignment)
    }

    /// Whether everyone is judged.
    pub fn is_closed(&self) -> bool {
        self.decided.is_some() && !self.is_waiting_for_late()
    }

    fn is_waiting_for_late(&self) -> bool {
        self.decided.is_some() && self.assignments.iter().any(|a| a.judged.is_none())
    }

    /// Turns whoever is over its time into a late one.
    fn expire(&mut self, now_ms: u64) {
        if self.decided.is_some() {
            return;
        }
        for assigned in &mut self.assignments {
            assigned.phase = match assigned.phase {
                Phase::Waiting { by_ms } if by_ms <= now_ms => Phase::Late { commit: None, tag: None },
                Phase::Opened { commit, by_ms } if by_ms <= now_ms => {
                    Phase::Late { commit: Some(commit), tag: None }
                }
                Phase::Revealed { tag, asked_by_ms: Some(by_ms), passed } if by_ms <= now_ms => {
                    Phase::Revealed { tag, asked_by_ms: None, passed }
                }
                phase => phase,
            }
        }
    }

    fn take(&mut self, now_ms: u64, event: Event, actions: &mut Vec<Action>) -> Result<(), Refused> {
        match event {
            Event::Tick => Ok(()),
            Event::Assigned { assignment, worker } => self.assign(now_ms, assignment, worker),
            Event::NobodyDrawn => {
                self.drawing.take().ok_or(Refused::NotDrawing)?;
                // The round goes on with those that are there.
                self.weighed = true;
                Ok(())
            }
            Event::Committed { assignment, commit } => {
                let assigned = self.find(&assignment)?;
                let Phase::Waiting { .. } = assigned.phase else { return Err(Refused::OutOfPlace) };
                assigned.phase = Phase::Committed { commit };
                Ok(())
            }
            Event::Failed { assignment } => {
                let assigned = self.find(&assignment)?;
                let Phase::Waiting { .. } = assigned.phase else { return Err(Refused::OutOfPlace) };
                assigned.phase = Phase::Failed;
                Ok(())
            }
            Event::Revealed { assignment, reveal } => self.reveal(now_ms, assignment, reveal, actions),
            Event::Checked { assignment, right } => {
                let undecided = self.decided.is_none();
                let assigned = self.find(&assignment)?;
                match assigned.phase {
                    Phase::Revealed { tag, .. } if undecided => {
                        let passed = Phase::Revealed { tag, asked_by_ms: None, passed: true };
                        assigned.phase = if right { passed } else { Phase::Caught };
                        Ok(())
                    }
                    _ => Err(Refused::OutOfPlace),
                }
            }
        }
    }

    fn find(&mut self, assignment: &Id) -> Result<&mut Assigned, Refused> {
        self.assignments.iter_mut().find(|a| a.id == *assignment).ok_or(Refused::Unknown)
    }

    fn assign(&mut self, now_ms: u64, id: Id, worker: Worker) -> Result<(), Refused> {
        let established = self.drawing.ok_or(Refused::NotDrawing)?;
        let there = &self.assignments;
        if there.iter().any(|a| a.id == id || a.worker.account == worker.account) {
            return Err(Refused::Repeated);
        }
        if there.iter().any(|a| a.worker.place.meets(&worker.place)) {
            return Err(Refused::SamePlace);
        }
        if established && !worker.standing.may_settle_alone() {
            return Err(Refused::NotEstablished);
        }
        self.drawing = None;
        let phase = Phase::Waiting { by_ms: now_ms.saturating_add(self.rules.clocks.commit_ms) };
        self.assignments.push(Assigned { id, worker, phase, seconded: false, judged: None });
        Ok(())
    }

    fn reveal(
        &mut self,
        now_ms: u64,
        id: Id,
        reveal: Reveal,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refused> {
        let asks = self.rules.hidden_rows || self.rules.strategy == Strategy::KnownAnswer;
        let asked_by_ms = asks.then(|| now_ms.saturating_add(self.rules.clocks.late_ms));
        let task = self.task;
        let assigned = self.find(&id)?;
        if assigned.judged.is_some() {
            return Err(Refused::OutOfPlace);
        }
        let commit = reveal.commit(&task, &id, &assigned.worker.account);
        let tag = reveal.tag;
        assigned.phase = match assigned.phase {
            Phase::Opened { commit: bound, .. } if bound == commit => {
                actions.extend(asks.then_some(Action::Check(id)));
                Phase::Revealed { tag, asked_by_ms, passed: false }
            }
            // Who was late with the commit was bound to nothing.
            Phase::Late { commit: bound, tag: None } if bound.is_none_or(|bound| bound == commit) => {
                Phase::Late { commit: Some(commit), tag: Some(tag) }
            }
            Phase::Opened { .. } | Phase::Late { tag: None, .. } => return Err(Refused::WrongReveal),
            _ => return Err(Refused::OutOfPlace),
        };
        Ok(())
    }

    /// Whatever follows from where the assignments stand.
    fn go_on(&mut self, now_ms: u64, nobody_left: bool, actions: &mut Vec<Action>) {
        if let Some(decided) = self.decided {
            return self.judge_late(now_ms, decided, actions);
        }
        if self.drawing.is_some() {
            return;
        }
        if !self.weighed && self.wants_more_at_first() {
            return self.draw(actions);
        }
        let waits = |a: &Assigned| matches!(a.phase, Phase::Waiting { .. });
        if self.assignments.iter().any(waits) {
            return;
        }
        self.open_reveals(now_ms, actions);
        if self.assignments.iter().any(Assigned::is_open) {
            return;
        }
        self.weighed = true;
        match self.weigh() {
            Some((end, credibility)) => self.decide(now_ms, end, credibility, actions),
            None if nobody_left => self.decide(now_ms, End::NoWorkers, Credibility::NONE, actions),
            None => self.draw(actions),
        }
    }

    /// Whether the first round needs one more worker, supposing that all of it will agree.
    fn wants_more_at_first(&self) -> bool {
        let missing = self.assignments.len() < self.rules.most_at_first;
        let fixed = matches!(self.rules.strategy, Strategy::Redundant(_));
        let hidden =
            |a: &Assigned| matches!(a.phase, Phase::Waiting { .. } | Phase::Committed { .. } | Phase::Failed);
        missing
            && self.assignments.iter().all(hidden)
            && !self.assignments.is_empty()
            && (fixed || !judge::could_settle(&self.rules, &self.assignments))
    }

    fn draw(&mut self, actions: &mut Vec<Action>) {
        let established = judge::needs_established(&self.assignments);
        self.drawing = Some(established);
        actions.push(Action::Draw { established });
    }

    fn open_reveals(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let by_ms = now_ms.saturating_add(self.rules.clocks.reveal_ms);
        let mut opened = vec![];
        for assigned in &mut self.assignments {
            if let Phase::Committed { commit } = assigned.phase {
                assigned.phase = Phase::Opened { commit, by_ms };
                opened.push(assigned.id);
            }
        }
        if !opened.is_empty() {
            actions.push(Action::OpenReveals(opened));
        }
    }

    /// The end, if there is one: a group that suffices, or a cap.
    fn weigh(&self) -> Option<(End, Credibility)> {
        if self.rules.strategy == Strategy::KnownAnswer {
            return Some((self.weigh_known_answer(), Credibility::NONE));
        }
        if let accepted @ Some(_) = judge::accepted(&self.rules, &self.assignments) {
            return accepted;
        }
        let count = |is: fn(&Assigned) -> bool| self.assignments.iter().filter(|a| is(a)).count();
        let failures = count(|a| matches!(a.phase, Phase::Failed | Phase::Late { .. }));
        let caps = self.rules.caps;
        let end = if failures >= caps.failures {
            End::TooManyFailures
        } else if count(|a| a.vote().is_some()) >= caps.results {
            End::NoAgreement
        } else if self.assignments.len() >= caps.assignments {
            End::TooManyAssignments
        } else {
            return None;
        };
        Some((end, Credibility::NONE))
    }

    fn weigh_known_answer(&self) -> End {
        match self.assignments.first().map(|a| a.phase) {
            None => End::NoWorkers,
            Some(Phase::Caught | Phase::Revealed { passed: true, .. }) => End::CheckJudged,
            Some(Phase::Revealed { .. }) => End::NoAnswer,
            Some(_) => End::TooManyFailures,
        }
    }

    fn decide(&mut self, now_ms: u64, end: End, credibility: Credibility, actions: &mut Vec<Action>) {
        let tags: Vec<Option<Tag>> = self.assignments.iter().map(Assigned::vote).collect();
        for (at, assigned) in self.assignments.iter_mut().enumerate() {
            assigned.seconded = tags.iter().filter(|tag| tag.is_some() && **tag == tags[at]).count() > 1;
        }
        let mut judged = vec![];
        for assigned in &mut self.assignments {
            if let Some(judgement) = judge::judge(end, credibility, &self.rules, assigned) {
                assigned.judged = Some(judgement.state);
                judged.push(judgement);
            }
        }
        judged.sort_by_key(|judgement| judgement.worker);
        let valid = judged.iter().filter(|judgement| judgement.state == State::Valid);
        let paid: Vec<AccountId> = valid.map(|judgement| judgement.worker).collect();
        let close_at_ms = now_ms.saturating_add(self.rules.clocks.late_ms);
        self.decided = Some(Decided { end, credibility, close_at_ms });
        actions.push(Action::Decided(Decision { end, credibility, judged, paid }));
    }

    fn judge_late(&mut self, now_ms: u64, decided: Decided, actions: &mut Vec<Action>) {
        for assigned in self.assignments.iter_mut().filter(|a| a.judged.is_none()) {
            let judgement = judge::judge(decided.end, decided.credibility, &self.rules, assigned)
                .or_else(|| (decided.close_at_ms <= now_ms).then(|| judge::never_came(assigned)));
            if let Some(judgement) = judgement {
                assigned.judged = Some(judgement.state);
                actions.push(Action::Judged(judgement));
            }
        }
    }
}

/// One worker's part in a task.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Assigned {
    id: Id,
    worker: Worker,
    phase: Phase,
    /// At the decision another worker had the same result.
    seconded: bool,
    judged: Option<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting { by_ms: u64 },
    Committed { commit: Id },
    Opened { commit: Id, by_ms: u64 },
    Revealed { tag: Tag, asked_by_ms: Option<u64>, passed: bool },
    Failed,
    Late { commit: Option<Id>, tag: Option<Tag> },
    Caught,
}

impl Phase {
    fn deadline_ms(&self) -> Option<u64> {
        match *self {
            Phase::Waiting { by_ms } | Phase::Opened { by_ms, .. } => Some(by_ms),
            Phase::Revealed { asked_by_ms, .. } => asked_by_ms,
            _ => None,
        }
    }
}

impl Assigned {
    /// Still without a vote, and not out.
    fn is_open(&self) -> bool {
        matches!(
            self.phase,
            Phase::Waiting { .. }
                | Phase::Committed { .. }
                | Phase::Opened { .. }
                | Phase::Revealed { asked_by_ms: Some(_), .. }
        )
    }

    fn vote(&self) -> Option<Tag> {
        match self.phase {
            Phase::Revealed { tag, .. } => Some(tag),
            _ => None,
        }
    }

    /// Its result is there, and that its known rows are right was not said.
    fn refuses_rows(&self) -> bool {
        matches!(self.phase, Phase::Revealed { passed: false, .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decided {
    end: End,
    credibility: Credibility,
    close_at_ms: u64,
}
