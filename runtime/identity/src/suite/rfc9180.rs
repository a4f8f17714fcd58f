//! The vectors of RFC 9180, bit for bit.

use hpke::{
    Kem as _,
    aead::AesGcm256,
    danger::streaming_enc::{create_receiver_context, create_sender_context},
    kdf::HkdfSha256,
};
use serde_json::Value;

use super::*;
use crate::testing::{field, vectors};

/// Vectors in the file by mode; only base mode is ours.
const MODES: [u64; 4] = [0, 1, 2, 3];
const ENCRYPTIONS: usize = 257;
const EXPORTS: usize = 3;

fn array<const N: usize>(value: &Value, name: &str) -> [u8; N] {
    field(value, name).try_into().expect("the length")
}

fn base_vector() -> Option<Value> {
    let file = vectors("hpke/x25519_sha256_aes256gcm.json")?;
    let all = file.as_array().expect("a list");
    let mode = |vector: &Value| vector["mode"].as_u64().expect("a mode");
    assert_eq!(all.iter().map(mode).collect::<Vec<_>>(), MODES);
    Some(all[0].clone())
}

/// Both contexts of the vector, made the way sealing makes them.
fn contexts(vector: &Value) -> (Sender, Receiver) {
    let mut drawn = 0;
    let mut random = |to: &mut [u8]| {
        drawn += to.len();
        to.copy_from_slice(&field(vector, "ikmE"));
    };
    let info = field(vector, "info");
    let (enc, sender) = sender(&array(vector, "pkRm"), &info, &mut random).expect("a context");
    assert_eq!((drawn, enc), (32, array(vector, "enc")));
    let secret = secret_of(&array(vector, "skRm"));
    assert_eq!(public_of(&secret), array(vector, "pkRm"));
    (sender, receiver(&secret, &enc, &info).expect("a context"))
}

/// What of the vector goes wrong: encryptions and exports by their place.
fn failures(vector: &Value, mut sender: Sender, mut receiver: Receiver) -> Vec<String> {
    let mut wrong = Vec::new();
    let encryptions = vector["encryptions"].as_array().expect("a list");
    for (i, one) in encryptions.iter().enumerate() {
        let (aad, plain, sealed) = (field(one, "aad"), field(one, "pt"), field(one, "ct"));
        let ours = sender.seal(&plain, &aad).expect("seals");
        if ours != sealed || receiver.open(&sealed, &aad).ok() != Some(plain) {
            wrong.push(format!("encryption {i}"));
        }
    }
    let exports = vector["exports"].as_array().expect("a list");
    for (i, one) in exports.iter().enumerate() {
        let (context, wanted) = (field(one, "exporter_context"), field(one, "exported_value"));
        let (mut ours, mut theirs) = (vec![0; wanted.len()], vec![0; wanted.len()]);
        sender.export(&context, &mut ours).expect("short");
        receiver.export(&context, &mut theirs).expect("short");
        if ours != wanted || theirs != wanted {
            wrong.push(format!("export {i}"));
        }
    }
    assert_eq!((encryptions.len(), exports.len()), (ENCRYPTIONS, EXPORTS));
    wrong
}

#[test]
fn base_mode_is_the_standard() {
    let Some(vector) = base_vector() else { return };
    let (sender, receiver) = contexts(&vector);
    assert_eq!(failures(&vector, sender, receiver), Vec::<String>::new());
}

#[test]
fn keys_and_shared_secret_are_those_of_the_vector() {
    let Some(vector) = base_vector() else { return };
    for (ikm, secret, public) in [("ikmR", "skRm", "pkRm"), ("ikmE", "skEm", "pkEm")] {
        let mut random = |to: &mut [u8]| to.copy_from_slice(&field(&vector, ikm));
        let (found, found_public) = key_pair(&mut random).expect("a pair");
        assert_eq!(found_public, array(&vector, public));
        assert!(found == secret_of(&array(&vector, secret)));
    }
    let enc = hpke::Deserializable::from_bytes(&field(&vector, "enc")).expect("a key");
    let shared = Kem::decap(&secret_of(&array(&vector, "skRm")), None, &enc).expect("not zero");
    assert_eq!(shared.0[..], field(&vector, "shared_secret"));
}

/// Contexts of the vector's own `key`, `base_nonce` and `exporter_secret` do what those of the exchange do: the key schedule
/// ends where the vector says.
#[test]
fn the_key_schedule_is_that_of_the_vector() {
    let Some(vector) = base_vector() else { return };
    let raw = || {
        let mut key = hpke::danger::streaming_enc::AeadKey::<AesGcm256>::default();
        key.0.copy_from_slice(&field(&vector, "key"));
        let mut nonce = hpke::danger::streaming_enc::AeadNonce::<AesGcm256>::default();
        nonce.0.copy_from_slice(&field(&vector, "base_nonce"));
        let mut exporter = hpke::danger::streaming_enc::ExporterSecret::<HkdfSha256>::default();
        exporter.0.copy_from_slice(&field(&vector, "exporter_secret"));
        (key, nonce, exporter)
    };
    let (key, nonce, exporter) = raw();
    let sender = create_sender_context::<AesGcm256, HkdfSha256, Kem>(&key, nonce, exporter);
    let (key, nonce, exporter) = raw();
    let receiver = create_receiver_context::<AesGcm256, HkdfSha256, Kem>(&key, nonce, exporter);
    let (ours, theirs) = contexts(&vector);
    assert_eq!(failures(&vector, sender, theirs), Vec::<String>::new());
    assert_eq!(failures(&vector, ours, receiver), Vec::<String>::new());
}

/// A context of another `info` misses everything.
#[test]
fn a_planted_fault_is_caught() {
    let Some(vector) = base_vector() else { return };
    let mut changed = vector.clone();
    changed["info"] = "00".into();
    let (sender, receiver) = contexts(&changed);
    assert_eq!(failures(&vector, sender, receiver).len(), ENCRYPTIONS + EXPORTS);
}

#[test]
fn no_randomness_is_no_key() {
    let zeros = &mut |to: &mut [u8]| to.fill(0);
    assert_eq!(key_pair(zeros).err(), Some(SuiteError::Randomness));
    assert_eq!(sender(&[9; 32], b"", zeros).err(), Some(SuiteError::Randomness));
    let mut drawn = Drawn { bytes: Zeroizing::new([1; 32]), spent: false, failed: false };
    let mut once = [0; 32];
    drawn.try_fill_bytes(&mut once).unwrap_or_else(|e| match e {});
    assert_eq!((once, drawn.failed), ([1; 32], false));
    drawn.try_fill_bytes(&mut once).unwrap_or_else(|e| match e {});
    assert!(drawn.failed && *drawn.bytes == [0; 32]);
}
