use hpke::{Serializable, aead::AeadTag, inout::InOutBuf};
use zeroize::Zeroizing;

use super::{Assignment, OpenError, PayloadKey, ResultKey, SealError};
use crate::{
    DecodeError, PrekeyId, Prekeys, Random, SecretKey, Signature, SignedPrekey,
    aead::{KEY_BYTES, Key, TAG_BYTES},
    bytes::{Reader, hash},
    suite,
};

/// A payload key in the hands of one worker.
///
/// ```text
/// version 1 | prekey id (8) | epoch (8) | enc (32) | ciphertext (32) tag (16) | signature (64)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The worker's prekey.
    pub prekey: PrekeyId,
    /// When it was wrapped.
    pub epoch: u64,
    /// HPKE's encapsulated key.
    pub enc: [u8; 32],
    /// The payload key, sealed.
    pub ciphertext: [u8; KEY_BYTES + TAG_BYTES],
    /// The submitter's.
    pub signature: Signature,
}

impl PayloadKey {
    /// Wraps this key for the assigned worker and gives the key its result will come under.
    ///
    /// # Errors
    /// The keys are not those of the assignment, the prekey is not to be used in this epoch or is of low order, or there is
    /// no randomness.
    pub fn wrap(
        &self,
        assignment: &Assignment,
        submitter: &SecretKey,
        prekey: &SignedPrekey,
        epoch: u64,
        random: &mut Random<'_>,
    ) -> Result<(WrappedKey, ResultKey), SealError> {
        if submitter.account() != assignment.submitter {
            return Err(SealError::Submitter);
        }
        if prekey.account != assignment.worker {
            return Err(SealError::Worker);
        }
        prekey.verify(epoch)?;
        let info = info(assignment, prekey.id, epoch);
        let (enc, mut context) = suite::sender(&prekey.public, &info, random)?;
        let mut sealed = Zeroizing::new(*self.0.bytes());
        let tag = context.seal_inout_detached(InOutBuf::from(&mut sealed[..]), &assignment.envelope);
        let mut ciphertext = [0; KEY_BYTES + TAG_BYTES];
        ciphertext[..KEY_BYTES].copy_from_slice(&*sealed);
        ciphertext[KEY_BYTES..].copy_from_slice(&tag.expect("a first message of 32 bytes").to_bytes());
        let signature = submitter.sign(&signed(assignment, &enc, &ciphertext));
        let result = exported(|to| context.export(RESULT_DOMAIN, to));
        Ok((WrappedKey { prekey: prekey.id, epoch, enc, ciphertext, signature }, result))
    }
}

impl WrappedKey {
    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; WRAPPED_KEY_BYTES] {
        let parts: [&[u8]; 6] = [
            &[VERSION],
            &self.prekey.to_bytes(),
            &self.epoch.to_be_bytes(),
            &self.enc,
            &self.ciphertext,
            self.signature.as_bytes(),
        ];
        parts.concat().try_into().expect("the sizes are fixed")
    }

    /// Reads [`WrappedKey::encode`].
    ///
    /// # Errors
    /// Another length or version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::exact("a wrapped key", bytes, VERSION, WRAPPED_KEY_BYTES)?;
        Ok(WrappedKey {
            prekey: PrekeyId::from_bytes(reader.array()?),
            epoch: reader.number_u64()?,
            enc: reader.array()?,
            ciphertext: reader.array()?,
            signature: Signature::from_bytes(reader.array()?),
        })
    }

    /// The payload key and the result's, for the worker whose prekey it is. `epoch` is the epoch of opening.
    pub(super) fn unwrap_key(
        &self,
        assignment: &Assignment,
        prekeys: &Prekeys,
        epoch: u64,
    ) -> Result<(Key, ResultKey), OpenError> {
        if prekeys.account() != assignment.worker {
            return Err(OpenError);
        }
        let submitter = assignment.submitter.public_key().map_err(|_| OpenError)?;
        let message = signed(assignment, &self.enc, &self.ciphertext);
        submitter.verify(&message, &self.signature).map_err(|_| OpenError)?;
        let secret = prekeys.secret(self.prekey, epoch).ok_or(OpenError)?;
        let info = info(assignment, self.prekey, self.epoch);
        let mut context = suite::receiver(secret, &self.enc, &info).map_err(|_| OpenError)?;
        let (sealed, tag) = self.ciphertext.split_at(KEY_BYTES);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(sealed);
        let tag: AeadTag<_> = hpke::Deserializable::from_bytes(tag).map_err(|_| OpenError)?;
        let opened = context.open_inout_detached(InOutBuf::from(&mut key[..]), &assignment.envelope, &tag);
        opened.map_err(|_| OpenError)?;
        Ok((Key::new(*key), exported(|to| context.export(RESULT_DOMAIN, to))))
    }
}

fn info(assignment: &Assignment, prekey: PrekeyId, epoch: u64) -> Vec<u8> {
    let parts: [&[u8]; 8] = [
        &[VERSION],
        &assignment.network,
        &assignment.task,
        &assignment.number.to_be_bytes(),
        assignment.submitter.as_bytes(),
        assignment.worker.as_bytes(),
        &prekey.to_bytes(),
        &epoch.to_be_bytes(),
    ];
    parts.concat()
}

fn signed(assignment: &Assignment, enc: &[u8; 32], ciphertext: &[u8]) -> Vec<u8> {
    let (submitter, worker) = (assignment.submitter.as_bytes(), assignment.worker.as_bytes());
    let parts: [&[u8]; 6] =
        [SEAL_DOMAIN, submitter, worker, &hash(&[enc]), &hash(&[ciphertext]), &assignment.task];
    parts.concat()
}

fn exported(export: impl FnOnce(&mut [u8]) -> Result<(), hpke::HpkeError>) -> ResultKey {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    export(&mut *key).expect("32 bytes are not too many");
    ResultKey(Key::new(*key))
}

/// Bytes of an encoded key.
pub const WRAPPED_KEY_BYTES: usize = 1 + 8 + 8 + 32 + KEY_BYTES + TAG_BYTES + 64;

const VERSION: u8 = 1;
const SEAL_DOMAIN: &[u8] = b"edgenet/seal/v1";
const RESULT_DOMAIN: &[u8] = b"edgenet/result/v1";
