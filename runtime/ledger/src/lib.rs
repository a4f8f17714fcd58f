//! The economy: payments are transfers between accounts, bonuses are transfers from a finite treasury, nothing is ever
//! minted, and a balance is a fold over certified, hash-linked, signed operations that merge as a set.
//!
//! ```text
//! owner: Ledger::draft -> Op::sign -> witnesses: Witness::consider_op -> Unsent -> (stored) -> Vote
//! Vote, Vote, ... -> Collector -> Certificate -> Record -> Ledger::merge -> balances, root, receipts
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`op`], [`resolve`], [`expiry`], [`Checkpoint`], [`proof`], [`site`] | the values, with their canonical bytes |
//! | [`Network`], [`Committee`], [`Certificate`] | who witnesses, and what makes a value certain |
//! | [`Ledger`] | the set and its fold; merge, balances, root, invariants |
//! | [`witness`] | what a witness signs, and what it must store first |
//! | [`justify`], [`evidence`], [`roll`] | what the treasury may pay, what shows it, and what its operator keeps to show it |
//! | [`curve`], [`price`], [`exposure`], [`reputation`] | the arithmetic of the economy |
//! | [`receipt`], [`audit`], [`store`], [`keep`] | what is kept: receipts, security events, bytes, and how the ledger lies in them |
//!
//! Pure: time is an epoch, bytes and randomness are arguments. Sources: R. Guerraoui et al., *The Consensus Number of a
//! Cryptocurrency* (PODC 2019); M. Baudet, G. Danezis, A. Sonnino, *FastPay* (AFT 2020).

mod account;
pub mod audit;
mod by_id;
mod certificate;
mod chain;
mod checkpoint;
pub mod curve;
mod draft;
pub mod evidence;
pub mod expiry;
pub mod exposure;
mod holder;
mod id;
mod inbox;
mod invariants;
pub mod justify;
pub mod keep;
mod ledger;
pub mod merkle;
mod network;
pub mod op;
pub mod price;
pub mod proof;
pub mod receipt;
mod record;
pub mod reputation;
pub mod resolve;
pub mod roll;
mod rule;
mod set;
pub mod site;
mod snapshot;
mod state;
pub mod store;
mod verdict;
mod wire;
pub mod witness;

pub use account::{Account, Balance, Judgement, Lock, Opened, Output, Spending, Void, leaf_hash};
pub use certificate::{Certificate, Collector, Committee, MAX_WITNESSES, Member, Vote};
pub use checkpoint::Checkpoint;
pub use draft::DraftError;
pub use evidence::Evidence;
pub use holder::{Holder, LeafError};
pub use id::Id;
pub use inbox::Inbox;
pub use invariants::{Broken, Stuck};
pub use ledger::{Check, Ledger, MAX_AHEAD, Merged};
pub use network::{
    Allocation, CommitteeChange, Founding, MAX_ALLOCATIONS, MAX_NAME_BYTES, Network, NetworkError,
};
pub use record::{Certified, Record};
pub use roll::{Lacking, Roll};
#[cfg(feature = "mutants")]
pub use rule::mutants;
pub use rule::{Refusal, Rule};
pub use snapshot::SnapshotError;
pub use state::{Totals, UCREDITS_A_MICRO_CPU_HOUR};
pub use verdict::Fault;
pub use wire::DecodeError;

/// Micro-credits in a credit. Amounts are `u64` micro-credits, sums `u128`.
pub const MICRO: u64 = 1_000_000;
/// Seconds of an epoch, the ledger's only notion of time.
pub const EPOCH_SECONDS: u64 = 60;
/// All there is and ever will be, in micro-credits.
pub const GENESIS: u64 = 1_000_000_000 * MICRO;
