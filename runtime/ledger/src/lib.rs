//! The economy: payments are transfers between accounts, bonuses are transfers from a finite treasury, nothing is ever minted.
//!
//! Pure: time is an epoch, bytes and randomness are arguments.

pub mod store;

/// Micro-credits in a credit. Amounts are `u64` micro-credits, sums `u128`.
pub const MICRO: u64 = 1_000_000;
/// Seconds of an epoch, the ledger's only notion of time.
pub const EPOCH_SECONDS: u64 = 60;
/// All there is and ever will be, in micro-credits.
pub const GENESIS: u64 = 1_000_000_000 * MICRO;
