//! For every rule that somebody can try to break, an attack that breaks this one and nothing else, signed by whatever the
//! attacker owns. It must be refused by every honest witness, or by the merge, and leave nothing behind.
//!
//! Rules that nobody can break from outside are promises of the fold. They are held by the comparison with the reference
//! ([`Rule::PayoutLocked`], [`Rule::StakeFirst`], [`Rule::InFlightCounts`], [`Rule::ForkBurns`]) and by [`crate::ruin`].

mod forks;
mod locks;
mod owners;
mod records;
mod treasury;

use ledger::{
    Check, Record, Rule,
    op::{Action, Op, SignedOp},
};

use crate::{
    Outcome, ensure,
    reference::Who,
    world::{Answer, Value, World},
};

/// An attack on a rule.
#[derive(Clone, Copy)]
pub struct Attack {
    /// The rule it breaks.
    pub rule: Rule,
    /// The attack.
    pub run: fn(&mut World) -> Outcome,
}

/// All of them.
pub const ALL: &[Attack] = &[
    Attack { rule: Rule::OwnerSignature, run: owners::owner_signature },
    Attack { rule: Rule::AmountPositive, run: owners::amount_positive },
    Attack { rule: Rule::EpochCurrent, run: owners::epoch_current },
    Attack { rule: Rule::EpochMonotone, run: owners::epoch_monotone },
    Attack { rule: Rule::ReceiveCount, run: owners::receive_count },
    Attack { rule: Rule::OutCount, run: owners::out_count },
    Attack { rule: Rule::ReasonAllowed, run: owners::reason_allowed },
    Attack { rule: Rule::KeyRegistered, run: owners::key_registered },
    Attack { rule: Rule::KeyHeld, run: owners::key_held },
    Attack { rule: Rule::OpenFirst, run: owners::open_first },
    Attack { rule: Rule::ReferrerOther, run: owners::referrer_other },
    Attack { rule: Rule::SequenceFollows, run: owners::sequence_follows },
    Attack { rule: Rule::PrevMatches, run: owners::prev_matches },
    Attack { rule: Rule::ReceiveKnown, run: owners::receive_known },
    Attack { rule: Rule::ReceiveOnce, run: owners::receive_once },
    Attack { rule: Rule::BalanceMatches, run: owners::balance_matches },
    Attack { rule: Rule::BalanceCovers, run: owners::balance_covers },
    Attack { rule: Rule::StakeCovers, run: owners::stake_covers },
    Attack { rule: Rule::RotateUnstaked, run: owners::rotate_unstaked },
    Attack { rule: Rule::LockTerms, run: locks::lock_terms },
    Attack { rule: Rule::LockExpired, run: locks::lock_expired },
    Attack { rule: Rule::LockRanOut, run: locks::lock_ran_out },
    Attack { rule: Rule::ExpiryLocks, run: locks::expiry_locks },
    Attack { rule: Rule::LockOpen, run: locks::lock_open },
    Attack { rule: Rule::OneVotePerLock, run: locks::one_vote_per_lock },
    Attack { rule: Rule::AuthoritySigned, run: locks::authority_signed },
    Attack { rule: Rule::ResolveInTime, run: locks::resolve_in_time },
    Attack { rule: Rule::SharesComplete, run: locks::shares_complete },
    Attack { rule: Rule::SharesFitKind, run: locks::shares_fit_kind },
    Attack { rule: Rule::OutcomesDistinct, run: locks::outcomes_distinct },
    Attack { rule: Rule::OneVotePerSequence, run: forks::one_vote_per_sequence },
    Attack { rule: Rule::VoteDurable, run: forks::vote_durable },
    Attack { rule: Rule::ForkStops, run: forks::fork_stops },
    Attack { rule: Rule::NotFrozen, run: forks::not_frozen },
    Attack { rule: Rule::ProofGenuine, run: forks::proof_genuine },
    Attack { rule: Rule::TreasuryCap, run: treasury::cap },
    Attack { rule: Rule::TreasuryOnlyPays, run: treasury::only_pays },
    Attack { rule: Rule::TreasuryJustified, run: treasury::justified },
    Attack { rule: Rule::TreasuryOnce, run: treasury::once },
    Attack { rule: Rule::CommitteeCurrent, run: records::committee_current },
    Attack { rule: Rule::QuorumReached, run: records::quorum_reached },
    Attack { rule: Rule::SignersDistinct, run: records::signers_distinct },
    Attack { rule: Rule::SignersGenuine, run: records::signers_genuine },
    Attack { rule: Rule::RootMatches, run: records::root_matches },
    Attack { rule: Rule::CheckpointFollows, run: records::checkpoint_follows },
    Attack { rule: Rule::OneVotePerEpoch, run: records::one_vote_per_epoch },
    Attack { rule: Rule::KnownIgnored, run: records::known_ignored },
    Attack { rule: Rule::OrphansBounded, run: records::orphans_bounded },
    Attack { rule: Rule::Conserved, run: records::conserved },
];

/// No honest witness signs it, and the rule is why.
fn refused(world: &mut World, rule: Rule, value: &Value) -> Outcome {
    world.sync()?;
    world.honest().into_iter().try_for_each(|i| refused_by(world, i, rule, value).map(drop))
}

/// This witness does not sign it, and the rule is why. Returns the proof that came with the refusal.
fn refused_by(
    world: &mut World,
    i: usize,
    rule: Rule,
    value: &Value,
) -> Outcome<Option<Box<ledger::proof::Proof>>> {
    match world.ask(i, value, false)? {
        Answer::Refused(refusal, proof) => {
            let same = refusal.rule == rule || !world.strict;
            ensure("attacks fail by their rule", same, || {
                format!("{} instead of {}", refusal.rule, rule.code())
            })?;
            Ok(proof)
        }
        Answer::Vote(_) => {
            ensure("attacks fail", false, || format!("{}: witness {i} signed {value:?}", rule.code()))?;
            Ok(None)
        }
        Answer::Lost => Ok(None),
    }
}

/// The merge refuses it, and the rule is why.
fn not_merged(world: &mut World, rule: Rule, record: Record) -> Outcome {
    let merged = world.all.merge([record], Check::Signatures);
    let found = merged.refused.first().map(|r| r.1.rule);
    ensure("attacks fail", found.is_some(), || {
        format!("{}: a record was taken in: {merged:?}", rule.code())
    })?;
    let same = found == Some(rule) || !world.strict;
    ensure("attacks fail by their rule", same, || format!("{found:?} instead of {}", rule.code()))
}

/// What an owner would sign to do nothing, to be made worse.
fn noop(world: &World, who: Who) -> Op {
    let account = world.accounts[usize::from(who)];
    world.all.draft(&account, Action::Noop, world.now).expect("nothing is always allowed")
}

/// Signed by whoever holds the account.
fn signed(world: &World, who: Who, op: Op) -> SignedOp {
    op.sign(&world.id(), &world.keys[usize::from(who)])
}

/// An operation changed by the attacker, who owns the account.
fn spoil(world: &mut World, who: Who, rule: Rule, change: impl FnOnce(&World, &mut Op)) -> Outcome {
    let mut op = noop(world, who);
    change(world, &mut op);
    let value = Value::Op(signed(world, who, op));
    refused(world, rule, &value)
}
