//! What the treasury may pay: each payment follows from certified resolves, has the amount of the formula, and comes after
//! the hour in which the reward could have been forfeited.
//!
//! A witness signs one value for a seq, so witnesses that disagree about an operation of the treasury stop the treasury for
//! ever. Whoever can hold back a certificate and show it to half of them makes them disagree about everything that is judged
//! by what a witness has heard of. So nothing here reads a ledger: the verdict is a function of the operation, of the network's
//! founding and committees, and of the [`Evidence`] that the operator sends to all of them alike. What it rests on:
//!
//! | fact | shown by | why it cannot change |
//! |---|---|---|
//! | the resolve was certified, and its authority settles for the network | the certified resolve: who signed was of the committee | a certificate stays |
//! | a payout was collected, or forfeited | the certified operation that took its lock, or the certified decision on it | witnesses sign one of the two; a payout with neither is not due yet, and comes to be due |
//! | a result was verified in an hour | a certified resolve that judges so | a certificate stays |
//! | the network's compute before the resolve | the last checkpoint before its epoch, on the chain that ends in C | a hash names its predecessor |
//! | two accounts came from one purse or site, and who referred whom | their entries under the root of C, or their neighbours' where they have none | C is certified |
//! | how long ago, and which hour is over | the operation's epoch | it is signed |
//! | the cap, and what was paid before | the treasury's own chain | one value a seq |
//!
//! **C** is the checkpoint of epoch 60 or more after the resolve whose predecessor is of an earlier epoch than that. What
//! comes later does not matter: neither a relation that begins then, nor a certificate that was held back till then. Before
//! there is a C, nothing is due.
//!
//! Who holds the certificate of a checkpoint back splits nobody: C and its predecessors come along, and either verdict is
//! everyone's. Witnesses that did not see it certify the next upon the one before it, and no later one will name it. So at
//! most two checkpoints can be C, and are an epoch or so apart: all that the operator can choose, and worth nothing, for whoever
//! wants to seem unrelated waits as long anyway. Who keeps the witnesses from any checkpoint holds up what is due until there is
//! one, and no longer.
//!
//! More bad witnesses than are tolerated can certify evidence of what never was, as they can anything; it convicts them.

use identity::AccountId;

use crate::{
    Certified, Checkpoint, Evidence, Id, Ledger, Network, Roll,
    account::Front,
    curve::{bonus_ucredits, multiplier},
    evidence::{Earned, Ending, Exhibit},
    exposure::PAYOUT_LOCK_EPOCHS,
    op::{Action, Op, Out, Reason, Receive},
    price::{EPOCHS_PER_HOUR, UPTIME_UCREDITS_PER_HOUR, referral_ucredits},
    reputation::Outcome,
    resolve::{Resolve, SignedResolve, payout_lock},
    rule::{Refusal, Rule, require},
};

/// The reference of an hour's uptime.
pub fn uptime_reference(hour: u64) -> Id {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&hour.to_le_bytes());
    Id::from_bytes(bytes)
}

/// The hour that a reference of uptime means.
pub(crate) fn uptime_hour(reference: &Id) -> Option<u64> {
    let (hour, rest) = reference.as_bytes().split_first_chunk()?;
    rest.iter().all(|&byte| byte == 0).then_some(u64::from_le_bytes(*hour))
}

/// The early-adopter bonus that a resolve earns a worker, in micro-credits; `None` if it earns none (yet), or the operator
/// of this ledger and these rolls cannot show it.
///
/// Reward x (multiplier - 1), with the network's compute as of the last checkpoint before the resolve. Who pays a purse of
/// their own earns nothing by it.
pub fn bonus(ledger: &Ledger, rolls: &[Roll], resolve: &Id, worker: &AccountId, now: u64) -> Option<u64> {
    due(ledger, rolls, Reason::Bonus, resolve, worker, now)
}

/// The referral share that a resolve earns a referrer, in micro-credits; `None` as for [`bonus`].
///
/// Of the rewards of every referee the resolve pays, within 30 days of their registration. An account of the same stake
/// ancestry or the same site is no referee.
pub fn referral(
    ledger: &Ledger,
    rolls: &[Roll],
    resolve: &Id,
    referrer: &AccountId,
    now: u64,
) -> Option<u64> {
    due(ledger, rolls, Reason::Referral, resolve, referrer, now)
}

/// What an hour online is worth, in micro-credits; `None` for an hour without a verified result, or one that is not over.
pub fn uptime(ledger: &Ledger, reference: &Id, worker: &AccountId, now: u64) -> Option<u64> {
    due(ledger, &[], Reason::Uptime, reference, worker, now)
}

/// Checks every payment of a treasury's operation.
pub(crate) fn treasury(network: &Network, op: &Op, evidence: &Evidence) -> Result<(), Refusal> {
    let Action::Transfer { outs } = &op.action else { return Ok(()) };
    let exhibits = &evidence.0;
    let holds =
        |(out, shown): (&Out, &Exhibit)| owed(network, out, shown, op.epoch) == Some(out.amount_ucredits);
    require(Rule::TreasuryJustified, outs.len() == exhibits.len() && outs.iter().zip(exhibits).all(holds))
}

/// What the treasury owes, as the operator sees it.
fn due(
    ledger: &Ledger,
    rolls: &[Roll],
    reason: Reason,
    reference: &Id,
    to: &AccountId,
    now: u64,
) -> Option<u64> {
    let out = Out { to: *to, amount_ucredits: 0, reason, reference: *reference };
    owed(ledger.network(), &out, &ledger.exhibit(&out, rolls).ok()?, now)
}

/// What the treasury owes for a payment's cause, by what is shown of it.
fn owed(network: &Network, out: &Out, exhibit: &Exhibit, now: u64) -> Option<u64> {
    match (out.reason, exhibit) {
        (Reason::Bonus, Exhibit::Earned(earned)) => {
            Case::of(network, earned, &out.reference, now)?.bonus(&out.to)
        }
        (Reason::Referral, Exhibit::Earned(earned)) => {
            Case::of(network, earned, &out.reference, now)?.referral(&out.to)
        }
        (Reason::Uptime, Exhibit::Verified(resolve)) => {
            let hour = uptime_hour(&out.reference).filter(|hour| *hour < now / EPOCHS_PER_HOUR)?;
            let value = &resolve.value.resolve;
            let valid = value.judged.iter().any(|j| j.worker == out.to && j.outcome == Outcome::Valid);
            (valid && value.epoch / EPOCHS_PER_HOUR == hour && is_settled(network, resolve))
                .then_some(UPTIME_UCREDITS_PER_HOUR)
        }
        _ => None,
    }
}

/// An exhibit of what was earned, whose records and checkpoints are what they should be.
struct Case<'a> {
    earned: &'a Earned,
    /// Before the resolve, in micro CPU-hours.
    compute: u64,
}

impl<'a> Case<'a> {
    fn of(network: &Network, earned: &'a Earned, reference: &Id, now: u64) -> Option<Self> {
        let epoch = earned.resolve.value.resolve.epoch;
        let over = now > epoch.saturating_add(PAYOUT_LOCK_EPOCHS);
        if !over || earned.resolve.id != *reference || !is_settled(network, &earned.resolve) {
            return None;
        }
        let compute = compute_before(network, earned, epoch)?;
        let certified = |ending: &Ending| match ending {
            Ending::Collected(op) => op.check_op(network).is_ok(),
            Ending::Forfeited(resolve) => is_certified(network, resolve),
        };
        earned.endings.iter().all(certified).then_some(Case { earned, compute })
    }

    fn bonus(&self, worker: &AccountId) -> Option<u64> {
        let resolve = self.resolve();
        let bonus = bonus_ucredits(self.reward(worker)?, multiplier(self.compute.into()));
        (resolve.drawn && bonus > 0 && !self.related(&resolve.owner, worker)?).then_some(bonus)
    }

    fn referral(&self, referrer: &AccountId) -> Option<u64> {
        let rewards = self.resolve().payouts.iter().filter(|p| p.reason == Reason::Reward);
        let mut referees: Vec<AccountId> = rewards.map(|p| p.to).collect();
        referees.sort();
        referees.dedup();
        let mut sum = 0u64;
        for referee in referees {
            let Some(opened) = self.earned.front(&referee)?.opened else { continue };
            if opened.referrer == Some(*referrer) && !self.related(referrer, &referee)? {
                let share = referral_ucredits(self.reward(&referee)?, opened.epoch, self.resolve().epoch);
                sum = sum.checked_add(share)?;
            }
        }
        (sum > 0).then_some(sum)
    }

    /// What the resolve paid a worker and the worker collected; `None` while any of it may still be forfeited.
    fn reward(&self, worker: &AccountId) -> Option<u64> {
        let mut sum = 0u64;
        for (index, payout) in self.resolve().payouts.iter().enumerate() {
            if payout.to != *worker || payout.reason != Reason::Reward {
                continue;
            }
            let lock = payout_lock(&self.earned.resolve.id, index as u8);
            let kept = self.earned.endings.iter().find_map(|ending| ending.kept(worker, &lock))?;
            // Of more than an amount can hold, which only a bad quorum certifies, nothing follows.
            sum = sum.checked_add(if kept { payout.amount_ucredits } else { 0 })?;
        }
        Some(sum)
    }

    /// Whether two accounts came from one purse or one site; `None` if that is not shown.
    fn related(&self, one: &AccountId, other: &AccountId) -> Option<bool> {
        let (here, there) = (self.earned.front(one)?, self.earned.front(other)?);
        let site = |front: &Front| front.opened.and_then(|opened| opened.site);
        let purse = here.ancestor.unwrap_or(*one) == there.ancestor.unwrap_or(*other);
        Some(purse || site(&here).is_some() && site(&here) == site(&there))
    }

    fn resolve(&self) -> &'a Resolve {
        &self.earned.resolve.value.resolve
    }
}

impl Ending {
    /// Whether the owner kept the lock; `None` if this is of another.
    fn kept(&self, owner: &AccountId, lock: &Id) -> Option<bool> {
        match self {
            Ending::Collected(op) => {
                let op = &op.value.op;
                (op.account == *owner && op.receives.contains(&Receive::expired(*lock))).then_some(true)
            }
            Ending::Forfeited(resolve) => (resolve.value.resolve.lock == *lock).then_some(false),
        }
    }
}

/// The network's compute before an epoch, if the checkpoints shown are those from C back to that before the epoch.
fn compute_before(network: &Network, earned: &Earned, epoch: u64) -> Option<u64> {
    let (first, earlier) = earned.checkpoints.split_first()?;
    let id = first.id(network.id());
    earned.certificate.check(network.id(), &id, network.committee(first.epoch)).ok()?;
    let from = epoch.saturating_add(PAYOUT_LOCK_EPOCHS);
    let descends =
        |pair: &[Checkpoint]| pair[0].previous == pair[1].id(network.id()) && pair[0].epoch > pair[1].epoch;
    let linked = earned.checkpoints.windows(2).all(descends);
    if !linked || first.epoch < from || earlier.iter().any(|c| c.epoch >= from) {
        return None;
    }
    match earned.checkpoints.iter().position(|c| c.epoch < epoch) {
        Some(at) => (at + 1 == earned.checkpoints.len()).then(|| earned.checkpoints[at].compute),
        None => (earned.checkpoints.last()?.previous == Id::ZERO).then_some(0),
    }
}

/// Whether a resolve is certified, and its authority settles for the network. Witnesses signed it because its lock's authority
/// did; of members of the committee each could be one.
fn is_settled(network: &Network, resolve: &Certified<SignedResolve>) -> bool {
    let mut members = network.committee(resolve.value.resolve.epoch).members().iter();
    let by = |account: &AccountId| {
        account.public_key().is_ok_and(|key| resolve.value.check_signature(&resolve.id, &key).is_ok())
    };
    is_certified(network, resolve) && members.any(|member| by(&member.account))
}

fn is_certified(network: &Network, resolve: &Certified<SignedResolve>) -> bool {
    let committee = network.committee(resolve.value.resolve.epoch);
    let certified = resolve.certificate.check(network.id(), &resolve.id, committee).is_ok();
    certified && resolve.value.resolve.check_alone().is_ok()
}
