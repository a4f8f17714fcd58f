//! Canonical bytes: little-endian integers of fixed width, counts before lists, nothing optional, nothing left over.
//!
//! One value has one encoding, so a hash of it is its name. Every decoder refuses what the encoder could not have written.

use std::collections::BTreeMap;

use identity::{AccountId, Signature};
use thiserror::Error;

use crate::Id;

/// Why bytes are no canonical encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("{what}: the bytes end too early")]
    Short {
        /// What was being read.
        what: &'static str,
    },
    /// Bytes stand behind the value.
    #[error("{count} bytes stand behind the value")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A tag that names nothing.
    #[error("{what}: {found} is not one of its values")]
    Tag {
        /// What was being read.
        what: &'static str,
        /// The tag.
        found: u8,
    },
    /// A list longer than its limit.
    #[error("{what}: {found} entries, at most {most} are allowed")]
    Count {
        /// What was being read.
        what: &'static str,
        /// The count read.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// A list whose entries must ascend strictly and do not.
    #[error("{what}: entries must ascend, each once")]
    Order {
        /// What was being read.
        what: &'static str,
    },
    /// Text that is not UTF-8 or has characters that are not allowed in it.
    #[error("{what}: is not text of the form wanted")]
    Text {
        /// What was being read.
        what: &'static str,
    },
}

/// Appends canonical bytes.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Writer(Vec::with_capacity(bytes))
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn id(&mut self, value: &Id) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn account(&mut self, value: &AccountId) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn signature(&mut self, value: &Signature) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(value);
        self
    }

    /// 0, or 1 and the value.
    pub(crate) fn option<T>(
        &mut self,
        value: &Option<T>,
        write: impl for<'w> FnOnce(&'w mut Self, &T) -> &'w mut Self,
    ) -> &mut Self {
        self.u8(value.is_some().into());
        match value {
            Some(value) => write(self, value),
            None => self,
        }
    }

    /// Text of at most 65,535 bytes.
    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.u16(value.len() as u16).bytes(value.as_bytes())
    }
}

/// Takes canonical bytes from the front.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads one value that takes all of the bytes.
    pub(crate) fn whole<T>(
        bytes: &'a [u8],
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut reader = Reader(bytes);
        let value = read(&mut reader)?;
        match reader.0.len() {
            0 => Ok(value),
            count => Err(DecodeError::Trailing { count }),
        }
    }

    /// Reads one value from the front, and returns what stands behind it as well.
    pub(crate) fn front<T>(
        bytes: &'a [u8],
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<(T, &'a [u8]), DecodeError> {
        let mut reader = Reader(bytes);
        let value = read(&mut reader)?;
        Ok((value, reader.0))
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecodeError::Short { what })?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn slice(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(DecodeError::Short { what })?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array(what).map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(crate) fn id(&mut self, what: &'static str) -> Result<Id, DecodeError> {
        self.array(what).map(Id::from_bytes)
    }

    pub(crate) fn account(&mut self, what: &'static str) -> Result<AccountId, DecodeError> {
        self.array(what).map(AccountId::from_bytes)
    }

    pub(crate) fn signature(&mut self, what: &'static str) -> Result<Signature, DecodeError> {
        self.array(what).map(Signature::from_bytes)
    }

    pub(crate) fn text(&mut self, most: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        let count = usize::from(self.u16(what)?);
        if count > most {
            return Err(DecodeError::Count { what, found: count, most });
        }
        std::str::from_utf8(self.slice(count, what)?).map_err(|_| DecodeError::Text { what })
    }

    /// A byte that can only have one value.
    pub(crate) fn tag(&mut self, what: &'static str, wanted: u8) -> Result<(), DecodeError> {
        match self.u8(what)? {
            found if found == wanted => Ok(()),
            found => Err(DecodeError::Tag { what, found }),
        }
    }

    pub(crate) fn option<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8(what)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            found => Err(DecodeError::Tag { what, found }),
        }
    }

    /// Entries of ascending keys behind their `u32` count. Nothing is allocated for entries that are not there.
    pub(crate) fn map<K: Ord, V>(
        &mut self,
        what: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<(K, V), DecodeError>,
    ) -> Result<BTreeMap<K, V>, DecodeError> {
        let mut map = BTreeMap::new();
        for _ in 0..self.u32(what)? {
            let (key, value) = read(self)?;
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::Order { what });
            }
            map.insert(key, value);
        }
        Ok(map)
    }

    /// A list of at most `most` entries behind its `u8` count. Nothing is allocated for entries that are not there.
    pub(crate) fn list<T>(
        &mut self,
        most: usize,
        what: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let found = usize::from(self.u8(what)?);
        if found > most {
            return Err(DecodeError::Count { what, found, most });
        }
        (0..found).map(|_| read(self)).collect()
    }

    /// Like [`Reader::list`], of entries whose keys ascend strictly.
    pub(crate) fn ascending<T, K: Ord>(
        &mut self,
        most: usize,
        what: &'static str,
        key: impl Fn(&T) -> K,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let list = self.list(most, what, read)?;
        match list.is_sorted_by(|a, b| key(a) < key(b)) {
            true => Ok(list),
            false => Err(DecodeError::Order { what }),
        }
    }
}
