//! Puts that belong together.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{MAX_BATCH_BYTES, MAX_VALUE_BYTES, META_NETWORK, META_SCHEMA, StoreError, Table};

/// Puts that are written together or not at all. Every put was checked when it was added, so a batch is always within
/// the limits and never at odds with itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In key order, which is also the cheapest order to write in.
    puts: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    bytes: usize,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Adds a put. The same key again must have the equal value, but in [`Table::Meta`], where the last one counts.
    ///
    /// # Errors
    /// [`StoreError::KeyLength`], [`StoreError::ValueTooLong`], [`StoreError::BatchTooLong`], [`StoreError::Reserved`],
    /// and [`StoreError::Conflict`] with an earlier put of this batch. The batch is then unchanged.
    pub fn put(
        &mut self,
        table: Table,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> Result<&mut Self, StoreError> {
        let (key, value) = (key.into(), value.into());
        if !table.key_bytes().contains(&key.len()) {
            return Err(StoreError::KeyLength { table, found: key.len(), wanted: table.key_bytes() });
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::ValueTooLong { table, found: value.len() });
        }
        if table == Table::Meta && (key == META_SCHEMA || key == META_NETWORK) {
            return Err(StoreError::Reserved { key });
        }
        let bytes = self.bytes + key.len() + value.len();
        if bytes > MAX_BATCH_BYTES {
            return Err(StoreError::BatchTooLong { found: bytes });
        }
        match self.puts.entry((table, key)) {
            Entry::Vacant(vacant) => {
                vacant.insert(value);
                self.bytes = bytes;
            }
            Entry::Occupied(held) if *held.get() == value => {}
            Entry::Occupied(held) if table.is_append_only() => {
                return Err(StoreError::Conflict { table, key: held.key().1.clone() });
            }
            Entry::Occupied(mut held) => {
                self.bytes = self.bytes - held.get().len() + value.len();
                held.insert(value);
            }
        }
        Ok(self)
    }

    /// The puts, by table and key.
    pub fn puts(&self) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
        self.puts.iter().map(|((table, key), value)| (*table, key.as_slice(), value.as_slice()))
    }

    /// How many keys it writes.
    pub fn len(&self) -> usize {
        self.puts.len()
    }

    /// Whether it writes nothing.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// Bytes of its keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_their_edges() {
        let mut batch = Batch::new();
        let key_length =
            |table, found| Err(StoreError::KeyLength { table, found, wanted: Table::key_bytes(table) });
        for (table, fits, misfits) in [
            (Table::Records, vec![32], vec![0, 31, 33, 64]),
            (Table::Audit, vec![8], vec![0, 7, 9]),
            (Table::Votes, vec![1, 64], vec![0, 65]),
            (Table::Own, vec![1, 64], vec![0, 65]),
            (Table::Meta, vec![1, 64], vec![0, 65]),
        ] {
            for bytes in fits {
                assert!(batch.put(table, vec![7; bytes], b"v").is_ok(), "{table} {bytes}");
            }
            for bytes in misfits {
                let before = batch.clone();
                assert_eq!(batch.put(table, vec![7; bytes], b"v").map(|_| ()), key_length(table, bytes));
                assert_eq!(batch, before);
            }
        }
        let mut batch = Batch::new();
        let long = batch.put(Table::Votes, [1], vec![0; MAX_VALUE_BYTES + 1]).map(|_| ());
        assert_eq!(long, Err(StoreError::ValueTooLong { table: Table::Votes, found: MAX_VALUE_BYTES + 1 }));
        for n in 0..3 {
            batch.put(Table::Votes, [n], vec![0; MAX_VALUE_BYTES]).expect("within the limits");
        }
        let rest = MAX_BATCH_BYTES - batch.bytes() - 1;
        batch.put(Table::Votes, [3], vec![0; rest]).expect("the last byte that fits");
        assert_eq!(batch.bytes(), MAX_BATCH_BYTES);
        let over = batch.put(Table::Votes, [4], []).map(|_| ());
        assert_eq!(over, Err(StoreError::BatchTooLong { found: MAX_BATCH_BYTES + 1 }));
        assert_eq!(batch.len(), 4);
    }

    #[test]
    fn a_batch_is_never_at_odds_with_itself() {
        let mut batch = Batch::new();
        batch.put(Table::Votes, b"k", b"yes").expect("fits");
        batch.put(Table::Votes, b"k", b"yes").expect("the equal value");
        let other = batch.put(Table::Votes, b"k", b"no").map(|_| ());
        assert_eq!(other, Err(StoreError::Conflict { table: Table::Votes, key: b"k".to_vec() }));
        batch
            .put(Table::Meta, b"k", b"one")
            .expect("fits")
            .put(Table::Meta, b"k", b"three")
            .expect("replaced");
        let puts: Vec<_> = batch.puts().collect();
        assert_eq!(puts, [(Table::Votes, &b"k"[..], &b"yes"[..]), (Table::Meta, b"k", b"three")]);
        assert_eq!(batch.bytes(), 1 + 3 + 1 + 5);
    }

    #[test]
    fn what_opening_fixed_cannot_be_written() {
        for key in [META_SCHEMA, META_NETWORK] {
            let written = Batch::new().put(Table::Meta, key, b"x").map(|_| ());
            assert_eq!(written, Err(StoreError::Reserved { key: key.to_vec() }));
            assert!(Batch::new().put(Table::Own, key, b"x").is_ok());
        }
    }
}
