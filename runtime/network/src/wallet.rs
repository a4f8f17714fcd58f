//! An edge's purse: what it wants done on its account, one operation after another.
//!
//! ```text
//! want -> ask the home relay how the account stands -> draft -> sign -> store -> propose -> the certified record -> told
//! ```
//! - One operation is in flight at a time, and it is stored before it is proposed. After a crash, a failed write or silence
//!   the same bytes are proposed again.
//! - Whatever a relay says of the account, no second operation is signed for a seq that was signed for: two of them are a fork
//!   and cost the stake. An operation that every witness refuses therefore stands in the way until one takes it; what is
//!   drafted is checked by the witnesses' own rules first, so that only a relay's lie can bring that about.
//! - Every operation receives what is ready. With nothing else to do, an account that much waits for gets an operation that
//!   receives it.

mod pending;
mod want;

use std::{collections::VecDeque, sync::Arc};

use identity::SecretKey;
use ledger::{
    Balance, Holder, Id, Network, Record,
    op::{Action, SignedOp},
    store::Batch,
};

use self::pending::{Pending, Stands};
pub use self::want::{Done, Purpose, Told, Want, Wanted};
use crate::{
    edge::{Act, Event, Saving},
    node::Now,
    reason::Reason,
    wire::{AccountIs, AskAccount, Proposal, Propose, Records, Refused, statement_message},
};

/// A relay that asks are put to, and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) relay: identity::AccountId,
    pub(crate) epoch: u64,
}

/// The purse of one account.
#[derive(Debug)]
pub struct Wallet {
    network: Arc<Network>,
    account: identity::AccountId,
    wants: VecDeque<Want>,
    /// How the account stood when it was asked last.
    holder: Option<Holder>,
    /// Seq of the last operation that was signed, whether it was certified or not.
    signed_seq: Option<u64>,
    pending: Option<Pending>,
    home: Option<Home>,
    /// When a question went out that is not answered.
    asked_ms: Option<u64>,
    /// Questions to no avail, one after another.
    failures: u32,
    /// Not to be asked before.
    ask_ms: u64,
    /// To be asked though nothing is wanted.
    refresh_ms: u64,
    received_ms: Option<u64>,
}

impl Wallet {
    /// A purse whose last signed operation, as its store remembers, is this one.
    pub fn new(network: Arc<Network>, account: identity::AccountId, last: Option<SignedOp>) -> Self {
        let id = |op: &SignedOp| op.op.id(network.id());
        let signed_seq = last.as_ref().map(|last| last.op.seq);
        let pending = last.map(|op| Pending::restored(id(&op), op));
        Wallet {
            network,
            account,
            wants: VecDeque::new(),
            holder: None,
            signed_seq,
            pending,
            home: None,
            asked_ms: None,
            failures: 0,
            ask_ms: 0,
            refresh_ms: 0,
            received_ms: None,
        }
    }

    /// What the account holds, as far as it was told.
    pub fn balance(&self) -> Option<Balance> {
        self.holder.as_ref().map(Holder::balance)
    }

    /// The account, as far as it was told.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// Wanted actions that wait.
    pub fn waiting(&self) -> usize {
        self.wants.len()
    }

    /// The operation that is signed and not known to be certified.
    pub fn in_flight(&self) -> Option<Id> {
        self.pending.as_ref().map(|pending| pending.id)
    }

    /// Puts a wanted action behind those that wait.
    pub(crate) fn want(&mut self, want: Want, acts: &mut Vec<Act>) {
        if self.wants.len() >= MAX_WANTS {
            let told = Err((Reason::OpenTasksExceeded, format!("{MAX_WANTS} actions wait")));
            acts.push(Act::Told(Told { purpose: want.purpose, outcome: told }));
            return;
        }
        self.wants.push_back(want);
    }

    /// Takes a wanted action back, if it is not signed.
    pub(crate) fn unwant(&mut self, purpose: Purpose) -> bool {
        let before = self.wants.len();
        self.wants.retain(|want| want.purpose != purpose);
        self.wants.len() < before
    }

    /// Something may have changed that only the ledger knows: ask soon.
    pub(crate) fn hint(&mut self, at_ms: u64) {
        self.refresh_ms = self.refresh_ms.min(at_ms);
    }

    /// Does what is due. `home` is the relay to ask, if one is connected.
    pub(crate) fn drive(&mut self, now: Now, home: Option<Home>, acts: &mut Vec<Act>) {
        if self.home.map(|home| home.relay) != home.map(|home| home.relay) {
            (self.asked_ms, self.failures, self.ask_ms) = (None, 0, now.ms);
            if let Some(pending) = &mut self.pending {
                pending.due_ms = now.ms;
            }
        }
        self.home = home;
        let Some(home) = home else { return };
        if self.asked_ms.is_some_and(|asked_ms| now.ms >= asked_ms + ANSWER_MS) {
            self.failed(now);
        }
        if self.asked_ms.is_some() || now.ms < self.ask_ms {
            return;
        }
        let wanted = match &mut self.pending {
            Some(pending) if now.ms < pending.due_ms => false,
            Some(pending) if !pending.stored => {
                pending.due_ms = now.ms + ANSWER_MS;
                let op = pending.op.clone();
                self.store(&op, acts);
                false
            }
            Some(_) => true,
            None => !self.wants.is_empty() || now.ms >= self.refresh_ms,
        };
        if wanted {
            self.asked_ms = Some(now.ms);
            acts.push(Act::Send(home.relay, AskAccount { account: self.account }.into()));
        }
    }

    /// When it has something to do though nothing happens.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.home?;
        let idle_ms = match &self.pending {
            Some(pending) => pending.due_ms,
            None if self.wants.is_empty() => self.refresh_ms,
            None => self.ask_ms,
        };
        Some(self.asked_ms.map_or(idle_ms.max(self.ask_ms), |asked_ms| asked_ms + ANSWER_MS))
    }

    /// How the account stands, says a relay.
    pub(crate) fn account_is(
        &mut self,
        key: &SecretKey,
        now: Now,
        from: &identity::AccountId,
        said: &AccountIs,
        acts: &mut Vec<Act>,
    ) {
        let Some(home) = self.home.filter(|home| home.relay == *from) else { return };
        if self.asked_ms.take().is_none() {
            return;
        }
        match self.read(from, said) {
            Ok(holder) => {
                self.failures = 0;
                self.ask_ms = now.ms;
                self.refresh_ms = now.ms + REFRESH_MS;
                acts.push(Act::Event(Event::Balance(holder.balance())));
                self.holder = Some(holder);
            }
            Err(detail) => {
                acts.push(Act::Event(Event::AccountUnclear { relay: *from, detail }));
                return self.failed(now);
            }
        }
        let home = Home { epoch: home.epoch.max(said.epoch.min(home.epoch + CLOCK_EPOCHS)), ..home };
        if self.pending.is_some() {
            self.settle_pending(now, home, acts);
        }
        if self.pending.is_none() {
            self.sign_next(key, now, home, acts);
        }
    }

    /// Certified records came: perhaps the operation in flight.
    pub(crate) fn records(&mut self, now: Now, records: &Records, acts: &mut Vec<Act>) {
        let Some(pending) = &self.pending else { return };
        let is_it = |bytes: &Vec<u8>| {
            let record = Record::decode(bytes, &self.network).ok()?;
            (record.id() == pending.id && record.check(&self.network).is_ok()).then_some(())
        };
        if records.records.iter().find_map(is_it).is_some() {
            self.certified(now, acts);
        }
    }

    /// A relay refused the operation in flight.
    pub(crate) fn refused(&mut self, now: Now, refused: &Refused, acts: &mut Vec<Act>) -> bool {
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.id == refused.about) else {
            return false;
        };
        let reason = Reason::from_code(refused.reason).unwrap_or(Reason::RuleBroken);
        pending.again(now, u64::from(refused.retry_after_ms));
        if reason.is_passing() {
            return true;
        }
        let event = Event::OperationRefused { op: pending.id, reason, detail: refused.detail.clone() };
        acts.push(Act::Event(event));
        if let Some(purpose) = pending.purpose.take() {
            let outcome = Err((reason, refused.detail.clone()));
            acts.push(Act::Told(Told { purpose, outcome }));
        }
        true
    }

    /// The operation in flight is on the disk.
    pub(crate) fn stored(&mut self, now: Now, acts: &mut Vec<Act>) {
        if let Some(pending) = &mut self.pending {
            pending.stored = true;
            self.propose(now, acts);
        }
    }

    /// It may be on the disk or not: only the same operation may come after it.
    pub(crate) fn not_stored(&mut self, now: Now) {
        if let Some(pending) = &mut self.pending {
            pending.again(now, RETRY_MS);
        }
    }

    fn read(&self, relay: &identity::AccountId, said: &AccountIs) -> Result<Holder, String> {
        let message = statement_message(self.network.id(), &self.account, said.epoch, &said.leaf);
        let key = relay.public_key().map_err(|error| error.to_string())?;
        key.verify(message.as_bytes(), &said.signature)
            .map_err(|_| "the relay did not sign it".to_string())?;
        let holder = Holder::read(&self.account, &said.leaf).map_err(|error| error.to_string())?;
        let known = self.holder.as_ref().map_or(0, |holder| holder.account().next_seq);
        if holder.account().next_seq < known {
            return Err(format!("seq {} comes next, {known} is known to", holder.account().next_seq));
        }
        if holder.account().signer(&self.account) != self.account {
            return Err("the account was handed to another key".to_string());
        }
        Ok(holder)
    }

    /// The account's leaf tells what became of the operation in flight.
    fn settle_pending(&mut self, now: Now, home: Home, acts: &mut Vec<Act>) {
        let (Some(pending), Some(holder)) = (&mut self.pending, &self.holder) else { return };
        match pending.stands(holder) {
            Stands::Certified => self.certified(now, acts),
            Stands::Next => {
                self.home = Some(home);
                self.propose(now, acts);
            }
            // The relay has not heard of what came before it.
            Stands::Ahead => pending.again(now, RETRY_MS),
            Stands::Replaced => {
                let (id, purpose) = (pending.id, pending.purpose.take());
                self.pending = None;
                acts.push(Act::Event(Event::OperationRefused {
                    op: id,
                    reason: Reason::OperationReplaced,
                    detail: String::new(),
                }));
                let outcome = Err((Reason::OperationReplaced, String::new()));
                acts.extend(purpose.map(|purpose| Act::Told(Told { purpose, outcome })));
            }
        }
    }

    /// Signs the first wanted action that the rules allow, and stores it.
    fn sign_next(&mut self, key: &SecretKey, now: Now, home: Home, acts: &mut Vec<Act>) {
        let Some(holder) = &self.holder else { return };
        let next_seq = holder.account().next_seq;
        if self.signed_seq.is_some_and(|signed_seq| next_seq <= signed_seq) {
            // Somebody shows an account as it was before.
            return self.failed(now);
        }
        let epoch = now.epoch.min(home.epoch).max(holder.account().last_epoch);
        let mut chosen = None;
        while let Some(want) = self.wants.pop_front() {
            match holder.draft(&self.network, want.wanted.action(epoch), epoch) {
                Ok(op) => {
                    chosen = Some((op, Some(want.purpose)));
                    break;
                }
                Err(refusal) => {
                    let outcome = Err((Reason::RuleBroken, refusal.rule.code().to_string()));
                    acts.push(Act::Told(Told { purpose: want.purpose, outcome }));
                }
            }
        }
        let receives = || {
            let rested = self.received_ms.is_none_or(|at_ms| now.ms >= at_ms + RECEIVE_MS);
            let (count, sum) = holder.ready(epoch);
            let much = sum >= RECEIVE_UCREDITS || count >= RECEIVE_COUNT;
            (rested && much).then(|| holder.draft(&self.network, Action::Noop, epoch).ok()).flatten()
        };
        let Some((op, purpose)) = chosen.or_else(|| Some((receives()?, None))) else { return };
        self.received_ms = Some(now.ms);
        self.signed_seq = Some(op.seq);
        let op = op.sign(self.network.id(), key);
        self.pending = Some(Pending::signed(op.op.id(self.network.id()), op.clone(), purpose, now));
        self.store(&op, acts);
    }

    fn store(&self, op: &SignedOp, acts: &mut Vec<Act>) {
        let mut batch = Batch::new();
        let put = ledger::keep::put_own(&mut batch, op)
            .and_then(|()| ledger::keep::put_own_head(&mut batch, &op.op.account, op.op.seq));
        put.expect("an operation is shorter than any limit of a batch");
        acts.push(Act::Save(batch, Saving::Operation));
    }

    fn propose(&mut self, now: Now, acts: &mut Vec<Act>) {
        let (Some(home), Some(pending)) = (self.home, &mut self.pending) else { return };
        pending.again(now, 0);
        let proposal = Proposal::Op(pending.op.encode());
        acts.push(Act::Send(home.relay, Propose { proposal }.into()));
    }

    fn certified(&mut self, now: Now, acts: &mut Vec<Act>) {
        let Some(pending) = self.pending.take() else { return };
        self.ask_ms = now.ms;
        self.hint(now.ms);
        let id = pending.id;
        acts.push(Act::Event(Event::Certified { op: id }));
        let done = Done { op: id, action: pending.op.op.action };
        acts.extend(pending.purpose.map(|purpose| Act::Told(Told { purpose, outcome: Ok(done) })));
    }

    fn failed(&mut self, now: Now) {
        self.asked_ms = None;
        self.ask_ms = now.ms + (RETRY_MS << self.failures.min(5));
        self.failures += 1;
    }
}

/// Most wanted actions that wait.
pub const MAX_WANTS: usize = 512;
/// An account receives without being asked not more often than this.
pub const RECEIVE_MS: u64 = 60_000;
/// From so much on, in micro-credits.
pub const RECEIVE_UCREDITS: u64 = ledger::MICRO;
/// Or from so many payments on.
pub const RECEIVE_COUNT: usize = 16;
/// A relay has so long for an answer.
const ANSWER_MS: u64 = 5_000;
/// The first pause before the same question, which doubles.
const RETRY_MS: u64 = 2_000;
/// An account is asked for so often though nothing is wanted.
const REFRESH_MS: u64 = 300_000;
/// A relay may have gone on by so much since it said its epoch last.
const CLOCK_EPOCHS: u64 = 5;

#[cfg(test)]
mod tests;
