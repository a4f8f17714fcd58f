//! What the holder of the treasury's key can try.

use ledger::{
    Id, Rule,
    op::{Action, LockKind, Op, Out, Reason},
};

use super::spoil;
use crate::{
    Outcome,
    reference::{Deed, Grant, Sort, TREASURY, Who},
    world::{CREDIT, World},
};

/// A reward of so many credits to an account that nobody else pays, beyond its hour: the bonus that is due for it.
fn rewarded(world: &mut World, worker: Who, credits: u64) -> Outcome<(Grant, Id, u64)> {
    let amount = credits * CREDIT;
    world.act(1, Deed::Escrow { amount, until: world.now + 3, halves: 2 })?;
    let lock = world.last_lock();
    let record = world.decide(lock, &[(worker, amount, Sort::Reward)], 0, 0)?;
    let decision = world.serial() - 1;
    world.pass(61);
    let grant = Grant::Bonus { decision, worker };
    Ok((grant, record.map_or(Id::ZERO, |r| r.id()), world.economy.due(&grant).unwrap_or(0)))
}

fn pay(world: &World, op: &mut Op, worker: Who, reference: Id, amount_ucredits: u64) {
    let out =
        Out { to: world.accounts[usize::from(worker)], amount_ucredits, reason: Reason::Bonus, reference };
    op.action = Action::Transfer { outs: vec![out] };
    op.balance_after -= amount_ucredits;
}

pub(super) fn cap(world: &mut World) -> Outcome {
    let (_, reference, due) = rewarded(world, 16, 30)?;
    spoil(world, TREASURY, Rule::TreasuryCap, |world, op| pay(world, op, 16, reference, due))
}

pub(super) fn only_pays(world: &mut World) -> Outcome {
    for (kind, life) in [(LockKind::TaskEscrow, 5), (LockKind::BaseStake, 0)] {
        spoil(world, TREASURY, Rule::TreasuryOnlyPays, |world, op| {
            op.action = world.lock(kind, CREDIT, world.now + life, 2);
            op.balance_after -= CREDIT;
        })?;
    }
    Ok(())
}

pub(super) fn justified(world: &mut World) -> Outcome {
    let (_, reference, due) = rewarded(world, 17, 3)?;
    for amount in [due + 1, due - 1] {
        spoil(world, TREASURY, Rule::TreasuryJustified, |world, op| pay(world, op, 17, reference, amount))?;
    }
    let nothing = Id::hash("nothing", &[]);
    spoil(world, TREASURY, Rule::TreasuryJustified, |world, op| pay(world, op, 17, nothing, due))
}

pub(super) fn once(world: &mut World) -> Outcome {
    let (grant, reference, due) = rewarded(world, 18, 2)?;
    world.act(TREASURY, Deed::Grant(vec![grant]))?;
    spoil(world, TREASURY, Rule::TreasuryOnce, |world, op| pay(world, op, 18, reference, due))
}
