//! What owners can try on their own chains.

use identity::AccountId;
use ledger::{
    Id, Rule,
    op::{Action, LockKind, Op, Out, Reason, Receive},
};

use super::{noop, refused, spoil};
use crate::{
    Outcome,
    reference::{Deed, Who},
    world::{CREDIT, Value, World, garbage},
};

/// Accounts that nothing else pays.
const QUIET: Who = 20;

fn pay(world: &World, op: &mut Op, to: Who, amount_ucredits: u64, reason: Reason) {
    let to = world.accounts[usize::from(to)];
    op.action = Action::Transfer { outs: vec![Out { to, amount_ucredits, reason, reference: Id::ZERO }] };
    op.balance_after = op.balance_after.wrapping_sub(amount_ucredits);
}

pub(super) fn owner_signature(world: &mut World) -> Outcome {
    let mut op = noop(world, 1);
    pay(world, &mut op, 3, CREDIT, Reason::Payment);
    let thief = world.fresh_key();
    let value = Value::Op(op.sign(&world.id(), &thief));
    refused(world, Rule::OwnerSignature, &value)?;
    // The key that was handed over signs no more.
    let who = QUIET + 3;
    let before = identity::SecretKey::from_seed(*world.keys[usize::from(who)].seed());
    world.act(who, Deed::Rotate)?;
    let value = Value::Op(noop(world, who).sign(&world.id(), &before));
    refused(world, Rule::OwnerSignature, &value)
}

pub(super) fn amount_positive(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::AmountPositive, |world, op| pay(world, op, 3, 0, Reason::Payment))
}

pub(super) fn epoch_current(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::EpochCurrent, |world, op| op.epoch = world.now + 1)
}

pub(super) fn epoch_monotone(world: &mut World) -> Outcome {
    world.act(1, Deed::Nothing)?;
    spoil(world, 1, Rule::EpochMonotone, |world, op| op.epoch = world.now - 1)
}

pub(super) fn receive_count(world: &mut World) -> Outcome {
    for _ in 0..5 {
        world.act(1, Deed::Pay(vec![(QUIET, 1); 16]))?;
    }
    spoil(world, QUIET, Rule::ReceiveCount, |world, op| {
        let account = world.all.account(&op.account).expect("it was paid");
        op.receives = account.inbox.keys().take(65).copied().collect();
        op.balance_after = account.available_ucredits + 65;
    })
}

pub(super) fn out_count(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::OutCount, |_, op| op.action = Action::Transfer { outs: Vec::new() })
}

pub(super) fn reason_allowed(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::ReasonAllowed, |world, op| pay(world, op, 3, CREDIT, Reason::Bonus))?;
    spoil(world, 1, Rule::ReasonAllowed, |world, op| pay(world, op, 3, CREDIT, Reason::Reward))
}

/// A key of low order is also one that nobody can sign with, so that [`Rule::KeyHeld`] stands behind this rule.
pub(super) fn key_registered(world: &mut World) -> Outcome {
    let mut low = [0; 32];
    low[0] = 1;
    spoil(world, QUIET + 3, Rule::KeyRegistered, |_, op| {
        op.action = Action::RotateKey { key: AccountId::from_bytes(low), proof: garbage() };
    })
}

pub(super) fn key_held(world: &mut World) -> Outcome {
    let key = world.fresh_key().account();
    spoil(world, QUIET + 3, Rule::KeyHeld, |_, op| op.action = Action::RotateKey { key, proof: garbage() })
}

pub(super) fn open_first(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::OpenFirst, |_, op| op.action = Action::Open { referrer: None, site: None })
}

pub(super) fn referrer_other(world: &mut World) -> Outcome {
    spoil(world, QUIET + 1, Rule::ReferrerOther, |_, op| {
        op.action = Action::Open { referrer: Some(op.account), site: None };
    })
}

pub(super) fn sequence_follows(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::SequenceFollows, |_, op| op.seq += 1)
}

pub(super) fn prev_matches(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::PrevMatches, |_, op| op.prev = Id::hash("another", &[]))
}

pub(super) fn receive_known(world: &mut World) -> Outcome {
    let paid = world.act(1, Deed::Pay(vec![(3, CREDIT)]))?.map_or(Id::ZERO, |record| record.id());
    world.act(3, Deed::Nothing)?;
    // Received before; and one that was never paid.
    for source in [paid, Id::hash("nothing", &[])] {
        spoil(world, 3, Rule::ReceiveKnown, |_, op| {
            op.receives = vec![Receive { source, index: 0 }];
            op.balance_after += CREDIT;
        })?;
    }
    // Paid to somebody else.
    let paid = world.act(1, Deed::Pay(vec![(2, CREDIT)]))?.map_or(Id::ZERO, |record| record.id());
    spoil(world, 3, Rule::ReceiveKnown, |_, op| {
        op.receives = vec![Receive { source: paid, index: 0 }];
        op.balance_after += CREDIT;
    })
}

pub(super) fn receive_once(world: &mut World) -> Outcome {
    let paid = world.act(1, Deed::Pay(vec![(3, CREDIT)]))?.map_or(Id::ZERO, |record| record.id());
    let twice = Receive { source: paid, index: 0 };
    spoil(world, 3, Rule::ReceiveOnce, |world, op| {
        let account = world.all.account(&op.account).expect("it was paid");
        op.receives = vec![twice, twice];
        op.balance_after = account.available_ucredits + 2 * CREDIT;
    })
}

pub(super) fn balance_matches(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::BalanceMatches, |_, op| op.balance_after += 1)?;
    spoil(world, 1, Rule::BalanceMatches, |_, op| op.balance_after -= 1)
}

pub(super) fn balance_covers(world: &mut World) -> Outcome {
    spoil(world, 1, Rule::BalanceCovers, |world, op| {
        let too_much = op.balance_after + 1;
        pay(world, op, 3, too_much, Reason::Payment);
    })
}

pub(super) fn stake_covers(world: &mut World) -> Outcome {
    for kind in [LockKind::TaskStake, LockKind::Unbond] {
        spoil(world, 1, Rule::StakeCovers, |world, op| {
            let life = if kind == LockKind::Unbond { 1_440 } else { 5 };
            let holding = world.economy.holding(1);
            let too_much = holding.staked + holding.locked + holding.pending + CREDIT;
            op.action = world.lock(kind, too_much, world.now + life, 2);
        })?;
    }
    Ok(())
}

/// With base stake, and with stake that was called back and is not free yet.
pub(super) fn rotate_unstaked(world: &mut World) -> Outcome {
    let rotates = |world: &mut World, who: Who| {
        let fresh = world.fresh_key();
        spoil(world, who, Rule::RotateUnstaked, |world, op| {
            op.action = world.action(who, &Deed::Rotate, Some(&fresh)).expect("an action");
        })
    };
    let amount = CREDIT;
    let who = QUIET + 2;
    world.act(1, Deed::Pay(vec![(who, amount)]))?;
    world.act(who, Deed::Stake { amount })?;
    rotates(world, who)?;
    world.act(who, Deed::Unbond { amount })?;
    rotates(world, who)
}
