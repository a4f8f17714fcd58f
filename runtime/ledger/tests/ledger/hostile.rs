//! What the random model found: signatures spoiled on the way, votes that were not stored, keys handed over, dates put back.

use std::sync::Arc;

use identity::Signature;
use ledger::{
    Check, Id, Ledger, MICRO, Record, Rule, Vote,
    exposure::UNBONDING_EPOCHS,
    keep,
    op::{Action, LockKind, Op, Out, Reason, SignedOp, rotation_message},
    proof::Proof,
    resolve::{Resolve, SignedResolve},
    store::{Batch, Memory, Store},
};

use crate::support::{START_UCREDITS, Town, authority, key, lock, pay, resolve, treasury, witness_key};

fn garbage() -> Signature {
    Signature::from_bytes([1; 64])
}

/// The same value under the same votes, with another signature of its maker.
fn spoiled(town: &Town, record: &Record) -> Record {
    match record {
        Record::Op(r) => {
            let value = SignedOp { signature: garbage(), ..r.value.clone() };
            Record::op(town.ledger.network(), value, r.certificate.clone())
        }
        Record::Resolve(r) => {
            let value = SignedResolve { signature: garbage(), resolve: r.value.resolve.clone() };
            Record::resolve(town.ledger.network(), value, r.certificate.clone())
        }
        other => other.clone(),
    }
}

#[test]
fn a_signature_spoiled_on_the_way_does_not_hold_up_the_good_one() {
    let mut town = Town::new(4, 2);
    let first = town.act(&key(1), pay(&key(2), MICRO));
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, MICRO, town.now + 5));
    let decided = town.decide(Resolve { refund_ucredits: MICRO, ..resolve(&key(1), escrow.id(), town.now) });
    let good = [first, escrow, decided];
    let bad = good.each_ref().map(|record| spoiled(&town, record));
    for order in [[&bad, &good], [&good, &bad]] {
        // In order, where each is tried at once, and backwards, where all of them wait for the first.
        for backwards in [false, true] {
            let mut records: Vec<&Record> = order.into_iter().flatten().collect();
            if backwards {
                records.reverse();
            }
            let mut ledger = Ledger::new(town.ledger.network().clone());
            for record in records {
                ledger.merge([record.clone()], Check::Signatures);
                ledger.check_invariants().unwrap();
            }
            assert_eq!(ledger.root(), town.ledger.root());
            ledger.check_refold().unwrap();
        }
    }
}

#[test]
fn what_the_owner_did_not_sign_does_not_count_after_a_restart_either() {
    let mut town = Town::new(1, 2);
    let op = town.signed(&key(1), pay(&key(2), MICRO));
    let votes: Vec<_> = town.ask(&op).into_iter().map(|vote| vote.expect("a vote")).collect();
    let theft = spoiled(&town, &town.certify(op, &votes));
    town.merge(&theft);
    assert_eq!(town.available(&key(1)), START_UCREDITS);
    let store = Memory::new(town.network().as_bytes());
    let mut batch = Batch::new();
    keep::put_founding(&mut batch, town.ledger.network().founding()).unwrap();
    keep::put_record(&mut batch, &theft).unwrap();
    store.commit(batch).unwrap();
    let network = Arc::new(keep::network(&store).unwrap());
    let again = keep::ledger(&store, network, Check::Makers).unwrap();
    assert_eq!(again.root(), town.ledger.root());
}

#[test]
fn a_repeated_vote_asks_again_for_what_must_be_stored() {
    let mut town = Town::new(1, 1);
    town.act(&key(1), lock(LockKind::TaskEscrow, MICRO, town.now + 1));
    town.now += 4;
    town.expire(&key(1));
    let op = town.signed(&key(1), Action::Noop);
    let now = town.now;
    let writes = |town: &mut Town| {
        town.witnesses[0].consider_op(&town.ledger, &op, now).expect("a vote").writes().to_vec()
    };
    // The disk did not take it, so the vote did not leave. The lock it takes back has a place and a record of its own.
    let first = writes(&mut town);
    assert_eq!(first.len(), 1);
    assert_eq!(writes(&mut town), first);
}

#[test]
fn unbonding_takes_its_day_whatever_the_date_says() {
    let mut town = Town::new(1, 1);
    town.act(&key(1), lock(LockKind::BaseStake, 100 * MICRO, town.now));
    town.now += 2 * UNBONDING_EPOCHS;
    let begun = town.now - UNBONDING_EPOCHS - 1;
    let unbond = lock(LockKind::Unbond, 100 * MICRO, begun + UNBONDING_EPOCHS);
    let op = town.ledger.draft(&key(1).account(), unbond, begun).unwrap().sign(&town.network(), &key(1));
    let refused = town.ask(&op).pop().unwrap().unwrap_err();
    assert_eq!(refused.refusal.rule, Rule::EpochCurrent);
}

#[test]
fn a_key_that_was_handed_over_proves_nothing_against_the_account() {
    let mut town = Town::new(1, 1);
    let account = key(1).account();
    let message = rotation_message(&town.network(), &account, 0, &key(90).account());
    let proof = key(90).sign(message.as_bytes());
    town.act(&key(1), Action::RotateKey { key: key(90).account(), proof });
    // The one who holds it stakes.
    let stake = lock(LockKind::BaseStake, 100 * MICRO, town.now);
    let op = town.ledger.draft(&account, stake, town.now).unwrap().sign(&town.network(), &key(90));
    let vote = town.ask(&op).pop().unwrap().unwrap();
    town.merge(&town.certify(op, &[vote]));
    let decisions = [1, 2].map(|refund_ucredits| {
        Resolve { refund_ucredits, ..resolve(&key(1), Id::ZERO, town.now) }.sign(&town.network(), &key(1))
    });
    let [one, other] = decisions;
    let proof = Proof::decisions(&town.network(), account, one, other).unwrap();
    town.merge(&Record::proof(proof));
    assert!(!town.ledger.is_frozen(&account));
    assert_eq!(town.ledger.balance(&account).staked, 100 * MICRO);
    // As long as the key holds the account it does.
    let decisions = [1, 2].map(|refund_ucredits| {
        Resolve { refund_ucredits, ..resolve(&key(1), Id::ZERO, town.now) }
            .sign(&town.network(), &authority())
    });
    let [one, other] = decisions;
    let proof = Proof::decisions(&town.network(), authority().account(), one, other).unwrap();
    town.merge(&Record::proof(proof));
    assert!(town.ledger.is_frozen(&authority().account()));
}

#[test]
fn the_treasury_drafts_nothing_that_no_witness_would_sign() {
    let town = Town::new(1, 1);
    let out =
        Out { to: key(1).account(), amount_ucredits: MICRO, reason: Reason::Bonus, reference: Id::ZERO };
    let outs = Action::Transfer { outs: vec![out] };
    let refused = town.ledger.draft(&treasury().account(), outs, town.now).unwrap_err();
    assert_eq!(refused.rule, Rule::TreasuryJustified);
}

/// No honest witness signs a payout lock of an owner's making. Where too many are bad and one is certified, it makes no credits.
#[test]
fn a_payout_lock_that_an_owner_makes_is_paid_for() {
    for balance_after in [START_UCREDITS, START_UCREDITS - 10 * MICRO] {
        let mut town = Town::new(1, 2);
        let action = lock(LockKind::PayoutLock, 10 * MICRO, town.now + 5);
        let op = Op {
            account: key(1).account(),
            seq: 0,
            prev: Id::ZERO,
            epoch: town.now,
            receives: vec![],
            action,
            balance_after,
        };
        let op = op.sign(&town.network(), &key(1));
        let id = op.op.id(&town.network());
        let message = Id::hash("edgenet/vote/v1", &[town.network().as_bytes(), id.as_bytes()]);
        let witness = witness_key(0);
        let signature = witness.sign(message.as_bytes());
        let vote = Vote { value: id, witness: witness.account(), signature };
        let record = Record::op(town.ledger.network(), op, town.collect(id, &[vote]));
        town.ledger.merge([record], Check::Nothing);
        town.ledger.check_invariants().unwrap();
        town.ledger.check_refold().unwrap();
        let held = town.ledger.balance(&key(1).account());
        assert_eq!(held.available + held.locked, START_UCREDITS, "{held:?}");
    }
}
