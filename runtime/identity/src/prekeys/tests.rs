use proptest::prelude::*;

use super::*;
use crate::{
    AccountId, DecodeError, SecretKey, Signature,
    testing::{accepted_bit_flips, accepted_lengths, random, to_hex},
};

fn identity() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn ring(epoch: u64, seed: u64) -> Prekeys {
    let mut ring = Prekeys::new(identity().account());
    ring.rotate(&identity(), epoch, &mut random(seed)).expect("a first key");
    ring
}

#[test]
fn a_key_is_made_each_day_and_erased_after_two() {
    let (identity, mut random) = (identity(), random(1));
    let mut ring = Prekeys::new(identity.account());
    assert!(ring.is_empty() && ring.current().is_none());
    let first = *ring.rotate(&identity, 100, &mut random).expect("a first key");
    assert_eq!(ring.rotate(&identity, 100 + ROTATE_EPOCHS - 1, &mut random), None);
    let second = *ring.rotate(&identity, 100 + ROTATE_EPOCHS, &mut random).expect("a day later");
    assert_ne!(first.public, second.public);
    assert_eq!(ring.current(), Some(&second));
    let last = 100 + ERASE_EPOCHS - 1;
    assert_eq!(ring.get(first.id, last), Some(&first));
    assert!(ring.secret(first.id, last).is_some());
    // Whether or not anybody called for it, the key is of no use any more; then it is gone.
    assert!(ring.secret(first.id, last + 1).is_none());
    assert_eq!(ring.len(), 2);
    ring.rotate(&identity, last + 1, &mut random);
    assert!(ring.get(first.id, 100).is_none());
    assert_eq!(ring.len(), 2);
    // After a long sleep nothing is left but a key made afresh.
    let third = *ring.rotate(&identity, 1_000_000, &mut random).expect("a key");
    assert_eq!((ring.len(), ring.current()), (1, Some(&third)));
}

#[test]
fn a_key_is_current_for_a_thousand_uses() {
    let (identity, mut random) = (identity(), random(12));
    let mut ring = ring(5, 2);
    let first = ring.current().expect("a key").id;
    (1..ROTATE_USES).for_each(|_| ring.count_use(first));
    assert!(ring.rotate(&identity, 5, &mut random).is_none());
    ring.count_use(first);
    let second = ring.rotate(&identity, 5, &mut random).expect("a key").id;
    assert_ne!(first, second);
    assert!(ring.secret(first, 5).is_some(), "what was sealed to it still opens");
}

#[test]
fn a_clock_that_goes_back_leaves_no_key_from_the_future() {
    let (identity, mut random) = (identity(), random(3));
    let mut ring = ring(50_000, 3);
    let made = *ring.rotate(&identity, 49_000, &mut random).expect("a key");
    assert_eq!((made.epoch, ring.len()), (49_000, 2));
    assert!(ring.rotate(&identity, 49_001, &mut random).is_none());
    ring.rotate(&identity, 10, &mut random).expect("a key");
    assert_eq!(ring.len(), 1);
}

/// The same randomness gives the same key to any account, other randomness gives another key to the same account.
#[test]
fn keys_do_not_come_from_the_account() {
    let other = SecretKey::from_seed([2; 32]);
    let mut theirs = Prekeys::new(other.account());
    let theirs = theirs.rotate(&other, 7, &mut random(4)).expect("a key").public;
    assert_eq!(ring(7, 4).current().expect("a key").public, theirs);
    assert_ne!(ring(7, 5).current().expect("a key").public, theirs);
}

/// A ring read back full gives up its oldest key for another, and none is read that holds more.
#[test]
fn the_ring_is_bounded() {
    let identity = identity();
    let one = ring(1, 6).encode();
    let mut bytes = one[..37].to_vec();
    bytes[33..].copy_from_slice(&(MAX_PREKEYS as u32).to_be_bytes());
    let mut used_up = one[37..].to_vec();
    used_up[32..36].copy_from_slice(&ROTATE_USES.to_be_bytes());
    (0..MAX_PREKEYS).for_each(|_| bytes.extend_from_slice(&used_up));
    let mut ring = Prekeys::decode(&bytes).expect("as many as there may be");
    ring.rotate(&identity, 1, &mut random(7)).expect("a key");
    assert_eq!(ring.len(), MAX_PREKEYS);
    bytes[33..37].copy_from_slice(&(MAX_PREKEYS as u32 + 1).to_be_bytes());
    let refused = DecodeError::TooMany { what: "prekeys", found: MAX_PREKEYS + 1, most: MAX_PREKEYS };
    assert_eq!(Prekeys::decode(&bytes).unwrap_err(), refused);
}

#[test]
#[should_panic(expected = "a ring has one account")]
fn a_ring_has_one_account() {
    ring(1, 1).rotate(&SecretKey::from_seed([2; 32]), 1, &mut random(1));
}

#[test]
#[should_panic(expected = "the source of randomness works")]
fn no_key_comes_from_nothing() {
    Prekeys::new(identity().account()).rotate(&identity(), 1, &mut |bytes: &mut [u8]| bytes.fill(0));
}

#[test]
fn a_prekey_has_these_bytes() {
    let ring = ring(0x0102, 8);
    let signed = ring.current().expect("a key");
    let bytes = signed.encode();
    let id = crate::bytes::hash(&[b"edgenet/prekey-id/v1", &signed.public]);
    let epoch = [0, 0, 0, 0, 0, 0, 1, 2];
    let body = [&[1], &identity().account().to_bytes()[..], &id[..8], &signed.public, &epoch].concat();
    let signature = identity().sign(&[b"edgenet/prekey/v1", &body[..]].concat());
    assert_eq!(bytes[..], [&body[..], signature.as_bytes()].concat());
    assert_eq!(to_hex(&bytes), GOLDEN_PREKEY);
    assert_eq!(SignedPrekey::decode(&bytes), Ok(*signed));
    assert_eq!(signed.verify(0x0102), Ok(()));
}

#[test]
fn no_change_of_a_prekey_verifies() {
    let bytes = ring(9, 9).current().expect("a key").encode();
    let mut accepts = |bytes: &[u8]| SignedPrekey::decode(bytes).is_ok_and(|signed| signed.verify(9).is_ok());
    assert!(accepts(&bytes));
    assert_eq!(accepted_bit_flips(&bytes, &mut accepts), (145 * 8, vec![]));
    assert_eq!(accepted_lengths(&bytes, &mut accepts), Vec::<usize>::new());
}

/// A verifier that forgets the signature takes every change that leaves the id alone.
#[test]
fn a_planted_fault_is_caught() {
    let bytes = ring(9, 9).current().expect("a key").encode();
    let mut careless = |bytes: &[u8]| {
        SignedPrekey::decode(bytes).is_ok_and(|signed| signed.id == PrekeyId::of(&signed.public))
    };
    let (_, accepted) = accepted_bit_flips(&bytes, &mut careless);
    assert_eq!(accepted.len(), (32 + 8 + 64) * 8);
}

#[test]
fn prekeys_are_refused_for_a_reason() {
    let ring = ring(10_000, 10);
    let signed = *ring.current().expect("a key");
    let (made, last) = (10_000, 10_000 + ERASE_EPOCHS);
    assert_eq!(signed.verify(last - 1), Ok(()));
    assert_eq!(signed.verify(last), Err(PrekeyError::Expired { made, epoch: last }));
    assert_eq!(signed.verify(made - AHEAD_EPOCHS), Ok(()));
    let epoch = made - AHEAD_EPOCHS - 1;
    assert_eq!(signed.verify(epoch), Err(PrekeyError::Ahead { made, epoch }));
    let other = SignedPrekey { public: [9; 32], ..signed };
    assert_eq!(other.verify(made), Err(PrekeyError::Id));
    let other = SignedPrekey { id: PrekeyId::of(&[9; 32]), ..other };
    assert_eq!(other.verify(made), Err(PrekeyError::Signature));
    let nobody = SignedPrekey { account: AccountId::from_bytes([0; 32]), ..signed };
    assert_eq!(nobody.verify(made), Err(PrekeyError::Signature));
    let unsigned = SignedPrekey { signature: Signature::from_bytes([0; 64]), ..signed };
    assert_eq!(unsigned.verify(made), Err(PrekeyError::Signature));
    let what = "a signed prekey";
    assert_eq!(SignedPrekey::decode(&[]), Err(DecodeError::Length { what, found: 0, wanted: 1 }));
    assert_eq!(SignedPrekey::decode(&[2; 145]), Err(DecodeError::Version { what, found: 2 }));
}

#[test]
fn a_ring_comes_back_from_storage() {
    let identity = identity();
    let mut ring = ring(20, 11);
    ring.rotate(&identity, 20 + ROTATE_EPOCHS, &mut random(12)).expect("a key");
    let current = ring.current().expect("a key").id;
    ring.count_use(current);
    let bytes = ring.encode();
    assert_eq!(to_hex(&crate::bytes::hash(&[&bytes])), GOLDEN_RING);
    let mut back = Prekeys::decode(&bytes).expect("what was written");
    assert_eq!((back.len(), back.account(), back.current()), (2, ring.account(), ring.current()));
    assert!(*back.encode() == *bytes);
    (1..ROTATE_USES).for_each(|_| back.count_use(current));
    assert!(back.rotate(&identity, 20 + ROTATE_EPOCHS, &mut random(13)).is_some(), "uses come back too");
    assert_eq!(format!("{ring:?}"), format!("Prekeys(2 of {})", identity.account()));
}

/// Uses are not signed; all else is checked, the five bits of a secret that X25519 ignores too.
#[test]
fn a_changed_ring_is_refused() {
    let bytes = ring(20, 14).encode();
    let mut accepts = |bytes: &[u8]| Prekeys::decode(bytes).is_ok();
    let (tried, accepted) = accepted_bit_flips(&bytes, &mut accepts);
    assert_eq!(tried, (37 + 36 + 145) * 8);
    let uses = 69 * 8..73 * 8;
    assert_eq!(accepted, uses.collect::<Vec<_>>());
    assert_eq!(accepted_lengths(&bytes, &mut accepts), Vec::<usize>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prekeys_come_back(seed in 1..u64::MAX, epoch: u64) {
        let ring = ring(epoch, seed);
        let signed = ring.current().expect("a key");
        prop_assert_eq!(SignedPrekey::decode(&signed.encode()), Ok(*signed));
        prop_assert_eq!(signed.verify(epoch), Ok(()));
        prop_assert!(*Prekeys::decode(&ring.encode()).expect("reads").encode() == *ring.encode());
    }

    #[test]
    fn noise_is_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..400), versioned: bool) {
        if let Some(first) = bytes.first_mut().filter(|_| versioned) {
            *first = 1;
        }
        prop_assert!(Prekeys::decode(&bytes).is_err());
        if let Ok(signed) = SignedPrekey::decode(&bytes) {
            prop_assert!(signed.verify(signed.epoch).is_err());
        }
    }
}

const GOLDEN_PREKEY: &str = "018a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5cc75a95c61703cdb5af06c81f139fc4201a4ed86b95a097670b5926fdd081d06062f452f2b6c480280000000000000102129323e524e0a52bd875016b824d46c78cb57d396a53497fa6abd48ef5d857660ebab97128b5b02710263c5f3bb99b8deae128a241a432654e089dd39788fa0f";
const GOLDEN_RING: &str = "1e17a4316488a10d193fc1a3f97d7ed316767fb44937f1b06a3920312f0cd3ef";
