//! The store in a file: its contract, its groups, and what it says of files and disks that are not as they should be.

#[path = "common/disk.rs"]
mod disk;
#[path = "common/promise.rs"]
mod promise;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use disk::{Disk, Fault};
use edge_net::store::{GROUP_BATCHES, OpenError, RedbStore};
use ledger::store::{
    Batch, META_NETWORK, META_SCHEMA, NetworkId, Store, StoreError, Table,
    contract::{self, Place},
    schema,
};
use promise::{Lots, NETWORK, Promise, batch, second_vote};
use redb::{Database, TableDefinition};

#[test]
fn the_contract_holds() {
    let folder = folder("contract");
    let mut made = 0;
    contract::check(&mut || {
        made += 1;
        Box::new(RedbStore::create(&folder.join(made.to_string()), &NETWORK).expect("made"))
    });
}

struct Folder(PathBuf);

impl Place for Folder {
    fn plant(&mut self, version: u32, network: &NetworkId, entries: &[(Table, &[u8], &[u8])]) {
        let database = Database::create(&self.0).expect("made");
        let writing = database.begin_write().expect("begun");
        let table = |table: Table| {
            writing.open_table(TableDefinition::<&[u8], &[u8]>::new(table.name())).expect("opened")
        };
        schema::tables(version).for_each(|t| drop(table(t)));
        let meta =
            [(Table::Meta, META_SCHEMA, &version.to_be_bytes()[..]), (Table::Meta, META_NETWORK, network)];
        for (t, key, value) in meta.iter().chain(entries) {
            table(*t).insert(*key, *value).expect("written");
        }
        writing.commit().expect("committed");
    }

    fn open(&mut self, network: &NetworkId) -> Result<Box<dyn Store>, StoreError> {
        let opened = match RedbStore::open(&self.0, network) {
            Err(OpenError { error: StoreError::Missing, .. }) => RedbStore::create(&self.0, network),
            opened => opened,
        };
        Ok(Box::new(opened.map_err(|e| e.error)?))
    }
}

#[test]
fn the_contract_of_opening_holds() {
    let folder = folder("opening");
    let mut made = 0;
    contract::check_opening(&mut || {
        made += 1;
        Box::new(Folder(folder.join(made.to_string())))
    });
}

#[test]
fn what_queues_is_committed_together_and_refused_alone() {
    let disk = Disk::default();
    let store = RedbStore::on(disk.clone(), &NETWORK).expect("made");
    disk.hold();
    let first = store.begin(batch(0));
    // The writer is stuck in the first commit; all of these queue.
    let tickets: Vec<_> =
        (1..=500).map(|n| (n, store.begin(batch(n)), store.begin(second_vote(n)))).collect();
    let before = disk.syncs();
    disk.release();
    assert_eq!(first.wait(), Ok(()));
    for (n, vote, second) in tickets {
        assert_eq!(vote.wait(), Ok(()), "{n}");
        assert!(matches!(second.wait(), Err(StoreError::Conflict { table: Table::Votes, .. })), "{n}");
    }
    let syncs = disk.syncs() - before;
    // 1,001 batches, two syncs a commit: the rest of the first one, and at most three groups.
    assert!(syncs <= 8, "{syncs} syncs");
    Promise { kept: (0..=500).collect() }.check(&store).expect("kept");
    // What is there already costs no commit.
    let before = disk.syncs();
    (0..=500).map(second_vote).for_each(|b| assert!(store.commit(b).is_err()));
    let mut repeat = Batch::new();
    batch(3).puts().filter(|p| p.0 != Table::Meta).for_each(|(table, key, value)| {
        repeat.put(table, key, value).expect("within the limits");
    });
    assert_eq!(store.commit(repeat), Ok(()));
    assert_eq!(disk.syncs(), before);
}

#[test]
fn reading_does_not_wait_for_the_writer() {
    let disk = Disk::default();
    let store = RedbStore::on(disk.clone(), &NETWORK).expect("made");
    store.commit(batch(1)).expect("written");
    disk.hold();
    let before = disk.syncs();
    let ticket = store.begin(batch(2));
    while disk.syncs() == before {
        std::thread::yield_now();
    }
    // In the middle of a commit, what is not durable is not shown.
    Promise { kept: [1].into() }.check(&store).expect("kept");
    assert_eq!(store.len(Table::Votes), Ok(1));
    disk.release();
    assert_eq!(ticket.wait(), Ok(()));
    assert_eq!(store.len(Table::Votes), Ok(2));
}

#[test]
fn a_dropped_store_has_written_what_was_queued() {
    let path = folder("dropped").join("store");
    let store = RedbStore::create(&path, &NETWORK).expect("made");
    let (sender, heard) = mpsc::channel();
    for n in 0..2 * GROUP_BATCHES as u64 {
        let sender = sender.clone();
        store.submit(batch(n), Box::new(move |result| sender.send(result).expect("someone listens")));
    }
    drop((store, sender));
    assert!(heard.iter().eq((0..2 * GROUP_BATCHES).map(|_| Ok(()))));
    let store = RedbStore::open(&path, &NETWORK).expect("opened");
    Promise { kept: (0..2 * GROUP_BATCHES as u64).collect() }.check(&store).expect("kept");
}

/// A shell may well keep its store alive in the very function that is told of the last batch.
#[test]
fn the_last_owner_may_be_told_last() {
    let disk = Disk::default();
    let store = Arc::new(RedbStore::on(disk.clone(), &NETWORK).expect("made"));
    let (sender, heard) = mpsc::channel();
    disk.hold();
    for n in 0..3 {
        let (sender, owner) = (sender.clone(), store.clone());
        store.submit(
            batch(n),
            Box::new(move |result| {
                // More work from here, and from nobody else.
                let sender_again = sender.clone();
                owner.submit(
                    batch(100 + n),
                    Box::new(move |result| sender_again.send(result).expect("listens")),
                );
                sender.send(result).expect("listens");
            }),
        );
    }
    drop((store, sender));
    disk.release();
    assert!(heard.iter().eq((0..6).map(|_| Ok(()))));
    let store = RedbStore::on(Disk::holding(disk.bytes()), &NETWORK).expect("opened");
    Promise { kept: [0, 1, 2, 100, 101, 102].into() }.check(&store).expect("kept");
}

#[test]
fn after_a_failed_write_nothing_is_promised_any_more() {
    for fault in [Fault::Full, Fault::Sync] {
        let disk = Disk::default();
        let store = RedbStore::on(disk.clone(), &NETWORK).expect("made");
        let mut kept = Promise { kept: (0..20).collect() };
        (0..20).for_each(|n| store.commit(batch(n)).expect("written"));
        disk.hold();
        let first = store.begin(batch(20));
        let group: Vec<_> = (21..30).map(|n| store.begin(batch(n))).collect();
        disk.breaks(fault);
        disk.release();
        let mut results: Vec<_> = std::iter::once(first).chain(group).map(|ticket| ticket.wait()).collect();
        results.retain(|result| !matches!(result, Err(StoreError::Disk(_) | StoreError::Halted(_))));
        assert_eq!(results, [], "{fault:?}");
        // Room again, or a kernel that calls the next sync a success: still nothing.
        disk.breaks(Fault::Liar);
        assert!(matches!(store.commit(batch(30)), Err(StoreError::Halted(_))), "{fault:?}");
        // Not even what is there already: it might be a vote of the group that failed.
        assert!(matches!(store.commit(batch(1)), Err(StoreError::Halted(_))), "{fault:?}");
        drop(store);
        let store = RedbStore::on(Disk::holding(disk.bytes()), &NETWORK).expect("opened");
        kept.check(&store).expect("kept");
        store.commit(batch(30)).expect("an opened store writes");
    }
}

#[test]
fn making_and_opening_do_not_do_each_others_work() {
    let folder = folder("places");
    let path = folder.join("store");
    assert_eq!(error(RedbStore::open(&path, &NETWORK)), StoreError::Missing);
    assert!(!path.exists());
    // What a crash in the middle of making one leaves.
    fs::write(folder.join("store.part"), b"half a store").expect("written");
    let store = RedbStore::create(&path, &NETWORK).expect("made");
    store.commit(batch(1)).expect("written");
    assert_eq!(error(RedbStore::open(&path, &NETWORK)), StoreError::InUse);
    assert_eq!(error(RedbStore::create(&path, &NETWORK)), StoreError::Exists);
    drop(store);
    assert_eq!(error(RedbStore::create(&path, &NETWORK)), StoreError::Exists);
    Promise { kept: [1].into() }.check(&RedbStore::open(&path, &NETWORK).expect("opened")).expect("kept");
    #[cfg(unix)]
    {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("there").permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    let before = fs::read(&path).expect("there");
    let shown = RedbStore::open(&path, &[8; 32]).map(|_| ()).expect_err("another network").to_string();
    assert!(shown.contains("places/store") && shown.contains("0808"), "{shown}");
    assert!(fs::read(&path).expect("there") == before, "a store of another network was changed");
    let later = folder.join("later");
    Folder(later.clone()).plant(schema::SCHEMA_VERSION + 1, &NETWORK, &[]);
    let before = fs::read(&later).expect("there");
    let known = schema::SCHEMA_VERSION;
    assert_eq!(error(RedbStore::open(&later, &NETWORK)), StoreError::LaterSchema { found: known + 1, known });
    assert!(fs::read(&later).expect("there") == before, "a store of a later version was changed");
}

#[test]
fn foreign_files_are_left_alone() {
    let folder = folder("foreign");
    let path = folder.join("file");
    let random: Vec<u8> = {
        let mut lots = Lots(1);
        (0..100_000).map(|_| lots.next() as u8).collect()
    };
    let files = [&b"x"[..], b"a short text", &[0; 8192], &[0xff; 8192], &random];
    for bytes in files {
        fs::write(&path, bytes).expect("written");
        let refused = error(RedbStore::open(&path, &NETWORK));
        assert!(matches!(refused, StoreError::Foreign(_) | StoreError::Corrupt(_)), "{refused:?}");
        assert_eq!(error(RedbStore::create(&path, &NETWORK)), StoreError::Exists);
        assert_eq!(fs::read(&path).expect("there"), bytes, "{refused:?}");
    }
    fs::write(&path, b"").expect("written");
    assert!(matches!(error(RedbStore::open(&path, &NETWORK)), StoreError::Corrupt(_)));
    assert_eq!(fs::read(&path).expect("there"), b"");
    assert!(matches!(error(RedbStore::open(&folder, &NETWORK)), StoreError::Disk(_)), "a folder");
    a_database_of_someone_else(&folder.join("theirs"));
}

fn a_database_of_someone_else(path: &Path) {
    const THEIRS: TableDefinition<u64, &str> = TableDefinition::new("meta");
    let database = Database::create(path).expect("made");
    let writing = database.begin_write().expect("begun");
    writing.open_table(THEIRS).expect("opened").insert(1, "theirs").expect("written");
    writing.commit().expect("committed");
    drop(database);
    let before = fs::read(path).expect("there");
    let refused = error(RedbStore::open(path, &NETWORK));
    assert!(matches!(refused, StoreError::Foreign(_)), "{refused:?}");
    assert!(fs::read(path).expect("there") == before, "somebody else's database was changed");
}

/// Whatever is done to the bytes: the store opens and keeps its promise, or it says that it is damaged and leaves the file
/// as it is.
#[test]
fn damage_is_told() {
    let disk = Disk::default();
    let store = RedbStore::on(disk.clone(), &NETWORK).expect("made");
    (0..60).for_each(|n| store.commit(batch(n)).expect("written"));
    let crashed = disk.bytes();
    drop(store);
    let closed = disk.bytes();
    let mut lots = Lots(2);
    let (mut refused, mut opened) = (0, 0);
    for round in 0..400 {
        let whole = if round % 2 == 0 { &closed } else { &crashed };
        let mut bytes = whole.clone();
        damage(&mut bytes, &mut lots);
        if let Some(byte) = bytes.get_mut(PRIMARY_BYTE) {
            *byte = *byte & !PRIMARY_BIT | whole[PRIMARY_BYTE] & PRIMARY_BIT;
        }
        let disk = Disk::holding(bytes.clone());
        match RedbStore::on(disk.clone(), &NETWORK) {
            Ok(store) => {
                Promise { kept: (0..60).collect() }
                    .check(&store)
                    .unwrap_or_else(|e| panic!("round {round}: {e}"));
                opened += 1;
            }
            Err(StoreError::Corrupt(_) | StoreError::Foreign(_)) => {
                assert!(disk.bytes() == bytes, "round {round}: a damaged file was changed");
                refused += 1;
            }
            Err(other) => panic!("round {round}: {other:?}"),
        }
    }
    assert!(refused > 50 && opened > 10, "{refused} refused, {opened} opened: the damage is one-sided");
}

fn damage(bytes: &mut Vec<u8>, lots: &mut Lots) {
    if lots.below(8) == 0 {
        return bytes.truncate(1 + lots.below(bytes.len() - 1));
    }
    for _ in 0..1 + lots.below(3) {
        // Mostly where it hurts: the first sector holds the header.
        let end = if lots.below(2) == 0 { 512 } else { bytes.len() };
        let at = lots.below(end);
        match lots.below(4) {
            0 => bytes[at..].iter_mut().take(4096).for_each(|byte| *byte = 0),
            1 => bytes[at] = lots.next() as u8,
            _ => bytes[at] ^= 1 << lots.below(8),
        }
    }
}

fn error(opened: Result<RedbStore, OpenError>) -> StoreError {
    opened.map(|_| ()).expect_err("refused").error
}

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("store").join(test);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).expect("made");
    folder
}

/// The bit of redb's header that chooses between the last two commits. In a file that was not closed nothing can tell
/// whether it is right; the documentation of `edge_net::store` says so.
const PRIMARY_BYTE: usize = 9;
const PRIMARY_BIT: u8 = 1;
