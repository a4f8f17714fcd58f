//! A job of parts.

use super::{Ending, Owner, Request, Submitter, TaskResult};
use crate::{
    edge::{Act, Doors, Event},
    node::{Context, Now},
    reason::Reason,
    session::edge::Me,
    wire::Cancel,
};

/// Parts, and what came of them.
#[derive(Debug)]
pub(super) struct Batch {
    parts: Vec<Part>,
    /// The first part that has not begun.
    next: usize,
    /// Parts to begin again.
    again: Vec<usize>,
    open: usize,
    payload_bytes: usize,
    cost_ucredits: u64,
    /// Why it failed: the part, if one is to blame.
    pub(super) failed: Option<(Option<usize>, Reason)>,
}

#[derive(Debug)]
struct Part {
    request: Request,
    result: Option<TaskResult>,
    retried: bool,
}

impl Batch {
    pub(super) fn new(requests: Vec<Request>, payload_bytes: usize) -> Self {
        let part = |request| Part { request, result: None, retried: false };
        Batch {
            parts: requests.into_iter().map(part).collect(),
            next: 0,
            again: Vec::new(),
            open: 0,
            payload_bytes,
            cost_ucredits: 0,
            failed: None,
        }
    }

    fn take_next(&mut self) -> Option<(usize, Request)> {
        if self.failed.is_some() || self.open >= PARTS_AT_ONCE {
            return None;
        }
        let part = self.again.pop().or_else(|| {
            let part = self.next;
            self.next = (part + 1).min(self.parts.len());
            (part < self.parts.len()).then_some(part)
        })?;
        self.open += 1;
        Some((part, self.parts[part].request.clone()))
    }

    /// A part is over. A first failure that cost nothing is tried again.
    fn ended(&mut self, part: usize, ending: Ending) {
        self.open = self.open.saturating_sub(1);
        match ending {
            Ok(result) => {
                self.cost_ucredits = self.cost_ucredits.saturating_add(result.cost_ucredits);
                self.parts[part].result = Some(result);
            }
            Err((reason, cost_ucredits)) => {
                self.cost_ucredits = self.cost_ucredits.saturating_add(cost_ucredits);
                let again = cost_ucredits == 0 && !self.parts[part].retried && is_worth_it(reason);
                if again && self.failed.is_none() {
                    self.parts[part].retried = true;
                    self.again.push(part);
                } else {
                    self.failed.get_or_insert((Some(part), reason));
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        let all = self.parts.iter().all(|part| part.result.is_some());
        self.open == 0 && (all || self.failed.is_some())
    }
}

impl Submitter {
    /// Begins parts while there is room for more.
    pub(super) fn feed(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        doors: &Doors,
        job: u64,
        acts: &mut Vec<Act>,
    ) {
        while let Some((part, request)) = self.batches.get_mut(&job).and_then(Batch::take_next) {
            self.begin(me, context, doors, Owner::Part { job, part }, request, acts);
        }
    }

    pub(super) fn part_ended(&mut self, job: u64, part: usize, ending: Ending, acts: &mut Vec<Act>) {
        let Some(batch) = self.batches.get_mut(&job) else { return };
        let failed_before = batch.failed.is_some();
        batch.ended(part, ending);
        if batch.failed.is_some() && !failed_before {
            acts.push(Act::CancelRest(job));
        }
        self.finish_batch(job, acts);
    }

    /// Gives up the tasks of a job.
    pub(crate) fn cancel_tasks(&mut self, now: Now, job: u64, acts: &mut Vec<Act>) {
        let of_job = |owner: Owner| owner.place().0 == job;
        let ids: Vec<_> = self.tasks.iter().filter(|(_, t)| of_job(t.owner)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if task.is_at_relay() {
                acts.push(Act::Send(task.relay, Cancel { task: id }.into()));
                task.give_up(now, Reason::Cancelled);
            } else {
                self.end(id, Err((Reason::Cancelled, 0)), acts);
            }
        }
    }

    /// Tells of a batch that is over.
    pub(super) fn finish_batch(&mut self, job: u64, acts: &mut Vec<Act>) {
        if !self.batches.get(&job).is_some_and(Batch::is_over) {
            return;
        }
        let Some(batch) = self.batches.remove(&job) else { return };
        self.payload_bytes = self.payload_bytes.saturating_sub(batch.payload_bytes);
        let cost_ucredits = batch.cost_ucredits;
        acts.push(Act::Event(match batch.failed {
            Some((part, reason)) => Event::Failed { job, part, reason, cost_ucredits },
            None => {
                let parts = batch.parts.into_iter().filter_map(|part| part.result).collect();
                Event::BatchResult { job, parts, cost_ucredits }
            }
        }));
    }
}

/// Whether another try may end otherwise.
fn is_worth_it(reason: Reason) -> bool {
    reason.is_passing()
        || matches!(
            reason,
            Reason::NobodyCapable
                | Reason::Expired
                | Reason::Inconclusive
                | Reason::TimedOut
                | Reason::HeartbeatMissed
                | Reason::NotSealed
        )
}

/// Parts of one batch that are under way at once.
pub const PARTS_AT_ONCE: usize = 32;
