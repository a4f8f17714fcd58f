use std::collections::BTreeSet;

use ledger::Id;

use crate::{
    capability::{Backend, Capability, MAX_MODELS, Need, TaskTypes},
    draw::MAX_SLOTS,
    reason::Reason,
    wire::{Envelope, Tier},
};

/// What a worker's owner lends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// Kinds of tasks.
    pub types: TaskTypes,
    /// SHA-256 of the model files it holds.
    pub models: BTreeSet<Id>,
    /// Version of the numerics.
    pub numerics: u32,
    /// Memory that a task may use.
    pub memory_mib: u32,
    /// What it runs on.
    pub backend: Backend,
    /// Tasks at once, over all relays.
    pub slots: u16,
    /// Most bytes of a sealed payload.
    pub max_payload_bytes: u32,
    /// Most bytes of a sealed result.
    pub max_result_bytes: u32,
    /// It works for no less, in micro-credits.
    pub least_price_ucredits: u64,
    /// Groups whose join key it holds, by the key's hash.
    pub groups: Vec<Id>,
    /// Whether it works for anyone, or only for its own account and its groups.
    pub public: bool,
    /// The site it came through.
    pub site: Option<Id>,
    /// Where it says it is.
    pub region: Option<[u8; 2]>,
}

impl Preferences {
    /// What it says it can do.
    pub fn capability(&self) -> Capability {
        Capability {
            types: self.types,
            models: self.models.clone(),
            numerics: self.numerics,
            memory_mib: self.memory_mib,
            backend: self.backend,
        }
    }

    /// Whether they make a claim at all.
    pub(crate) fn are_valid(&self) -> bool {
        (1..=MAX_SLOTS).contains(&self.slots) && self.models.len() <= MAX_MODELS && self.groups.len() <= 16
    }

    /// Whether its owner wants this done here.
    ///
    /// # Errors
    /// [`Reason::TaskRefused`].
    pub(super) fn check(&self, envelope: &Envelope, own: &identity::AccountId) -> Result<(), Reason> {
        let need = Need {
            kind: envelope.kind,
            model: (envelope.model != Id::ZERO).then_some(envelope.model),
            numerics: envelope.numerics,
            memory_mib: 0,
            backend: Backend::Cpu,
        };
        let seen = match envelope.tier {
            Tier::Own => envelope.submitter == *own,
            Tier::Group => envelope.group.is_some_and(|group| self.groups.contains(&group)),
            Tier::Public => self.public,
        };
        let fits = self.capability().fits(&need)
            && envelope.payload_bytes <= self.max_payload_bytes
            && envelope.max_result_bytes <= self.max_result_bytes
            && envelope.price_ucredits >= self.least_price_ucredits;
        if seen && fits { Ok(()) } else { Err(Reason::TaskRefused) }
    }
}
