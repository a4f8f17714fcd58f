//! Leases: whether they are in order, and what answers them.

use std::collections::{BTreeMap, BTreeSet};

use identity::AccountId;
use ledger::Id;

use super::{Worker, job::Job};
use crate::{
    edge::{Act, Event},
    node::Now,
    reason::Reason,
    session::edge::Me,
    wire::{self, CommitBatch, Envelope, HandBack, LeasedTask, RevealBatch, Signed, assignment_id},
};

/// A lease, as long as assignments of it are here.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) relay: AccountId,
    pub(super) jobs: BTreeSet<Id>,
    pub(super) heartbeat_ms: u64,
    /// The next heartbeat.
    pub(super) beat_ms: u64,
    /// The connection is gone, and the relay waits until then.
    pub(super) lost_ms: Option<u64>,
}

impl Worker {
    /// A relay leases tasks out. What is not wanted goes back at once.
    pub(super) fn leased(
        &mut self,
        me: &Me,
        now: Now,
        relay: &AccountId,
        leased: &wire::Leased,
        acts: &mut Vec<Act>,
    ) {
        let value = &leased.lease.value;
        let beats = (LEAST_HEARTBEAT_MS..=MOST_HEARTBEAT_MS).contains(&value.heartbeat_ms);
        let whole = !value.tasks.is_empty() && value.tasks.len() == leased.envelopes.len();
        let mine = value.relay == *relay && value.worker == me.key.account();
        let checked = leased.lease.check(&me.network).ok().filter(|_| beats && whole && mine);
        let Some(lease) = checked else {
            acts.push(Act::Event(Event::LeaseRefused { relay: *relay }));
            return;
        };
        let heartbeat_ms = u64::from(value.heartbeat_ms);
        let (mut back, mut taken): (BTreeMap<Reason, Vec<Id>>, BTreeSet<Id>) = Default::default();
        for (task, envelope) in value.tasks.iter().zip(&leased.envelopes) {
            let id = assignment_id(&task.task, task.number);
            if self.jobs.contains_key(&id) {
                continue;
            }
            match self.check_leased(me, now, relay, task, envelope) {
                Ok(()) => {
                    let envelope = envelope.value.clone();
                    self.jobs.insert(id, Job::new(*relay, lease, task, envelope, now));
                    self.tasks.insert(task.task, id);
                    taken.insert(id);
                }
                Err(reason) => back.entry(reason).or_default().push(task.task),
            }
        }
        for (reason, tasks) in back {
            acts.push(Act::Send(*relay, HandBack { lease, tasks, reason: reason as u16 }.into()));
        }
        if !taken.is_empty() {
            let beat_ms = now.ms + heartbeat_ms;
            let fresh = Lease { relay: *relay, jobs: BTreeSet::new(), heartbeat_ms, beat_ms, lost_ms: None };
            self.leases.entry(lease).or_insert(fresh).jobs.extend(taken);
        }
    }

    fn check_leased(
        &self,
        me: &Me,
        now: Now,
        relay: &AccountId,
        task: &LeasedTask,
        envelope: &Signed<Envelope>,
    ) -> Result<(), Reason> {
        if self.drains {
            return Err(Reason::Draining);
        }
        if self.paused.is_some() || self.busy() >= usize::from(self.preferences.slots) {
            return Err(Reason::Busy);
        }
        // Another assignment of the same task would be a second vote of one worker.
        if self.tasks.contains_key(&task.task) || self.jobs.len() >= MAX_JOBS {
            return Err(Reason::HandedBack);
        }
        if task.commit_ms == 0 || crate::sealed::expiry_epoch(&envelope.value) < now.epoch {
            return Err(Reason::EnvelopeStale);
        }
        if !self.posts.get(relay).is_some_and(|post| post.answers_with(&task.stake)) {
            return Err(Reason::StakeMissing);
        }
        self.preferences.check(&envelope.value, &me.key.account())?;
        match envelope.check(&me.network) {
            Ok(id) if id == task.task => Ok(()),
            _ => Err(Reason::EnvelopeUnsigned),
        }
    }

    /// Binds the worker to what was finished since, one batch a lease.
    pub(super) fn commit_finished(&mut self, me: &Me, acts: &mut Vec<Act>) {
        let mut batches: BTreeMap<Id, (AccountId, CommitBatch)> = BTreeMap::new();
        let worker = me.key.account();
        for (id, job) in &mut self.jobs {
            let Some(commit) = job.commit(id, &worker) else { continue };
            let empty = || (job.relay, CommitBatch { worker, lease: job.lease, commits: Vec::new() });
            batches.entry(job.lease).or_insert_with(empty).1.commits.push(commit);
        }
        for (relay, batch) in batches.into_values() {
            let batch = Signed::sign(batch, &me.network, &me.key);
            acts.push(Act::Send(relay, wire::Committed { batch }.into()));
        }
    }

    /// Shows what was committed to, and sends the sealed results.
    pub(super) fn open(&mut self, me: &Me, relay: &AccountId, tasks: &[Id], acts: &mut Vec<Act>) {
        let mut batches: BTreeMap<Id, RevealBatch> = BTreeMap::new();
        let mut parts = Vec::new();
        for task in tasks {
            let Some(job) = self.tasks.get(task).and_then(|id| self.jobs.get_mut(id)) else { continue };
            let Some(reveal) = Some(&mut *job).filter(|job| job.relay == *relay).and_then(|j| j.reveal())
            else {
                continue;
            };
            let empty = RevealBatch { worker: me.key.account(), lease: job.lease, reveals: Vec::new() };
            batches.entry(job.lease).or_insert(empty).reveals.push(reveal);
            parts.extend(job.result_parts());
        }
        for batch in batches.into_values() {
            let batch = Signed::sign(batch, &me.network, &me.key);
            acts.push(Act::Send(*relay, wire::Revealed { batch }.into()));
        }
        acts.extend(parts.into_iter().map(|part| Act::Send(*relay, part.into())));
    }
}

/// Heartbeats that a worker takes part in.
const LEAST_HEARTBEAT_MS: u32 = 100;
const MOST_HEARTBEAT_MS: u32 = 60_000;
/// Most assignments in a worker's hands, settled or not.
pub const MAX_JOBS: usize = 4_096;
