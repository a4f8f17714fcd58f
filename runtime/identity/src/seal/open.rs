use std::fmt;

use super::{
    Assignment, OpenError, OpenGuard, PayloadCommit, ResultKey, SealedPayload, WrappedKey, padding::Content,
};
use crate::Prekeys;

/// What a worker gets for one assignment. The assignment, the commitment and the expiry are those of the public envelope.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// What it is bound to.
    pub assignment: &'a Assignment,
    /// The envelope's commitment to the plaintext.
    pub commit: &'a PayloadCommit,
    /// The last epoch it opens in. Nothing here vouches for it but the caller, who takes it from the envelope.
    pub expiry_epoch: u64,
    /// The payload key, wrapped for this worker.
    pub key: &'a WrappedKey,
    /// The payload.
    pub payload: &'a SealedPayload,
}

/// A payload that opened, and the key for its result. Zeroised on drop.
pub struct Opened {
    content: Content,
    result_key: ResultKey,
}

impl Opened {
    /// The plaintext.
    pub fn plain(&self) -> &[u8] {
        self.content.plain()
    }

    /// With the plaintext it opens the commitment to others.
    pub fn salt(&self) -> &[u8; 32] {
        self.content.head().try_into().expect("the head is the salt")
    }

    /// The key to seal the result with.
    pub fn result_key(&self) -> &ResultKey {
        &self.result_key
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} bytes)", self.plain().len())
    }
}

/// Opens a delivery, once, in this epoch. Only success changes the ring (a use) and the guard (an opening).
///
/// The cheap checks come first: replay and expiry, the submitter's signature, then the exchange, then the payload.
///
/// # Errors
/// [`OpenError`], whatever is wrong; no plaintext is left behind.
pub fn open(
    prekeys: &mut Prekeys,
    guard: &mut OpenGuard,
    delivery: &Delivery<'_>,
    epoch: u64,
) -> Result<Opened, OpenError> {
    let Delivery { assignment, commit, expiry_epoch, key, payload } = *delivery;
    let epoch = guard.check(assignment, expiry_epoch, epoch)?;
    let (payload_key, result_key) = key.unwrap_key(assignment, prekeys, epoch)?;
    let content = payload.open(&payload_key, &assignment.envelope, commit)?;
    let last_epoch = prekeys.last_epoch(key.prekey).ok_or(OpenError)?;
    guard.remember(assignment, last_epoch.max(expiry_epoch));
    prekeys.count_use(key.prekey);
    Ok(Opened { content, result_key })
}
