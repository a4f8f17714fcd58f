use argon2::ParamsBuilder;
use proptest::prelude::*;

use super::*;
use crate::testing::{accepted_bit_flips, accepted_lengths, hex, random, to_hex};

/// Argon2's least, for tests that need many.
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

fn written(extra: &[u8]) -> Vec<u8> {
    let key = SecretKey::from_seed([3; 32]);
    export(&key, extra, b"correct horse", CHEAP, &mut random(1)).expect("a backup")
}

#[test]
fn a_backup_comes_back() {
    for extra in [&b""[..], b"prekeys"] {
        let back = import(&written(extra), b"correct horse").expect("opens");
        assert_eq!((back.key.seed(), &back.extra[..]), (&[3; 32], extra));
        assert!(!format!("{back:?}").contains("03, 03"));
    }
}

#[test]
fn the_recommended_cost_is_that_of_the_rfc() {
    assert_eq!(Cost::RECOMMENDED, Cost { memory_kib: 65_536, passes: 3, lanes: 4 });
    let key = SecretKey::from_seed([4; 32]);
    let file = export(&key, b"", b"p", Cost::RECOMMENDED, &mut random(2)).expect("a backup");
    assert_eq!(import(&file, b"p").expect("opens").key.seed(), &[4; 32]);
}

#[test]
fn a_backup_has_these_bytes() {
    assert_eq!(to_hex(&written(b"prekeys")), GOLDEN);
    let back = import(&hex(GOLDEN), b"correct horse").expect("opens");
    assert_eq!(back.key.seed(), &[3; 32]);
}

/// RFC 9106, section 5.3.
#[test]
fn the_kept_argon2id_is_the_standard() {
    let data = argon2::AssociatedData::new(&[4; 12]).expect("short");
    let params = ParamsBuilder::new().m_cost(32).t_cost(3).p_cost(4).data(data).output_len(32).build();
    let argon = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params.expect("valid"));
    let mut tag = [0; 32];
    argon.expect("short").hash_password_into(&[1; 32], &[2; 16], &mut tag).expect("a tag");
    assert_eq!(to_hex(&tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let file = written(b"");
    for wrong in ["correct hors", "correct horse ", "Correct horse", "x"] {
        assert_eq!(import(&file, wrong.as_bytes()).unwrap_err(), BackupError::Passphrase);
    }
    assert_eq!(import(&file, b"").unwrap_err(), BackupError::Empty);
    let key = SecretKey::from_seed([3; 32]);
    let empty = export(&key, b"", b"", CHEAP, &mut random(1));
    assert_eq!(empty, Err(BackupError::Empty));
    let nothing = export(&key, b"", b"p", CHEAP, &mut |bytes: &mut [u8]| bytes.fill(0));
    assert_eq!(nothing, Err(BackupError::Randomness));
}

#[test]
fn no_change_of_a_backup_opens() {
    let file = written(b"x");
    let mut accepts = |file: &[u8]| import(file, b"correct horse").is_ok();
    assert!(accepts(&file));
    assert_eq!(accepted_bit_flips(&file, &mut accepts), (98 * 8, vec![]));
    assert_eq!(accepted_lengths(&file, &mut accepts), Vec::<usize>::new());
}

/// A reader that does not bind the header takes changes of the magic.
#[test]
fn a_planted_fault_is_caught() {
    let file = written(b"x");
    let mut careless = |changed: &[u8]| {
        let mut file = changed.to_vec();
        file[..MAGIC.len()].copy_from_slice(MAGIC);
        import(&file, b"correct horse").is_ok()
    };
    assert_eq!(accepted_bit_flips(&file, &mut careless).1, (0..64).collect::<Vec<_>>());
}

#[test]
fn hostile_files_are_refused_before_any_work() {
    let with = |at: usize, bytes: &[u8]| {
        let mut file = written(b"");
        file[at..at + bytes.len()].copy_from_slice(bytes);
        import(&file, b"correct horse").unwrap_err()
    };
    let costly = |memory_kib: u32, passes: u32, lanes: u32| {
        let cost = Cost { memory_kib, passes, lanes };
        let numbers = [memory_kib, passes, lanes].map(u32::to_be_bytes);
        assert_eq!(with(9, numbers.as_flattened()), BackupError::Cost(cost));
    };
    costly(u32::MAX, 1, 1);
    costly((256 << 10) + 1, 1, 1);
    costly(8, u32::MAX, 1);
    costly(8, 11, 1);
    costly(8, 0, 1);
    costly(8, 1, 0);
    costly(8, 1, 2);
    costly(1 << 10, 1, 17);
    costly(1 << 10, 1, u32::MAX);
    costly(0, 1, 1);
    assert_eq!(with(0, b"X"), BackupError::Magic);
    assert_eq!(with(8, &[2]), BackupError::Version { found: 2 });
    assert_eq!(import(b"", b"p").unwrap_err(), BackupError::Magic);
    assert_eq!(import(&written(b"")[..96], b"p").unwrap_err(), BackupError::Length { found: 96 });
    let long = [&written(b"")[..], &vec![0; MAX_EXTRA_BYTES + 1]].concat();
    assert_eq!(import(&long, b"p").unwrap_err(), BackupError::Length { found: long.len() });
    let key = SecretKey::from_seed([3; 32]);
    let long = export(&key, &vec![0; MAX_EXTRA_BYTES + 1], b"p", CHEAP, &mut random(1));
    assert_eq!(long, Err(BackupError::Length { found: 97 + MAX_EXTRA_BYTES + 1 }));
    let dear = Cost { passes: 11, ..CHEAP };
    assert_eq!(export(&key, b"", b"p", dear, &mut random(1)), Err(BackupError::Cost(dear)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_backup_comes_back(
        seed: [u8; 32],
        extra in prop::collection::vec(any::<u8>(), 0..200),
        passphrase in prop::collection::vec(any::<u8>(), 1..40),
        drawn in 1..u64::MAX,
    ) {
        let key = SecretKey::from_seed(seed);
        let file = export(&key, &extra, &passphrase, CHEAP, &mut random(drawn)).expect("a backup");
        let back = import(&file, &passphrase).expect("opens");
        prop_assert_eq!((back.key.seed(), &back.extra[..]), (&seed, &extra[..]));
    }

    #[test]
    fn noise_is_answered(noise in prop::collection::vec(any::<u8>(), 0..300), headed: bool) {
        let mut file = noise;
        if headed {
            file.splice(0..0, written(b"")[..HEADER_BYTES].iter().copied());
        }
        prop_assert!(import(&file, b"correct horse").is_err());
    }
}

const GOLDEN: &str = "454e4241434b5550010000000800000001000000010d54a87d909dd56787d200bc26ec1354c90de7881d22831324ee7be7db1b28d14be6c98eb5912dcaa36951522e45672e0943c87027d6ac051e9d4323f97d8538f415ff2f8fad318d81262532b16e25a2d71e47";
