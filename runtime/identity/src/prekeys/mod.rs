//! X25519 prekeys: what a submitter seals to (the idea is Signal's X3DH).
//!
//! HPKE alone has no forward secrecy on the receiver's side (RFC 9180, section 9.7.4): who takes the worker's key opens
//! all that was ever sealed to it. So a worker makes a key of its own each day, signs it with its account, and erases the
//! secret after two; keys are drawn, never derived from the account's key.

mod ring;
mod signed;
#[cfg(test)]
mod tests;

pub use ring::{MAX_PREKEYS, Prekeys};
pub use signed::{PREKEY_BYTES, PrekeyError, PrekeyId, SignedPrekey};

/// A prekey of any public key, signed as a worker who lies would.
#[cfg(test)]
pub(crate) fn signed_for_test(identity: &crate::SecretKey, public: [u8; 32], epoch: u64) -> SignedPrekey {
    SignedPrekey::sign(identity, public, epoch)
}

/// A key is current for this long: 24 hours.
pub const ROTATE_EPOCHS: u64 = 1_440;
/// A key is current for this many payloads.
pub const ROTATE_USES: u32 = 1_000;
/// A key's secret lives for this long, counted from its making: 48 hours.
pub const ERASE_EPOCHS: u64 = 2_880;
/// How far the maker's epoch may be ahead of the reader's.
pub const AHEAD_EPOCHS: u64 = 5;
