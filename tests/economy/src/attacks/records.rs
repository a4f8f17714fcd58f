//! What anyone can put into the mail, and checkpoints.

use std::panic::{AssertUnwindSafe, catch_unwind};

use identity::{AccountId, SecretKey, Signature};
use ledger::{Certificate, Check, Checkpoint, Collector, Id, Record, Rule, mutants, op::SignedOp};

use super::{noop, not_merged, refused, signed};
use crate::{
    Outcome, ensure,
    reference::Deed,
    world::{Answer, Value, World, garbage, vote},
};

/// An operation that only lacks a certificate.
fn uncertified(world: &World) -> SignedOp {
    signed(world, 1, noop(world, 1))
}

/// A record of an operation with any certificate at all.
fn with_votes(world: &World, op: &SignedOp, votes: &[(AccountId, Signature)]) -> Record {
    let mut bytes = Record::op(&world.network, op.clone(), Certificate::default()).encode();
    bytes.pop();
    bytes.push(votes.len() as u8);
    for (account, signature) in votes {
        bytes.extend(account.as_bytes());
        bytes.extend(signature.as_bytes());
    }
    Record::decode(&bytes, &world.network).expect("canonical")
}

fn votes(world: &World, op: &SignedOp, keys: &[SecretKey]) -> Vec<(AccountId, Signature)> {
    let value = op.op.id(&world.id());
    let mut votes: Vec<_> =
        keys.iter().map(|key| (key.account(), vote(&world.id(), value, key).signature)).collect();
    votes.sort_by_key(|v| v.0);
    votes
}

fn members(world: &World) -> Vec<SecretKey> {
    (0..world.nodes.len()).map(|n| crate::world::key(1_000 + n as u16)).collect()
}

pub(super) fn committee_current(world: &mut World) -> Outcome {
    let op = uncertified(world);
    let strangers: Vec<SecretKey> = (0..world.nodes.len()).map(|_| world.fresh_key()).collect();
    let record = with_votes(world, &op, &votes(world, &op, &strangers));
    not_merged(world, Rule::CommitteeCurrent, record)
}

pub(super) fn quorum_reached(world: &mut World) -> Outcome {
    let op = uncertified(world);
    let quorum = world.network.committee(world.now).quorum() as usize;
    let record = with_votes(world, &op, &votes(world, &op, &members(world)[..quorum - 1]));
    not_merged(world, Rule::QuorumReached, record)
}

pub(super) fn signers_distinct(world: &mut World) -> Outcome {
    let op = uncertified(world);
    let one = votes(world, &op, &members(world)[..1])[0];
    let record = with_votes(world, &op, &vec![one; world.nodes.len().max(2)]);
    not_merged(world, Rule::SignersDistinct, record)
}

pub(super) fn signers_genuine(world: &mut World) -> Outcome {
    let op = uncertified(world);
    let mut votes = votes(world, &op, &members(world));
    votes.iter_mut().for_each(|vote| vote.1 = garbage());
    let record = with_votes(world, &op, &votes);
    not_merged(world, Rule::SignersGenuine, record)
}

/// Known, with its votes spoiled: nobody looks at the votes of what is known, and nothing comes of it.
pub(super) fn known_ignored(world: &mut World) -> Outcome {
    let mut bytes = world.records[0].encode();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    let record = Record::decode(&bytes, &world.network).expect("canonical");
    let merged = world.all.merge([record], Check::Signatures);
    ensure("I11: replays change nothing", merged.known == 1 && merged.refused.is_empty(), || {
        format!("a known record: {merged:?}")
    })
}

/// Certified by everyone, and so far ahead that the chain may never come there.
pub(super) fn orphans_bounded(world: &mut World) -> Outcome {
    let mut op = noop(world, 1);
    op.seq += ledger::MAX_AHEAD;
    let op = signed(world, 1, op);
    let everyone: Vec<usize> = (0..world.nodes.len()).collect();
    let certificate = world.forge(op.op.id(&world.id()), &everyone, world.now);
    let record = Record::op(&world.network, op, certificate);
    not_merged(world, Rule::OrphansBounded, record)
}

/// The epoch before this one, as everybody sees it.
fn epoch_over(world: &mut World) -> Outcome<Checkpoint> {
    world.pass(1);
    world.sync()?;
    Ok(world.all.draft_checkpoint(world.now - 1))
}

pub(super) fn root_matches(world: &mut World) -> Outcome {
    let honest = epoch_over(world)?;
    let other = Checkpoint { root: Id::hash("another", &[]), ..honest };
    refused(world, Rule::RootMatches, &Value::Checkpoint(other))?;
    let richer = Checkpoint { treasury_ucredits: honest.treasury_ucredits + 1, ..honest };
    refused(world, Rule::RootMatches, &Value::Checkpoint(richer))
}

pub(super) fn checkpoint_follows(world: &mut World) -> Outcome {
    let honest = epoch_over(world)?;
    let other = Checkpoint { previous: Id::hash("another", &[]), ..honest };
    refused(world, Rule::CheckpointFollows, &Value::Checkpoint(other))
}

/// A checkpoint is voted for; then something late arrives, and the state is another.
pub(super) fn one_vote_per_epoch(world: &mut World) -> Outcome {
    let first = epoch_over(world)?;
    let committee = world.network.committee(world.now).clone();
    let mut collector = Collector::new(world.id(), first.id(&world.id()), &committee);
    for i in 0..world.nodes.len() {
        let Answer::Vote(vote) = world.ask(i, &Value::Checkpoint(first), false)? else { continue };
        let _ = collector.add(&vote);
    }
    world.act(1, Deed::Nothing)?;
    let second = world.all.draft_checkpoint(world.now - 1);
    refused(world, Rule::OneVotePerEpoch, &Value::Checkpoint(second))?;
    let certificate = collector.certificate().cloned();
    ensure("I12: an epoch is closed", certificate.is_some(), || "no quorum".into())?;
    let record = certificate.map(|c| Record::checkpoint(&world.network, first, c));
    record.map_or(Ok(()), |record| world.publish(record))?;
    world.closed = first.epoch;
    world.economy.checkpoint(first.epoch);
    Ok(())
}

/// The product asserts for itself that nothing is made or lost: with another rule taken away too, it must stop at the very
/// step that loses credits. Both are planted, since without a loss there is nothing to see.
pub(super) fn conserved(world: &mut World) -> Outcome {
    let pay = world.action(1, &Deed::Pay(vec![(2, 1)]), None).expect("a payment");
    let op = world.all.draft(&world.accounts[1], pay, world.now).expect("it has so much");
    let op = signed(world, 1, op);
    let everyone: Vec<usize> = (0..world.nodes.len()).collect();
    let certificate = world.forge(op.op.id(&world.id()), &everyone, world.now);
    let record = Record::op(&world.network, op, certificate);
    let mut copy = world.all.clone();
    let stopped = crate::mutants::quietly(|| {
        catch_unwind(AssertUnwindSafe(|| {
            mutants::without(Rule::InFlightCounts, || copy.merge([record], Check::Makers));
        }))
    });
    ensure("I1 is asserted in the product", stopped.is_err(), || {
        "credits were lost and nobody noticed".into()
    })
}
