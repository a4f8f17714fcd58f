use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

use super::{AccountId, PublicKey, Signature};
use crate::Random;

/// The key of an account. Zeroised on drop, never printed.
///
/// It does not clone: one account has one writer. A second copy is made on purpose, from [`SecretKey::seed`].
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a seed; the caller's copy stays the caller's to erase.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        SecretKey(SigningKey::from_bytes(&seed))
    }

    /// A key from unpredictable bytes.
    pub fn generate(random: &mut Random<'_>) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random(&mut *seed);
        SecretKey(SigningKey::from_bytes(&seed))
    }

    /// The seed: **the secret itself**. Whoever reads it is the account; it leaves this process only through
    /// a backup, or a file nobody else reads.
    pub fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Signs a message; the same message always gives the same signature (RFC 8032).
    ///
    /// Messages start with a prefix of their kind, so that no signature serves for two kinds.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(message).to_bytes())
    }

    /// The key that verifies.
    pub fn public(&self) -> PublicKey {
        PublicKey::of(self.0.verifying_key())
    }

    /// The account this key speaks for.
    pub fn account(&self) -> AccountId {
        self.public().account()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.account())
    }
}
