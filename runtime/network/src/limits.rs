//! What a peer may ask of a node, and how little it costs to say no.
//!
//! | room | what |
//! |---|---|
//! | [`Admission`] | the order of checks: size, replay, buckets, signature |
//! | [`Bucket`], [`Rate`] | a token bucket in cost units, exact |
//! | [`Table`] | many buckets in bounded memory |
//! | [`Block`] | the network an address belongs to |
//! | [`Seen`] | ids of frames that were accepted, for 120 s |
//! | [`Amplification`] | bytes an unproved peer may draw |
//! | [`Timeline`] | a clock that only goes forward, and never far at once |
//! | [`Fingerprint`] | a salted hash that puts look-alikes into one bucket more |
//!
//! A cost unit is a thousandth of an ordinary task ([`UNITS_PER_TASK`]). A frame passes only if the buckets of its
//! identity, its connection and its address block all hold its cost; otherwise none is charged, so that a peer over its
//! own rate takes nothing from its neighbours.
//!
//! **Which identity.** The one that the connection proved at its start, never one that a frame merely names: a bucket is
//! charged before the signature is verified, and anybody could empty a stranger's bucket by naming it. A connection that
//! proved nothing is charged on its connection and its block alone.

mod admission;
mod block;
mod bucket;
mod fingerprint;
mod refusal;
mod reply;
mod seen;
mod table;
mod timeline;

use ledger::exposure::Standing;

pub use admission::{Admission, ConnectionId, Counters, Frame, FrameKind, Once, Peer};
pub use block::Block;
pub use bucket::{Ask, Bucket, Meter, Rate, Rates, Short};
pub use fingerprint::Fingerprint;
pub use refusal::{Code, Refusal};
pub use reply::Amplification;
pub use seen::Seen;
pub use table::Table;
pub use timeline::Timeline;

/// Cost units of an ordinary task.
pub const UNITS_PER_TASK: u64 = 1_000;
/// Most bytes of a control frame.
pub const MAX_CONTROL_BYTES: usize = 64 * 1024;
/// Most bytes of a data chunk.
pub const MAX_DATA_BYTES: usize = 1024 * 1024;
/// A bucket holds what comes in this time.
pub const BURST_MS: u64 = 10_000;
/// How long a frame's id is remembered.
pub const SEEN_MS: u64 = 120_000;
/// Most signatures that are verified for a peer in any second.
pub const VERIFICATIONS_PER_SECOND: u64 = 200;
/// Bytes that go to an unproved peer for each byte from it.
pub const AMPLIFICATION: u64 = 3;

/// Whose traffic it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// No stake stands behind it: identities are free.
    Unstaked,
    /// Stake stands behind it.
    Staked,
    /// The relay's own gateway, which has limits of its own before it: no buckets here.
    Gateway,
}

/// What the operator sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// An hour of an unstaked identity.
    pub unstaked_units_per_hour: u64,
    /// An hour of a staked identity.
    pub staked_units_per_hour: u64,
    /// Identities' worth that a connection carries: a gateway or a site may speak for several.
    pub identities_per_connection: u64,
    /// Identities' worth that an address block carries. Staked and unstaked traffic of a block have a bucket each, so
    /// that free identities never silence a staked neighbour.
    pub identities_per_block: u64,
    /// Most identities of a tier, connections, or blocks that have a bucket of their own.
    pub max_tracked: usize,
    /// Most bytes of the cache of seen ids.
    pub max_seen_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            unstaked_units_per_hour: 600 * UNITS_PER_TASK,
            staked_units_per_hour: 60_000 * UNITS_PER_TASK,
            identities_per_connection: 1,
            identities_per_block: 10,
            max_tracked: 65_536,
            max_seen_bytes: 64 << 20,
        }
    }
}

impl Settings {
    /// What an identity may use. A worker on probation has a tenth.
    pub fn identity_rates(&self, tier: Tier, standing: Standing) -> Rates {
        Rates::new(standing.rate_limit(self.tier_units_per_hour(tier)), 1)
    }

    /// What a connection may use.
    pub fn connection_rates(&self, tier: Tier) -> Rates {
        Rates::new(self.tier_units_per_hour(tier), self.identities_per_connection)
    }

    /// What a tier's traffic from one block may use.
    pub fn block_rates(&self, tier: Tier) -> Rates {
        Rates::new(self.tier_units_per_hour(tier), self.identities_per_block)
    }

    fn tier_units_per_hour(&self, tier: Tier) -> u64 {
        match tier {
            Tier::Unstaked => self.unstaked_units_per_hour,
            Tier::Staked | Tier::Gateway => self.staked_units_per_hour,
        }
    }
}

#[cfg(test)]
mod tests;
