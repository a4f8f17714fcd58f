//! Golden bytes, and what a tag depends on.

use identity::{
    Opened, Prekeys,
    seal::{Delivery, OpenGuard, open},
};

use super::*;
use crate::{
    capability::TaskType,
    wire::{Assurance, Priority, Signable, Tier, Verify},
};

const NETWORK: Id = Id::from_bytes([0xee; 32]);

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn envelope(commit: [u8; 32], plain_bytes: usize) -> Envelope {
    Envelope {
        submitter: key(1).account(),
        nonce: 7,
        kind: TaskType::Embedding,
        model: Id::from_bytes([0x33; 32]),
        numerics: 1,
        payload_commit: commit,
        payload_bytes: payload_bytes(plain_bytes).unwrap(),
        max_result_bytes: 200_000,
        price_ucredits: 5_000_000,
        verify: Verify::Redundant(3),
        assurance: Assurance::High,
        priority: Priority::Normal,
        tier: Tier::Public,
        group: None,
        epoch: 1_000,
        ttl_ms: 60_000,
        timeout_ms: 30_000,
    }
}

fn random(bytes: &mut [u8]) {
    bytes.iter_mut().enumerate().for_each(|(n, byte)| *byte = n as u8 + 1);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Another tag is another protocol: workers of two builds would be called liars.
#[test]
fn golden_key_tag_and_envelope() {
    let envelope = envelope([0x44; 32], 1_000);
    let task = envelope.id(&NETWORK);
    let key = TaskKey::of(&[0x55; 32], &task);
    assert_eq!(hex(&*key.0), GOLDEN_KEY);
    assert_eq!(hex(key.tag(&envelope, b"result").as_bytes()), GOLDEN_TAG);
    assert_eq!(hex(key.tag(&envelope, b"").as_bytes()), GOLDEN_EMPTY);
    assert_eq!(hex(&envelope_hash(&envelope)), GOLDEN_ENVELOPE);
    assert_eq!((expiry_epoch(&envelope), envelope.payload_bytes), (1_005, 1_185));
}

#[test]
fn a_tag_depends_on_all_that_the_result_does() {
    let base = envelope([0x44; 32], 100);
    let (task, other) = (base.id(&NETWORK), Id::from_bytes([1; 32]));
    let key = TaskKey::of(&[1; 32], &task);
    let tag = key.tag(&base, b"result");
    let changed = [
        TaskKey::of(&[2; 32], &task).tag(&base, b"result"),
        TaskKey::of(&[1; 32], &other).tag(&base, b"result"),
        key.tag(&Envelope { model: other, ..base.clone() }, b"result"),
        key.tag(&Envelope { numerics: 2, ..base.clone() }, b"result"),
        key.tag(&base, b"result "),
        key.tag(&base, b"resul"),
    ];
    assert!(changed.iter().all(|other| *other != tag));
    assert_eq!(key.tag(&Envelope { nonce: 8, ..base }, b"result"), tag);
}

#[test]
fn lengths_are_those_that_sealing_gives() {
    for plain_bytes in [0, 1, 23, 24, 25, 55, 56, 57, 1_000, 65_000, 65_536, 200_000, 1_000_000] {
        let plain = vec![7; plain_bytes];
        let payload = Payload::new(&plain, &mut random).unwrap();
        let parcel = Parcel::seal(&payload, &envelope(payload.commit().0, plain_bytes), &mut random).unwrap();
        assert_eq!(parcel.bytes().len() as u32, payload_bytes(plain_bytes).unwrap(), "{plain_bytes}");
        let sealed = ResultKey::from_bytes([1; 32]).seal(&plain, &mut random).unwrap();
        assert_eq!(sealed.encode().len() as u32, result_bytes(plain_bytes).unwrap(), "{plain_bytes}");
    }
    assert_eq!((payload_bytes(MAX_PLAIN_BYTES + 1), result_bytes(usize::MAX)), (None, None));
}

fn delivered(plain: &[u8]) -> (Envelope, Id, Payload, Opened, ResultKey) {
    let payload = Payload::new(plain, &mut random).unwrap();
    let envelope = envelope(payload.commit().0, plain.len());
    let task = envelope.id(&NETWORK);
    let parcel = Parcel::seal(&payload, &envelope, &mut random).unwrap();
    let mut prekeys = Prekeys::new(key(2).account());
    prekeys.rotate(&key(2), 1_000, &mut random);
    let to = assignment(&NETWORK, &task, &envelope, 3, &key(2).account());
    let prekey = *prekeys.current().unwrap();
    let (wrapped, result_key) = parcel.wrap(&to, &key(1), &prekey, 1_000, &mut random).unwrap();
    let delivery = Delivery {
        assignment: &to,
        commit: &identity::PayloadCommit(envelope.payload_commit),
        expiry_epoch: expiry_epoch(&envelope),
        key: &wrapped,
        payload: &SealedPayload::decode(parcel.bytes()).unwrap(),
    };
    let opened = open(&mut prekeys, &mut OpenGuard::new(), &delivery, 1_000).expect("opens");
    (envelope, task, payload, opened, result_key)
}

#[test]
fn both_sides_come_to_one_key_and_one_tag() {
    let (envelope, task, payload, opened, result_key) = delivered(b"work");
    assert_eq!(opened.plain(), b"work");
    let at_worker = TaskKey::of(opened.salt(), &task).tag(&envelope, b"done");
    let at_submitter = TaskKey::of(payload.salt(), &task);
    assert_eq!(at_submitter.tag(&envelope, b"done"), at_worker);
    let sealed = opened.result_key().seal(b"done", &mut random).unwrap();
    let result = open_result(&result_key, sealed.encode(), &at_submitter, &envelope, &at_worker);
    assert_eq!(result, Ok(b"done".to_vec()));
}

#[test]
fn results_that_are_not_taken() {
    let (envelope, task, payload, opened, result_key) = delivered(b"work");
    let task_key = TaskKey::of(payload.salt(), &task);
    let agreed = task_key.tag(&envelope, b"done");
    let lie = opened.result_key().seal(b"lie", &mut random).unwrap();
    let open = |sealed: &[u8]| open_result(&result_key, sealed, &task_key, &envelope, &agreed);
    assert_eq!(open(lie.encode()), Err(ResultError::Tag));
    let mut changed = lie.encode().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(open(&changed), Err(ResultError::Open(OpenError)));
    assert!(matches!(open(&changed[1..]), Err(ResultError::Form(_))));
}

// Made by another program, in Python, from the same description.
const GOLDEN_KEY: &str = "5b32038cb6000b194003710f71a8ca6cba5d87503f1e2677c8e3424e46a3a8d0";
const GOLDEN_TAG: &str = "ef66b527cec15c12b69dcad64aac3d7727953b30d8a8ae5e0d04d4d9029b3917";
const GOLDEN_EMPTY: &str = "09e606a5f0aef6cb38dfc47781af228033ae09382ff5fb21822de3be7d7dd854";
const GOLDEN_ENVELOPE: &str = "c06ea47c310523648cf0b7291a53ca39bc26499fb6505ed0ff8fba4cde938ea3";
