//! Rolls: what the treasury's operator keeps of a checkpoint's state, to show it when that state is gone.

use std::{collections::BTreeMap, sync::Arc};

use identity::AccountId;
use thiserror::Error;

use crate::{
    Certified, Checkpoint, DecodeError, Evidence, Id, Ledger,
    account::entry,
    evidence::{Earned, Ending, Exhibit, Leaf, MAX_CHECKPOINTS, Shown},
    exposure::PAYOUT_LOCK_EPOCHS,
    justify::uptime_hour,
    merkle,
    op::{Action, Op, Out, Reason, Receive},
    price::EPOCHS_PER_HOUR,
    reputation::Outcome,
    resolve::{Payout, SignedResolve, payout_lock},
    set::Decision,
    wire::{Reader, Writer},
};

/// The accounts that matter to what comes to be due with a checkpoint, each with the proof of its leaf under the root.
///
/// Taken where the checkpoint was drafted, for the state goes on. A large one can be kept in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    checkpoint: Checkpoint,
    shown: BTreeMap<AccountId, Shown>,
}

/// What an operator lacks to show that a payment is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Lacking {
    /// The treasury pays for nothing else.
    #[error("the treasury pays bonuses, uptime and referrals alone")]
    Cause,
    /// No resolve by that name counts, or its authority does not settle for the network.
    #[error("no resolve {resolve} that bonuses follow from is known")]
    Resolve {
        /// The name.
        resolve: Id,
    },
    /// The hour has no verified result.
    #[error("no result of the account was verified in that hour")]
    Hour,
    /// The reward may still be forfeited.
    #[error("{account} has not collected its reward")]
    Collected {
        /// Who was paid.
        account: AccountId,
    },
    /// There is no checkpoint of 60 epochs after the resolve.
    #[error("no checkpoint of epoch {epoch} or later is known, with those before it")]
    Checkpoint {
        /// The epoch wanted.
        epoch: u64,
    },
    /// No roll of the checkpoint has the account.
    #[error("{account} is on no roll of the checkpoint of epoch {epoch}")]
    Account {
        /// Whose leaf.
        account: AccountId,
        /// The checkpoint's.
        epoch: u64,
    },
}

impl Roll {
    /// The checkpoint it is of.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Whether there is no account on it.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// The same in parts of at most so many accounts, at least 1.
    pub fn parts(self, most: usize) -> Vec<Roll> {
        let all: Vec<(AccountId, Shown)> = self.shown.into_iter().collect();
        let part = |part: &[(AccountId, Shown)]| Roll {
            checkpoint: self.checkpoint,
            shown: part.iter().cloned().collect(),
        };
        all.chunks(most.max(1)).map(part).collect()
    }

    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(128 + 1_024 * self.shown.len());
        self.checkpoint.write(&mut out);
        out.u32(self.shown.len() as u32);
        for (account, shown) in &self.shown {
            shown.write(out.account(account));
        }
        out.0
    }

    /// Reads what [`Roll::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::whole(bytes, |reader| {
            let checkpoint = Checkpoint::read(reader)?;
            let shown = |reader: &mut Reader<'_>| Ok((reader.account("account")?, Shown::read(reader)?));
            Ok(Roll { checkpoint, shown: reader.map("accounts", shown)? })
        })
    }
}

impl Ledger {
    /// The roll of a checkpoint of this very state; `None` if it is of another.
    pub fn roll(&self, checkpoint: &Checkpoint) -> Option<Roll> {
        let leaves = self.leaf_hashes();
        let count = leaves.len() as u64;
        let tree = merkle::Tree::new(leaves);
        if Id::from_bytes(tree.root()) != checkpoint.root || count != checkpoint.accounts {
            return None;
        }
        let order: Vec<&AccountId> = self.accounts().map(|(id, _)| id).collect();
        let leaf = |index: usize| {
            let account = order.get(index)?;
            let leaf = self.account(account)?.leaf(account, self.is_frozen(account), &self.taken(account));
            Some(Leaf { index: index as u64, entry: entry(&leaf), proof: tree.prove(index)? })
        };
        let show = |account: AccountId| {
            let leaves = match order.binary_search(&&account) {
                Ok(at) => vec![leaf(at)],
                Err(at) => vec![at.checked_sub(1).and_then(leaf), leaf(at)],
            };
            (account, Shown(leaves.into_iter().flatten().collect()))
        };
        let shown = self.concerned(checkpoint).into_iter().map(show).collect();
        Some(Roll { checkpoint: *checkpoint, shown })
    }

    /// What shows every witness that the payments of a treasury's operation are due.
    ///
    /// # Errors
    /// What is lacking for the first of them that cannot be shown.
    pub fn evidence(&self, op: &Op, rolls: &[Roll]) -> Result<Evidence, Lacking> {
        let Action::Transfer { outs } = &op.action else { return Ok(Evidence::default()) };
        outs.iter().map(|out| self.exhibit(out, rolls)).collect::<Result<_, _>>().map(Evidence)
    }

    /// What shows that one payment is due.
    pub(crate) fn exhibit(&self, out: &Out, rolls: &[Roll]) -> Result<Exhibit, Lacking> {
        match out.reason {
            Reason::Uptime => self.verified(out).ok_or(Lacking::Hour).map(Exhibit::Verified),
            Reason::Bonus | Reason::Referral => {
                let lacking = Lacking::Resolve { resolve: out.reference };
                let resolve = self.resolve(&out.reference).ok_or(lacking)?;
                let disputed = self.set().conflicting(&resolve.value.resolve.lock);
                if disputed || !self.is_appointed(&out.reference) {
                    return Err(lacking);
                }
                self.earned(out, resolve, rolls).map(|earned| Exhibit::Earned(Box::new(earned)))
            }
            _ => Err(Lacking::Cause),
        }
    }

    fn verified(&self, out: &Out) -> Option<Arc<Certified<SignedResolve>>> {
        let hour = uptime_hour(&out.reference)?;
        let judged = &self.account(&out.to)?.judgements;
        let mut valid = judged.iter().filter(|j| j.0 / EPOCHS_PER_HOUR == hour && j.3 == Outcome::Valid);
        valid.find_map(|judgement| self.resolve(&judgement.1)).cloned()
    }

    fn earned(
        &self,
        out: &Out,
        resolve: &Arc<Certified<SignedResolve>>,
        rolls: &[Roll],
    ) -> Result<Earned, Lacking> {
        let value = &resolve.value.resolve;
        let bonus = out.reason == Reason::Bonus;
        let mut endings = Vec::new();
        for (index, payout) in value.payouts.iter().enumerate().filter(|(_, p)| p.reason == Reason::Reward) {
            if bonus && payout.to != out.to {
                continue;
            }
            match self.ending(&payout.to, &payout_lock(&resolve.id, index as u8)) {
                Some(ending) if endings.contains(&ending) => {}
                Some(ending) => endings.push(ending),
                None if bonus => return Err(Lacking::Collected { account: payout.to }),
                None => {}
            }
        }
        let (certificate, checkpoints) = self.checkpoints_of(value.epoch)?;
        let mut wanted: Vec<AccountId> = match bonus {
            true => vec![value.owner, out.to],
            false => rewarded(&value.payouts).chain([out.to]).collect(),
        };
        wanted.sort();
        wanted.dedup();
        let first = checkpoints[0];
        let on = |account: AccountId| {
            let mut of = rolls.iter().filter(|roll| roll.checkpoint == first);
            let shown = of.find_map(|roll| roll.shown.get(&account));
            let shown = shown.ok_or(Lacking::Account { account, epoch: first.epoch })?;
            Ok((account, shown.clone()))
        };
        let shown = wanted.into_iter().map(on).collect::<Result<_, _>>()?;
        Ok(Earned { resolve: resolve.clone(), endings, certificate, checkpoints, shown })
    }

    /// How a payout's lock ended, if it did.
    fn ending(&self, owner: &AccountId, lock: &Id) -> Option<Ending> {
        let decided = self.set().decisions.get(lock).and_then(|decisions| decisions.first());
        if let Some(Decision::Resolve(id)) = decided {
            return self.resolve(id).cloned().map(Ending::Forfeited);
        }
        let taken = Receive::expired(*lock);
        let seq = self.set().taken_back.get(&(*lock, *owner))?;
        let place = self.set().chains.get(owner)?.get(seq)?;
        let held = place.all().find(|held| held.record.value.op.receives.contains(&taken))?;
        Some(Ending::Collected(held.record.clone()))
    }

    /// The checkpoints from the one that settles what a resolve of this epoch earns, back to the one before the epoch.
    fn checkpoints_of(&self, epoch: u64) -> Result<(crate::Certificate, Vec<Checkpoint>), Lacking> {
        let from = epoch.saturating_add(PAYOUT_LOCK_EPOCHS);
        let named = |checkpoint: &Checkpoint| {
            let mut earlier =
                self.set().checkpoints.range(..checkpoint.epoch).rev().flat_map(|(_, held)| held);
            let found = earlier.find(|held| held.record.id == checkpoint.previous)?;
            Some(found.record.value)
        };
        let chain = |first: &Checkpoint| {
            let mut all = vec![*first];
            loop {
                let last = all[all.len() - 1];
                if last.epoch < epoch || last.previous == Id::ZERO {
                    return Some(all);
                }
                let next = named(&last).filter(|next| next.epoch < from && all.len() < MAX_CHECKPOINTS)?;
                all.push(next);
            }
        };
        let held = self.set().checkpoints.range(from..).flat_map(|(_, held)| held).take(MAX_CHECKPOINTS);
        let mut found = held
            .filter_map(|held| chain(&held.record.value).map(|all| (held.record.certificate.clone(), all)));
        found.next().ok_or(Lacking::Checkpoint { epoch: from })
    }

    /// Whose leaves what comes to be due with a checkpoint depends on.
    fn concerned(&self, checkpoint: &Checkpoint) -> Vec<AccountId> {
        let before = self.checkpoint_before(checkpoint.epoch).map(|before| before.value.epoch);
        let settles = |epoch: u64| {
            let from = epoch.saturating_add(PAYOUT_LOCK_EPOCHS);
            from <= checkpoint.epoch && before.is_none_or(|before| before < from)
        };
        let resolves = self.set().resolves.values().map(|held| &held.record.value.resolve);
        let mut all = Vec::new();
        for resolve in resolves.filter(|resolve| settles(resolve.epoch)) {
            all.push(resolve.owner);
            for account in rewarded(&resolve.payouts) {
                all.push(account);
                let opened = self.account(&account).and_then(|a| a.opened);
                all.extend(opened.and_then(|opened| opened.referrer));
            }
        }
        all.sort();
        all.dedup();
        all
    }
}

fn rewarded(payouts: &[Payout]) -> impl Iterator<Item = AccountId> {
    payouts.iter().filter(|p| p.reason == Reason::Reward).map(|p| p.to)
}
