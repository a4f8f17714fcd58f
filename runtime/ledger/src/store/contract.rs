//! The test that every adapter passes. Ordinary code, so that the tests of other crates can call it.
//!
//! [`check`] holds what a [`Store`] promises while it is open, [`check_opening`] what it promises over its life. That
//! promises outlive a crash is each adapter's own matter to test.

use std::{ops::ControlFlow, sync::mpsc};

use super::{
    Batch, META_NETWORK, META_SCHEMA, NetworkId, Store, StoreError, Table, audit_key, schema::SCHEMA_VERSION,
};

/// Where a store lies while it is closed.
pub trait Place {
    /// Puts there what a store of version `version` would have left: only the tables of its time, these entries, and in
    /// `meta` its version and network.
    fn plant(&mut self, version: u32, network: &NetworkId, entries: &[(Table, &[u8], &[u8])]);

    /// Opens what is there, or makes a store if there is nothing.
    ///
    /// # Errors
    /// What the adapter says.
    fn open(&mut self, network: &NetworkId) -> Result<Box<dyn Store>, StoreError>;
}

/// Checks an adapter. `make` returns an empty store each time.
///
/// # Panics
/// If the adapter breaks the contract.
pub fn check(make: &mut dyn FnMut() -> Box<dyn Store>) {
    what_is_put_is_there(&*make());
    append_only_tables_keep_their_values(&*make());
    meta_is_replaced(&*make());
    a_refused_batch_leaves_nothing(&*make());
    scans_are_ordered_and_stop(&*make());
    scans_see_one_moment(&*make());
    submitted_batches_keep_their_order(&*make());
    the_longest_entry_fits(&*make());
}

/// Checks how an adapter opens: its network, its versions, and that what was committed is there again. `make` returns an
/// empty place each time.
///
/// # Panics
/// If the adapter breaks the contract.
pub fn check_opening(make: &mut dyn FnMut() -> Box<dyn Place>) {
    a_network_is_for_life(&mut *make());
    a_later_version_is_refused(&mut *make());
    an_earlier_version_is_migrated(&mut *make());
    half_a_meta_is_damaged(&mut *make());
}

fn what_is_put_is_there(store: &dyn Store) {
    for table in Table::ALL.into_iter().filter(|table| table.is_append_only()) {
        assert_eq!(store.len(table), Ok(0), "{table}");
        assert_eq!(store.is_empty(table), Ok(true), "{table}");
    }
    let mut batch = Batch::new();
    for table in Table::ALL {
        batch.put(table, key(table, 1), table.name()).expect("fits");
    }
    store.commit(batch).expect("an empty store takes it");
    for table in Table::ALL {
        assert_eq!(store.get(table, &key(table, 1)), Ok(Some(table.name().into())), "{table}");
        assert_eq!(store.get(table, &key(table, 2)), Ok(None), "{table}");
        assert_eq!(store.get(table, b""), Ok(None), "{table}");
        assert_eq!(store.get(table, &[0; 1000]), Ok(None), "{table}");
        let fixed = if table == Table::Meta { 2 } else { 0 };
        assert_eq!(store.len(table), Ok(1 + fixed), "{table}");
    }
    assert_eq!(store.get(Table::Meta, META_SCHEMA), Ok(Some(SCHEMA_VERSION.to_be_bytes().to_vec())));
    store.commit(Batch::new()).expect("an empty batch changes nothing");
    store.commit(put(Table::Votes, 3, b"")).expect("an empty value is a value");
    assert_eq!(store.get(Table::Votes, &key(Table::Votes, 3)), Ok(Some(Vec::new())));
}

fn append_only_tables_keep_their_values(store: &dyn Store) {
    for table in Table::ALL.into_iter().filter(|table| table.is_append_only()) {
        store.commit(put(table, 1, b"first")).expect("a free key");
        store.commit(put(table, 1, b"first")).expect("the equal value changes nothing");
        for other in [&b"other"[..], b"", b"first ", b"firs"] {
            assert_eq!(store.commit(put(table, 1, other)), Err(conflict(table, 1)), "{table}");
        }
        assert_eq!(store.get(table, &key(table, 1)), Ok(Some(b"first".to_vec())), "{table}");
        assert_eq!(store.len(table), Ok(1), "{table}");
    }
}

fn meta_is_replaced(store: &dyn Store) {
    for value in [&b"one"[..], b"two", b""] {
        store.commit(put(Table::Meta, 1, value)).expect("meta takes every value");
        assert_eq!(store.get(Table::Meta, &key(Table::Meta, 1)), Ok(Some(value.to_vec())));
    }
}

fn a_refused_batch_leaves_nothing(store: &dyn Store) {
    store.commit(put(Table::Votes, 5, b"yes")).expect("a free key");
    // The conflict stands in the middle: before and after it, in its table and in others, are puts that would do.
    let mut batch = Batch::new();
    for table in Table::ALL {
        for n in [1, 9] {
            batch.put(table, key(table, n), b"torn").expect("fits");
        }
    }
    batch.put(Table::Votes, key(Table::Votes, 5), b"no").expect("fits");
    assert_eq!(store.commit(batch), Err(conflict(Table::Votes, 5)));
    for table in Table::ALL {
        for n in [1, 9] {
            assert_eq!(store.get(table, &key(table, n)), Ok(None), "{table}");
        }
    }
    assert_eq!(store.len(Table::Votes), Ok(1));
    store.commit(put(Table::Votes, 1, b"whole")).expect("a refused batch does no harm to later ones");
}

fn scans_are_ordered_and_stop(store: &dyn Store) {
    // Sequence numbers whose order differs if they are compared as text or little-endian.
    let sequences = [0, 1, 2, 9, 10, 255, 256, 65_536, u64::MAX];
    for sequence in sequences.iter().rev() {
        let mut batch = Batch::new();
        batch.put(Table::Audit, audit_key(*sequence), sequence.to_string()).expect("fits");
        store.commit(batch).expect("a free key");
    }
    let seen = |from: &[u8], most: usize| {
        let mut seen = Vec::new();
        let scanned = store.scan(Table::Audit, from, &mut |key, value| {
            seen.push(u64::from_be_bytes(key.try_into().expect("eight bytes")));
            assert_eq!(value, seen[seen.len() - 1].to_string().as_bytes());
            if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(scanned, Ok(()));
        seen
    };
    assert_eq!(seen(b"", 100), sequences);
    assert_eq!(seen(b"", 3), [0, 1, 2]);
    assert_eq!(seen(&audit_key(10), 100), sequences[4..], "inclusive");
    assert_eq!(seen(&audit_key(11), 2), [255, 256], "from between two keys");
    assert_eq!(seen(&[0xff; 9], 100), [0; 0], "from behind the last");
    // Keys of several lengths: a prefix comes first.
    for key in [&b"b"[..], b"ab", b"a", b"a\0", b"aa"] {
        let mut batch = Batch::new();
        batch.put(Table::Own, key, b"").expect("fits");
        store.commit(batch).expect("a free key");
    }
    let mut keys = Vec::new();
    let scanned = store.scan(Table::Own, b"a\0", &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    });
    assert_eq!(
        (scanned, keys),
        (Ok(()), vec![b"a\0".to_vec(), b"aa".to_vec(), b"ab".to_vec(), b"b".to_vec()])
    );
}

fn scans_see_one_moment(store: &dyn Store) {
    for n in [1, 3] {
        store.commit(put(Table::Records, n, b"before")).expect("a free key");
    }
    let mut seen = 0;
    let scanned = store.scan(Table::Records, b"", &mut |_, value| {
        assert_eq!(value, b"before");
        store.commit(put(Table::Records, 2 + 2 * seen, b"meanwhile")).expect("a scan does not block writing");
        seen += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((scanned, seen, store.len(Table::Records)), (Ok(()), 2, Ok(4)));
}

fn submitted_batches_keep_their_order(store: &dyn Store) {
    let (sender, heard) = mpsc::channel();
    for n in 0..IN_FLIGHT {
        let mut batch = put(Table::Meta, 1, &[n]);
        // Of each pair the second one asks for another value under the first one's key.
        batch.put(Table::Votes, key(Table::Votes, n / 2), [n]).expect("fits");
        let sender = sender.clone();
        store.submit(batch, Box::new(move |result| sender.send((n, result)).expect("someone listens")));
    }
    drop(sender);
    let heard: Vec<_> = heard.iter().collect();
    let expected = |n| (n, if n % 2 == 0 { Ok(()) } else { Err(conflict(Table::Votes, n / 2)) });
    assert!(heard.iter().cloned().eq((0..IN_FLIGHT).map(expected)), "{heard:?}");
    assert_eq!(store.len(Table::Votes), Ok(u64::from(IN_FLIGHT) / 2));
    assert_eq!(store.get(Table::Meta, &key(Table::Meta, 1)), Ok(Some(vec![IN_FLIGHT - 2])));
}

fn the_longest_entry_fits(store: &dyn Store) {
    let value = vec![0xa5; super::MAX_VALUE_BYTES];
    let mut batch = Batch::new();
    batch.put(Table::Votes, [0xff; super::MAX_KEY_BYTES], value.clone()).expect("at the limit");
    store.commit(batch).expect("at the limit");
    assert_eq!(store.get(Table::Votes, &[0xff; super::MAX_KEY_BYTES]), Ok(Some(value)));
}

fn a_network_is_for_life(place: &mut dyn Place) {
    let store = place.open(&HOME).expect("an empty place becomes a store");
    store.commit(put(Table::Votes, 1, b"yes")).expect("a free key");
    drop(store);
    let refused = place.open(&AWAY).map(|_| ());
    assert_eq!(refused, Err(StoreError::OtherNetwork { found: HOME, asked: AWAY }));
    let store = place.open(&HOME).expect("a refused opening does no harm");
    assert_eq!(store.get(Table::Votes, &key(Table::Votes, 1)), Ok(Some(b"yes".to_vec())));
    assert_eq!(store.get(Table::Meta, META_NETWORK), Ok(Some(HOME.to_vec())));
    assert_eq!(store.commit(put(Table::Votes, 1, b"no")), Err(conflict(Table::Votes, 1)), "across openings");
}

fn a_later_version_is_refused(place: &mut dyn Place) {
    let found = SCHEMA_VERSION + 1;
    place.plant(found, &HOME, &[]);
    for _ in 0..2 {
        // Twice: the first refusal must not have made it one of ours.
        let refused = place.open(&HOME).map(|_| ());
        assert_eq!(refused, Err(StoreError::LaterSchema { found, known: SCHEMA_VERSION }));
    }
}

fn an_earlier_version_is_migrated(place: &mut dyn Place) {
    let vote = key(Table::Votes, 1);
    place.plant(0, &HOME, &[(Table::Votes, &vote, b"yes"), (Table::Meta, b"head", b"h")]);
    let refused = place.open(&AWAY).map(|_| ());
    assert_eq!(refused, Err(StoreError::OtherNetwork { found: HOME, asked: AWAY }), "before it is migrated");
    for opened in 0..2_u8 {
        let store = place.open(&HOME).expect("a version that this program knows");
        assert_eq!(store.get(Table::Meta, META_SCHEMA), Ok(Some(SCHEMA_VERSION.to_be_bytes().to_vec())));
        assert_eq!(store.get(Table::Votes, &vote), Ok(Some(b"yes".to_vec())));
        assert_eq!(store.get(Table::Meta, b"head"), Ok(Some(b"h".to_vec())));
        assert_eq!(store.len(Table::Audit), Ok(opened.into()));
        store.commit(put(Table::Audit, opened, b"entry")).expect("the table is there");
    }
}

fn half_a_meta_is_damaged(place: &mut dyn Place) {
    place.plant(SCHEMA_VERSION, &HOME, &[(Table::Meta, META_SCHEMA, b"odd")]);
    let refused = place.open(&HOME).map(|_| ());
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
}

fn put(table: Table, n: u8, value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(table, key(table, n), value).expect("within the limits");
    batch
}

/// The n-th key of a table, in order.
fn key(table: Table, n: u8) -> Vec<u8> {
    vec![n; *table.key_bytes().start()]
}

fn conflict(table: Table, n: u8) -> StoreError {
    StoreError::Conflict { table, key: key(table, n) }
}

const HOME: NetworkId = [1; 32];
const AWAY: NetworkId = [2; 32];
/// Batches in flight at once; even.
const IN_FLIGHT: u8 = 100;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::store::{Done, Memory, Visit};

    /// What an adapter may get wrong.
    #[derive(Clone, Copy, Debug)]
    enum Fault {
        None,
        /// Says yes to another value and keeps the first one.
        HidesConflicts,
        /// Writes what it can of a batch that it refuses.
        TearsBatches,
        /// Says that a batch is written, and forgets it.
        Forgets,
        /// Leaves out the key that a scan starts from.
        SkipsFirst,
        /// Does not listen to a visitor that has enough.
        NeverStops,
    }

    struct Faulty(Memory, Fault);

    impl Store for Faulty {
        fn commit(&self, batch: Batch) -> Result<(), StoreError> {
            match self.1 {
                Fault::Forgets => return Ok(()),
                Fault::TearsBatches => {
                    for (table, key, value) in batch.puts() {
                        let mut one = Batch::new();
                        one.put(table, key, value)?;
                        self.0.commit(one)?;
                    }
                }
                _ => {}
            }
            let result = self.0.commit(batch);
            if matches!(self.1, Fault::HidesConflicts) { Ok(()) } else { result }
        }

        fn submit(&self, batch: Batch, done: Done) {
            done(self.commit(batch));
        }

        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            self.0.get(table, key)
        }

        fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
            self.0.scan(table, from, &mut |key, value| match self.1 {
                Fault::SkipsFirst if key == from => ControlFlow::Continue(()),
                Fault::NeverStops => {
                    let _ = visit(key, value);
                    ControlFlow::Continue(())
                }
                _ => visit(key, value),
            })
        }

        fn len(&self, table: Table) -> Result<u64, StoreError> {
            self.0.len(table)
        }
    }

    #[test]
    fn planted_faults_are_caught() {
        let passes = |fault| {
            let mut make = || -> Box<dyn Store> { Box::new(Faulty(Memory::new(&HOME), fault)) };
            catch_unwind(AssertUnwindSafe(|| check(&mut make))).is_ok()
        };
        assert!(passes(Fault::None));
        for fault in
            [Fault::HidesConflicts, Fault::TearsBatches, Fault::Forgets, Fault::SkipsFirst, Fault::NeverStops]
        {
            assert!(!passes(fault), "{fault:?} was not caught");
        }
    }
}
