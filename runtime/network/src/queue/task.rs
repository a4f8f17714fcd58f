use std::collections::BTreeSet;

use identity::AccountId;
use ledger::{Id, price::Priority};
use thiserror::Error;

use super::{MAX_AVOIDED, MAX_TASK_UNITS, Share};
use crate::limits::Block;

/// A task that asks for a place in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub id: Id,
    /// Who pays.
    pub submitter: AccountId,
    /// Whose turns it uses.
    pub share: Share,
    /// The lane it paid for.
    pub priority: Priority,
    /// What it costs to run, 1 to [`MAX_TASK_UNITS`].
    pub units: u64,
    /// Gone, queued or running, after this time.
    pub ttl_ms: u64,
    /// Time a worker has, from its assignment.
    pub timeout_ms: u64,
    /// Workers the submitter does not want, at most [`MAX_AVOIDED`].
    pub avoided: BTreeSet<AccountId>,
}

impl Task {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if !(1..=MAX_TASK_UNITS).contains(&self.units) {
            return Err(Refusal::Units { found: self.units });
        }
        if self.avoided.len() > MAX_AVOIDED {
            return Err(Refusal::Avoided { found: self.avoided.len() });
        }
        if self.ttl_ms == 0 || self.timeout_ms == 0 {
            return Err(Refusal::NoTime);
        }
        Ok(())
    }
}

/// The slots of all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Free ones.
    pub free: u32,
    /// All of them.
    pub total: u32,
}

impl Slots {
    /// Whether an unstaked task may have one. The last free eighth is kept for the staked: a running task is not taken
    /// off its worker, so without a reserve a flood would make every staked task wait for a slot to be free.
    pub fn are_for_all(self) -> bool {
        self.free > self.total / 8
    }
}

/// Who a worker is, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placement {
    /// Who.
    pub worker: AccountId,
    /// The site whose page it runs on, or the operator it belongs to.
    pub site: Id,
    /// The block of its address.
    pub block: Block,
}

/// Why the queue does not do it. The codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The name is taken.
    #[error("a task of this id is open")]
    Duplicate,
    /// Costs that no task has.
    #[error("{found} cost units, a task has 1 to {MAX_TASK_UNITS}")]
    Units {
        /// What it says.
        found: u64,
    },
    /// A list too long.
    #[error("{found} workers to avoid, at most {MAX_AVOIDED}")]
    Avoided {
        /// How many.
        found: usize,
    },
    /// It would be over before it begins.
    #[error("ttl and timeout must be at least 1 ms")]
    NoTime,
    /// Too many open tasks of this submitter.
    #[error("the submitter has too many open tasks; again in {retry_after_ms} ms")]
    SubmitterFull {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// Too many open tasks of this share's submitters together.
    #[error("the address block has too many open tasks; again in {retry_after_ms} ms")]
    ShareFull {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// Too many open tasks of unstaked submitters, or of all.
    #[error("the queue is full; again in {retry_after_ms} ms")]
    QueueFull {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// No open task has this id, or it is not in a state for this.
    #[error("no such task is open")]
    Unknown,
    /// The worker failed on this task, or the submitter avoids it.
    #[error("the worker is to be avoided")]
    WorkerAvoided,
    /// A worker of the same site or block has this task.
    #[error("a worker of this site or network block has the task")]
    Neighbour,
}

impl Refusal {
    /// The name users see.
    pub fn name(&self) -> &'static str {
        match self {
            Refusal::Duplicate => "task-duplicate",
            Refusal::Units { .. } => "task-units",
            Refusal::Avoided { .. } => "task-avoids-too-many",
            Refusal::NoTime => "task-no-time",
            Refusal::SubmitterFull { .. } => "submitter-full",
            Refusal::ShareFull { .. } => "block-full",
            Refusal::QueueFull { .. } => "queue-full",
            Refusal::Unknown => "task-unknown",
            Refusal::WorkerAvoided => "worker-avoided",
            Refusal::Neighbour => "worker-neighbour",
        }
    }

    /// When to try again; `None`: not as it is.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match *self {
            Refusal::SubmitterFull { retry_after_ms }
            | Refusal::ShareFull { retry_after_ms }
            | Refusal::QueueFull { retry_after_ms } => Some(retry_after_ms),
            _ => None,
        }
    }
}
