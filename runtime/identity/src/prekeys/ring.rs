use std::fmt;

use zeroize::Zeroizing;

use super::{ERASE_EPOCHS, PREKEY_BYTES, PrekeyId, ROTATE_EPOCHS, ROTATE_USES, SignedPrekey};
use crate::{
    AccountId, DecodeError, Random, SecretKey,
    bytes::Reader,
    suite::{self, Secret},
};

/// A worker's prekeys with their secrets: the current one, and older ones until they are erased.
///
/// Secrets are zeroised when erased or dropped, and never printed.
pub struct Prekeys {
    account: AccountId,
    /// Oldest first.
    held: Vec<Held>,
}

struct Held {
    signed: SignedPrekey,
    secret: Secret,
    uses: u32,
}

impl Prekeys {
    /// A ring without keys, of one account.
    pub fn new(account: AccountId) -> Self {
        Prekeys { account, held: Vec::new() }
    }

    /// Whose keys these are.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Erases what is old and makes a key where one is due: none yet, a day old, or used
    /// [`ROTATE_USES`] times. Returns the key to publish, if it made one.
    ///
    /// Call it in every epoch. A key whose epoch is ahead of `epoch` (the clock went back) is due at once.
    /// At [`MAX_PREKEYS`] the oldest goes early.
    ///
    /// # Panics
    /// If `identity` is not this ring's account, or `random` gives only zeros: no key is better than everybody's.
    pub fn rotate(
        &mut self,
        identity: &SecretKey,
        epoch: u64,
        random: &mut Random<'_>,
    ) -> Option<&SignedPrekey> {
        assert_eq!(identity.account(), self.account, "a ring has one account");
        self.held.retain(|held| held.signed.epoch.abs_diff(epoch) < ERASE_EPOCHS);
        let is_fresh = |held: &Held| {
            held.signed.epoch <= epoch && epoch - held.signed.epoch < ROTATE_EPOCHS && held.uses < ROTATE_USES
        };
        if self.held.last().is_some_and(is_fresh) {
            return None;
        }
        let (secret, public) = suite::key_pair(random).expect("the source of randomness works");
        if self.held.len() == MAX_PREKEYS {
            self.held.remove(0);
        }
        self.held.push(Held { signed: SignedPrekey::sign(identity, public, epoch), secret, uses: 0 });
        self.current()
    }

    /// The key to publish.
    pub fn current(&self) -> Option<&SignedPrekey> {
        self.held.last().map(|held| &held.signed)
    }

    /// A key that still opens in this epoch.
    pub fn get(&self, id: PrekeyId, epoch: u64) -> Option<&SignedPrekey> {
        self.find(id, epoch).map(|held| &held.signed)
    }

    /// Keys held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// All of it, **secrets included**, for storage that the caller seals:
    /// `version 1 | account (32) | count (u32) | (secret (32) | uses (u32) | prekey (145)) for each, oldest first`.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + self.held.len() * HELD_BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(self.account.as_bytes());
        bytes.extend_from_slice(&(self.held.len() as u32).to_be_bytes());
        for held in &self.held {
            bytes.extend_from_slice(&*suite::bytes_of(&held.secret));
            bytes.extend_from_slice(&held.uses.to_be_bytes());
            bytes.extend_from_slice(&held.signed.encode());
        }
        bytes
    }

    /// Reads [`Prekeys::encode`] and checks every key: the secret is that of the public key, the account signed it.
    ///
    /// # Errors
    /// Another length or version, too many keys, or one that breaks a rule.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::counted("a ring of prekeys", bytes, VERSION)?;
        let account = AccountId::from_bytes(reader.array()?);
        let count = reader.number_u32()? as usize;
        if count > MAX_PREKEYS {
            return Err(DecodeError::TooMany { what: "prekeys", found: count, most: MAX_PREKEYS });
        }
        reader.must_be(count * HELD_BYTES)?;
        let key = account.public_key().map_err(|_| DecodeError::Field { what: "the account is no key" })?;
        let mut held = Vec::with_capacity(count);
        for _ in 0..count {
            let bytes = Zeroizing::new(reader.array()?);
            let secret = suite::secret_of(&bytes);
            if suite::bytes_of(&secret) != bytes {
                return Err(DecodeError::Field { what: "a prekey's secret is not in its one form" });
            }
            let uses = reader.number_u32()?;
            let signed = SignedPrekey::decode(reader.slice(PREKEY_BYTES)?)?;
            if signed.account != account || suite::public_of(&secret) != signed.public {
                return Err(DecodeError::Field { what: "a prekey is not that of its secret and account" });
            }
            let verified = signed.verify_signature(&key);
            verified.map_err(|_| DecodeError::Field { what: "the account did not sign a prekey" })?;
            held.push(Held { signed, secret, uses });
        }
        Ok(Prekeys { account, held })
    }

    pub(crate) fn secret(&self, id: PrekeyId, epoch: u64) -> Option<&Secret> {
        self.find(id, epoch).map(|held| &held.secret)
    }

    /// The last epoch in which a key of this ring opens anything.
    pub(crate) fn last_epoch(&self, id: PrekeyId) -> Option<u64> {
        let held = self.held.iter().find(|held| held.signed.id == id)?;
        Some(held.signed.epoch.saturating_add(ERASE_EPOCHS - 1))
    }

    /// Counts a payload that was opened with a key.
    pub(crate) fn count_use(&mut self, id: PrekeyId) {
        if let Some(held) = self.held.iter_mut().find(|held| held.signed.id == id) {
            held.uses = held.uses.saturating_add(1);
        }
    }

    /// Nothing opens with a key that should be erased, even where nobody called [`Prekeys::rotate`].
    fn find(&self, id: PrekeyId, epoch: u64) -> Option<&Held> {
        let lives = |held: &&Held| held.signed.id == id && held.signed.epoch.abs_diff(epoch) < ERASE_EPOCHS;
        self.held.iter().find(lives)
    }
}

impl fmt::Debug for Prekeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prekeys({} of {})", self.held.len(), self.account)
    }
}

/// Most keys of one ring: what a worker needs that opens 1,000 payloads in every minute of 48 hours, and more.
pub const MAX_PREKEYS: usize = 4_096;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 32 + 4;
const HELD_BYTES: usize = 32 + 4 + PREKEY_BYTES;
