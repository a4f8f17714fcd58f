use super::*;
use crate::{DecodeError, bytes::hash, testing::to_hex};

fn try_open(world: &mut World, guard: &mut OpenGuard, expiry_epoch: u64, epoch: u64) -> bool {
    let World { assignment, commit, wrapped: key, payload, prekeys, .. } = world;
    let delivery = Delivery { assignment, commit, expiry_epoch, key, payload };
    open(prekeys, guard, &delivery, epoch).is_ok()
}

#[test]
fn a_delivery_opens_once() {
    let (mut world, mut guard) = (World::new(b"", 31), OpenGuard::new());
    assert!(try_open(&mut world, &mut guard, EXPIRY, EPOCH));
    for epoch in [EPOCH, EXPIRY, EXPIRY + 1, EPOCH] {
        assert!(!try_open(&mut world, &mut guard, EXPIRY, epoch), "epoch {epoch}");
    }
    // A second wrapping of the same assignment is the same assignment.
    let World { payload_key, assignment, submitter, .. } = &world;
    let again = payload_key.wrap(assignment, submitter, world.prekey(), EPOCH, &mut random(1));
    let mut guard = OpenGuard::new();
    assert!(try_open(&mut world, &mut guard, EXPIRY, EPOCH));
    world.wrapped = again.expect("wraps").0;
    assert!(!try_open(&mut world, &mut guard, EXPIRY, EPOCH));
}

#[test]
fn failures_cost_the_guard_and_the_ring_nothing() {
    let (mut world, mut guard) = (World::new(b"", 32), OpenGuard::new());
    let good = world.commit;
    world.commit.0[0] ^= 1;
    let before = world.prekeys.encode();
    assert!(!try_open(&mut world, &mut guard, EXPIRY, EPOCH));
    assert!(guard.is_empty() && *world.prekeys.encode() == *before);
    world.commit = good;
    assert!(try_open(&mut world, &mut guard, EXPIRY, EPOCH));
    assert!(guard.len() == 1 && *world.prekeys.encode() != *before, "a use is counted");
}

#[test]
fn what_has_expired_is_forgotten_and_does_not_open() {
    let (mut world, mut guard) = (World::new(b"", 33), OpenGuard::new());
    assert!(try_open(&mut world, &mut guard, EXPIRY, EXPIRY));
    // As long as the prekey opens, which was made in `EPOCH`.
    guard.forget(ERASED - 1);
    assert_eq!(guard.len(), 1);
    assert!(!try_open(&mut world, &mut guard, ERASED, ERASED - 1));
    guard.forget(ERASED);
    assert!(guard.is_empty());
    // Neither later, nor when the clock goes back; whatever the caller says of the expiry.
    for (expiry, epoch) in [(EXPIRY, ERASED), (EXPIRY, EPOCH), (ERASED + 9, ERASED), (ERASED + 9, EPOCH)] {
        assert!(!try_open(&mut world, &mut guard, expiry, epoch), "expiry {expiry} in {epoch}");
    }
    let mut guard = OpenGuard::new();
    assert!(!try_open(&mut world, &mut guard, EXPIRY, EXPIRY + 1), "expired");
    // An expiry further ahead than any prekey lives is refused.
    let mut guard = OpenGuard::new();
    assert!(!try_open(&mut world, &mut guard, EPOCH + 2_881, EPOCH));
    assert!(!try_open(&mut world, &mut guard, u64::MAX, EPOCH));
    assert!(try_open(&mut world, &mut guard, EPOCH + 2_880, EPOCH));
    // Nor does the furthest one keep it in the guard for longer.
    guard.forget(EPOCH + 2_881);
    assert!(guard.is_empty());
}

#[test]
fn a_full_guard_refuses() {
    let mut guard = OpenGuard::holding(1);
    let (mut first, mut second) = (World::new(b"", 34), World::new(b"", 35));
    assert!(try_open(&mut first, &mut guard, EXPIRY, EPOCH));
    second.assignment.task = [8; 32];
    let World { payload_key, assignment, submitter, .. } = &second;
    let wrapped = payload_key.wrap(assignment, submitter, second.prekey(), EPOCH, &mut random(1));
    second.wrapped = wrapped.expect("wraps").0;
    assert!(!try_open(&mut second, &mut guard, EXPIRY + 5, EPOCH));
    assert!(!try_open(&mut second, &mut guard, EXPIRY + 5, EXPIRY + 1), "its expiry makes no room");
    let World { payload_key, assignment, submitter, identity, prekeys, .. } = &mut second;
    let prekey = *prekeys.rotate(identity, ERASED, &mut random(2)).expect("a key");
    second.wrapped =
        payload_key.wrap(assignment, submitter, &prekey, ERASED, &mut random(3)).expect("wraps").0;
    assert!(try_open(&mut second, &mut guard, ERASED, ERASED), "the first can open no more");
}

#[test]
fn a_guard_comes_back_from_storage() {
    let (mut world, mut guard) = (World::new(b"", 36), OpenGuard::new());
    assert!(try_open(&mut world, &mut guard, EXPIRY, EPOCH));
    let bytes = guard.encode();
    let submitter = world.submitter.account();
    let parts: [&[u8]; 4] = [b"edgenet/opening/v1", submitter.as_bytes(), &[2; 32], &[0, 0, 0, 3]];
    let opening = to_hex(&hash(&parts));
    assert_eq!(to_hex(&bytes), format!("0100000000000003e800000001{opening}0000000000000f27"));
    let mut back = OpenGuard::decode(&bytes).expect("what was written");
    assert_eq!(back, guard);
    assert!(!try_open(&mut world, &mut back, EXPIRY, EPOCH));
    back.forget(ERASED);
    assert!(back.is_empty());
}

#[test]
fn bad_guards_are_refused() {
    let (mut world, mut guard) = (World::new(b"", 37), OpenGuard::new());
    assert!(try_open(&mut world, &mut guard, EXPIRY, EPOCH));
    let bytes = guard.encode();
    let mut twice = [&bytes[..], &bytes[13..]].concat();
    twice[12] = 2;
    assert_eq!(OpenGuard::decode(&twice), Err(DecodeError::Field { what: "openings are not in order" }));
    let mut many = bytes.clone();
    many[9..13].fill(0xff);
    let refused = OpenGuard::decode(&many);
    assert!(matches!(refused, Err(DecodeError::TooMany { found: 0xffff_ffff, .. })), "{refused:?}");
    for length in 0..bytes.len() {
        assert!(OpenGuard::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(OpenGuard::decode(&[&bytes[..], &[0]].concat()).is_err());
}

/// The expiry is the caller's word: a replay may come with a later one.
#[test]
fn a_later_expiry_does_not_open_again() {
    let mut world = World::new(b"once", 1);
    let mut guard = OpenGuard::new();
    assert!(try_open(&mut world, &mut guard, EPOCH, EPOCH));
    assert!(!try_open(&mut world, &mut guard, EPOCH + 100, EPOCH + 1));
}

/// A stranger may seal first under the public task id and number.
#[test]
fn a_stranger_does_not_use_up_an_assignment() {
    let (mut world, mut stranger) = (World::new(b"asked", 1), World::new(b"nothing", 2));
    let mut guard = OpenGuard::new();
    let key = *world.prekey();
    stranger.assignment.worker = world.assignment.worker;
    let wrapped =
        stranger.payload_key.wrap(&stranger.assignment, &stranger.submitter, &key, EPOCH, &mut random(3));
    stranger.wrapped = wrapped.expect("wraps").0;
    let delivery = stranger.delivery();
    assert!(open(&mut world.prekeys, &mut guard, &delivery, EPOCH).is_ok());
    assert!(try_open(&mut world, &mut guard, EXPIRY, EPOCH), "it is another submitter's");
}

/// The first epoch in which a prekey of `EPOCH` is gone.
const ERASED: u64 = EPOCH + 2_880;
