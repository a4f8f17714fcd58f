//! A task's payload on its way to its workers, and the result on its way back.
//!
//! ```text
//! submitter   Payload::new -> commit goes into the public envelope -> Payload::seal     once per task
//!             PayloadKey::wrap                                                          once per assigned worker
//! worker      open -> plaintext, ResultKey -> ResultKey::seal
//! submitter   ResultKey::open
//! ```
//!
//! - The payload is sealed once, with a key of its own, by the chunks of [`crate::aead`]; what is sealed is
//!   padded, salted plaintext (see [`padded_bytes`]).
//! - The key is wrapped per worker by HPKE base mode (RFC 9180), DHKEM(X25519, HKDF-SHA256) / HKDF-SHA256 /
//!   AES-256-GCM, to a prekey the worker signed. `info` is `version 1 || network || task || assignment number ||
//!   submitter || worker || prekey id || epoch`; `aad` of both is the hash of the public envelope.
//! - Base mode says nothing about the sender, so the submitter signs
//!   `"edgenet/seal/v1" || submitter || worker || SHA-256(enc) || SHA-256(ct) || task` (section 9.1.1).
//! - The key of the result is the HPKE export `"edgenet/result/v1"` of the same context (section 9.8).
//! - After opening, the plaintext must be what the envelope's commitment says. So no submitter gives two workers different
//!   inputs, and no fellow worker, who knows the payload key too, passes off another payload.
//!
//! Whatever fails gives one value, [`OpenError`]. **This hides data from relays and bystanders, not from the assigned
//! worker.**

mod guard;
mod open;
mod padding;
mod payload;
mod result;
#[cfg(test)]
mod tests;
mod wrap;

use thiserror::Error;

pub use guard::{MAX_REMEMBERED, OpenGuard};
pub use open::{Delivery, Opened, open};
pub use padding::padded_bytes;
pub use payload::{
    MAX_PLAIN_BYTES, Payload, PayloadCommit, PayloadKey, SALT_BYTES, SealedPayload, payload_commit,
};
pub use result::{ResultKey, SealedResult};
pub use wrap::{WRAPPED_KEY_BYTES, WrappedKey};

use crate::{AccountId, PrekeyError, bytes::hash, suite::SuiteError};

/// One task in the hands of one worker: what sealed bytes are bound to. All of it is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The network's id.
    pub network: [u8; 32],
    /// The task's id.
    pub task: [u8; 32],
    /// Which assignment of the task this is.
    pub number: u32,
    /// Who pays and seals.
    pub submitter: AccountId,
    /// Who opens and works.
    pub worker: AccountId,
    /// [`envelope_hash`] of the task's public envelope.
    pub envelope: [u8; 32],
}

/// The hash of a public envelope's canonical bytes: `SHA-256("edgenet/envelope/v1" || bytes)`.
pub fn envelope_hash(canonical: &[u8]) -> [u8; 32] {
    hash(&[b"edgenet/envelope/v1", canonical])
}

/// It does not open. A wrong key, tag, header, signature, commitment or padding, an unknown prekey, a replay: one value for
/// all, so that it tells an attacker nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the sealed data does not open")]
pub struct OpenError;

/// Why data is not sealed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// More than [`MAX_PLAIN_BYTES`].
    #[error("{found} bytes to seal, at most {MAX_PLAIN_BYTES}")]
    TooLong {
        /// Bytes given.
        found: usize,
    },
    /// The prekey is another worker's.
    #[error("the prekey is not one of the assigned worker")]
    Worker,
    /// The signing key is another account's.
    #[error("the signing key is not the submitter's")]
    Submitter,
    /// The prekey is not to be used.
    #[error("the prekey cannot be used")]
    Prekey(#[from] PrekeyError),
    /// The prekey is a point of low order: the shared secret would be everybody's.
    #[error("the prekey is of low order")]
    LowOrder,
    /// The source of randomness gave only zeros.
    #[error("no randomness")]
    Randomness,
}

impl From<SuiteError> for SealError {
    fn from(error: SuiteError) -> Self {
        match error {
            SuiteError::ZeroShared => SealError::LowOrder,
            SuiteError::Randomness => SealError::Randomness,
        }
    }
}
