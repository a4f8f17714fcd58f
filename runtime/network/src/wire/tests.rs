//! Golden bytes, caps, and bytes of strangers.

use std::collections::BTreeSet;

use identity::{AccountId, SecretKey, Signature};
use ledger::Id;
use proptest::prelude::*;

use super::*;
use crate::{
    capability::{Backend, Capability, TaskType, TaskTypes},
    draw::Head,
};

const NETWORK: Id = id(0xee);

const fn id(byte: u8) -> Id {
    Id::from_bytes([byte; 32])
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn account(seed: u8) -> AccountId {
    key(seed).account()
}

fn envelope() -> Envelope {
    Envelope {
        submitter: account(1),
        nonce: 7,
        kind: TaskType::Embedding,
        model: id(0x33),
        numerics: 1,
        payload_commit: [0x44; 32],
        payload_bytes: 1_024,
        max_result_bytes: 200_000,
        price_ucredits: 5_000_000,
        verify: Verify::Redundant(3),
        assurance: Assurance::High,
        priority: Priority::Normal,
        tier: Tier::Group,
        group: Some(id(0x55)),
        epoch: 1_000,
        ttl_ms: 60_000,
        timeout_ms: 30_000,
    }
}

fn claim() -> Claim {
    Claim {
        worker: account(2),
        number: 3,
        capability: Capability {
            types: TaskTypes(0b1101),
            models: [id(0x33)].into(),
            numerics: 1,
            memory_mib: 512,
            backend: Backend::Gpu,
        },
        slots: 2,
        stakes: vec![id(0x66), id(0x67)],
        site: Some(id(0x68)),
        region: Some(*b"ch"),
        groups: vec![],
        until_epoch: 1_100,
    }
}

fn lease() -> Lease {
    let task = LeasedTask { task: id(0x77), number: 1, commit_ms: 30_000, stake: id(0x66) };
    Lease {
        relay: account(3),
        worker: account(2),
        number: 9,
        beacon: [0x88; 32],
        beacon_slot: 12,
        tasks: vec![task],
        epoch: 1_000,
        heartbeat_ms: 5_000,
    }
}

fn head() -> Head {
    Head { witness: account(3), first_round: 7, rounds: 1_024, value: [0x8a; 32] }
}

fn reveal() -> Reveal {
    Reveal { task: id(0x77), number: 1, tag: [0x99; 32], result_hash: [0xaa; 32], nonce: [0xbb; 32] }
}

fn settled() -> Settled {
    Settled {
        task: id(0x77),
        reason: 500,
        tag: Some([0x99; 32]),
        agreed: vec![1],
        workers: 1,
        cost_ucredits: 5_000_000,
        resolve: Some(id(0x78)),
    }
}

/// One of each kind, in the order of their codes.
pub(crate) fn samples() -> Vec<Message> {
    let signature = Signature::from_bytes([0x5a; 64]);
    let commits = CommitBatch {
        worker: account(2),
        lease: id(0x70),
        commits: vec![Commit { task: id(0x77), number: 1, commit: [0xcc; 32] }],
    };
    let reveals = RevealBatch { worker: account(2), lease: id(0x70), reveals: vec![reveal()] };
    vec![
        Hello {
            min_version: 1,
            max_version: 1,
            account: account(2),
            roles: Roles::WORKER,
            nonce: [0x11; 32],
            agent: "edge-net/0.1".into(),
        }
        .into(),
        Challenge {
            version: 1,
            relay: account(3),
            network: NETWORK,
            epoch: 1_000,
            nonce: [0x12; 32],
            signature,
        }
        .into(),
        Auth { signature, prekey: Some(vec![1, 2, 3]) }.into(),
        Welcome { grant_bytes: 1 << 20, ping_ms: 30_000, staked_ucredits: 100_000_000, heads: vec![head()] }
            .into(),
        Heads { heads: vec![head()] }.into(),
        Refused { about: id(0x77), reason: 200, retry_after_ms: 1_500, detail: "600 an hour".into() }.into(),
        Grant { bytes: 65_536 }.into(),
        Ping { token: 1 }.into(),
        Pong { token: 1 }.into(),
        Goodbye { reason: 108, retry_after_ms: 4_000 }.into(),
        AskAccount { account: account(1) }.into(),
        AccountIs { epoch: 1_000, leaf: vec![9; 5], signature }.into(),
        Propose { proposal: Proposal::Op(vec![1; 4]) }.into(),
        VoteIs { value: id(0x20), witness: account(3), signature }.into(),
        Records { records: vec![vec![1], vec![2, 3]] }.into(),
        Submit {
            envelope: Signed::sign(envelope(), &NETWORK, &key(1)),
            escrow: id(0x21),
            avoid: vec![[4; 32]],
        }
        .into(),
        Accepted { task: id(0x77), ahead: 3 }.into(),
        Assigned {
            task: id(0x77),
            beacon: [0x88; 32],
            beacon_slot: 12,
            reveals: vec![(account(3), [0x8b; 32])],
            claims: id(0x89),
            workers: vec![Assignee { number: 1, worker: account(2), prekey: vec![5; 3] }],
        }
        .into(),
        Keys { task: id(0x77), keys: vec![WrappedFor { number: 1, key: vec![6; 3] }] }.into(),
        Part { task: id(0x77), flow: Flow::Result(1), offset: 4, total: 7, bytes: vec![7; 3] }.into(),
        settled().into(),
        Cancel { task: id(0x77) }.into(),
        Offer { claim: Signed::sign(claim(), &NETWORK, &key(2)), prekey: Some(vec![6; 3]) }.into(),
        Leased {
            lease: Signed::sign(lease(), &NETWORK, &key(3)),
            envelopes: vec![Signed::sign(envelope(), &NETWORK, &key(1))],
        }
        .into(),
        Heartbeat { lease: id(0x70), open: 1, duty_permille: 300 }.into(),
        HandBack { lease: id(0x70), tasks: vec![id(0x77)], reason: 405 }.into(),
        Committed { batch: Signed::sign(commits, &NETWORK, &key(2)) }.into(),
        Open { tasks: vec![id(0x77)] }.into(),
        Revealed { batch: Signed::sign(reveals, &NETWORK, &key(2)) }.into(),
    ]
}

#[test]
fn every_kind_comes_back_as_it_went() {
    let kinds: Vec<Kind> = samples().iter().map(Message::kind).collect();
    assert_eq!(kinds, Kind::ALL, "a kind without a sample");
    for message in samples() {
        let frame = message.encode().unwrap();
        assert_eq!(Message::decode(&frame), Ok(message.clone()));
        assert_eq!(header(&frame), Ok((message.kind(), frame.len() - HEADER_BYTES)));
    }
}

/// Version 1 as it is on the wire: a change of any byte is another version.
#[test]
fn golden_bytes() {
    let ping = Message::from(Ping { token: 300 }).encode().unwrap();
    assert_eq!(ping, [1, 0x0a, 0, 0, 2, 0, 0, 0, 0xac, 0x02]);
    let hash = |message: &Message| {
        let frame = message.encode().unwrap();
        format!("{:02x} {} {:?}", frame[1], frame.len(), Id::hash("", &[&frame]))
    };
    let all: Vec<String> = samples().iter().map(hash).collect();
    assert_eq!(all.join("\n"), GOLDEN.trim());
}

#[test]
fn names_of_what_is_signed() {
    let named = [envelope().id(&NETWORK), claim().id(&NETWORK), lease().id(&NETWORK)];
    assert_eq!(named.map(|id| format!("{id:?}")), SIGNED);
    assert_eq!(format!("{:?}", assignment_id(&id(0x77), 1)), ASSIGNMENT);
}

#[test]
fn a_signature_is_of_one_value_one_signer_and_one_network() {
    let signed = Signed::sign(envelope(), &NETWORK, &key(1));
    assert_eq!(signed.check(&NETWORK), Ok(envelope().id(&NETWORK)));
    assert!(signed.check(&id(0xef)).is_err(), "another network");
    let mut dearer = signed.clone();
    dearer.value.price_ucredits += 1;
    assert!(dearer.check(&NETWORK).is_err(), "another value");
    let mut others = signed.clone();
    others.value.submitter = account(9);
    assert_eq!(others.check(&NETWORK), Err(NotSigned { signer: account(9) }));
    let mut weak = signed;
    weak.value.submitter = AccountId::from_bytes([0; 32]);
    assert!(weak.check(&NETWORK).is_err(), "a key of low order");
}

/// Both sides sign everything that was said before; the two signatures are not each other's.
#[test]
fn an_opening_is_bound_to_all_that_was_said() {
    let samples = samples();
    let (Message::Hello(hello), Message::Challenge(challenge)) = (&samples[0], &samples[1]) else {
        unreachable!("the first two")
    };
    let mut seen = BTreeSet::from([auth_message(hello, challenge), challenge_message(hello, challenge)]);
    let mut other = |hello: &Hello, challenge: &Challenge| {
        assert!(seen.insert(auth_message(hello, challenge)), "not bound");
    };
    other(&Hello { account: account(9), ..hello.clone() }, challenge);
    other(&Hello { nonce: [0; 32], ..hello.clone() }, challenge);
    other(&Hello { min_version: 0, ..hello.clone() }, challenge);
    other(&Hello { max_version: 2, ..hello.clone() }, challenge);
    other(&Hello { roles: Roles::SUBMITTER, ..hello.clone() }, challenge);
    other(hello, &Challenge { version: 2, ..challenge.clone() });
    other(hello, &Challenge { relay: account(9), ..challenge.clone() });
    other(hello, &Challenge { network: id(0xef), ..challenge.clone() });
    other(hello, &Challenge { nonce: [0; 32], ..challenge.clone() });
}

#[test]
fn frames_that_are_none() {
    let frame = Message::from(Ping { token: 300 }).encode().unwrap();
    let changed = |at: usize, to: u8| {
        let mut frame = frame.clone();
        frame[at] = to;
        Message::decode(&frame)
    };
    assert_eq!(Message::decode(&[]), Err(WireError::Short { found: 0, wanted: HEADER_BYTES }));
    assert_eq!(Message::decode(&frame[..9]), Err(WireError::Short { found: 9, wanted: 10 }));
    assert_eq!(changed(0, 2), Err(WireError::Version(2)));
    assert_eq!(changed(1, 0xff), Err(WireError::Kind(0xff)));
    assert_eq!(changed(2, 1), Err(WireError::Flags(1)));
    assert_eq!(changed(3, 1), Err(WireError::Flags(256)));
    assert_eq!(changed(4, 1), Err(WireError::Trailing(1)));
    assert_eq!(changed(9, 0xff), Err(WireError::Body(Kind::Ping)), "a number without an end");
    let long = WireError::Long { kind: Kind::Ping, found: HEADER_BYTES + 0x0102, most: 64 };
    assert_eq!(changed(5, 1), Err(long));
}

/// A length is refused by its announcement, however many bytes follow.
#[test]
fn announced_lengths_are_capped_before_the_body() {
    for kind in Kind::ALL {
        assert!(
            kind.most_bytes()
                <= if matches!(kind, Kind::Part | Kind::Records | Kind::AccountIs) {
                    MAX_DATA_BYTES
                } else {
                    MAX_CONTROL_BYTES
                }
        );
        let announce = |length: u32| {
            let mut frame = vec![VERSION, *kind as u8, 0, 0];
            frame.extend(length.to_le_bytes());
            header(&frame)
        };
        let most = (kind.most_bytes() - HEADER_BYTES) as u32;
        assert_eq!(announce(most), Ok((*kind, most as usize)));
        assert!(matches!(announce(most + 1), Err(WireError::Long { .. })));
        assert!(matches!(announce(u32::MAX), Err(WireError::Long { .. })));
    }
}

#[test]
fn lists_and_texts_are_capped() {
    let refused = |message: Message, what: &str| match message.encode() {
        Err(WireError::Many { what: found, .. }) => assert_eq!(found, what),
        other => panic!("{other:?}"),
    };
    let mut lease = Signed::sign(lease(), &NETWORK, &key(3));
    lease.value.tasks = vec![lease.value.tasks[0]; Lease::MAX_TASKS + 1];
    refused(Leased { lease, envelopes: vec![] }.into(), "tasks");
    refused(Records { records: vec![vec![]; Records::MOST + 1] }.into(), "records");
    let part = |bytes: usize| Part {
        task: id(1),
        flow: Flow::Payload,
        offset: 0,
        total: 1 << 20,
        bytes: vec![0; bytes],
    };
    refused(part(Part::MAX_BYTES + 1).into(), "bytes");
    assert!(Message::from(part(Part::MAX_BYTES)).encode().is_ok());
    // The count alone, in a body that a stranger wrote: refused at the first item too many, before they take room.
    let mut frame = vec![VERSION, Kind::Records as u8, 0, 0];
    let body = [&[0xff, 0xff, 0x3f][..], &vec![0; (1 << 20) - 64]].concat();
    frame.extend((body.len() as u32).to_le_bytes());
    frame.extend(body);
    assert_eq!(Message::decode(&frame), Err(WireError::Body(Kind::Records)));
}

/// The most that a lease may hold fits its frame.
#[test]
fn a_full_lease_fits() {
    let mut lease = lease();
    lease.tasks = vec![lease.tasks[0]; Lease::MAX_TASKS];
    let lease = Signed::sign(lease, &NETWORK, &key(3));
    let envelopes = vec![Signed::sign(envelope(), &NETWORK, &key(1)); Lease::MAX_TASKS];
    assert!(Message::from(Leased { lease, envelopes }).encode().is_ok());
}

proptest! {
    /// Changed, cut, lengthened: an error or a message that can be written again, never a panic.
    #[test]
    fn bytes_of_strangers(
        which in 0..Kind::ALL.len(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(), more in prop::collection::vec(any::<u8>(), 0..8), cuts: bool,
    ) {
        let mut frame = samples()[which].encode().unwrap();
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if cuts {
            frame.truncate(cut.index(frame.len() + 1));
            frame.extend(more);
            if let (Some(length), 8..) = (frame.len().checked_sub(HEADER_BYTES), frame.len()) {
                frame[4..8].copy_from_slice(&(length as u32).to_le_bytes());
            }
        }
        if let Ok(message) = Message::decode(&frame) {
            let again = message.encode().expect("what was read can be written");
            prop_assert_eq!(Message::decode(&again), Ok(message));
        }
    }

    #[test]
    fn bytes_of_nobody(kind in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut frame = vec![VERSION, kind, 0, 0];
        frame.extend((body.len() as u32).to_le_bytes());
        frame.extend(body);
        let _ = Message::decode(&frame);
    }
}

const SIGNED: [&str; 3] = ["58f7f8989956", "8f6fe0f8fcae", "550c12a9e5d5"];
const ASSIGNMENT: &str = "fb24cc118c64";
const GOLDEN: &str = "
01 88 898fa0fdf6a3
02 171 592c400711a9
03 77 79cdf6748b86
04 86 5a4f2320b6f8
05 76 73939895e4af
08 56 f88e71bd6941
09 11 f6777932f9ea
0a 9 8c94c4bb5084
0b 9 8c9c55413bb5
0c 11 3a0f1afca1d4
10 40 27b2a6c81b6f
11 80 d9cbb1dd9c00
12 14 9548f59010ac
13 136 f486802f35d4
14 14 82852eab2ca6
20 291 0788ed647326
21 41 f49b97713bc4
22 208 e0aabdadb902
23 46 ef25591473b4
24 48 af0fe30528bd
25 115 057a273cfb13
26 40 c1829c124e27
30 253 fecc3df3435a
31 462 bfa5f09a4c29
32 43 5eb0b0b1d346
33 75 d610ab6a74e0
34 202 fc0bd5aa3416
35 41 8c2dafb31a33
36 266 27c4ef9ed332
";
