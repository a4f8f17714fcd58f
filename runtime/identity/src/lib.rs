//! Who a node is, and how it speaks in private: Ed25519 accounts, signed X25519 prekeys, sealing, key backup.
//!
//! Pure: randomness, time and bytes are arguments; nothing here reads a clock, a file or an entropy source. Time is an
//! epoch of 60 seconds. The primitives are kept crates; this crate says what is bound to what.
//!
//! | part | what lives there |
//! |---|---|
//! | [`SecretKey`], [`PublicKey`], [`AccountId`], [`Signature`] | accounts: one encoding, no weak keys, strict signatures, readable ids |
//! | [`aead`] | AES-256-GCM, one message or 64 KiB chunks |
//! | [`prekeys`] | X25519 keys that a worker signs, rotates and erases |
//! | [`seal`] | a task's payload sealed once, its key wrapped for each worker, the result sealed back |
//! | [`backup`] | a seed under a passphrase |
//!
//! Invariants, each with the test that holds it:
//! - No weak, non-canonical or off-curve key becomes a [`PublicKey`]; a changed signature never verifies (`keys/tests.rs`).
//! - No change of one bit, cut, exchange of worker or task, or replay of anything sealed opens (`seal/tests/`).
//! - Whatever fails to open gives one value, [`OpenError`], and no plaintext.
//! - A prekey's secret is gone 48 hours after it was made, and no prekey comes from the account's key (`prekeys/tests.rs`).
//! - Every decoder checks lengths before it allocates, and no bytes make it panic: `decode` of [`SignedPrekey`],
//!   [`Prekeys`], [`WrappedKey`], [`SealedPayload`], [`SealedResult`], [`OpenGuard`], and [`backup::import`].

pub mod aead;
pub mod backup;
mod bytes;
mod keys;
pub mod prekeys;
pub mod seal;
mod suite;
#[cfg(test)]
mod testing;

pub use bytes::DecodeError;
pub use keys::{AccountId, AccountIdError, BadSignature, KeyError, PublicKey, SecretKey, Signature};
pub use prekeys::{PrekeyError, PrekeyId, Prekeys, SignedPrekey};
pub use seal::{
    Assignment, Delivery, OpenError, OpenGuard, Opened, Payload, PayloadCommit, PayloadKey, ResultKey,
    SealError, SealedPayload, SealedResult, WrappedKey,
};

/// Fills a buffer with unpredictable bytes.
pub type Random<'a> = dyn FnMut(&mut [u8]) + 'a;
