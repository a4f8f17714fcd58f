//! What every node's state machine takes and gives, whatever its role.
//!
//! ```text
//! shell: socket, clock, store  --Input-->  machine.step(&mut Context, Input, &mut Vec<Output>)  --Output-->  shell
//! ```
//! A machine reads no clock and draws no randomness: [`Context`] brings both. What it must not say before it has written it
//! down ([`Save`]) it says when the shell reports it stored. It names the moment at which it wants to be called though
//! nothing happens (`next_deadline_ms`). Whoever replays the same inputs in the same order gets the same outputs.

use identity::Random;
use ledger::store::Batch;

/// A connection, by a number that the shell gives and uses once.
pub use crate::limits::ConnectionId as Link;

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since some moment of this run. It does not go back; a suspended machine may let it jump.
    pub ms: u64,
    /// The ledger's epoch by the machine's wall clock ([`ledger::EPOCH_SECONDS`]). It may be wrong and may go back.
    pub epoch: u64,
}

/// What a machine may not look up itself.
pub struct Context<'a> {
    /// The time.
    pub now: Now,
    /// Fills a slice with unpredictable bytes.
    pub random: &'a mut Random<'a>,
}

/// Something to be stored, by a number that the machine gives and uses once. What depends on it is said after
/// `Input::Stored` with its ticket, and never if `Input::NotStored` comes in its place.
#[derive(Debug)]
pub struct Save {
    /// Its number.
    pub ticket: u64,
    /// What is written, all or nothing, and on the disk before the answer.
    pub batch: Batch,
}
