//! No change of one bit opens, wherever it is.

use super::*;
use crate::{
    AccountId,
    testing::{accepted_bit_flips, accepted_lengths},
};

/// Bits tried, and those whose change still opened, of everything a delivery is made of.
fn accepted_changes(world: &World) -> Vec<(&'static str, usize, Vec<usize>)> {
    let mut found = Vec::new();
    let mut flip = |what, bytes: &[u8], accepts: &mut dyn FnMut(&[u8]) -> bool| {
        assert!(accepts(bytes), "{what} opens unchanged");
        let (tried, accepted) = accepted_bit_flips(bytes, accepts);
        found.push((what, tried, accepted));
    };
    flip("wrapped key", &world.wrapped.encode(), &mut |bytes| {
        let Ok(key) = WrappedKey::decode(bytes) else { return false };
        world.opens(&Delivery { key: &key, ..world.delivery() }).is_ok()
    });
    flip("payload", world.payload.encode(), &mut |bytes| {
        let Ok(payload) = SealedPayload::decode(bytes) else { return false };
        world.opens(&Delivery { payload: &payload, ..world.delivery() }).is_ok()
    });
    flip("commitment", &world.commit.0, &mut |bytes| {
        let commit = PayloadCommit(bytes.try_into().expect("32 bytes"));
        world.opens(&Delivery { commit: &commit, ..world.delivery() }).is_ok()
    });
    let assignment = to_bytes(&world.assignment);
    flip("assignment", &assignment, &mut |bytes| {
        let assignment = from_bytes(bytes);
        world.opens(&Delivery { assignment: &assignment, ..world.delivery() }).is_ok()
    });
    let sealed = world.result_key.seal(b"result", &mut random(1)).expect("seals");
    flip("result", sealed.encode(), &mut |bytes| {
        SealedResult::decode(bytes).is_ok_and(|sealed| world.result_key.open(&sealed).is_ok())
    });
    flip("result key", world.result_key.bytes(), &mut |bytes| {
        ResultKey::from_bytes(bytes.try_into().expect("32 bytes")).open(&sealed).is_ok()
    });
    found
}

fn to_bytes(assignment: &Assignment) -> Vec<u8> {
    let Assignment { network, task, number, submitter, worker, envelope } = assignment;
    let parts: [&[u8]; 6] =
        [network, task, &number.to_be_bytes(), submitter.as_bytes(), worker.as_bytes(), envelope];
    parts.concat()
}

fn from_bytes(bytes: &[u8]) -> Assignment {
    let field = |at: usize| -> [u8; 32] { bytes[at..at + 32].try_into().expect("32 bytes") };
    Assignment {
        network: field(0),
        task: field(32),
        number: u32::from_be_bytes(bytes[64..68].try_into().expect("4 bytes")),
        submitter: AccountId::from_bytes(field(68)),
        worker: AccountId::from_bytes(field(100)),
        envelope: field(132),
    }
}

#[test]
fn no_change_of_one_bit_opens() {
    let found = accepted_changes(&World::new(b"plain", 11));
    let tried: Vec<_> = found.iter().map(|(what, tried, _)| (*what, *tried)).collect();
    let wanted = [
        ("wrapped key", 161 * 8),
        ("payload", (17 + 64 + 16) * 8),
        ("commitment", 256),
        ("assignment", 164 * 8),
        ("result", (17 + 64 + 16) * 8),
        ("result key", 256),
    ];
    assert_eq!(tried, wanted);
    for (what, _, accepted) in found {
        assert_eq!(accepted, Vec::<usize>::new(), "{what}");
    }
}

/// A worker that trusts the wrapped key's signature as it once was takes any other.
#[test]
fn a_planted_fault_is_caught() {
    let world = World::new(b"plain", 12);
    let signature = world.wrapped.signature;
    let (_, accepted) = accepted_bit_flips(&world.wrapped.encode(), &mut |bytes| {
        let Ok(key) = WrappedKey::decode(bytes) else { return false };
        let key = WrappedKey { signature, ..key };
        world.opens(&Delivery { key: &key, ..world.delivery() }).is_ok()
    });
    assert_eq!(accepted, (97 * 8..161 * 8).collect::<Vec<_>>());
}

#[test]
fn no_cut_opens() {
    let world = World::new(&[7; 70_000], 13);
    let mut payload = |bytes: &[u8]| {
        let Ok(payload) = SealedPayload::decode(bytes) else { return false };
        world.opens(&Delivery { payload: &payload, ..world.delivery() }).is_ok()
    };
    assert_eq!(accepted_lengths(world.payload.encode(), &mut payload), Vec::<usize>::new());
    let mut key = |bytes: &[u8]| WrappedKey::decode(bytes).is_ok();
    assert_eq!(accepted_lengths(&world.wrapped.encode(), &mut key), Vec::<usize>::new());
    let sealed = world.result_key.seal(&[7; 2_000], &mut random(1)).expect("seals");
    let mut result =
        |bytes: &[u8]| SealedResult::decode(bytes).is_ok_and(|sealed| world.result_key.open(&sealed).is_ok());
    assert_eq!(accepted_lengths(sealed.encode(), &mut result), Vec::<usize>::new());
}

/// A payload of two chunks, at places all over it.
#[test]
fn no_change_of_a_long_payload_opens() {
    let world = World::new(&[7; 70_000], 14);
    let mut bytes = world.payload.encode().to_vec();
    for at in (0..bytes.len()).step_by(1_021).chain(65_540..65_580) {
        bytes[at] ^= 1 << (at % 8);
        if let Ok(payload) = SealedPayload::decode(&bytes) {
            assert!(world.opens(&Delivery { payload: &payload, ..world.delivery() }).is_err(), "byte {at}");
        }
        bytes[at] ^= 1 << (at % 8);
    }
    assert!(world.opens(&world.delivery()).is_ok());
}
