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

/// A decision that was signed before a crash is the decision after it, whatever the relay would decide then.
#[test]
fn a_decision_that_was_signed_stays_the_decision() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(WORKERS[0], 1);
    let task = town.submit(&envelope(1, Verify::Redundant(1)));
    town.pass(250);
    town.seal(task, true);
    let lease = town.got(WORKERS[0]);
    town.commit_to(WORKERS[0], task, lease, 1);
    town.take(ANN);
    // The vote reaches the disk, and the relay dies before it hears so.
    town.holds_saves = true;
    town.reveal(WORKERS[0], task, lease, 1);
    let said = town.take(ANN);
    assert!(matches!(said[..], [Message::Part(_)]), "the result, and not yet how it ended: {said:?}");
    town.commit_all();
    town.crash();
    town.events.clear();
    town.pass(1_000);
    let paid = town.events.iter().find_map(|event| match event {
        Event::Settled { task: id, cost_ucredits, resolve: Some(_), .. } if *id == task => {
            Some(*cost_ucredits)
        }
        _ => None,
    });
    // Its record was in the same batch: the task was settled then, and only its note is cleared.
    assert_eq!(paid, None, "{:?}", town.events);
    assert_eq!(town.relay.ledger().balance(&account(WORKERS[0])).locked, 10 * MICRO + 5_000);
    assert!(!town.relay.ledger().is_frozen(&relay_key(0).account()), "it decided once");
    town.crash();
    town.pass(1_000);
    assert_eq!(town.relay.ledger().balance(&account(WORKERS[0])).locked, 10 * MICRO + 5_000);
}

/// Of several witnesses one alone certifies nothing: its signed decision waits in the store and is proposed again.
#[test]
fn a_decision_without_a_quorum_is_proposed_again_as_it_was() {
    use ledger::store::Disk;

    use crate::{
        bus,
        relay::{Input, Output, Restored},
    };

    let network = network(4);
    let mut town = Town::on(config(), relay_key(0), Restored::nothing(network.clone()), Disk::new(), [5; 32]);
    let proposed = |town: &mut Town| -> Vec<Proposal> {
        let bus = std::mem::take(&mut town.bus);
        let proposals = bus.into_iter().filter_map(|output| match output {
            Output::Publish(bus::Message::Propose(propose)) => Some(propose.proposal),
            _ => None,
        });
        proposals.filter(|proposal| matches!(proposal, Proposal::Resolve(_))).collect()
    };
    // The others certify Ann's escrow, and then they are gone.
    town.connect(ANN, Roles::SUBMITTER);
    let envelope = envelope(1, Verify::Redundant(1));
    let task = crate::wire::Signable::id(&envelope, &town.network());
    let lock = town.lock(ledger::op::LockKind::TaskEscrow, task, 5_000, 100);
    let op = town.relay.ledger().draft(&account(ANN), lock, EPOCH).expect("a draft");
    let op = op.sign(&town.network(), &key(ANN));
    let escrow = op.op.id(&town.network());
    town.send(ANN, Propose { proposal: Proposal::Op(op.encode()) });
    for n in 1..3 {
        let mut witness = ledger::witness::Witness::new(relay_key(n), []);
        let vote = witness.consider_op(town.relay.ledger(), &op, EPOCH).expect("a vote").stored();
        let ledger::Vote { witness, value, signature } = vote;
        let vote = crate::wire::VoteIs { value, witness, signature };
        town.step(Input::Bus { from: witness, message: bus::Message::VoteIs(vote) });
    }
    assert!(matches!(town.take(ANN)[..], [Message::Records(_)]));
    town.send_task(&envelope, escrow);
    assert!(matches!(town.take(ANN)[..], [Message::Accepted(_)]));
    town.send(ANN, crate::wire::Cancel { task });
    let first = proposed(&mut town);
    assert_eq!(first.len(), 1);
    // An epoch later it would sign another one.
    town.crash();
    town.now.epoch += 1;
    town.pass(10);
    assert_eq!(proposed(&mut town), first);
    town.pass(60_000);
    assert!(
        proposed(&mut town).iter().all(|proposal| *proposal == first[0]),
        "and again until it is certified"
    );
    assert!(!town.relay.ledger().is_frozen(&relay_key(0).account()));
}
