//! What the holder of the treasury's key can try.

use ledger::{
    Id, Rule,
    op::{Action, LockKind, Op, Out, Reason},
};

use super::{noop, refused, signed, spoil};
use crate::{
    Outcome,
    reference::{Deed, Grant, Sort, TREASURY, Who},
    world::{CREDIT, Value, World},
};

/// A reward of so many credits to an account that nobody else pays, beyond its hour: the bonus that is due for it.
fn rewarded(world: &mut World, worker: Who, credits: u64) -> Outcome<(Grant, Id, u64)> {
    let amount = credits * CREDIT;
    world.act(1, Deed::Escrow { amount, until: world.now + 3, halves: 2 })?;
    let lock = world.last_lock();
    let record = world.decide(lock, &[(worker, amount, Sort::Reward)], 0, 0)?;
    let decision = world.serial() - 1;
    world.pass(61);
    world.close()?;
    world.pass(2);
    world.act(worker, Deed::Nothing)?;
    let grant = Grant::Bonus { decision, worker };
    Ok((grant, record.map_or(Id::ZERO, |r| r.id()), world.economy.due(&grant).unwrap_or(0)))
}

fn pay(world: &World, op: &mut Op, worker: Who, reference: Id, amount_ucredits: u64) {
    let out =
        Out { to: world.accounts[usize::from(worker)], amount_ucredits, reason: Reason::Bonus, reference };
    op.action = Action::Transfer { outs: vec![out] };
    op.balance_after -= amount_ucredits;
}

/// A payment with all that can be shown for it.
fn spend(world: &mut World, rule: Rule, worker: Who, reference: Id, amount_ucredits: u64) -> Outcome {
    let mut op = noop(world, TREASURY);
    pay(world, &mut op, worker, reference, amount_ucredits);
    let shown = world.all.evidence(&op, &world.rolls).unwrap_or_default();
    let value = Value::Grant(signed(world, TREASURY, op), shown);
    refused(world, rule, &value)
}

pub(super) fn cap(world: &mut World) -> Outcome {
    let (_, reference, due) = rewarded(world, 16, 30)?;
    spend(world, Rule::TreasuryCap, 16, reference, due)
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
        spend(world, Rule::TreasuryJustified, 17, reference, amount)?;
    }
    // Due, and not shown.
    spoil(world, TREASURY, Rule::TreasuryJustified, |world, op| pay(world, op, 17, reference, due))?;
    let nothing = Id::hash("nothing", &[]);
    spend(world, Rule::TreasuryJustified, 17, nothing, due)
}

pub(super) fn once(world: &mut World) -> Outcome {
    let (grant, reference, due) = rewarded(world, 18, 2)?;
    world.act(TREASURY, Deed::Grant(vec![grant]))?;
    spend(world, Rule::TreasuryOnce, 18, reference, due)
}
