use identity::AccountId;
use ledger::{Id, exposure::Standing};
use thiserror::Error;

use crate::{
    capability::{Capability, MAX_MODELS},
    limits::Block,
};

/// Slots that a worker stakes ahead of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub worker: AccountId,
    /// What it can do.
    pub capability: Capability,
    /// Tasks it takes at once, 1 to [`MAX_SLOTS`].
    pub slots: u16,
    /// Slots without a task.
    pub free_slots: u16,
    /// At risk for each slot, in micro-credits; of an established worker at least 1.
    pub stake_per_slot_ucredits: u64,
    /// On probation it takes part only where a lot has newcomers' seats.
    pub standing: Standing,
    /// The site whose page it runs on, or the operator it belongs to.
    pub site: Id,
    /// The block of its address.
    pub block: Block,
    /// Where it says it stands.
    pub region: Option<u16>,
    /// The epoch in which the claim was staked.
    pub since_epoch: u64,
}

/// Why a claim is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// Slots out of range, or more free than there are.
    #[error("{free} of {slots} slots are free; a claim has 1 to {MAX_SLOTS} slots")]
    Slots {
        /// Free.
        free: u16,
        /// All.
        slots: u16,
    },
    /// More models than a claim may name.
    #[error("{found} models, at most {MAX_MODELS}")]
    Models {
        /// How many.
        found: usize,
    },
    /// Nothing at risk, or more than there is.
    #[error(
        "{found} micro-credits at risk for a slot; an established worker stakes 1 to {}",
        ledger::GENESIS
    )]
    Stake {
        /// The stake.
        found: u64,
    },
    /// No claim of this worker stands.
    #[error("no claim of this worker stands")]
    Unknown,
}

/// Most slots of a claim.
pub const MAX_SLOTS: u16 = 64;

impl Claim {
    /// Whether its numbers are in range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), ClaimError> {
        if !(1..=MAX_SLOTS).contains(&self.slots) || self.free_slots > self.slots {
            return Err(ClaimError::Slots { free: self.free_slots, slots: self.slots });
        }
        if self.capability.models.len() > MAX_MODELS {
            return Err(ClaimError::Models { found: self.capability.models.len() });
        }
        let least = u64::from(self.standing == Standing::Established);
        if !(least..=ledger::GENESIS).contains(&self.stake_per_slot_ucredits) {
            return Err(ClaimError::Stake { found: self.stake_per_slot_ucredits });
        }
        Ok(())
    }

    /// What its chances go by: the stake of its free slots. A newcomer without any has the least there is.
    pub fn weight(&self) -> u64 {
        // At most 2^50 for each of 64 slots.
        self.stake_per_slot_ucredits.saturating_mul(u64::from(self.free_slots)).max(1)
    }

    /// Appends its canonical bytes: fields in order, little-endian, with counts and flags before what varies.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.worker.as_bytes());
        out.extend(self.capability.types.0.to_le_bytes());
        out.extend((self.capability.models.len() as u32).to_le_bytes());
        self.capability.models.iter().for_each(|model| out.extend(model.as_bytes()));
        out.extend(self.capability.numerics.to_le_bytes());
        out.extend(self.capability.memory_mib.to_le_bytes());
        out.push(self.capability.backend as u8);
        out.extend(self.slots.to_le_bytes());
        out.extend(self.free_slots.to_le_bytes());
        out.extend(self.stake_per_slot_ucredits.to_le_bytes());
        out.push(u8::from(self.standing == Standing::Established));
        out.extend(self.site.as_bytes());
        out.extend(self.block.to_bytes());
        out.push(u8::from(self.region.is_some()));
        out.extend(self.region.unwrap_or(0).to_le_bytes());
        out.extend(self.since_epoch.to_le_bytes());
    }
}
