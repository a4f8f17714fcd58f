//! The side of a task that wants its result.
//!
//! ```text
//! Request -> escrow (wallet) -> Submit -> Accepted -> (Assigned -> Keys, payload) ... -> Settled, result -> Event
//! ```
//! - Nothing is spent before [`Request::most_ucredits`] could be shown; the escrow holds exactly that, and what is not paid
//!   comes back.
//! - The payload is sealed once. Each assigned worker gets its key, if its prekey is its own and the reveal that drew it opens
//!   the head of the relay's chain. More of a draw an edge cannot check: it does not know the claims.
//! - A result counts if it opens under an agreed worker's key and has the agreed tag.
//!
//! # A relay that vanishes
//! If it comes back in time, the same envelope is sent again: the relay knows it, or takes it under the same escrow. If not,
//! the task goes to another relay, where one is connected, under a new envelope and a new escrow, and only once the ledger
//! shows that the old lock ran out undecided: then nobody was paid or will be. A lock that is gone from the account was
//! decided by the relay that vanished, so the task ends with [`Reason::Silent`] and is not paid twice. Tasks are not stored:
//! after a crash of the edge their escrows are settled by the relay or run out, and come back.

mod batch;
mod request;
mod result;
mod task;

use std::collections::BTreeMap;

use identity::AccountId;
use ledger::{
    Holder, Id,
    op::{Action, LockKind},
};

pub(crate) use self::result::{Gather, parts};
use self::{
    batch::Batch,
    task::{Fate, Stage, Task},
};
pub use self::{
    batch::PARTS_AT_ONCE,
    request::{MAX_TIME_MS, Quote, Request, RequestError},
    result::TaskResult,
    task::{CANCEL_MS, ESCROW_MS, MARGIN_MS, RESULT_MS},
};
use crate::{
    edge::{Act, Doors, Event},
    node::{Context, Now},
    reason::Reason,
    session::edge::Me,
    wallet::{Purpose, Told},
    wire::{Accepted, Assigned, Cancel, Flow, Message, Part, Refused, Settled},
};

/// The tasks of one edge.
#[derive(Debug, Default)]
pub struct Submitter {
    /// By the task's id.
    tasks: BTreeMap<Id, Task>,
    batches: BTreeMap<u64, Batch>,
    /// Which task a job has open, one each.
    jobs: BTreeMap<u64, Id>,
    payload_bytes: usize,
    drains: bool,
}

/// Whose a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// A job of its own.
    Job(u64),
    /// A part of a batch.
    Part { job: u64, part: usize },
}

/// How a task ended.
type Ending = Result<TaskResult, (Reason, u64)>;

impl Submitter {
    /// Tasks that are open.
    pub fn open(&self) -> usize {
        self.tasks.len()
    }

    /// No further job is taken.
    pub(crate) fn drain(&mut self) {
        self.drains = true;
    }

    /// Takes a job of one task.
    pub(crate) fn submit(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        doors: &Doors,
        job: u64,
        request: Request,
        acts: &mut Vec<Act>,
    ) {
        match self.check_job(job, std::slice::from_ref(&request)) {
            Ok(()) => self.begin(me, context, doors, Owner::Job(job), request, acts),
            Err(reason) => acts.push(Act::Event(Event::Failed { job, part: None, reason, cost_ucredits: 0 })),
        }
    }

    /// Takes a job of parts, whose results come together and in their order.
    pub(crate) fn submit_batch(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        doors: &Doors,
        job: u64,
        parts: Vec<Request>,
        acts: &mut Vec<Act>,
    ) {
        if let Err(reason) = self.check_job(job, &parts) {
            acts.push(Act::Event(Event::Failed { job, part: None, reason, cost_ucredits: 0 }));
            return;
        }
        let bytes: usize = parts.iter().map(|part| part.payload.len()).sum();
        self.payload_bytes += bytes;
        self.batches.insert(job, Batch::new(parts, bytes));
        self.feed(me, context, doors, job, acts);
    }

    /// Gives a job up.
    pub(crate) fn cancel(&mut self, now: Now, job: u64, acts: &mut Vec<Act>) {
        if let Some(batch) = self.batches.get_mut(&job) {
            batch.failed.get_or_insert((None, Reason::Cancelled));
        }
        self.cancel_tasks(now, job, acts);
        self.finish_batch(job, acts);
    }

    /// The wallet tells of an escrow.
    pub(crate) fn told(&mut self, now: Now, told: Told, acts: &mut Vec<Act>) {
        let Purpose::Escrow(id) = told.purpose else { return };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match told.outcome {
            Ok(done) => {
                if let Action::Lock(terms) = done.action {
                    debug_assert_eq!((terms.kind, terms.task), (LockKind::TaskEscrow, id));
                }
                task.escrow = Some(done.op);
                task.submit(now, acts);
            }
            Err((reason, _)) => self.end(id, Err((reason, 0)), acts),
        }
    }

    /// A relay that tasks wait for is there.
    pub(crate) fn connected(&mut self, now: Now, relay: &AccountId, acts: &mut Vec<Act>) {
        let back = |task: &&mut Task| task.relay == *relay && task.escrow.is_some();
        self.tasks.values_mut().filter(back).for_each(|task| task.submit(now, acts));
    }

    /// A relay is gone.
    pub(crate) fn closed(&mut self, now: Now, relay: &AccountId) {
        self.tasks.values_mut().filter(|task| task.relay == *relay).for_each(|task| task.lost(now));
    }

    /// A relay refused a frame unread, because it came too soon.
    pub(crate) fn slowed(&mut self, now: Now, relay: &AccountId, after_ms: u64) {
        self.tasks
            .values_mut()
            .filter(|task| task.relay == *relay)
            .for_each(|task| task.slowed(now, after_ms));
    }

    /// A message of a relay; `false` if it is none for a submitter.
    pub(crate) fn heard(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        doors: &mut Doors,
        relay: &AccountId,
        message: &Message,
        acts: &mut Vec<Act>,
    ) -> bool {
        let now = context.now;
        let known =
            |task: &Id, tasks: &BTreeMap<Id, Task>| tasks.get(task).is_some_and(|t| t.relay == *relay);
        match message {
            Message::Accepted(Accepted { task, .. }) if known(task, &self.tasks) => {
                self.with(task, |task| task.accepted());
            }
            Message::Assigned(assigned) if known(&assigned.task, &self.tasks) => {
                self.assigned(me, context, doors, relay, assigned, acts);
            }
            Message::Settled(settled) if known(&settled.task, &self.tasks) => {
                self.settled(now, settled, acts);
            }
            Message::Part(part) if known(&part.task, &self.tasks) => self.part(part, acts),
            Message::Refused(refused) if known(&refused.about, &self.tasks) => {
                self.refused(now, refused, acts);
            }
            Message::Accepted(_) | Message::Assigned(_) => {}
            _ => return false,
        }
        true
    }

    /// The account stands like this.
    pub(crate) fn see(&mut self, holder: &Holder) {
        self.tasks.values_mut().for_each(|task| task.see(holder));
    }

    /// Does what is due.
    pub(crate) fn drive(&mut self, me: &Me, context: &mut Context<'_>, doors: &Doors, acts: &mut Vec<Act>) {
        let now = context.now;
        let due: Vec<Id> =
            self.tasks.iter().filter(|(_, t)| now.ms >= t.due_ms()).map(|(id, _)| *id).collect();
        for id in due {
            self.overdue(me, context, doors, id, acts);
        }
        let jobs: Vec<u64> = self.batches.keys().copied().collect();
        for job in jobs {
            self.feed(me, context, doors, job, acts);
        }
    }

    /// When something is due.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.tasks.values().map(Task::due_ms).min()
    }

    fn check_job(&self, job: u64, requests: &[Request]) -> Result<(), Reason> {
        if self.drains {
            return Err(Reason::Draining);
        }
        let bytes: usize = requests.iter().map(|request| request.payload.len()).sum();
        let twice = self.jobs.contains_key(&job) || self.batches.contains_key(&job);
        if twice || requests.is_empty() || requests.len() > MAX_PARTS {
            return Err(Reason::RequestInvalid);
        }
        if requests.iter().any(|request| request.check().is_err()) {
            return Err(Reason::RequestInvalid);
        }
        let jobs = self.jobs.len() + self.batches.len();
        if jobs >= MAX_JOBS || self.payload_bytes.saturating_add(bytes) > MAX_PAYLOAD_BYTES {
            return Err(Reason::OpenTasksExceeded);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        doors: &Doors,
        owner: Owner,
        request: Request,
        acts: &mut Vec<Act>,
    ) {
        let (job, part) = owner.place();
        let Some((relay, epoch)) = doors.first_open(context.now) else {
            return self.not_begun(owner, Reason::Silent, acts);
        };
        let payload = match owner {
            Owner::Job(_) => request.payload.len(),
            // The batch holds it.
            Owner::Part { .. } => 0,
        };
        match Task::new(me, context, owner, relay, epoch, request) {
            Ok((id, task)) => {
                self.payload_bytes += payload;
                acts.push(Act::Want(task.escrow_want(id)));
                acts.push(Act::Event(Event::Begun {
                    job,
                    part,
                    task: id,
                    most_ucredits: task.most_ucredits,
                }));
                if let Owner::Job(job) = owner {
                    self.jobs.insert(job, id);
                }
                self.tasks.insert(id, task);
            }
            Err(_) => self.not_begun(owner, Reason::RequestInvalid, acts),
        }
    }

    fn not_begun(&mut self, owner: Owner, reason: Reason, acts: &mut Vec<Act>) {
        match owner {
            Owner::Job(job) => {
                acts.push(Act::Event(Event::Failed { job, part: None, reason, cost_ucredits: 0 }));
            }
            Owner::Part { job, part } => self.part_ended(job, part, Err((reason, 0)), acts),
        }
    }

    fn assigned(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        doors: &mut Doors,
        relay: &AccountId,
        assigned: &Assigned,
        acts: &mut Vec<Act>,
    ) {
        if let Err(error) = doors.check_draw(relay, assigned) {
            acts.push(Act::Event(Event::DrawDoubted { relay: *relay, task: assigned.task, detail: error }));
            let cancel = Cancel { task: assigned.task };
            acts.push(Act::Send(*relay, cancel.into()));
            return self.with(&assigned.task, |task| task.give_up(context.now, Reason::NotSealed));
        }
        let Some(task) = self.tasks.get_mut(&assigned.task) else { return };
        let epoch = doors.epoch(relay, context.now);
        task.assigned(me, context, epoch, assigned, acts);
    }

    fn settled(&mut self, now: Now, settled: &Settled, acts: &mut Vec<Act>) {
        let Some(task) = self.tasks.get_mut(&settled.task) else { return };
        if let Some(ending) = task.settled(now, settled) {
            self.end(settled.task, ending, acts);
        }
    }

    fn part(&mut self, part: &Part, acts: &mut Vec<Act>) {
        let (Flow::Result(number), Some(task)) = (part.flow, self.tasks.get_mut(&part.task)) else { return };
        if let Some(ending) = task.result_part(number, part) {
            self.end(part.task, ending, acts);
        }
    }

    fn refused(&mut self, now: Now, refused: &Refused, acts: &mut Vec<Act>) {
        let reason = Reason::from_code(refused.reason).unwrap_or(Reason::MessageUnexpected);
        let Some(task) = self.tasks.get_mut(&refused.about) else { return };
        if reason == Reason::Replayed {
            return task.accepted();
        }
        if reason.is_passing() {
            return task.again(now, u64::from(refused.retry_after_ms));
        }
        match (task.is_taken(), reason) {
            (false, _) => self.end(refused.about, Err((reason, 0)), acts),
            // What was refused is a key, a part or a cancel of a task that the relay took, and its decision is on the way;
            // unless the relay has never heard of it.
            (true, Reason::TaskUnknown) => task.give_up(now, reason),
            (true, _) => task.wait_longer(now),
        }
    }

    fn with(&mut self, task: &Id, change: impl FnOnce(&mut Task)) {
        if let Some(task) = self.tasks.get_mut(task) {
            change(task);
        }
    }

    /// A task's time is up, in whatever stage it is.
    fn overdue(&mut self, me: &Me, context: &mut Context<'_>, doors: &Doors, id: Id, acts: &mut Vec<Act>) {
        let now = context.now;
        let epoch = doors.any_epoch(now);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match task.stage {
            Stage::Again { .. } => task.submit(now, acts),
            Stage::Escrow { .. } => {
                acts.push(Act::Unwant(Purpose::Escrow(id)));
                self.end(id, Err((Reason::TimedOut, 0)), acts);
            }
            Stage::Accepted if task.is_to_resend(now) => task.resend(id, acts),
            Stage::Sent | Stage::Accepted => {
                acts.push(Act::Send(task.relay, Cancel { task: id }.into()));
                task.give_up(now, Reason::TimedOut);
            }
            Stage::GivenUp { reason, .. } => {
                let most = task.most_ucredits;
                self.end(id, Err((reason, most)), acts);
            }
            Stage::Delivering { .. } => {
                let cost = task.cost_ucredits();
                self.end(id, Err((Reason::NotDelivered, cost)), acts);
            }
            Stage::Lost { .. } => {
                let fate = task.fate(epoch);
                self.lost_overdue(me, context, doors, id, fate, acts);
            }
        }
    }

    /// What becomes of a task whose relay did not come back in time.
    fn lost_overdue(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        doors: &Doors,
        id: Id,
        fate: Fate,
        acts: &mut Vec<Act>,
    ) {
        let now = context.now;
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let (owner, moves, most) = (task.owner, task.moves + 1, task.most_ucredits);
        let elsewhere = doors.first_open(now).is_some_and(|(relay, _)| relay != task.relay);
        match fate {
            Fate::Unknown if elsewhere => {
                task.ask_fate(now);
                acts.push(Act::Hint(now.ms));
            }
            Fate::RanOut if elsewhere && moves <= MAX_MOVES => {
                let Some(request) = self.take(&id) else { return };
                self.begin(me, context, doors, owner, request, acts);
                self.tasks.values_mut().filter(|task| task.owner == owner).for_each(|t| t.moves = moves);
            }
            Fate::RanOut => self.end(id, Err((Reason::Silent, 0)), acts),
            Fate::Unknown | Fate::Decided => self.end(id, Err((Reason::Silent, most)), acts),
        }
    }

    fn take(&mut self, id: &Id) -> Option<Request> {
        let task = self.tasks.remove(id)?;
        if let Owner::Job(job) = task.owner {
            self.jobs.remove(&job);
            self.payload_bytes = self.payload_bytes.saturating_sub(task.request.payload.len());
        }
        Some(task.request)
    }

    fn end(&mut self, id: Id, ending: Ending, acts: &mut Vec<Act>) {
        let Some(owner) = self.tasks.get(&id).map(|task| task.owner) else { return };
        self.take(&id);
        acts.push(Act::Unwant(Purpose::Escrow(id)));
        match owner {
            Owner::Job(job) => acts.push(Act::Event(match ending {
                Ok(result) => Event::Result { job, result },
                Err((reason, cost_ucredits)) => Event::Failed { job, part: None, reason, cost_ucredits },
            })),
            Owner::Part { job, part } => self.part_ended(job, part, ending, acts),
        }
    }
}

impl Owner {
    fn place(self) -> (u64, Option<usize>) {
        match self {
            Owner::Job(job) => (job, None),
            Owner::Part { job, part } => (job, Some(part)),
        }
    }
}

/// Most jobs at once.
pub const MAX_JOBS: usize = 256;
/// Most parts of a batch.
pub const MAX_PARTS: usize = 1_024;
/// Most bytes of payloads at once.
pub const MAX_PAYLOAD_BYTES: usize = 256 << 20;
/// How often a task goes to another relay.
const MAX_MOVES: u32 = 2;

#[cfg(test)]
mod tests;
