//! What the tests of this crate share.

use std::path::Path;

use serde_json::Value;

/// A fixed sequence in place of randomness: the bytes differ from seed to seed and do not repeat soon.
pub(crate) fn random(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |bytes| {
        for byte in bytes {
            // xorshift64* (Vigna 2016).
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            *byte = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8;
        }
    }
}

/// The bytes of hex digits; spaces do not count.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let byte = |i: usize| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Bytes as hex digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A JSON field of hex digits.
pub(crate) fn field(value: &Value, name: &str) -> Vec<u8> {
    hex(value[name].as_str().unwrap_or_else(|| panic!("{name} is a text")))
}

/// A file of test vectors under `shared/data`; `None`, and a line that says so, where it is absent.
#[expect(clippy::print_stderr, reason = "a test that did not run must not look like one that passed")]
#[allow(clippy::disallowed_methods, reason = "tests read files and settings")]
pub(crate) fn vectors(file: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(file);
    if !path.exists() {
        assert!(std::env::var("EDGENET_TEST_SHARED").is_err(), "{} is absent", path.display());
        eprintln!("not run: shared/data/{file} is absent");
        return None;
    }
    let text = std::fs::read_to_string(path).expect("the vectors are text");
    Some(serde_json::from_str(&text).expect("the vectors are JSON"))
}

/// Every change of one bit of `bytes`: how many were tried, and those that `accepts` takes.
pub(crate) fn accepted_bit_flips(
    bytes: &[u8],
    accepts: &mut dyn FnMut(&[u8]) -> bool,
) -> (usize, Vec<usize>) {
    let mut changed = bytes.to_vec();
    let mut accepted = Vec::new();
    for bit in 0..bytes.len() * 8 {
        changed[bit / 8] ^= 1 << (bit % 8);
        if accepts(&changed) {
            accepted.push(bit);
        }
        changed[bit / 8] ^= 1 << (bit % 8);
    }
    (bytes.len() * 8, accepted)
}

/// Every cut, and one byte more: the lengths that `accepts` takes.
pub(crate) fn accepted_lengths(bytes: &[u8], accepts: &mut dyn FnMut(&[u8]) -> bool) -> Vec<usize> {
    let longer = [bytes, &[0]].concat();
    (0..=longer.len()).filter(|&n| n != bytes.len() && accepts(&longer[..n])).collect()
}
