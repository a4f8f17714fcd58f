use bech32::Hrp;
use ed25519_dalek::{Verifier, VerifyingKey};
use proptest::prelude::*;

use super::{wycheproof, *};
use crate::testing::{hex, random, to_hex};

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().expect("the length")
}

/// The points of order 1, 2, 4, 4 and 8, 8, 8, 8, canonically encoded.
const LOW_ORDER: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// RFC 8032, section 7.1, test 2: seed, key, message, signature.
const RFC: [&str; 4] = [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
];

fn strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    PublicKey::from_bytes(key)
        .is_ok_and(|key| key.verify(message, &Signature::from_bytes(*signature)).is_ok())
}

/// The rules of RFC 8032 alone: weak keys verify.
fn plain(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify(message, &signature).is_ok())
}

/// The identity as `R` and zero as `S`: verifies for every message under a key of order 1.
fn forged() -> [u8; 64] {
    let mut signature = [0; 64];
    signature[0] = 1;
    signature
}

#[test]
fn wycheproof_vectors_pass() {
    let wrong = wycheproof::failures(&strict);
    assert!(wrong.is_none_or(|ids| ids.is_empty()));
}

#[test]
fn a_planted_fault_is_caught() {
    // A verifier that forgets that S has one form.
    let careless = |key: &[u8; 32], message: &[u8], signature: &[u8; 64]| {
        let mut signature = *signature;
        if signature[63] >= 0x10 {
            signature = reduced(signature);
        }
        strict(key, message, &signature)
    };
    assert_eq!(wycheproof::failures(&careless).map_or(5, |ids| ids.len()), 5);
    // The plain rules take a signature nobody made.
    assert!(plain(&array(LOW_ORDER[0]), b"anything", &forged()));
}

fn reduced(mut signature: [u8; 64]) -> [u8; 64] {
    let s: [u8; 32] = signature[32..].try_into().expect("32 bytes");
    let s = curve25519_dalek::Scalar::from_bytes_mod_order(s);
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

#[test]
fn the_rfc_example_comes_out() {
    let key = SecretKey::from_seed(array(RFC[0]));
    assert_eq!(to_hex(key.account().as_bytes()), RFC[1]);
    let signature = key.sign(&hex(RFC[2]));
    assert_eq!(to_hex(signature.as_bytes()), RFC[3]);
    assert_eq!(key.public().verify(&hex(RFC[2]), &signature), Ok(()));
    assert_eq!(key.account().public_key(), Ok(key.public()));
    assert_eq!(key.seed(), &array(RFC[0]));
}

#[test]
fn weak_keys_are_refused() {
    for text in LOW_ORDER {
        let key = array(text);
        assert_eq!(PublicKey::from_bytes(&key), Err(KeyError::LowOrder), "{text}");
        assert!(!strict(&key, b"anything", &forged()));
    }
}

/// Every y of p or more, with either sign, and the two points whose x is zero with a sign.
#[test]
fn second_spellings_are_refused() {
    let mut non_canonical = 0;
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (low, high);
            match PublicKey::from_bytes(&key) {
                Err(KeyError::NonCanonical) => non_canonical += 1,
                other => assert_eq!(other, Err(KeyError::NotOnCurve), "{low:x} {high:x}"),
            }
        }
    }
    assert_eq!(non_canonical, 24);
    for text in &LOW_ORDER[..2] {
        let mut key: [u8; 32] = array(text);
        key[31] |= 0x80;
        assert_eq!(PublicKey::from_bytes(&key), Err(KeyError::NonCanonical), "{text}");
    }
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    assert_eq!(PublicKey::from_bytes(&off_curve), Err(KeyError::NotOnCurve));
}

/// A small-order `R` is refused even with a good key.
#[test]
fn signatures_have_one_form() {
    let key = SecretKey::generate(&mut random(3));
    let good = key.sign(b"message").to_bytes();
    for bit in 0..512 {
        let mut changed = good;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!strict(key.account().as_bytes(), b"message", &changed), "bit {bit}");
    }
    for text in LOW_ORDER {
        let mut changed = good;
        changed[..32].copy_from_slice(&array::<32>(text));
        assert!(!strict(key.account().as_bytes(), b"message", &changed), "{text}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let key = SecretKey::from_seed([7; 32]);
    let account = "edge1af9xcclzn3fq40h42pa3xtk9lx25wa4wh6l8hyjzrm4xj9zx6gkq0cmkvv";
    assert_eq!(format!("{key:?}"), format!("SecretKey(of {account})"));
    assert_eq!(format!("{:?}", key.public()), format!("PublicKey({account})"));
    assert_eq!(format!("{:?}", Signature::from_bytes([0xab; 64])), "Signature(abababab..)");
}

#[test]
fn accounts_are_texts_with_a_checksum() {
    let account = SecretKey::from_seed([7; 32]).account();
    let text = account.to_string();
    assert_eq!(text.len(), 63);
    assert_eq!(text.parse(), Ok(account));
    assert_eq!(text.to_uppercase().parse(), Ok(account));
    let parse = |text: &str| text.parse::<AccountId>().unwrap_err();
    assert_eq!(parse(""), AccountIdError::Form);
    assert_eq!(parse("edge"), AccountIdError::Form);
    assert_eq!(parse(&text.replace('q', "b")), AccountIdError::Form);
    assert_eq!(parse(&text.replace("edge1", "Edge1")), AccountIdError::Form);
    assert_eq!(parse(&text.replace("edge1", "edg1")), AccountIdError::Prefix { found: "edg".into() });
    assert_eq!(parse(&text[..62]), AccountIdError::Checksum);
    let of = |bytes: &[u8]| bech32::encode::<bech32::Bech32m>(Hrp::parse("edge").unwrap(), bytes).unwrap();
    assert_eq!(parse(&of(&[0; 31])), AccountIdError::Length { found: 31 });
    assert_eq!(parse(&of(&[0; 33])), AccountIdError::Length { found: 33 });
    let older = bech32::encode::<bech32::Bech32>(Hrp::parse("edge").unwrap(), account.as_bytes()).unwrap();
    assert_eq!(parse(&older), AccountIdError::Checksum);
}

/// No text with one other letter names an account.
#[test]
fn a_mistyped_account_is_refused() {
    let text = SecretKey::from_seed([9; 32]).account().to_string();
    let mut refused = 0;
    for at in 0..text.len() {
        for letter in "023456789acdefghjklmnpqrstuvwxyz1bio".chars() {
            let changed: String =
                text.chars().enumerate().map(|(i, c)| if i == at { letter } else { c }).collect();
            if changed != text {
                assert!(changed.parse::<AccountId>().is_err(), "{changed}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 63 * 35);
}

/// The last letter carries four bits behind the last byte; another spelling has a good checksum and is refused.
#[test]
fn padding_bits_are_zero() {
    use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
    let hrp = Hrp::parse("edge").unwrap();
    let mut letters: Vec<bech32::Fe32> = [0u8; 32].into_iter().bytes_to_fes().collect();
    let last = letters.len() - 1;
    letters[last] = bech32::Fe32::try_from(1u8).unwrap();
    let text: String = letters.into_iter().with_checksum::<bech32::Bech32m>(&hrp).chars().collect();
    assert_eq!(text.parse::<AccountId>(), Err(AccountIdError::Padding));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_signed_verifies(seed: [u8; 32], message in prop::collection::vec(any::<u8>(), 0..100)) {
        let key = SecretKey::from_seed(seed);
        let signature = key.sign(&message);
        prop_assert_eq!(key.public().verify(&message, &signature), Ok(()));
        prop_assert_eq!(key.public().verify(&[&message[..], &[0]].concat(), &signature), Err(BadSignature));
        prop_assert_eq!(PublicKey::from_bytes(key.account().as_bytes()), Ok(key.public()));
        prop_assert_eq!(key.account().to_string().parse(), Ok(key.account()));
    }

    /// Any 32 bytes are a name, and no bytes or text make anything panic.
    #[test]
    fn any_bytes_and_texts_are_answered(bytes: [u8; 32], text in "(edge1)?[ -~]{0,80}") {
        let account = AccountId::from_bytes(bytes);
        prop_assert_eq!(account.to_string().parse(), Ok(account));
        if let Ok(key) = account.public_key() {
            prop_assert_eq!(key.account(), account);
        }
        let _ = text.parse::<AccountId>();
    }
}
