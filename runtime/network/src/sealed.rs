//! How a task is sealed, what its key is, and how a result's tag is made. Submitter, worker and whoever checks a known
//! answer take it from here, so that there is one form.
//!
//! ```text
//! k_task = HMAC-SHA-256(salt, "edgenet/task-key/v1" || task)
//! tag    = HMAC-SHA-256(k_task, "edgenet/tag/v1" || model (32) || numerics (u32) || bytes of the result (u64) || result)
//! ```
//! Numbers are little-endian. The salt lies in the sealed payload and opens the envelope's commitment, so one payload has
//! one key, and neither a relay nor a bystander knows it. The model's file and the version of the numerics are those of the
//! envelope: two workers that ran different ones never meet in one vote.

use hmac::{Hmac, KeyInit, Mac};
use identity::{
    AccountId, Assignment, DecodeError, OpenError, Payload, PayloadKey, Random, ResultKey, SealError,
    SealedPayload, SealedResult, SecretKey, SignedPrekey, WrappedKey,
    aead::{CHUNK_BYTES, HEADER_BYTES, TAG_BYTES},
    seal::{MAX_PLAIN_BYTES, SALT_BYTES, envelope_hash as hash_of, padded_bytes},
};
use ledger::Id;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{verify::unit::Tag, wire::Envelope};

/// The key that a task's tags are made with. **A secret** of the submitter and its workers.
pub struct TaskKey(Zeroizing<[u8; 32]>);

impl TaskKey {
    /// The key of a task whose payload has this salt.
    pub fn of(salt: &[u8; SALT_BYTES], task: &Id) -> Self {
        let mac = mac(salt).chain_update(KEY_DOMAIN).chain_update(task.as_bytes());
        TaskKey(Zeroizing::new(mac.finalize().into_bytes().into()))
    }

    /// The tag of a canonical result.
    pub fn tag(&self, envelope: &Envelope, result: &[u8]) -> Tag {
        let mac = mac(&self.0)
            .chain_update(TAG_DOMAIN)
            .chain_update(envelope.model.as_bytes())
            .chain_update(envelope.numerics.to_le_bytes())
            .chain_update((result.len() as u64).to_le_bytes())
            .chain_update(result);
        Tag::from_bytes(mac.finalize().into_bytes().into())
    }
}

/// A payload sealed by its submitter, and what it needs to hand it to workers and to open what they answer.
#[derive(Debug)]
pub struct Parcel {
    sealed: SealedPayload,
    key: PayloadKey,
}

impl Parcel {
    /// Seals a payload for the envelope that commits to it.
    ///
    /// # Errors
    /// [`SealError::Randomness`].
    pub fn seal(payload: &Payload, envelope: &Envelope, random: &mut Random<'_>) -> Result<Self, SealError> {
        let (sealed, key) = payload.seal(&envelope_hash(envelope), random)?;
        Ok(Parcel { sealed, key })
    }

    /// The sealed bytes, for any relay to carry.
    pub fn bytes(&self) -> &[u8] {
        self.sealed.encode()
    }

    /// The key for one assignment, and the key that its result comes under. The prekey is verified.
    ///
    /// # Errors
    /// Why nobody seals to this prekey.
    pub fn wrap(
        &self,
        assignment: &Assignment,
        submitter: &SecretKey,
        prekey: &SignedPrekey,
        epoch: u64,
        random: &mut Random<'_>,
    ) -> Result<(WrappedKey, ResultKey), SealError> {
        self.key.wrap(assignment, submitter, prekey, epoch, random)
    }
}

/// The hash of an envelope that all that is sealed for its task is bound to.
pub fn envelope_hash(envelope: &Envelope) -> [u8; 32] {
    hash_of(&postcard::to_allocvec(envelope).expect("an envelope has a length and no maps"))
}

/// One task in the hands of one worker.
pub fn assignment(
    network: &Id,
    task: &Id,
    envelope: &Envelope,
    number: u32,
    worker: &AccountId,
) -> Assignment {
    Assignment {
        network: *network.as_bytes(),
        task: *task.as_bytes(),
        number,
        submitter: envelope.submitter,
        worker: *worker,
        envelope: envelope_hash(envelope),
    }
}

/// The last epoch in which a task's payload opens: its whole life, and what two clocks may differ by.
pub fn expiry_epoch(envelope: &Envelope) -> u64 {
    let life_ms = u64::from(envelope.ttl_ms) + u64::from(envelope.timeout_ms);
    envelope.epoch.saturating_add(life_ms.div_ceil(EPOCH_MS) + CLOCKS_EPOCHS)
}

/// Bytes of a sealed payload of so many plain ones; `None` if it is longer than any may be.
pub fn payload_bytes(plain_bytes: usize) -> Option<u32> {
    sealed_bytes(SALT_BYTES, plain_bytes)
}

/// Bytes of a sealed result of so many plain ones; `None` if it is longer than any may be.
pub fn result_bytes(plain_bytes: usize) -> Option<u32> {
    sealed_bytes(0, plain_bytes)
}

/// What a reveal says of a sealed result.
pub fn result_hash(sealed: &[u8]) -> [u8; 32] {
    Sha256::digest(sealed).into()
}

/// Why a result is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// The bytes are no sealed result.
    #[error("the bytes are no sealed result: {0}")]
    Form(#[from] DecodeError),
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It opens, and is not what the workers agreed on.
    #[error("the result is not the one that was agreed on")]
    Tag,
}

/// Opens a result and checks that it is the one the workers agreed on.
///
/// # Errors
/// [`ResultError`].
pub fn open_result(
    key: &ResultKey,
    sealed: &[u8],
    task_key: &TaskKey,
    envelope: &Envelope,
    agreed: &Tag,
) -> Result<Vec<u8>, ResultError> {
    let result = key.open(&SealedResult::decode(sealed)?)?;
    if task_key.tag(envelope, &result) != *agreed {
        return Err(ResultError::Tag);
    }
    Ok(result.to_vec())
}

fn sealed_bytes(head_bytes: usize, plain_bytes: usize) -> Option<u32> {
    if plain_bytes > MAX_PLAIN_BYTES {
        return None;
    }
    let content = padded_bytes(head_bytes + LENGTH_BYTES + plain_bytes);
    u32::try_from(HEADER_BYTES + content + content.div_ceil(CHUNK_BYTES) * TAG_BYTES).ok()
}

fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("any length is a key's")
}

const KEY_DOMAIN: &[u8] = b"edgenet/task-key/v1";
const TAG_DOMAIN: &[u8] = b"edgenet/tag/v1";
/// The true length, before the plaintext.
const LENGTH_BYTES: usize = 8;
const EPOCH_MS: u64 = ledger::EPOCH_SECONDS * 1_000;
const CLOCKS_EPOCHS: u64 = 3;

#[cfg(test)]
mod tests;
