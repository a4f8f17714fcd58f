//! Leases by hand: every refusal, every timeout, crashes, and an owner who wants the machine back.

mod claims;

use identity::{Payload, SecretKey, SignedPrekey};
use ledger::{MICRO, op::LockKind};

use super::*;
use crate::{
    capability::TaskType,
    edge::{
        Input, Saved,
        testing::{Bench, key, preferences, relay_key},
    },
    sealed::{Parcel, payload_bytes, result_bytes, result_hash},
    verify::unit::{self, Tag},
    wire::{
        self, Assurance, Claim, Commit, Envelope, Kind, Leased, LeasedTask, Offer, Priority, Reveal,
        Signable, Signed, Tier, Verify, WrappedFor, assignment_id,
    },
};

const SUBMITTER: u8 = 2;

/// A task as its submitter and the relay have it.
struct Given {
    task: Id,
    envelope: Signed<Envelope>,
    payload: Payload,
    number: u32,
    lease: Id,
}

impl Given {
    fn id(&self) -> Id {
        assignment_id(&self.task, self.number)
    }
}

struct Hands {
    bench: Bench,
    leases: u64,
    claim: Option<Claim>,
    prekey: Option<Vec<u8>>,
}

fn envelope(payload: &Payload, plain: usize, nonce: u64) -> Envelope {
    Envelope {
        submitter: key(SUBMITTER).account(),
        nonce,
        kind: TaskType::Embedding,
        model: Id::from_bytes([7; 32]),
        numerics: 1,
        payload_commit: payload.commit().0,
        payload_bytes: payload_bytes(plain).unwrap(),
        max_result_bytes: result_bytes(1_000).unwrap(),
        price_ucredits: 1_000,
        verify: Verify::Redundant(1),
        assurance: Assurance::Normal,
        priority: Priority::Normal,
        tier: Tier::Public,
        group: None,
        epoch: 1_000,
        ttl_ms: 60_000,
        timeout_ms: 60_000,
    }
}

fn random(bytes: &mut [u8]) {
    bytes.iter_mut().enumerate().for_each(|(n, byte)| *byte = n as u8 + 1);
}

impl Hands {
    fn new() -> Self {
        let bench = Bench::connected(1, false, Some(preferences()), 100);
        let mut hands = Hands { bench, leases: 0, claim: None, prekey: None };
        hands.bench.wait(10_000);
        hands.offers();
        hands
    }

    /// The last claim that was offered.
    fn offers(&mut self) -> usize {
        let mut count = 0;
        while let Some((_, message)) = self.bench.take(Kind::Offer) {
            let Message::Offer(Offer { claim, prekey }) = message else { unreachable!("by its kind") };
            claim.check(self.bench.network.id()).expect("signed");
            self.prekey = prekey.or(self.prekey.take());
            self.claim = Some(claim.value);
            count += 1;
        }
        count
    }

    fn given(&mut self, plain: &[u8], change: impl FnOnce(&mut Envelope)) -> Given {
        self.leases += 1;
        let payload = Payload::new(plain, &mut random).unwrap();
        let mut envelope = envelope(&payload, plain.len(), self.leases);
        change(&mut envelope);
        let network = *self.bench.network.id();
        let task = envelope.id(&network);
        let envelope = Signed::sign(envelope, &network, &key(SUBMITTER));
        Given { task, envelope, payload, number: 1, lease: Id::ZERO }
    }

    fn lease_value(&self, given: &[&Given]) -> wire::Lease {
        let stake = self.claim.as_ref().and_then(|claim| claim.stakes.first().copied()).unwrap_or(Id::ZERO);
        let task = |g: &&Given| LeasedTask { task: g.task, number: g.number, commit_ms: 30_000, stake };
        wire::Lease {
            relay: relay_key(0).account(),
            worker: key(1).account(),
            number: self.leases,
            beacon: [1; 32],
            beacon_slot: 1,
            tasks: given.iter().map(task).collect(),
            epoch: 1_000,
            heartbeat_ms: 5_000,
        }
    }

    fn lease(&mut self, given: &mut [&mut Given]) {
        let shared: Vec<&Given> = given.iter().map(|given| &**given).collect();
        let (lease, envelopes) =
            (self.lease_value(&shared), shared.iter().map(|g| g.envelope.clone()).collect::<Vec<_>>());
        let lease = Signed::sign(lease, self.bench.network.id(), &relay_key(0));
        let id = lease.value.id(self.bench.network.id());
        given.iter_mut().for_each(|given| given.lease = id);
        self.bench.say(0, Leased { lease, envelopes });
    }

    fn leased(&mut self, plain: &[u8]) -> Given {
        let mut given = self.given(plain, |_| {});
        self.lease(&mut [&mut given]);
        given
    }

    /// Keys and sealed bytes for the worker, as its submitter makes them.
    fn sealed(&self, given: &Given, by: &SecretKey) -> (wire::Keys, Vec<Part>) {
        let parcel = Parcel::seal(&given.payload, &given.envelope.value, &mut random).unwrap();
        let prekey = SignedPrekey::decode(self.prekey.as_ref().expect("a prekey")).unwrap();
        let network = self.bench.network.id();
        let account = key(1).account();
        let to = assignment(network, &given.task, &given.envelope.value, given.number, &account);
        let (wrapped, _) = parcel.wrap(&to, by, &prekey, 1_000, &mut random).expect("a good prekey");
        let key = WrappedFor { number: given.number, key: wrapped.encode().to_vec() };
        let parts = crate::submitter::parts(given.task, Flow::Payload, parcel.bytes()).collect();
        (wire::Keys { task: given.task, keys: vec![key] }, parts)
    }

    fn deliver(&mut self, given: &Given) {
        let (keys, parts) = self.sealed(given, &key(SUBMITTER));
        self.bench.say(0, keys);
        parts.into_iter().for_each(|part| self.bench.say(0, part));
    }

    fn run(&mut self, given: &Given, result: &[u8]) {
        let (assignment, _) = self.bench.runs.pop_front().expect("a run");
        assert_eq!(assignment, given.id());
        self.bench.step(Input::Done { assignment, result: Ok(result.to_vec()) });
    }

    fn commits(&mut self) -> Vec<Commit> {
        let mut commits = Vec::new();
        while let Some((_, message)) = self.bench.take(Kind::Committed) {
            let Message::Committed(committed) = message else { unreachable!("by its kind") };
            committed.batch.check(self.bench.network.id()).expect("signed");
            commits.extend(committed.batch.value.commits);
        }
        commits
    }

    fn reveals(&mut self) -> Vec<Reveal> {
        let mut reveals = Vec::new();
        while let Some((_, message)) = self.bench.take(Kind::Revealed) {
            let Message::Revealed(revealed) = message else { unreachable!("by its kind") };
            revealed.batch.check(self.bench.network.id()).expect("signed");
            reveals.extend(revealed.batch.value.reveals);
        }
        reveals
    }

    /// What went back, and why.
    fn back(&mut self) -> Vec<(Id, Reason)> {
        let mut back = Vec::new();
        while let Some((_, message)) = self.bench.take(Kind::HandBack) {
            let Message::HandBack(hand_back) = message else { unreachable!("by its kind") };
            let reason = Reason::from_code(hand_back.reason).expect("a reason");
            back.extend(hand_back.tasks.into_iter().map(|task| (task, reason)));
        }
        back
    }

    fn jobs(&self) -> usize {
        self.bench.edge.worker().expect("a worker").jobs()
    }

    fn settle(&mut self, given: &Given, reason: Reason, agreed: &[u32]) {
        let settled = Settled {
            task: given.task,
            reason: reason as u16,
            tag: None,
            agreed: agreed.to_vec(),
            workers: 1,
            cost_ucredits: 0,
            resolve: None,
        };
        self.bench.say(0, settled);
    }
}

#[test]
fn a_task_from_its_lease_to_its_settlement() {
    let mut hands = Hands::new();
    let given = hands.leased(b"work");
    hands.deliver(&given);
    assert_eq!(hands.bench.runs[0].1, b"work");
    hands.run(&given, b"done");
    let commit = hands.commits()[0];
    assert_eq!((commit.task, commit.number), (given.task, 1));
    assert!(hands.reveals().is_empty(), "nothing is shown before it is asked for");
    hands.bench.say(0, wire::Open { tasks: vec![given.task] });
    let reveal = hands.reveals()[0];
    let shown = unit::Reveal {
        tag: Tag::from_bytes(reveal.tag),
        ciphertext: reveal.result_hash,
        nonce: reveal.nonce,
    };
    let account = key(1).account();
    assert_eq!(shown.commit(&given.task, &given.id(), &account).as_bytes(), &commit.commit);
    let tag = TaskKey::of(given.payload.salt(), &given.task).tag(&given.envelope.value, b"done");
    assert_eq!(shown.tag, tag);
    let Some((_, Message::Part(part))) = hands.bench.take(Kind::Part) else { panic!("a result") };
    assert_eq!((part.flow, result_hash(&part.bytes)), (Flow::Result(1), reveal.result_hash));
    hands.settle(&given, Reason::Verified, &[1]);
    let worked = |event: &Event| match event {
        Event::Worked { reason, price_ucredits, .. } => Some((*reason, *price_ucredits)),
        _ => None,
    };
    assert_eq!(hands.bench.event(worked), Some((Reason::Verified, 1_000)));
    assert_eq!((hands.jobs(), hands.back()), (0, vec![]));
}

/// On the disk first: a crash in between does not have it run twice.
#[test]
fn nothing_runs_before_its_opening_is_written_down() {
    let mut hands = Hands::new();
    let given = hands.leased(b"work");
    hands.bench.reports = false;
    hands.deliver(&given);
    assert!(hands.bench.runs.is_empty() && hands.bench.saves.len() == 1);
    let save = hands.bench.saves.pop_front().unwrap();
    ledger::store::Store::commit(&hands.bench.store, save.batch).unwrap();
    hands.bench.step(Input::Stored { ticket: save.ticket });
    assert_eq!(hands.bench.runs.len(), 1);
    // The same bytes after a crash.
    hands.bench.reports = true;
    hands.bench.restart();
    hands.bench.connect(0);
    hands.bench.wait(10_000);
    hands.offers();
    hands.bench.runs.clear();
    let (keys, parts) = hands.sealed(&given, &key(SUBMITTER));
    let mut again = given;
    hands.lease(&mut [&mut again]);
    hands.bench.say(0, keys);
    parts.into_iter().for_each(|part| hands.bench.say(0, part));
    assert_eq!(hands.back(), [(again.task, Reason::PayloadUnreadable)]);
    assert!(hands.bench.runs.is_empty());
}

#[test]
fn what_cannot_be_written_down_goes_back() {
    let mut hands = Hands::new();
    let given = hands.leased(b"work");
    hands.bench.reports = false;
    hands.deliver(&given);
    let ticket = hands.bench.saves[0].ticket;
    hands.bench.step(Input::NotStored { ticket });
    assert_eq!(hands.back(), [(given.task, Reason::NotStored)]);
    assert!(hands.bench.runs.is_empty());
}

#[test]
fn leases_that_are_not_in_order_are_not_taken() {
    let changes: [fn(&mut wire::Lease); 6] = [
        |lease| lease.relay = relay_key(1).account(),
        |lease| lease.worker = key(3).account(),
        |lease| lease.heartbeat_ms = 0,
        |lease| lease.heartbeat_ms = u32::MAX,
        |lease| lease.tasks.clear(),
        |lease| lease.tasks.push(lease.tasks[0]),
    ];
    for change in changes {
        let mut hands = Hands::new();
        let given = hands.given(b"work", |_| {});
        let mut lease = hands.lease_value(&[&given]);
        change(&mut lease);
        let signer = if lease.relay == relay_key(0).account() { relay_key(0) } else { relay_key(1) };
        let lease = Signed::sign(lease, hands.bench.network.id(), &signer);
        hands.bench.say(0, Leased { lease, envelopes: vec![given.envelope] });
        let refused = |event: &Event| matches!(event, Event::LeaseRefused { .. }).then_some(());
        assert!(hands.bench.event(refused).is_some() && hands.jobs() == 0);
    }
    // Signed by nobody.
    let mut hands = Hands::new();
    let given = hands.given(b"work", |_| {});
    let lease = hands.lease_value(&[&given]);
    let mut lease = Signed::sign(lease, hands.bench.network.id(), &relay_key(0));
    lease.value.number += 1;
    hands.bench.say(0, Leased { lease, envelopes: vec![given.envelope] });
    assert_eq!(hands.jobs(), 0);
}

#[test]
fn tasks_that_the_owner_does_not_want_go_back() {
    type Spoil = fn(&mut Envelope);
    let changes: [(Spoil, Reason); 9] = [
        (|e| e.model = Id::from_bytes([8; 32]), Reason::TaskRefused),
        (|e| e.numerics = 2, Reason::TaskRefused),
        (|e| e.price_ucredits = 9, Reason::TaskRefused),
        (|e| e.payload_bytes = (1 << 20) + 1, Reason::TaskRefused),
        (|e| e.max_result_bytes = (1 << 20) + 1, Reason::TaskRefused),
        (|e| e.tier = Tier::Own, Reason::TaskRefused),
        (
            |e| {
                e.tier = Tier::Group;
                e.group = Some(Id::from_bytes([1; 32]));
            },
            Reason::TaskRefused,
        ),
        (|e| e.epoch = 900, Reason::EnvelopeStale),
        (|e| (e.ttl_ms, e.timeout_ms, e.epoch) = (1, 1, 990), Reason::EnvelopeStale),
    ];
    for (change, reason) in changes {
        let mut hands = Hands::new();
        let mut given = hands.given(b"work", change);
        hands.lease(&mut [&mut given]);
        assert_eq!(hands.back(), [(given.task, reason)]);
        assert_eq!(hands.jobs(), 0);
    }
}

#[test]
fn tasks_that_prove_nothing_go_back() {
    let mut hands = Hands::new();
    // An envelope that another signed, or of another task.
    let mut given = hands.given(b"work", |_| {});
    given.envelope.signature = identity::Signature::from_bytes([1; 64]);
    hands.lease(&mut [&mut given]);
    assert_eq!(hands.back(), [(given.task, Reason::EnvelopeUnsigned)]);
    let mut given = hands.given(b"work", |_| {});
    given.task = Id::from_bytes([1; 32]);
    hands.lease(&mut [&mut given]);
    assert_eq!(hands.back(), [(given.task, Reason::EnvelopeUnsigned)]);
    // A stake that it never named.
    let given = hands.given(b"work", |_| {});
    let mut lease = hands.lease_value(&[&given]);
    for stake in [Id::from_bytes([1; 32]), Id::ZERO] {
        lease.tasks[0].stake = stake;
        let lease = Signed::sign(lease.clone(), hands.bench.network.id(), &relay_key(0));
        hands.bench.say(0, Leased { lease, envelopes: vec![given.envelope.clone()] });
        assert_eq!(hands.back(), [(given.task, Reason::StakeMissing)]);
    }
}

#[test]
fn no_more_tasks_than_slots() {
    let mut hands = Hands::new();
    let mut given: Vec<Given> = (0..3u8).map(|n| hands.given(&[n], |_| {})).collect();
    hands.lease(&mut given.iter_mut().collect::<Vec<_>>());
    assert_eq!(hands.back(), [(given[2].task, Reason::Busy)]);
    // A second assignment of a task would be a second vote of one worker.
    given[0].number = 2;
    hands.deliver(&given[1]);
    hands.run(&given[1], b"done");
    let (first, _) = given.split_at_mut(1);
    hands.lease(&mut [&mut first[0]]);
    assert_eq!(hands.back(), [(given[0].task, Reason::HandedBack)]);
    // A finished one takes no slot.
    let third = hands.leased(b"third");
    assert_eq!((hands.back(), hands.jobs()), (vec![], 3));
    hands.deliver(&third);
    assert_eq!(hands.bench.runs.len(), 1);
}

#[test]
fn payloads_that_do_not_open_go_back() {
    // A changed key, a changed byte, a wrong length, a key that is none, another plaintext than the envelope's.
    for case in 0..5 {
        let mut hands = Hands::new();
        let mut given = hands.leased(b"work");
        if case == 4 {
            given.payload = Payload::new(b"other", &mut random).unwrap();
        }
        let (mut keys, mut parts) = hands.sealed(&given, &key(SUBMITTER));
        match case {
            0 => keys.keys[0].key[60] ^= 1,
            1 => parts[0].bytes[90] ^= 1,
            2 => parts[0].total += 1,
            3 => keys.keys[0].key.truncate(9),
            _ => {}
        }
        hands.bench.say(0, keys);
        parts.into_iter().for_each(|part| hands.bench.say(0, part));
        assert_eq!(hands.back(), [(given.task, Reason::PayloadUnreadable)], "case {case}");
        assert!(hands.bench.runs.is_empty());
    }
}

#[test]
fn every_stage_has_its_time() {
    let mut hands = Hands::new();
    let given = hands.leased(b"work");
    hands.bench.wait(PAYLOAD_MS);
    assert_eq!(hands.back(), [(given.task, Reason::NotSealed)]);
    let given = hands.leased(b"more");
    hands.deliver(&given);
    hands.bench.wait(29_999);
    assert!(hands.back().is_empty());
    hands.bench.wait(1);
    assert_eq!(hands.back(), [(given.task, Reason::TimedOut)]);
    assert_eq!(hands.bench.aborts, [given.id()]);
    // Too late for the shell, too.
    hands.bench.step(Input::Done { assignment: given.id(), result: Ok(b"late".to_vec()) });
    assert!(hands.commits().is_empty());
    // A result that nobody asks for is not kept for ever.
    let given = hands.leased(b"last");
    hands.bench.runs.clear();
    hands.deliver(&given);
    hands.run(&given, b"done");
    hands.bench.wait(KEEP_MS);
    assert_eq!((hands.jobs(), hands.back()), (0, vec![]));
}

#[test]
fn results_that_cannot_be_go_back() {
    let mut hands = Hands::new();
    let given = hands.leased(b"work");
    hands.deliver(&given);
    hands.run(&given, &[0; 5_000]);
    assert_eq!(hands.back(), [(given.task, Reason::TaskFailed)]);
    let given = hands.leased(b"more");
    hands.deliver(&given);
    let assignment = hands.bench.runs.pop_front().unwrap().0;
    hands.bench.step(Input::Done { assignment, result: Err(Reason::TaskRefused) });
    assert_eq!(hands.back(), [(given.task, Reason::TaskRefused)]);
    assert!(hands.commits().is_empty() && hands.jobs() == 0);
}

#[test]
fn an_owner_gets_the_machine_back() {
    let mut hands = Hands::new();
    let (running, waiting) = (hands.leased(b"one"), hands.leased(b"two"));
    hands.deliver(&running);
    let paused = Some(Reason::Busy);
    hands.bench.step(Input::Load { duty_permille: 0, paused });
    let mut back = hands.back();
    back.sort();
    let mut wanted = vec![(running.task, Reason::Busy), (waiting.task, Reason::Busy)];
    wanted.sort();
    assert_eq!(back, wanted);
    assert_eq!(hands.bench.aborts, [running.id()]);
    // While it is paused nothing is taken, and the claim is withdrawn.
    let refused = hands.leased(b"three");
    assert_eq!(hands.back(), [(refused.task, Reason::Busy)]);
    hands.bench.wait(20_000);
    assert!(hands.offers() > 0);
    assert_eq!(hands.claim.as_ref().unwrap().slots, 0);
    hands.bench.step(Input::Load { duty_permille: 500, paused: None });
    hands.bench.wait(20_000);
    hands.offers();
    assert_eq!(hands.claim.as_ref().unwrap().slots, 2);
}

#[test]
fn heartbeats_while_something_is_open() {
    let mut hands = Hands::new();
    let given = hands.leased(b"work");
    hands.bench.step(Input::Load { duty_permille: 300, paused: None });
    hands.bench.wait(16_000);
    let mut beats = 0;
    while let Some((_, Message::Heartbeat(beat))) = hands.bench.take(Kind::Heartbeat) {
        assert_eq!((beat.lease, beat.open, beat.duty_permille), (given.lease, 1, 300));
        beats += 1;
    }
    assert_eq!(beats, 3);
    hands.deliver(&given);
    hands.run(&given, b"done");
    hands.bench.wait(16_000);
    assert!(hands.bench.take(Kind::Heartbeat).is_none(), "committed");
}

#[test]
fn a_lost_connection_loses_nothing_for_two_heartbeats() {
    let mut hands = Hands::new();
    let (first, second) = (hands.leased(b"one"), hands.leased(b"two"));
    hands.deliver(&first);
    hands.deliver(&second);
    hands.run(&first, b"done");
    let before = hands.commits();
    hands.bench.disconnect(0);
    hands.bench.wait(5_000);
    // Finished while nobody listens.
    hands.run(&second, b"done");
    hands.bench.wait(4_000);
    hands.bench.connect(0);
    let after = hands.commits();
    assert_eq!((before.len(), after.len()), (1, 2));
    assert!(after.contains(&before[0]), "the same commit");
    hands.bench.disconnect(0);
    hands.bench.wait(10_001);
    assert_eq!(hands.jobs(), 0);
}

#[test]
fn a_task_that_is_over_is_aborted() {
    let mut hands = Hands::new();
    let given = hands.leased(b"work");
    hands.deliver(&given);
    hands.settle(&given, Reason::Cancelled, &[]);
    assert_eq!((hands.bench.aborts.as_slice(), hands.jobs()), (&[given.id()][..], 0));
    let given = hands.leased(b"more");
    let refused = Refused {
        about: given.lease,
        reason: Reason::LeaseUnknown as u16,
        retry_after_ms: 0,
        detail: "".into(),
    };
    hands.bench.say(0, refused);
    assert_eq!(hands.jobs(), 0);
}

#[test]
fn draining_ends_what_runs() {
    let mut hands = Hands::new();
    let (running, waiting) = (hands.leased(b"one"), hands.leased(b"two"));
    hands.deliver(&running);
    hands.bench.step(Input::Drain);
    assert_eq!(hands.back(), [(waiting.task, Reason::Draining)]);
    let refused = hands.leased(b"three");
    assert_eq!(hands.back(), [(refused.task, Reason::Draining)]);
    hands.run(&running, b"done");
    hands.settle(&running, Reason::Verified, &[1]);
    let drained = |event: &Event| matches!(event, Event::Drained).then_some(());
    assert!(hands.bench.event(drained).is_some());
    assert!(hands.bench.take(Kind::Goodbye).is_some());
    hands.bench.wait(600_000);
    assert_eq!(hands.bench.dials.len(), 1, "no other connection");
}
