//! One operation after another, whatever relays and disks do.

use identity::Signature;
use ledger::{
    Id, MICRO,
    op::{Action, Out, Reason as For, SignedOp},
};

use super::*;
use crate::{
    edge::{
        Input,
        testing::{Bench, key},
    },
    wire::Kind,
};

fn pay(amount_ucredits: u64) -> Wanted {
    let to = key(2).account();
    Wanted::Pay(vec![Out { to, amount_ucredits, reason: For::Payment, reference: Id::ZERO }])
}

fn order(bench: &mut Bench, order: u64, wanted: Wanted) {
    bench.step(Input::Order { order, wanted });
}

/// The certified operation, or why there is none.
type Outcome = Result<Id, (Reason, String)>;

fn ordered(bench: &mut Bench) -> Option<(u64, Outcome)> {
    bench.event(|event| match event {
        Event::Ordered { order, outcome } => Some((*order, outcome.clone())),
        _ => None,
    })
}

fn seqs(bench: &Bench) -> Vec<u64> {
    bench.proposed.iter().map(|bytes| SignedOp::decode(bytes).unwrap().op.seq).collect()
}

fn distinct(bench: &Bench) -> usize {
    bench.proposed.iter().collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn orders_are_done_one_after_another() {
    let mut bench = Bench::connected(1, true, None, 0);
    (0..5).for_each(|n| order(&mut bench, n, pay(10 * MICRO)));
    bench.wait(1_000);
    for n in 0..5 {
        let (which, outcome) = ordered(&mut bench).expect("an answer");
        assert_eq!(which, n);
        let last = SignedOp::decode(&bench.proposed[n as usize]).unwrap();
        assert_eq!(outcome, Ok(last.op.id(bench.network.id())));
    }
    assert_eq!(seqs(&bench), [0, 1, 2, 3, 4]);
    assert_eq!(bench.available(&key(1)), 950 * MICRO);
    assert_eq!(bench.edge.balance().unwrap().available, 950 * MICRO);
}

#[test]
fn nothing_is_proposed_before_it_is_stored() {
    let mut bench = Bench::connected(1, true, None, 0);
    bench.reports = false;
    order(&mut bench, 1, pay(MICRO));
    bench.wait(100);
    assert_eq!((bench.saves.len(), bench.proposed.len()), (1, 0));
    let ticket = bench.saves[0].ticket;
    bench.step(Input::Stored { ticket });
    assert_eq!(bench.proposed.len(), 1);
}

#[test]
fn a_failed_write_is_tried_again_with_the_same_bytes() {
    let mut bench = Bench::connected(1, true, None, 0);
    bench.reports = false;
    order(&mut bench, 1, pay(MICRO));
    order(&mut bench, 2, pay(2 * MICRO));
    let first = bench.saves.pop_front().expect("a write");
    bench.step(Input::NotStored { ticket: first.ticket });
    bench.wait(20_000);
    let again = bench.saves.pop_front().expect("another");
    assert_eq!(again.batch, first.batch);
    assert_ne!(again.ticket, first.ticket);
    bench.reports = true;
    bench.step(Input::Stored { ticket: again.ticket });
    bench.wait(1_000);
    assert_eq!(seqs(&bench), [0, 1]);
}

/// Before the send, and after it without an answer: the bytes on the disk are proposed again, and nothing else.
#[test]
fn after_a_crash_the_same_bytes_are_proposed() {
    for sent in [false, true] {
        let mut bench = Bench::connected(1, true, None, 0);
        bench.mute.insert(Kind::Propose);
        bench.reports = false;
        order(&mut bench, 1, pay(MICRO));
        bench.wait(100);
        let save = bench.saves.pop_front().expect("a write");
        ledger::store::Store::commit(&bench.store, save.batch).unwrap();
        if sent {
            bench.step(Input::Stored { ticket: save.ticket });
            assert_eq!(bench.proposed.len(), 1);
        }
        bench.reports = true;
        bench.restart();
        bench.mute.clear();
        // What is wanted in the second life waits behind what was signed in the first.
        order(&mut bench, 2, pay(5 * MICRO));
        bench.connect(0);
        bench.wait(10_000);
        assert_eq!(distinct(&bench), 2);
        assert!(seqs(&bench).is_sorted());
        assert_eq!(bench.available(&key(1)), 994 * MICRO);
    }
}

/// The witness certified it, and its answer was lost with the connection.
#[test]
fn a_lost_answer_is_found_in_the_account() {
    let mut bench = Bench::connected(1, true, None, 0);
    bench.mute.insert(Kind::Propose);
    order(&mut bench, 1, pay(MICRO));
    bench.wait(100);
    let op = SignedOp::decode(&bench.proposed[0]).unwrap();
    // It gets there by another way.
    bench.mute.clear();
    bench.say(0, crate::wire::Ping { token: 1 });
    let proposed = bench.proposed[0].clone();
    assert_eq!(SignedOp::decode(&proposed).unwrap(), op);
    let owner = key(1);
    bench.act(&owner, op.op.action.clone());
    bench.wait(20_000);
    assert_eq!(ordered(&mut bench), Some((1, Ok(op.op.id(bench.network.id())))));
    assert_eq!(distinct(&bench), 1);
}

#[test]
fn what_a_rule_forbids_is_told_and_spends_nothing() {
    let mut bench = Bench::connected(1, true, None, 0);
    order(&mut bench, 1, pay(1_001 * MICRO));
    order(&mut bench, 2, Wanted::Unstake(MICRO));
    order(&mut bench, 3, pay(MICRO));
    bench.wait(1_000);
    let broken = |rule: &str| Err((Reason::RuleBroken, rule.to_string()));
    assert_eq!(ordered(&mut bench), Some((1, broken("balance-covers"))));
    assert_eq!(ordered(&mut bench), Some((2, broken("stake-covers"))));
    assert!(matches!(ordered(&mut bench), Some((3, Ok(_)))));
    assert_eq!(seqs(&bench), [0]);
}

/// A relay refuses what the rules allow: whoever wanted it is told once, and only the same bytes are ever sent.
#[test]
fn a_refused_operation_stays_the_only_one_for_its_seq() {
    let mut bench = Bench::connected(1, true, None, 0);
    bench.mute.insert(Kind::Propose);
    order(&mut bench, 1, pay(MICRO));
    order(&mut bench, 2, pay(2 * MICRO));
    bench.wait(100);
    let about = SignedOp::decode(&bench.proposed[0]).unwrap().op.id(bench.network.id());
    for _ in 0..3 {
        let refused = Refused {
            about,
            reason: Reason::AccountFrozen as u16,
            retry_after_ms: 0,
            detail: "not-frozen".into(),
        };
        bench.say(0, refused);
        bench.wait(60_000);
    }
    assert_eq!(ordered(&mut bench), Some((1, Err((Reason::AccountFrozen, "not-frozen".into())))));
    assert_eq!(ordered(&mut bench), None);
    assert!(bench.proposed.len() > 2 && distinct(&bench) == 1, "again, and the same");
    bench.mute.clear();
    bench.wait(600_000);
    assert_eq!(seqs(&bench).last(), Some(&1), "and then the next");
}

#[test]
fn a_passing_refusal_is_not_told() {
    let mut bench = Bench::connected(1, true, None, 0);
    bench.mute.insert(Kind::Propose);
    order(&mut bench, 1, pay(MICRO));
    bench.wait(100);
    let about = SignedOp::decode(&bench.proposed[0]).unwrap().op.id(bench.network.id());
    let reason = Reason::RelayFull as u16;
    bench.say(0, Refused { about, reason, retry_after_ms: 30_000, detail: String::new() });
    bench.mute.clear();
    bench.wait(29_000);
    assert_eq!(bench.proposed.len(), 1);
    bench.wait(5_000);
    assert!(matches!(ordered(&mut bench), Some((1, Ok(_)))));
}

#[test]
fn an_account_as_it_was_before_is_not_believed() {
    let mut bench = Bench::connected(1, true, None, 0);
    let before = bench.account_is(0, &key(1).account());
    order(&mut bench, 1, pay(MICRO));
    bench.wait(1_000);
    bench.mute.insert(Kind::AskAccount);
    order(&mut bench, 2, pay(MICRO));
    bench.wait(100);
    bench.say(0, before.clone());
    let unclear = |event: &Event| matches!(event, Event::AccountUnclear { .. }).then_some(());
    assert!(bench.event(unclear).is_some());
    assert_eq!(bench.proposed.len(), 1);
    // In a second life it knows only what it signed.
    bench.restart();
    bench.connect(0);
    bench.wait(100);
    bench.say(0, before);
    order(&mut bench, 3, pay(MICRO));
    bench.wait(5_000);
    assert_eq!(distinct(&bench), 1);
}

#[test]
fn statements_that_nobody_signed_are_nothing() {
    let mut bench = Bench::connected(1, true, None, 0);
    bench.mute.insert(Kind::AskAccount);
    order(&mut bench, 1, pay(MICRO));
    bench.wait(1_000);
    let unclear = |event: &Event| match event {
        Event::AccountUnclear { detail, .. } => Some(detail.clone()),
        _ => None,
    };
    let mut forged = bench.account_is(0, &key(1).account());
    forged.signature = Signature::from_bytes([1; 64]);
    bench.say(0, forged);
    assert!(bench.event(unclear).unwrap().contains("sign"));
    bench.wait(3_000);
    let other = bench.account_is(0, &key(2).account());
    bench.say(0, other);
    assert!(bench.event(unclear).is_some());
    assert_eq!(bench.proposed.len(), 0);
    // Not asked for: nothing.
    let good = bench.account_is(0, &key(1).account());
    bench.wait(5_000);
    bench.say(0, good.clone());
    bench.say(0, good);
    bench.wait(100);
    assert_eq!(bench.proposed.len(), 1);
}

#[test]
fn what_was_paid_is_received_but_not_every_moment() {
    let mut bench = Bench::connected(1, true, None, 0);
    let pay_edge = |bench: &mut Bench, amount_ucredits| {
        let to = key(1).account();
        let out = Out { to, amount_ucredits, reason: For::Payment, reference: Id::ZERO };
        bench.act(&key(2), Action::Transfer { outs: vec![out] });
    };
    bench.wait(10_000);
    pay_edge(&mut bench, RECEIVE_UCREDITS - 1);
    bench.wait(400_000);
    assert_eq!(bench.proposed.len(), 0, "too little");
    pay_edge(&mut bench, 1);
    bench.wait(400_000);
    assert_eq!(bench.proposed.len(), 1);
    assert_eq!(bench.available(&key(1)), 1_001 * MICRO);
    // With something to do it comes along.
    pay_edge(&mut bench, 7);
    order(&mut bench, 1, pay(7));
    bench.wait(1_000);
    assert_eq!(bench.available(&key(1)), 1_001 * MICRO);
    // Much of it at once, within the minute.
    pay_edge(&mut bench, 5 * MICRO);
    bench.edge.wallet_for_test().hint(0);
    bench.wait(RECEIVE_MS / 2);
    assert_eq!(bench.proposed.len(), 2, "not yet");
}

#[test]
fn the_queue_is_bounded() {
    let mut bench = Bench::new(1, true, None, 0);
    for n in 0..=MAX_WANTS as u64 {
        order(&mut bench, n, pay(1));
    }
    let (which, outcome) = ordered(&mut bench).expect("one is too many");
    assert_eq!(which, MAX_WANTS as u64);
    assert_eq!(outcome.unwrap_err().0, Reason::OpenTasksExceeded);
}
