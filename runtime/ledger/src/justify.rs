//! What the treasury may pay: each payment follows from certified resolves, has the amount of the formula, and comes after
//! the hour in which the reward could have been forfeited.

use identity::AccountId;

use crate::{
    Id, Ledger,
    curve::{bonus_ucredits, multiplier},
    exposure::PAYOUT_LOCK_EPOCHS,
    op::{Action, Op, Out, Reason},
    price::{EPOCHS_PER_HOUR, UPTIME_UCREDITS_PER_HOUR, referral_ucredits},
    reputation::Outcome,
    resolve::payout_lock,
    rule::{Refusal, Rule, require},
    set::Decision,
};

/// Checks every payment of a treasury's operation.
pub(crate) fn treasury(ledger: &Ledger, op: &Op) -> Result<(), Refusal> {
    let Action::Transfer { outs } = &op.action else { return Ok(()) };
    let holds = |out: &Out| {
        let due = match out.reason {
            Reason::Bonus => bonus(ledger, &out.reference, &out.to, op.epoch),
            Reason::Referral => referral(ledger, &out.reference, &out.to, op.epoch),
            Reason::Uptime => uptime(ledger, &out.reference, &out.to, op.epoch),
            _ => None,
        };
        due == Some(out.amount_ucredits)
    };
    require(Rule::TreasuryJustified, outs.iter().all(holds))
}

/// The reference of an hour's uptime.
pub fn uptime_reference(hour: u64) -> Id {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&hour.to_le_bytes());
    Id::from_bytes(bytes)
}

/// The early-adopter bonus that a resolve earns a worker, in micro-credits; `None` if it earns none (yet).
///
/// Reward x (multiplier - 1), with the network's compute as of the last checkpoint before the resolve.
pub fn bonus(ledger: &Ledger, resolve: &Id, worker: &AccountId, now: u64) -> Option<u64> {
    let (reward, epoch, drawn) = reward(ledger, resolve, worker, now)?;
    let compute = ledger.checkpoint_before(epoch).map_or(0, |c| c.value.compute);
    let bonus = bonus_ucredits(reward, multiplier(compute.into()));
    // Who pays a purse of their own earns nothing by it.
    let owner = ledger.resolve(resolve)?.value.resolve.owner;
    (drawn && bonus > 0 && !related(ledger, &owner, worker)).then_some(bonus)
}

/// The referral share that a resolve earns a referrer, in micro-credits; `None` if it earns none (yet).
///
/// Of the rewards of every referee the resolve pays, within 30 days of their registration. An account of the same stake
/// ancestry or the same site is no referee.
pub fn referral(ledger: &Ledger, resolve: &Id, referrer: &AccountId, now: u64) -> Option<u64> {
    let paid = &ledger.resolve(resolve)?.value.resolve.payouts;
    let mut referees: Vec<AccountId> = paid.iter().map(|p| p.to).collect();
    referees.sort();
    referees.dedup();
    let mut sum = 0u64;
    for referee in referees {
        let Some((reward, epoch, _)) = reward(ledger, resolve, &referee, now) else { continue };
        let Some(opened) = ledger.account(&referee).and_then(|a| a.opened) else { continue };
        if opened.referrer == Some(*referrer) && !related(ledger, referrer, &referee) {
            sum = sum.checked_add(referral_ucredits(reward, opened.epoch, epoch))?;
        }
    }
    (sum > 0).then_some(sum)
}

/// What an hour online is worth, in micro-credits; `None` for an hour without a verified result, or one that is not over.
pub fn uptime(ledger: &Ledger, reference: &Id, worker: &AccountId, now: u64) -> Option<u64> {
    let (hour, rest) = reference.as_bytes().split_first_chunk()?;
    let hour = u64::from_le_bytes(*hour);
    if rest.iter().any(|&byte| byte != 0) || hour >= now / EPOCHS_PER_HOUR {
        return None;
    }
    let judged = &ledger.account(worker)?.judgements;
    let valid = judged.iter().any(|j| j.0 / EPOCHS_PER_HOUR == hour && j.3 == Outcome::Valid);
    valid.then_some(UPTIME_UCREDITS_PER_HOUR)
}

/// What a resolve paid a worker that can no longer be forfeited: amount, epoch, and whether the beacon drew its workers.
fn reward(ledger: &Ledger, id: &Id, worker: &AccountId, now: u64) -> Option<(u64, u64, bool)> {
    let resolve = &ledger.resolve(id)?.value.resolve;
    let over = now > resolve.epoch.saturating_add(PAYOUT_LOCK_EPOCHS);
    if !over || !ledger.is_appointed(id) || ledger.set().conflicting(&resolve.lock) {
        return None;
    }
    let kept = |index: usize| {
        let decisions = ledger.set().decisions.get(&payout_lock(id, index as u8));
        !decisions.into_iter().flatten().any(|d| matches!(d, Decision::Resolve(_)))
    };
    let earned = resolve
        .payouts
        .iter()
        .enumerate()
        .filter(|(index, p)| p.to == *worker && p.reason == Reason::Reward && kept(*index));
    // Of more than an amount can hold, which only a bad quorum certifies, nothing follows.
    let amount = earned.map(|(_, p)| p.amount_ucredits).try_fold(0u64, u64::checked_add)?;
    (amount > 0).then_some((amount, resolve.epoch, resolve.drawn))
}

/// Whether two accounts came from one purse or one site.
fn related(ledger: &Ledger, one: &AccountId, other: &AccountId) -> bool {
    let root = |id: &AccountId| ledger.account(id).and_then(|a| a.ancestor).unwrap_or(*id);
    let site = |id: &AccountId| ledger.account(id).and_then(|a| a.opened).and_then(|o| o.site);
    root(one) == root(other) || site(one).is_some() && site(one) == site(other)
}
