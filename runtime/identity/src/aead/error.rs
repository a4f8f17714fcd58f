use thiserror::Error;

use super::{KEY_BYTES, MAX_AAD_BYTES};

/// Why data cannot be sealed or opened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EncryptionError {
    /// A wrong key, other associated data, or data changed, reordered, cut or prolonged: one value for all, so that
    /// it tells an attacker nothing.
    #[error("the data was not sealed with this key and associated data, or has been changed")]
    Authentication,
    /// A key of another length.
    #[error("the key has {found} bytes, must have {KEY_BYTES}")]
    KeyLength {
        /// Bytes given.
        found: usize,
    },
    /// Fewer bytes than any sealed data has at this place.
    #[error("sealed data ends after {found} bytes of a part that has at least {wanted}")]
    TooShort {
        /// Bytes there.
        found: usize,
        /// Least there can be.
        wanted: usize,
    },
    /// Not a sealed stream at all.
    #[error("does not start with the magic of a sealed stream")]
    Magic,
    /// A stream of another format version.
    #[error("sealed stream of version {found}, this build reads version {wanted}")]
    Version {
        /// The version in the header.
        found: u8,
        /// The version this build reads.
        wanted: u8,
    },
    /// More associated data than a stream binds to each chunk.
    #[error("{found} bytes of associated data, at most {MAX_AAD_BYTES} in a stream")]
    AadTooLong {
        /// Bytes given.
        found: usize,
    },
    /// More data than the nonces of one message or stream can number.
    #[error("more data than one message or stream can hold")]
    TooLong,
}
