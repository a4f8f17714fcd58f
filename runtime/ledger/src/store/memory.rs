//! A store without a disk, for tests and simulations.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Batch, Done, META_NETWORK, META_SCHEMA, NetworkId, Store, StoreError, Table, Visit,
    schema::{self, Admission, SCHEMA_VERSION, Step},
};

/// What a simulated machine keeps when its process dies. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Arc<Tables>>>);

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        Disk::default()
    }

    /// A disk as a store of an earlier (or later) version would have left it.
    #[cfg(test)]
    pub(super) fn planted(version: u32, network: &NetworkId, entries: &[(Table, &[u8], &[u8])]) -> Self {
        let mut tables: Tables = schema::tables(version).map(|table| (table, BTreeMap::new())).collect();
        let meta =
            [(Table::Meta, META_SCHEMA, &version.to_be_bytes()[..]), (Table::Meta, META_NETWORK, network)];
        for (table, key, value) in meta.iter().chain(entries) {
            tables.entry(*table).or_default().insert(key.to_vec(), value.to_vec());
        }
        Disk(Arc::new(Mutex::new(Arc::new(tables))))
    }

    fn tables(&self) -> MutexGuard<'_, Arc<Tables>> {
        // Nothing here is ever half-changed when a panic could strike.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store on a [`Disk`]: what is committed outlives this value as long as the disk does.
#[derive(Debug)]
pub struct Memory(Disk);

impl Memory {
    /// A store of its own that belongs to `network`.
    pub fn new(network: &NetworkId) -> Self {
        Memory::open(&Disk::new(), network).expect("an empty disk takes every network")
    }

    /// Opens the store on a disk; an empty disk becomes one that belongs to `network`.
    ///
    /// # Errors
    /// As [`schema::admit`].
    pub fn open(disk: &Disk, network: &NetworkId) -> Result<Self, StoreError> {
        let mut shared = disk.tables();
        let meta = |key: &[u8]| shared.get(&Table::Meta).and_then(|meta| meta.get(key)).map(Vec::as_slice);
        let steps = match schema::admit(meta(META_SCHEMA), meta(META_NETWORK), network)? {
            Admission::Fresh if !shared.is_empty() => {
                return Err(StoreError::Corrupt("it holds entries, but neither version nor network".into()));
            }
            Admission::Fresh => Table::ALL.map(Step::AddTable).to_vec(),
            Admission::Migrate(steps) => steps.to_vec(),
        };
        let tables = Arc::make_mut(&mut shared);
        for Step::AddTable(table) in steps {
            tables.entry(table).or_default();
        }
        let meta = tables.entry(Table::Meta).or_default();
        meta.insert(META_SCHEMA.to_vec(), SCHEMA_VERSION.to_be_bytes().to_vec());
        meta.insert(META_NETWORK.to_vec(), network.to_vec());
        drop(shared);
        Ok(Memory(disk.clone()))
    }

    /// What is committed at this moment; later commits leave it as it is.
    fn snapshot(&self) -> Arc<Tables> {
        self.0.tables().clone()
    }
}

impl Store for Memory {
    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut shared = self.0.tables();
        for (table, key, value) in batch.puts().filter(|(table, ..)| table.is_append_only()) {
            if shared[&table].get(key).is_some_and(|held| held != value) {
                return Err(StoreError::Conflict { table, key: key.to_vec() });
            }
        }
        let tables = Arc::make_mut(&mut shared);
        for (table, key, value) in batch.puts() {
            tables.entry(table).or_default().insert(key.to_vec(), value.to_vec());
        }
        Ok(())
    }

    fn submit(&self, batch: Batch, done: Done) {
        done(self.commit(batch));
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.tables()[&table].get(key).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let snapshot = self.snapshot();
        let range = (Bound::Included(from), Bound::Unbounded);
        for (key, value) in snapshot[&table].range::<[u8], _>(range) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        Ok(self.0.tables()[&table].len() as u64)
    }
}

type Tables = BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract;

    struct Machine(Disk);

    impl contract::Place for Machine {
        fn plant(&mut self, version: u32, network: &NetworkId, entries: &[(Table, &[u8], &[u8])]) {
            self.0 = Disk::planted(version, network, entries);
        }

        fn open(&mut self, network: &NetworkId) -> Result<Box<dyn Store>, StoreError> {
            Ok(Box::new(Memory::open(&self.0, network)?))
        }
    }

    #[test]
    fn the_contract_holds() {
        contract::check(&mut || Box::new(Memory::new(&[1; 32])));
    }

    #[test]
    fn the_contract_of_opening_holds() {
        contract::check_opening(&mut || Box::new(Machine(Disk::new())));
    }

    #[test]
    fn entries_without_a_version_are_refused() {
        let disk = Disk::planted(0, &[1; 32], &[]);
        Arc::make_mut(&mut disk.tables()).get_mut(&Table::Meta).expect("meta").clear();
        assert!(matches!(Memory::open(&disk, &[1; 32]), Err(StoreError::Corrupt(_))));
    }
}
