//! The node's store: one [redb](https://www.redb.org) file, written by one thread that commits in groups.
//!
//! # Writing
//!
//! A durable commit costs the disk a few milliseconds however little it writes. So batches queue, and the writer takes
//! all that wait (at most [`GROUP_BATCHES`] or [`GROUP_BYTES`]) into one transaction, commits it, and only then answers
//! each of them: a witness with many votes in flight pays for one commit per group. Nobody waits for a group to fill.
//! A batch that conflicts is refused by itself; the others of its group do not notice. The queue is bounded: whoever
//! submits to a full one waits.
//!
//! # What is promised, and against what
//!
//! A batch that was answered `Ok` is there, whole, after the process is killed at any instant, and after the machine
//! loses power at any instant if the disk keeps what it said it had synced. `tests/store_crash.rs` kills processes
//! (which loses nothing that reached the operating system, so it tests this code more than the file format) and cuts
//! the power of a simulated disk that forgets or tears whatever was not synced (which tests both).
//!
//! Commits are redb's two-phase ones. With one-phase commits a file whose last commit is damaged opens as it was one
//! commit earlier; for a witness, a vote forgotten in silence is worse than a store that does not open.
//!
//! After a write has failed the store refuses every other until it is opened again ([`StoreError::Halted`]). After a
//! failed sync nobody knows what is on the disk: the kernel may have dropped the unwritten pages and call the next sync
//! a success. Opening reads the disk anew, and finds the failed batch whole or not at all.
//!
//! # Opening
//!
//! [`RedbStore::create`] makes a store and [`RedbStore::open`] opens one; neither does the other's work, because a
//! witness whose store is gone must know it: it may not vote with its old key again (rule W8). Opening reads the whole
//! file and verifies its checksums, so that a damaged file is an error here and not a panic later; a gigabyte takes a
//! few seconds. Nothing is written before the file has proved to be a sound store of this network and of a known version:
//! one that is refused stays byte for byte as it was. A file is open in one process at a time.
//!
//! What is not noticed: a store that someone put back from an older copy, and one flipped bit, the one by which redb's
//! header of a file that was not closed chooses between its last two commits. A witness must not be restored from a
//! backup under its old key.

mod error;
mod held;
mod open;
mod queue;
mod writer;

use std::{
    fmt,
    ops::Bound,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use ledger::store::{Batch, Done, Store, StoreError, Table, Visit};
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, TableDefinition};

use error::told;
use queue::{Job, Queue};

pub use open::OpenError;
pub use queue::{GROUP_BATCHES, GROUP_BYTES, QUEUE_BATCHES, QUEUE_BYTES};

/// A store in a file. Shared by reference between threads; dropping it writes what is queued and closes the file.
pub struct RedbStore {
    database: Arc<Database>,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl RedbStore {
    /// As [`Store::submit`], with a ticket to wait on in place of a function to call.
    pub fn begin(&self, batch: Batch) -> Ticket {
        let (sender, answer) = mpsc::sync_channel(1);
        // Whoever drops the ticket does not want to know.
        self.submit(batch, Box::new(move |result| drop(sender.send(result))));
        Ticket(answer)
    }

    /// Reading takes a snapshot, and neither waits for the writer nor holds it up.
    fn table(&self, table: Table) -> Result<Reading, StoreError> {
        let transaction = self.database.begin_read().map_err(told)?;
        transaction.open_table(definition(table)).map_err(told)
    }
}

impl Store for RedbStore {
    /// # Panics
    /// On the writer's own thread, that is from a [`Done`]: it would wait for itself.
    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let writer = self.writer.as_ref().map(|writer| writer.thread().id());
        assert_ne!(Some(std::thread::current().id()), writer, "commit within Done waits for itself");
        self.begin(batch).wait()
    }

    fn submit(&self, batch: Batch, done: Done) {
        self.queue.push(Job { batch, done });
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.table(table)?.get(key).map_err(told)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let table = self.table(table)?;
        let range = (Bound::Included(from), Bound::Unbounded);
        for entry in table.range::<&[u8]>(range).map_err(told)? {
            let (key, value) = entry.map_err(told)?;
            if visit(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        self.table(table)?.len().map_err(told)
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.queue.close();
        let Some(writer) = self.writer.take() else { return };
        // The last owner may have been a `Done`, on the writer's thread: it goes on to write what is queued, and ends.
        if writer.thread().id() != std::thread::current().id() {
            // If it panicked, its batches heard of it.
            drop(writer.join());
        }
    }
}

/// A batch in flight.
#[must_use = "what depends on the batch may leave only after `wait` returned `Ok`"]
#[derive(Debug)]
pub struct Ticket(mpsc::Receiver<Result<(), StoreError>>);

impl Ticket {
    /// Waits for the batch, and returns what [`Store::commit`] would have.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn wait(self) -> Result<(), StoreError> {
        self.0.recv().unwrap_or(Err(StoreError::Closed))
    }
}

type Reading = ReadOnlyTable<&'static [u8], &'static [u8]>;

const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}
