//! Project Wycheproof's Ed25519 vectors, for any verifier.

use crate::testing::{field, vectors};

/// All vectors are in scope: those whose signature is refused for its length need no key at all.
const VECTORS: usize = 151;
const NOT_A_SIGNATURE_BY_LENGTH: usize = 12;

/// Public key, message, signature: is it accepted?
pub(super) type Accepts = dyn Fn(&[u8; 32], &[u8], &[u8; 64]) -> bool;

/// Runs every vector and returns the ids that went wrong; `None` where the file is absent.
pub(super) fn failures(accepts: &Accepts) -> Option<Vec<u64>> {
    let file = vectors("wycheproof/ed25519_test.json")?;
    let (mut wrong, mut ran, mut odd_length) = (Vec::new(), 0, 0);
    for group in file["testGroups"].as_array().expect("groups") {
        let key: [u8; 32] = field(&group["publicKey"], "pk").try_into().expect("32 bytes");
        for test in group["tests"].as_array().expect("tests") {
            ran += 1;
            let accepted = match <[u8; 64]>::try_from(field(test, "sig")) {
                Ok(signature) => accepts(&key, &field(test, "msg"), &signature),
                Err(_) => {
                    odd_length += 1;
                    false
                }
            };
            if accepted != (test["result"] == "valid") {
                wrong.push(test["tcId"].as_u64().expect("an id"));
            }
        }
    }
    assert_eq!((ran, odd_length), (VECTORS, NOT_A_SIGNATURE_BY_LENGTH));
    Some(wrong)
}
