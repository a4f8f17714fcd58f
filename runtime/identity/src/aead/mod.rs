//! AES-256-GCM (NIST SP 800-38D): one message at a time, or in chunks for data of any size.
//!
//! The cipher sits behind [`Aead256`], so that a shell can bring a faster one; [`Portable`] runs everywhere and uses
//! the processor's AES instructions where it has them. Randomness comes in as an argument.
//!
//! A message is `nonce (12) || ciphertext || tag (16)`. Nonces are random: one key seals at most 2^32 messages (SP
//! 800-38D, section 8.3). Streams are described at [`Sealer`].

mod error;
mod key;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;

use aes_gcm::{Aes256Gcm, KeyInit, aead::AeadInOut};
use zeroize::Zeroize;

pub use crate::Random;
pub use error::EncryptionError;
pub use key::Key;
pub use stream::{CHUNK_BYTES, HEADER_BYTES, MAX_AAD_BYTES, Opener, Sealer, open_stream, seal_stream};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;
/// Bytes of an authentication tag.
pub const TAG_BYTES: usize = 16;
/// Most bytes one call of the cipher takes: the block counter has 32 bits and its first two values are used.
pub const MAX_MESSAGE_BYTES: u64 = (1 << 36) - 32;

/// AES-256-GCM with 96-bit nonces and 128-bit tags, holding its key.
pub trait Aead256: Send + Sync {
    /// Encrypts `data` in place and returns the tag. A nonce must never serve twice under one key.
    ///
    /// # Errors
    /// [`EncryptionError::TooLong`]; `data` is then unchanged.
    fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], EncryptionError>;

    /// Decrypts `data` in place.
    ///
    /// # Errors
    /// [`EncryptionError::Authentication`]; `data` then holds nothing that may be used.
    fn open_in_place(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), EncryptionError>;
}

/// The cipher of the `aes-gcm` crate: every target, key schedule zeroised on drop.
pub struct Portable(Aes256Gcm);

impl Portable {
    /// Expands a key.
    pub fn new(key: &Key) -> Self {
        Portable(Aes256Gcm::new(key.bytes().into()))
    }
}

impl Aead256 for Portable {
    fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], EncryptionError> {
        check_length(data)?;
        let tag = self.0.encrypt_inout_detached(nonce.into(), aad, data.into());
        tag.map(Into::into).map_err(|_| EncryptionError::TooLong)
    }

    fn open_in_place(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), EncryptionError> {
        let opened = self.0.decrypt_inout_detached(nonce.into(), aad, data.into(), tag.into());
        opened.map_err(|_| EncryptionError::Authentication)
    }
}

/// Seals one message under a fresh nonce.
///
/// # Errors
/// [`EncryptionError::TooLong`].
pub fn seal(
    aead: &dyn Aead256,
    random: &mut Random<'_>,
    aad: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, EncryptionError> {
    check_length(plain)?;
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce);
    let mut sealed = Vec::with_capacity(NONCE_BYTES + plain.len() + TAG_BYTES);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let tag = aead.seal_in_place(&nonce, aad, &mut sealed[NONCE_BYTES..])?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Opens a message of [`seal`].
///
/// # Errors
/// [`EncryptionError::TooShort`], and [`EncryptionError::Authentication`] for a wrong key, other associated data or
/// any change of the message.
pub fn open(aead: &dyn Aead256, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, EncryptionError> {
    let too_short = || EncryptionError::TooShort { found: sealed.len(), wanted: NONCE_BYTES + TAG_BYTES };
    let (nonce, rest) = sealed.split_first_chunk().ok_or_else(too_short)?;
    let (data, tag) = rest.split_last_chunk().ok_or_else(too_short)?;
    let mut plain = data.to_vec();
    match aead.open_in_place(nonce, aad, &mut plain, tag) {
        Ok(()) => Ok(plain),
        Err(error) => {
            plain.zeroize();
            Err(error)
        }
    }
}

/// Refuses what the cipher's block counter could not number; for implementations of [`Aead256`].
///
/// # Errors
/// [`EncryptionError::TooLong`].
pub fn check_length(data: &[u8]) -> Result<(), EncryptionError> {
    if data.len() as u64 > MAX_MESSAGE_BYTES { Err(EncryptionError::TooLong) } else { Ok(()) }
}
