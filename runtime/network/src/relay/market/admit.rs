//! Tasks and workers come in.

use std::collections::BTreeSet;

use identity::{AccountId, SignedPrekey};
use ledger::{
    Id,
    op::LockKind,
    price,
    store::{Batch, Table},
};

use super::{
    Desk, Event, Market, Port, Refusal,
    bench::Offer,
    task::{Stage, Task, Upload},
};
use crate::{
    limits::UNITS_PER_TASK,
    node::Link,
    queue::{self, MAX_AVOIDED, Share},
    reason::Reason,
    relay::{io::Verification, port::Then},
    terms,
    verify::{
        policy::{Clocks, Level, MAX_REPLICAS, Options, Rules, Strategy},
        unit::{Action, Unit},
    },
    wire::{self, Accepted, Assurance, Envelope, Priority, Submit, Tier, Verify},
};

/// Where open tasks lie in the store: a place each, used again when a task is over.
#[derive(Debug, Default)]
pub(in crate::relay) struct Places {
    free: BTreeSet<u32>,
    next: u32,
}

impl Places {
    /// All places but these.
    pub(in crate::relay) fn without(taken: impl IntoIterator<Item = u32>) -> Self {
        let taken: BTreeSet<u32> = taken.into_iter().collect();
        let next = taken.last().map_or(0, |last| last + 1);
        Places { free: (0..next).filter(|place| !taken.contains(place)).collect(), next }
    }

    fn take(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    pub(super) fn give(&mut self, place: u32) {
        self.free.insert(place);
    }
}

/// The key of a place in the store.
pub(in crate::relay) fn place_key(place: u32) -> Vec<u8> {
    [TASK, &place.to_be_bytes()].concat()
}

impl Market {
    /// A task is sent in. It is accepted when it is written down.
    pub(super) fn submit(
        &mut self,
        (link, account): (Link, AccountId),
        submit: Submit,
        id: Id,
        round: u64,
        desk: &Desk,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        let envelope = &submit.envelope.value;
        if envelope.submitter != account {
            return Err((Reason::EnvelopeUnsigned, "another's task"));
        }
        if self.answer_again(link, id, port) {
            return Ok(());
        }
        if self.is_draining {
            return Err((Reason::Draining, ""));
        }
        check(envelope, port)?;
        let escrow_ucredits = escrow(&submit, id, desk, port)?;
        let bytes = needs_bytes(envelope);
        if self.held_bytes.saturating_add(bytes) > port.me.config.max_held_bytes {
            return Err((Reason::RelayFull, "payloads and results"));
        }
        let rules = self.rules(envelope, port)?;
        let stored = postcard::to_allocvec(&submit).map_err(|_| (Reason::EnvelopeInvalid, "no bytes"))?;
        let avoid: Vec<AccountId> = submit.avoid.iter().map(|bytes| AccountId::from_bytes(*bytes)).collect();
        let staked = desk.ledger().account(&account).map_or(0, |a| a.base_stake_ucredits());
        let block = port.links.get(link).map(|s| s.block()).ok_or((Reason::Silent, ""))?;
        let life_ms = life_ms(envelope);
        let queued = queue::Task {
            id,
            submitter: account,
            share: Share::of(account, staked, block),
            priority: priority(envelope.priority),
            units: UNITS_PER_TASK,
            // The market ends tasks itself, by what became of them; the queue's clock stands behind it.
            ttl_ms: life_ms.saturating_mul(2),
            timeout_ms: life_ms.saturating_mul(2),
            avoided: avoid.iter().copied().collect(),
        };
        self.queue.submit(queued, port.now_ms()).map_err(full)?;
        self.held_bytes += bytes;
        let place = self.places.take();
        let mut batch = Batch::new();
        // A place's key is short and a task's frame is at most 4 KiB.
        let _ = batch.put(Table::Meta, place_key(place), stored);
        let (unit, first) = Unit::open(id, rules);
        let now_ms = port.now_ms();
        let task = Task {
            ttl_ms: now_ms.saturating_add(envelope.ttl_ms.into()),
            end_ms: now_ms.saturating_add(life_ms),
            signed: submit.envelope,
            escrow: submit.escrow,
            escrow_ucredits,
            avoid,
            place,
            round,
            stage: Stage::Saving(link),
            unit,
            wanted: None,
            seats: vec![],
            told: vec![],
            payload: Upload::default(),
            was_capable: false,
            due_ms: None,
        };
        self.tasks.insert(id, task);
        self.of_submitter.entry(account).or_default().insert(id);
        self.queued.insert(id);
        for action in first {
            if let Action::Draw { established } = action {
                self.want(id, established, port);
            }
        }
        port.save(batch, Then::Accept(id));
        Ok(())
    }

    /// A task is written down: it will be settled, whatever happens to this relay.
    pub(in crate::relay) fn accepted(&mut self, id: Id, round: u64, port: &mut Port<'_, '_>) {
        let ahead = self.queued.len().saturating_sub(1) as u32;
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Stage::Saving(link) = task.stage else { return };
        (task.stage, task.round) = (Stage::Open, round);
        let submitter = task.envelope().submitter;
        port.send(link, Accepted { task: id, ahead });
        port.event(Event::Accepted { task: id, submitter });
        self.watch(id, port);
    }

    /// A task could not be written down.
    pub(in crate::relay) fn not_accepted(&mut self, id: Id, port: &mut Port<'_, '_>) {
        let Some(Stage::Saving(link)) = self.tasks.get(&id).map(|task| &task.stage) else { return };
        let link = *link;
        self.forget(id);
        port.refuse(link, id, Reason::NotStored, 1_000, "");
    }

    /// A worker offers itself.
    pub(super) fn offer(
        &mut self,
        link: Link,
        account: AccountId,
        offer: wire::Offer,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        let claim = offer.claim.value;
        if claim.worker != account {
            return Err((Reason::ClaimUnsigned, "another's claim"));
        }
        if self.is_draining {
            return Err((Reason::Draining, ""));
        }
        if claim.slots == 0 {
            self.bench.left(account);
            return Ok(());
        }
        let session = port.links.get(link).ok_or((Reason::Silent, ""))?;
        let prekey = match offer.prekey {
            Some(bytes) => {
                let prekey = SignedPrekey::decode(&bytes).map_err(|_| (Reason::PrekeyInvalid, ""))?;
                let good = prekey.account == account && prekey.verify(port.epoch()).is_ok();
                good.then_some(prekey)
            }
            None => session.edge().and_then(|edge| edge.prekey),
        };
        let prekey = prekey.ok_or((Reason::PrekeyInvalid, ""))?;
        let offer = Offer {
            claim,
            prekey: prekey.encode().to_vec(),
            block: session.block(),
            epoch: port.epoch(),
            head_start_epochs: port.me.config.head_start_epochs,
            max_workers: port.me.config.max_workers,
        };
        self.bench.offer(offer, desk.ledger(), &port.me.account)
    }

    /// Answers a task that is here already, or was, with all that its submitter may have missed. Whether it is one.
    fn answer_again(&mut self, link: Link, id: Id, port: &mut Port<'_, '_>) -> bool {
        if let Some(settled) = self.settled.get(&id) {
            self.results.frames(&id).iter().for_each(|frame| port.forward(link, frame.clone()));
            port.send(link, settled.clone());
            return true;
        }
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        match &mut task.stage {
            Stage::Saving(waits) => *waits = link,
            Stage::Open => {
                port.send(link, Accepted { task: id, ahead: 0 });
                task.unsealed().for_each(|told| port.send(link, told.clone()));
            }
            // The result and the settlement follow when the resolve is certified.
            Stage::Settling(_) | Stage::Over => {
                port.send(link, Accepted { task: id, ahead: 0 });
                self.results.frames(&id).iter().for_each(|frame| port.forward(link, frame.clone()));
            }
        }
        true
    }

    /// The rules of a task: those of its options in this weather.
    fn rules(&self, envelope: &Envelope, port: &Port<'_, '_>) -> Result<Rules, Refusal> {
        let config = &port.me.config;
        let strategy = match (config.verification, envelope.verify) {
            (Verification::Off, _) => Strategy::Redundant(1),
            // What the submitter found in hidden rows has no message of its own: its tasks are believed as without.
            (Verification::On, Verify::Adaptive | Verify::SpotCheck) => Strategy::Adaptive,
            (Verification::On, Verify::Redundant(replicas)) => Strategy::Redundant(replicas),
        };
        let level = match envelope.assurance {
            Assurance::Normal => Level::Normal,
            Assurance::High => Level::High,
        };
        let options = Options { strategy, level, hidden_rows: false };
        let rules =
            Rules::of(options, &self.weather).map_err(|_| (Reason::EnvelopeInvalid, "1 to 7 replicas"))?;
        // The worker's time begins when the payload is there; the unit's when it was drawn.
        let commit_ms = config.seal_ms + u64::from(envelope.timeout_ms);
        Ok(rules.with_clocks(Clocks { commit_ms, ..config.clocks }))
    }
}

/// What must hold of an envelope whatever the ledger says.
fn check(envelope: &Envelope, port: &Port<'_, '_>) -> Result<(), Refusal> {
    let config = &port.me.config;
    let replicas = match envelope.verify {
        Verify::Redundant(replicas) => (1..=MAX_REPLICAS).contains(&replicas),
        Verify::Adaptive | Verify::SpotCheck => true,
    };
    let grouped = (envelope.tier == Tier::Group) == envelope.group.is_some();
    let timed = envelope.ttl_ms > 0 && envelope.timeout_ms > 0;
    match () {
        () if envelope.epoch.abs_diff(port.epoch()) > CLOCKS_EPOCHS => Err((Reason::EnvelopeStale, "")),
        () if !replicas => Err((Reason::EnvelopeInvalid, "1 to 7 replicas")),
        () if !grouped => Err((Reason::EnvelopeInvalid, "a group where none is asked for, or none")),
        () if !timed => Err((Reason::EnvelopeInvalid, "no time")),
        () if envelope.price_ucredits == 0
            || envelope.payload_bytes == 0
            || envelope.max_result_bytes == 0 =>
        {
            Err((Reason::EnvelopeInvalid, "price, payload and result are at least 1"))
        }
        () if envelope.payload_bytes > config.max_payload_bytes => {
            Err((Reason::TermsExceeded, "bytes of the payload"))
        }
        () if envelope.max_result_bytes > config.max_result_bytes => {
            Err((Reason::TermsExceeded, "bytes of the result"))
        }
        () if envelope.ttl_ms > MAX_TTL_MS || envelope.timeout_ms > MAX_TIMEOUT_MS => {
            Err((Reason::TermsExceeded, "time"))
        }
        () => Ok(()),
    }
}

/// What the lock that pays for a task holds.
fn escrow(submit: &Submit, id: Id, desk: &Desk, port: &Port<'_, '_>) -> Result<u64, Refusal> {
    let envelope = &submit.envelope.value;
    let account = desk.ledger().account(&envelope.submitter);
    let lock = account.and_then(|account| account.locks.get(&submit.escrow));
    let lock = lock.ok_or((Reason::EscrowMissing, "no such lock"))?;
    if lock.terms.kind != LockKind::TaskEscrow || lock.terms.task != id {
        return Err((Reason::EscrowMissing, "not of this task"));
    }
    if lock.terms.policy.authority != port.me.account {
        return Err((Reason::EscrowMissing, "not for this relay"));
    }
    if lock.void.is_some() || lock.ran_out {
        return Err((Reason::EscrowMissing, "void or run out"));
    }
    let most = terms::most_ucredits(envelope.price_ucredits, envelope.verify);
    if most.is_none_or(|most| lock.terms.amount_ucredits < most) {
        return Err((Reason::EscrowShort, ""));
    }
    if lock.terms.expiry_epoch < terms::escrow_until_epoch(envelope, envelope.epoch) {
        return Err((Reason::EscrowEnds, ""));
    }
    Ok(lock.terms.amount_ucredits)
}

/// Bytes that a task may need: its payload, and the results of its replicas.
pub(super) fn needs_bytes(envelope: &Envelope) -> usize {
    let results = envelope.max_result_bytes as usize * usize::from(terms::most_replicas(envelope.verify));
    results.saturating_add(envelope.payload_bytes as usize)
}

/// A task is over after this, whatever its workers do: half of what its escrow leaves for settling stays for that.
fn life_ms(envelope: &Envelope) -> u64 {
    u64::from(envelope.ttl_ms) + u64::from(envelope.timeout_ms) * terms::ROUNDS + terms::SETTLING_MS / 2
}

fn priority(priority: Priority) -> price::Priority {
    match priority {
        Priority::Low => price::Priority::Low,
        Priority::Normal => price::Priority::Normal,
        Priority::High => price::Priority::High,
    }
}

fn full(refusal: queue::Refusal) -> Refusal {
    match refusal {
        queue::Refusal::SubmitterFull { .. } | queue::Refusal::ShareFull { .. } => {
            (Reason::OpenTasksExceeded, refusal.name())
        }
        queue::Refusal::QueueFull { .. } => (Reason::RelayFull, refusal.name()),
        _ => (Reason::EnvelopeInvalid, refusal.name()),
    }
}

/// What a name in the store begins with.
pub(in crate::relay) const TASK: &[u8] = b"task";
/// Clocks of a submitter and a relay may differ by so much.
const CLOCKS_EPOCHS: u64 = 5;
/// A task waits for an hour at most, and its worker has an hour at most.
const MAX_TTL_MS: u32 = 3_600_000;
const MAX_TIMEOUT_MS: u32 = 3_600_000;
const _: () = assert!(MAX_AVOIDED >= 64, "what a frame holds, the queue takes");
