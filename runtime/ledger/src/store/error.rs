//! What a store refuses, and what can befall it.

use std::ops::RangeInclusive;

use super::{MAX_BATCH_BYTES, MAX_VALUE_BYTES, NetworkId, Table};

/// Why a batch was not written, or a store not opened or read. Cloneable, because one failed write fails many batches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// An append-only key holds another value.
    #[error("{table} already holds another value under {}", hex(key))]
    Conflict {
        /// Where.
        table: Table,
        /// Under which key.
        key: Vec<u8>,
    },
    /// A key is too short or too long for its table.
    #[error("a key of {table} has {} to {} bytes, not {found}", wanted.start(), wanted.end())]
    KeyLength {
        /// The table it was meant for.
        table: Table,
        /// Its bytes.
        found: usize,
        /// What the table takes.
        wanted: RangeInclusive<usize>,
    },
    /// A value is too long.
    #[error("a value for {table} has {found} bytes, and {MAX_VALUE_BYTES} are allowed")]
    ValueTooLong {
        /// The table it was meant for.
        table: Table,
        /// Its bytes.
        found: usize,
    },
    /// A batch holds too much.
    #[error("a batch of {found} bytes, and {MAX_BATCH_BYTES} are allowed")]
    BatchTooLong {
        /// Bytes of its keys and values.
        found: usize,
    },
    /// A name in `meta` that only opening a store writes.
    #[error("{} in meta is fixed when a store is opened", key.escape_ascii())]
    Reserved {
        /// The name.
        key: Vec<u8>,
    },
    /// The store was written by a later version of this program.
    #[error("the store has schema {found}, and this program knows {known} and earlier ones")]
    LaterSchema {
        /// The store's version.
        found: u32,
        /// [`schema::SCHEMA_VERSION`](super::schema::SCHEMA_VERSION).
        known: u32,
    },
    /// The store belongs to another network.
    #[error("the store belongs to network {}, not {}", hex(found), hex(asked))]
    OtherNetwork {
        /// The store's network.
        found: NetworkId,
        /// The one it was opened for.
        asked: NetworkId,
    },
    /// There is no store at the place. A witness that voted before must treat this as the loss of its disk (W8).
    #[error("there is no store")]
    Missing,
    /// There is something at the place where a store was to be made.
    #[error("there is something already")]
    Exists,
    /// Another process has the store open, or this one has it open twice.
    #[error("it is in use by another process")]
    InUse,
    /// It is not a store of this program. It was left as it is.
    #[error("it is not a store of edge-net: {0}")]
    Foreign(String),
    /// It is a store, but damaged.
    #[error("it is damaged: {0}")]
    Corrupt(String),
    /// The disk refused: full, failing, or forbidden.
    #[error("the disk refused: {0}")]
    Disk(String),
    /// An earlier write failed, and until it is opened again the store takes no other: what of the failed write reached
    /// the disk is unknown, and only reading the disk anew can tell.
    #[error("an earlier write failed ({0}); the store takes no other until it is opened again")]
    Halted(String),
    /// The store is being closed, or its writer is gone.
    #[error("the store is closed")]
    Closed,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
