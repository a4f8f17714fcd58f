use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    OpenError, SealError,
    padding::{Content, LEAST_BYTES, LENGTH_BYTES, pad, padded_bytes},
};
use crate::{
    DecodeError, Random,
    aead::{CHUNK_BYTES, HEADER_BYTES, Key, Portable, TAG_BYTES, open_stream, seal_stream},
    bytes::hash,
    suite::draw,
};

/// What the envelope says about a payload without showing it. Equal plaintexts have different commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PayloadCommit(pub [u8; 32]);

/// `SHA-256("edgenet/payload/v1" || salt || plaintext)`.
pub fn payload_commit(salt: &[u8; SALT_BYTES], plain: &[u8]) -> PayloadCommit {
    PayloadCommit(hash(&[b"edgenet/payload/v1", salt, plain]))
}

/// A payload before it is sealed: salted and padded. Zeroised on drop.
pub struct Payload {
    content: Zeroizing<Vec<u8>>,
    commit: PayloadCommit,
}

impl Payload {
    /// Draws the salt; the caller's copy of the plaintext stays the caller's to erase.
    ///
    /// # Errors
    /// [`SealError::TooLong`], [`SealError::Randomness`].
    pub fn new(plain: &[u8], random: &mut Random<'_>) -> Result<Self, SealError> {
        Payload::with_salt(&*draw(random)?, plain)
    }

    /// The payload of an earlier salt, for a submitter that comes back. A salt never serves another plaintext.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn with_salt(salt: &[u8; SALT_BYTES], plain: &[u8]) -> Result<Self, SealError> {
        check_length(plain)?;
        Ok(Payload { content: pad(salt, plain), commit: payload_commit(salt, plain) })
    }

    /// With the plaintext it opens the commitment to others; **a secret** until then.
    pub fn salt(&self) -> &[u8; SALT_BYTES] {
        self.content.first_chunk().expect("the content starts with the salt")
    }

    /// What goes into the public envelope.
    pub fn commit(&self) -> PayloadCommit {
        self.commit
    }

    /// Seals with a key drawn for this payload alone. `envelope` is the hash of the public envelope, which holds the
    /// commitment.
    ///
    /// # Errors
    /// [`SealError::Randomness`].
    pub fn seal(
        &self,
        envelope: &[u8; 32],
        random: &mut Random<'_>,
    ) -> Result<(SealedPayload, PayloadKey), SealError> {
        let key = PayloadKey(Key::new(*draw(random)?));
        let bytes = seal_stream(&Portable::new(&key.0), random, envelope, &self.content);
        Ok((SealedPayload(bytes.expect("short enough for a stream")), key))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes with padding)", self.content.len())
    }
}

/// The key of one sealed payload; every worker of the task gets it. Zeroised on drop, never printed.
#[derive(Debug)]
pub struct PayloadKey(pub(super) Key);

impl PayloadKey {
    /// The key itself, **a secret**: for storage that the caller seals.
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    /// A key that was stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        PayloadKey(Key::new(bytes))
    }
}

/// A payload that any relay may carry: a stream of [`crate::aead::Sealer`] whose length is one that padding gives.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedPayload(pub(super) Vec<u8>);

impl SealedPayload {
    /// The bytes on the wire.
    pub fn encode(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes of a length that a sealed payload can have. Nothing else about them is known before they open.
    ///
    /// # Errors
    /// [`DecodeError::TooMany`], [`DecodeError::Field`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_sealed("bytes of a sealed payload", bytes)?;
        Ok(SealedPayload(bytes.to_vec()))
    }

    /// The content, if it is what the commitment says.
    pub(super) fn open(
        &self,
        key: &Key,
        envelope: &[u8; 32],
        commit: &PayloadCommit,
    ) -> Result<Content, OpenError> {
        let bytes = open_stream(&Portable::new(key), envelope, &self.0).map_err(|_| OpenError)?;
        let content = Content::new(Zeroizing::new(bytes), SALT_BYTES)?;
        let salt = content.head().try_into().expect("the head is the salt");
        let found = payload_commit(salt, content.plain());
        if bool::from(found.0.ct_eq(&commit.0)) { Ok(content) } else { Err(OpenError) }
    }
}

impl fmt::Debug for SealedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedPayload({} bytes)", self.0.len())
    }
}

pub(super) fn check_length(plain: &[u8]) -> Result<(), SealError> {
    let found = plain.len();
    if found > MAX_PLAIN_BYTES { Err(SealError::TooLong { found }) } else { Ok(()) }
}

/// Refuses lengths that no sealed content has.
pub(super) fn check_sealed(what: &'static str, bytes: &[u8]) -> Result<(), DecodeError> {
    let found = bytes.len();
    if found > MAX_SEALED_BYTES {
        return Err(DecodeError::TooMany { what, found, most: MAX_SEALED_BYTES });
    }
    let chunks = found.saturating_sub(HEADER_BYTES).div_ceil(CHUNK_BYTES + TAG_BYTES);
    let content = found.saturating_sub(HEADER_BYTES + chunks * TAG_BYTES);
    if content < LEAST_BYTES || content != padded_bytes(content) || found != sealed_bytes(content) {
        return Err(DecodeError::Field { what: "no padded content has this length when sealed" });
    }
    Ok(())
}

/// Bytes of a sealed stream of `content` bytes.
const fn sealed_bytes(content: usize) -> usize {
    HEADER_BYTES + content + content.div_ceil(CHUNK_BYTES) * TAG_BYTES
}

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;
/// Most plaintext of a payload or result: the largest task, and room for what goes with it.
pub const MAX_PLAIN_BYTES: usize = MAX_CONTENT_BYTES - SALT_BYTES - LENGTH_BYTES;

const MAX_CONTENT_BYTES: usize = 72 << 20;
const MAX_SEALED_BYTES: usize = sealed_bytes(MAX_CONTENT_BYTES);
