use std::{collections::BTreeMap, ops::Bound};

use identity::AccountId;
use sha2::{Digest, Sha256};

use super::{Claim, ClaimError};
use crate::capability::{Capability, Need};

/// The standing claims, one a worker.
///
/// They lie in groups of equal capability, so that a draw asks once for each group whether it fits. The digest is that of
/// 256 shelves, by the first byte of the worker's account, of which a change touches one.
#[derive(Clone, Debug)]
pub struct Claims {
    groups: BTreeMap<Capability, BTreeMap<AccountId, Claim>>,
    of_worker: BTreeMap<AccountId, Capability>,
    shelves: Vec<[u8; 32]>,
}

impl Default for Claims {
    fn default() -> Self {
        let empty = shelf_digest(&[]);
        Claims { groups: BTreeMap::new(), of_worker: BTreeMap::new(), shelves: vec![empty; SHELVES] }
    }
}

impl Claims {
    /// Adds a claim, in place of the worker's former one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn insert(&mut self, claim: Claim) -> Result<(), ClaimError> {
        claim.check()?;
        let worker = claim.worker;
        self.take_out(worker);
        self.of_worker.insert(worker, claim.capability.clone());
        self.groups.entry(claim.capability.clone()).or_default().insert(worker, claim);
        self.hash_shelf(worker);
        Ok(())
    }

    /// Takes a worker's claim away.
    pub fn remove(&mut self, worker: AccountId) -> Option<Claim> {
        let claim = self.take_out(worker)?;
        self.hash_shelf(worker);
        Some(claim)
    }

    /// Says how many of a worker's slots are free.
    ///
    /// # Errors
    /// [`ClaimError::Unknown`], [`ClaimError::Slots`].
    pub fn set_free(&mut self, worker: AccountId, free_slots: u16) -> Result<(), ClaimError> {
        let capability = self.of_worker.get(&worker).ok_or(ClaimError::Unknown)?;
        let group = self.groups.get_mut(capability).ok_or(ClaimError::Unknown)?;
        let claim = group.get_mut(&worker).ok_or(ClaimError::Unknown)?;
        if free_slots > claim.slots {
            return Err(ClaimError::Slots { free: free_slots, slots: claim.slots });
        }
        claim.free_slots = free_slots;
        self.hash_shelf(worker);
        Ok(())
    }

    /// A worker's claim.
    pub fn get(&self, worker: &AccountId) -> Option<&Claim> {
        self.groups.get(self.of_worker.get(worker)?)?.get(worker)
    }

    /// How many stand.
    pub fn len(&self) -> usize {
        self.of_worker.len()
    }

    /// Whether none stands.
    pub fn is_empty(&self) -> bool {
        self.of_worker.is_empty()
    }

    /// SHA-256 of `"edgenet/claims/v1"` and the shelves' digests: the same for the same claims, whatever came before.
    pub fn digest(&self) -> [u8; 32] {
        let hash = self.shelves.iter().fold(Sha256::new_with_prefix(DOMAIN), |hash, s| hash.chain_update(s));
        hash.finalize().into()
    }

    /// Claims that can do a task.
    pub(super) fn fitting<'a>(&'a self, need: &'a Need) -> impl Iterator<Item = &'a Claim> {
        self.groups
            .iter()
            .filter(|(capability, _)| capability.fits(need))
            .flat_map(|(_, group)| group.values())
    }

    fn take_out(&mut self, worker: AccountId) -> Option<Claim> {
        let capability = self.of_worker.remove(&worker)?;
        let group = self.groups.get_mut(&capability)?;
        let claim = group.remove(&worker);
        if group.is_empty() {
            self.groups.remove(&capability);
        }
        claim
    }

    fn hash_shelf(&mut self, worker: AccountId) {
        let shelf = worker.as_bytes()[0];
        let (mut first, mut last) = ([0; 32], [0xff; 32]);
        (first[0], last[0]) = (shelf, shelf);
        let bounds = [first, last].map(|bytes| Bound::Included(AccountId::from_bytes(bytes)));
        let mut bytes = Vec::new();
        for (worker, capability) in self.of_worker.range((bounds[0], bounds[1])) {
            if let Some(claim) = self.groups.get(capability).and_then(|group| group.get(worker)) {
                claim.write(&mut bytes);
            }
        }
        self.shelves[usize::from(shelf)] = shelf_digest(&bytes);
    }
}

fn shelf_digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix(SHELF_DOMAIN).chain_update(bytes).finalize().into()
}

const DOMAIN: &[u8] = b"edgenet/claims/v1";
const SHELF_DOMAIN: &[u8] = b"edgenet/claims-shelf/v1";
const SHELVES: usize = 256;
