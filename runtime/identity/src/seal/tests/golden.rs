//! The bytes on the wire, pinned. A program in another language, on other primitives, opened these very bytes.

use super::*;
use crate::{
    bytes::hash,
    testing::{hex, to_hex},
};

#[test]
fn sealed_bytes_are_these() {
    let world = World::new(b"golden", 51);
    assert_eq!(to_hex(&world.wrapped.encode()), WRAPPED_KEY);
    assert_eq!(to_hex(world.payload.encode()), PAYLOAD);
    assert_eq!(to_hex(&world.commit.0), COMMIT);
    assert_eq!(to_hex(world.result_key.bytes()), RESULT_KEY);
    let sealed = world.result_key.seal(b"result", &mut random(52)).expect("seals");
    assert_eq!(to_hex(sealed.encode()), RESULT);
    let (key, payload) = (WrappedKey::decode(&hex(WRAPPED_KEY)), SealedPayload::decode(&hex(PAYLOAD)));
    let (key, payload) = (key.expect("reads"), payload.expect("reads"));
    let opened = world.opens(&Delivery { key: &key, payload: &payload, ..world.delivery() });
    assert_eq!(opened.expect("opens").plain(), b"golden");
}

#[test]
fn hashes_are_these() {
    let salt = [1; 32];
    assert_eq!(payload_commit(&salt, b"p").0, hash(&[b"edgenet/payload/v1\x01", &[1; 31], b"p"]));
    assert_eq!(envelope_hash(b"e"), hash(&[b"edgenet/envelope/v1e"]));
}

const WRAPPED_KEY: &str = "01908cd48011ed5a8b00000000000003e8302bf74e91e5534552d57ebb9f979bd01f464532c38229fa456d634aa5caa711adb3cd8814698fe10d55edf61bb7dda84e1e49caf2cce82ae538b972074ccbda3f7efac4d9c7e9b5e79d0bdec0724f6aa8630140c159b422d4a2944123eb4926c207998598c2fd5d30e92ffc70e32ae227e33a221179736905648abfc4232b49efec0cb7590ec869f5062012dd049b08";
const PAYLOAD: &str = "454e5345414c45440110cdfa55d3348e891b84ecda5d84da5c68dcf8d802198797e6dbf7a0def226e997b13f50f15b690e1ff086c019d43828e56e6d8538c3056ffd2c1567b4a54424425cae750a02e3817e2b09390acf665175984c267ad72d8e";
const COMMIT: &str = "b0892b6d8a826fc9418c0106bceec643d9936e5c854b78b2b5c3ff722af52ece";
const RESULT_KEY: &str = "522f1a0506d2c13c938df5ef8e6f85b7c9b6a1bc1895bd001007f76582ba7716";
const RESULT: &str = "454e5345414c454401106d26c7da321ee379ec7856d4f237b8388b226285037fbe1607ed7cc392ad9543a5e2b61922a3b356d174dfb1864b27b34c429ee3f2be02fea180ee30dcd8d603f8bcd3159ba32863a0c06197b74c082e9b72902a249b58";
