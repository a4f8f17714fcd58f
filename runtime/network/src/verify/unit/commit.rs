//! A worker binds itself to a result before anyone shows one.

use std::fmt;

use identity::AccountId;
use ledger::Id;

/// The keyed hash of a canonical result, HMAC-SHA-256 under a key that only submitter and workers hold. Equal tags of one
/// task mean equal results.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag([u8; 32]);

impl Tag {
    /// A tag of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Tag(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a worker shows after everyone is bound. Replicas are added one at a time, so a relay keeps reveals to itself until the
/// task is decided: a worker that joins later could copy them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reveal {
    /// Of the result.
    pub tag: Tag,
    /// SHA-256 of the sealed result.
    pub ciphertext: [u8; 32],
    /// So that nobody finds the tag by trying.
    pub nonce: [u8; 32],
}

impl Reveal {
    /// The commit of this reveal:
    /// `SHA-256("edgenet/commit/v1" || task || assignment || worker || tag || SHA-256(ciphertext) || nonce)`. It names the
    /// worker, so a copied commit opens for nobody else.
    pub fn commit(&self, task: &Id, assignment: &Id, worker: &AccountId) -> Id {
        let parts: [&[u8]; 6] = [
            task.as_bytes(),
            assignment.as_bytes(),
            worker.as_bytes(),
            &self.tag.0,
            &self.ciphertext,
            &self.nonce,
        ];
        Id::hash("edgenet/commit/v1", &parts)
    }
}
