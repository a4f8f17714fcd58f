//! What owners and settlement authorities can try on locks.

use ledger::{
    Id, Rule,
    expiry::Expiry,
    op::{Action, LockKind, Receive},
    reputation::Outcome as Judgement,
    resolve::{Judged, Resolve},
};

use super::{refused, refused_by, spoil};
use crate::{
    Outcome,
    reference::{Deed, Name, Sort},
    world::{Answer, CREDIT, Value, World},
};

/// An escrow of 5 credits by account 1, open for three epochs.
fn escrow(world: &mut World) -> Outcome<Name> {
    world.act(1, Deed::Escrow { amount: 5 * CREDIT, until: world.now + 3, halves: 2 })?;
    Ok(world.last_lock())
}

/// A decision that gives all of it back, changed by the authority.
fn spoil_resolve(world: &mut World, lock: Name, rule: Rule, change: impl FnOnce(&mut Resolve)) -> Outcome {
    let mut resolve = world.resolve(lock, &[], 5 * CREDIT, 0);
    change(&mut resolve);
    let value = Value::Resolve(resolve.sign(&world.id(), &world.authority));
    refused(world, rule, &value)
}

pub(super) fn lock_terms(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::LockTerms, |world, op| {
        let Action::Lock(mut terms) = world.lock(LockKind::TaskEscrow, CREDIT, world.now + 5, 2) else {
            return;
        };
        terms.policy.redundancy = 0;
        op.action = Action::Lock(terms);
        op.balance_after -= CREDIT;
    })?;
    // Without the day's wait.
    spoil(world, 2, Rule::LockTerms, |world, op| {
        op.action = world.lock(LockKind::Unbond, 1, world.now + 1, 2);
    })?;
    spoil(world, 1, Rule::LockTerms, |world, op| {
        op.action = world.lock(LockKind::PayoutLock, CREDIT, world.now + 5, 2);
    })
}

/// In its last epoch, and in the two after it, in which a decision of the last can still be certified.
pub(super) fn lock_expired(world: &mut World) -> Outcome {
    let lock = escrow(world)?;
    for wait in [3, 2] {
        world.pass(wait);
        let (owner, locks) = (world.accounts[1], vec![world.lock_id(lock)]);
        refused(world, Rule::LockExpired, &Value::Expiry(Expiry { owner, locks, epoch: world.now }))?;
    }
    Ok(())
}

/// Taken back before anybody certified that it ran out.
pub(super) fn lock_ran_out(world: &mut World) -> Outcome {
    let lock = escrow(world)?;
    world.pass(6);
    let source = world.lock_id(lock);
    // To the witness, it is not there to be received.
    spoil(world, 1, Rule::ReceiveKnown, |_, op| {
        op.receives.push(Receive::expired(source));
        op.receives.sort();
        op.balance_after += 5 * CREDIT;
    })
}

/// None, and one twice; then another's, and at the wrong time.
pub(super) fn expiry_locks(world: &mut World) -> Outcome {
    let lock = escrow(world)?;
    let id = world.lock_id(lock);
    world.pass(70);
    let expiry = Expiry { owner: world.accounts[1], locks: vec![id], epoch: world.now };
    for locks in [vec![], vec![id, id], (0..65).map(|n| Id::from_bytes([n; 32])).collect()] {
        refused(world, Rule::ExpiryLocks, &Value::Expiry(Expiry { locks, ..expiry.clone() }))?;
    }
    let others = Expiry { owner: world.accounts[2], ..expiry.clone() };
    refused(world, Rule::LockOpen, &Value::Expiry(others))?;
    for epoch in [world.now - 61, world.now + 1] {
        refused(world, Rule::EpochCurrent, &Value::Expiry(Expiry { epoch, ..expiry.clone() }))?;
    }
    Ok(())
}

/// A witness that took no part in taking the lock back, and is asked to decide on it: nothing but the rule stops it.
pub(super) fn lock_open(world: &mut World) -> Outcome {
    let honest = world.honest();
    if honest.len() == 1 {
        return Ok(());
    }
    world.act(3, Deed::Escrow { amount: CREDIT, until: world.now + 1, halves: 2 })?;
    let (lock, owner) = (world.last_lock(), 3);
    world.pass(4);
    let resolve = Resolve { epoch: world.now - 3, ..world.resolve(lock, &[], CREDIT, 0) };
    let faults = std::mem::replace(&mut world.faults, false);
    world.absent = Some(honest[0]);
    let done = world.act(owner, Deed::Nothing);
    (world.absent, world.faults) = (None, faults);
    done?;
    world.sync()?;
    let value = Value::Resolve(resolve.sign(&world.id(), &world.authority));
    refused_by(world, honest[0], Rule::LockOpen, &value)?;
    // The others voted for its running out, or are stopped by this rule too.
    let strict = std::mem::replace(&mut world.strict, false);
    let others = refused(world, Rule::OneVotePerLock, &value);
    world.strict = strict;
    others
}

pub(super) fn one_vote_per_lock(world: &mut World) -> Outcome {
    let lock = escrow(world)?;
    world.sync()?;
    let one = world.resolve(lock, &[], 5 * CREDIT, 0).sign(&world.id(), &world.authority);
    let other =
        world.resolve(lock, &[(6, 5 * CREDIT, Sort::Reward)], 0, 0).sign(&world.id(), &world.authority);
    for i in world.honest() {
        let answer = world.ask(i, &Value::Resolve(one.clone()), false)?;
        let signed = matches!(answer, Answer::Vote(_));
        crate::ensure("honest decisions are signed", signed, || format!("witness {i} refused"))?;
    }
    let other = Value::Resolve(other);
    refused(world, Rule::OneVotePerLock, &other)?;
    for i in world.honest() {
        world.restart(i)?;
    }
    refused(world, Rule::OneVotePerLock, &other)?;
    world.decide(lock, &[], 5 * CREDIT, 0).map(drop)
}

pub(super) fn authority_signed(world: &mut World) -> Outcome {
    let lock = escrow(world)?;
    let resolve = world.resolve(lock, &[(6, 5 * CREDIT, Sort::Plain)], 0, 0);
    let value = Value::Resolve(resolve.sign(&world.id(), &world.keys[6]));
    refused(world, Rule::AuthoritySigned, &value)
}

pub(super) fn resolve_in_time(world: &mut World) -> Outcome {
    let lock = escrow(world)?;
    world.pass(4);
    spoil_resolve(world, lock, Rule::ResolveInTime, |_| {})?;
    // In time by its date, which is an hour ago or to come.
    world.act(1, Deed::Escrow { amount: 5 * CREDIT, until: world.now + 9, halves: 2 })?;
    let lock = world.last_lock();
    let stale = world.now - 61;
    spoil_resolve(world, lock, Rule::EpochCurrent, |resolve| resolve.epoch = stale)?;
    spoil_resolve(world, lock, Rule::EpochCurrent, |resolve| resolve.epoch += 1)
}

pub(super) fn shares_complete(world: &mut World) -> Outcome {
    let lock = escrow(world)?;
    for amount in [4 * CREDIT, 6 * CREDIT] {
        spoil_resolve(world, lock, Rule::SharesComplete, |resolve| resolve.refund_ucredits = amount)?;
    }
    Ok(())
}

pub(super) fn shares_fit_kind(world: &mut World) -> Outcome {
    let lock = escrow(world)?;
    spoil_resolve(world, lock, Rule::SharesFitKind, |resolve| {
        (resolve.refund_ucredits, resolve.slash_ucredits) = (0, 5 * CREDIT);
    })?;
    // A stake that is paid to somebody.
    world.act(2, Deed::Claim { amount: CREDIT, until: world.now + 3 })?;
    let lock = world.last_lock();
    let resolve = world.resolve(lock, &[(6, CREDIT, Sort::Plain)], 0, 0);
    let value = Value::Resolve(resolve.sign(&world.id(), &world.authority));
    refused(world, Rule::SharesFitKind, &value)
}

pub(super) fn outcomes_distinct(world: &mut World) -> Outcome {
    let lock = escrow(world)?;
    let judged = Judged { worker: world.accounts[6], task_type: 0, outcome: Judgement::Valid };
    spoil_resolve(world, lock, Rule::OutcomesDistinct, |resolve| resolve.judged = vec![judged, judged])?;
    // Paid nothing, or for no reason that a decision has.
    spoil_resolve(world, lock, Rule::ReasonAllowed, |resolve| {
        resolve.evidence = Id::hash("another", &[]);
        resolve.refund_ucredits = 0;
        resolve.payouts = vec![ledger::resolve::Payout {
            to: resolve.owner,
            amount_ucredits: 5 * CREDIT,
            reason: ledger::op::Reason::Payment,
        }];
    })
}
