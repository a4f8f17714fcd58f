//! The side of a task that does it.
//!
//! ```text
//! stakes (wallet) -> Offer -> Leased -> Keys, payload -> opened, and written down that it was -> Output::Run
//!   -> Input::Done -> Committed -> Open -> Revealed, sealed result -> Settled
//! ```
//! - A worker takes what its owner allows ([`Preferences`]) and at most so many tasks at once; the rest it hands back at once,
//!   with a reason. When its owner wants the machine back, it hands back what is not committed.
//! - An assignment is opened once: that it was is on the disk before anything runs, so that no crash has a task run twice
//!   under one key.
//! - A result is kept until its task is settled, or [`KEEP_MS`] have gone by.
//! - A lost connection loses nothing for two heartbeats. After that the relay has given the tasks to others.

mod claim;
mod guards;
mod job;
mod lease;
mod preferences;

use std::collections::BTreeMap;

use identity::{AccountId, Prekeys, seal::Delivery};
use ledger::{Holder, Id, op::Action, store::Batch};

use self::{
    claim::Post,
    job::{Job, Stage},
    lease::Lease,
};
pub use self::{
    claim::{CLAIM_EPOCHS, RENEW_EPOCHS, STAKE_EPOCHS, STAKE_LEFT_EPOCHS, STAKE_RENEW_EPOCHS},
    guards::{Guards, SHELF_MOST, SHELVES},
    job::PAYLOAD_MS,
    lease::MAX_JOBS,
    preferences::Preferences,
};
use crate::{
    edge::{Act, Doors, Event, Saving, saved},
    node::{Context, Now},
    reason::Reason,
    sealed::{TaskKey, assignment, expiry_epoch},
    session::edge::Me,
    wallet::{Purpose, Told},
    wire::{Flow, HandBack, Heartbeat, Keys, Message, Part, Refused, Settled},
};

/// What a worker remembers across runs.
#[derive(Debug)]
pub struct Kept {
    /// Its prekeys.
    pub prekeys: Prekeys,
    /// What it opened.
    pub guards: Guards,
    /// No claim had a larger number.
    pub claim_number: u64,
}

/// The tasks in the hands of one edge.
#[derive(Debug)]
pub struct Worker {
    preferences: Preferences,
    prekeys: Prekeys,
    guards: Guards,
    /// The current prekey is on the disk.
    prekey_stored: bool,
    number: u64,
    /// Numbers up to this one are on the disk as given out.
    reserved: u64,
    reserving: bool,
    posts: BTreeMap<AccountId, Post>,
    leases: BTreeMap<Id, Lease>,
    /// By the assignment's id.
    jobs: BTreeMap<Id, Job>,
    /// The assignment of each task.
    tasks: BTreeMap<Id, Id>,
    duty_permille: u16,
    paused: Option<Reason>,
    drains: bool,
    kept_bytes: usize,
    /// The prekeys were seen to in this epoch.
    seen_epoch: Option<u64>,
}

impl Worker {
    /// A worker with what it remembers.
    pub fn new(preferences: Preferences, kept: Kept) -> Self {
        Worker {
            preferences,
            prekeys: kept.prekeys,
            guards: kept.guards,
            prekey_stored: false,
            number: kept.claim_number,
            reserved: kept.claim_number,
            reserving: false,
            posts: BTreeMap::new(),
            leases: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            duty_permille: 1_000,
            paused: None,
            drains: false,
            kept_bytes: 0,
            seen_epoch: None,
        }
    }

    /// Assignments in its hands, those included that wait for their settlement.
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Assignments that take a slot.
    pub fn busy(&self) -> usize {
        self.jobs.values().filter(|job| job.takes_slot()).count()
    }

    /// The prekey to show, once it is on the disk.
    pub(crate) fn prekey(&self) -> Option<Vec<u8>> {
        let current = self.prekeys.current().filter(|_| self.prekey_stored);
        current.map(|prekey| prekey.encode().to_vec())
    }

    /// The machine is lent by so much, or not at all.
    pub(crate) fn load(&mut self, duty_permille: u16, paused: Option<Reason>, acts: &mut Vec<Act>) {
        self.duty_permille = duty_permille.min(1_000);
        let pauses = paused.is_some() && self.paused.is_none();
        self.paused = paused;
        if pauses {
            self.hand_back_open(Reason::Busy, acts);
        }
    }

    /// No further task is taken, and what has not begun goes back.
    pub(crate) fn drain(&mut self, acts: &mut Vec<Act>) {
        self.drains = true;
        let waiting: Vec<Id> =
            self.jobs.iter().filter(|(_, job)| job.is_waiting()).map(|(id, _)| *id).collect();
        self.hand_back(&waiting, Reason::Draining, acts);
    }

    /// A relay is there: what it may not have heard is said again.
    pub(crate) fn connected(&mut self, relay: &AccountId) {
        self.posts.entry(*relay).or_default().forget_claim();
        for job in self.jobs.values_mut().filter(|job| job.relay == *relay) {
            job.resume();
        }
        for lease in self.leases.values_mut().filter(|lease| lease.relay == *relay) {
            (lease.lost_ms, lease.beat_ms) = (None, 0);
        }
    }

    /// A relay is gone. Its leases stand for two heartbeats.
    pub(crate) fn closed(&mut self, now: Now, relay: &AccountId) {
        for lease in self.leases.values_mut().filter(|lease| lease.relay == *relay) {
            lease.lost_ms = Some(now.ms + 2 * lease.heartbeat_ms);
        }
    }

    /// The wallet tells of a stake.
    pub(crate) fn told(&mut self, now: Now, told: &Told, acts: &mut Vec<Act>) {
        let Purpose::Stake(relay) = told.purpose else { return };
        let post = self.posts.entry(relay).or_default();
        match &told.outcome {
            Ok(done) => {
                debug_assert!(matches!(done.action, Action::Lock(_)));
                post.staked();
            }
            Err((reason, detail)) => {
                post.not_staked(now);
                let detail = detail.clone();
                acts.push(Act::Event(Event::StakeRefused { relay, reason: *reason, detail }));
            }
        }
    }

    /// A message of a relay; `false` if it is none for a worker.
    pub(crate) fn heard(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        relay: &AccountId,
        message: &Message,
        acts: &mut Vec<Act>,
    ) -> bool {
        match message {
            Message::Leased(leased) => self.leased(me, context.now, relay, leased, acts),
            Message::Keys(keys) => self.keys(me, context, relay, keys, acts),
            Message::Part(Part { task, flow: Flow::Payload, .. }) if self.holds(relay, task) => {
                if let Message::Part(part) = message {
                    self.part(me, context, part, acts);
                }
            }
            Message::Open(open) => self.open(me, relay, &open.tasks, acts),
            Message::Settled(settled) if self.holds(relay, &settled.task) => self.settled(settled, acts),
            Message::Refused(refused) => return self.refused(context.now, relay, refused, acts),
            _ => return false,
        }
        true
    }

    /// The shell has a result, or could not get one.
    pub(crate) fn done(
        &mut self,
        context: &mut Context<'_>,
        id: &Id,
        result: Result<Vec<u8>, Reason>,
        acts: &mut Vec<Act>,
    ) {
        let Some(job) = self.jobs.get_mut(id).filter(|job| matches!(job.stage, Stage::Running { .. })) else {
            return;
        };
        let finished = result.and_then(|bytes| job.finish(context, &bytes));
        match finished {
            Ok(bytes) => self.kept_bytes += bytes,
            Err(reason) => self.hand_back(&[*id], reason, acts),
        }
        self.shed(acts);
    }

    /// That an assignment was opened is on the disk, or may not be.
    pub(crate) fn opening_stored(&mut self, id: &Id, stored: bool, acts: &mut Vec<Act>) {
        if !stored {
            return self.hand_back(&[*id], Reason::NotStored, acts);
        }
        if let Some(job) = self.jobs.get_mut(id) {
            acts.extend(job.run(*id));
        }
    }

    /// The prekeys are on the disk: they may be shown.
    pub(crate) fn prekeys_stored(&mut self, stored: bool) {
        self.prekey_stored |= stored;
        if stored {
            self.posts.values_mut().for_each(Post::forget_claim);
        } else {
            self.seen_epoch = None;
        }
    }

    /// Claim numbers up to this one are reserved.
    pub(crate) fn numbers_stored(&mut self, up_to: u64, stored: bool) {
        self.reserving = false;
        if stored {
            self.reserved = self.reserved.max(up_to);
        }
    }

    /// Does what is due.
    pub(crate) fn drive(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        doors: &Doors,
        holder: Option<&Holder>,
        acts: &mut Vec<Act>,
    ) {
        self.keep_prekeys(me, context, acts);
        self.keep_claims(me, context.now, doors, holder, acts);
        self.commit_finished(me, acts);
        self.keep_leases(context.now, acts);
    }

    /// When something is due.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        let jobs = self.jobs.values().map(|job| job.until_ms);
        let leases = self.leases.values().map(|lease| lease.lost_ms.unwrap_or(lease.beat_ms));
        let posts = self.posts.values().map(|post| post.due_ms);
        jobs.chain(leases).chain(posts).min()
    }

    fn holds(&self, relay: &AccountId, task: &Id) -> bool {
        let job = self.tasks.get(task).and_then(|id| self.jobs.get(id));
        job.is_some_and(|job| job.relay == *relay)
    }

    /// A prekey is made when one is due, stored, and only then shown.
    fn keep_prekeys(&mut self, me: &Me, context: &mut Context<'_>, acts: &mut Vec<Act>) {
        if self.seen_epoch == Some(context.now.epoch) {
            return;
        }
        let first = self.seen_epoch.is_none();
        self.seen_epoch = Some(context.now.epoch);
        let made = self.prekeys.rotate(&me.key, context.now.epoch, context.random).is_some();
        if made || first {
            self.prekey_stored &= !made;
            let mut batch = Batch::new();
            saved::put_prekeys(&mut batch, &me.key, &self.prekeys, context.random);
            acts.push(Act::Save(batch, Saving::Prekeys));
        }
    }

    fn keys(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        relay: &AccountId,
        keys: &Keys,
        acts: &mut Vec<Act>,
    ) {
        if !self.holds(relay, &keys.task) {
            return;
        }
        let Some(id) = self.tasks.get(&keys.task).copied() else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let number = job.number;
        if let Some(key) = keys.keys.iter().find(|key| key.number == number) {
            job.take_key(&key.key);
            self.try_open(me, context, &id, acts);
        }
    }

    fn part(&mut self, me: &Me, context: &mut Context<'_>, part: &Part, acts: &mut Vec<Act>) {
        let Some(id) = self.tasks.get(&part.task).copied() else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match job.take_part(part) {
            Ok(()) => self.try_open(me, context, &id, acts),
            Err(reason) => self.hand_back(&[id], reason, acts),
        }
    }

    /// Opens what is complete, and has it written down before it runs.
    fn try_open(&mut self, me: &Me, context: &mut Context<'_>, id: &Id, acts: &mut Vec<Act>) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let (key, payload) = match job.delivered() {
            None => return,
            Some(Ok(delivered)) => delivered,
            Some(Err(reason)) => return self.hand_back(&[*id], reason, acts),
        };
        let envelope = &job.envelope;
        let delivery = Delivery {
            assignment: &assignment(&me.network, &job.task, envelope, job.number, &me.key.account()),
            commit: &identity::PayloadCommit(envelope.payload_commit),
            expiry_epoch: expiry_epoch(envelope),
            key: &key,
            payload: &payload,
        };
        match self.guards.open(&mut self.prekeys, &job.task, &delivery, context.now.epoch) {
            Ok(opened) => {
                let task_key = TaskKey::of(opened.salt(), &job.task);
                job.opened(context.now, opened.plain().to_vec(), task_key, opened.result_key());
                let mut batch = Batch::new();
                self.guards.put(&mut batch, &me.key.account(), &job.task);
                acts.push(Act::Save(batch, Saving::Opening(*id)));
            }
            Err(_) => self.hand_back(&[*id], Reason::PayloadUnreadable, acts),
        }
    }

    fn settled(&mut self, settled: &Settled, acts: &mut Vec<Act>) {
        let Some(id) = self.tasks.get(&settled.task).copied() else { return };
        let Some(job) = self.drop_job(&id, acts) else { return };
        let reason = Reason::from_code(settled.reason).unwrap_or(Reason::Inconclusive);
        let accepted = settled.agreed.contains(&job.number);
        let price_ucredits = if accepted { job.envelope.price_ucredits } else { 0 };
        acts.push(Act::Event(Event::Worked { assignment: id, task: settled.task, reason, price_ucredits }));
    }

    fn refused(&mut self, now: Now, relay: &AccountId, refused: &Refused, acts: &mut Vec<Act>) -> bool {
        let reason = Reason::from_code(refused.reason).unwrap_or(Reason::MessageUnexpected);
        if self.holds(relay, &refused.about) {
            if let Some(id) = self.tasks.get(&refused.about).copied() {
                self.drop_job(&id, acts);
            }
            return true;
        }
        if let Some(lease) = self.leases.get(&refused.about).filter(|lease| lease.relay == *relay) {
            for id in lease.jobs.clone() {
                self.drop_job(&id, acts);
            }
            return true;
        }
        let post = self.posts.entry(*relay).or_default();
        if !post.is_claim(&refused.about) {
            return false;
        }
        post.refused(now, u64::from(refused.retry_after_ms));
        // A stake may be gone that the wallet has not heard of.
        acts.push(Act::Hint(now.ms));
        acts.push(Act::Event(Event::ClaimRefused { relay: *relay, reason, detail: refused.detail.clone() }));
        true
    }

    /// Heartbeats, and what took too long.
    fn keep_leases(&mut self, now: Now, acts: &mut Vec<Act>) {
        let late: Vec<(Id, Reason)> = self
            .jobs
            .iter()
            .filter(|(_, job)| now.ms >= job.until_ms)
            .map(|(id, job)| (*id, job.late()))
            .collect();
        for (id, reason) in late {
            match self.jobs.get(&id).is_some_and(Job::is_open) {
                true => self.hand_back(&[id], reason, acts),
                false => drop(self.drop_job(&id, acts)),
            }
        }
        let gone: Vec<Id> = self
            .leases
            .values()
            .filter(|lease| lease.lost_ms.is_some_and(|lost_ms| now.ms >= lost_ms))
            .flat_map(|lease| lease.jobs.clone())
            .collect();
        for id in gone {
            self.drop_job(&id, acts);
        }
        for (id, lease) in &mut self.leases {
            let open = lease.jobs.iter().filter_map(|job| self.jobs.get(job)).filter(|job| job.is_open());
            let open = open.count() as u16;
            if now.ms < lease.beat_ms || lease.lost_ms.is_some() {
                continue;
            }
            lease.beat_ms = now.ms + lease.heartbeat_ms;
            if open > 0 {
                let beat = Heartbeat { lease: *id, open, duty_permille: self.duty_permille };
                acts.push(Act::Send(lease.relay, beat.into()));
            }
        }
    }

    fn hand_back_open(&mut self, reason: Reason, acts: &mut Vec<Act>) {
        let open: Vec<Id> = self.jobs.iter().filter(|(_, job)| job.is_open()).map(|(id, _)| *id).collect();
        self.hand_back(&open, reason, acts);
    }

    /// Gives assignments back, and stops them.
    fn hand_back(&mut self, ids: &[Id], reason: Reason, acts: &mut Vec<Act>) {
        let mut by_lease: BTreeMap<Id, (AccountId, Vec<Id>)> = BTreeMap::new();
        for id in ids {
            let Some(job) = self.drop_job(id, acts) else { continue };
            by_lease.entry(job.lease).or_insert((job.relay, Vec::new())).1.push(job.task);
            acts.push(Act::Event(Event::HandedBack { assignment: *id, task: job.task, reason }));
        }
        for (lease, (relay, tasks)) in by_lease {
            acts.push(Act::Send(relay, HandBack { lease, tasks, reason: reason as u16 }.into()));
        }
    }

    fn drop_job(&mut self, id: &Id, acts: &mut Vec<Act>) -> Option<Job> {
        let job = self.jobs.remove(id)?;
        self.tasks.remove(&job.task);
        self.kept_bytes = self.kept_bytes.saturating_sub(job.kept_bytes());
        if matches!(job.stage, Stage::Running { .. }) {
            acts.push(Act::Abort(*id));
        }
        if let Some(lease) = self.leases.get_mut(&job.lease) {
            lease.jobs.remove(id);
            if lease.jobs.is_empty() {
                self.leases.remove(&job.lease);
            }
        }
        Some(job)
    }

    /// Results that nobody asks for go when there are too many, the oldest first.
    fn shed(&mut self, acts: &mut Vec<Act>) {
        while self.kept_bytes > MAX_KEPT_BYTES {
            let kept = self.jobs.iter().filter(|(_, job)| job.kept_bytes() > 0);
            let Some(oldest) = kept.min_by_key(|(_, job)| job.until_ms).map(|(id, _)| *id) else { return };
            self.drop_job(&oldest, acts);
        }
    }
}

/// A result is kept so long after its commit.
pub const KEEP_MS: u64 = 900_000;
/// Most bytes of results that are kept.
pub const MAX_KEPT_BYTES: usize = 128 << 20;

#[cfg(test)]
mod tests;
