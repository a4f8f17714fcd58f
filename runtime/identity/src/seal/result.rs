use std::fmt;

use zeroize::Zeroizing;

use super::{
    OpenError, SealError,
    padding::{Content, pad},
    payload::{check_length, check_sealed},
};
use crate::{
    DecodeError, Random,
    aead::{Key, Portable, open_stream, seal_stream},
};

/// The key of one assignment's result: both sides have it from the exchange that carried the payload key, so it is bound
/// to all that was. Zeroised on drop, never printed.
#[derive(Debug)]
pub struct ResultKey(pub(super) Key);

impl ResultKey {
    /// Seals a result, padded.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn seal(&self, result: &[u8], random: &mut Random<'_>) -> Result<SealedResult, SealError> {
        check_length(result)?;
        let bytes = seal_stream(&Portable::new(&self.0), random, DOMAIN, &pad(&[], result));
        Ok(SealedResult(bytes.expect("short enough for a stream")))
    }

    /// Opens a result.
    ///
    /// # Errors
    /// [`OpenError`], whatever is wrong.
    pub fn open(&self, sealed: &SealedResult) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let bytes = open_stream(&Portable::new(&self.0), DOMAIN, &sealed.0).map_err(|_| OpenError)?;
        let content = Content::new(Zeroizing::new(bytes), 0)?;
        Ok(Zeroizing::new(content.plain().to_vec()))
    }

    /// The key itself, **a secret**: who publishes it opens the result to everyone, as an accusation does.
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    /// A key that was published.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        ResultKey(Key::new(bytes))
    }
}

/// A result that any relay may carry.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedResult(pub(super) Vec<u8>);

impl SealedResult {
    /// The bytes on the wire.
    pub fn encode(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes of a length that a sealed result can have.
    ///
    /// # Errors
    /// [`DecodeError::TooMany`], [`DecodeError::Field`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_sealed("bytes of a sealed result", bytes)?;
        Ok(SealedResult(bytes.to_vec()))
    }
}

impl fmt::Debug for SealedResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedResult({} bytes)", self.0.len())
    }
}

const DOMAIN: &[u8] = b"edgenet/result/v1";
