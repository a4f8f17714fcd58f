//! What a node must not forget: opaque bytes in a few tables, written all or nothing and durable before anyone hears of it.
//!
//! The ledger's safety rests on one sentence: *a witness writes its vote durably before the vote leaves, and never
//! writes another one under the same key* (rule W3). [`Store`] is that sentence as a trait. Every table but
//! [`Table::Meta`] is append-only: a key, once written, keeps its value. Putting the equal value again changes nothing,
//! putting another one refuses the whole batch with [`StoreError::Conflict`]; so a put is also a compare-and-set, and of
//! two writers that race for one key exactly one wins.
//!
//! | table | key | value | rule |
//! |---|---|---|---|
//! | `records` | id of the record, 32 bytes | its canonical bytes | append-only |
//! | `votes` | what is voted on, 1 to 64 bytes | the vote | append-only |
//! | `own` | own operation, 1 to 64 bytes | its signed bytes, written before they are sent | append-only |
//! | `audit` | sequence number, [`audit_key`] | entry of the audit log | append-only |
//! | `meta` | name, 1 to 64 bytes | heads, rolls and other things that no vote rests on; schema and network id, fixed | replaceable |
//!
//! A store belongs to one network, named at its first opening; [`schema`] holds its versions and their migrations.
//! [`Memory`] is the adapter for tests and simulations, the node's own lies in `edge-net`. [`contract`] is the test
//! that every adapter passes.

mod batch;
pub mod contract;
mod error;
mod memory;
pub mod schema;

use std::{fmt, ops::ControlFlow, ops::RangeInclusive};

pub use batch::Batch;
pub use error::StoreError;
pub use memory::{Disk, Memory};

/// Most bytes of a key.
pub const MAX_KEY_BYTES: usize = 64;
/// Most bytes of a value.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// Most bytes of keys and values in one batch.
pub const MAX_BATCH_BYTES: usize = 4 << 20;
/// Name under which `meta` keeps the schema version, a `u32` big-endian. Batches cannot write it.
pub const META_SCHEMA: &[u8] = b"schema";
/// Name under which `meta` keeps the network id. Batches cannot write it.
pub const META_NETWORK: &[u8] = b"network";

/// Which network a store belongs to: the hash of its signed configuration.
pub type NetworkId = [u8; 32];

/// Called once with the fate of a batch, perhaps on another thread. It must not wait: other batches stand behind it.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Sees a key and its value, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Where bytes outlive the process.
///
/// Reading sees what was committed when the call began, and nothing of a batch that is not durable. A call may be made
/// from within [`scan`](Store::scan)'s `visit`.
pub trait Store {
    /// Writes all of `batch` or nothing of it, and returns when it is durable.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a key of an append-only table holds another value: nothing of the batch is written
    /// and other batches are not touched. Anything else means that the batch is not known to be durable: it must be
    /// treated as neither written nor unwritten, and nothing that depends on it may leave.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// As [`commit`](Store::commit), but returns once the batch has its place in the queue, so that many can be in
    /// flight; `done` hears what `commit` would have returned. Batches take effect in the order of the calls.
    fn submit(&self, batch: Batch, done: Done);

    /// The value under a key.
    ///
    /// # Errors
    /// The store cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the entries from key `from` on (inclusive; empty: from the first), in the order of their keys' bytes.
    ///
    /// # Errors
    /// The store cannot be read.
    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// How many entries a table holds.
    ///
    /// # Errors
    /// The store cannot be read.
    fn len(&self, table: Table) -> Result<u64, StoreError>;

    /// Whether a table holds nothing.
    ///
    /// # Errors
    /// The store cannot be read.
    fn is_empty(&self, table: Table) -> Result<bool, StoreError> {
        Ok(self.len(table)? == 0)
    }
}

/// The tables. Numbers and names are part of the stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Certified operations, resolves, checkpoints and proofs, by id.
    Records = 1,
    /// What this witness voted, by what it voted on.
    Votes = 2,
    /// Operations this node signed, so that a crash re-sends the same bytes and never signs others.
    Own = 3,
    /// The hash-linked log of security events, by sequence number.
    Audit = 4,
    /// Named values that may be replaced.
    Meta = 5,
}

impl Table {
    /// Every table, in the order of its number.
    pub const ALL: [Table; 5] = [Table::Records, Table::Votes, Table::Own, Table::Audit, Table::Meta];

    /// The table's name in the stored form.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Records => "records",
            Table::Votes => "votes",
            Table::Own => "own",
            Table::Audit => "audit",
            Table::Meta => "meta",
        }
    }

    /// Whether a key keeps its value for ever.
    pub const fn is_append_only(self) -> bool {
        !matches!(self, Table::Meta)
    }

    /// How long a key may be, in bytes.
    pub const fn key_bytes(self) -> RangeInclusive<usize> {
        match self {
            Table::Records => 32..=32,
            Table::Audit => 8..=8,
            Table::Votes | Table::Own | Table::Meta => 1..=MAX_KEY_BYTES,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Key of an audit entry: big-endian, so that the order of keys is the order of numbers.
pub const fn audit_key(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}
