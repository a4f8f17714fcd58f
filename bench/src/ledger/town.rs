//! Owners in a ring that pay each other before a committee, every step as a node does it.

use std::{collections::BTreeMap, sync::Arc};

use identity::{AccountId, SecretKey};
use ledger::{
    Allocation, Check, Collector, Founding, GENESIS, Id, Ledger, MICRO, Network, Record, Refusal,
    op::{Action, Out, Reason},
    witness::Witness,
};

use super::{primitives::Needs, timed};
use crate::Error;

/// One ledger, its witnesses and its owners.
pub(super) struct Town {
    ledger: Ledger,
    witnesses: Vec<Witness>,
    owners: Vec<SecretKey>,
    /// What every owner should have, paid or received.
    model: BTreeMap<AccountId, u64>,
    next: usize,
}

impl Town {
    pub(super) fn new(witnesses: usize) -> Town {
        let network = network(OWNERS, witnesses);
        let witnesses = (0..witnesses).map(|n| Witness::new(key(WITNESS + n), [])).collect();
        let owners: Vec<SecretKey> = (0..OWNERS).map(key).collect();
        let model = owners.iter().map(|owner| (owner.account(), START_UCREDITS)).collect();
        Town { ledger: Ledger::new(network), witnesses, owners, model, next: 0 }
    }

    pub(super) fn witnesses(&self) -> usize {
        self.witnesses.len()
    }

    /// What one transfer needs, with a quorum of q witnesses. The owner signs and q witnesses vote. Each of them verifies the
    /// owner's signature, the collector verifies their votes, and the ledger that takes the record in verifies all of
    /// it again. Owner, witnesses and ledger hash the operation; witnesses, collector and ledger hash a vote's message.
    pub(super) fn needs(&self) -> Needs {
        let quorum = 2 * self.witnesses() / 3 + 1;
        Needs { signs: 1 + quorum, verifies: 3 * quorum + 1, hashes: 2 * (quorum + 2) - 1 }
    }

    /// Seconds of one certified transfer, over so many. Balances are checked behind them.
    pub(super) fn transfers(&mut self, count: usize) -> Result<f64, Error> {
        let (seconds, result) = timed(|| (0..count).try_for_each(|_| self.transfer()));
        result?;
        self.check()?;
        Ok(seconds / count.max(1) as f64)
    }

    /// One owner pays the next; what the one before paid it is received on the way.
    fn transfer(&mut self) -> Result<(), Error> {
        let (from, to) = (&self.owners[self.next % OWNERS], &self.owners[(self.next + 1) % OWNERS]);
        self.next += 1;
        let (payer, payee) = (from.account(), to.account());
        let action = pay(payee, AMOUNT_UCREDITS);
        let network = self.ledger.network().clone();
        let op = self.ledger.draft(&payer, action, NOW).map_err(wrong)?.sign(network.id(), from);
        let mut collector = Collector::new(*network.id(), op.op.id(network.id()), network.committee(NOW));
        for witness in &mut self.witnesses {
            let unsent = witness.consider_op(&self.ledger, &op, NOW).map_err(|r| wrong(r.refusal))?;
            collector.add(&unsent.stored()).map_err(wrong)?;
            if collector.certificate().is_some() {
                break;
            }
        }
        let certificate = collector.certificate().ok_or_else(|| Error::Wrong("no quorum".into()))?.clone();
        let merged = self.ledger.merge([Record::op(&network, op, certificate)], Check::Signatures);
        if merged.added != 1 {
            return Err(Error::Wrong(format!("a certified transfer was not added: {merged:?}")));
        }
        *self.model.entry(payer).or_default() -= AMOUNT_UCREDITS;
        *self.model.entry(payee).or_default() += AMOUNT_UCREDITS;
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        check(&self.ledger, &self.model)
    }
}

/// Holds a ledger to what everyone should have, and to the invariants.
pub(super) fn check(ledger: &Ledger, model: &BTreeMap<AccountId, u64>) -> Result<(), Error> {
    for (account, &expected) in model {
        let balance = ledger.balance(account);
        let found = balance.available + balance.pending;
        if found != expected {
            return Err(Error::Wrong(format!("{account} has {found} micro-credits, not {expected}")));
        }
    }
    let sum = ledger.totals().sum();
    if sum != i128::from(GENESIS) {
        return Err(Error::Wrong(format!("there are {sum} micro-credits, not {GENESIS}")));
    }
    ledger.check_invariants().map_err(|broken| Error::Wrong(broken.to_string()))
}

/// Founders and witnesses by number.
pub(super) fn network(founders: usize, witnesses: usize) -> Arc<Network> {
    let allocation = |n: usize| Allocation {
        account: key(n).account(),
        available_ucredits: START_UCREDITS,
        staked_ucredits: 0,
    };
    let mut allocations: Vec<Allocation> = (0..founders).map(allocation).collect();
    allocations.sort_by_key(|a| a.account);
    let mut committee: Vec<(AccountId, u32)> =
        (0..witnesses).map(|n| (key(WITNESS + n).account(), 1)).collect();
    committee.sort();
    let treasury = key(TREASURY).account();
    let founding = Founding { name: "bench".into(), treasury, allocations, witnesses: committee };
    Arc::new(Network::new(founding).expect("a network of these"))
}

/// Keys by number.
pub(super) fn key(number: usize) -> SecretKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    SecretKey::from_seed(seed)
}

pub(super) fn pay(to: AccountId, amount_ucredits: u64) -> Action {
    Action::Transfer { outs: vec![out(to, amount_ucredits)] }
}

pub(super) fn out(to: AccountId, amount_ucredits: u64) -> Out {
    Out { to, amount_ucredits, reason: Reason::Payment, reference: Id::ZERO }
}

pub(super) fn wrong(refusal: Refusal) -> Error {
    Error::Wrong(refusal.to_string())
}

/// What founders start with.
pub(super) const START_UCREDITS: u64 = 1_000 * MICRO;
/// The epoch of everything.
pub(super) const NOW: u64 = 100;
/// The first witness's key.
pub(super) const WITNESS: usize = 1 << 20;
const TREASURY: usize = 1 << 21;
const OWNERS: usize = 200;
const AMOUNT_UCREDITS: u64 = 5;
