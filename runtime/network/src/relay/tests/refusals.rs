//! Every reason that a relay has to say no.

use std::collections::BTreeSet;

use identity::AccountId;
use ledger::{
    Id, MICRO,
    op::{Action, LockKind},
};

use super::town::*;
use crate::{
    capability::TaskType,
    limits::{self, Block},
    node::Link,
    queue,
    reason::Reason,
    relay::{Config, Event, Input},
    terms,
    wire::{
        Auth, Claim, Envelope, Flow, HandBack, Heartbeat, Hello, Keys, Message, Part, Ping, Proposal,
        Propose, Roles, Signable, Signed, Submit, Tier, Verify, WrappedFor,
    },
};

fn reason(town: &mut Town, seed: u8) -> Reason {
    town.refusal(seed).expect("refused").0
}

/// The last thing a connection was told, if it was goodbye.
fn goodbye(town: &mut Town, seed: u8) -> Option<Reason> {
    match town.take(seed).pop() {
        Some(Message::Goodbye(goodbye)) => Reason::from_code(goodbye.reason),
        _ => None,
    }
}

fn hello(seed: u8) -> Hello {
    let (account, roles) = (account(seed), Roles::SUBMITTER);
    Hello { min_version: 1, max_version: 1, account, roles, nonce: [seed; 32], agent: String::new() }
}

#[test]
fn openings() {
    let mut town = Town::new();
    let ended = |town: &mut Town, message: Message| {
        let link = town.open_link(ANN);
        town.send(ANN, message);
        assert!(town.closed.contains(&link));
        goodbye(town, ANN).expect("a reason")
    };
    assert_eq!(
        ended(&mut town, Ping { token: 1 }.into()),
        Reason::MessageUnexpected,
        "not before it is open"
    );
    let old = Hello { min_version: 7, max_version: 9, ..hello(ANN) };
    assert_eq!(ended(&mut town, old.into()), Reason::VersionUnknown);
    let weak = Hello { account: AccountId::from_bytes([0; 32]), ..hello(ANN) };
    assert_eq!(ended(&mut town, weak.into()), Reason::KeyWeak);
    let early = Auth { signature: key(ANN).sign(b""), prekey: None };
    assert_eq!(ended(&mut town, early.into()), Reason::MessageUnexpected);

    town.open_link(ANN);
    town.send(ANN, hello(ANN));
    town.take(ANN);
    town.send(ANN, Auth { signature: key(ANN).sign(b"another"), prekey: None });
    assert_eq!(goodbye(&mut town, ANN), Some(Reason::NotProved));
    town.open_link(ANN);
    town.send_bytes(ANN, vec![1, 2, 3]);
    assert_eq!(goodbye(&mut town, ANN), Some(Reason::FrameInvalid));
}

#[test]
fn a_frozen_account_does_not_come_in() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    let ops = [Action::Noop, town.lock(LockKind::BaseStake, Id::ZERO, MICRO, 0)];
    let ops = ops.map(|action| {
        let op = town.relay.ledger().draft(&account(ANN), action, EPOCH).expect("a draft");
        op.sign(&town.network(), &key(ANN))
    });
    for op in &ops {
        town.send(ANN, Propose { proposal: Proposal::Op(op.encode()) });
    }
    assert!(town.events.iter().any(|event| matches!(event, Event::Fork { .. })), "{:?}", town.events);
    let refused = town.take(ANN).pop();
    assert!(
        matches!(&refused, Some(Message::Refused(r)) if r.reason == Reason::RuleBroken as u16),
        "{refused:?}"
    );
    town.open_link(ANN);
    town.send(ANN, Hello { nonce: [77; 32], ..hello(ANN) });
    let Some(Message::Challenge(challenge)) = town.take(ANN).pop() else { panic!("no challenge") };
    let said = crate::wire::auth_message(&Hello { nonce: [77; 32], ..hello(ANN) }, &challenge);
    town.send(ANN, Auth { signature: key(ANN).sign(said.as_bytes()), prekey: None });
    assert_eq!(goodbye(&mut town, ANN), Some(Reason::AccountFrozen));
}

#[test]
fn one_connection_an_account_and_no_more_than_there_is_room_for() {
    let mut town = Town::with(Config { max_links: 2, ..config() });
    let first = town.connect(ANN, Roles::SUBMITTER);
    let second = town.connect(ANN, Roles::SUBMITTER);
    let told = town.said.get(&first).and_then(|said| said.last());
    assert!(matches!(told, Some(Message::Goodbye(g)) if g.reason == Reason::Replaced as u16), "{told:?}");
    assert_eq!((town.closed.clone(), town.relay.links()), (vec![first], 1));
    town.open_link(2);
    let third = town.open_link(3);
    assert_eq!(town.closed, [first, third]);
    // What the shell says of a connection that is gone already changes nothing.
    town.step(Input::Closed { link: first });
    town.step(Input::Frame { link: Link(999), bytes: vec![0; 9] });
    town.send(ANN, Ping { token: 7 });
    assert!(matches!(town.said.get(&second).map(|said| &said[..]), Some([Message::Pong(p)]) if p.token == 7));
}

#[test]
fn messages_that_do_not_belong_here() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.send(ANN, crate::wire::Accepted { task: Id::ZERO, ahead: 0 });
    assert_eq!(reason(&mut town, ANN), Reason::MessageUnexpected);
    // Another's operation, and what only relays decide.
    let op = town.relay.ledger().draft(&account(11), Action::Noop, EPOCH).expect("a draft");
    let op = op.sign(&town.network(), &key(11)).encode();
    for proposal in [Proposal::Op(op), Proposal::Op(vec![1]), Proposal::Checkpoint(vec![2])] {
        town.send(ANN, Propose { proposal });
        assert_eq!(reason(&mut town, ANN), Reason::MessageUnexpected);
    }
}

#[test]
fn operations_that_break_a_rule() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    let op = town.relay.ledger().draft(&account(ANN), Action::Noop, EPOCH).expect("a draft");
    let late = ledger::op::Op { seq: 5, ..op }.sign(&town.network(), &key(ANN));
    town.send(ANN, Propose { proposal: Proposal::Op(late.encode()) });
    let (reason, rule) = town.refusal(ANN).expect("refused");
    assert_eq!((reason, rule.as_str()), (Reason::RuleBroken, ledger::Rule::SequenceFollows.code()));
}

#[test]
fn rates_and_replays() {
    let mut town = Town::with(Config { limits: limits::Settings::default(), ..config() });
    town.connect(ANN, Roles::SUBMITTER);
    let mut sent = 0;
    loop {
        town.send(ANN, crate::wire::Cancel { task: Id::from_bytes([sent; 32]) });
        match town.take(ANN).pop() {
            Some(Message::Refused(r)) if r.reason == Reason::TaskUnknown as u16 => sent += 1,
            Some(Message::Refused(r)) => {
                assert_eq!(Reason::from_code(r.reason), Some(Reason::RateExceeded));
                assert!(r.retry_after_ms > 0);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(sent > 100, "{sent}");

    let mut town = Town::new();
    town.connect(WORKERS[0], Roles::WORKER);
    let stale = Claim { until_epoch: EPOCH - 1, ..claim(WORKERS[0], 1, vec![]) };
    town.offer(WORKERS[0], stale.clone());
    assert_eq!(reason(&mut town, WORKERS[0]), Reason::ClaimInvalid);
    town.offer(WORKERS[0], stale);
    assert_eq!(reason(&mut town, WORKERS[0]), Reason::Replayed, "and it is not read again");
    assert_eq!(town.relay.counters().replayed, 1);
}

/// Submits a task whose envelope or escrow is wrong in one way.
fn submitted(
    change: impl FnOnce(&mut Envelope),
    lock: impl FnOnce(&Town, Id, u64) -> Action,
    from: impl FnOnce(&mut Submit),
) -> Reason {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    let mut envelope = envelope(1, Verify::Redundant(3));
    change(&mut envelope);
    let id = envelope.id(&town.network());
    let most = terms::most_ucredits(envelope.price_ucredits, envelope.verify).expect("an amount").max(1);
    let action = lock(&town, id, most);
    let escrow = town.act(ANN, action);
    let mut submit =
        Submit { envelope: Signed { value: envelope, signature: key(ANN).sign(b"") }, escrow, avoid: vec![] };
    let signer = submit.envelope.value.id(&town.network());
    submit.envelope.signature = key(ANN).sign(signer.as_bytes());
    from(&mut submit);
    town.send(ANN, submit);
    assert_eq!(town.relay.capacity().open_tasks, 0);
    reason(&mut town, ANN)
}

fn good(town: &Town, task: Id, most: u64) -> Action {
    town.lock(LockKind::TaskEscrow, task, most, 100)
}

#[test]
fn envelopes() {
    let with = |change: fn(&mut Envelope)| submitted(change, good, |_| {});
    let invalid: [fn(&mut Envelope); 9] = [
        |e| e.verify = Verify::Redundant(0),
        |e| e.verify = Verify::Redundant(8),
        |e| e.tier = Tier::Group,
        |e| e.group = Some(Id::ZERO),
        |e| e.ttl_ms = 0,
        |e| e.timeout_ms = 0,
        |e| e.payload_bytes = 0,
        |e| e.max_result_bytes = 0,
        |e| e.price_ucredits = 0,
    ];
    for change in invalid {
        assert_eq!(with(change), Reason::EnvelopeInvalid);
    }
    let exceeded: [fn(&mut Envelope); 4] = [
        |e| e.payload_bytes = u32::MAX,
        |e| e.max_result_bytes = u32::MAX,
        |e| e.ttl_ms = u32::MAX,
        |e| e.timeout_ms = u32::MAX,
    ];
    for change in exceeded {
        assert_eq!(with(change), Reason::TermsExceeded);
    }
    assert_eq!(with(|e| e.epoch = EPOCH - 6), Reason::EnvelopeStale);
    assert_eq!(with(|e| e.epoch = EPOCH + 6), Reason::EnvelopeStale);
    let unsigned = submitted(|_| {}, good, |s| s.envelope.value.price_ucredits += 1);
    assert_eq!(unsigned, Reason::EnvelopeUnsigned);
    let others = submitted(
        |e| e.submitter = account(2),
        good,
        |s| {
            let name = s.envelope.value.id(Town::new().relay.ledger().network().id());
            s.envelope.signature = key(2).sign(name.as_bytes());
        },
    );
    assert_eq!(others, Reason::EnvelopeUnsigned);
}

#[test]
fn escrows() {
    let with = |lock: fn(&Town, Id, u64) -> Action| submitted(|_| {}, lock, |_| {});
    assert_eq!(with(|town, _, most| good(town, Id::ZERO, most)), Reason::EscrowMissing, "of another task");
    assert_eq!(with(|town, task, most| good(town, task, most - 1)), Reason::EscrowShort);
    assert_eq!(with(|town, task, most| town.lock(LockKind::TaskEscrow, task, most, 2)), Reason::EscrowEnds);
    let other = |town: &Town, task: Id, most: u64| match good(town, task, most) {
        Action::Lock(mut terms) => {
            terms.policy.authority = account(9);
            Action::Lock(terms)
        }
        _ => unreachable!("a lock"),
    };
    assert_eq!(submitted(|_| {}, other, |_| {}), Reason::EscrowMissing, "for another relay");
    assert_eq!(submitted(|_| {}, good, |s| s.escrow = Id::ZERO), Reason::EscrowMissing);
}

#[test]
fn too_many_tasks() {
    let few = queue::Settings { max_open_per_share: 1, ..queue::Settings::default() };
    let mut town = Town::with(Config { queue: few, ..config() });
    town.connect(ANN, Roles::SUBMITTER);
    town.submit(&envelope(1, Verify::Redundant(1)));
    town.take(ANN);
    town.submit(&envelope(2, Verify::Redundant(1)));
    assert_eq!(reason(&mut town, ANN), Reason::OpenTasksExceeded);

    let full = queue::Settings { max_open: 4, ..queue::Settings::default() };
    let mut town = Town::with(Config { queue: full, ..config() });
    town.connect(ANN, Roles::SUBMITTER);
    town.submit(&envelope(1, Verify::Redundant(1)));
    town.take(ANN);
    town.submit(&envelope(2, Verify::Redundant(1)));
    assert_eq!(reason(&mut town, ANN), Reason::RelayFull, "a quarter is for the unstaked");

    // Each may need 1,100 bytes.
    let mut town = Town::with(Config { max_held_bytes: 2_000, ..config() });
    town.connect(ANN, Roles::SUBMITTER);
    let first = town.submit(&envelope(1, Verify::Redundant(1)));
    town.take(ANN);
    town.submit(&envelope(2, Verify::Redundant(1)));
    assert_eq!(reason(&mut town, ANN), Reason::RelayFull);
    town.send(ANN, crate::wire::Cancel { task: first });
    town.take(ANN);
    town.submit(&envelope(3, Verify::Redundant(1)));
    assert!(matches!(town.take(ANN)[..], [Message::Accepted(_)]), "there is room again");
}

#[test]
fn a_task_that_could_not_be_written_down_is_none() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    let envelope = envelope(1, Verify::Redundant(1));
    let id = envelope.id(&town.network());
    let escrow = town.act(ANN, good(&town, id, 5_000));
    town.holds_saves = true;
    town.send_task(&envelope, escrow);
    assert_eq!(town.take(ANN), [], "not accepted before it is durable");
    town.store(false);
    assert_eq!(reason(&mut town, ANN), Reason::NotStored);
    assert_eq!(town.relay.capacity().open_tasks, 0);
    town.holds_saves = false;
    town.send_task(&envelope, escrow);
    assert!(matches!(town.take(ANN)[..], [Message::Accepted(_)]));
}

#[test]
fn claims() {
    let worker = WORKERS[0];
    let mut town = Town::new();
    let stakes = town.worker(worker, 2);
    let base = Claim { number: 2, ..claim(worker, 2, stakes.clone()) };
    let refused = |town: &mut Town, claim: Claim| {
        town.offer(worker, claim);
        reason(town, worker)
    };
    let slots = Claim { slots: 65, ..base.clone() };
    assert_eq!(refused(&mut town, slots), Reason::ClaimInvalid);
    let twice = Claim { stakes: vec![stakes[0]; 2], ..base.clone() };
    assert_eq!(refused(&mut town, twice), Reason::ClaimInvalid);
    assert_eq!(refused(&mut town, Claim { number: 0, ..base.clone() }), Reason::ClaimInvalid);
    let few = Claim { stakes: stakes[..1].to_vec(), ..base.clone() };
    assert_eq!(refused(&mut town, few), Reason::StakeMissing);
    let others = Claim { stakes: vec![stakes[0], Id::ZERO], ..base.clone() };
    assert_eq!(refused(&mut town, others), Reason::StakeMissing);
    let signed_by = |claim: Claim, seed: u8| {
        let name = claim.id(&Town::new().network());
        crate::wire::Offer {
            claim: Signed { value: claim, signature: key(seed).sign(name.as_bytes()) },
            prekey: None,
        }
    };
    town.send(worker, signed_by(base.clone(), ANN));
    assert_eq!(reason(&mut town, worker), Reason::ClaimUnsigned);
    town.send(worker, signed_by(claim(NEWCOMER, 1, vec![]), NEWCOMER));
    assert_eq!(reason(&mut town, worker), Reason::ClaimUnsigned, "another's claim");
    let mut offer = signed_by(Claim { number: 3, ..base.clone() }, worker);
    offer.prekey = Some(vec![1]);
    town.send(worker, offer);
    assert_eq!(reason(&mut town, worker), Reason::PrekeyInvalid);
    assert_eq!(town.relay.capacity().free_slots, 2, "the first claim stands through all of it");

    town.connect(ANN, Roles::SUBMITTER);
    town.offer(ANN, claim(ANN, 1, vec![]));
    assert_eq!(reason(&mut town, ANN), Reason::PrekeyInvalid, "who only submits has none");
    town.connect(NEWCOMER, Roles::WORKER);
    town.offer(NEWCOMER, claim(NEWCOMER, 1, vec![stakes[0]]));
    assert_eq!(reason(&mut town, NEWCOMER), Reason::StakeMissing, "without a whole base stake");
}

#[test]
fn what_is_not_ones_own() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    let (one, other) = (WORKERS[0], WORKERS[1]);
    town.worker(one, 1);
    town.connect(other, Roles::WORKER);
    let task = town.submit(&envelope(1, Verify::Redundant(1)));
    town.pass(250);
    let part = |flow: Flow, offset: u32, total: u32| Part { task, flow, offset, total, bytes: vec![0; 50] };
    // Strangers to the task.
    town.send(other, Keys { task, keys: vec![] });
    assert_eq!(reason(&mut town, other), Reason::TaskUnknown);
    town.send(other, part(Flow::Payload, 0, 100));
    assert_eq!(reason(&mut town, other), Reason::TaskUnknown);
    town.send(other, crate::wire::Cancel { task });
    assert_eq!(reason(&mut town, other), Reason::TaskUnknown);
    town.send(other, result(task, 0, 1));
    assert_eq!(reason(&mut town, other), Reason::LeaseUnknown);
    // The submitter's own mistakes.
    let drawn = town.seal(task, false);
    assert_eq!(drawn, [one]);
    town.send(ANN, Keys { task, keys: vec![WrappedFor { number: 7, key: vec![] }] });
    assert_eq!(reason(&mut town, ANN), Reason::LeaseUnknown);
    for (flow, offset, total, why) in [
        (Flow::Payload, 0, 99, Reason::EnvelopeInvalid),
        (Flow::Payload, 10, 100, Reason::FrameInvalid),
        (Flow::Payload, 60, 100, Reason::FrameInvalid),
    ] {
        town.send(ANN, part(flow, offset, total));
        assert_eq!(reason(&mut town, ANN), why);
    }
    town.send(ANN, part(Flow::Payload, 0, 100));
    town.send(ANN, part(Flow::Payload, 0, 100));
    assert_eq!(town.take(ANN), [], "twice is no mistake");
    town.send(ANN, part(Flow::Payload, 25, 100));
    assert_eq!(reason(&mut town, ANN), Reason::FrameInvalid, "half of it again is");
    town.send(ANN, part(Flow::Payload, 50, 100));
    let lease = town.got(one);
    // Leases and results.
    town.send(other, Heartbeat { lease: lease.0, open: 1, duty_permille: 0 });
    assert_eq!(reason(&mut town, other), Reason::LeaseUnknown);
    town.send(other, HandBack { lease: lease.0, tasks: vec![task], reason: 405 });
    assert_eq!(reason(&mut town, other), Reason::LeaseUnknown);
    town.commit_to(other, task, lease, 1);
    assert_eq!(reason(&mut town, other), Reason::LeaseUnknown);
    town.send(one, result(task, 0, 1));
    assert_eq!(reason(&mut town, one), Reason::MessageUnexpected, "before it is opened");
    town.commit_to(one, task, (lease.0, 3), 1);
    assert_eq!(reason(&mut town, one), Reason::LeaseUnknown);
    town.commit_to(one, task, lease, 1);
    assert!(matches!(town.take(one)[..], [Message::Open(_)]));
    town.commit_to(one, task, lease, 2);
    assert_eq!(reason(&mut town, one), Reason::TooLate, "bound once");
    let long = Part { total: 1_001, ..result(task, 0, 1) };
    town.send(one, long);
    assert_eq!(reason(&mut town, one), Reason::TermsExceeded);
}

/// A result that is not what was bound is not taken, nor one that nobody can read.
#[test]
fn a_broken_commit_counts_for_nothing() {
    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    let worker = WORKERS[0];
    town.worker(worker, 1);
    let task = town.submit(&envelope(1, Verify::Redundant(1)));
    town.pass(250);
    town.seal(task, true);
    let lease = town.got(worker);
    town.commit_to(worker, task, lease, 1);
    town.take(worker);
    town.reveal(worker, task, lease, 2);
    assert_eq!(reason(&mut town, worker), Reason::CommitBroken);
    assert_eq!(town.take(ANN), [], "nothing was settled");

    let mut town = Town::new();
    town.connect(ANN, Roles::SUBMITTER);
    town.worker(worker, 1);
    let task = town.submit(&envelope(1, Verify::Redundant(1)));
    town.pass(250);
    town.seal(task, true);
    let lease = town.got(worker);
    town.commit_to(worker, task, lease, 1);
    town.take(worker);
    town.send(worker, Part { bytes: vec![9; 50], ..result(task, lease.1, 1) });
    town.reveal(worker, task, lease, 1);
    let said = town.take(worker);
    let broken = |m: &Message| matches!(m, Message::Refused(r) if r.reason == Reason::CommitBroken as u16);
    assert!(said.iter().any(broken), "{said:?}");
    assert_eq!(town.take(ANN), []);
}

/// Groups and own devices: nobody else is drawn.
#[test]
fn who_may_not_see_a_task_does_not_get_it() {
    let group = Id::from_bytes([3; 32]);
    let drawn = |tier: Tier, named: Option<Id>, groups: Vec<Id>| {
        let mut town = Town::new();
        town.connect(ANN, Roles::SUBMITTER);
        let worker = WORKERS[0];
        let stakes = town.worker(worker, 1);
        town.offer(worker, Claim { number: 2, groups, ..claim(worker, 1, stakes) });
        let envelope = Envelope { tier, group: named, ..envelope(1, Verify::Redundant(1)) };
        town.submit(&envelope);
        town.pass(5_000);
        !town.take(worker).is_empty()
    };
    assert!(drawn(Tier::Public, None, vec![]));
    assert!(!drawn(Tier::Own, None, vec![group]));
    assert!(!drawn(Tier::Group, Some(group), vec![Id::ZERO]));
    assert!(drawn(Tier::Group, Some(group), vec![group]));
}

/// Whom the submitter avoids, whoever cannot, and whoever has too little at risk.
#[test]
fn who_is_left_out_of_the_draw() {
    let drawn = |change: fn(&mut Envelope), avoid: Vec<[u8; 32]>| {
        let mut town = Town::new();
        town.connect(ANN, Roles::SUBMITTER);
        town.worker(WORKERS[0], 1);
        let mut envelope = envelope(1, Verify::Redundant(1));
        change(&mut envelope);
        let id = envelope.id(&town.network());
        let escrow = town.act(ANN, good(&town, id, envelope.price_ucredits));
        let envelope = Signed::sign(envelope, &town.network(), &key(ANN));
        town.send(ANN, Submit { envelope, escrow, avoid });
        town.pass(5_000);
        let got: BTreeSet<bool> =
            town.take(WORKERS[0]).iter().map(|m| matches!(m, Message::Leased(_))).collect();
        got == BTreeSet::from([true])
    };
    assert!(drawn(|_| {}, vec![]));
    assert!(!drawn(|_| {}, vec![*account(WORKERS[0]).as_bytes()]));
    assert!(!drawn(|e| e.kind = TaskType::CustomWasm, vec![]));
    assert!(!drawn(|e| e.numerics = 2, vec![]));
    assert!(!drawn(|e| e.model = Id::ZERO.max(Id::from_bytes([8; 32])), vec![]));
    // 200 credits at a quarter of checks carry 33.
    assert!(drawn(|e| e.price_ucredits = 33 * MICRO, vec![]));
    assert!(!drawn(|e| e.price_ucredits = 34 * MICRO, vec![]));
}

#[test]
fn more_data_than_was_granted_ends_a_connection() {
    let mut town = Town::new();
    let link = town.open_link(ANN);
    let block = Block::V4([10, 0, ANN]);
    town.step(Input::Opened { link: Link(link.0 + 50), block });
    let before = town.closed.len();
    town.connect(ANN, Roles::SUBMITTER);
    let part = Part {
        task: Id::ZERO,
        flow: Flow::Payload,
        offset: 0,
        total: 1 << 30,
        bytes: vec![0; Part::MAX_BYTES],
    };
    // What comes is granted again as it comes, so an edge that waits for grants may go on for ever.
    for n in 0..20 {
        town.send(ANN, part.clone());
        assert_eq!(town.closed.len(), before, "{n}");
    }
    let granted: u64 = town
        .take(ANN)
        .iter()
        .map(|m| if let Message::Grant(grant) = m { u64::from(grant.bytes) } else { 0 })
        .sum();
    assert!(granted >= 8 << 20, "{granted}");
}
