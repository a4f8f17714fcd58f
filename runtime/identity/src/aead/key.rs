use std::fmt;

use zeroize::Zeroizing;

use super::{EncryptionError, KEY_BYTES};

/// An AES-256 key. Zeroised on drop, never printed.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    /// A key of these bytes; the caller's copy stays the caller's to erase.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Key(Zeroizing::new(bytes))
    }

    /// A key from unpredictable bytes.
    pub fn generate(random: &mut super::Random<'_>) -> Self {
        let mut key = Key::new([0; KEY_BYTES]);
        random(&mut *key.0);
        key
    }

    /// The key itself.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Key {
    type Error = EncryptionError;

    fn try_from(bytes: &[u8]) -> Result<Self, EncryptionError> {
        let mut key = Key::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(EncryptionError::KeyLength { found: bytes.len() });
        }
        key.0.copy_from_slice(bytes);
        Ok(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
