//! Owners that sign two operations for one place. Each ruins an account, in both economies.

use ledger::{Record, Rule, op::SignedOp, proof::Proof};

use super::{noop, not_merged, refused, refused_by, signed};
use crate::{
    Outcome, ensure,
    reference::{Deed, Who},
    world::{Answer, CREDIT, Value, World, garbage},
};

/// An account to ruin, with stakes in every form.
fn villain(world: &mut World) -> Outcome<Option<Who>> {
    let Some(who) = world.villain() else { return Ok(None) };
    world.act(who, Deed::Claim { amount: 5 * CREDIT, until: world.now + 50 })?;
    world.act(who, Deed::Unbond { amount: 7 * CREDIT })?;
    Ok(Some(who))
}

/// Two operations for the account's next place.
fn two(world: &World, who: Who) -> [SignedOp; 2] {
    let account = world.accounts[usize::from(who)];
    [2, 3].map(|to| {
        let pay = Deed::Pay(vec![(to, 1_000 * CREDIT)]);
        let action = world.action(who, &pay, None).expect("a payment");
        signed(world, who, world.all.draft(&account, action, world.now).expect("it has so much"))
    })
}

fn expose(world: &mut World, who: Who, proof: Option<Box<Proof>>) -> Outcome {
    ensure("W7: a fork is proved", proof.is_some(), || format!("account {who} forked unnoticed"))?;
    if let Some(proof) = proof {
        world.publish(Record::proof(*proof))?;
    }
    world.economy.fork(who);
    Ok(())
}

/// Where both signatures verify the fork also stops the account ([`Rule::ForkStops`]), and where they do not the second
/// operation is not the next one: this rule is missed only together with that one.
pub(super) fn one_vote_per_sequence(world: &mut World) -> Outcome {
    let Some(who) = villain(world)? else { return Ok(()) };
    let [a, b] = two(world, who).map(Value::Op);
    world.sync()?;
    for i in world.honest() {
        let signed = matches!(world.ask(i, &a, false)?, Answer::Vote(_));
        ensure("honest operations are signed", signed, || format!("witness {i} refused"))?;
    }
    let mut proof = None;
    for i in world.honest() {
        proof = refused_by(world, i, Rule::OneVotePerSequence, &b)?.or(proof);
    }
    expose(world, who, proof.or_else(|| own_proof(world, &a, &b)))
}

pub(super) fn vote_durable(world: &mut World) -> Outcome {
    let Some(who) = villain(world)? else { return Ok(()) };
    let [a, b] = two(world, who).map(Value::Op);
    world.sync()?;
    let i = world.honest()[0];
    // The disk is full at first: the vote does not leave, and is asked for again.
    if let Value::Op(op) = &a {
        let (now, node) = (world.now, &mut world.nodes[i]);
        drop(node.witness.consider_op(&node.ledger, op, now));
    }
    world.ask(i, &a, false)?;
    world.restart(i)?;
    let proof = refused_by(world, i, Rule::OneVotePerSequence, &b)?;
    expose(world, who, proof)
}

pub(super) fn fork_stops(world: &mut World) -> Outcome {
    let Some(who) = villain(world)? else { return Ok(()) };
    let [_, b] = two(world, who).map(Value::Op);
    world.act(who, Deed::Pay(vec![(2, CREDIT)]))?;
    world.sync()?;
    let mut proof = None;
    for i in world.honest() {
        proof = refused_by(world, i, Rule::OneVotePerSequence, &b)?.or(proof);
    }
    let next = Value::Op(signed(world, who, noop(world, who)));
    refused(world, Rule::ForkStops, &next)?;
    expose(world, who, proof)
}

pub(super) fn not_frozen(world: &mut World) -> Outcome {
    let Some(who) = villain(world)? else { return Ok(()) };
    let [a, b] = two(world, who).map(Value::Op);
    let proof = own_proof(world, &a, &b);
    expose(world, who, proof)?;
    refused(world, Rule::NotFrozen, &a)
}

/// A proof against an account that did nothing.
pub(super) fn proof_genuine(world: &mut World) -> Outcome {
    let [mut a, b] = two(world, 1);
    a.signature = garbage();
    let (one, other) = if a.op.id(&world.id()) < b.op.id(&world.id()) { (a, b) } else { (b, a) };
    let mut bytes = vec![3, 0];
    bytes.extend(world.keys[1].account().as_bytes());
    bytes.extend(one.encode());
    bytes.extend(other.encode());
    let record = Record::decode(&bytes, &world.network).expect("canonical");
    not_merged(world, Rule::ProofGenuine, record)?;
    // By a key that does not hold the account: genuine, and of no consequence.
    let thief = world.fresh_key();
    let [a, b] = two(world, 1).map(|op| op.op.sign(&world.id(), &thief));
    let proof = Proof::fork(&world.id(), thief.account(), a, b).expect("both are signed");
    world.publish(Record::proof(proof))
}

fn own_proof(world: &World, a: &Value, b: &Value) -> Option<Box<Proof>> {
    let (Value::Op(a), Value::Op(b)) = (a, b) else { return None };
    let who = world.accounts.iter().position(|account| *account == a.op.account)?;
    let key = world.keys[who].account();
    Proof::fork(&world.id(), key, a.clone(), b.clone()).ok().map(Box::new)
}
