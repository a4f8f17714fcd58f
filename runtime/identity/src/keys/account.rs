use std::{fmt, str::FromStr};

use bech32::{Bech32m, Hrp, primitives::decode::UncheckedHrpstring};
use thiserror::Error;

use super::{KeyError, PublicKey};

/// An account, and the name of the node that holds its key: the bytes of an Ed25519 public key.
///
/// Any 32 bytes are a name; only [`AccountId::public_key`] says whether a key stands behind them. As text it is bech32m
/// (BIP 350) with the prefix `edge`: 63 characters that show a mistyped one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 32]);

impl AccountId {
    /// The account of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        AccountId(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The key to verify with. It decompresses a point: keep the result.
    ///
    /// # Errors
    /// No key of ours has this encoding.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_bytes(&self.0)
    }
}

/// Why a text names no account.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AccountIdError {
    /// Not bech32 at all: a character outside the alphabet, mixed case, no separator.
    #[error("not a bech32 text of the form edge1...")]
    Form,
    /// Bech32 of something else.
    #[error("starts with {found:?}, an account starts with \"edge1\"")]
    Prefix {
        /// The prefix it has.
        found: String,
    },
    /// A character is mistyped, missing or too many.
    #[error("the checksum is wrong: a character is mistyped")]
    Checksum,
    /// The checksum is right and the length is not.
    #[error("{found} bytes, an account has 32")]
    Length {
        /// Bytes it holds.
        found: usize,
    },
    /// Bits behind the last byte are set: another spelling of an account.
    #[error("the bits behind the last byte are not zero")]
    Padding,
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, PREFIX, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;

    /// Takes lower or upper case, as BIP 350 does.
    fn from_str(text: &str) -> Result<Self, AccountIdError> {
        let unchecked = UncheckedHrpstring::new(text).map_err(|_| AccountIdError::Form)?;
        if unchecked.hrp() != PREFIX {
            return Err(AccountIdError::Prefix { found: unchecked.hrp().to_lowercase() });
        }
        let checked =
            unchecked.validate_and_remove_checksum::<Bech32m>().map_err(|_| AccountIdError::Checksum)?;
        let mut bytes = [0; 32];
        let found = checked.byte_iter().count();
        if found != bytes.len() {
            return Err(AccountIdError::Length { found });
        }
        checked.validate_segwit_padding().map_err(|_| AccountIdError::Padding)?;
        bytes.iter_mut().zip(checked.byte_iter()).for_each(|(to, from)| *to = from);
        Ok(AccountId(bytes))
    }
}

const PREFIX: Hrp = Hrp::parse_unchecked("edge");
