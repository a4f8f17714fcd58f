//! Snapshots: the leaves behind a certified checkpoint, from which a ledger goes on without the operations before it.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    Checkpoint, GENESIS, Id, Ledger, Network, Record, Refusal,
    account::{Account, leaf_hash},
    merkle,
    op::MAX_LOCK_EPOCHS,
    record::Certified,
    set::Effect,
    state::{State, Totals},
    wire::DecodeError,
};

/// Why a ledger cannot go on from a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// The witnesses did not certify the checkpoint.
    #[error("the checkpoint is not certified: {0}")]
    Refusal(#[from] Refusal),
    /// A leaf is not canonical.
    #[error("a leaf is damaged: {0}")]
    Decode(#[from] DecodeError),
    /// The leaves, or the ledger's state, do not have the checkpoint's root.
    #[error("the state does not have the root that the checkpoint certifies")]
    Root,
    /// The set contradicts itself: what is void and who is a debtor needs the operations.
    #[error("certificates contradict each other: the operations behind them are kept")]
    Contradictions,
    /// The accounts hold more than there is.
    #[error("the leaves hold more credits than there are")]
    TooMuch,
}

impl Ledger {
    /// The leaves of every account in ascending order: with a certified checkpoint of their root, all that a ledger needs.
    pub fn leaves(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.accounts().map(|(id, account)| account.leaf(id, self.is_frozen(id), &self.taken(id)))
    }

    /// A ledger that goes on from a certified checkpoint and the leaves behind it.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn from_snapshot(
        network: Arc<Network>,
        checkpoint: &Arc<Certified<Checkpoint>>,
        leaves: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Self, SnapshotError> {
        Record::Checkpoint(checkpoint.clone()).check(&network)?;
        let leaves: Vec<Vec<u8>> = leaves.into_iter().collect();
        let hashes: Vec<[u8; 32]> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let value = &checkpoint.value;
        if leaves.len() as u64 != value.accounts || Id::from_bytes(merkle::root(&hashes)) != value.root {
            return Err(SnapshotError::Root);
        }
        let mut state = State::empty(*network.treasury());
        state.compute = value.compute.into();
        let mut last = None;
        for leaf in &leaves {
            let (id, account) = Account::read_leaf(leaf)?;
            if last.replace(id).is_some_and(|last| last >= id) {
                return Err(DecodeError::Order { what: "leaves" }.into());
            }
            *state.accounts.get_or_default(&id) = account;
        }
        state.totals = totals(&state).ok_or(SnapshotError::TooMuch)?;
        let mut ledger = Ledger::on(network, state);
        ledger.merge([Record::Checkpoint(checkpoint.clone())], crate::Check::Nothing);
        Ok(ledger)
    }

    /// Drops the operations and resolves behind a certified checkpoint of this very state. Checkpoints and what does not
    /// count yet stay.
    ///
    /// # Errors
    /// [`SnapshotError`]; the ledger is unchanged.
    pub fn prune(&mut self, checkpoint: &Arc<Certified<Checkpoint>>) -> Result<(), SnapshotError> {
        if self.set().contradictions {
            return Err(SnapshotError::Contradictions);
        }
        let network = self.network().clone();
        let mut pruned = Ledger::from_snapshot(network, checkpoint, self.leaves())?;
        let epoch = checkpoint.value.epoch;
        let kept: Vec<Record> = self.records().filter(|record| self.is_open(record, epoch)).collect();
        for (id, held) in &self.set().resolves {
            let due = held.record.value.resolve.epoch.saturating_add(BONUS_DUE_EPOCHS) >= epoch;
            if let (true, Effect::Applied { appointed } | Effect::Behind { appointed }) = (due, held.effect) {
                pruned.remember(id, appointed, &held.record);
            }
        }
        pruned.merge(kept, crate::Check::Makers);
        *self = pruned;
        Ok(())
    }

    /// Whether a record has a say in what comes after an epoch. A resolve without effect is dropped when no lock it could be
    /// of is open any more.
    fn is_open(&self, record: &Record, epoch: u64) -> bool {
        match record {
            Record::Op(r) => {
                self.account(&r.value.op.account).is_none_or(|account| r.value.op.seq >= account.next_seq)
            }
            Record::Resolve(r) => {
                let last = r.value.resolve.epoch.saturating_add(MAX_LOCK_EPOCHS);
                !self.counts(&r.id) && last >= epoch
            }
            // What it marked is in the leaves; the rest may still come.
            Record::Expiry(r) => {
                let last = r.value.epoch.saturating_add(MAX_LOCK_EPOCHS);
                !self.is_spent(&r.id) && last >= epoch
            }
            Record::Checkpoint(_) | Record::Proof(_) => true,
        }
    }
}

/// The treasury pays what follows from a resolve within a day of it.
const BONUS_DUE_EPOCHS: u64 = 1_440;

/// Totals of a state without verdicts. What the accounts do not hold is burned.
fn totals(state: &State) -> Option<Totals> {
    let mut totals = Totals::default();
    for (id, account) in state.accounts.iter() {
        let purse = if *id == state.treasury { &mut totals.treasury } else { &mut totals.available };
        *purse += u128::from(account.available_ucredits);
        totals.staked += u128::from(account.staked_ucredits);
        totals.locked += account.locks.values().map(|lock| lock.backed()).sum::<u128>();
        totals.in_flight += account.inbox.values().map(|o| u128::from(o.amount_ucredits)).sum::<u128>();
    }
    let held = u128::try_from(totals.sum()).ok()?;
    totals.burned = u128::from(GENESIS).checked_sub(held)?;
    Some(totals)
}
