//! Project Wycheproof's AES-GCM vectors, for any implementation of the trait. The parent module names `Aead256`.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::Aead256;

/// Vectors in scope, and those left out by reason.
const IN_SCOPE: usize = 66;
const OUT_OF_SCOPE: [(&str, usize); 2] = [("key is not 256 bits", 211), ("nonce is not 96 bits", 39)];

/// Runs every vector in scope through the cipher that `with_key` makes and returns the ids that went wrong; `None`
/// where the file is absent.
pub(super) fn failures(with_key: &dyn Fn(&[u8]) -> Box<dyn Aead256>) -> Option<Vec<u64>> {
    let text = vectors()?;
    let file: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let (mut wrong, mut in_scope, mut left_out) = (Vec::new(), 0, BTreeMap::new());
    for group in file["testGroups"].as_array().expect("groups") {
        let reason = match (&group["keySize"], &group["ivSize"], &group["tagSize"]) {
            (key, _, _) if key != 256 => Some("key is not 256 bits"),
            (_, nonce, _) if nonce != 96 => Some("nonce is not 96 bits"),
            (_, _, tag) if tag != 128 => Some("tag is not 128 bits"),
            _ => None,
        };
        for test in group["tests"].as_array().expect("tests") {
            if let Some(reason) = reason {
                *left_out.entry(reason).or_insert(0) += 1;
                continue;
            }
            in_scope += 1;
            if !passes(test, with_key) {
                wrong.push(test["tcId"].as_u64().expect("an id"));
            }
        }
    }
    assert_eq!((in_scope, left_out), (IN_SCOPE, BTreeMap::from(OUT_OF_SCOPE)));
    Some(wrong)
}

fn passes(test: &Value, with_key: &dyn Fn(&[u8]) -> Box<dyn Aead256>) -> bool {
    let field = |name: &str| hex(test[name].as_str().expect(name));
    let aead = with_key(&field("key"));
    let (nonce, aad) = (field("iv").try_into().expect("12 bytes"), field("aad"));
    let (plain, cipher) = (field("msg"), field("ct"));
    let tag: [u8; 16] = field("tag").try_into().expect("16 bytes");
    let valid = test["result"] == "valid";
    let mut data = cipher.clone();
    let opened = aead.open_in_place(&nonce, &aad, &mut data, &tag);
    let mut sealed = plain.clone();
    let our_tag = aead.seal_in_place(&nonce, &aad, &mut sealed).expect("short enough");
    if valid {
        opened.is_ok() && data == plain && sealed == cipher && our_tag == tag
    } else {
        opened.is_err() && (&sealed, our_tag) != (&cipher, tag)
    }
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect()
}

#[expect(clippy::print_stderr, reason = "a test that did not run must not look like one that passed")]
#[allow(clippy::disallowed_methods, reason = "tests read files and settings")]
fn vectors() -> Option<String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/wycheproof/aes_gcm_test.json");
    if !path.exists() {
        assert!(std::env::var("EDGENET_TEST_SHARED").is_err(), "{} is absent", path.display());
        eprintln!("not run: shared/data/wycheproof/aes_gcm_test.json is absent");
        return None;
    }
    Some(std::fs::read_to_string(path).expect("the vectors are text"))
}
