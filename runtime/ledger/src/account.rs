//! One account as the fold sees it.
//!
//! Everything but `locks` and `inbox` follows from the account's own chain alone. Those two are where others reach in: a
//! resolve takes a lock away, a payment puts an output in. An operation asks of them only whether what it receives is
//! there, so the state after it is the same whatever arrived in between.

use std::collections::{BTreeMap, BTreeSet};

use identity::AccountId;

use crate::{
    Id,
    op::{LockKind, LockTerms, Reason, Receive},
    wire::Writer,
};

/// An account: the head of its chain and what it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Id of the last operation that counts, [`Id::ZERO`] before the first.
    pub head: Id,
    /// The seq of the operation that would come next.
    pub next_seq: u64,
    /// Epoch of the last operation that counts.
    pub last_epoch: u64,
    /// The key that signs since which seq, where the account was handed over; else the account's own.
    pub key: Option<(u64, AccountId)>,
    /// Micro-credits that can be spent.
    pub available_ucredits: u64,
    /// Micro-credits of base stake that nothing has claimed.
    pub staked_ucredits: u64,
    /// Micro-credits of base stake that task stakes hold, as far as the chain has heard.
    pub committed_ucredits: u64,
    /// What is set aside, by lock.
    pub locks: BTreeMap<Id, Lock>,
    /// What has been paid and not been received.
    pub inbox: BTreeMap<Receive, Output>,
    /// How the account was registered.
    pub opened: Option<Opened>,
    /// The account that the first payment this one received goes back to.
    pub ancestor: Option<AccountId>,
    /// Of the treasury alone.
    pub spending: Option<Box<Spending>>,
}

/// Credits set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What for, how much, until when.
    pub terms: LockTerms,
    /// What a payout lock is paid for.
    pub reason: Reason,
    /// Not backed by credits: it comes from a voided value.
    pub void: Option<Void>,
}

/// A payment on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// How much, in micro-credits.
    pub amount_ucredits: u64,
    /// What for.
    pub reason: Reason,
    /// Who paid it.
    pub from: AccountId,
    /// The payer's ancestor, or the payer.
    pub ancestor: AccountId,
    /// The stake lock this settles, by its amount: what is left of it goes back to the base stake.
    pub of_stake: Option<u64>,
    /// Not backed by credits: it comes from a voided value.
    pub void: Option<Void>,
}

/// Whom a receipt out of nothing is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Void {
    /// The account whose chain forked with two certificates.
    Account(AccountId),
    /// Nobody in particular: a lock was decided twice.
    Nobody,
}

/// How an account was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// When.
    pub epoch: u64,
    /// Who referred it.
    pub referrer: Option<AccountId>,
    /// The site it came through.
    pub site: Option<Id>,
}

/// What the treasury has paid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// The epoch of its last operation.
    pub epoch: u64,
    /// Most micro-credits it may pay in that epoch.
    pub cap_ucredits: u64,
    /// Micro-credits it has paid in that epoch.
    pub paid_ucredits: u64,
    /// What it has paid for: reason, reference, payee.
    pub causes: BTreeSet<(Reason, Id, AccountId)>,
}

/// What an account holds, as its owner sees it. All in micro-credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Can be spent.
    pub available: u64,
    /// Base stake that nothing has claimed.
    pub staked: u64,
    /// Set aside: escrows, task stakes, unbonding, rewards within their hour.
    pub locked: u64,
    /// Paid to the account and not received on its chain.
    pub pending: u64,
}

impl Account {
    /// What the account holds.
    pub fn balance(&self) -> Balance {
        Balance {
            available: self.available_ucredits,
            staked: self.staked_ucredits,
            locked: self.locks.values().filter(|l| l.void.is_none()).map(|l| l.terms.amount_ucredits).sum(),
            pending: self.inbox.values().filter(|o| o.void.is_none()).map(|o| o.amount_ucredits).sum(),
        }
    }

    /// Base stake, whether claimed by tasks or not.
    pub fn base_stake_ucredits(&self) -> u64 {
        self.staked_ucredits.saturating_add(self.committed_ucredits)
    }

    /// The key that signs the next operation.
    pub fn signer(&self, account: &AccountId) -> AccountId {
        self.key.map_or(*account, |(_, key)| key)
    }

    /// Locks that a fork proof burns.
    pub(crate) fn stake_locks(&self) -> impl Iterator<Item = &Lock> {
        self.locks.values().filter(|l| l.terms.kind.is_stake() && l.void.is_none())
    }

    /// The leaf of the state's Merkle tree. `frozen` and the balances of a frozen account come from the fold's last step.
    pub(crate) fn leaf(&self, id: &AccountId, frozen: bool, taken: &Taken) -> Vec<u8> {
        let mut out = Writer::with_capacity(256 + 128 * (self.locks.len() + self.inbox.len()));
        out.account(id).id(&self.head).u64(self.next_seq).u64(self.last_epoch);
        out.account(&self.signer(id)).u8(frozen.into());
        out.u64(self.available_ucredits - taken.available).u64(self.staked_ucredits - taken.staked);
        out.u64(self.committed_ucredits).u32(self.locks.len() as u32);
        for (lock, held) in &self.locks {
            out.id(lock);
            held.terms.write(&mut out);
            let burned = taken.stake_locks && held.terms.kind.is_stake() && held.void.is_none();
            out.u8(held.reason as u8).u8(held.void.is_some().into()).u8(burned.into());
        }
        out.u32(self.inbox.len() as u32);
        for (receive, output) in &self.inbox {
            out.id(&receive.source).u8(receive.index).u64(output.amount_ucredits).u8(output.reason as u8);
            out.account(&output.from).account(&output.ancestor);
            out.u8(output.of_stake.is_some().into()).u64(output.of_stake.unwrap_or(0));
            out.u8(output.void.is_some().into());
        }
        out.0
    }
}

/// What the fold's last step takes from an account: stakes burned, what is left of a forked chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) available: u64,
    pub(crate) staked: u64,
    /// Its stake locks too.
    pub(crate) stake_locks: bool,
}

impl Lock {
    /// Whether it counts as the owner's, set aside.
    pub(crate) fn backed(&self) -> u128 {
        if self.void.is_some() { 0 } else { self.terms.amount_ucredits.into() }
    }

    /// The stake it holds, if it is one that tasks claim.
    pub(crate) fn of_stake(&self) -> Option<u64> {
        (self.terms.kind == LockKind::TaskStake).then_some(self.terms.amount_ucredits)
    }
}
