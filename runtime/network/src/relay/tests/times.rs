//! Every clock of a relay.

use ledger::{
    MICRO,
    op::{Action, LockKind},
};

use super::town::*;
use crate::{
    node::Now,
    reason::Reason,
    relay::{Event, Input},
    session::{OPENING_MS, PING_MS},
    verify::unit::Because,
    wire::{AskAccount, Envelope, Heartbeat, Message, Ping, Pong, Roles, Verify},
};

const TASK: fn() -> Envelope = || envelope(1, Verify::Redundant(1));

#[test]
fn an_opening_that_takes_too_long_and_an_edge_that_falls_silent() {
    let mut town = Town::new();
    let link = town.open_link(2);
    town.pass(OPENING_MS - 1);
    assert_eq!(town.closed, []);
    town.pass(1);
    assert_eq!(town.closed, [link]);

    let ann = town.connect(ANN, Roles::SUBMITTER);
    town.pass(u64::from(PING_MS));
    assert_eq!(town.take(ANN), [Message::Ping(Ping { token: 1 })]);
    town.send(ANN, Pong { token: 1 });
    town.pass(3 * u64::from(PING_MS) - 1);
    assert_eq!(town.closed, [link]);
    town.pass(1);
    assert_eq!(town.closed, [link, ann]);
    let said = town.take(ANN);
    assert!(
        matches!(said.last(), Some(Message::Goodbye(g)) if g.reason == Reason::Silent as u16),
        "{said:?}"
    );
}

/// Nobody is here that could; somebody is, and is busy.
#[test]
fn a_task_that_nobody_takes_is_given_back() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.submit(&TASK());
    town.pass(59_999);
    assert!(matches!(town.take(ANN)[..], [Message::Accepted(_), Message::Ping(_)]));
    town.pass(1);
    assert_eq!(town.settled().reason, Reason::NobodyCapable as u16);
    assert_eq!(town.pending(ANN), 5_000);

    // What is at risk does not carry the price.
    town.worker(WORKERS[0], 1);
    let dear = Envelope { price_ucredits: 40 * MICRO, ..envelope(2, Verify::Redundant(1)) };
    town.submit(&dear);
    town.pass(60_000);
    assert_eq!(town.settled().reason, Reason::Expired as u16);
}

#[test]
fn a_submitter_that_does_not_seal_has_its_task_back() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(WORKERS[0], 1);
    let task = town.submit(&TASK());
    town.pass(250);
    town.seal(task, false);
    town.pass(9_999);
    assert_eq!(town.take(ANN), [], "a key without a payload is not sealed, and its time is not over");
    town.pass(1);
    let settled = town.settled();
    assert_eq!((settled.reason, settled.cost_ucredits), (Reason::NotSealed as u16, 0));
    assert_eq!(town.relay.capacity().free_slots, 1, "nobody is blamed");
    assert!(!town.events.iter().any(|event| matches!(event, Event::Judged { .. })));
}

#[test]
fn missed_heartbeats_lose_a_task() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    WORKERS.iter().take(2).for_each(|worker| drop(town.worker(*worker, 1)));
    let task = town.submit(&TASK());
    town.pass(250);
    let first = town.seal(task, true)[0];
    let lease = town.got(first);
    for _ in 0..4 {
        town.pass(5_000);
        town.send(first, Heartbeat { lease: lease.0, open: 1, duty_permille: 1_000 });
    }
    let lost = |town: &Town| town.events.iter().any(|e| matches!(e, Event::Lost { .. }));
    town.pass(12_499);
    assert!(!lost(&town));
    town.pass(1);
    assert!(lost(&town));
    town.pass(2_000);
    let second = town.seal(task, false);
    assert!(second.len() == 1 && second[0] != first, "{second:?}");
    town.commit_to(first, task, lease, 1);
    assert_eq!(town.take(first).len(), 1, "too late for it");
}

/// The unit's own clock: who commits too late is replaced, though it lives.
#[test]
fn a_worker_that_takes_too_long_is_replaced() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    WORKERS.iter().take(2).for_each(|worker| drop(town.worker(*worker, 1)));
    let task = town.submit(&TASK());
    town.pass(250);
    let first = town.seal(task, true)[0];
    let lease = town.got(first);
    for _ in 0..10 {
        town.pass(4_000);
        town.send(first, Heartbeat { lease: lease.0, open: 1, duty_permille: 1 });
    }
    town.pass(2_000);
    let second = town.seal(task, false);
    assert!(second.len() == 1 && second[0] != first, "{second:?}");
    let lease = town.got(second[0]);
    town.commit_to(second[0], task, lease, 1);
    town.reveal(second[0], task, lease, 1);
    assert_eq!(town.settled().workers, 2);
    // The first never comes: its judgement is that it was late.
    town.pass(61_000);
    let late = town.events.iter().any(
        |e| matches!(e, Event::Judged { worker, because: Because::TimedOut, .. } if *worker == account(first)),
    );
    assert!(late, "{:?}", town.events);
}

/// Bound, and silent when it is time to show.
#[test]
fn who_does_not_reveal_is_late() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(WORKERS[0], 1);
    let task = town.submit(&TASK());
    town.pass(250);
    town.seal(task, true);
    let lease = town.got(WORKERS[0]);
    town.commit_to(WORKERS[0], task, lease, 1);
    town.pass(5_000);
    assert_eq!(town.relay.capacity().free_slots, 1, "its slot is free");
    assert_eq!(town.take(ANN), [], "another is looked for");
    town.pass(20_000);
    assert_eq!(town.settled().reason, Reason::Inconclusive as u16, "and not found");
}

/// Workers come and fail, and come and fail: a task has an end.
#[test]
fn a_task_ends_whatever_its_workers_do() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    WORKERS.iter().for_each(|worker| drop(town.worker(*worker, 1)));
    let task = town.submit(&TASK());
    let mut settled = None;
    for _ in 0..400 {
        town.pass(1_000);
        let ended = town.events.iter().find_map(|e| match e {
            Event::Settled { reason, cost_ucredits, .. } => Some((*reason, *cost_ucredits)),
            _ => None,
        });
        if ended.is_some() {
            settled = ended;
            break;
        }
        // A silent submitter would end it at once.
        town.seal(task, true);
        WORKERS.iter().for_each(|worker| {
            town.send(*worker, Pong { token: 0 });
            town.take(*worker);
        });
    }
    assert_eq!(settled, Some((Reason::Inconclusive, 0)));
    assert_eq!(town.available(ANN) + town.pending(ANN), 1_000 * MICRO);
}

/// An owner that asks hears of its locks when they are certified to have run out.
#[test]
fn locks_that_ran_out_are_told_as_such() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    let lock = town.act(ANN, town.lock(LockKind::TaskEscrow, ledger::Id::ZERO, MICRO, 2));
    let ran_out = |town: &Town| town.relay.ledger().account(&account(ANN)).expect("Ann").locks[&lock].ran_out;
    town.now.epoch += 4;
    town.send(ANN, AskAccount { account: account(ANN) });
    assert!(!ran_out(&town) && matches!(town.take(ANN)[..], [Message::AccountIs(_)]));
    town.now.epoch += 1;
    town.send(ANN, AskAccount { account: account(ANN) });
    assert!(ran_out(&town));
    let said = town.take(ANN);
    let [Message::AccountIs(is)] = &said[..] else { panic!("{said:?}") };
    let holder = ledger::Holder::read(&account(ANN), &is.leaf).expect("a leaf");
    assert_eq!(holder.ready(town.now.epoch), (1, MICRO));
    let message = crate::wire::statement_message(&town.network(), &account(ANN), is.epoch, &is.leaf);
    assert!(relay_key(0).public().verify(message.as_bytes(), &is.signature).is_ok());
    town.act(ANN, Action::Noop);
    assert_eq!(town.available(ANN), 1_000 * MICRO);
}

#[test]
fn every_epoch_ends_with_a_checkpoint() {
    let mut town = Town::new();
    town.step(Input::Tick);
    for epoch in EPOCH..EPOCH + 3 {
        assert!(town.relay.ledger().checkpoint_before(epoch + 1).is_none_or(|c| c.value.epoch < epoch));
        town.now = Now { ms: town.now.ms + 60_000, epoch: epoch + 1 };
        town.step(Input::Tick);
        let made = town.relay.ledger().checkpoint_before(epoch + 1).expect("one");
        assert_eq!((made.value.epoch, made.value.root), (epoch, town.relay.ledger().root()));
    }
}

/// A claim and its stakes run out; the worker is not drawn any more.
#[test]
fn claims_run_out() {
    let mut town = Town::new();
    town.worker(WORKERS[0], 2);
    assert_eq!(town.relay.capacity().free_slots, 2);
    town.now.epoch = EPOCH + 100;
    town.step(Input::Tick);
    assert_eq!(town.relay.capacity().free_slots, 2);
    town.now.epoch = EPOCH + 101;
    town.step(Input::Tick);
    assert_eq!((town.relay.capacity().free_slots, town.relay.capacity().workers), (0, 0));
}
