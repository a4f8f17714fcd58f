//! What the cryptography costs alone.

use std::hint::black_box;

use identity::SecretKey;
use sha2::{Digest, Sha256};

use super::timed;

/// Seconds of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    pub(super) sign: f64,
    pub(super) verify: f64,
    /// Of an operation's bytes.
    pub(super) hash: f64,
}

impl Costs {
    pub(super) fn mean(&self, other: &Costs) -> Costs {
        let half = |a: f64, b: f64| (a + b) / 2.0;
        Costs {
            sign: half(self.sign, other.sign),
            verify: half(self.verify, other.verify),
            hash: half(self.hash, other.hash),
        }
    }
}

/// What a protocol needs of each for one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) signs: usize,
    pub(super) verifies: usize,
    pub(super) hashes: usize,
}

impl Needs {
    pub(super) fn seconds(&self, costs: &Costs) -> f64 {
        let Needs { signs, verifies, hashes } = *self;
        signs as f64 * costs.sign + verifies as f64 * costs.verify + hashes as f64 * costs.hash
    }

    pub(super) fn formula(&self) -> String {
        format!("1 / ({} sign + {} verify + {} hash)", self.signs, self.verifies, self.hashes)
    }
}

/// Signing, verifying with a key that is at hand, hashing the bytes of this operation.
pub(super) fn measure(operation: &[u8]) -> Costs {
    let key = SecretKey::from_seed([1; 32]);
    let (public, message) = (key.public(), [2; 32]);
    let signature = key.sign(&message);
    let each =
        |count: usize, run: &mut dyn FnMut()| timed(|| (0..count).for_each(|_| run())).0 / count as f64;
    Costs {
        sign: each(SIGNATURES, &mut || {
            black_box(key.sign(black_box(&message)));
        }),
        verify: each(SIGNATURES, &mut || {
            public.verify(black_box(&message), black_box(&signature)).expect("a good signature");
        }),
        hash: each(HASHES, &mut || {
            black_box(Sha256::digest(black_box(operation)));
        }),
    }
}

const SIGNATURES: usize = 500;
const HASHES: usize = 20_000;
