//! Project Wycheproof's vectors of what HPKE is made of: X25519 as the KEM uses it, HKDF and HMAC of the crates it uses.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use hpke::Kem as _;
use serde_json::Value;
use sha2::Sha256;

use super::*;
use crate::testing::{field, vectors};

const X25519_VECTORS: usize = 518;
/// The public key is of low order, so the secret is everybody's: RFC 9180 section 7.1.4 refuses it.
const ZERO_SHARED: usize = 31;
const HKDF_VECTORS: usize = 86;
const HMAC_VECTORS: usize = 87;
const HMAC_TRUNCATED: usize = 87;

fn tests(file: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let groups = file["testGroups"].as_array().expect("groups").iter();
    groups.flat_map(|group| group["tests"].as_array().expect("tests").iter().map(move |test| (group, test)))
}

/// `ExtractAndExpand` of RFC 9180, section 4.1, for DHKEM(X25519, HKDF-SHA256).
fn extract_and_expand(dh: &[u8], kem_context: &[u8]) -> [u8; 32] {
    let suite = b"KEM\x00\x20";
    let ikm = [b"HPKE-v1", &suite[..], b"eae_prk", dh].concat();
    let info = [b"\x00\x20HPKE-v1", &suite[..], b"shared_secret", kem_context].concat();
    let mut shared = [0; 32];
    Hkdf::<Sha256>::new(Some(b""), &ikm).expand(&info, &mut shared).expect("32 bytes");
    shared
}

/// Ids that went wrong, and how many secrets were all zeros.
fn x25519_failures(file: &Value, clamped: bool) -> (Vec<u64>, usize, usize) {
    let (mut wrong, mut zeros, mut ran) = (Vec::new(), 0, 0);
    for (_, test) in tests(file) {
        ran += 1;
        let bytes = |name: &str| -> [u8; 32] { field(test, name).try_into().expect("32 bytes") };
        let (mut private, public, shared) = (bytes("private"), bytes("public"), bytes("shared"));
        if !clamped {
            private[31] ^= 0x20;
        }
        let dh = x25519_dalek::x25519(private, public);
        let secret = secret_of(&private);
        let enc = hpke::Deserializable::from_bytes(&public).expect("32 bytes");
        let decapsulated = Kem::decap(&secret, None, &enc).ok().map(|shared| shared.0.to_vec());
        let context = [public, public_of(&secret)].concat();
        let wanted = (shared != [0; 32]).then(|| extract_and_expand(&shared, &context).to_vec());
        zeros += usize::from(wanted.is_none());
        // A secret of zeros makes no context on either side.
        let refused = receiver(&secret, &public, b"").is_err()
            && sender(&public, b"", &mut |to: &mut [u8]| to.fill(7)).is_err();
        if dh != shared || decapsulated != wanted || refused != (shared == [0; 32]) {
            wrong.push(test["tcId"].as_u64().expect("an id"));
        }
    }
    (wrong, zeros, ran)
}

#[test]
fn x25519_vectors_pass() {
    let Some(file) = vectors("wycheproof/x25519_test.json") else { return };
    assert_eq!(x25519_failures(&file, true), (Vec::new(), ZERO_SHARED, X25519_VECTORS));
}

/// A primitive that loses a bit of the private key.
#[test]
fn a_planted_fault_is_caught() {
    let Some(file) = vectors("wycheproof/x25519_test.json") else { return };
    assert_eq!(x25519_failures(&file, false).0.len(), X25519_VECTORS - ZERO_SHARED);
}

#[test]
fn hkdf_vectors_pass() {
    let Some(file) = vectors("wycheproof/hkdf_sha256_test.json") else { return };
    let mut ran = 0;
    for (_, test) in tests(&file) {
        ran += 1;
        let size = test["size"].as_u64().expect("a size") as usize;
        let mut found = vec![0; size];
        let derived = Hkdf::<Sha256>::new(Some(&field(test, "salt")), &field(test, "ikm"))
            .expand(&field(test, "info"), &mut found);
        let right = derived.is_ok() && found == field(test, "okm");
        assert_eq!(right, test["result"] == "valid", "{}", test["tcId"]);
    }
    assert_eq!(ran, HKDF_VECTORS);
}

#[test]
fn hmac_vectors_pass() {
    let Some(file) = vectors("wycheproof/hmac_sha256_test.json") else { return };
    let (mut ran, mut truncated) = (0, 0);
    for (group, test) in tests(&file) {
        // HKDF takes whole tags only.
        if group["tagSize"] != 256 {
            truncated += 1;
            continue;
        }
        ran += 1;
        let mut mac = Hmac::<Sha256>::new_from_slice(&field(test, "key")).expect("any length");
        mac.update(&field(test, "msg"));
        let right = mac.verify_slice(&field(test, "tag")).is_ok();
        assert_eq!(right, test["result"] == "valid", "{}", test["tcId"]);
    }
    assert_eq!((ran, truncated), (HMAC_VECTORS, HMAC_TRUNCATED));
}
