//! What a task may cost, and how long its escrow has to last. Submitters quote and lock by it, relays accept by it.

use ledger::{EPOCH_SECONDS, price::MAX_REDUNDANCY};

use crate::wire::{Envelope, Priority, Verify};

/// Most replicas of a task that are paid, whatever its results are.
pub fn most_replicas(verify: Verify) -> u8 {
    match verify {
        // Three at first, and two where these disagree.
        Verify::Adaptive => 5,
        Verify::Redundant(replicas) => replicas.clamp(1, MAX_REDUNDANCY),
        // One, and two where its known answers are wrong or it fails.
        Verify::SpotCheck => 3,
    }
}

/// The most that a task may cost, in micro-credits: what its escrow holds. What is not paid comes back. `None` if no amount
/// holds it.
pub fn most_ucredits(price_ucredits: u64, verify: Verify) -> Option<u64> {
    price_ucredits.checked_mul(u64::from(most_replicas(verify)))
}

/// Twice the factor of a priority, as a lock's policy has it.
pub fn priority_halves(priority: Priority) -> u8 {
    match priority {
        Priority::Low => 1,
        Priority::Normal => 2,
        Priority::High => 4,
    }
}

/// The epoch that the escrow of a task accepted in this epoch has to last until: the task may wait its whole time, be given
/// to [`ROUNDS`] workers one after another, and is then settled.
pub fn escrow_until_epoch(envelope: &Envelope, epoch: u64) -> u64 {
    let rounds_ms = u64::from(envelope.timeout_ms) * ROUNDS;
    let life_ms = u64::from(envelope.ttl_ms) + rounds_ms + SETTLING_MS;
    epoch.saturating_add(life_ms.div_ceil(EPOCH_SECONDS * 1_000))
}

/// Workers that may have a task one after another before its escrow runs out.
pub const ROUNDS: u64 = 3;
/// From the last result to the certified resolve.
pub const SETTLING_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_what_the_most_replicas_cost() {
        let most = |verify| most_ucredits(10, verify);
        assert_eq!(most(Verify::Adaptive), Some(50));
        assert_eq!([0, 1, 3, 7, 255].map(|n| most(Verify::Redundant(n))), [10, 10, 30, 70, 70].map(Some));
        assert_eq!(most(Verify::SpotCheck), Some(30));
        assert_eq!(most_ucredits(u64::MAX, Verify::Adaptive), None);
        assert_eq!(most_ucredits(u64::MAX, Verify::Redundant(1)), Some(u64::MAX));
    }
}
