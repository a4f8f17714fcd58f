//! An account in the hands of an owner who keeps no ledger.

use std::collections::BTreeMap;

use identity::AccountId;
use thiserror::Error;

use crate::{
    DecodeError, Evidence, Id, Ledger, Network,
    account::{Account, Balance},
    draft::{draft_on, ready},
    op::{Action, LockKind, Op, Receive},
    rule::{Refusal, Rule, require},
};

/// One account, as a leaf of the state says it stands: its owner drafts on it what [`Ledger::draft`] would.
///
/// A leaf is somebody's word. An owner who is told of an old state drafts what every witness refuses, or signs another
/// operation for a seq it has signed for, which is a fork: it remembers the last seq it signed, whatever it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    account: AccountId,
    state: Account,
}

/// Why a leaf says nothing of an account.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LeafError {
    /// No leaf, or one with voided credits in it, which only contradictions leave.
    #[error("the leaf cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// It is of another account.
    #[error("the leaf is of {found}")]
    Account {
        /// Whose.
        found: AccountId,
    },
}

impl Holder {
    /// Reads a leaf; no bytes are the leaf of an account that nothing ever concerned.
    ///
    /// # Errors
    /// [`LeafError`].
    pub fn read(account: &AccountId, leaf: &[u8]) -> Result<Self, LeafError> {
        if leaf.is_empty() {
            return Ok(Holder { account: *account, state: Account::default() });
        }
        let (found, state) = Account::read_leaf(leaf)?;
        if found != *account {
            return Err(LeafError::Account { found });
        }
        Ok(Holder { account: found, state })
    }

    /// Whose it is.
    pub fn id(&self) -> &AccountId {
        &self.account
    }

    /// How it stands.
    pub fn account(&self) -> &Account {
        &self.state
    }

    /// What it holds.
    pub fn balance(&self) -> Balance {
        self.state.balance()
    }

    /// What its next operation would receive in an epoch: how many, and micro-credits in all.
    pub fn ready(&self, epoch: u64) -> (usize, u64) {
        let receives = ready(&self.state, epoch.max(self.state.last_epoch));
        let amount = |receive: &crate::op::Receive| {
            let paid = self.state.inbox.get(receive).map(|output| output.amount_ucredits);
            paid.or_else(|| self.state.locks.get(&receive.source).map(|lock| lock.terms.amount_ucredits))
        };
        let sum = receives.iter().filter_map(amount).fold(0, u64::saturating_add);
        (receives.len(), sum)
    }

    /// The account's next operation, as [`Ledger::draft`] makes it of the same state.
    ///
    /// # Errors
    /// The rule that the action would break; [`Rule::NotFrozen`] of an account that no witness signs for.
    pub fn draft(&self, network: &Network, action: Action, epoch: u64) -> Result<Op, Refusal> {
        require(Rule::NotFrozen, !self.state.frozen)?;
        let op = draft_on(network, &self.account, &self.state, action, epoch)?;
        if self.account == *network.treasury() {
            crate::justify::treasury(network, &op, &Evidence::default())?;
        }
        Ok(op)
    }

    /// Whether the account's chain ends with this operation.
    pub fn ends_with(&self, seq: u64, op: &Id) -> bool {
        self.state.head == *op && self.state.next_seq.checked_sub(1) == Some(seq)
    }
}

impl Ledger {
    /// The leaf of an account: all that its next operation can depend on. Empty if nothing ever concerned it.
    pub fn leaf(&self, account: &AccountId) -> Vec<u8> {
        let leaf = |state: &Account| state.leaf(account, self.is_frozen(account), &self.taken(account));
        self.account(account).map(leaf).unwrap_or_default()
    }

    /// The leaf of an account within a bound of bytes, as far as leaving out can keep it there: judgements go, rewards that
    /// are not to be received yet, and of what is to be received all but what one operation takes. Drafts of this epoch on
    /// it are those on the whole leaf; sums of what is locked and pending fall short of the true ones. The second is whether it is whole.
    pub fn leaf_within(&self, account: &AccountId, epoch: u64, most_bytes: usize) -> (Vec<u8>, bool) {
        let leaf = self.leaf(account);
        if leaf.len() <= most_bytes {
            return (leaf, true);
        }
        let mut short = self.account(account).cloned().unwrap_or_default();
        let ready = ready(&short, epoch.max(short.last_epoch));
        let named = |lock: &Id| ready.contains(&Receive::expired(*lock));
        short.judgements.clear();
        short.locks.retain(|id, lock| lock.terms.kind != LockKind::PayoutLock || named(id));
        let taken: Vec<_> = short
            .inbox
            .iter()
            .filter(|(receive, _)| ready.contains(receive))
            .map(|(r, o)| (*r, *o))
            .collect();
        short.inbox = taken.into_iter().collect::<BTreeMap<_, _>>().into();
        (short.leaf(account, self.is_frozen(account), &self.taken(account)), false)
    }
}
