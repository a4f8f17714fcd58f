//! What is on the disk is kept, and what is not was never said.

use ledger::MICRO;

use super::town::*;
use crate::{
    reason::Reason,
    relay::Event,
    wire::{Message, Proposal, Propose, Roles, Verify},
};

/// A vote that was not stored is not given, whatever became of the store.
#[test]
fn a_vote_waits_for_the_disk() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    let action = ledger::op::Action::Noop;
    let op = town.relay.ledger().draft(&account(ANN), action, EPOCH).expect("a draft");
    let op = op.sign(&town.network(), &key(ANN));
    town.holds_saves = true;
    town.send(ANN, Propose { proposal: Proposal::Op(op.encode()) });
    assert_eq!(town.take(ANN), [], "nothing leaves before it is durable");
    town.store(false);
    let refused = town.take(ANN);
    assert!(!refused.iter().any(|message| matches!(message, Message::Records(_))), "{refused:?}");
    // The same operation, when the disk takes it.
    town.holds_saves = false;
    town.send(ANN, Propose { proposal: Proposal::Op(op.encode()) });
    assert!(matches!(town.take(ANN)[..], [Message::Records(_)]));
}

/// A task that was accepted and not settled is given back after a crash, once.
#[test]
fn an_accepted_task_is_refunded_after_a_crash() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    WORKERS.iter().take(3).for_each(|worker| drop(town.worker(*worker, 1)));
    let task = town.submit(&envelope(1, Verify::Redundant(3)));
    assert!(matches!(town.take(ANN)[..], [Message::Accepted(_)]));
    let held = town.relay.ledger().balance(&account(ANN)).locked;
    assert!(held > 0, "the price is set aside");
    town.crash();
    town.events.clear();
    town.pass(1_000);
    let refunds = town.events.iter().filter(|event| {
        matches!(event, Event::Settled { task: id, cost_ucredits: 0, resolve: Some(_), .. } if *id == task)
    });
    assert_eq!(refunds.count(), 1, "{:?}", town.events);
    let balance = town.relay.ledger().balance(&account(ANN));
    assert_eq!((balance.locked, balance.available + balance.pending), (0, 1_000 * MICRO));
    // Nothing is left of it: a second crash refunds nothing.
    town.crash();
    town.events.clear();
    town.pass(1_000);
    assert!(!town.events.iter().any(|event| matches!(event, Event::Settled { .. })), "{:?}", town.events);
}

/// An escrow that is not there, or is another task's, buys nothing.
#[test]
fn a_task_without_its_escrow_is_refused() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.send_task(&envelope(1, Verify::Redundant(3)), ledger::Id::from_bytes([7; 32]));
    assert_eq!(town.refusal(ANN).map(|(reason, _)| reason), Some(Reason::EscrowMissing));
    town.submit(&envelope(2, Verify::Redundant(3)));
    town.take(ANN);
    let lock = town.relay.ledger().account(&account(ANN)).expect("known").locks.keys().next().copied();
    town.send_task(&envelope(3, Verify::Redundant(3)), lock.expect("the escrow of the second"));
    assert_eq!(town.refusal(ANN).map(|(reason, _)| reason), Some(Reason::EscrowMissing));
}
