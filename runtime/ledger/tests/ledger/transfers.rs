//! Payments, stakes and rewards on their straight way, with 1, 4 and 7 witnesses.

use identity::Signature;
use ledger::{
    Check, Fault, Id, Ledger, MICRO, Record, Rule,
    op::{Action, LockKind, Reason, SignedOp},
    proof::Proof,
    reputation::Outcome,
    resolve::{Judged, Payout},
    witness::{Place, Voted, Witness},
};

use crate::support::{START_UCREDITS, Town, authority, key, lock, pay, resolve, witness_key};

#[test]
fn a_payment_is_in_flight_until_it_is_received() {
    for witnesses in [1, 4, 7] {
        let mut town = Town::new(witnesses, 2);
        let (a, b) = (key(1), key(2));
        town.act(&a, pay(&b, 30 * MICRO));
        assert_eq!(town.available(&a), START_UCREDITS - 30 * MICRO);
        assert_eq!(town.ledger.balance(&b.account()).pending, 30 * MICRO);
        assert_eq!(town.ledger.totals().in_flight, u128::from(30 * MICRO));
        town.act(&b, Action::Noop);
        assert_eq!(town.available(&b), START_UCREDITS + 30 * MICRO);
        assert_eq!(town.ledger.totals().in_flight, 0);
        town.ledger.check_refold().unwrap();
    }
}

#[test]
fn a_task_from_escrow_to_stake_and_payout() {
    let mut town = Town::new(4, 3);
    let (buyer, worker) = (key(1), key(50));
    let escrow = town.act(&buyer, lock(LockKind::TaskEscrow, 10 * MICRO, town.now + 5));
    let decision = ledger::resolve::Resolve {
        payouts: vec![Payout { to: worker.account(), amount_ucredits: 8 * MICRO, reason: Reason::Reward }],
        refund_ucredits: 2 * MICRO,
        judged: vec![Judged { worker: worker.account(), task_type: 3, outcome: Outcome::Valid }],
        ..resolve(&buyer, escrow.id(), town.now)
    };
    let record = town.decide(decision);
    assert_eq!(town.ledger.balance(&worker.account()).locked, 8 * MICRO);
    town.ripen(&[&worker]);
    let balance = town.ledger.balance(&worker.account());
    assert_eq!(
        (balance.staked, balance.available, balance.locked),
        (8 * MICRO, 0, 0),
        "first rewards are stake"
    );
    town.act(&buyer, Action::Noop);
    assert_eq!(town.available(&buyer), START_UCREDITS - 8 * MICRO);
    assert_eq!(town.ledger.reputation(&worker.account(), 3).counts(), (1, 0, 0));
    assert_eq!(town.ledger.compute(), 8 * MICRO / 100);
    let bonus = ledger::justify::bonus(&town.ledger, &town.rolls, &record.id(), &worker.account(), town.now);
    assert_eq!(bonus, Some(72 * MICRO), "nine times the reward, while nothing has been computed");
    town.ledger.check_refold().unwrap();
}

#[test]
fn a_second_value_for_a_seq_is_refused_and_proves_the_fork() {
    let mut town = Town::new(4, 3);
    let (a, b, c) = (key(1), key(2), key(3));
    let (to_b, to_c) = (town.signed(&a, pay(&b, MICRO)), town.signed(&a, pay(&c, MICRO)));
    town.act(&a, lock(LockKind::BaseStake, 100 * MICRO, town.now));
    let (to_b, to_c) = {
        drop((to_b, to_c));
        (town.signed(&a, pay(&b, MICRO)), town.signed(&a, pay(&c, MICRO)))
    };
    let first: Vec<_> = town.ask(&to_b).into_iter().map(Result::unwrap).collect();
    let refused = town.ask(&to_c).pop().unwrap().unwrap_err();
    assert_eq!(refused.refusal.rule, Rule::OneVotePerSequence);
    let proof: Proof = *refused.proof.expect("a proof");
    town.merge(&Record::proof(proof));
    town.merge(&town.certify(to_b, &first));
    assert!(town.ledger.is_frozen(&a.account()));
    assert_eq!(town.ledger.balance(&a.account()).staked, 0);
    assert_eq!(town.ledger.totals().burned, u128::from(100 * MICRO));
    let faults: Vec<_> = town.ledger.faults().collect();
    assert!(matches!(faults[..], [(who, Fault::Forked(_))] if *who == a.account()));
    town.ledger.check_refold().unwrap();
}

/// What a witness remembers is the value; a store may give the body back in any state.
#[test]
fn a_vote_without_a_readable_body_still_binds() {
    let mut town = Town::new(4, 2);
    let op = town.signed(&key(1), pay(&key(2), MICRO));
    let place = Place::Op(op.op.account, op.op.seq);
    for body in [Vec::new(), vec![1, 2, 3], op.encode()] {
        let voted = Voted { value: Id::ZERO, body };
        town.witnesses = vec![Witness::new(witness_key(0), [(place, voted)])];
        let refused = town.ask(&op).pop().unwrap().unwrap_err();
        assert_eq!(refused.refusal.rule, Rule::OneVotePerSequence);
        assert_eq!(refused.proof, None);
    }
}

/// Votes are good and the owner's signature is not: it does not count, also not for who folds the set anew.
#[test]
fn what_the_owner_did_not_sign_does_not_count() {
    let mut town = Town::new(4, 2);
    let op = town.signed(&key(1), pay(&key(2), MICRO));
    let votes: Vec<_> = town.ask(&op).into_iter().map(Result::unwrap).collect();
    let forged = SignedOp { signature: Signature::from_bytes([1; 64]), ..op };
    let (record, before) = (town.certify(forged, &votes), town.ledger.root());
    town.merge(&record);
    assert_eq!((town.ledger.root(), town.ledger.orphans()), (before, 1));
    town.ledger.check_refold().unwrap();
}

#[test]
fn an_escrow_without_a_decision_refunds_itself() {
    let mut town = Town::new(1, 1);
    let a = key(1);
    let escrow = town.act(&a, lock(LockKind::TaskEscrow, 10 * MICRO, town.now + 1));
    town.now += 4;
    let late = resolve(&a, escrow.id(), town.now - 3);
    let late =
        ledger::resolve::Resolve { refund_ucredits: 10 * MICRO, ..late }.sign(&town.network(), &authority());
    town.act(&a, Action::Noop);
    assert_eq!(town.available(&a), START_UCREDITS);
    let now = town.now;
    let refused = town.witnesses[0].consider_resolve(&town.ledger, &late, now).unwrap_err();
    assert_eq!(refused.refusal.rule, Rule::OneVotePerLock);
}

#[test]
fn records_survive_their_bytes() {
    let mut town = Town::new(4, 2);
    town.act(&key(1), pay(&key(2), MICRO));
    town.act(&key(2), Action::Noop);
    let mut again = Ledger::new(town.ledger.network().clone());
    let network = town.ledger.network().clone();
    let bytes: Vec<Vec<u8>> = town.ledger.records().map(|r| r.encode()).collect();
    let records = bytes.iter().rev().map(|b| Record::decode(b, &network).unwrap());
    assert_eq!(again.merge(records, Check::Signatures).added, 2);
    assert_eq!(again.root(), town.ledger.root());
}
