//! The plan that proves a device for search and spiking has one digest on every backend.

use edge_net_tests::backends;
use sha2::{Digest, Sha256};

#[test]
fn every_backend_gives_the_golden_digest() {
    let (weights, test) = models::self_test();
    let mut runs = backends::all();
    runs.push(("oracle".into(), backends::oracle()));
    for (name, mut run) in runs {
        let words = run(&weights, &test.plan);
        let digest: [u8; 32] = Sha256::digest(bytemuck::cast_slice::<u32, u8>(&words)).into();
        assert_eq!(digest, test.digest, "{name}: {digest:#04x?}");
    }
}

/// A plan whose middle is all zeros would prove little: the last layer must spike now and then, and not always alike.
#[test]
fn the_plan_is_no_trivial_one() {
    let (weights, test) = models::self_test();
    let words = backends::oracle()(&weights, &test.plan);
    let ones: u32 = words.iter().map(|w| w.count_ones()).sum();
    let distinct: std::collections::BTreeSet<u32> = words.iter().copied().collect();
    let bits = 32 * words.len() as u32;
    assert!(ones > bits / 20 && ones < bits - bits / 20, "{ones} of {bits} bits");
    assert!(distinct.len() > words.len() / 4, "{} different words of {}", distinct.len(), words.len());
}
