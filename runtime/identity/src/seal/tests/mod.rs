mod attacks;
mod golden;
mod guard;
mod mutations;
mod padding;

use proptest::prelude::*;

use super::*;
use crate::{Prekeys, SecretKey, SignedPrekey, testing::random};

const EPOCH: u64 = 1_000;
const EXPIRY: u64 = 1_010;

/// A task of one submitter in the hands of one worker, and all that travels.
struct World {
    submitter: SecretKey,
    identity: SecretKey,
    prekeys: Prekeys,
    assignment: Assignment,
    commit: PayloadCommit,
    payload: SealedPayload,
    payload_key: PayloadKey,
    wrapped: WrappedKey,
    result_key: ResultKey,
}

impl World {
    fn new(plain: &[u8], seed: u64) -> World {
        let mut random = random(seed);
        let (submitter, identity) = (SecretKey::generate(&mut random), SecretKey::generate(&mut random));
        let mut prekeys = Prekeys::new(identity.account());
        prekeys.rotate(&identity, EPOCH, &mut random).expect("a key");
        let payload = Payload::new(plain, &mut random).expect("short enough");
        let assignment = Assignment {
            network: [1; 32],
            task: [2; 32],
            number: 3,
            submitter: submitter.account(),
            worker: identity.account(),
            envelope: envelope_hash(&payload.commit().0),
        };
        let commit = payload.commit();
        let (payload, payload_key) = payload.seal(&assignment.envelope, &mut random).expect("seals");
        let prekey = *prekeys.current().expect("a key");
        let wrapped = payload_key.wrap(&assignment, &submitter, &prekey, EPOCH, &mut random);
        let (wrapped, result_key) = wrapped.expect("wraps");
        World { submitter, identity, prekeys, assignment, commit, payload, payload_key, wrapped, result_key }
    }

    fn prekey(&self) -> &SignedPrekey {
        self.prekeys.current().expect("a key")
    }

    fn delivery(&self) -> Delivery<'_> {
        let World { assignment, commit, wrapped: key, payload, .. } = self;
        Delivery { assignment, commit, expiry_epoch: EXPIRY, key, payload }
    }

    /// Opens with a fresh guard, and leaves no trace.
    fn opens(&self, delivery: &Delivery<'_>) -> Result<Opened, OpenError> {
        let mut prekeys = Prekeys::decode(&self.prekeys.encode()).expect("what was written");
        open(&mut prekeys, &mut OpenGuard::new(), delivery, EPOCH)
    }
}

#[test]
fn a_payload_reaches_its_worker_and_the_result_comes_back() {
    let mut world = World::new(b"what is asked", 1);
    let (key, payload) = (world.wrapped.encode(), world.payload.encode().to_vec());
    world.wrapped = WrappedKey::decode(&key).expect("what was written");
    world.payload = SealedPayload::decode(&payload).expect("what was written");
    let opened = world.opens(&world.delivery()).expect("opens");
    assert_eq!(opened.plain(), b"what is asked");
    assert_eq!(payload_commit(opened.salt(), opened.plain()), world.commit);
    let sealed = opened.result_key().seal(b"what is answered", &mut random(2)).expect("seals");
    let sealed = SealedResult::decode(sealed.encode()).expect("what was written");
    assert_eq!(*world.result_key.open(&sealed).expect("opens"), b"what is answered");
    assert_eq!(opened.result_key().bytes(), world.result_key.bytes());
    let published = ResultKey::from_bytes(*world.result_key.bytes());
    assert!(published.open(&sealed).is_ok());
}

/// One sealing, several workers, each with a result key of its own.
#[test]
fn replicas_share_the_payload_and_not_the_result_key() {
    let world = World::new(b"the same for all", 3);
    let mut result_keys = vec![*world.result_key.bytes()];
    for number in 4..7 {
        let mut random = random(number.into());
        let identity = SecretKey::generate(&mut random);
        let mut prekeys = Prekeys::new(identity.account());
        let prekey = *prekeys.rotate(&identity, EPOCH, &mut random).expect("a key");
        let assignment = Assignment { number, worker: identity.account(), ..world.assignment };
        let wrapped = world.payload_key.wrap(&assignment, &world.submitter, &prekey, EPOCH, &mut random);
        let (key, _) = wrapped.expect("wraps");
        let delivery = Delivery { assignment: &assignment, key: &key, ..world.delivery() };
        let opened = open(&mut prekeys, &mut OpenGuard::new(), &delivery, EPOCH).expect("opens");
        assert_eq!(opened.plain(), b"the same for all");
        result_keys.push(*opened.result_key().bytes());
    }
    result_keys.sort_unstable();
    result_keys.dedup();
    assert_eq!(result_keys.len(), 4);
}

/// A submitter that stored salt and key goes on where it was.
#[test]
fn a_submitter_comes_back() {
    let mut world = World::new(b"asked before", 4);
    let salt = *world.opens(&world.delivery()).expect("opens").salt();
    let payload = Payload::with_salt(&salt, b"asked before").expect("short enough");
    assert_eq!((payload.commit(), payload.salt()), (world.commit, &salt));
    let key = PayloadKey::from_bytes(*world.payload_key.bytes());
    let wrapped = key.wrap(&world.assignment, &world.submitter, world.prekey(), EPOCH, &mut random(5));
    (world.wrapped, world.result_key) = wrapped.expect("wraps");
    assert!(world.opens(&world.delivery()).is_ok());
}

#[test]
fn equal_payloads_do_not_look_equal() {
    let [a, b] = [5, 6].map(|seed| World::new(b"yes", seed));
    assert_ne!(a.commit, b.commit);
    assert_ne!(a.payload, b.payload);
}

#[test]
fn sealing_is_refused_for_a_reason() {
    let world = World::new(b"", 7);
    let World { payload_key, assignment, submitter, identity, .. } = &world;
    let prekey = world.prekey();
    let wrap = |assignment, signer, prekey, epoch| {
        payload_key.wrap(assignment, signer, prekey, epoch, &mut random(1)).unwrap_err()
    };
    assert_eq!(wrap(assignment, identity, prekey, EPOCH), SealError::Submitter);
    let other = Assignment { worker: submitter.account(), ..*assignment };
    assert_eq!(wrap(&other, submitter, prekey, EPOCH), SealError::Worker);
    let late = crate::PrekeyError::Expired { made: EPOCH, epoch: EPOCH + 2_880 };
    assert_eq!(wrap(assignment, submitter, prekey, EPOCH + 2_880), SealError::Prekey(late));
    let zeros = payload_key.wrap(assignment, submitter, prekey, EPOCH, &mut |to: &mut [u8]| to.fill(0));
    assert_eq!(zeros.unwrap_err(), SealError::Randomness);
    let zeros = &mut |to: &mut [u8]| to.fill(0);
    assert_eq!(Payload::new(b"", zeros).unwrap_err(), SealError::Randomness);
    let long = vec![0; MAX_PLAIN_BYTES + 1];
    let refused = SealError::TooLong { found: long.len() };
    assert_eq!(Payload::new(&long, &mut random(1)).unwrap_err(), refused);
    assert_eq!(world.result_key.seal(&long, &mut random(1)).unwrap_err(), refused);
}

#[test]
fn secrets_are_not_printed() {
    let world = World::new(&[0xab; 100], 8);
    let opened = world.opens(&world.delivery()).expect("opens");
    let printed = format!("{:?} {opened:?} {:?}", world.payload_key, world.result_key);
    assert_eq!(printed, "PayloadKey(Key(..)) Opened(100 bytes) ResultKey(Key(..))");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_payload_and_result_come_back(
        plain in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            (65_400..65_700usize).prop_map(|n| vec![9; n]),
        ],
        result in prop::collection::vec(any::<u8>(), 0..3_000),
        seed in 1..u64::MAX,
    ) {
        let world = World::new(&plain, seed);
        let sealed = SealedPayload::decode(world.payload.encode());
        prop_assert_eq!(sealed.as_ref(), Ok(&world.payload));
        prop_assert_eq!(WrappedKey::decode(&world.wrapped.encode()), Ok(world.wrapped));
        let opened = world.opens(&world.delivery()).expect("opens");
        prop_assert_eq!(opened.plain(), &plain[..]);
        let sealed = opened.result_key().seal(&result, &mut random(seed ^ 1)).expect("seals");
        prop_assert_eq!(&*world.result_key.open(&sealed).expect("opens"), &result);
    }

    #[test]
    fn noise_is_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..400), versioned: bool) {
        if let Some(first) = bytes.first_mut().filter(|_| versioned) {
            *first = 1;
        }
        let world = World::new(b"", 9);
        if let Ok(key) = WrappedKey::decode(&bytes) {
            let opened = world.opens(&Delivery { key: &key, ..world.delivery() });
            prop_assert!(opened.is_err());
        }
        if let Ok(payload) = SealedPayload::decode(&bytes) {
            let opened = world.opens(&Delivery { payload: &payload, ..world.delivery() });
            prop_assert!(opened.is_err());
        }
        if let Ok(result) = SealedResult::decode(&bytes) {
            prop_assert!(world.result_key.open(&result).is_err());
        }
        if let Ok(guard) = OpenGuard::decode(&bytes) {
            prop_assert_eq!(guard.encode(), bytes);
        }
    }
}
