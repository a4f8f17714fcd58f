//! Standing claims: one a relay, with its part of the slots and a stake for each.

use std::collections::BTreeSet;

use identity::AccountId;
use ledger::{
    Holder, Id,
    exposure::{Standing, TASK_STAKE_UCREDITS},
    op::{LockKind, Policy},
    store::Batch,
};

use super::Worker;
use crate::{
    edge::{Act, Doors, Saving, saved},
    node::Now,
    session::edge::Me,
    wallet::{Purpose, Want, Wanted},
    wire::{Claim, Offer, Signable, Signed},
};

/// How a worker stands with one relay.
#[derive(Debug, Default)]
pub(super) struct Post {
    claim: Option<Claimed>,
    /// Stakes of claims that this relay may still draw by.
    stakes: BTreeSet<Id>,
    /// A stake is being locked.
    staking: bool,
    /// No stake is asked for before.
    stake_ms: u64,
    /// No claim is made before.
    claim_ms: u64,
    /// When it is to be looked at again.
    pub(super) due_ms: u64,
}

/// What was claimed.
#[derive(Debug)]
struct Claimed {
    id: Id,
    terms: Terms,
    until_epoch: u64,
}

/// What a claim offers.
#[derive(Debug, PartialEq, Eq)]
struct Terms {
    slots: u16,
    stakes: Vec<Id>,
    prekey: Vec<u8>,
}

impl Post {
    pub(super) fn forget_claim(&mut self) {
        self.claim = None;
        (self.claim_ms, self.due_ms) = (0, 0);
    }

    pub(super) fn staked(&mut self) {
        self.staking = false;
    }

    pub(super) fn not_staked(&mut self, now: Now) {
        self.staking = false;
        self.stake_ms = now.ms + STAKE_AGAIN_MS;
    }

    pub(super) fn is_claim(&self, id: &Id) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.id == *id)
    }

    pub(super) fn refused(&mut self, now: Now, after_ms: u64) {
        self.claim = None;
        self.claim_ms = now.ms + after_ms.max(CLAIM_AGAIN_MS);
    }

    /// Whether the worker answers for a task with this stake: one that it named, or none where it named none.
    pub(super) fn answers_with(&self, stake: &Id) -> bool {
        if *stake == Id::ZERO { self.stakes.is_empty() } else { self.stakes.contains(stake) }
    }
}

impl Worker {
    /// Claims are made, renewed and changed as slots, stakes and relays are.
    pub(super) fn keep_claims(
        &mut self,
        me: &Me,
        now: Now,
        doors: &Doors,
        holder: Option<&Holder>,
        acts: &mut Vec<Act>,
    ) {
        let open: Vec<AccountId> = doors.open().collect();
        // Of a relay that is not there nothing is due before it comes.
        for (relay, post) in &mut self.posts {
            post.due_ms = if open.contains(relay) { now.ms + LOOK_MS } else { u64::MAX };
        }
        let (Some(holder), Some(prekey)) = (holder, self.prekey()) else { return };
        for (place, relay) in open.iter().enumerate() {
            let part = slots_of(self.preferences.slots, open.len(), place);
            let slots = if self.drains || self.paused.is_some() { 0 } else { part };
            let epoch = doors.epoch(relay, now);
            let stakes = self.keep_stakes(relay, slots, now, epoch, holder, acts);
            let post = self.posts.entry(*relay).or_default();
            post.due_ms = now.ms + LOOK_MS;
            // Of stakes that are gone nothing is at risk any more.
            post.stakes.retain(|stake| holder.account().locks.contains_key(stake));
            let established = Standing::of(holder.account().base_stake_ucredits()) == Standing::Established;
            let slots = if established { slots.min(stakes.len() as u16) } else { slots };
            let stakes = stakes.into_iter().take(usize::from(slots)).collect::<Vec<Id>>();
            let terms = Terms { slots, stakes, prekey: prekey.clone() };
            let stands = post
                .claim
                .as_ref()
                .is_some_and(|claim| claim.until_epoch >= epoch + RENEW_EPOCHS && claim.terms == terms);
            // What was never claimed need not be withdrawn.
            let nothing = slots == 0 && post.claim.as_ref().is_none_or(|claim| claim.terms.slots == 0);
            if stands || nothing || now.ms < post.claim_ms || !self.reserve(me, acts) {
                continue;
            }
            self.offer(me, now, epoch, relay, terms, acts);
        }
    }

    fn offer(&mut self, me: &Me, now: Now, epoch: u64, relay: &AccountId, terms: Terms, acts: &mut Vec<Act>) {
        self.number += 1;
        let claim = Claim {
            worker: me.key.account(),
            number: self.number,
            capability: self.preferences.capability(),
            slots: terms.slots,
            stakes: terms.stakes.clone(),
            site: self.preferences.site,
            region: self.preferences.region,
            groups: self.preferences.groups.clone(),
            until_epoch: epoch + CLAIM_EPOCHS,
        };
        let (id, until_epoch) = (claim.id(&me.network), claim.until_epoch);
        let Some(post) = self.posts.get_mut(relay) else { return };
        if terms.stakes.is_empty() && terms.slots > 0 {
            post.stakes.clear();
        }
        post.stakes.extend(terms.stakes.iter().copied());
        post.claim_ms = now.ms + CLAIM_PAUSE_MS;
        let offer =
            Offer { claim: Signed::sign(claim, &me.network, &me.key), prekey: Some(terms.prekey.clone()) };
        post.claim = Some(Claimed { id, terms, until_epoch });
        acts.push(Act::Send(*relay, offer.into()));
    }

    /// The stakes that stand for a relay, those that last longest first; one more is locked where one is missing.
    fn keep_stakes(
        &mut self,
        relay: &AccountId,
        slots: u16,
        now: Now,
        epoch: u64,
        holder: &Holder,
        acts: &mut Vec<Act>,
    ) -> Vec<Id> {
        let account = holder.account();
        if Standing::of(account.base_stake_ucredits()) == Standing::Probation {
            return Vec::new();
        }
        let lasts = |until_epoch: u64| until_epoch >= epoch + STAKE_LEFT_EPOCHS;
        let mut stakes: Vec<(u64, Id)> = account
            .locks
            .iter()
            .filter(|(_, lock)| lock.terms.kind == LockKind::TaskStake && !lock.ran_out)
            .filter(|(_, lock)| lock.terms.policy.authority == *relay && lasts(lock.terms.expiry_epoch))
            .map(|(id, lock)| (lock.terms.expiry_epoch, *id))
            .collect();
        stakes.sort_unstable_by(|a, b| b.cmp(a));
        stakes.truncate(usize::from(slots));
        let aging = stakes.iter().filter(|(until, _)| *until < epoch + STAKE_RENEW_EPOCHS).count();
        let missing = stakes.len() - aging < usize::from(slots);
        let post = self.posts.entry(*relay).or_default();
        let covered = account.staked_ucredits >= TASK_STAKE_UCREDITS;
        if missing && covered && !post.staking && now.ms >= post.stake_ms {
            post.staking = true;
            let policy = Policy { authority: *relay, redundancy: 1, priority_halves: 2 };
            let wanted = Wanted::Hold {
                kind: LockKind::TaskStake,
                task: Id::ZERO,
                amount_ucredits: TASK_STAKE_UCREDITS,
                policy,
                until_epoch: epoch + STAKE_EPOCHS,
            };
            acts.push(Act::Want(Want { purpose: Purpose::Stake(*relay), wanted }));
        }
        stakes.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether another number may be given out. Numbers go up across runs, so a block of them is on the disk as given out.
    fn reserve(&mut self, me: &Me, acts: &mut Vec<Act>) -> bool {
        if self.number < self.reserved {
            return true;
        }
        if !self.reserving {
            self.reserving = true;
            let up_to = self.number + NUMBERS;
            let mut batch = Batch::new();
            saved::put_number(&mut batch, &me.key.account(), up_to);
            acts.push(Act::Save(batch, Saving::Numbers(up_to)));
        }
        false
    }
}

/// The part of the slots that a relay gets, of so many relays.
fn slots_of(slots: u16, relays: usize, place: usize) -> u16 {
    let relays = relays.max(1);
    let (each, rest) = (usize::from(slots) / relays, usize::from(slots) % relays);
    (each + usize::from(place < rest)) as u16
}

/// A claim stands for half an hour.
pub const CLAIM_EPOCHS: u64 = 30;
/// It is renewed when so much is left.
pub const RENEW_EPOCHS: u64 = 10;
/// A task stake is locked for a day.
pub const STAKE_EPOCHS: u64 = 1_440;
/// It is replaced when so much is left,
pub const STAKE_RENEW_EPOCHS: u64 = 120;
/// and not named any more when so much is.
pub const STAKE_LEFT_EPOCHS: u64 = 60;
/// Claim numbers that are reserved at once.
const NUMBERS: u64 = 1_000;
/// Two claims are so far apart.
const CLAIM_PAUSE_MS: u64 = 1_000;
/// After a refused claim.
const CLAIM_AGAIN_MS: u64 = 30_000;
/// After a stake that could not be locked.
const STAKE_AGAIN_MS: u64 = 300_000;
/// Claims are looked at so often.
const LOOK_MS: u64 = 15_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_divided_and_none_is_lost() {
        for slots in 1..=64 {
            for relays in 1..=3 {
                let parts: Vec<u16> = (0..relays).map(|place| slots_of(slots, relays, place)).collect();
                assert_eq!(parts.iter().sum::<u16>(), slots);
                assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1);
            }
        }
    }
}
