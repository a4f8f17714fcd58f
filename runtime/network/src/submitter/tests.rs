//! Tasks against relays by hand: every refusal, every timeout, batches, and relays that vanish.

mod lost;

use std::collections::BTreeMap;

use identity::{
    Opened, Prekeys, SealedPayload, WrappedKey,
    seal::{Delivery, OpenGuard, open},
};
use ledger::{
    MICRO,
    op::{LockKind, LockTerms},
    resolve::Payout,
};

use super::*;
use crate::{
    capability::TaskType,
    edge::{
        Input,
        testing::{Bench, key},
    },
    sealed::{TaskKey, assignment, expiry_epoch},
    wire::{self, Assignee, Assurance, Envelope, Kind, Priority, Tier, Verify},
};

fn request(payload: &[u8]) -> Request {
    Request {
        kind: TaskType::Embedding,
        model: Some(Id::from_bytes([7; 32])),
        numerics: 1,
        payload: payload.to_vec(),
        max_result_bytes: 4_096,
        price_ucredits: MICRO,
        verify: Verify::Redundant(2),
        assurance: Assurance::Normal,
        priority: Priority::Normal,
        tier: Tier::Public,
        group: None,
        ttl_ms: 30_000,
        timeout_ms: 20_000,
    }
}

/// What happens at a worker and at the relay, by hand.
struct Hands {
    bench: Bench,
    prekeys: BTreeMap<u8, Prekeys>,
}

struct Sent {
    place: usize,
    task: Id,
    envelope: Envelope,
    escrow: Id,
}

impl Hands {
    fn new(relays: usize) -> Self {
        let mut random = |bytes: &mut [u8]| bytes.iter_mut().enumerate().for_each(|(n, b)| *b = n as u8 + 1);
        let mut ring = |number: u8| {
            let mut prekeys = Prekeys::new(key(number).account());
            prekeys.rotate(&key(number), 1_000, &mut random);
            (number, prekeys)
        };
        let prekeys = [10, 11].map(&mut ring).into();
        Hands { bench: Bench::connected(relays, true, None, 0), prekeys }
    }

    fn submit(&mut self, job: u64, payload: &[u8]) {
        self.bench.step(Input::Submit { job, request: request(payload) });
    }

    fn submitted(&mut self) -> Option<Sent> {
        let (place, message) = self.bench.take(Kind::Submit)?;
        let Message::Submit(submit) = message else { unreachable!("taken by its kind") };
        let task = submit.envelope.check(self.bench.network.id()).expect("signed");
        Some(Sent { place, task, envelope: submit.envelope.value, escrow: submit.escrow })
    }

    fn assignee(&self, number: u32, worker: u8) -> Assignee {
        let prekey = self.prekeys[&worker].current().expect("a prekey").encode().to_vec();
        Assignee { number, worker: key(worker).account(), prekey }
    }

    fn assign(&mut self, sent: &Sent, round: u64, workers: &[(u32, u8)]) {
        let workers = workers.iter().map(|(number, worker)| self.assignee(*number, *worker)).collect();
        let assigned = self.bench.assigned(sent.place, round, sent.task, workers);
        self.bench.say(sent.place, assigned);
    }

    fn payload(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some((_, message)) = self.bench.take(Kind::Part) {
            let Message::Part(part) = message else { unreachable!("taken by its kind") };
            assert_eq!((part.flow, part.offset as usize), (Flow::Payload, bytes.len()));
            bytes.extend(part.bytes);
        }
        bytes
    }

    fn keys(&mut self) -> wire::Keys {
        match self.bench.take(Kind::Keys) {
            Some((_, Message::Keys(keys))) => keys,
            other => panic!("keys: {other:?}"),
        }
    }

    fn open(&mut self, sent: &Sent, keys: &wire::Keys, number: u32, worker: u8, payload: &[u8]) -> Opened {
        let wrapped = keys.keys.iter().find(|key| key.number == number).expect("a key");
        let account = key(worker).account();
        let delivery = Delivery {
            assignment: &assignment(self.bench.network.id(), &sent.task, &sent.envelope, number, &account),
            commit: &identity::PayloadCommit(sent.envelope.payload_commit),
            expiry_epoch: expiry_epoch(&sent.envelope),
            key: &WrappedKey::decode(&wrapped.key).expect("a key"),
            payload: &SealedPayload::decode(payload).expect("a payload"),
        };
        let prekeys = self.prekeys.get_mut(&worker).expect("a worker");
        open(prekeys, &mut OpenGuard::new(), &delivery, 1_000).expect("opens")
    }

    /// The whole way to a result: one worker, whose result the relay forwards.
    fn complete(&mut self, sent: &Sent, round: u64, reason: Reason) {
        self.bench.say(sent.place, Accepted { task: sent.task, ahead: 0 });
        self.assign(sent, round, &[(1, 10)]);
        let (keys, payload) = (self.keys(), self.payload());
        let opened = self.open(sent, &keys, 1, 10, &payload);
        let result = [b"result of ", opened.plain()].concat();
        let tag = TaskKey::of(opened.salt(), &sent.task).tag(&sent.envelope, &result);
        let mut random = |bytes: &mut [u8]| bytes.fill(3);
        let sealed = opened.result_key().seal(&result, &mut random).expect("sealed").encode().to_vec();
        self.bench.say(sent.place, settled(sent.task, reason, Some(*tag.as_bytes()), &[1], MICRO));
        for part in parts(sent.task, Flow::Result(1), &sealed) {
            self.bench.say(sent.place, part);
        }
    }

    fn failed(&mut self) -> Option<(u64, Option<usize>, Reason, u64)> {
        self.bench.event(|event| match event {
            Event::Failed { job, part, reason, cost_ucredits } => {
                Some((*job, *part, *reason, *cost_ucredits))
            }
            _ => None,
        })
    }

    fn result(&mut self) -> Option<(u64, TaskResult)> {
        self.bench.event(|event| match event {
            Event::Result { job, result } => Some((*job, result.clone())),
            _ => None,
        })
    }

    fn refuse(&mut self, sent: &Sent, reason: Reason, retry_after_ms: u32) {
        let refused =
            Refused { about: sent.task, reason: reason as u16, retry_after_ms, detail: String::new() };
        self.bench.say(sent.place, refused);
    }

    fn lock(&self, sent: &Sent) -> Option<LockTerms> {
        let account = self.bench.ledger.account(&self.bench.account())?;
        account.locks.get(&sent.escrow).map(|lock| lock.terms)
    }
}

fn settled(task: Id, reason: Reason, tag: Option<[u8; 32]>, agreed: &[u32], cost_ucredits: u64) -> Settled {
    Settled {
        task,
        reason: reason as u16,
        tag,
        agreed: agreed.to_vec(),
        workers: 2,
        cost_ucredits,
        resolve: None,
    }
}

#[test]
fn a_task_from_its_request_to_its_result() {
    let mut hands = Hands::new(1);
    let quote = request(b"hello").quote().expect("a quote");
    hands.submit(1, b"hello");
    let sent = hands.submitted().expect("submitted");
    let lock = hands.lock(&sent).expect("an escrow");
    assert_eq!((lock.kind, lock.task), (LockKind::TaskEscrow, sent.task));
    assert_eq!((lock.amount_ucredits, quote.most_ucredits), (2 * MICRO, 2 * MICRO));
    assert!(lock.expiry_epoch >= crate::terms::escrow_until_epoch(&sent.envelope, 1_000));
    hands.complete(&sent, 3, Reason::Verified);
    let (job, result) = hands.result().expect("a result");
    assert_eq!((job, result.bytes.as_slice(), result.cost_ucredits), (1, &b"result of hello"[..], MICRO));
    assert!(result.verified && result.agreed == 1);
    assert_eq!(hands.bench.edge.submitter().unwrap().open(), 0);
    assert_eq!(hands.failed(), None);
}

#[test]
fn what_a_relay_takes_without_verification_is_called_so() {
    let mut hands = Hands::new(1);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    hands.complete(&sent, 3, Reason::Unverified);
    assert!(!hands.result().expect("a result").1.verified);
}

#[test]
fn a_later_worker_gets_a_key_and_the_payload_goes_once() {
    let mut hands = Hands::new(1);
    hands.submit(1, b"hello");
    let sent = hands.submitted().expect("submitted");
    hands.assign(&sent, 3, &[(1, 10)]);
    let (first, payload) = (hands.keys(), hands.payload());
    hands.assign(&sent, 5, &[(2, 11)]);
    let second = hands.keys();
    assert!(hands.payload().is_empty());
    assert_eq!(hands.open(&sent, &first, 1, 10, &payload).plain(), b"hello");
    assert_eq!(hands.open(&sent, &second, 2, 11, &payload).plain(), b"hello");
    // The same assignment again gets the same key, another worker under its number none.
    hands.assign(&sent, 5, &[(2, 11)]);
    assert_eq!(hands.keys(), second);
    hands.assign(&sent, 5, &[(2, 10)]);
    assert!(hands.bench.take(Kind::Keys).is_none());
}

#[test]
fn prekeys_that_are_not_the_workers_get_nothing() {
    let mut hands = Hands::new(1);
    hands.submit(1, b"hello");
    let sent = hands.submitted().expect("submitted");
    let mut stolen = hands.assignee(1, 10);
    stolen.worker = key(11).account();
    let mut cut = hands.assignee(2, 10);
    cut.prekey.pop();
    let mut forged = hands.assignee(3, 10);
    *forged.prekey.last_mut().unwrap() ^= 1;
    let assigned = hands.bench.assigned(0, 3, sent.task, vec![stolen, cut, forged, hands.assignee(4, 10)]);
    hands.bench.say(0, assigned);
    let numbers: Vec<u32> = hands.keys().keys.iter().map(|key| key.number).collect();
    assert_eq!(numbers, [4]);
    let refused = |event: &Event| matches!(event, Event::PrekeyRefused { .. }).then_some(());
    assert_eq!((0..4).filter(|_| hands.bench.event(refused).is_some()).count(), 3);
}

#[test]
fn a_draw_that_opens_no_chain_is_given_up() {
    for change in 0..3 {
        let mut hands = Hands::new(1);
        hands.submit(1, b"hello");
        let sent = hands.submitted().expect("submitted");
        let mut assigned = hands.bench.assigned(0, 3, sent.task, vec![hands.assignee(1, 10)]);
        match change {
            0 => assigned.beacon[0] ^= 1,
            1 => assigned.beacon_slot += 1,
            _ => assigned.reveals.clear(),
        }
        hands.bench.say(0, assigned);
        assert!(hands.bench.take(Kind::Keys).is_none() && hands.bench.take(Kind::Cancel).is_some());
        hands.bench.say(0, settled(sent.task, Reason::Cancelled, None, &[], 0));
        assert_eq!(hands.failed(), Some((1, None, Reason::Cancelled, 0)));
    }
}

#[test]
fn refusals_end_a_task_or_delay_it() {
    for reason in [Reason::EscrowShort, Reason::EnvelopeStale, Reason::NobodyCapable, Reason::TermsExceeded] {
        let mut hands = Hands::new(1);
        hands.submit(1, b"x");
        let sent = hands.submitted().expect("submitted");
        hands.refuse(&sent, reason, 0);
        assert_eq!(hands.failed(), Some((1, None, reason, 0)));
    }
    let mut hands = Hands::new(1);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    hands.refuse(&sent, Reason::RateExceeded, 4_000);
    hands.bench.wait(3_900);
    assert!(hands.submitted().is_none());
    hands.bench.wait(200);
    let again = hands.submitted().expect("again");
    assert_eq!((again.task, again.escrow), (sent.task, sent.escrow));
    // It is there already: that is as good as accepted.
    hands.refuse(&again, Reason::Replayed, 0);
    hands.complete(&again, 3, Reason::Verified);
    assert!(hands.result().is_some());
}

#[test]
fn a_door_that_does_not_say_what_it_refused_is_asked_again() {
    let mut hands = Hands::new(1);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    let refuse = |hands: &mut Hands, reason: Reason| {
        let refused =
            Refused { about: Id::ZERO, reason: reason as u16, retry_after_ms: 2_000, detail: String::new() };
        hands.bench.say(0, refused);
        hands.bench.wait(2_100);
    };
    refuse(&mut hands, Reason::Replayed);
    assert!(hands.submitted().is_none());
    refuse(&mut hands, Reason::RateExceeded);
    let again = hands.submitted().expect("again");
    assert_eq!(again.task, sent.task);
    // Keys and payload, too, as they were.
    hands.bench.say(0, Accepted { task: sent.task, ahead: 0 });
    hands.assign(&again, 3, &[(2, 11)]);
    let (keys, payload) = (hands.keys(), hands.payload());
    refuse(&mut hands, Reason::RateExceeded);
    assert_eq!((hands.keys(), hands.payload()), (keys, payload));
}

#[test]
fn a_relay_that_always_puts_off_is_given_up_in_time() {
    let mut hands = Hands::new(1);
    hands.submit(1, b"x");
    for _ in 0..100 {
        if let Some(sent) = hands.submitted() {
            hands.refuse(&sent, Reason::RelayFull, 5_000);
        }
        hands.bench.wait(2_000);
    }
    assert!(matches!(hands.failed(), Some((1, None, Reason::TimedOut, _))));
}

#[test]
fn requests_that_make_no_task_cost_nothing() {
    let broken: [fn(&mut Request); 7] = [
        |r| r.price_ucredits = 0,
        |r| r.price_ucredits = u64::MAX,
        |r| r.verify = Verify::Redundant(8),
        |r| r.ttl_ms = 0,
        |r| r.timeout_ms = MAX_TIME_MS + 1,
        |r| r.tier = Tier::Group,
        |r| r.max_result_bytes = u32::MAX,
    ];
    let mut hands = Hands::new(1);
    for change in broken {
        let mut request = request(b"x");
        change(&mut request);
        assert!(request.quote().is_err());
        hands.bench.step(Input::Submit { job: 1, request });
        assert_eq!(hands.failed(), Some((1, None, Reason::RequestInvalid, 0)));
    }
    hands.bench.step(Input::SubmitBatch { job: 1, parts: Vec::new() });
    assert_eq!(hands.failed(), Some((1, None, Reason::RequestInvalid, 0)));
    assert!(hands.bench.proposed.is_empty());
    hands.submit(2, b"x");
    hands.submit(2, b"y");
    assert_eq!(hands.failed(), Some((2, None, Reason::RequestInvalid, 0)), "a job's number is used once");
    hands.bench.step(Input::Drain);
    hands.submit(3, b"x");
    assert_eq!(hands.failed(), Some((3, None, Reason::Draining, 0)));
}

#[test]
fn without_credits_or_relays_there_is_no_task() {
    let mut hands = Hands::new(1);
    let dear = Request { price_ucredits: 501 * MICRO, ..request(b"x") };
    hands.bench.step(Input::Submit { job: 1, request: dear });
    hands.bench.wait(100);
    assert_eq!(hands.failed(), Some((1, None, Reason::RuleBroken, 0)));
    hands.bench.disconnect(0);
    hands.submit(2, b"x");
    assert_eq!(hands.failed(), Some((2, None, Reason::Silent, 0)));
}

#[test]
fn cancels_before_and_after_the_escrow() {
    let mut hands = Hands::new(1);
    hands.bench.mute.insert(Kind::AskAccount);
    hands.submit(1, b"x");
    hands.bench.step(Input::Cancel { job: 1 });
    assert_eq!(hands.failed(), Some((1, None, Reason::Cancelled, 0)));
    hands.bench.mute.clear();
    hands.bench.wait(20_000);
    assert!(hands.bench.proposed.is_empty(), "nothing was locked");
    hands.submit(2, b"x");
    let sent = hands.submitted().expect("submitted");
    hands.bench.step(Input::Cancel { job: 2 });
    assert!(hands.bench.take(Kind::Cancel).is_some() && hands.failed().is_none());
    hands.bench.say(0, settled(sent.task, Reason::Cancelled, None, &[], 0));
    assert_eq!(hands.failed(), Some((2, None, Reason::Cancelled, 0)));
    // A relay that does not answer: what may have been spent is all of it.
    hands.submit(3, b"x");
    hands.submitted().expect("submitted");
    hands.bench.step(Input::Cancel { job: 3 });
    hands.bench.wait(CANCEL_MS);
    assert_eq!(hands.failed(), Some((3, None, Reason::Cancelled, 2 * MICRO)));
}

/// The relay settles what it took, whatever else it refuses.
#[test]
fn a_cancel_that_comes_too_late_is_told_what_it_cost() {
    let mut hands = Hands::new(1);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    hands.bench.say(0, Accepted { task: sent.task, ahead: 0 });
    hands.refuse(&sent, Reason::LeaseUnknown, 0);
    hands.bench.step(Input::Cancel { job: 1 });
    hands.bench.wait(CANCEL_MS - 1);
    hands.refuse(&sent, Reason::TooLate, 0);
    hands.bench.wait(RESULT_MS - 1);
    assert_eq!(hands.failed(), None);
    hands.bench.say(0, settled(sent.task, Reason::Verified, Some([1; 32]), &[1], MICRO));
    assert_eq!(hands.failed(), Some((1, None, Reason::Cancelled, MICRO)));
    // A relay that has never heard of it says nothing of what it cost.
    hands.submit(2, b"x");
    let sent = hands.submitted().expect("submitted");
    hands.bench.say(0, Accepted { task: sent.task, ahead: 0 });
    hands.refuse(&sent, Reason::TaskUnknown, 0);
    hands.bench.wait(CANCEL_MS);
    assert_eq!(hands.failed(), Some((2, None, Reason::TaskUnknown, 2 * MICRO)));
}

#[test]
fn every_stage_has_its_time() {
    // The escrow.
    let mut hands = Hands::new(1);
    hands.bench.mute.insert(Kind::AskAccount);
    hands.submit(1, b"x");
    hands.bench.wait(ESCROW_MS - 1);
    assert_eq!(hands.failed(), None);
    hands.bench.wait(2);
    assert_eq!(hands.failed(), Some((1, None, Reason::TimedOut, 0)));
    // The relay, accepted or not; a draw gives it a worker's time once more.
    for (accepts, assigns) in [(false, false), (true, false), (true, true)] {
        let mut hands = Hands::new(1);
        hands.submit(1, b"x");
        let sent = hands.submitted().expect("submitted");
        let life_ms = 30_000 + 20_000 + MARGIN_MS;
        if accepts {
            hands.bench.say(0, Accepted { task: sent.task, ahead: 0 });
        }
        hands.bench.wait(life_ms - 1_000);
        if assigns {
            hands.assign(&sent, 3, &[(1, 10)]);
            hands.bench.wait(20_000 + MARGIN_MS - 1_000);
        }
        assert!(hands.bench.take(Kind::Cancel).is_none());
        hands.bench.wait(1_001);
        assert!(hands.bench.take(Kind::Cancel).is_some());
        hands.bench.wait(CANCEL_MS);
        assert_eq!(hands.failed(), Some((1, None, Reason::TimedOut, 2 * MICRO)));
    }
    // The result, once it is settled.
    let mut hands = Hands::new(1);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    hands.assign(&sent, 3, &[(1, 10)]);
    hands.bench.say(0, settled(sent.task, Reason::Verified, Some([1; 32]), &[1], MICRO));
    hands.bench.wait(RESULT_MS);
    assert_eq!(hands.failed(), Some((1, None, Reason::NotDelivered, MICRO)));
}

#[test]
fn settlements_without_a_result_end_with_their_reason() {
    for reason in [Reason::Expired, Reason::NobodyCapable, Reason::Inconclusive, Reason::Restarted] {
        let mut hands = Hands::new(1);
        hands.submit(1, b"x");
        let sent = hands.submitted().expect("submitted");
        hands.bench.say(0, settled(sent.task, reason, None, &[], 0));
        assert_eq!(hands.failed(), Some((1, None, reason, 0)));
    }
}

#[test]
fn a_result_of_another_tag_is_not_taken() {
    let mut hands = Hands::new(1);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    hands.assign(&sent, 3, &[(1, 10)]);
    let (keys, payload) = (hands.keys(), hands.payload());
    let opened = hands.open(&sent, &keys, 1, 10, &payload);
    let mut random = |bytes: &mut [u8]| bytes.fill(3);
    let sealed = opened.result_key().seal(b"lie", &mut random).unwrap().encode().to_vec();
    let tag = TaskKey::of(opened.salt(), &sent.task).tag(&sent.envelope, b"truth");
    for part in parts(sent.task, Flow::Result(1), &sealed) {
        hands.bench.say(0, part);
    }
    hands.bench.say(0, settled(sent.task, Reason::Verified, Some(*tag.as_bytes()), &[1], MICRO));
    assert_eq!(hands.failed(), Some((1, None, Reason::ResultWrong, MICRO)));
}

#[test]
fn parts_of_results_are_bounded() {
    let part = |offset: u32, total: u32, bytes: usize| Part {
        task: Id::ZERO,
        flow: Flow::Payload,
        offset,
        total,
        bytes: vec![offset as u8; bytes],
    };
    let mut gather = Gather::default();
    assert_eq!(gather.take(&part(0, 10, 4), 10), Ok(false));
    assert_eq!(gather.take(&part(0, 10, 4), 10), Ok(false), "known already");
    assert_eq!(gather.take(&part(6, 10, 4), 10), Err(result::NotInOrder));
    assert_eq!(gather.take(&part(4, 11, 4), 11), Err(result::NotInOrder));
    assert_eq!(gather.take(&part(4, 10, 7), 10), Err(result::NotInOrder));
    assert_eq!(gather.take(&part(2, 10, 8), 10), Ok(true));
    assert_eq!(gather.bytes(), [0, 0, 0, 0, 2, 2, 2, 2, 2, 2]);
    assert_eq!(Gather::default().take(&part(0, 11, 4), 10), Err(result::NotInOrder));
    assert_eq!(Gather::default().take(&part(0, 0, 0), 10), Err(result::NotInOrder));
    assert_eq!(Gather::default().take(&part(u32::MAX, 10, 4), 10), Err(result::NotInOrder));
}

#[test]
fn a_batch_comes_in_the_order_of_its_parts() {
    let mut hands = Hands::new(1);
    let parts: Vec<Request> = (0..5u8).map(|n| request(&[n])).collect();
    hands.bench.step(Input::SubmitBatch { job: 9, parts });
    hands.bench.wait(1_000);
    let mut sents: Vec<Sent> = std::iter::from_fn(|| hands.submitted()).collect();
    assert_eq!(sents.len(), 5);
    sents.reverse();
    for (n, sent) in sents.iter().enumerate() {
        hands.complete(sent, 3 + n as u64, Reason::Verified);
    }
    let (parts, cost) = hands
        .bench
        .event(|event| match event {
            Event::BatchResult { job: 9, parts, cost_ucredits } => Some((parts.clone(), *cost_ucredits)),
            _ => None,
        })
        .expect("a result");
    let bytes: Vec<Vec<u8>> = parts.into_iter().map(|part| part.bytes).collect();
    let wanted: Vec<Vec<u8>> = (0..5u8).map(|n| [&b"result of "[..], &[n]].concat()).collect();
    assert_eq!((bytes, cost), (wanted, 5 * MICRO));
}

#[test]
fn a_part_is_tried_twice_and_then_fails_its_batch() {
    let mut hands = Hands::new(1);
    let parts: Vec<Request> = (0..3u8).map(|n| request(&[n])).collect();
    hands.bench.step(Input::SubmitBatch { job: 9, parts });
    hands.bench.wait(1_000);
    let sents: Vec<Sent> = std::iter::from_fn(|| hands.submitted()).collect();
    hands.bench.say(0, settled(sents[1].task, Reason::Inconclusive, None, &[], 0));
    hands.bench.wait(1_000);
    let again = hands.submitted().expect("the part again");
    assert_ne!((again.task, again.escrow), (sents[1].task, sents[1].escrow));
    assert_eq!(hands.failed(), None);
    hands.bench.say(0, settled(again.task, Reason::Inconclusive, None, &[], 0));
    // The others are given up, and the batch names the part.
    let cancelled: Vec<Id> = std::iter::from_fn(|| match hands.bench.take(Kind::Cancel)? {
        (_, Message::Cancel(cancel)) => Some(cancel.task),
        _ => None,
    })
    .collect();
    assert_eq!(cancelled.len(), 2);
    for task in cancelled {
        hands.bench.say(0, settled(task, Reason::Cancelled, None, &[], 0));
    }
    assert_eq!(hands.failed(), Some((9, Some(1), Reason::Inconclusive, 0)));
    assert_eq!(hands.bench.edge.submitter().unwrap().open(), 0);
}

#[test]
fn a_large_batch_goes_a_few_parts_at_a_time() {
    let mut hands = Hands::new(1);
    let parts: Vec<Request> = (0..PARTS_AT_ONCE as u8 + 3).map(|n| request(&[n])).collect();
    hands.bench.step(Input::SubmitBatch { job: 9, parts });
    hands.bench.wait(1_000);
    let sents: Vec<Sent> = std::iter::from_fn(|| hands.submitted()).collect();
    assert_eq!(sents.len(), PARTS_AT_ONCE);
    hands.complete(&sents[0], 3, Reason::Verified);
    hands.bench.wait(1_000);
    assert!(hands.submitted().is_some());
    hands.bench.step(Input::Cancel { job: 9 });
    hands.bench.wait(CANCEL_MS + 1_000);
    assert!(matches!(hands.failed(), Some((9, None, Reason::Cancelled, _))));
}

#[test]
fn strangers_messages_change_nothing() {
    let mut hands = Hands::new(2);
    hands.submit(1, b"x");
    let sent = hands.submitted().expect("submitted");
    // Another relay speaks of the task.
    hands.bench.say(1, settled(sent.task, Reason::Expired, None, &[], 0));
    hands.bench.say(1, Accepted { task: sent.task, ahead: 0 });
    let refused = Refused {
        about: sent.task,
        reason: Reason::EscrowShort as u16,
        retry_after_ms: 0,
        detail: String::new(),
    };
    hands.bench.say(1, refused);
    assert_eq!(hands.failed(), None);
    hands.complete(&sent, 3, Reason::Verified);
    assert!(hands.result().is_some());
}
