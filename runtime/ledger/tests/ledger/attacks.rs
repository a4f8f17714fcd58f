//! What an attacker tried. Each test holds a door that stood open; those that still do are in `open_doors`.

use std::sync::Arc;

use identity::{SecretKey, Signature};
use ledger::{
    Certificate, Check, Checkpoint, Collector, CommitteeChange, Id, Ledger, MICRO, Network, Record, Rule,
    SnapshotError, Vote,
    expiry::Expiry,
    justify, keep, merkle,
    op::{Action, LockKind, MAX_RECEIVES, Op, Out, Reason, Receive, SignedOp},
    proof::Proof,
    reputation::Outcome,
    resolve::{Judged, MAX_PAYOUTS, Payout, Resolve},
    store::{Batch, Memory, Store},
    witness::Witness,
};

use crate::support::{START_UCREDITS, Town, authority, key, lock, pay, resolve, treasury, witness_key};

impl Town {
    /// What a quorum certifies that keeps no rule.
    pub(crate) fn forge(&self, value: Id, signers: std::ops::Range<u8>) -> Certificate {
        let network = self.network();
        let committee = self.committee();
        let mut collector = Collector::new(network, value, &committee);
        let message = Id::hash("edgenet/vote/v1", &[network.as_bytes(), value.as_bytes()]);
        for key in signers.map(witness_key) {
            let signature = key.sign(message.as_bytes());
            collector.add(&Vote { witness: key.account(), value, signature }).expect("a good vote");
        }
        collector.certificate().expect("a quorum").clone()
    }

    pub(crate) fn forge_op(&self, op: SignedOp) -> Record {
        let id = op.op.id(&self.network());
        let certificate = self.forge(id, 0..self.witnesses.len() as u8);
        Record::op(self.ledger.network(), op, certificate)
    }

    pub(crate) fn forge_resolve(&self, resolve: Resolve) -> Record {
        let certificate = self.forge(resolve.id(&self.network()), 0..self.witnesses.len() as u8);
        Record::resolve(self.ledger.network(), resolve.sign(&self.network(), &authority()), certificate)
    }

    pub(crate) fn fresh(&self) -> Ledger {
        Ledger::new(self.ledger.network().clone())
    }
}

/// The same value and certificate, and a signature of its maker that is none: what any peer can make of any record.
fn defaced(town: &Town, record: &Record, with: u8) -> Record {
    let network = town.ledger.network();
    let signature = Signature::from_bytes([with; 64]);
    match record {
        Record::Op(r) => {
            Record::op(network, SignedOp { signature, ..r.value.clone() }, r.certificate.clone())
        }
        Record::Resolve(r) => {
            let mut value = r.value.clone();
            value.signature = signature;
            Record::resolve(network, value, r.certificate.clone())
        }
        other => other.clone(),
    }
}

pub(crate) fn reward(to: &SecretKey, amount_ucredits: u64) -> Payout {
    Payout { to: to.account(), amount_ucredits, reason: Reason::Reward }
}

/// A chain with an escrow, a resolve of it and one operation more.
fn busy_town() -> (Town, Vec<Record>) {
    let mut town = Town::new(4, 3);
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, 10 * MICRO, town.now + 5));
    let decision =
        Resolve { payouts: vec![reward(&key(3), 10 * MICRO)], ..resolve(&key(1), escrow.id(), town.now) };
    let judged = vec![Judged { worker: key(3).account(), task_type: 3, outcome: Outcome::Valid }];
    let decision = Resolve { judged, ..decision };
    let decided = town.decide(decision);
    let paid = town.act(&key(1), pay(&key(2), MICRO));
    let received = town.act(&key(2), Action::Noop);
    (town, vec![escrow, decided, paid, received])
}

#[test]
fn a_defaced_copy_holds_nobody_up() {
    let (town, records) = busy_town();
    let defaced: Vec<Record> = records.iter().map(|r| defaced(&town, r, 7)).collect();
    let forwards: Vec<&Record> = records.iter().collect();
    let backwards: Vec<&Record> = records.iter().rev().collect();
    for order in [forwards, backwards] {
        let mut after = town.fresh();
        after.merge(defaced.clone(), Check::Signatures);
        after.merge(order.iter().copied().cloned(), Check::Signatures);
        assert_eq!(after.root(), town.ledger.root(), "the defaced first");
        let mut beside = town.fresh();
        for record in &order {
            let copy = [self::defaced(&town, record, 8), (*record).clone(), self::defaced(&town, record, 9)];
            let [_, good, _] = copy.map(|record| beside.merge([record], Check::Signatures));
            assert_eq!(good.refused, []);
        }
        assert_eq!(beside.root(), town.ledger.root(), "the defaced around each");
        beside.check_refold().unwrap();
        let kept: Vec<Record> = beside.records().collect();
        assert_eq!(kept, town.ledger.records().collect::<Vec<_>>(), "the good signatures are kept");
    }
}

#[test]
fn a_store_with_a_defaced_copy_gives_the_good_one_back() {
    let (town, records) = busy_town();
    for with in 1..9 {
        let store = Memory::new(town.network().as_bytes());
        let mut batch = Batch::new();
        keep::put_founding(&mut batch, town.ledger.network().founding()).unwrap();
        for record in &records {
            keep::put_record(&mut batch, record).unwrap();
            keep::put_record(&mut batch, &defaced(&town, record, with)).unwrap();
        }
        store.commit(batch).unwrap();
        let again = keep::ledger(&store, town.ledger.network().clone(), Check::Makers).unwrap();
        assert_eq!(again.root(), town.ledger.root());
        assert!(again.records().eq(town.ledger.records()));
    }
}

#[test]
fn what_its_owner_never_signed_counts_in_no_order_and_after_no_restart() {
    let mut town = Town::new(4, 2);
    let theft = town.signed(&key(1), pay(&key(2), MICRO));
    let theft = SignedOp { signature: Signature::from_bytes([1; 64]), ..theft };
    town.merge(&town.forge_op(theft));
    assert_eq!(town.available(&key(1)), START_UCREDITS);
    town.ledger.check_refold().unwrap();
    let checkpoint = town.ledger.draft_checkpoint(town.now);
    let certificate = town.forge(checkpoint.id(&town.network()), 0..4);
    let record = Record::checkpoint(town.ledger.network(), checkpoint, certificate);
    let Record::Checkpoint(certified) = &record else { unreachable!("made as one") };
    town.ledger.prune(certified).unwrap();
    assert_eq!(town.available(&key(1)), START_UCREDITS);
}

#[test]
fn a_vote_asked_for_again_comes_with_its_writes() {
    let mut town = Town::new(1, 2);
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, MICRO, town.now + 1));
    town.now += 4;
    let (now, expiry) = (town.now, town.ledger.draft_expiry(&key(1).account(), town.now).unwrap());
    // The store fails, so the vote is not sent; the owner asks again.
    let lost = town.witnesses[0].consider_expiry(&town.ledger, &expiry, now).unwrap();
    let lost = lost.writes().to_vec();
    let again = town.witnesses[0].consider_expiry(&town.ledger, &expiry, now).unwrap();
    assert_eq!(again.writes(), lost);
    let mut written = lost;
    town.expire(&key(1)).unwrap();
    let op = town.signed(&key(1), pay(&key(2), MICRO));
    assert_eq!(op.op.receives, [Receive::expired(escrow.id())]);
    let lost = town.witnesses[0].consider_op(&town.ledger, &op, now).unwrap();
    let lost = lost.writes().to_vec();
    let again = town.witnesses[0].consider_op(&town.ledger, &op, now).unwrap();
    assert_eq!(again.writes(), lost);
    written.extend(lost);
    let mut restored = Witness::new(witness_key(0), written);
    let rival = town.signed(&key(1), pay(&key(2), 2 * MICRO));
    let refused = restored.consider_op(&town.ledger, &rival, now).unwrap_err();
    assert_eq!(refused.refusal.rule, Rule::OneVotePerSequence);
    let decision = Resolve { refund_ucredits: MICRO, ..resolve(&key(1), escrow.id(), now - 3) };
    let decision = decision.sign(&town.network(), &authority());
    let refused = restored.consider_resolve(&town.ledger, &decision, now).unwrap_err();
    assert_eq!(refused.refusal.rule, Rule::OneVotePerLock);
}

/// Several expiries of one lock agree; beside a decision they convict whoever signed both, and the owner keeps what it took.
#[test]
fn a_lock_runs_out_more_than_once_and_is_not_decided_then() {
    let mut town = Town::new(4, 2);
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, MICRO, town.now + 1));
    town.now += 4;
    let one = town.expire(&key(1)).unwrap();
    town.now += 1;
    let locks = vec![Id::ZERO, escrow.id()];
    let again = Expiry { owner: key(1).account(), locks, epoch: town.now };
    let forged = |town: &Town, expiry: Expiry| {
        let certificate = town.forge(expiry.id(&town.network()), 0..4);
        Record::expiry(town.ledger.network(), expiry, certificate)
    };
    let again = forged(&town, again);
    town.merge(&again);
    let taken = town.act(&key(1), Action::Noop);
    assert_eq!(town.available(&key(1)), START_UCREDITS);
    assert_eq!(town.ledger.faults().count(), 0);
    let early = Resolve { refund_ucredits: MICRO, ..resolve(&key(1), escrow.id(), town.now - 5) };
    let early = town.forge_resolve(early);
    let records = [escrow, one, again, taken, early];
    town.merge(&records[4]);
    assert_eq!(town.ledger.faults().count(), 4);
    assert_eq!(town.available(&key(1)), START_UCREDITS);
    for shift in 0..5 {
        let (mut whole, mut turned) = (town.fresh(), town.fresh());
        whole.merge((0..5).map(|i| records[(i + shift) % 5].clone()), Check::Signatures);
        (0..5).rev().for_each(|i| drop(turned.merge([records[(i + shift) % 5].clone()], Check::Makers)));
        assert_eq!((whole.root(), turned.root()), (town.ledger.root(), town.ledger.root()));
    }
    town.ledger.check_refold().unwrap();
}

/// An hour of payouts is one quorum, and one that was decided on does not keep the others: who asks is told of the decision.
#[test]
fn what_holds_up_an_expiry_is_certified_or_left_out() {
    let mut town = Town::new(4, 2);
    let owner = key(1).account();
    let locks: Vec<Id> =
        (0..70).map(|_| town.act(&key(1), lock(LockKind::TaskEscrow, MICRO, town.now + 1)).id()).collect();
    let first = *locks.iter().min().unwrap();
    let decision = Resolve { refund_ucredits: MICRO, ..resolve(&key(1), first, town.now) };
    let decision = decision.sign(&town.network(), &authority());
    let now = town.now;
    town.witnesses[2].consider_resolve(&town.ledger, &decision, now).map(drop).unwrap();
    town.now += 4;
    let now = town.now;
    let mut expiry = town.ledger.draft_expiry(&owner, now).unwrap();
    assert!(expiry.locks.len() == 64 && expiry.locks[0] == first);
    let refused = town.witnesses[2].consider_expiry(&town.ledger, &expiry, now).unwrap_err();
    let decided = *refused.decided.unwrap();
    assert_eq!((refused.refusal.rule, &decided), (Rule::OneVotePerLock, &decision));
    expiry.locks.remove(0);
    let Town { ledger, witnesses, .. } = &mut town;
    let votes: Vec<Vote> =
        witnesses.iter_mut().map(|w| w.consider_expiry(ledger, &expiry, now).unwrap().stored()).collect();
    let certificate = town.collect(expiry.id(&town.network()), &votes);
    town.merge(&Record::expiry(town.ledger.network(), expiry, certificate));
    // The others had not been shown the decision, and sign it an hour later at the latest.
    town.now += 56;
    let now = town.now;
    let Town { ledger, witnesses, .. } = &mut town;
    let votes: Vec<Vote> =
        witnesses.iter_mut().map(|w| w.consider_resolve(ledger, &decided, now).unwrap().stored()).collect();
    let certificate = town.collect(decided.resolve.id(&town.network()), &votes);
    town.merge(&Record::resolve(town.ledger.network(), decided, certificate));
    (0..2).for_each(|_| drop(town.act(&key(1), Action::Noop)));
    assert_eq!(town.available(&key(1)), START_UCREDITS);
    assert_eq!(town.ledger.faults().count(), 0);
    town.ledger.check_refold().unwrap();
}

/// An expiry that a quorum certified too early marks nothing, and one that comes again behind a checkpoint changes nothing.
#[test]
fn an_expiry_marks_what_ran_out_and_survives_pruning() {
    let mut town = Town::new(1, 2);
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, MICRO, town.now + 1));
    town.now += 3;
    let early = Expiry { owner: key(1).account(), locks: vec![escrow.id()], epoch: town.now };
    let now = town.now;
    let refused = town.witnesses[0].consider_expiry(&town.ledger, &early, now).unwrap_err();
    assert_eq!(refused.refusal.rule, Rule::LockExpired);
    let root = town.ledger.root();
    let certificate = town.forge(early.id(&town.network()), 0..1);
    let early = Record::expiry(town.ledger.network(), early, certificate);
    town.merge(&early);
    assert_eq!(town.ledger.root(), root);
    town.now += 1;
    let expiry = town.expire(&key(1)).unwrap();
    assert_ne!(town.ledger.root(), root);
    // While the lock is there, and when it was taken back.
    for available in [START_UCREDITS - MICRO, START_UCREDITS] {
        assert_eq!(town.available(&key(1)), available);
        let closed = town.close_epoch();
        town.ledger.prune(&closed).unwrap();
        let held = town.ledger.records().filter(|record| matches!(record, Record::Expiry(_)));
        assert_eq!(
            held.map(|record| record.id()).collect::<Vec<_>>(),
            [early.id()],
            "it may still contradict"
        );
        let root = town.ledger.root();
        town.merge(&expiry);
        assert_eq!(town.ledger.root(), root);
        town.act(&key(1), Action::Noop);
        town.ledger.check_refold().unwrap();
    }
}

#[test]
fn two_committees_never_certify_one_place() {
    let town = Town::new(4, 3);
    let mut network: Network = (**town.ledger.network()).clone();
    let mut others: Vec<_> = (4..8).map(|n| (witness_key(n).account(), 1)).collect();
    others.sort();
    network.change(&CommitteeChange::sign(network.id(), 1_000, others, &treasury())).unwrap();
    let ledger = Ledger::new(Arc::new(network));
    let sign = |to: &SecretKey, epoch| {
        ledger
            .draft(&key(1).account(), pay(to, START_UCREDITS), epoch)
            .unwrap()
            .sign(&town.network(), &key(1))
    };
    let (before, after) = (sign(&key(2), 999), sign(&key(3), 1_000));
    // Nobody is bad: each committee knows nothing of the other's votes.
    let votes = |keys: std::ops::Range<u8>, op: &SignedOp| {
        let vote = |n| Witness::new(witness_key(n), []).consider_op(&ledger, op, 1_000);
        keys.map(vote).map(|v| v.map(drop).map_err(|r| r.refusal.rule)).collect::<Vec<_>>()
    };
    assert_eq!(votes(4..8, &after), [Ok(()); 4]);
    assert_eq!(votes(0..4, &before), [Err(Rule::CommitteeCurrent); 4], "or both are certified");
}

#[test]
fn who_sold_an_account_cannot_stop_the_buyer() {
    let mut town = Town::new(4, 3);
    let (seller, buyer) = (key(1), key(90));
    let message = ledger::op::rotation_message(&town.network(), &seller.account(), 0, &buyer.account());
    let action = Action::RotateKey { key: buyer.account(), proof: buyer.sign(message.as_bytes()) };
    let sale = town.signed(&seller, action);
    let votes: Vec<Vote> = town.ask(&sale).into_iter().map(Result::unwrap).collect();
    let rival = town.signed(&seller, pay(&key(2), MICRO));
    let refused = town.ask(&rival).pop().unwrap().unwrap_err();
    town.merge(&town.certify(sale, &votes));
    town.merge(&Record::proof(*refused.proof.unwrap()));
    assert!(!town.ledger.is_frozen(&seller.account()), "the key no longer holds the account");
    let op = town.ledger.draft(&seller.account(), pay(&key(2), MICRO), town.now).unwrap();
    let op = op.sign(&town.network(), &buyer);
    assert!(town.ask(&op).iter().all(Result::is_ok));
}

#[test]
fn no_checkpoint_is_put_before_another() {
    let mut town = Town::new(1, 2);
    let ask = |town: &mut Town, epoch| {
        let (checkpoint, now) = (town.ledger.draft_checkpoint(epoch), town.now);
        let vote = town.witnesses[0].consider_checkpoint(&town.ledger, &checkpoint, now);
        vote.map(drop).map_err(|r| r.refusal.rule)
    };
    assert_eq!(ask(&mut town, 500), Err(Rule::EpochCurrent), "an epoch long over");
    let checkpoint = town.ledger.draft_checkpoint(999);
    let certificate = town.forge(checkpoint.id(&town.network()), 0..1);
    town.merge(&Record::checkpoint(town.ledger.network(), checkpoint, certificate));
    assert_eq!(ask(&mut town, 998), Err(Rule::CheckpointFollows));
}

#[test]
fn dust_does_not_bury_what_an_owner_waits_for() {
    let mut town = Town::new(1, 2);
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, 10 * MICRO, town.now + 1));
    let paid = town.act(&key(2), pay(&key(1), 5 * MICRO));
    let dust = Out { to: key(1).account(), amount_ucredits: 1, reason: Reason::Payment, reference: Id::ZERO };
    for _ in 0..20 {
        town.act(&key(2), Action::Transfer { outs: vec![dust; 16] });
    }
    town.now += 4;
    town.expire(&key(1));
    let op = town.ledger.draft(&key(1).account(), Action::Noop, town.now).unwrap();
    assert_eq!(op.receives.len(), MAX_RECEIVES);
    assert!(op.receives.contains(&Receive::expired(escrow.id())));
    assert!(op.receives.contains(&Receive { source: paid.id(), index: 0 }));
}

#[test]
fn a_slashed_worker_does_not_keep_its_standing_by_not_listening() {
    let mut town = Town::new(1, 1);
    let worker = key(1);
    town.act(&worker, lock(LockKind::BaseStake, 100 * MICRO, town.now));
    for _ in 0..9 {
        let stake = town.act(&worker, lock(LockKind::TaskStake, 10 * MICRO, town.now + 5));
        town.decide(Resolve { slash_ucredits: 10 * MICRO, ..resolve(&worker, stake.id(), town.now) });
    }
    let stake = town.act(&worker, lock(LockKind::TaskStake, 10 * MICRO, town.now + 5));
    let left = |town: &Town| town.ledger.account(&worker.account()).unwrap().base_stake_ucredits();
    assert_eq!(left(&town), 10 * MICRO);
    let half = Resolve { slash_ucredits: 4 * MICRO, ..resolve(&worker, stake.id(), town.now) };
    town.decide(Resolve { refund_ucredits: 6 * MICRO, ..half });
    assert_eq!(left(&town), 6 * MICRO);
    town.act(&worker, Action::Noop);
    assert_eq!(left(&town), 6 * MICRO);
}

#[test]
fn a_resolve_that_never_counted_earns_no_bonus() {
    let mut town = Town::new(4, 2);
    let decision = Resolve { payouts: vec![reward(&key(2), u64::MAX); 2], ..resolve(&key(1), Id::ZERO, 1) };
    let record = town.forge_resolve(decision);
    town.merge(&record);
    assert_eq!(justify::bonus(&town.ledger, &[], &record.id(), &key(2).account(), town.now), None);
    assert_eq!(justify::referral(&town.ledger, &[], &record.id(), &key(1).account(), town.now), None);
}

#[test]
fn a_second_decision_leaves_the_chains_that_lived_on_the_first() {
    let mut town = Town::new(4, 2);
    let (worker, payee) = (key(1), key(2));
    town.act(&worker, lock(LockKind::BaseStake, 100 * MICRO, town.now));
    let stake = town.act(&worker, lock(LockKind::TaskStake, 10 * MICRO, town.now + 5));
    let refund = Resolve { refund_ucredits: 10 * MICRO, ..resolve(&worker, stake.id(), town.now) };
    town.decide(refund);
    town.act(&worker, pay(&payee, MICRO));
    town.act(&payee, Action::Noop);
    let slash = Resolve { slash_ucredits: 10 * MICRO, ..resolve(&worker, stake.id(), town.now) };
    town.merge(&town.forge_resolve(slash));
    assert_eq!(town.available(&payee), START_UCREDITS + MICRO, "what receivers hold stays");
    town.ledger.check_refold().unwrap();
    // The lock's own operation may come last.
    let mut records: Vec<Record> = town.ledger.records().collect();
    records.sort_by_key(|r| r.id() == stake.id());
    let mut again = town.fresh();
    for record in records {
        again.merge([record], Check::Signatures);
    }
    assert_eq!(again.root(), town.ledger.root());
}

/// What is found by place must be found again when accounts appear in another order.
#[test]
fn accounts_that_change_places_go_on() {
    let mut town = Town::new(4, 2);
    let (worker, strangers) = (key(1), [key(51), key(52)]);
    let mut payers = [key(1), key(2)];
    payers.sort_by_key(SecretKey::account);
    let stake = {
        town.act(&worker, lock(LockKind::BaseStake, 100 * MICRO, town.now));
        town.act(&worker, lock(LockKind::TaskStake, 10 * MICRO, town.now + 5))
    };
    // A fold of the whole set begins with the smallest account: it meets the strangers the other way round.
    town.act(&payers[1], pay(&strangers[1], 5 * MICRO));
    town.act(&payers[0], pay(&strangers[0], 7 * MICRO));
    strangers.iter().for_each(|stranger| drop(town.act(stranger, Action::Noop)));
    town.decide(Resolve { refund_ucredits: 10 * MICRO, ..resolve(&worker, stake.id(), town.now) });
    let slash = Resolve { slash_ucredits: 10 * MICRO, ..resolve(&worker, stake.id(), town.now) };
    town.merge(&town.forge_resolve(slash));
    strangers.iter().for_each(|stranger| drop(town.act(stranger, pay(&worker, MICRO))));
    assert_eq!(strangers.each_ref().map(|stranger| town.available(stranger)), [6 * MICRO, 4 * MICRO]);
    town.ledger.check_invariants().unwrap();
    town.ledger.check_refold().unwrap();
}

#[test]
fn a_decision_may_be_late_by_an_outage() {
    let mut town = Town::new(4, 2);
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, MICRO, town.now + 9));
    let decision = Resolve { refund_ucredits: MICRO, ..resolve(&key(1), escrow.id(), town.now) };
    let decision = decision.sign(&town.network(), &authority());
    let Town { ledger, witnesses, now, .. } = &mut town;
    let mut ask = |n: usize, now| witnesses[n].consider_resolve(ledger, &decision, now).map(drop);
    // Half of the witnesses are cut off for a while. A decision anew would convict its authority.
    (0..2).for_each(|n| ask(n, *now).unwrap());
    assert_eq!((2..4).map(|n| ask(n, *now + 7)).collect::<Vec<_>>(), [Ok(()), Ok(())]);
    assert_eq!(ask(0, *now + 7), Ok(()));
}

#[test]
fn the_treasury_survives_an_outage() {
    let mut town = Town::new(4, 2);
    let op = town.signed(&treasury(), Action::Noop);
    let (ledger, now) = (town.ledger.clone(), town.now);
    for (n, witness) in town.witnesses.iter_mut().enumerate() {
        let late = if n < 2 { 0 } else { 500 };
        witness.consider_op(&ledger, &op, now + late).map(drop).unwrap();
    }
}

#[test]
fn sizes_that_no_bytes_can_say_are_refused() {
    let many = |count| Resolve { payouts: vec![reward(&key(2), 1); count], ..resolve(&key(1), Id::ZERO, 1) };
    assert_eq!(many(MAX_PAYOUTS).check_alone(), Ok(()));
    assert!(many(MAX_PAYOUTS + 1).check_alone().is_err());
    let town = Town::new(1, 1);
    let last = Op { seq: u64::MAX, ..town.signed(&key(1), Action::Noop).op };
    assert!(last.check_alone(&treasury().account()).is_err(), "there is no seq after it");
}

/// Changes of the committee are not linked, so nothing says which one is missing.
#[test]
fn committees_come_in_any_order() {
    let town = Town::new(1, 1);
    let base: &Network = town.ledger.network();
    let change =
        |from, n| CommitteeChange::sign(base.id(), from, vec![(witness_key(n).account(), 1)], &treasury());
    let (mut one, mut other) = (base.clone(), base.clone());
    for (from, n) in [(100, 1), (200, 2)] {
        one.change(&change(from, n)).unwrap();
    }
    for (from, n) in [(200, 2), (100, 1)] {
        other.change(&change(from, n)).ok();
    }
    assert_eq!(one.committee(150), other.committee(150));
}

#[test]
fn leaves_that_no_fold_makes_are_refused() {
    let (town, _) = busy_town();
    let worker = key(3).account();
    let load = |leaves: Vec<Vec<u8>>| {
        let hashes: Vec<[u8; 32]> = leaves.iter().map(|leaf| ledger::leaf_hash(leaf)).collect();
        let root = Id::from_bytes(merkle::root(&hashes));
        let accounts = leaves.len() as u64;
        let checkpoint = Checkpoint { root, accounts, ..town.ledger.draft_checkpoint(town.now) };
        let certificate = town.forge(checkpoint.id(&town.network()), 0..4);
        let record = Record::checkpoint(town.ledger.network(), checkpoint, certificate);
        let Record::Checkpoint(certified) = &record else { unreachable!("made as one") };
        Ledger::from_snapshot(town.ledger.network().clone(), certified, leaves)
    };
    let leaves: Vec<Vec<u8>> = town.ledger.leaves().collect();
    assert_eq!(load(leaves.clone()).unwrap().reputation(&worker, 3).counts(), (1, 0, 0));
    let mut twice = leaves.clone();
    twice.push(twice.last().unwrap().clone());
    assert!(matches!(load(twice), Err(SnapshotError::Decode(_))), "an account twice");
    let mut torn = leaves;
    let leaf = torn.iter_mut().find(|leaf| leaf[..32] == *worker.as_bytes()).unwrap();
    // It ends with the count of judgements, the one judgement, and no spending.
    let at = leaf.len() - 1 - 42;
    let judgement: Vec<u8> = leaf[at..at + 42].to_vec();
    leaf[at - 4] = 2;
    leaf.truncate(at + 42);
    leaf.extend([&judgement[..41], &[1, 0]].concat());
    assert!(matches!(load(torn), Err(SnapshotError::Decode(_))), "judged twice by one resolve");
}

/// Contradictions of every kind, in many orders, one by one and all at once.
#[test]
fn contradictions_fold_to_one_state_in_any_order() {
    let (mut town, mut records) = busy_town();
    let network = town.network();
    let cheat = key(2);
    records.push(town.act(&cheat, lock(LockKind::BaseStake, 100 * MICRO, town.now)));
    let stake = town.act(&cheat, lock(LockKind::TaskStake, 10 * MICRO, town.now + 5));
    let refund = Resolve { refund_ucredits: 10 * MICRO, ..resolve(&cheat, stake.id(), town.now) };
    records.extend([stake.clone(), town.decide(refund.clone())]);
    let spare = town.act(&cheat, lock(LockKind::TaskEscrow, MICRO, town.now + 1));
    records.extend([
        spare.clone(),
        town.act(&cheat, pay(&key(3), MICRO)),
        town.act(&key(3), pay(&key(1), 5)),
    ]);
    town.now += 100;
    for owner in [3, 1, 2].map(key) {
        records.extend(town.expire(&owner));
        records.push(town.act(&owner, Action::Noop));
    }
    let early = Resolve { refund_ucredits: MICRO, ..resolve(&cheat, spare.id(), town.now - 100) };
    let slash = Resolve { refund_ucredits: 0, slash_ucredits: 10 * MICRO, ..refund };
    let Record::Op(paid) = &records[2] else { unreachable!("an operation") };
    let rival = |seq, prev, action| {
        let op = Op {
            account: key(1).account(),
            seq,
            prev,
            epoch: 1_000,
            receives: vec![],
            action,
            balance_after: 1,
        };
        op.sign(&network, &key(1))
    };
    let rivals = [rival(1, paid.value.op.prev, pay(&key(3), 7)), rival(2, paid.id, pay(&key(2), 9))];
    let proof = Proof::fork(&network, key(1).account(), rivals[0].clone(), paid.value.clone()).unwrap();
    // What contradicts: a resolve after a lock ran out, a second resolve, two operations in a row with rivals, a proof.
    let more = [
        town.forge_resolve(early),
        town.forge_resolve(slash),
        town.forge_op(rivals[1].clone()),
        town.forge_op(rivals[0].clone()),
        Record::proof(proof),
    ];
    let sets: Vec<Vec<Record>> = (1..32u32)
        .map(|mask| (0..5).filter(|i| mask >> i & 1 == 1).map(|i| more[i as usize].clone()).collect())
        .collect();
    let mut random = 1u64;
    for set in sets {
        let mut all: Vec<Record> = records.iter().cloned().chain(set).collect();
        let mut whole = town.fresh();
        whole.merge(all.clone(), Check::Signatures);
        whole.check_invariants().unwrap();
        for _ in 0..12 {
            for at in (1..all.len()).rev() {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                all.swap(at, (random >> 33) as usize % (at + 1));
            }
            let mut one_by_one = town.fresh();
            for record in &all {
                one_by_one.merge([record.clone()], Check::Nothing);
            }
            one_by_one.check_invariants().unwrap();
            assert_eq!(one_by_one.root(), whole.root());
            assert_eq!(one_by_one.totals(), whole.totals());
            assert!(one_by_one.faults().eq(whole.faults()), "the same faults");
        }
    }
}
