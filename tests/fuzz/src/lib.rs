//! Fuzz targets: bytes from strangers go through a decoder, and what it gives goes where the node would put it.
//!
//! A target tells whether the bytes decoded, so that a test can hold its seeds to it. It panics when something is wrong:
//! a value that does not encode to the bytes it came from, an invariant that broke, a forgery that passed.

mod cursor;
mod history;
mod private;
mod public;
mod shown;
mod town;
mod wire;

/// One kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Takes an input; tells whether it decoded.
    pub run: fn(&[u8]) -> bool,
    /// Inputs that decode, to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longest input worth trying, in bytes.
    pub most_bytes: usize,
}

/// All of them. The last is the canary: it panics at one input in 2^32, and a fuzzer that learns finds it in seconds.
pub const TARGETS: [Target; 18] = [
    Target { name: "record", run: public::record, seeds: public::record_seeds, most_bytes: 4096 },
    Target { name: "history", run: history::run, seeds: history::seeds, most_bytes: 256 },
    Target { name: "op", run: public::op, seeds: public::op_seeds, most_bytes: 2048 },
    Target { name: "vote", run: public::vote, seeds: public::vote_seeds, most_bytes: 1024 },
    Target { name: "founding", run: public::founding, seeds: public::founding_seeds, most_bytes: 4096 },
    Target { name: "site", run: public::site, seeds: public::site_seeds, most_bytes: 2048 },
    Target { name: "receipt", run: public::receipt, seeds: public::receipt_seeds, most_bytes: 2048 },
    Target { name: "audit", run: public::audit, seeds: public::audit_seeds, most_bytes: 2048 },
    Target { name: "merkle", run: public::merkle, seeds: public::merkle_seeds, most_bytes: 4096 },
    Target { name: "snapshot", run: public::snapshot, seeds: public::snapshot_seeds, most_bytes: 8192 },
    Target { name: "account", run: private::account, seeds: private::account_seeds, most_bytes: 128 },
    Target { name: "prekey", run: private::prekey, seeds: private::prekey_seeds, most_bytes: 1024 },
    Target { name: "sealed", run: private::sealed, seeds: private::sealed_seeds, most_bytes: 4096 },
    Target { name: "backup", run: private::backup, seeds: private::backup_seeds, most_bytes: 1024 },
    Target { name: "stream", run: private::stream, seeds: private::stream_seeds, most_bytes: 4096 },
    Target { name: "evidence", run: shown::evidence, seeds: shown::evidence_seeds, most_bytes: 4096 },
    Target { name: "message", run: wire::message, seeds: wire::message_seeds, most_bytes: 4096 },
    Target { name: CANARY, run: canary, seeds: canary_seeds, most_bytes: 64 },
];

/// The target with a planted fault.
pub const CANARY: &str = "canary";

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// A place that a decoder gives and no seed has.
fn canary(input: &[u8]) -> bool {
    let Ok(ledger::witness::Place::Epoch(epoch)) = ledger::witness::Place::decode(input) else {
        return false;
    };
    assert!(epoch as u32 != 0x00ED_6E37, "the planted fault");
    true
}

fn canary_seeds() -> Vec<Vec<u8>> {
    vec![vec![2; 9]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_decodes() {
        for target in TARGETS.into_iter().filter(|t| t.name != CANARY) {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{} has no seeds", target.name);
            for (number, seed) in seeds.iter().enumerate() {
                assert!((target.run)(seed), "seed {number} of {} does not decode", target.name);
                assert!(seed.len() <= target.most_bytes, "seed {number} of {} is too long", target.name);
            }
        }
    }

    #[test]
    fn every_target_takes_cut_and_changed_seeds() {
        for target in TARGETS.into_iter().filter(|t| t.name != CANARY) {
            (target.run)(&[]);
            for seed in (target.seeds)() {
                for at in (0..seed.len()).step_by(1 + seed.len() / 16) {
                    (target.run)(&seed[..at]);
                    let mut changed = seed.clone();
                    changed[at] ^= 1 << (at % 8);
                    (target.run)(&changed);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "the planted fault")]
    fn the_canary_sings() {
        canary(&[&[2][..], &0x00ED_6E37u64.to_le_bytes()].concat());
    }
}
