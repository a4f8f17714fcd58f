//! What somebody who knows some of the secrets tries.

use super::*;
use crate::{
    PrekeyId, Signature,
    aead::{Portable, seal_stream},
    bytes::hash,
    suite,
};

fn sign(signer: &SecretKey, assignment: &Assignment, enc: &[u8; 32], ciphertext: &[u8]) -> Signature {
    let (submitter, worker) = (assignment.submitter.to_bytes(), assignment.worker.to_bytes());
    let parts: [&[u8]; 6] =
        [b"edgenet/seal/v1", &submitter, &worker, &hash(&[enc]), &hash(&[ciphertext]), &assignment.task];
    signer.sign(&parts.concat())
}

#[test]
fn another_worker_opens_nothing() {
    let (ours, theirs) = (World::new(b"secret", 21), World::new(b"secret", 22));
    // With the assignment as it is, and with the worker's own name in it.
    assert!(theirs.opens(&ours.delivery()).is_err());
    let renamed = Assignment { worker: theirs.identity.account(), ..ours.assignment };
    let mut key = ours.wrapped;
    key.signature = sign(&ours.submitter, &renamed, &key.enc, &key.ciphertext);
    key.prekey = theirs.prekey().id;
    assert!(theirs.opens(&Delivery { assignment: &renamed, key: &key, ..ours.delivery() }).is_err());
}

#[test]
fn another_task_or_number_opens_nothing() {
    let world = World::new(b"secret", 23);
    for assignment in [
        Assignment { task: [9; 32], ..world.assignment },
        Assignment { number: 4, ..world.assignment },
        Assignment { network: [9; 32], ..world.assignment },
        Assignment { envelope: [9; 32], ..world.assignment },
    ] {
        // Even when the submitter's own signature is there.
        let mut key = world.wrapped;
        key.signature = sign(&world.submitter, &assignment, &key.enc, &key.ciphertext);
        let delivery = Delivery { assignment: &assignment, key: &key, ..world.delivery() };
        assert!(world.opens(&delivery).is_err(), "{assignment:?}");
    }
}

/// A thief signs somebody's wrapped key as his own.
#[test]
fn nobody_takes_over_a_wrapped_key() {
    let world = World::new(b"secret", 24);
    let thief = SecretKey::from_seed([9; 32]);
    let assignment = Assignment { submitter: thief.account(), ..world.assignment };
    let mut key = world.wrapped;
    key.signature = sign(&thief, &assignment, &key.enc, &key.ciphertext);
    assert!(world.opens(&Delivery { assignment: &assignment, key: &key, ..world.delivery() }).is_err());
    // And a stranger's signature under the true submitter's name is none.
    key.signature = sign(&thief, &world.assignment, &key.enc, &key.ciphertext);
    assert!(world.opens(&Delivery { key: &key, ..world.delivery() }).is_err());
}

/// A fellow worker knows the payload key, and a submitter may lie: the commitment holds both.
#[test]
fn another_payload_under_the_same_key_does_not_open() {
    let world = World::new(b"what was committed to", 25);
    let content = super::super::padding::pad(&[5; 32], b"something else");
    let aead = Portable::new(&world.payload_key.0);
    let sealed = seal_stream(&aead, &mut random(1), &world.assignment.envelope, &content).expect("seals");
    let payload = SealedPayload::decode(&sealed).expect("a length of padding");
    assert!(world.opens(&Delivery { payload: &payload, ..world.delivery() }).is_err());
    let commit = payload_commit(&[5; 32], b"something else");
    assert!(world.opens(&Delivery { payload: &payload, commit: &commit, ..world.delivery() }).is_ok());
}

/// The holder of the key pads in another way: a second form of one payload, or a hidden channel.
#[test]
fn other_padding_does_not_open() {
    let world = World::new(b"", 26);
    let aead = Portable::new(&world.payload_key.0);
    let salt = [5; 32];
    let opens = |content: &[u8], plain: &[u8]| {
        let sealed = seal_stream(&aead, &mut random(1), &world.assignment.envelope, content).expect("seals");
        let payload = SealedPayload(sealed);
        let commit = payload_commit(&salt, plain);
        world.opens(&Delivery { payload: &payload, commit: &commit, ..world.delivery() }).is_ok()
    };
    let good = super::super::padding::pad(&salt, b"abc");
    assert!(opens(&good, b"abc"));
    let mut dirty = good.to_vec();
    dirty[63] = 1;
    assert!(!opens(&dirty, b"abc"));
    assert!(!opens(&[&good[..], &[0; 64]].concat(), b"abc"), "twice the length");
    assert!(!opens(&good[..43], b"abc"), "no padding");
    for length in [25, u64::MAX, u64::MAX - 40, 1 << 32] {
        let mut long = good.to_vec();
        long[32..40].copy_from_slice(&u64::to_be_bytes(length));
        assert!(!opens(&long, b"abc"), "length {length}");
    }
    assert!(!opens(&salt, b""), "no length");
    assert!(!opens(&[], b""), "nothing");
}

/// A prekey or an encapsulated key of low order would make the shared secret zeros.
#[test]
fn low_order_points_are_refused() {
    let world = World::new(b"", 27);
    for public in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let prekey = crate::prekeys::signed_for_test(&world.identity, public, EPOCH);
        assert_eq!(prekey.verify(EPOCH), Ok(()));
        let wrapped =
            world.payload_key.wrap(&world.assignment, &world.submitter, &prekey, EPOCH, &mut random(1));
        assert_eq!(wrapped.unwrap_err(), SealError::LowOrder);
        let mut key = WrappedKey { enc: public, ..world.wrapped };
        key.signature = sign(&world.submitter, &world.assignment, &key.enc, &key.ciphertext);
        assert!(world.opens(&Delivery { key: &key, ..world.delivery() }).is_err());
        let secret = world.prekeys.secret(world.wrapped.prekey, EPOCH).expect("a secret");
        assert!(suite::receiver(secret, &public, b"").is_err());
    }
}

#[test]
fn an_unknown_or_erased_prekey_opens_nothing() {
    let mut world = World::new(b"", 28);
    let unknown = WrappedKey { prekey: PrekeyId::from_bytes([0; 8]), ..world.wrapped };
    assert!(world.opens(&Delivery { key: &unknown, ..world.delivery() }).is_err());
    let delivery = |world: &World| open_in(world, EPOCH + 2_879);
    assert!(delivery(&world).is_ok());
    assert!(open_in(&world, EPOCH + 2_880).is_err());
    world.prekeys.rotate(&world.identity, EPOCH + 2_880, &mut random(1));
    assert!(delivery(&world).is_err());
}

fn open_in(world: &World, epoch: u64) -> Result<Opened, OpenError> {
    let mut prekeys = Prekeys::decode(&world.prekeys.encode()).expect("what was written");
    let delivery = Delivery { expiry_epoch: epoch, ..world.delivery() };
    open(&mut prekeys, &mut OpenGuard::new(), &delivery, epoch)
}

#[test]
fn the_key_of_another_result_opens_nothing() {
    let (a, b) = (World::new(b"x", 29), World::new(b"x", 30));
    let sealed = a.result_key.seal(b"result", &mut random(1)).expect("seals");
    assert_eq!(b.result_key.open(&sealed), Err(OpenError));
    // A payload is no result, even under the same key.
    let sealed = seal_stream(
        &Portable::new(&a.result_key.0),
        &mut random(1),
        &a.assignment.envelope,
        &super::super::padding::pad(&[], b"result"),
    );
    assert_eq!(a.result_key.open(&SealedResult(sealed.expect("seals"))), Err(OpenError));
}
