//! What somebody may have to prove to a third party.

use identity::{AccountId, SecretKey, Signature};
use ledger::Id;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::fields;

/// A value that one account signs.
pub trait Signable: Serialize {
    /// What its id's hash begins with.
    const DOMAIN: &'static str;

    /// Who signs it.
    fn signer(&self) -> &AccountId;

    /// Its name in a network: `SHA-256(domain || network || postcard bytes)`. The signature is over the name.
    fn id(&self, network: &Id) -> Id {
        let bytes = postcard::to_allocvec(self).expect("what is signed has a length and no maps");
        Id::hash(Self::DOMAIN, &[network.as_bytes(), &bytes])
    }
}

/// A value with its signer's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// The value.
    pub value: T,
    /// The signature over its id.
    #[serde(with = "fields::signature")]
    pub signature: Signature,
}

/// The signature is not the signer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not signed by {signer}")]
pub struct NotSigned {
    /// Who should have.
    pub signer: AccountId,
}

impl<T: Signable> Signed<T> {
    /// Signs a value.
    ///
    /// # Panics
    /// If the key is not the signer's: nobody else can.
    pub fn sign(value: T, network: &Id, key: &SecretKey) -> Self {
        assert_eq!(*value.signer(), key.account(), "signed by another than its signer");
        let signature = key.sign(value.id(network).as_bytes());
        Signed { value, signature }
    }

    /// The value's id, if its signer signed it.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn check(&self, network: &Id) -> Result<Id, NotSigned> {
        let (id, signer) = (self.value.id(network), *self.value.signer());
        let key = signer.public_key().map_err(|_| NotSigned { signer })?;
        key.verify(id.as_bytes(), &self.signature).map_err(|_| NotSigned { signer })?;
        Ok(id)
    }
}
