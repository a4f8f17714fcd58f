//! A seed in a file, under a passphrase.
//!
//! ```text
//! magic "ENBACKUP" | version 1 | memory KiB (u32) | passes (u32) | lanes (u32) | salt (16) | nonce (12)
//! seed (32) | extra | tag (16)
//! ```
//! The key is Argon2id (RFC 9106) of the passphrase and the salt; AES-256-GCM seals the second line, with the first up to
//! the salt as associated data. The cost stands in the file and is capped, so that a hostile file exhausts nothing.

#[cfg(test)]
mod tests;

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    Random, SecretKey,
    aead::{self, KEY_BYTES, Key, NONCE_BYTES, Portable, TAG_BYTES},
    suite::draw,
};

/// What guessing one passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory; at least 8 for each lane.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes that an attacker too can run side by side.
    pub lanes: u32,
}

impl Cost {
    /// RFC 9106's second recommended option: 64 MiB, 3 passes, 4 lanes.
    pub const RECOMMENDED: Cost = Cost { memory_kib: 64 << 10, passes: 3, lanes: 4 };
    /// The most an import spends on a file.
    pub const MOST: Cost = Cost { memory_kib: 256 << 10, passes: 10, lanes: 16 };

    fn check(self) -> Result<Params, BackupError> {
        let most = Cost::MOST;
        let within =
            self.memory_kib <= most.memory_kib && self.passes <= most.passes && self.lanes <= most.lanes;
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_BYTES));
        params.ok().filter(|_| within).ok_or(BackupError::Cost(self))
    }
}

/// What a backup holds. Zeroised on drop, never printed.
pub struct Backup {
    /// The account's key.
    pub key: SecretKey,
    /// Other secrets that went with it, such as prekeys.
    pub extra: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backup(of {}, {} bytes extra)", self.key.account(), self.extra.len())
    }
}

/// Why a backup is not written or read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BackupError {
    /// One value for both, for nobody can tell them apart.
    #[error("the passphrase is wrong, or the backup has been changed")]
    Passphrase,
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    Empty,
    /// Not a backup at all.
    #[error("not a backup of this program")]
    Magic,
    /// A backup of another format.
    #[error("a backup of version {found}, this build reads version 1")]
    Version {
        /// The version in the file.
        found: u8,
    },
    /// More than [`Cost::MOST`], or no cost Argon2 knows.
    #[error("a cost of {} KiB, {} passes, {} lanes is outside the limits", .0.memory_kib, .0.passes, .0.lanes)]
    Cost(Cost),
    /// Longer or shorter than any backup.
    #[error("{found} bytes, a backup has {LEAST_BYTES} to {MOST_BYTES}")]
    Length {
        /// Bytes given, or the bytes the backup would have.
        found: usize,
    },
    /// The source of randomness gave only zeros.
    #[error("no randomness")]
    Randomness,
}

/// Writes a key, and `extra` with it, under a passphrase: its bytes as they are, in UTF-8 if it is text.
///
/// # Errors
/// An empty passphrase, a cost outside the limits, more than [`MAX_EXTRA_BYTES`], or no randomness.
pub fn export(
    key: &SecretKey,
    extra: &[u8],
    passphrase: &[u8],
    cost: Cost,
    random: &mut Random<'_>,
) -> Result<Vec<u8>, BackupError> {
    if extra.len() > MAX_EXTRA_BYTES {
        return Err(BackupError::Length { found: LEAST_BYTES.saturating_add(extra.len()) });
    }
    let salt = draw(random).map_err(|_| BackupError::Randomness)?;
    let (salt, _) = salt.split_first_chunk().expect("32 bytes hold the salt");
    let header = header(cost, salt);
    let sealing_key = derive(passphrase, salt, cost)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(SEED_BYTES + extra.len()));
    plain.extend_from_slice(key.seed());
    plain.extend_from_slice(extra);
    let sealed = aead::seal(&Portable::new(&sealing_key), random, &header, &plain);
    Ok([&header[..], &sealed.expect("short enough to seal")].concat())
}

/// Reads what [`export`] wrote. Takes as long and as much memory as the file says, up to [`Cost::MOST`].
///
/// # Errors
/// [`BackupError::Passphrase`] where the passphrase is wrong or anything was changed; the others before any work.
pub fn import(file: &[u8], passphrase: &[u8]) -> Result<Backup, BackupError> {
    if !file.starts_with(MAGIC) {
        return Err(BackupError::Magic);
    }
    if let Some(&found) = file.get(MAGIC.len()).filter(|found| **found != VERSION) {
        return Err(BackupError::Version { found });
    }
    let found = file.len();
    if !(LEAST_BYTES..=MOST_BYTES).contains(&found) {
        return Err(BackupError::Length { found });
    }
    let (header, sealed) = file.split_at(HEADER_BYTES);
    let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let at = MAGIC.len() + 1;
    let cost = Cost { memory_kib: number(at), passes: number(at + 4), lanes: number(at + 8) };
    let salt = header.last_chunk().expect("the header ends with the salt");
    let key = derive(passphrase, salt, cost)?;
    let plain = aead::open(&Portable::new(&key), header, sealed).map_err(|_| BackupError::Passphrase)?;
    let plain = Zeroizing::new(plain);
    let (seed, extra) = plain.split_first_chunk().expect("the length was checked");
    Ok(Backup { key: SecretKey::from_seed(*seed), extra: Zeroizing::new(extra.to_vec()) })
}

fn header(cost: Cost, salt: &[u8; SALT_BYTES]) -> [u8; HEADER_BYTES] {
    let numbers = [cost.memory_kib, cost.passes, cost.lanes].map(u32::to_be_bytes);
    let parts: [&[u8]; 4] = [MAGIC, &[VERSION], numbers.as_flattened(), salt];
    parts.concat().try_into().expect("the sizes are fixed")
}

fn derive(passphrase: &[u8], salt: &[u8; SALT_BYTES], cost: Cost) -> Result<Key, BackupError> {
    if passphrase.is_empty() {
        return Err(BackupError::Empty);
    }
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.check()?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    argon.hash_password_into(passphrase, salt, &mut *key).map_err(|_| BackupError::Cost(cost))?;
    Ok(Key::new(*key))
}

/// Most other secrets in a backup.
pub const MAX_EXTRA_BYTES: usize = 1 << 20;

const MAGIC: &[u8] = b"ENBACKUP";
const VERSION: u8 = 1;
const SEED_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 12 + SALT_BYTES;
const LEAST_BYTES: usize = HEADER_BYTES + NONCE_BYTES + SEED_BYTES + TAG_BYTES;
const MOST_BYTES: usize = LEAST_BYTES + MAX_EXTRA_BYTES;
