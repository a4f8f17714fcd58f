//! What is private: account names, prekeys, sealed data, backups, streams.

use std::sync::LazyLock;

use identity::{
    AccountId, Assignment, Delivery, OpenGuard, Payload, PayloadCommit, Prekeys, ResultKey, SealedPayload,
    SealedResult, SignedPrekey, WrappedKey,
    aead::{CHUNK_BYTES, Key, Opener, Portable, Sealer, open_stream, seal_stream},
    backup::{self, BackupError, Cost},
    seal::{WRAPPED_KEY_BYTES, open},
};

use crate::{
    cursor::Cursor,
    town::{ACCOUNTS, KEYS, NOW},
};

/// The name of an account as text.
pub(crate) fn account(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(account) = text.parse::<AccountId>() else { return false };
    assert!(account.to_string().eq_ignore_ascii_case(text), "one account, one text");
    if let Ok(key) = account.public_key() {
        assert_eq!(key.account(), account, "a key of another account");
    }
    true
}

pub(crate) fn account_seeds() -> Vec<Vec<u8>> {
    let names = ACCOUNTS.iter().map(AccountId::to_string);
    names.flat_map(|name| [name.to_uppercase(), name]).map(String::into_bytes).collect()
}

/// A prekey, and a ring of them.
pub(crate) fn prekey(input: &[u8]) -> bool {
    let mut decoded = false;
    if let Ok(prekey) = SignedPrekey::decode(input) {
        assert_eq!(prekey.encode()[..], *input, "one prekey, one encoding");
        let usable = prekey.verify(NOW).is_ok();
        assert!(!usable || prekey == *SEALED.prekeys().current().expect("a prekey"), "a forged prekey");
        decoded = true;
    }
    if let Ok(mut ring) = Prekeys::decode(input) {
        assert_eq!(ring.encode()[..], *input, "one ring, one encoding");
        if ring.account() == ACCOUNTS[1] {
            ring.rotate(&KEYS[1], NOW + 5_000, &mut counted(9));
            assert!(ring.current().is_some_and(|p| p.verify(NOW + 5_000).is_ok()), "a ring without a key");
        }
        decoded = true;
    }
    decoded
}

pub(crate) fn prekey_seeds() -> Vec<Vec<u8>> {
    let ring = SEALED.prekeys();
    vec![
        ring.current().expect("a prekey").encode().to_vec(),
        ring.encode().to_vec(),
        Prekeys::new(ACCOUNTS[1]).encode().to_vec(),
    ]
}

/// Everything that is sealed: decoded, opened, and opened again.
pub(crate) fn sealed(input: &[u8]) -> bool {
    let mut cursor = Cursor::new(input);
    match cursor.u8() % 5 {
        0 => delivery(cursor.rest()),
        1 => payload_and_result(cursor.rest()),
        2 => guard(cursor.rest()),
        3 => content(cursor.rest()),
        _ => round_trip(cursor.rest()),
    }
}

/// A wrapped key and a payload from a stranger. Only what was sealed opens, and once.
fn delivery(bytes: &[u8]) -> bool {
    let (key, payload) = bytes.split_at(bytes.len().min(WRAPPED_KEY_BYTES));
    let (Ok(key), Ok(payload)) = (WrappedKey::decode(key), SealedPayload::decode(payload)) else {
        return false;
    };
    assert_eq!([&key.encode()[..], payload.encode()].concat(), bytes, "one delivery, one encoding");
    let world = &*SEALED;
    let delivery = Delivery {
        assignment: &world.assignment,
        commit: &world.commit,
        expiry_epoch: NOW + 9,
        key: &key,
        payload: &payload,
    };
    let (mut prekeys, mut guard) = (world.prekeys(), OpenGuard::new());
    let opened = open(&mut prekeys, &mut guard, &delivery, NOW);
    let genuine = key == world.key && payload == world.payload;
    assert_eq!(opened.is_ok(), genuine, "a forgery opens, or nothing does");
    assert_eq!(guard.len(), usize::from(genuine), "a guard remembers what opened");
    assert!(open(&mut prekeys, &mut guard, &delivery, NOW).is_err(), "it opens twice");
    true
}

fn payload_and_result(bytes: &[u8]) -> bool {
    let (payload, result) = (SealedPayload::decode(bytes), SealedResult::decode(bytes));
    assert_eq!(payload.is_ok(), result.is_ok(), "both have the same lengths");
    let (Ok(payload), Ok(result)) = (payload, result) else { return false };
    assert!(payload.encode() == bytes && result.encode() == bytes, "one encoding");
    let opened = SEALED.result_key().open(&result);
    assert_eq!(opened.is_ok(), result == SEALED.result, "a forgery opens, or nothing does");
    true
}

fn guard(bytes: &[u8]) -> bool {
    let Ok(mut guard) = OpenGuard::decode(bytes) else { return false };
    assert_eq!(guard.encode(), bytes, "one guard, one encoding");
    let before = guard.len();
    guard.forget(NOW);
    assert!(guard.len() <= before, "a guard remembers more than it did");
    let again = OpenGuard::decode(&guard.encode()).expect("its own encoding");
    assert_eq!(again, guard, "a guard that came back is another");
    true
}

/// A result whose sealing is good and whose content is anything: what a bad submitter's key can make.
fn content(bytes: &[u8]) -> bool {
    let key = Key::new([5; 32]);
    let stream = seal_stream(&Portable::new(&key), &mut counted(1), b"edgenet/result/v1", bytes);
    let Ok(sealed) = SealedResult::decode(&stream.expect("short enough")) else { return false };
    if let Ok(plain) = ResultKey::from_bytes([5; 32]).open(&sealed) {
        let again = ResultKey::from_bytes([5; 32]).seal(&plain, &mut counted(1)).expect("it was sealed");
        assert_eq!(again, sealed, "one plaintext, one padding");
    }
    true
}

fn round_trip(plain: &[u8]) -> bool {
    let key = ResultKey::from_bytes([6; 32]);
    let sealed = key.seal(plain, &mut counted(2)).expect("short enough");
    let sealed = SealedResult::decode(sealed.encode()).expect("its own encoding");
    assert_eq!(key.open(&sealed).expect("its own sealing")[..], *plain, "another plaintext");
    true
}

pub(crate) fn sealed_seeds() -> Vec<Vec<u8>> {
    let world = &*SEALED;
    let mut guard = OpenGuard::new();
    let delivery = Delivery {
        assignment: &world.assignment,
        commit: &world.commit,
        expiry_epoch: NOW + 9,
        key: &world.key,
        payload: &world.payload,
    };
    open(&mut world.prekeys(), &mut guard, &delivery, NOW).expect("it opens");
    // Two words of plaintext behind their length, padded.
    let padded = [&[0, 0, 0, 0, 0, 0, 0, 2, 7, 7][..], &[0; 246]].concat();
    let parts: [(u8, Vec<u8>); 6] = [
        (0, [&world.key.encode()[..], world.payload.encode()].concat()),
        (1, world.payload.encode().to_vec()),
        (1, world.result.encode().to_vec()),
        (2, guard.encode()),
        (3, padded),
        (4, b"a result".to_vec()),
    ];
    parts.into_iter().map(|(number, bytes)| [&[number][..], &bytes].concat()).collect()
}

/// A backup from anywhere, at a cost that a fuzzer can pay.
pub(crate) fn backup(input: &[u8]) -> bool {
    let mut file = input.to_vec();
    let within = cost(&file).is_some_and(|cost| {
        let most = Cost::MOST;
        cost.memory_kib <= most.memory_kib && cost.passes <= most.passes && cost.lanes <= most.lanes
    });
    if within {
        // Costs that are refused are left as they are.
        file[COST_AT] = 0;
        file[COST_AT + 1] = 0;
        file[COST_AT + 2] = 0;
        file[COST_AT + 7] %= 3;
        file[COST_AT + 11] %= 3;
    }
    match backup::import(&file, PASSPHRASE) {
        Ok(found) => {
            let same = *found.key.seed() == *KEYS[2].seed() && BACKUPS.contains(&file);
            assert!(same, "a backup that nobody wrote");
            true
        }
        Err(BackupError::Passphrase) => {
            assert!(!BACKUPS.contains(&file), "a good backup does not open");
            true
        }
        Err(_) => false,
    }
}

pub(crate) fn backup_seeds() -> Vec<Vec<u8>> {
    BACKUPS.clone()
}

/// The cost in a backup's header.
fn cost(file: &[u8]) -> Option<Cost> {
    let number = |at: usize| Some(u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?));
    Some(Cost { memory_kib: number(COST_AT)?, passes: number(COST_AT + 4)?, lanes: number(COST_AT + 8)? })
}

static BACKUPS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let costs = [Cost { memory_kib: 8, passes: 1, lanes: 1 }, Cost { memory_kib: 32, passes: 2, lanes: 2 }];
    let write = |cost| backup::export(&KEYS[2], b"extra", PASSPHRASE, cost, &mut counted(3));
    costs.into_iter().map(|cost| write(cost).expect("a backup")).collect()
});

/// A stream from a stranger; the same in pieces; and one made of the input.
pub(crate) fn stream(input: &[u8]) -> bool {
    let mut cursor = Cursor::new(input);
    let (cut, rest) = (1 + usize::from(cursor.u8()), cursor.rest());
    let aead = Portable::new(&Key::new([4; 32]));
    let whole = open_stream(&aead, AAD, rest);
    let mut pieces = Vec::new();
    let mut opener = Opener::new(&aead, AAD).expect("a short aad");
    let pushed = rest.chunks(cut).try_for_each(|piece| opener.push(piece, &mut pieces));
    let in_pieces = pushed.and_then(|()| opener.finish(&mut pieces)).map(|()| pieces);
    assert_eq!(whole.is_ok(), in_pieces.is_ok(), "what opens depends on the pieces");
    if let Ok(plain) = &whole {
        assert!(STREAMS.contains(&rest.to_vec()), "a stream that nobody sealed");
        assert_eq!(Ok(plain), in_pieces.as_ref(), "the plaintext depends on the pieces");
    }
    let mut sealed = Vec::new();
    let mut sealer = Sealer::new(&aead, &mut counted(4), AAD, &mut sealed).expect("a short aad");
    rest.chunks(cut).for_each(|piece| sealer.push(piece, &mut sealed).expect("short enough"));
    sealer.finish(&mut sealed).expect("short enough");
    assert_eq!(Ok(sealed), seal_stream(&aead, &mut counted(4), AAD, rest), "sealing depends on the pieces");
    whole.is_ok()
}

pub(crate) fn stream_seeds() -> Vec<Vec<u8>> {
    let short = STREAMS.iter().filter(|stream| stream.len() < 4096);
    short.map(|stream| [&[40][..], stream].concat()).collect()
}

static STREAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let aead = Portable::new(&Key::new([4; 32]));
    let seal = |bytes: usize| seal_stream(&aead, &mut counted(5), AAD, &vec![7; bytes]);
    [0, 1, 1000, CHUNK_BYTES + 1].into_iter().map(|bytes| seal(bytes).expect("short enough")).collect()
});

/// A task's payload and result as they were sealed.
struct World {
    assignment: Assignment,
    commit: PayloadCommit,
    key: WrappedKey,
    payload: SealedPayload,
    result: SealedResult,
    result_key: [u8; 32],
}

impl World {
    /// The worker's ring, as it was before anything was opened.
    fn prekeys(&self) -> Prekeys {
        let mut ring = Prekeys::new(ACCOUNTS[1]);
        ring.rotate(&KEYS[1], NOW, &mut counted(6));
        ring
    }

    fn result_key(&self) -> ResultKey {
        ResultKey::from_bytes(self.result_key)
    }
}

static SEALED: LazyLock<World> = LazyLock::new(|| {
    let mut random = counted(7);
    let mut ring = Prekeys::new(ACCOUNTS[1]);
    let prekey = *ring.rotate(&KEYS[1], NOW, &mut counted(6)).expect("a first prekey");
    let assignment = Assignment {
        network: [1; 32],
        task: [2; 32],
        number: 3,
        submitter: ACCOUNTS[0],
        worker: ACCOUNTS[1],
        envelope: [4; 32],
    };
    let payload = Payload::new(b"a payload", &mut random).expect("short enough");
    let (sealed, payload_key) = payload.seal(&assignment.envelope, &mut random).expect("sealed");
    let wrapped = payload_key.wrap(&assignment, &KEYS[0], &prekey, NOW, &mut random);
    let (key, result_key) = wrapped.expect("wrapped");
    let result = result_key.seal(b"a result", &mut random).expect("sealed");
    let result_key = *result_key.bytes();
    World { assignment, commit: payload.commit(), key, payload: sealed, result, result_key }
});

/// Bytes that are the same in every run and in no two calls.
fn counted(start: u8) -> impl FnMut(&mut [u8]) {
    let mut next = start;
    move |to: &mut [u8]| {
        for byte in to {
            *byte = next;
            next = next.wrapping_mul(5).wrapping_add(17);
        }
    }
}

const AAD: &[u8] = b"fuzz";
const PASSPHRASE: &[u8] = b"a passphrase";
/// Behind the magic and the version.
const COST_AT: usize = 9;
