//! Relays that vanish with a task.

use super::*;

#[test]
fn a_relay_that_comes_back_gets_the_same_task() {
    let mut hands = Hands::new(1);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    hands.bench.say(0, Accepted { task: sent.task, ahead: 0 });
    hands.bench.disconnect(0);
    hands.bench.wait(5_000);
    hands.bench.connect(0);
    let again = hands.submitted().expect("again");
    assert_eq!((again.task, again.escrow), (sent.task, sent.escrow));
    hands.complete(&again, 3, Reason::Verified);
    assert!(hands.result().is_some());
    assert_eq!(hands.bench.proposed.len(), 1, "one escrow");
}

/// The escrow ran out undecided, so nobody can be paid out of it: the task goes to another relay under another one.
#[test]
fn a_lost_task_moves_when_its_escrow_ran_out() {
    let mut hands = Hands::new(2);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    assert_eq!(sent.place, 0);
    hands.bench.disconnect(0);
    let lock = hands.lock(&sent).expect("an escrow");
    while hands.bench.now.epoch <= lock.expiry_epoch + 3 {
        hands.bench.wait(30_000);
        assert!(hands.submitted().is_none(), "while it may be decided, nothing is submitted");
    }
    hands.bench.expire();
    hands.bench.wait(130_000);
    let moved = hands.submitted().expect("moved");
    assert_eq!(moved.place, 1);
    assert!(moved.task != sent.task && moved.escrow != sent.escrow);
    assert_eq!(
        hands.lock(&moved).expect("an escrow").policy.authority,
        crate::edge::testing::relay_key(1).account()
    );
    hands.complete(&moved, 3, Reason::Verified);
    assert!(hands.result().is_some());
}

/// The relay decided before it vanished: the workers were paid, and the task is not done a second time.
#[test]
fn a_lost_task_whose_escrow_was_decided_is_not_paid_twice() {
    let mut hands = Hands::new(2);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    hands.bench.wait(1_000);
    let to = key(10).account();
    hands.bench.decide(0, sent.escrow, |resolve| {
        let reason = ledger::op::Reason::Reward;
        resolve.payouts = vec![Payout { to, amount_ucredits: MICRO, reason }];
        resolve.refund_ucredits = MICRO;
    });
    hands.bench.disconnect(0);
    hands.bench.wait(600_000);
    assert_eq!(hands.failed(), Some((1, None, Reason::Silent, 2 * MICRO)));
    assert!(hands.submitted().is_none());
}

#[test]
fn without_another_relay_a_lost_task_fails_in_time() {
    let mut hands = Hands::new(1);
    hands.submit(1, b"x");
    hands.submitted().expect("submitted");
    hands.bench.disconnect(0);
    hands.bench.wait(30_000 + 20_000 + MARGIN_MS + 1);
    assert_eq!(hands.failed(), Some((1, None, Reason::Silent, 2 * MICRO)));
}
