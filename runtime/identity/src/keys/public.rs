use std::fmt;

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::VerifyingKey;
use thiserror::Error;

use super::{AccountId, Signature};

/// A key that verifies, decompressed once.
///
/// It has the one canonical encoding of a point that is not of low order, so accounts are equal exactly where their keys
/// are, and nobody can make a signature that verifies under a key nobody holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Checks and decompresses a key.
    ///
    /// # Errors
    /// [`KeyError`] says which rule it breaks.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let point = CompressedEdwardsY(*bytes).decompress().ok_or(KeyError::NotOnCurve)?;
        let key = VerifyingKey::from(point);
        // Compression gives the canonical form: y below p, and no sign where x is zero.
        if key.as_bytes() != bytes {
            return Err(KeyError::NonCanonical);
        }
        if key.is_weak() { Err(KeyError::LowOrder) } else { Ok(PublicKey(key)) }
    }

    /// The account whose key this is.
    pub fn account(&self) -> AccountId {
        AccountId::from_bytes(self.0.to_bytes())
    }

    /// Whether the holder of this key signed `message`, by the strict rules: `S` below the group order, `R` canonical and
    /// not of low order, the equation without cofactor.
    ///
    /// # Errors
    /// One value, whatever is wrong.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        self.0.verify_strict(message, &signature).map_err(|_| BadSignature)
    }

    pub(super) fn of(key: VerifyingKey) -> Self {
        PublicKey(key)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.account())
    }
}

/// Why 32 bytes are no key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// No point of the curve has this y.
    #[error("the key is not a point of the curve")]
    NotOnCurve,
    /// A second spelling of a point: y of p or more, or a sign where x is zero.
    #[error("the key is not canonically encoded")]
    NonCanonical,
    /// One of the eight points that verify signatures nobody made.
    #[error("the key is of low order")]
    LowOrder,
}

/// The signature is not that of this key for this message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the signature does not belong to this key and message")]
pub struct BadSignature;
