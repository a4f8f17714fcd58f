//! Four relays over a bus in memory.

use std::collections::BTreeSet;

use ledger::{
    Id, MICRO, Record,
    op::{Action, SignedOp},
    store::Disk,
};

use super::town::*;
use crate::{
    bus::{Bus, Hub, Memory, Message as BusMessage, Topic, TopicKind},
    reason::Reason,
    relay::{Event, Input, Output, Restored},
    wire::{AskAccount, Message, Proposal, Propose, Roles},
};

const WITNESSES: u8 = 4;

/// Relays, their ends of the bus, and those that say nothing and hear nothing.
struct Federation {
    towns: Vec<Town>,
    ends: Vec<Memory>,
    silent: BTreeSet<usize>,
}

impl Federation {
    fn new() -> Self {
        let (hub, network) = (Hub::default(), network(WITNESSES));
        let mut ends: Vec<Memory> = (0..WITNESSES).map(|n| hub.join(relay_key(n).account())).collect();
        ends.iter_mut().for_each(|end| end.subscribe(Topic { kind: TopicKind::Ledger, shard: 0 }));
        let town = |n: u8| {
            let restored = Restored::nothing(network.clone());
            Town::on(config(), relay_key(n), restored, Disk::new(), [n; 32])
        };
        Federation { towns: (0..WITNESSES).map(town).collect(), ends, silent: BTreeSet::new() }
    }

    /// Carries messages until none is under way.
    fn carry(&mut self) {
        loop {
            for (at, town) in self.towns.iter_mut().enumerate() {
                for output in std::mem::take(&mut town.bus) {
                    match output {
                        _ if self.silent.contains(&at) => {}
                        Output::Publish(message) => {
                            let frame = message.encode().expect("a frame");
                            self.ends[at].publish(Topic::of(&message), frame);
                        }
                        Output::Tell { to, message } => {
                            self.ends[at].request(to, message.encode().expect("a frame"));
                        }
                        other => panic!("{other:?} is not for the bus"),
                    }
                }
            }
            let mut came = false;
            for (at, town) in self.towns.iter_mut().enumerate() {
                while let Some(delivery) = self.ends[at].next() {
                    if self.silent.contains(&at) {
                        continue;
                    }
                    came = true;
                    let message = BusMessage::decode(&delivery.frame).expect("a message");
                    town.step(Input::Bus { from: delivery.from, message });
                }
            }
            if !came && self.towns.iter().all(|town| town.bus.is_empty()) {
                return;
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 500 {
            self.towns.iter_mut().for_each(|town| town.pass(500));
            self.carry();
        }
    }

    fn next_epoch(&mut self) {
        for town in &mut self.towns {
            town.now.epoch += 1;
            town.step(Input::Tick);
        }
        self.carry();
    }

    fn signed(&self, action: Action) -> SignedOp {
        let town = &self.towns[0];
        let op = town.relay.ledger().draft(&account(ANN), action, town.now.epoch).expect("a draft");
        op.sign(&town.network(), &key(ANN))
    }

    fn propose(&mut self, at: usize, op: &SignedOp) {
        self.towns[at].send(ANN, Propose { proposal: Proposal::Op(op.encode()) });
        self.carry();
    }

    fn roots(&self, of: &[usize]) -> BTreeSet<Id> {
        of.iter().map(|at| self.towns[*at].relay.ledger().root()).collect()
    }
}

fn certified(message: Option<Message>, town: &Town) -> usize {
    let Some(Message::Records(records)) = message else { panic!("{message:?}") };
    let record = Record::decode(&records.records[0], town.relay.ledger().network()).expect("a record");
    let Record::Op(certified) = &record else { panic!("{record:?}") };
    record.check(town.relay.ledger().network()).expect("a certificate");
    certified.certificate.signers().count()
}

/// Three of four are enough, whoever is silent.
#[test]
fn a_silent_witness_holds_nothing_up() {
    for silent in [None, Some(1), Some(3)] {
        let mut federation = Federation::new();
        federation.silent.extend(silent);
        federation.towns[0].connect(ANN, Roles::SUBMITTER);
        let op = federation.signed(Action::Noop);
        federation.propose(0, &op);
        let said = federation.towns[0].take(ANN).pop();
        assert_eq!(certified(said, &federation.towns[0]), 3);
        let hear: Vec<usize> = (0..4).filter(|at| Some(*at) != silent).collect();
        assert_eq!(federation.roots(&hear).len(), 1, "every relay has the record");
        for at in hear {
            let account = federation.towns[at].relay.ledger().account(&account(ANN)).expect("Ann");
            assert_eq!(account.next_seq, 1);
        }
    }
}

/// Two of four are not enough; when the others are back, the same operation is certified.
#[test]
fn too_few_witnesses_certify_nothing() {
    let mut federation = Federation::new();
    federation.silent.extend([2, 3]);
    federation.towns[0].connect(ANN, Roles::SUBMITTER);
    let op = federation.signed(Action::Noop);
    federation.propose(0, &op);
    assert_eq!(federation.towns[0].take(ANN), []);
    federation.pass(4_500);
    assert_eq!(federation.towns[0].take(ANN), []);
    federation.pass(1_000);
    assert_eq!(federation.towns[0].refusal(ANN).map(|r| r.0), Some(Reason::NotCertified));
    federation.silent.clear();
    federation.propose(0, &op);
    let said = federation.towns[0].take(ANN).pop();
    assert_eq!(certified(said, &federation.towns[0]), 3);
    assert_eq!(federation.roots(&[0, 1, 2, 3]).len(), 1);
}

/// A question that was lost is asked again.
#[test]
fn a_witness_that_comes_late_is_asked_again() {
    let mut federation = Federation::new();
    federation.silent.extend([2, 3]);
    federation.towns[0].connect(ANN, Roles::SUBMITTER);
    let op = federation.signed(Action::Noop);
    federation.propose(0, &op);
    federation.silent.clear();
    federation.pass(1_500);
    let said = federation.towns[0].take(ANN).pop();
    assert_eq!(certified(said, &federation.towns[0]), 3);
}

/// An owner that signs two operations for one place, at two relays: neither counts, and everybody has the proof.
#[test]
fn a_fork_is_told_to_everybody() {
    let mut federation = Federation::new();
    federation.towns[0].connect(ANN, Roles::SUBMITTER);
    federation.towns[1].connect(ANN, Roles::SUBMITTER);
    let stake = federation.towns[0].lock(ledger::op::LockKind::BaseStake, Id::ZERO, MICRO, 0);
    let ops = [federation.signed(Action::Noop), federation.signed(stake)];
    for (at, op) in ops.iter().enumerate() {
        federation.towns[at].send(ANN, Propose { proposal: Proposal::Op(op.encode()) });
    }
    federation.carry();
    federation.pass(6_000);
    assert!(federation.towns.iter().any(|t| t.events.iter().any(|e| matches!(e, Event::Fork { .. }))));
    for town in &federation.towns {
        assert!(town.relay.ledger().is_frozen(&account(ANN)), "the proof is everywhere");
        assert!(town.relay.ledger().faults().any(|(culprit, _)| *culprit == account(ANN)));
    }
    assert_eq!(federation.roots(&[0, 1, 2, 3]).len(), 1);
}

/// Every epoch one of them proposes its end, and the others have the same state.
#[test]
fn checkpoints_go_round() {
    let mut federation = Federation::new();
    federation.next_epoch();
    for n in 0..6 {
        federation.next_epoch();
        for town in &federation.towns {
            let made = town.relay.ledger().checkpoint_before(town.now.epoch).expect("a checkpoint");
            assert_eq!(made.value.epoch, EPOCH + 1 + n, "of every epoch");
        }
    }
}

/// A lock that ran out is certified to have, through whichever relay its owner asks.
#[test]
fn locks_run_out_by_the_votes_of_all() {
    let mut federation = Federation::new();
    federation.silent.insert(2);
    federation.towns[0].connect(ANN, Roles::SUBMITTER);
    let lock = federation.towns[0].lock(ledger::op::LockKind::TaskEscrow, Id::ZERO, MICRO, 2);
    let op = federation.signed(lock);
    federation.propose(0, &op);
    federation.towns[0].take(ANN);
    for _ in 0..5 {
        federation.next_epoch();
    }
    federation.towns[1].connect(ANN, Roles::SUBMITTER);
    federation.towns[1].send(ANN, AskAccount { account: account(ANN) });
    assert_eq!(federation.towns[1].take(ANN), [], "it asks the others first");
    federation.carry();
    assert!(matches!(federation.towns[1].take(ANN)[..], [Message::AccountIs(_)]));
    for at in [0, 1, 3] {
        let ann = federation.towns[at].relay.ledger().account(&account(ANN)).expect("Ann");
        assert!(ann.locks.values().all(|lock| lock.ran_out), "relay {at}");
    }
}

/// Votes and records that are none are of no use to anybody.
#[test]
fn what_others_make_up_counts_for_nothing() {
    let mut federation = Federation::new();
    federation.silent.extend([1, 2, 3]);
    federation.towns[0].connect(ANN, Roles::SUBMITTER);
    let op = federation.signed(Action::Noop);
    federation.propose(0, &op);
    let value = op.op.id(&federation.towns[0].network());
    let town = &mut federation.towns[0];
    for n in 1..4 {
        let (from, signature) = (relay_key(n).account(), relay_key(n).sign(b"something else"));
        let vote = crate::wire::VoteIs { value, witness: from, signature };
        town.step(Input::Bus { from, message: BusMessage::VoteIs(vote) });
    }
    let record = Record::op(town.relay.ledger().network(), op, ledger::Certificate::default());
    let records = crate::wire::Records { records: vec![record.encode(), vec![1, 2, 3]] };
    town.step(Input::Bus { from: relay_key(1).account(), message: BusMessage::Records(records) });
    assert_eq!(town.take(ANN), []);
    assert!(town.relay.ledger().account(&account(ANN)).is_none_or(|a| a.next_seq == 0));
}
