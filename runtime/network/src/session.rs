//! A connection between an edge and a relay: its opening, its silence, its backpressure.
//!
//! ```text
//! edge   Hello ->            <- Challenge   relay: signs both nonces, both keys, the network and the version
//! edge   Auth ->             <- Welcome     edge: signs the same under another domain
//! ```
//! Browser sockets have no backpressure, so data frames are spent from a credit: each side may send [`GRANT_BYTES`] of them,
//! and more when the other says so ([`crate::wire::Grant`]). Control frames are never held back.

pub mod edge;
pub mod relay;

use crate::wire::{Kind, MAX_DATA_BYTES};

/// Data bytes that an edge lets a relay send before it grants more.
pub const GRANT_BYTES: u32 = 4 << 20;
/// A relay that has heard nothing for so long asks.
pub const PING_MS: u32 = 30_000;
/// The opening takes no longer.
pub const OPENING_MS: u64 = 10_000;
/// A side that is not heard for so many pings is gone.
pub const SILENT_PINGS: u64 = 3;

/// Whether frames of a kind are spent from the credit.
pub fn is_data(kind: Kind) -> bool {
    kind.most_bytes() == MAX_DATA_BYTES
}
