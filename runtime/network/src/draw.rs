//! Who gets a task: standing claims, a beacon nobody chose, and a lottery that anybody can check.
//!
//! | room | what |
//! |---|---|
//! | [`Chain`], [`Head`], [`Tip`] | one witness's chain of secrets, committed to in advance |
//! | [`Witnesses`] | a round: all reveals XORed, or void |
//! | [`Claim`] | what a worker stakes |
//! | [`Claims`] | the standing claims, by capability, with a digest |
//! | [`draw`] | the lottery |
//! | [`Published`], [`check_draw`] | what anybody needs to draw again |
//!
//! # The rule
//! A worker's ticket is `H(beacon || task || worker)`, read as a number `u` in (0, 1]; the lowest `-log2(u) / stake` win,
//! where the stake is that of its free slots. Logarithms are taken in integers to 48 binary places and fractions are
//! compared by cross multiplication, so every machine finds the same winners; ties go by account.
//!
//! Why the logarithm: it makes a ticket an exponential variate, and the chance to win the first seat *exactly* a worker's
//! part of the stake, however the stake is spread over identities. Comparing `u / stake` itself would favour the large:
//! a holder of half of all stake would win 63 % (a test shows it).
//!
//! A worker wins one seat of a task at most, and so do a site and a network block. One large worker therefore gets less
//! than its part where a task has several seats; spread over identities *with sites and blocks of their own* it comes
//! nearer to its part, and never above it.
//!
//! # What grinding gains
//! The beacon of a round is not known when its tasks are fixed: a task that is accepted in one round is drawn by the next
//! one that is not void. A submitter who tries a million task ids has a million tickets for a number that is still
//! secret, which is one ticket. The same holds for a worker that tries account keys; these must be staked for a whole
//! epoch besides. What is left: whoever knows *all* secrets of a round knows its beacon. With a single witness, that is
//! the relay: it is trusted not to collude. With several, one honest witness is enough.
//!
//! # Cost
//! A draw hashes each claim that fits and is free: `c` claims cost `c` SHA-256 blocks (the state after the common prefix
//! is shared), a heap made in `O(c)`, and for each of the few tickets that come near to winning a logarithm of 48
//! squarings and about `log c` comparisons. Claims that cannot do the task are passed over by whole groups of equal
//! capability. A change of a claim costs `O(log n)` and the hash of a 256th of the set.

mod beacon;
mod claim;
mod claims;
mod lottery;
mod proof;
mod round;

use std::collections::BTreeSet;

use identity::AccountId;
use ledger::Id;

use crate::{capability::Need, limits::Block};

pub use beacon::{BeaconError, Chain, Head, Tip};
pub use claim::{Claim, ClaimError, MAX_SLOTS};
pub use claims::Claims;
pub use lottery::draw;
pub use proof::{CheckError, Published, check_draw};
pub use round::{Outcome, Reveals, SUSPENDED_ROUNDS, Witnesses};

/// What a draw goes by besides the claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Beacon(pub [u8; 32]);

/// Most seats of a draw.
pub const MAX_SEATS: u8 = ledger::price::MAX_REDUNDANCY;
/// A claim takes part in tasks of the second epoch after its own: staked for one whole epoch at least.
pub const STAKED_EPOCHS: u64 = 2;

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The task.
    pub task: Id,
    /// The epoch in which the task was accepted.
    pub epoch: u64,
    /// What a worker must be able to do.
    pub need: Need,
    /// Winners wanted, 1 to [`MAX_SEATS`].
    pub seats: u8,
    /// Seats offered to workers on probation; at least one seat goes to an established worker whatever this says.
    pub newcomer_seats: u8,
    /// Who is left out.
    pub excluded: Excluded,
}

/// Whom a draw leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded {
    /// Workers that failed on the task or that its submitter avoids.
    pub workers: BTreeSet<AccountId>,
    /// Sites of workers that have it.
    pub sites: BTreeSet<Id>,
    /// Network blocks of workers that have it.
    pub blocks: BTreeSet<Block>,
}

#[cfg(test)]
mod tests;
