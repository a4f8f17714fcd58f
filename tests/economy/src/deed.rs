//! What owners and the treasury can do, in the words of the reference.

use crate::reference::Who;

/// What an owner does.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Deed {
    Nothing,
    Pay(Vec<(Who, u64)>),
    Grant(Vec<Grant>),
    Escrow { amount: u64, until: u64, halves: u8 },
    Claim { amount: u64, until: u64 },
    Stake { amount: u64 },
    Unbond { amount: u64 },
    Rotate,
    Open { referrer: Option<Who> },
}

/// What the treasury pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Grant {
    Bonus { decision: u32, worker: Who },
    Referral { decision: u32, referrer: Who },
    Uptime { hour: u64, worker: Who },
}

/// How credits are taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// To be spent.
    Plain,
    /// Into the stake, until that is full.
    Reward,
    /// What is left of a claim of so much.
    Stake {
        /// The claim.
        claimed: u64,
    },
}
