//! The end of a task: a decision becomes a resolve, the resolve a record, and everybody hears of it.

use identity::AccountId;
use ledger::{
    Id, Record, Rule,
    op::{LockKind, Reason as Pays},
    resolve::{Judged, Payout, Resolve, SignedResolve},
    store::{Batch, Table},
};

use super::{
    Desk, Event, Market, Port, Refusal, Stage,
    admit::place_key,
    task::{Seat, Settling, Task, Upload},
};
use crate::{
    reason::Reason,
    relay::{
        desk::{Answer, Asker, Value},
        io::Verification,
        port::Then,
        restore::OpenTask,
    },
    verify::unit::{Decision, Judgement, State},
    wire::{Refused, Settled, Signable, Tier},
};

impl Market {
    /// A submitter gives a task up: heard until somebody has bound itself to an answer.
    pub(super) fn cancel(
        &mut self,
        account: AccountId,
        id: Id,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        let task = self.tasks.get(&id).filter(|task| task.envelope().submitter == account);
        let task = task.ok_or((Reason::TaskUnknown, ""))?;
        let is_bound = |seat: &Seat| seat.is_open || task.unit.is_bound(&seat.id);
        if !matches!(task.stage, Stage::Open) || task.seats.iter().any(is_bound) {
            return Err((Reason::TooLate, "the work is done, or nearly"));
        }
        self.give_up(id, Reason::Cancelled, desk, port);
        Ok(())
    }

    /// A task ends without a decision: all of its escrow goes back, and whoever has it hears that it is over.
    pub(in crate::relay) fn give_up(
        &mut self,
        id: Id,
        reason: Reason,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) {
        let Some(task) = self.tasks.get(&id).filter(|task| matches!(task.stage, Stage::Open)) else { return };
        let working: Vec<(u32, AccountId)> =
            (0..).zip(&task.seats).filter(|(_, s)| !s.is_done).map(|(n, s)| (n, s.worker)).collect();
        let resolve = refund(task, port);
        let settled = settled(task, id, reason);
        for (number, worker) in working {
            let over = Refused { about: id, reason: reason as u16, retry_after_ms: 0, detail: String::new() };
            port.tell(&worker, over);
            self.leave(id, number);
        }
        self.settle(id, resolve, settled, desk, port);
    }

    /// A task is decided: the result goes to its submitter, the price to those who gave it.
    pub(super) fn decided(&mut self, id: Id, decision: &Decision, desk: &mut Desk, port: &mut Port<'_, '_>) {
        self.weather.decided();
        let Some(task) = self.tasks.get(&id) else { return };
        let accepted = decision.end.tag();
        let (reason, tag) = match (accepted, port.me.config.verification) {
            (Some(tag), Verification::On) => (Reason::Verified, Some(*tag.as_bytes())),
            (Some(tag), Verification::Off) => (Reason::Unverified, Some(*tag.as_bytes())),
            (None, _) => (Reason::Inconclusive, None),
        };
        let gave = |seat: &Seat| seat.reveal.is_some_and(|reveal| Some(reveal.tag) == accepted);
        let agreed: Vec<(u32, &Seat)> = (0..).zip(&task.seats).filter(|(_, seat)| gave(seat)).collect();
        if let Some((_, seat)) = agreed.first() {
            port.tell_frames(&task.envelope().submitter, &seat.result.frames);
            let most_bytes = port.me.config.max_held_bytes / KEPT_PARTS;
            self.results.keep(id, seat.result.frames.clone(), most_bytes);
        }
        let resolve = pay(task, id, decision, port);
        let paid = resolve.payouts.iter().map(|payout| payout.amount_ucredits).sum();
        let numbers = agreed.iter().map(|(number, _)| *number).take(MAX_AGREED).collect();
        let settled = Settled { tag, agreed: numbers, cost_ucredits: paid, ..settled(task, id, reason) };
        for judgement in &decision.judged {
            self.judge(id, *judgement, desk, port);
        }
        self.settle(id, resolve, settled, desk, port);
    }

    /// A late worker is judged. Its task is paid for already, so only a burned stake can still say how it did.
    pub(super) fn judged(&mut self, id: Id, judgement: Judgement, desk: &mut Desk, port: &mut Port<'_, '_>) {
        self.judge(id, judgement, desk, port);
        let Some(number) = self.tasks.get(&id).and_then(|t| position(t, &judgement.assignment)) else {
            return;
        };
        self.leave(id, number);
        self.settle_seat(id, number);
    }

    /// What became of the resolve of a task's escrow.
    pub(in crate::relay) fn resolved(&mut self, id: Id, answer: Answer, port: &mut Port<'_, '_>) {
        let again_ms = port.now_ms().saturating_add(SETTLE_AGAIN_MS);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Stage::Settling(settling) = &mut task.stage else { return };
        let mut settled = settling.settled.clone();
        match answer.verdict {
            Ok(_) => settled.resolve = Some(answer.value),
            // The same decision again: another one would convict this relay.
            Err((reason, rule)) if may_count_later(reason, &rule) => {
                settling.again_ms = Some(again_ms);
                return self.watch(id, port);
            }
            // The lock ran out, or its owner's chain is void: nothing can be paid out of it.
            Err(_) => (settled.cost_ucredits, settled.resolve) = (0, None),
        }
        self.over(id, settled, port);
    }

    /// Proposes the resolve of a task's escrow.
    pub(super) fn propose(&mut self, id: Id, desk: &mut Desk, port: &mut Port<'_, '_>) {
        let Some(Stage::Settling(settling)) = self.tasks.get_mut(&id).map(|task| &mut task.stage) else {
            return;
        };
        settling.again_ms = None;
        let resolve = &settling.resolve.resolve;
        let name = resolve.id(port.me.network_id());
        let held = desk.ledger().account(&resolve.owner).and_then(|owner| owner.locks.get(&resolve.lock));
        if held.is_none_or(|lock| lock.ran_out) && desk.ledger().resolve(&name).is_none() {
            // Whatever was decided or ran out meanwhile, this decision never counts.
            let settled = Settled { cost_ucredits: 0, resolve: None, ..settling.settled.clone() };
            return self.over(id, settled, port);
        }
        let value = Value::Resolve(Box::new(settling.resolve.clone()));
        if let Some(answer) = desk.propose(value, Asker::Escrow(id), Batch::new(), port) {
            self.resolved(id, answer, port);
        }
    }

    /// A worker's part no longer counts as unsettled.
    pub(super) fn settle_seat(&mut self, id: Id, number: u32) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let price_ucredits = task.envelope().price_ucredits;
        let Some(seat) = task.seats.get_mut(number as usize) else { return };
        if !std::mem::replace(&mut seat.is_settled, true) {
            self.bench.settle(&seat.worker, &seat.stake, price_ucredits);
        }
    }

    /// Takes a task out of everything but the store.
    pub(super) fn forget(&mut self, id: Id) {
        let Some(task) = self.tasks.remove(&id) else { return };
        if let Some(due_ms) = task.due_ms {
            self.due.remove(&(due_ms, id));
        }
        // It is gone from the queue already where it ran.
        let _ = self.queue.finish(id);
        self.queued.remove(&id);
        self.wanting.remove(&id);
        if !matches!(task.stage, Stage::Over) {
            self.release(&task, id);
        }
    }

    fn settle(
        &mut self,
        id: Id,
        resolve: Resolve,
        settled: Settled,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) {
        let resolve = resolve.sign(port.me.network_id(), &port.me.key);
        self.settle_signed(id, resolve, settled, desk, port);
    }

    /// Takes back a task that was written down before this relay went down: by the decision that was signed then, if one
    /// was, and else by a refund.
    pub(in crate::relay) fn restore(
        &mut self,
        open: OpenTask,
        decided: Option<SignedResolve>,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) {
        let OpenTask { place, submit } = open;
        let (envelope, id) = (&submit.envelope.value, submit.envelope.value.id(port.me.network_id()));
        let submitter = envelope.submitter;
        let account = desk.ledger().account(&submitter);
        let held = account.and_then(|account| account.locks.get(&submit.escrow));
        let Some(escrow_ucredits) = held.map(|lock| lock.terms.amount_ucredits) else {
            // It was settled, and only the note of it remained.
            let mut batch = Batch::new();
            let _ = batch.put(Table::Meta, place_key(place), vec![]);
            self.places.give(place);
            return port.save(batch, Then::Nothing);
        };
        let task = Task::restored(submit, escrow_ucredits, place, id);
        self.held_bytes += task.needs_bytes();
        self.of_submitter.entry(submitter).or_default().insert(id);
        let settled = settled(&task, id, Reason::Restarted);
        let refund = refund(&task, port);
        self.tasks.insert(id, task);
        match decided {
            Some(decided) => {
                let paid = &decided.resolve.payouts;
                let cost_ucredits = paid.iter().map(|payout| payout.amount_ucredits).sum();
                self.settle_signed(id, decided, Settled { cost_ucredits, ..settled }, desk, port);
            }
            None => self.settle(id, refund, settled, desk, port),
        }
    }

    /// Settles a task by a decision that is signed already.
    fn settle_signed(
        &mut self,
        id: Id,
        resolve: SignedResolve,
        settled: Settled,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.wanted = None;
        task.stage = Stage::Settling(Box::new(Settling { resolve, settled, again_ms: None }));
        let _ = self.queue.finish(id);
        self.queued.remove(&id);
        self.wanting.remove(&id);
        self.propose(id, desk, port);
        self.watch(id, port);
    }

    /// A task's escrow is settled for good.
    fn over(&mut self, id: Id, settled: Settled, port: &mut Port<'_, '_>) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.stage = Stage::Over;
        task.payload = Upload::default();
        task.seats.iter_mut().for_each(|seat| seat.result = Upload::default());
        task.told.clear();
        let (submitter, place) = (task.envelope().submitter, task.place);
        let judged = |seat: &Seat| !matches!(task.unit.state(&seat.id), Some(State::Init));
        let open = task.seats.iter().filter(|seat| !judged(seat)).count();
        let done: Vec<u32> =
            (0..).zip(&task.seats).filter(|(_, s)| judged(s) || open == 0).map(|(n, _)| n).collect();
        let shown = task.seats.iter().filter(|seat| seat.reveal.is_some()).map(|seat| seat.worker);
        let shown: Vec<AccountId> = shown.collect();
        let reason = Reason::from_code(settled.reason).unwrap_or(Reason::Inconclusive);
        let (cost_ucredits, resolve) = (settled.cost_ucredits, settled.resolve);
        done.into_iter().for_each(|number| self.settle_seat(id, number));
        let mut batch = Batch::new();
        let _ = batch.put(Table::Meta, place_key(place), vec![]);
        port.save(batch, Then::Nothing);
        port.tell(&submitter, settled.clone());
        // Whoever showed a result need not keep it.
        for worker in &shown {
            port.tell(worker, settled.clone());
        }
        port.event(Event::Settled { task: id, reason, cost_ucredits, resolve });
        self.remember(id, settled);
        if let Some(task) = self.tasks.remove(&id) {
            self.release(&task, id);
            self.tasks.insert(id, task);
        }
        self.close_if_judged(id);
        self.watch(id, port);
    }

    /// Drops a task when nobody is left to be judged.
    pub(super) fn close_if_judged(&mut self, id: Id) {
        let Some(task) = self.tasks.get(&id).filter(|task| matches!(task.stage, Stage::Over)) else { return };
        if !task.unit.is_decided() || task.unit.is_closed() {
            let seats = task.seats.len() as u32;
            for number in 0..seats {
                self.leave(id, number);
                self.settle_seat(id, number);
            }
            self.forget(id);
        }
    }

    fn judge(&mut self, id: Id, judgement: Judgement, desk: &mut Desk, port: &mut Port<'_, '_>) {
        let Judgement { worker, assignment, outcome, because, stake_burned, .. } = judgement;
        port.event(Event::Judged { task: id, worker, outcome, because });
        let Some(task) = self.tasks.get(&id) else { return };
        let Some(seat) = task.seats.iter().find(|seat| seat.id == assignment) else { return };
        if outcome == Some(ledger::reputation::Outcome::Invalid) && seat.is_trusted {
            self.weather.caught_trusted();
        }
        let (stake, kind) = (seat.stake, task.envelope().kind as u8);
        let is_late = matches!(task.stage, Stage::Over | Stage::Settling(_));
        if stake_burned && stake != Id::ZERO && !desk.has_decided(&stake) {
            // Of whoever is judged in time, the escrow's resolve says it; of the late, only this one can.
            let judged =
                outcome.filter(|_| is_late).map(|outcome| Judged { worker, task_type: kind, outcome });
            let evidence = evidence(task, id);
            slash(worker, stake, evidence, judged, desk, port);
            for lock in rewards(worker, desk, port) {
                slash(worker, lock, evidence, None, desk, port);
            }
        }
        if outcome.is_some() {
            self.bench.refresh(worker, desk.ledger(), &port.me.account, port.epoch());
        }
    }

    fn remember(&mut self, id: Id, settled: Settled) {
        if self.settled.insert(id, settled).is_none() {
            self.settled_order.push_back(id);
        }
        if self.settled_order.len() > MAX_SETTLED
            && let Some(oldest) = self.settled_order.pop_front()
        {
            self.settled.remove(&oldest);
        }
    }

    /// What an open task takes is free again.
    fn release(&mut self, task: &Task, id: Id) {
        let envelope = task.envelope();
        self.held_bytes = self.held_bytes.saturating_sub(task.needs_bytes());
        self.places.give(task.place);
        if let Some(tasks) = self.of_submitter.get_mut(&envelope.submitter) {
            tasks.remove(&id);
            if tasks.is_empty() {
                self.of_submitter.remove(&envelope.submitter);
            }
        }
    }
}

/// Whether a decision that was not certified may be later: nothing is wrong with it but the store, the witnesses or a clock.
fn may_count_later(reason: Reason, rule: &str) -> bool {
    matches!(reason, Reason::NotStored | Reason::NotCertified | Reason::RelayFull)
        || rule == Rule::EpochCurrent.code()
}

fn position(task: &Task, assignment: &Id) -> Option<u32> {
    task.seats.iter().position(|seat| seat.id == *assignment).map(|number| number as u32)
}

fn settled(task: &Task, id: Id, reason: Reason) -> Settled {
    Settled {
        task: id,
        reason: reason as u16,
        tag: None,
        agreed: vec![],
        workers: task.seats.len() as u16,
        cost_ucredits: 0,
        resolve: None,
    }
}

/// All of an escrow goes back to its owner.
fn refund(task: &Task, port: &Port<'_, '_>) -> Resolve {
    Resolve {
        owner: task.envelope().submitter,
        lock: task.escrow,
        epoch: port.epoch(),
        payouts: vec![],
        refund_ucredits: task.escrow_ucredits,
        slash_ucredits: 0,
        judged: vec![],
        drawn: false,
        evidence: Id::ZERO,
    }
}

/// Everybody who is paid gets the price; where the escrow holds less than that, all get the same part of it.
fn pay(task: &Task, id: Id, decision: &Decision, port: &Port<'_, '_>) -> Resolve {
    let count = decision.paid.len().max(1) as u64;
    let amount_ucredits = task.envelope().price_ucredits.min(task.escrow_ucredits / count);
    let payout = |to: &AccountId| Payout { to: *to, amount_ucredits, reason: Pays::Reward };
    let payouts: Vec<Payout> = decision.paid.iter().filter(|_| amount_ucredits > 0).map(payout).collect();
    let paid_ucredits = amount_ucredits * payouts.len() as u64;
    let task_type = task.envelope().kind as u8;
    let judged = decision.judged.iter();
    let judged = judged.filter_map(|j| Some(Judged { worker: j.worker, task_type, outcome: j.outcome? }));
    Resolve {
        payouts,
        refund_ucredits: task.escrow_ucredits - paid_ucredits,
        judged: judged.collect(),
        drawn: task.envelope().tier == Tier::Public,
        evidence: evidence(task, id),
        ..refund(task, port)
    }
}

/// SHA-256 of what a decision follows from: who had the task, and what each showed.
fn evidence(task: &Task, id: Id) -> Id {
    let mut bytes = Vec::with_capacity(64 * task.seats.len());
    for seat in &task.seats {
        bytes.extend(seat.worker.as_bytes());
        bytes.extend(seat.reveal.map_or([0; 32], |reveal| *reveal.tag.as_bytes()));
    }
    Id::hash("edgenet/evidence/v1", &[id.as_bytes(), &bytes])
}

/// Rewards of a worker that are within their hour, and that this relay decides on: they are forfeited with the stake.
fn rewards(worker: AccountId, desk: &Desk, port: &Port<'_, '_>) -> Vec<Id> {
    let locks = desk.ledger().account(&worker).map(|account| &account.locks).into_iter().flatten();
    let within = locks.filter(|(id, lock)| {
        lock.terms.kind == LockKind::PayoutLock
            && lock.terms.policy.authority == port.me.account
            && lock.terms.expiry_epoch >= port.epoch()
            && lock.void.is_none()
            && !desk.has_decided(id)
    });
    within.map(|(id, _)| *id).take(MAX_FORFEITED).collect()
}

/// Burns a lock of a worker whole. One lock is burned once, for whatever lie came first.
fn slash(
    worker: AccountId,
    lock: Id,
    evidence: Id,
    judged: Option<Judged>,
    desk: &mut Desk,
    port: &mut Port<'_, '_>,
) {
    let account = desk.ledger().account(&worker);
    let Some(held) = account.and_then(|account| account.locks.get(&lock)).copied() else { return };
    let resolve = Resolve {
        owner: worker,
        lock,
        epoch: port.epoch(),
        payouts: vec![],
        refund_ucredits: 0,
        slash_ucredits: held.terms.amount_ucredits,
        judged: judged.into_iter().collect(),
        drawn: false,
        evidence,
    };
    let resolve = resolve.sign(port.me.network_id(), &port.me.key);
    desk.propose(Value::Resolve(Box::new(resolve)), Asker::Stake(worker, lock), Batch::new(), port);
}

/// The event of a stake that was burned.
pub(in crate::relay) fn slashed(worker: AccountId, lock: Id, record: &Record) -> Option<Event> {
    let Record::Resolve(certified) = record else { return None };
    let amount_ucredits = certified.value.resolve.slash_ucredits;
    Some(Event::Slashed { worker, lock, amount_ucredits })
}

/// A decision that was not certified is proposed again after this.
const SETTLE_AGAIN_MS: u64 = 5_000;
/// Results that were delivered have this part of the bytes that a relay holds for open tasks, besides these.
const KEPT_PARTS: usize = 4;
/// Most settled tasks that are remembered.
const MAX_SETTLED: usize = 16_384;
/// Most rewards that one lie forfeits.
const MAX_FORFEITED: usize = 256;
/// Most agreed assignments that a message names.
const MAX_AGREED: usize = 16;
