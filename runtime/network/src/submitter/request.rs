use ledger::Id;
use thiserror::Error;

use crate::{
    capability::TaskType,
    sealed::{payload_bytes, result_bytes},
    terms::{most_replicas, most_ucredits},
    wire::{Assurance, Priority, Tier, Verify},
};

/// A task that somebody wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its kind.
    pub kind: TaskType,
    /// SHA-256 of the model file it runs on.
    pub model: Option<Id>,
    /// Version of the numerics.
    pub numerics: u32,
    /// What workers get, in the canonical form of its kind.
    pub payload: Vec<u8>,
    /// Most bytes of the result, before it is sealed.
    pub max_result_bytes: u32,
    /// What one accepted replica is paid, in micro-credits, priority included.
    pub price_ucredits: u64,
    /// How its results are verified.
    pub verify: Verify,
    /// How sure the verdict has to be.
    pub assurance: Assurance,
    /// Its lane.
    pub priority: Priority,
    /// Who may see it.
    pub tier: Tier,
    /// The group, in tier [`Tier::Group`].
    pub group: Option<Id>,
    /// It is given up if it has not been assigned for so long, in milliseconds.
    pub ttl_ms: u32,
    /// A worker has so long for it, in milliseconds.
    pub timeout_ms: u32,
}

/// What a request may cost. Nothing is spent by asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// One accepted replica, in micro-credits.
    pub price_ucredits: u64,
    /// Most replicas that are paid.
    pub most_replicas: u8,
    /// The most it can cost, in micro-credits: what is set aside, and comes back where it is not paid.
    pub most_ucredits: u64,
    /// Bytes of the sealed payload.
    pub payload_bytes: u32,
}

/// Why no task can be made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Longer than anything that is sealed.
    #[error("{found} bytes of {what}, more than can be sealed")]
    Long {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
    },
    /// A price of nothing, or one that no amount holds times its replicas.
    #[error("a price of {found} micro-credits")]
    Price {
        /// The price.
        found: u64,
    },
    /// No number of replicas that a task can have.
    #[error("{found} replicas, a task has 1 to 7")]
    Replicas {
        /// How many.
        found: u8,
    },
    /// A time of nothing, or more than a day.
    #[error("{what} of {found} ms, must be 1 to {MAX_TIME_MS}")]
    Time {
        /// Which.
        what: &'static str,
        /// How long.
        found: u32,
    },
    /// A group without its tier, or the tier without a group.
    #[error("a group and the tier of groups come together")]
    Group,
}

impl Request {
    /// What it may cost.
    ///
    /// # Errors
    /// Why no task can be made of it.
    pub fn quote(&self) -> Result<Quote, RequestError> {
        let found = self.payload.len();
        let payload_bytes = payload_bytes(found).ok_or(RequestError::Long { what: "payload", found })?;
        let most = self.max_result_bytes as usize;
        result_bytes(most).ok_or(RequestError::Long { what: "result", found: most })?;
        if let Verify::Redundant(found @ (0 | 8..)) = self.verify {
            return Err(RequestError::Replicas { found });
        }
        for (what, found) in [("ttl", self.ttl_ms), ("timeout", self.timeout_ms)] {
            if !(1..=MAX_TIME_MS).contains(&found) {
                return Err(RequestError::Time { what, found });
            }
        }
        if (self.tier == Tier::Group) != self.group.is_some() {
            return Err(RequestError::Group);
        }
        let price = RequestError::Price { found: self.price_ucredits };
        let most_ucredits = most_ucredits(self.price_ucredits, self.verify).filter(|most| *most > 0);
        Ok(Quote {
            price_ucredits: self.price_ucredits,
            most_replicas: most_replicas(self.verify),
            most_ucredits: most_ucredits.ok_or(price)?,
            payload_bytes,
        })
    }

    /// The most it can cost, in micro-credits.
    ///
    /// # Errors
    /// Why no task can be made of it.
    pub fn most_ucredits(&self) -> Result<u64, RequestError> {
        Ok(self.quote()?.most_ucredits)
    }

    pub(super) fn check(&self) -> Result<(), RequestError> {
        self.quote().map(drop)
    }
}

/// The longest that a task waits or runs: a day.
pub const MAX_TIME_MS: u32 = 24 * 3_600_000;
