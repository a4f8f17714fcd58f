use std::fmt;

use thiserror::Error;

use super::{AHEAD_EPOCHS, ERASE_EPOCHS};
use crate::{
    AccountId, DecodeError, PublicKey, SecretKey, Signature,
    bytes::{Reader, hash},
};

/// Names a prekey: the first bytes of a hash of its public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrekeyId([u8; 8]);

impl PrekeyId {
    /// The name of a public key.
    pub fn of(public: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = hash(&[ID_DOMAIN, public]);
        PrekeyId([a, b, c, d, e, f, g, h])
    }

    /// The name of these bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        PrekeyId(bytes)
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Debug for PrekeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrekeyId({:016x})", u64::from_be_bytes(self.0))
    }
}

/// A prekey as others see it.
///
/// ```text
/// version 1 | account (32) | id (8) | public (32) | epoch (8) | signature (64)
/// ```
/// The signature is over `"edgenet/prekey/v1"` and the bytes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedPrekey {
    /// Whose key this is.
    pub account: AccountId,
    /// Its name.
    pub id: PrekeyId,
    /// The X25519 public key.
    pub public: [u8; 32],
    /// When it was made.
    pub epoch: u64,
    /// The account's signature.
    pub signature: Signature,
}

impl SignedPrekey {
    /// Signs a public key.
    pub(super) fn sign(identity: &SecretKey, public: [u8; 32], epoch: u64) -> Self {
        let signature = Signature::from_bytes([0; 64]);
        let id = PrekeyId::of(&public);
        let mut signed = SignedPrekey { account: identity.account(), id, public, epoch, signature };
        signed.signature = identity.sign(&signed.message());
        signed
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; PREKEY_BYTES] {
        let mut bytes = [0; PREKEY_BYTES];
        bytes[..BODY_BYTES].copy_from_slice(&self.body());
        bytes[BODY_BYTES..].copy_from_slice(self.signature.as_bytes());
        bytes
    }

    /// Reads [`SignedPrekey::encode`]; says nothing about the signature.
    ///
    /// # Errors
    /// Another length or version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::exact("a signed prekey", bytes, VERSION, PREKEY_BYTES)?;
        Ok(SignedPrekey {
            account: AccountId::from_bytes(reader.array()?),
            id: PrekeyId(reader.array()?),
            public: reader.array()?,
            epoch: reader.number_u64()?,
            signature: Signature::from_bytes(reader.array()?),
        })
    }

    /// Whether one may seal to this key in this epoch.
    ///
    /// # Errors
    /// [`PrekeyError`] says why not.
    pub fn verify(&self, epoch: u64) -> Result<(), PrekeyError> {
        if self.epoch > epoch.saturating_add(AHEAD_EPOCHS) {
            return Err(PrekeyError::Ahead { made: self.epoch, epoch });
        }
        if epoch.saturating_sub(self.epoch) >= ERASE_EPOCHS {
            return Err(PrekeyError::Expired { made: self.epoch, epoch });
        }
        let key = self.account.public_key().map_err(|_| PrekeyError::Signature)?;
        self.verify_signature(&key)
    }

    pub(super) fn verify_signature(&self, key: &PublicKey) -> Result<(), PrekeyError> {
        if self.id != PrekeyId::of(&self.public) {
            return Err(PrekeyError::Id);
        }
        key.verify(&self.message(), &self.signature).map_err(|_| PrekeyError::Signature)
    }

    fn message(&self) -> Vec<u8> {
        [DOMAIN, &self.body()].concat()
    }

    fn body(&self) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        body[0] = VERSION;
        body[1..33].copy_from_slice(self.account.as_bytes());
        body[33..41].copy_from_slice(&self.id.0);
        body[41..73].copy_from_slice(&self.public);
        body[73..].copy_from_slice(&self.epoch.to_be_bytes());
        body
    }
}

/// Why nobody seals to a prekey.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PrekeyError {
    /// Its secret is erased.
    #[error("the prekey of epoch {made} is erased in epoch {epoch}")]
    Expired {
        /// When it was made.
        made: u64,
        /// The epoch asked for.
        epoch: u64,
    },
    /// It was made in an epoch that has not come.
    #[error("the prekey is of epoch {made}, which is after epoch {epoch}")]
    Ahead {
        /// When it says it was made.
        made: u64,
        /// The epoch asked for.
        epoch: u64,
    },
    /// Its name is not that of its public key.
    #[error("the id is not that of this public key")]
    Id,
    /// The account did not sign it.
    #[error("the account did not sign this prekey")]
    Signature,
}

/// Bytes of an encoded prekey.
pub const PREKEY_BYTES: usize = BODY_BYTES + 64;

const BODY_BYTES: usize = 1 + 32 + 8 + 32 + 8;
const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"edgenet/prekey/v1";
const ID_DOMAIN: &[u8] = b"edgenet/prekey-id/v1";
