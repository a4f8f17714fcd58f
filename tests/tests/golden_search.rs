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

/// A plan whose middle is all zeros would prove little: the last step's queries, which are spikes, must differ.
#[test]
fn the_plan_is_no_trivial_one() {
    let (weights, test) = models::self_test();
    let words = backends::oracle()(&weights, &test.plan);
    let lists: std::collections::BTreeSet<&[u32]> = words.chunks_exact(16).collect();
    assert!(lists.len() > words.len() / 32, "{} different lists of {}", lists.len(), words.len() / 16);
}
