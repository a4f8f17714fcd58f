//! Expiries: that locks ran out undecided, certified apart from what their owner does.
//!
//! Witnesses sign one decision of a lock, so a decision that some of them signed and no quorum did may leave a lock undecided
//! for ever. As a record of its own that holds up the lock, and not its owner's chain.

use identity::AccountId;

use crate::{
    Id,
    op::read_version,
    rule::{Refusal, Rule, require},
    wire::{DecodeError, Reader, Writer},
};

/// Most locks of one expiry.
pub const MAX_EXPIRED: usize = 64;
/// A lock runs out so many epochs after its last: a decision of that one can still be certified.
pub const RESOLVE_GRACE_EPOCHS: u64 = 2;

/// Locks of one owner that ran out. Nobody signs it: anybody may propose it, and a certificate makes it count.
///
/// ```text
/// version 1 (u8) | owner (32) | epoch (u64) | locks: count (u8), then lock (32) each, ascending
/// ```
/// The id is `SHA-256("edgenet/expiry/v1" || network || bytes)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Whose locks.
    pub owner: AccountId,
    /// 1 to [`MAX_EXPIRED`] locks, ascending.
    pub locks: Vec<Id>,
    /// When it was proposed: more than [`RESOLVE_GRACE_EPOCHS`] after the last epoch of each lock.
    pub epoch: u64,
}

impl Expiry {
    /// The name of this expiry in a network.
    pub fn id(&self, network: &Id) -> Id {
        let mut bytes = Writer::with_capacity(42 + 32 * self.locks.len());
        self.write(&mut bytes);
        Id::hash("edgenet/expiry/v1", &[network.as_bytes(), &bytes.0])
    }

    /// What must hold of an expiry whatever its locks.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_alone(&self) -> Result<(), Refusal> {
        let few = (1..=MAX_EXPIRED).contains(&self.locks.len());
        require(Rule::ExpiryLocks, few && self.locks.is_sorted_by(|a, b| a < b))
    }

    /// Whether a lock with this last epoch has run out.
    pub fn is_due(&self, expiry_epoch: u64) -> bool {
        is_due(expiry_epoch, self.epoch)
    }

    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.write(&mut out);
        out.0
    }

    /// Reads what [`Expiry::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::whole(bytes, Expiry::read)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(crate::op::VERSION).account(&self.owner).u64(self.epoch).u8(self.locks.len() as u8);
        for lock in &self.locks {
            out.id(lock);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "expiry version")?;
        let (owner, epoch) = (reader.account("owner")?, reader.u64("epoch")?);
        let locks = reader.ascending(MAX_EXPIRED, "locks", |lock: &Id| *lock, |reader| reader.id("lock"))?;
        Ok(Expiry { owner, locks, epoch })
    }
}

/// Whether a lock with this last epoch has run out in an epoch.
pub(crate) fn is_due(expiry_epoch: u64, epoch: u64) -> bool {
    epoch > expiry_epoch.saturating_add(RESOLVE_GRACE_EPOCHS)
}
