//! What an edge finds again when it starts.
//!
//! | table | key | value |
//! |---|---|---|
//! | `own` | as [`ledger::keep::put_own`] | every operation it signed |
//! | `meta` | as [`ledger::keep::put_own_head`] | which of them was the last |
//! | `meta` | `prekeys`, account | the ring of prekeys, sealed under the account's key |
//! | `meta` | `guard`, account, shelf (u8) | what was opened ([`crate::worker::Guards`]) |
//! | `meta` | `claims`, account | claim numbers up to this one may have been given out (u64 big-endian) |

use hmac::{Hmac, KeyInit, Mac};
use identity::{
    AccountId, DecodeError, Prekeys, Random, SecretKey,
    aead::{Key, Portable, open_stream, seal_stream},
};
use ledger::{
    keep::KeepError,
    op::SignedOp,
    store::{Batch, Store, StoreError, Table},
};
use sha2::Sha256;
use thiserror::Error;

use crate::worker::{Guards, Kept};

/// What an edge saved.
#[derive(Debug)]
pub struct Saved {
    /// The last operation it signed.
    pub last: Option<SignedOp>,
    /// What its worker remembers.
    pub kept: Kept,
}

/// Why what was saved cannot be read.
#[derive(Debug, Error)]
pub enum SavedError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The account's operations cannot be read.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// Bytes are not what belongs there.
    #[error("the {what}: {error}")]
    Decode {
        /// What.
        what: &'static str,
        /// What is wrong.
        error: DecodeError,
    },
    /// The prekeys do not open with the account's key.
    #[error("the prekeys do not open with this account's key")]
    Sealed,
}

impl Saved {
    /// Of an account that was never here.
    pub fn nothing(account: AccountId) -> Self {
        let kept = Kept { prekeys: Prekeys::new(account), guards: Guards::default(), claim_number: 0 };
        Saved { last: None, kept }
    }

    /// Reads what an account saved in a store.
    ///
    /// # Errors
    /// [`SavedError`].
    pub fn read(store: &dyn Store, key: &SecretKey) -> Result<Self, SavedError> {
        let account = key.account();
        let prekeys = match store.get(Table::Meta, &key_of(PREKEYS, &account))? {
            Some(bytes) => open_prekeys(key, &bytes)?,
            None => Prekeys::new(account),
        };
        let number = store.get(Table::Meta, &key_of(CLAIMS, &account))?;
        let wrong = DecodeError::Field { what: "not eight bytes" };
        let number = number.map(|bytes| bytes.try_into().map(u64::from_be_bytes)).transpose();
        let claim_number = number.map_err(|_| SavedError::Decode { what: "claim number", error: wrong })?;
        let guards = Guards::read(store, &account)?;
        Ok(Saved {
            last: ledger::keep::last_own(store, &account)?,
            kept: Kept { prekeys, guards, claim_number: claim_number.unwrap_or(0) },
        })
    }
}

/// Writes the prekeys, sealed: who has the file but not the account's key opens nothing with it.
pub(crate) fn put_prekeys(batch: &mut Batch, key: &SecretKey, prekeys: &Prekeys, random: &mut Random<'_>) {
    let cipher = Portable::new(&at_rest(key));
    let sealed = seal_stream(&cipher, random, PREKEYS, &prekeys.encode());
    let sealed = sealed.expect("a ring of prekeys is short enough for a stream");
    let put = batch.put(Table::Meta, key_of(PREKEYS, &key.account()), sealed);
    put.expect("a ring of prekeys is shorter than any limit of a batch");
}

/// Writes that claim numbers up to this one may have been given out.
pub(crate) fn put_number(batch: &mut Batch, account: &AccountId, up_to: u64) {
    let put = batch.put(Table::Meta, key_of(CLAIMS, account), up_to.to_be_bytes());
    put.expect("a number is shorter than any limit of a batch");
}

/// A name and an account.
pub(crate) fn key_of(name: &[u8], account: &AccountId) -> Vec<u8> {
    [name, account.as_bytes()].concat()
}

fn open_prekeys(key: &SecretKey, bytes: &[u8]) -> Result<Prekeys, SavedError> {
    let cipher = Portable::new(&at_rest(key));
    let plain = open_stream(&cipher, PREKEYS, bytes).map_err(|_| SavedError::Sealed)?;
    Prekeys::decode(&plain).map_err(|error| SavedError::Decode { what: "prekeys", error })
}

/// What lies on the disk is sealed under `HMAC-SHA-256(seed, "edgenet/at-rest/v1")`.
fn at_rest(key: &SecretKey) -> Key {
    let mac = Hmac::<Sha256>::new_from_slice(key.seed()).expect("any length is a key's");
    Key::new(mac.chain_update(b"edgenet/at-rest/v1").finalize().into_bytes().into())
}

const PREKEYS: &[u8] = b"prekeys";
const CLAIMS: &[u8] = b"claims";
