//! Tasks that wait for workers: who is next, what goes again and when, and to whom it does not go.
//!
//! | room | what |
//! |---|---|
//! | [`Queue`] | the life of a task: queued, running, set aside after a failure, gone |
//! | [`Share`] | what a turn is given to: stake, or an address block; never an identity |
//! | [`Backoff`] | 1 s x 2^n, at most 10 min, full jitter |
//!
//! # Fair over what
//! Identities are free, so a queue that is fair over identities belongs to whoever makes the most. Turns are given by
//! deficit round robin (Shreedhar and Varghese, 1995) in cost units, down a tree:
//!
//! 1. **Stake**: all staked submitters together 19 turns, all unstaked ones together 1. Any number of free identities
//!    therefore takes at most a twentieth of the service from those who have something to lose.
//! 2. **Lane**: high 4, normal 2, low 1, as their prices; low always gets its seventh.
//! 3. **Share**: among the staked, turns by stake, one for each whole base stake (100 credits) up to 16; to split a stake
//!    over identities makes no more base stakes of it. Among the unstaked, one address block one turn.
//! 4. **Submitter**: within a block, one identity one turn.
//!
//! A branch that has nothing queued takes no turn. One reserve breaks that rule: the last free eighth of the workers'
//! slots is not given to the unstaked ([`Slots`]), so that a staked task finds a slot at once.
//!
//! **The bound.** A staked submitter with queued work in a lane gets at least `19/20 x lane/7 x its turns/all turns` of the
//! service over any time it stays queued, and waits for at most one round more, whatever the unstaked do. Measured where
//! staked tasks use 60 % of 32 slots: 1,000 unstaked identities in 1,000 blocks, sending a hundred times as much in all
//! lanes, raise the honest p99 from sending to result by at most 20 % (`tests/flood.rs`). What is *not*
//! bounded: an unstaked submitter shares the pool with every block that sends, and an attacker with 1,000 blocks leaves it
//! a 1,001th of the pool; that is what stake is for.
//!
//! Caps on open tasks hold for a share as well as for a submitter, and the unstaked may hold a quarter of all places, so
//! that a flood fills its own places only.

mod backoff;
mod fair;
mod state;
mod task;

use ledger::exposure::BASE_STAKE_UCREDITS;

use identity::AccountId;

use crate::limits::Block;

pub use backoff::Backoff;
pub use state::{Event, Queue};
pub use task::{Placement, Refusal, Slots, Task};

/// Most cost units of one task.
pub const MAX_TASK_UNITS: u64 = 64 * crate::limits::UNITS_PER_TASK;
/// Most turns of one share in a round.
pub const MAX_TURNS: u64 = 16;
/// Most workers that a submitter may avoid.
pub const MAX_AVOIDED: usize = 64;

/// What a turn is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Share {
    /// A submitter whose base stake is whole, with its turns.
    Stake {
        /// Whose.
        account: AccountId,
        /// Whole base stakes, 1 to [`MAX_TURNS`].
        turns: u64,
    },
    /// All unstaked submitters of an address block.
    Block(Block),
}

impl Share {
    /// The share of a submitter, by its stake and where it comes from.
    pub fn of(account: AccountId, stake_ucredits: u64, block: Block) -> Self {
        match stake_ucredits / BASE_STAKE_UCREDITS {
            0 => Share::Block(block),
            whole => Share::Stake { account, turns: whole.min(MAX_TURNS) },
        }
    }

    /// Turns in a round.
    pub fn turns(self) -> u64 {
        match self {
            Share::Stake { turns, .. } => turns,
            Share::Block(_) => 1,
        }
    }

    /// Whether stake stands behind it.
    pub fn is_staked(self) -> bool {
        matches!(self, Share::Stake { .. })
    }
}

/// What the operator sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most open tasks, queued or running, of a submitter; also of a share with all its submitters.
    pub max_open_per_share: usize,
    /// Most open tasks.
    pub max_open: usize,
    /// Failures of workers after which a task ends with an error instead of going again.
    pub max_failures: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { max_open_per_share: 256, max_open: 100_000, max_failures: 5 }
    }
}

impl Settings {
    /// Most open tasks of all unstaked submitters.
    pub fn max_open_unstaked(&self) -> usize {
        self.max_open / 4
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
