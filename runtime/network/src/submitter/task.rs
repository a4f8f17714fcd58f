//! One task on its way.

use std::collections::BTreeMap;

use identity::{AccountId, Payload, ResultKey, SealError, SignedPrekey};
use ledger::{
    Holder, Id,
    op::{LockKind, Policy},
};

use super::{
    Ending, Owner, Request, TaskResult,
    result::{Gather, parts},
};
use crate::{
    edge::{Act, Event},
    node::{Context, Now},
    reason::Reason,
    sealed::{self, Parcel, TaskKey, open_result, result_bytes},
    session::edge::Me,
    terms::{escrow_until_epoch, most_replicas, priority_halves},
    verify::unit::Tag,
    wallet::{Purpose, Want, Wanted},
    wire::{Assigned, Assignee, Envelope, Flow, Keys, Part, Settled, Signable, Signed, Submit, WrappedFor},
};

/// A task between its request and its end.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) owner: Owner,
    pub(super) relay: AccountId,
    pub(super) request: Request,
    pub(super) most_ucredits: u64,
    pub(super) stage: Stage,
    /// The lock, once it is certified.
    pub(super) escrow: Option<Id>,
    /// How often it went to another relay.
    pub(super) moves: u32,
    envelope: Signed<Envelope>,
    payload: Payload,
    parcel: Option<Parcel>,
    /// The sealed payload went out on this connection.
    payload_sent: bool,
    /// What went out may not have been heard: it goes out again.
    resend_ms: Option<u64>,
    escrow_until_epoch: u64,
    /// What the account showed of the lock.
    lock: Seen,
    /// By assignment.
    keys: BTreeMap<u32, Handed>,
    settled: Option<Settled>,
    gathered: BTreeMap<u32, Gather>,
    /// The relay has so long.
    until_ms: u64,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The wallet locks its price.
    Escrow { until_ms: u64 },
    /// To be sent again.
    Again { at_ms: u64 },
    /// The relay has not answered.
    Sent,
    /// The relay has it.
    Accepted,
    /// A cancel went out.
    GivenUp { reason: Reason, until_ms: u64 },
    /// It is settled, and its result is on the way.
    Delivering { until_ms: u64 },
    /// The relay is gone.
    Lost { check_ms: u64 },
}

/// What became of the escrow of a lost task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may be decided yet.
    Unknown,
    /// It ran out: nobody was paid.
    RanOut,
    /// It was decided, or nobody can tell any more.
    Decided,
}

/// What an account shows of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing yet.
    Never,
    /// It is there.
    Open,
    /// It ran out undecided.
    RanOut,
    /// It was there, and is not.
    Gone,
}

/// What a worker was given.
struct Handed {
    worker: AccountId,
    wrapped: Vec<u8>,
    result_key: ResultKey,
}

impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handed(to {})", self.worker)
    }
}

impl Task {
    /// Makes the envelope. The relay's epoch is what it goes by.
    pub(super) fn new(
        me: &Me,
        context: &mut Context<'_>,
        owner: Owner,
        relay: AccountId,
        epoch: u64,
        request: Request,
    ) -> Result<(Id, Task), SealError> {
        let too_long = SealError::TooLong { found: request.payload.len() };
        let quote = request.quote().map_err(|_| too_long)?;
        let payload = Payload::new(&request.payload, context.random)?;
        let mut nonce = [0; 8];
        (context.random)(&mut nonce);
        let envelope = Envelope {
            submitter: me.key.account(),
            nonce: u64::from_le_bytes(nonce),
            kind: request.kind,
            model: request.model.unwrap_or(Id::ZERO),
            numerics: request.numerics,
            payload_commit: payload.commit().0,
            payload_bytes: quote.payload_bytes,
            max_result_bytes: result_bytes(request.max_result_bytes as usize).ok_or(too_long)?,
            price_ucredits: request.price_ucredits,
            verify: request.verify,
            assurance: request.assurance,
            priority: request.priority,
            tier: request.tier,
            group: request.group,
            epoch,
            ttl_ms: request.ttl_ms,
            timeout_ms: request.timeout_ms,
        };
        let id = envelope.id(&me.network);
        let until_epoch = escrow_until_epoch(&envelope, epoch) + WAITS_EPOCHS;
        let task = Task {
            owner,
            relay,
            most_ucredits: quote.most_ucredits,
            stage: Stage::Escrow { until_ms: context.now.ms + ESCROW_MS },
            escrow: None,
            moves: 0,
            envelope: Signed::sign(envelope, &me.network, &me.key),
            payload,
            parcel: None,
            payload_sent: false,
            resend_ms: None,
            escrow_until_epoch: until_epoch,
            lock: Seen::Never,
            keys: BTreeMap::new(),
            settled: None,
            gathered: BTreeMap::new(),
            until_ms: 0,
            request,
        };
        Ok((id, task))
    }

    /// What the wallet is to lock.
    pub(super) fn escrow_want(&self, id: Id) -> Want {
        let policy = Policy {
            authority: self.relay,
            redundancy: most_replicas(self.request.verify),
            priority_halves: priority_halves(self.request.priority),
        };
        let wanted = Wanted::Hold {
            kind: LockKind::TaskEscrow,
            task: id,
            amount_ucredits: self.most_ucredits,
            policy,
            until_epoch: self.escrow_until_epoch,
        };
        Want { purpose: Purpose::Escrow(id), wanted }
    }

    /// When something is due.
    pub(super) fn due_ms(&self) -> u64 {
        match self.stage {
            Stage::Again { at_ms } => at_ms.min(self.until_ms),
            Stage::Sent => self.until_ms,
            Stage::Accepted => self.resend_ms.map_or(self.until_ms, |at_ms| at_ms.min(self.until_ms)),
            Stage::Escrow { until_ms } | Stage::GivenUp { until_ms, .. } | Stage::Delivering { until_ms } => {
                until_ms
            }
            Stage::Lost { check_ms } => check_ms,
        }
    }

    /// Whether a relay may be working on it.
    pub(super) fn is_at_relay(&self) -> bool {
        self.escrow.is_some() && !matches!(self.stage, Stage::Lost { .. })
    }

    /// Sends it, or sends it again.
    pub(super) fn submit(&mut self, now: Now, acts: &mut Vec<Act>) {
        let (Some(escrow), false) = (self.escrow, self.is_over()) else { return };
        let life_ms = u64::from(self.request.ttl_ms) + u64::from(self.request.timeout_ms) + MARGIN_MS;
        if self.until_ms == 0 {
            self.until_ms = now.ms + life_ms;
        }
        if matches!(self.stage, Stage::Again { .. }) && now.ms >= self.until_ms {
            self.stage = Stage::GivenUp { reason: Reason::TimedOut, until_ms: now.ms };
            return;
        }
        if !matches!(self.stage, Stage::GivenUp { .. }) {
            self.stage = Stage::Sent;
        }
        let submit = Submit { envelope: self.envelope.clone(), escrow, avoid: Vec::new() };
        acts.push(Act::Send(self.relay, submit.into()));
    }

    /// The relay has it.
    pub(super) fn accepted(&mut self) {
        if matches!(self.stage, Stage::Sent | Stage::Again { .. }) {
            self.stage = Stage::Accepted;
        }
    }

    /// The relay could not take it at this moment.
    pub(super) fn again(&mut self, now: Now, after_ms: u64) {
        if matches!(self.stage, Stage::Sent) {
            self.stage = Stage::Again { at_ms: now.ms + after_ms.max(AGAIN_MS) };
        }
    }

    /// The relay refused something of this connection, unread: it may have been of this task.
    pub(super) fn slowed(&mut self, now: Now, after_ms: u64) {
        let at_ms = now.ms + after_ms.max(AGAIN_MS);
        match self.stage {
            Stage::Sent => self.stage = Stage::Again { at_ms },
            Stage::Accepted if !self.keys.is_empty() => self.resend_ms = Some(at_ms),
            _ => {}
        }
    }

    /// Whether keys and payload are to go out again.
    pub(super) fn is_to_resend(&self, now: Now) -> bool {
        self.resend_ms.is_some_and(|at_ms| at_ms <= now.ms)
    }

    /// Keys and payload once more: what the relay has already changes nothing.
    pub(super) fn resend(&mut self, id: Id, acts: &mut Vec<Act>) {
        self.resend_ms = None;
        let keys = self
            .keys
            .iter()
            .map(|(number, handed)| WrappedFor { number: *number, key: handed.wrapped.clone() });
        acts.push(Act::Send(self.relay, Keys { task: id, keys: keys.collect() }.into()));
        if let Some(parcel) = &self.parcel {
            let sent = parts(id, Flow::Payload, parcel.bytes());
            acts.extend(sent.map(|part| Act::Send(self.relay, part.into())));
        }
    }

    /// A cancel went out: its settlement is waited for a little.
    pub(super) fn give_up(&mut self, now: Now, reason: Reason) {
        if !self.is_over() && !matches!(self.stage, Stage::GivenUp { .. }) {
            self.stage = Stage::GivenUp { reason, until_ms: now.ms + CANCEL_MS };
        }
    }

    /// Whether the relay said that it has it.
    pub(super) fn is_taken(&self) -> bool {
        match self.stage {
            Stage::Escrow { .. } | Stage::Again { .. } | Stage::Sent => false,
            Stage::Accepted | Stage::GivenUp { .. } | Stage::Delivering { .. } | Stage::Lost { .. } => true,
        }
    }

    /// The relay does not stop what is nearly done: its settlement is on the way.
    pub(super) fn wait_longer(&mut self, now: Now) {
        if let Stage::GivenUp { until_ms, .. } = &mut self.stage {
            *until_ms = now.ms + RESULT_MS;
        }
    }

    /// Its relay is gone.
    pub(super) fn lost(&mut self, now: Now) {
        self.payload_sent = false;
        if self.escrow.is_some() {
            self.stage = Stage::Lost { check_ms: self.until_ms.max(now.ms) };
        }
    }

    /// Looks for the lock in the account as it stands. That it ran out is remembered: the wallet takes it back soon after.
    pub(super) fn see(&mut self, holder: &Holder) {
        let Some(escrow) = self.escrow else { return };
        self.lock = match (holder.account().locks.get(&escrow), self.lock) {
            (Some(lock), _) if lock.ran_out => Seen::RanOut,
            (Some(_), _) => Seen::Open,
            (None, Seen::Open) => Seen::Gone,
            (None, before) => before,
        };
    }

    /// What became of the escrow, as the account showed.
    pub(super) fn fate(&self, epoch: u64) -> Fate {
        match self.lock {
            Seen::RanOut => Fate::RanOut,
            Seen::Gone => Fate::Decided,
            _ if epoch > self.escrow_until_epoch + FORGET_EPOCHS => Fate::Decided,
            Seen::Never | Seen::Open => Fate::Unknown,
        }
    }

    /// The escrow's fate is to be looked at again.
    pub(super) fn ask_fate(&mut self, now: Now) {
        self.stage = Stage::Lost { check_ms: now.ms + FATE_MS };
    }

    /// Workers were drawn: each gets the key, and the payload goes out once.
    pub(super) fn assigned(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        epoch: u64,
        assigned: &Assigned,
        acts: &mut Vec<Act>,
    ) {
        if matches!(self.stage, Stage::GivenUp { .. }) || self.is_over() {
            return;
        }
        self.stage = Stage::Accepted;
        let round_ms = u64::from(self.request.timeout_ms) + MARGIN_MS;
        self.until_ms = self.until_ms.max(context.now.ms + round_ms);
        let mut keys = Vec::new();
        for worker in &assigned.workers {
            match self.hand_to(me, context, epoch, &assigned.task, worker) {
                Ok(key) => keys.push(WrappedFor { number: worker.number, key }),
                Err(error) => acts.push(Act::Event(Event::PrekeyRefused {
                    task: assigned.task,
                    worker: worker.worker,
                    detail: error.to_string(),
                })),
            }
        }
        if keys.is_empty() {
            return;
        }
        acts.push(Act::Send(self.relay, Keys { task: assigned.task, keys }.into()));
        if let (false, Some(parcel)) = (self.payload_sent, &self.parcel) {
            let sent = parts(assigned.task, Flow::Payload, parcel.bytes());
            acts.extend(sent.map(|part| Act::Send(self.relay, part.into())));
            self.payload_sent = true;
        }
    }

    /// A worker's key, the same again if it was handed out before.
    fn hand_to(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        epoch: u64,
        id: &Id,
        to: &Assignee,
    ) -> Result<Vec<u8>, SealError> {
        if let Some(handed) = self.keys.get(&to.number) {
            let same = handed.worker == to.worker;
            return if same { Ok(handed.wrapped.clone()) } else { Err(SealError::Worker) };
        }
        let prekey = SignedPrekey::decode(&to.prekey).map_err(|_| SealError::Worker)?;
        if self.keys.len() >= MAX_ASSIGNMENTS {
            return Err(SealError::Worker);
        }
        let envelope = &self.envelope.value;
        if self.parcel.is_none() {
            self.parcel = Some(Parcel::seal(&self.payload, envelope, context.random)?);
        }
        let parcel = self.parcel.as_ref().expect("sealed a line above");
        let assignment = sealed::assignment(&me.network, id, envelope, to.number, &to.worker);
        let (wrapped, result_key) = parcel.wrap(&assignment, &me.key, &prekey, epoch, context.random)?;
        let wrapped = wrapped.encode().to_vec();
        let handed = Handed { worker: to.worker, wrapped: wrapped.clone(), result_key };
        self.keys.insert(to.number, handed);
        Ok(wrapped)
    }

    /// It is settled. The end, if nothing is to come.
    pub(super) fn settled(&mut self, now: Now, settled: &Settled) -> Option<Ending> {
        let reason = Reason::from_code(settled.reason).unwrap_or(Reason::Inconclusive);
        let cost_ucredits = settled.cost_ucredits.min(self.most_ucredits);
        if let Stage::GivenUp { reason: Reason::Cancelled | Reason::NotSealed, .. } = self.stage {
            return Some(Err((Reason::Cancelled, cost_ucredits)));
        }
        if settled.tag.is_none() || settled.agreed.is_empty() {
            return Some(Err((reason, cost_ucredits)));
        }
        self.settled = Some(settled.clone());
        self.stage = Stage::Delivering { until_ms: now.ms + RESULT_MS };
        self.gathered.retain(|number, _| settled.agreed.contains(number));
        self.deliver(&settled.task)
    }

    /// A part of a result came.
    pub(super) fn result_part(&mut self, number: u32, part: &Part) -> Option<Ending> {
        let wanted = self.settled.as_ref().is_none_or(|settled| settled.agreed.contains(&number));
        let room = self.gathered.contains_key(&number) || self.gathered.len() < MAX_GATHERED;
        if !wanted || !room || !self.keys.contains_key(&number) {
            return None;
        }
        let most_bytes = self.envelope.value.max_result_bytes;
        if self.gathered.entry(number).or_default().take(part, most_bytes).is_err() {
            self.gathered.remove(&number);
        }
        self.deliver(&part.task)
    }

    /// What is said to have been paid so far.
    pub(super) fn cost_ucredits(&self) -> u64 {
        self.settled.as_ref().map_or(0, |settled| settled.cost_ucredits.min(self.most_ucredits))
    }

    /// The result, when settlement and bytes are there.
    fn deliver(&mut self, id: &Id) -> Option<Ending> {
        let settled = self.settled.as_ref()?;
        let tag = Tag::from_bytes(settled.tag?);
        let (number, gather) = self.gathered.iter().find(|(_, gather)| gather.is_whole())?;
        let key = &self.keys.get(number)?.result_key;
        let task_key = TaskKey::of(self.payload.salt(), id);
        let opened = open_result(key, gather.bytes(), &task_key, &self.envelope.value, &tag);
        let cost_ucredits = self.cost_ucredits();
        Some(match opened {
            Ok(bytes) => Ok(TaskResult {
                task: *id,
                bytes,
                cost_ucredits,
                workers: settled.workers,
                agreed: settled.agreed.len(),
                verified: settled.reason == Reason::Verified as u16,
            }),
            Err(_) => Err((Reason::ResultWrong, cost_ucredits)),
        })
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Delivering { .. })
    }
}

/// The wallet has so long for an escrow: others may stand before it.
pub const ESCROW_MS: u64 = 300_000;
/// Beyond a task's own times: the draw, the reveals, the certificate of its resolve.
pub const MARGIN_MS: u64 = 60_000;
/// After a cancel, its settlement is waited for so long.
pub const CANCEL_MS: u64 = 10_000;
/// A settled task's result is waited for so long.
pub const RESULT_MS: u64 = 30_000;
/// Not submitted again before.
const AGAIN_MS: u64 = 1_000;
/// The fate of a lost escrow is asked for so often.
const FATE_MS: u64 = 60_000;
/// So long after its end a lost escrow is given up.
const FORGET_EPOCHS: u64 = 30;
/// What a task may wait between its envelope and its submission.
const WAITS_EPOCHS: u64 = 5;
/// Most assignments of a task.
const MAX_ASSIGNMENTS: usize = 64;
/// Most results that are gathered at once.
const MAX_GATHERED: usize = 2;
