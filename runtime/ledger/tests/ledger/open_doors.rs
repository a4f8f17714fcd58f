//! Doors that stood open until the design was decided on. One that is found and needs a decision comes here, as a test that
//! is ignored and fails until it is shut.

use identity::SecretKey;
use ledger::{
    Check, Id, Ledger, MICRO, Record, Rule, Vote,
    expiry::RESOLVE_GRACE_EPOCHS,
    exposure::UNBONDING_EPOCHS,
    justify,
    op::{Action, LockKind, LockTerms, Op, Out, Policy, Reason},
    proof::Proof,
    reputation::Outcome,
    resolve::{Judged, Resolve},
    witness::Witness,
};

use crate::{
    attacks::reward,
    support::{Town, authority, key, lock, pay, resolve, treasury},
};

fn own_authority(kind: LockKind, authority: &SecretKey, amount_ucredits: u64, expiry_epoch: u64) -> Action {
    let policy = Policy { authority: authority.account(), redundancy: 1, priority_halves: 2 };
    Action::Lock(LockTerms { kind, task: Id::ZERO, amount_ucredits, policy, expiry_epoch })
}

/// Anyone is an authority of their own locks. A refunded micro-credit buys a verdict on anybody.
#[test]
fn nobody_judges_a_stranger() {
    let mut town = Town::new(4, 1);
    let (nobody, victim) = (key(1), key(50));
    let escrow = town.act(&nobody, own_authority(LockKind::TaskEscrow, &nobody, 1, town.now + 5));
    let judged = vec![Judged { worker: victim.account(), task_type: 3, outcome: Outcome::Invalid }];
    let verdict = Resolve { refund_ucredits: 1, judged, ..resolve(&nobody, escrow.id(), town.now) };
    let verdict = verdict.sign(&town.network(), &nobody);
    let (ledger, now) = (town.ledger.clone(), town.now);
    let mut votes = Vec::new();
    for witness in &mut town.witnesses {
        votes.extend(witness.consider_resolve(&ledger, &verdict, now).map(|unsent| unsent.stored()));
    }
    if votes.len() == 4 {
        let certificate = town.collect(verdict.resolve.id(&town.network()), &votes);
        town.merge(&Record::resolve(town.ledger.network(), verdict, certificate));
    }
    assert_eq!(town.ledger.reputation(&victim.account(), 3).counts(), (0, 0, 0));
}

/// Pays itself and is paid nine times as much: `drawn` is the word of an authority that is the submitter.
#[test]
fn nobody_pays_themselves_a_bonus() {
    let mut town = Town::new(1, 1);
    let (nobody, puppet) = (key(1), key(50));
    let escrow = town.act(&nobody, own_authority(LockKind::TaskEscrow, &nobody, 10 * MICRO, town.now + 5));
    let deal =
        Resolve { payouts: vec![reward(&puppet, 10 * MICRO)], ..resolve(&nobody, escrow.id(), town.now) };
    let deal = deal.sign(&town.network(), &nobody);
    let (id, now) = (deal.resolve.id(&town.network()), town.now);
    let vote = town.witnesses[0].consider_resolve(&town.ledger, &deal, now).unwrap().stored();
    let certificate = town.collect(id, &[vote]);
    town.merge(&Record::resolve(town.ledger.network(), deal, certificate));
    town.ripen(&[&puppet]);
    assert_eq!(justify::bonus(&town.ledger, &town.rolls, &id, &puppet.account(), town.now), None);
}

/// Votes split over a decision and the lock's running out: neither is certified, and the lock stays as it is; but its owner's
/// chain goes on. All are honest but the authority, who sent its decision to two of four.
#[test]
fn a_disputed_lock_does_not_hold_up_its_owner() {
    let mut town = Town::new(4, 2);
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, MICRO, town.now + 1));
    let decision = Resolve { refund_ucredits: MICRO, ..resolve(&key(1), escrow.id(), town.now) };
    let decision = decision.sign(&town.network(), &authority());
    let (ledger, now) = (town.ledger.clone(), town.now);
    for witness in &mut town.witnesses[..2] {
        witness.consider_resolve(&ledger, &decision, now).map(drop).unwrap();
    }
    town.now += 2 + RESOLVE_GRACE_EPOCHS;
    let expiry = town.ledger.draft_expiry(&key(1).account(), town.now).unwrap();
    let now = town.now;
    let mut ask = |n: usize| town.witnesses[n].consider_expiry(&ledger, &expiry, now).map(drop);
    let split: Vec<_> =
        (0..4).map(&mut ask).map(|vote| vote.map_err(|r| (r.refusal.rule, r.decided))).collect();
    let held = Err((Rule::OneVotePerLock, Some(Box::new(decision.clone()))));
    assert_eq!(split, [held.clone(), held, Ok(()), Ok(())], "who asked is told of the decision");
    assert_eq!(ask(3), Ok(()), "and may ask again");
    let op = town.signed(&key(1), pay(&key(2), MICRO));
    let votes = town.ask(&op).into_iter().filter(Result::is_ok).count();
    assert!(votes >= 3, "{votes} of 4 votes, and no other value may be signed for the seq");
}

/// Whether two accounts are related could change between two witnesses' votes: an owner keeps a certificate of its own back
/// and shows it to half of them when the treasury's operation is on its way. They are judged by a checkpoint, and by what comes
/// along: a witness that has heard of nothing says the same.
#[test]
fn nobody_stops_the_treasury() {
    let mut town = Town::new(4, 3);
    let nothing = town.ledger.clone();
    let (referrer, referee) = (key(1), key(3));
    town.act(&referee, Action::Open { referrer: Some(referrer.account()), site: None });
    let escrow = town.act(&key(2), lock(LockKind::TaskEscrow, 10 * MICRO, town.now + 5));
    let decision =
        Resolve { payouts: vec![reward(&referee, 10 * MICRO)], ..resolve(&key(2), escrow.id(), town.now) };
    let earned = town.decide(decision);
    town.act(&referee, pay(&referrer, 1));
    let held_back = town.signed(&referrer, Action::Noop);
    let votes: Vec<Vote> = town.ask(&held_back).into_iter().map(Result::unwrap).collect();
    let held_back = town.certify(held_back, &votes);
    let unclosed = town.ledger.clone();
    town.ripen(&[&referee]);
    let out = Out {
        to: referrer.account(),
        amount_ucredits: MICRO,
        reason: Reason::Referral,
        reference: earned.id(),
    };
    let (op, shown) = town.ledger.draft_treasury(vec![out], town.now, &town.rolls).unwrap();
    let op = op.sign(&town.network(), &treasury());
    let mut told = town.ledger.clone();
    told.merge([held_back], Check::Signatures);
    assert_eq!(told.account(&referrer.account()).unwrap().ancestor, Some(referee.account()));
    let ledgers = [&town.ledger, &told, &unclosed, &nothing];
    let vote = |(witness, ledger): (&mut Witness, &Ledger)| {
        let considered = witness.consider_treasury(ledger, &op, &shown, town.now);
        considered.map(drop).map_err(|r| r.refusal.rule)
    };
    let votes: Vec<_> = town.witnesses.iter_mut().zip(ledgers).map(vote).collect();
    assert_eq!(votes, [Ok(()); 4], "or the treasury never pays again");
}

/// A rotation certified in time and shown after the proof would give the burned stake back: so there is none while there is
/// stake, not even stake that was called back.
#[test]
fn no_rotation_undoes_a_slash() {
    let mut town = Town::new(4, 3);
    let (cheat, heir) = (key(1), key(90));
    let rotation = |town: &Town, seq| {
        let message = ledger::op::rotation_message(&town.network(), &cheat.account(), seq, &heir.account());
        Action::RotateKey { key: heir.account(), proof: heir.sign(message.as_bytes()) }
    };
    let refused = |town: &mut Town, seq| {
        let action = rotation(town, seq);
        let drafted = town.ledger.draft(&cheat.account(), action.clone(), town.now).unwrap_err();
        assert_eq!(drafted.rule, Rule::RotateUnstaked);
        let op = Op { action, ..town.signed(&cheat, Action::Noop).op };
        let op = op.sign(&town.network(), &cheat);
        let answers = town.ask(&op).into_iter().map(|vote| vote.map_err(|r| r.refusal.rule).map(drop));
        assert_eq!(answers.collect::<Vec<_>>(), [Err(Rule::RotateUnstaked); 4]);
        op
    };
    town.act(&cheat, lock(LockKind::BaseStake, 100 * MICRO, town.now));
    let certified = refused(&mut town, 1);
    town.act(&cheat, lock(LockKind::TaskStake, 100 * MICRO, town.now + 5));
    refused(&mut town, 2);
    town.now += 8;
    let unbond = lock(LockKind::Unbond, 100 * MICRO, town.now + UNBONDING_EPOCHS);
    town.act(&cheat, unbond);
    refused(&mut town, 3);
    town.now += UNBONDING_EPOCHS + RESOLVE_GRACE_EPOCHS + 1;
    town.expire(&cheat);
    let action = rotation(&town, 3);
    town.act(&cheat, action);
    // What a bad quorum certifies all the same does not count.
    let mut town = Town::new(4, 3);
    town.act(&cheat, lock(LockKind::BaseStake, 100 * MICRO, town.now));
    town.merge(&town.forge_op(certified));
    assert_eq!(town.ledger.account(&cheat.account()).unwrap().key, None);
}

/// A proof against a key that was made for it costs nothing, is kept for ever, and no ledger is pruned again.
#[test]
fn a_free_proof_keeps_nobody_from_pruning() {
    let mut town = Town::new(1, 1);
    let free = key(77);
    let (one, other) = (town.signed(&free, Action::Noop), {
        let site = Some(Id::ZERO);
        town.signed(&free, Action::Open { referrer: None, site })
    });
    town.merge(&Record::proof(Proof::fork(&town.network(), free.account(), one, other).unwrap()));
    let checkpoint = town.ledger.draft_checkpoint(town.now);
    let certificate = town.forge(checkpoint.id(&town.network()), 0..1);
    let record = Record::checkpoint(town.ledger.network(), checkpoint, certificate);
    let Record::Checkpoint(certified) = &record else { unreachable!("made as one") };
    assert_eq!(town.ledger.prune(certified), Ok(()));
}

/// What a resolve earned is looked up in the resolve, which pruning drops: witnesses that pruned and witnesses that did not
/// split over the treasury's operation.
#[test]
fn pruning_changes_nothing_that_is_due() {
    let mut town = Town::new(1, 1);
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, 10 * MICRO, town.now + 5));
    let decision =
        Resolve { payouts: vec![reward(&key(50), 10 * MICRO)], ..resolve(&key(1), escrow.id(), town.now) };
    let earned = town.decide(decision);
    let checkpoint = town.ledger.draft_checkpoint(town.now);
    let certificate = town.forge(checkpoint.id(&town.network()), 0..1);
    let record = Record::checkpoint(town.ledger.network(), checkpoint, certificate);
    let Record::Checkpoint(certified) = &record else { unreachable!("made as one") };
    let mut whole = town.ledger.clone();
    town.ledger.prune(certified).unwrap();
    town.ripen(&[&key(50)]);
    whole.merge(town.ledger.records().collect::<Vec<_>>(), Check::Signatures);
    let due = |l: &Ledger| justify::bonus(l, &town.rolls, &earned.id(), &key(50).account(), town.now);
    assert_eq!((due(&town.ledger), due(&whole)), (Some(90 * MICRO), Some(90 * MICRO)));
    // Nor does what comes again behind the base change anything (I11).
    assert_eq!(town.ledger.merge([earned.clone()], Check::Signatures).added, 0);
}
