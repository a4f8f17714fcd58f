//! Who a node is, and how it speaks in private: Ed25519 accounts, signed X25519 prekeys, sealing, key backup.
//!
//! Pure: randomness, time and bytes are arguments; nothing here reads a clock, a file or an entropy source.

pub mod aead;
mod keys;
#[cfg(test)]
mod testing;

pub use keys::{AccountId, AccountIdError, BadSignature, KeyError, PublicKey, SecretKey, Signature};

/// Fills a buffer with unpredictable bytes.
pub type Random<'a> = dyn FnMut(&mut [u8]) + 'a;
