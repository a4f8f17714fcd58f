//! Fixed encodings: fields one after another, numbers big-endian.

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Too few or too many bytes.
    #[error("{what}: {found} bytes, must be {wanted}")]
    Length {
        /// What was decoded.
        what: &'static str,
        /// Bytes given.
        found: usize,
        /// Bytes it has.
        wanted: usize,
    },
    /// A format this build does not read.
    #[error("{what}: version {found} is unknown")]
    Version {
        /// What was decoded.
        what: &'static str,
        /// The version given.
        found: u8,
    },
    /// More than anything honest needs.
    #[error("{what}: {found} are more than {most}")]
    TooMany {
        /// What was counted.
        what: &'static str,
        /// The count given.
        found: usize,
        /// The most there may be.
        most: usize,
    },
    /// A field breaks a rule of its own.
    #[error("{what}")]
    Field {
        /// The rule.
        what: &'static str,
    },
}

/// Takes fields from the front.
pub(crate) struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of exactly `wanted` bytes that start with `version`.
    pub(crate) fn exact(
        what: &'static str,
        bytes: &'a [u8],
        version: u8,
        wanted: usize,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::counted(what, bytes, version)?;
        reader.must_be(wanted - 1)?;
        reader.what = what;
        Ok(reader)
    }

    /// A reader of bytes that start with `version` and say later how many they are.
    pub(crate) fn counted(what: &'static str, bytes: &'a [u8], version: u8) -> Result<Self, DecodeError> {
        let (&found, rest) = bytes.split_first().ok_or(DecodeError::Length { what, found: 0, wanted: 1 })?;
        if found != version {
            return Err(DecodeError::Version { what, found });
        }
        Ok(Reader { what, bytes: rest })
    }

    /// Refuses any rest but one of `wanted` bytes.
    pub(crate) fn must_be(&self, wanted: usize) -> Result<(), DecodeError> {
        let found = self.bytes.len();
        if found == wanted { Ok(()) } else { Err(DecodeError::Length { what: self.what, found, wanted }) }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let short = DecodeError::Length { what: self.what, found: self.bytes.len(), wanted: N };
        let (head, rest) = self.bytes.split_first_chunk().ok_or(short)?;
        self.bytes = rest;
        Ok(*head)
    }

    pub(crate) fn slice(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let short = DecodeError::Length { what: self.what, found: self.bytes.len(), wanted: length };
        let (head, rest) = self.bytes.split_at_checked(length).ok_or(short)?;
        self.bytes = rest;
        Ok(head)
    }

    pub(crate) fn number_u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn number_u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }
}

/// SHA-256 of parts one after another; the first is the domain, and all but the last have a fixed size.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}
