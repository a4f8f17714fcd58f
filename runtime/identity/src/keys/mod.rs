//! Ed25519 accounts (RFC 8032), with the strict rules money needs.
//!
//! A key has one encoding and is not weak, or it is no key here; a signature verifies by `verify_strict`. So two nodes
//! never disagree about a signature, and no one signs for a key he does not hold.

mod account;
mod public;
mod secret;
mod signature;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;

pub use account::{AccountId, AccountIdError};
pub use public::{BadSignature, KeyError, PublicKey};
pub use secret::SecretKey;
pub use signature::Signature;
