//! A graph index has one file, whichever level scores its rows and however many threads link them.

#[allow(dead_code, unreachable_pub, reason = "shared with the index's own tests")]
#[path = "../../models/tests/hnsw/generated.rs"]
mod generated;

use std::sync::atomic::{AtomicUsize, Ordering};

use kernels_cpu::Level;
use models::search::hnsw::Compute;
use plan::{Parallel, Sequential};
use sha2::{Digest, Sha256};

/// Two threads, where the target has threads.
struct Two;

impl Parallel for Two {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let each = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                work(index);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(each);
            each();
        });
    }
}

#[test]
fn every_level_builds_the_pinned_file() {
    for &level in Level::ALL {
        let Ok(kernels) = level.kernels() else {
            edge_net_tests::report(&format!("not run: CPU level {level} (this processor lacks it)"));
            continue;
        };
        for (metric, wanted) in generated::DIGESTS {
            let mut ways: Vec<(&str, &dyn Parallel)> = vec![("one thread", &Sequential)];
            if cfg!(not(target_family = "wasm")) {
                ways.push(("two threads", &Two));
            }
            for (way, parallel) in ways {
                let index = generated::built(metric, Compute { gather: kernels, parallel });
                let digest: String =
                    Sha256::digest(index.to_bytes()).iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(digest, wanted, "{level}, {metric:?}, {way}");
            }
        }
    }
}
