//! The way of a task that goes as it should, and of those that nearly do.

use ledger::{Id, MICRO};

use super::town::*;
use crate::{
    reason::Reason,
    relay::{Config, Event, Input, Verification},
    verify::unit::Because,
    wire::{Cancel, HandBack, Heartbeat, Message, Roles, Verify},
};

/// Submit, draw, seal, work, commit, reveal, pay.
#[test]
fn a_task_from_its_escrow_to_its_price() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    WORKERS.iter().take(4).for_each(|worker| drop(town.worker(*worker, 1)));
    let envelope = envelope(1, Verify::Redundant(3));
    let task = town.submit(&envelope);
    let said = town.take(ANN);
    let [Message::Accepted(accepted)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((accepted.task, accepted.ahead), (task, 0));

    town.pass(250);
    let drawn = town.seal(task, true);
    assert_eq!(drawn.len(), 3);
    let leases: Vec<_> = drawn.iter().map(|worker| town.got(*worker)).collect();
    for (worker, lease) in drawn.iter().zip(&leases) {
        assert_eq!(town.take(*worker), [], "nobody shows before everybody is bound");
        town.commit_to(*worker, task, *lease, 0xaa);
    }
    for worker in &drawn {
        let said = town.take(*worker);
        assert!(matches!(&said[..], [Message::Open(open)] if open.tasks == [task]), "{said:?}");
    }
    assert_eq!(town.take(ANN), []);
    for (worker, lease) in drawn.iter().zip(&leases) {
        town.reveal(*worker, task, *lease, 0xaa);
    }
    let said = town.take(ANN);
    let [Message::Part(part), Message::Settled(settled)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(part.bytes, [0xaa; 50]);
    assert_eq!(settled.reason, Reason::Verified as u16);
    assert_eq!((settled.tag, settled.workers, settled.cost_ucredits), (Some([0xaa; 32]), 3, 15_000));
    assert_eq!(settled.agreed, [0, 1, 2]);
    let resolve =
        town.relay.ledger().resolve(&settled.resolve.expect("a resolve")).expect("certified").clone();
    assert_eq!(resolve.value.resolve.judged, [], "three whom nobody knows prove nothing about each other");
    assert!(resolve.value.resolve.drawn);
    assert_eq!(town.available(ANN), 1_000 * MICRO - 15_000);
    for worker in drawn {
        assert_eq!(town.relay.ledger().balance(&account(worker)).locked, 10 * MICRO + 5_000);
    }
    assert_eq!(town.relay.capacity().free_slots, 4);
}

/// Two give one result, one another: the stake of the third is burned, and it is not paid.
#[test]
fn a_liar_is_outvoted() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    WORKERS.iter().for_each(|worker| drop(town.worker(*worker, 1)));
    let task = town.submit(&envelope(1, Verify::Redundant(7)));
    town.pass(250);
    let drawn = town.seal(task, true);
    assert_eq!(drawn.len(), WORKERS.len(), "as many as there are");
    let leases: Vec<_> = drawn.iter().map(|worker| town.got(*worker)).collect();
    let tag = |place: usize| if place == 2 { 0xbb } else { 0xaa };
    // The seventh is looked for while the others work, and not found.
    town.pass(10_000);
    for (place, worker) in drawn.iter().enumerate() {
        town.commit_to(*worker, task, leases[place], tag(place));
    }
    for (place, worker) in drawn.iter().enumerate() {
        town.reveal(*worker, task, leases[place], tag(place));
    }
    let settled = town.settled();
    assert_eq!((settled.tag, settled.agreed.len(), settled.cost_ucredits), (Some([0xaa; 32]), 5, 25_000));
    let liar = account(drawn[2]);
    let judged = town.events.iter().find_map(|event| match event {
        Event::Judged { worker, because, .. } if *worker == liar => Some(*because),
        _ => None,
    });
    assert!(matches!(judged, Some(Because::Outvoted | Because::OutvotedClearly)), "{judged:?}");
    let slashed = town.events.iter().any(|event| matches!(event, Event::Slashed { .. }));
    assert_eq!(slashed, judged == Some(Because::OutvotedClearly));
}

/// The same lie without verification is delivered and paid.
#[test]
fn without_verification_a_lie_is_delivered() {
    let mut town = Town::with(Config { verification: Verification::Off, ..config() });
    town.connect(ANN, Roles::SUBMITTER);
    WORKERS.iter().take(3).for_each(|worker| drop(town.worker(*worker, 1)));
    let task = town.submit(&envelope(1, Verify::Redundant(3)));
    town.pass(250);
    let drawn = town.seal(task, true);
    assert_eq!(drawn.len(), 1);
    let lease = town.got(drawn[0]);
    town.commit_to(drawn[0], task, lease, 0xbb);
    town.reveal(drawn[0], task, lease, 0xbb);
    let settled = town.settled();
    assert_eq!((settled.reason, settled.tag), (Reason::Unverified as u16, Some([0xbb; 32])));
    assert_eq!(settled.cost_ucredits, 5_000);
}

/// A newcomer sits beside an established worker, and never alone.
#[test]
fn newcomers_are_drawn_second() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.connect(NEWCOMER, Roles::WORKER);
    town.offer(NEWCOMER, claim(NEWCOMER, 1, vec![]));
    let task = town.submit(&envelope(1, Verify::Redundant(2)));
    town.pass(5_000);
    assert_eq!(town.take(NEWCOMER), [], "not alone");
    town.worker(WORKERS[0], 1);
    town.worker(WORKERS[1], 1);
    town.pass(20_000);
    let drawn = town.seal(task, true);
    assert!(drawn.len() == 2 && drawn.contains(&NEWCOMER), "{drawn:?}");
}

#[test]
fn a_task_that_is_given_up_costs_nothing() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(WORKERS[0], 1);
    let task = town.submit(&envelope(1, Verify::Redundant(1)));
    town.pass(250);
    let drawn = town.seal(task, true);
    town.take(drawn[0]);
    town.send(ANN, Cancel { task });
    let settled = town.settled();
    assert_eq!((settled.reason, settled.cost_ucredits), (Reason::Cancelled as u16, 0));
    assert_eq!(town.pending(ANN), 5_000, "all of it");
    assert_eq!(town.refusal(drawn[0]).map(|r| r.0), Some(Reason::Cancelled));
    assert_eq!(town.relay.capacity().free_slots, 1);
    town.send(ANN, Cancel { task });
    assert_eq!(town.refusal(ANN).map(|r| r.0), Some(Reason::TaskUnknown));
}

/// Whoever is bound to an answer is paid for it.
#[test]
fn work_that_is_done_is_not_given_up() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(WORKERS[0], 1);
    let task = town.submit(&envelope(1, Verify::Redundant(1)));
    town.pass(250);
    let drawn = town.seal(task, true);
    let lease = town.got(drawn[0]);
    town.commit_to(drawn[0], task, lease, 1);
    town.send(ANN, Cancel { task });
    assert_eq!(town.refusal(ANN).map(|r| r.0), Some(Reason::TooLate));
    town.reveal(drawn[0], task, lease, 1);
    assert_eq!(town.settled().cost_ucredits, 5_000);
}

#[test]
fn what_is_handed_back_goes_to_another() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    WORKERS.iter().take(2).for_each(|worker| drop(town.worker(*worker, 1)));
    let task = town.submit(&envelope(1, Verify::Redundant(1)));
    town.pass(250);
    let first = town.seal(task, true)[0];
    let (lease, _) = town.got(first);
    town.send(first, HandBack { lease, tasks: vec![task], reason: Reason::Busy as u16 });
    town.send(first, Heartbeat { lease, open: 1, duty_permille: 0 });
    assert_eq!(town.refusal(first).map(|r| r.0), Some(Reason::LeaseUnknown), "the lease is over");
    town.pass(2_000);
    let second = town.seal(task, false)[0];
    assert_ne!(first, second);
    let lease = town.got(second);
    town.commit_to(second, task, lease, 1);
    town.reveal(second, task, lease, 1);
    let settled = town.settled();
    assert_eq!((settled.workers, settled.cost_ucredits, &settled.agreed[..]), (2, 5_000, &[1][..]));
}

/// One signature leases all that a worker is drawn for in a round.
#[test]
fn a_worker_gets_its_tasks_of_a_round_in_one_lease() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(WORKERS[0], 3);
    let tasks: Vec<Id> = (0..3).map(|nonce| town.submit(&envelope(nonce, Verify::Redundant(1)))).collect();
    town.pass(250);
    let said = town.take(WORKERS[0]);
    let [Message::Leased(leased)] = &said[..] else { panic!("{said:?}") };
    let mut named: Vec<Id> = leased.lease.value.tasks.iter().map(|task| task.task).collect();
    named.sort();
    let mut wanted = tasks;
    wanted.sort();
    assert_eq!(named, wanted);
    let stakes: std::collections::BTreeSet<Id> = leased.lease.value.tasks.iter().map(|t| t.stake).collect();
    assert_eq!(stakes.len(), 3, "a stake each");
}

#[test]
fn a_task_that_is_sent_again_is_the_same_task() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(WORKERS[0], 1);
    let envelope = envelope(1, Verify::Redundant(1));
    let task = town.submit(&envelope);
    town.take(ANN);
    town.drop_link(ANN);
    town.connect(ANN, Roles::SUBMITTER);
    town.send_task(&envelope, Id::ZERO);
    assert!(matches!(&town.take(ANN)[..], [Message::Accepted(a)] if a.task == task));
    town.send(ANN, Cancel { task });
    let settled = town.settled();
    town.drop_link(ANN);
    town.connect(ANN, Roles::SUBMITTER);
    town.send_task(&envelope, Id::ZERO);
    assert_eq!(town.take(ANN), [Message::Settled(settled)], "told again how it ended");
}

#[test]
fn a_relay_that_goes_down_finishes_what_is_leased() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(WORKERS[0], 1);
    let (first, second) = (envelope(1, Verify::Redundant(1)), envelope(2, Verify::Redundant(1)));
    let first = town.submit(&first);
    town.pass(250);
    let drawn = town.seal(first, true);
    let lease = town.got(drawn[0]);
    let second = town.submit(&second);
    town.take(ANN);
    town.step(Input::Drain);
    let said = town.take(ANN);
    let gone = |m: &Message| matches!(m, Message::Goodbye(g) if g.reason == Reason::Draining as u16);
    assert!(gone(&said[0]), "{said:?}");
    assert!(matches!(&said[1], Message::Settled(s) if s.task == second && s.cost_ucredits == 0), "{said:?}");
    town.send_task(&envelope(3, Verify::Redundant(1)), Id::ZERO);
    assert_eq!(town.refusal(ANN).map(|r| r.0), Some(Reason::Draining));
    let stranger = town.open_link(99);
    assert!(town.closed.contains(&stranger), "nobody comes in");
    assert!(!town.events.contains(&Event::Drained));
    town.take(drawn[0]);
    town.commit_to(drawn[0], first, lease, 1);
    town.reveal(drawn[0], first, lease, 1);
    assert_eq!(town.settled().cost_ucredits, 5_000);
    assert!(town.events.contains(&Event::Drained));
    assert_eq!(town.events.iter().filter(|e| **e == Event::Drained).count(), 1);
}

#[test]
fn a_relay_that_goes_down_waits_for_a_while_and_no_longer() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(WORKERS[0], 1);
    let task = town.submit(&envelope(1, Verify::Redundant(1)));
    town.pass(250);
    let drawn = town.seal(task, true);
    let (lease, _) = town.got(drawn[0]);
    town.step(Input::Drain);
    for _ in 0..7 {
        town.pass(4_000);
        town.send(drawn[0], Heartbeat { lease, open: 1, duty_permille: 1_000 });
    }
    assert!(!town.events.contains(&Event::Drained));
    town.pass(2_000);
    let settled = town.settled();
    assert_eq!((settled.reason, settled.cost_ucredits), (Reason::Draining as u16, 0));
    assert!(town.events.contains(&Event::Drained));
}
