use std::fmt;

use sha2::{Digest, Sha256};

/// SHA-256 of a value's canonical bytes behind a domain: the name of an operation, a resolve, a lock, a task or a network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id([u8; 32]);

impl Id {
    /// What stands before the first operation of a chain.
    pub const ZERO: Id = Id([0; 32]);

    /// An id of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Id(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of a domain and the parts after it. Domains are of different lengths or differ within the shorter
    /// one's length, and every part but the last has a fixed length, so no two inputs give the same bytes.
    pub fn hash(domain: &str, parts: &[&[u8]]) -> Id {
        let mut hash = Sha256::new_with_prefix(domain.as_bytes());
        for part in parts {
            hash.update(part);
        }
        Id(hash.finalize().into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Id> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Id(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
