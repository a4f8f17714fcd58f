use identity::AccountId;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A witness's secrets, one for each round, each the hash of the one after it.
///
/// `H(x) = SHA-256("edgenet/beacon/v1" || witness || x)`. The head `H^n(seed)` is published before the first round; the
/// reveal of a round opens the one before it. The witness's name is in every step, so that no other witness can publish
/// the same head and cancel these reveals by repeating them.
#[derive(Clone)]
pub struct Chain {
    head: Head,
    /// Every so many values one, the last first.
    marks: Vec<[u8; 32]>,
}

/// What a witness published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who.
    pub witness: AccountId,
    /// The round that its first reveal is for.
    pub first_round: u64,
    /// Rounds it can serve, at most [`Chain::MAX_ROUNDS`].
    pub rounds: u32,
    /// What its first reveal hashes to.
    pub value: [u8; 32],
}

/// Why a reveal is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BeaconError {
    /// It does not hash to what was committed.
    #[error("the reveal does not open the chain")]
    Wrong,
    /// Its round is known already, not covered by the chain, or too far on.
    #[error("round {found} is not one that this chain opens next")]
    Round {
        /// The round.
        found: u64,
    },
    /// No reveal is expected of this account.
    #[error("not a witness of this round")]
    Stranger,
    /// Heads that name one witness twice, or none.
    #[error("a roster names each witness once, and at least one")]
    Roster,
}

impl Chain {
    /// Most rounds of a chain.
    pub const MAX_ROUNDS: u32 = 1 << 16;

    /// A chain of `rounds` values, at least 1 and at most [`Chain::MAX_ROUNDS`], from a seed that must be unpredictable and
    /// is used once.
    pub fn new(witness: AccountId, seed: [u8; 32], first_round: u64, rounds: u32) -> Self {
        let rounds = rounds.clamp(1, Chain::MAX_ROUNDS);
        let (mut value, mut marks) = (seed, Vec::new());
        for step in 0..rounds {
            if step % MARK_EVERY == 0 {
                marks.push(value);
            }
            value = open(&witness, &value);
        }
        Chain { head: Head { witness, first_round, rounds, value }, marks }
    }

    /// What to publish.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The reveal of a round. To say it before the round's tasks are fixed gives the draw away.
    pub fn reveal(&self, round: u64) -> Option<[u8; 32]> {
        let index = u32::try_from(round.checked_sub(self.head.first_round)?).ok()?;
        let steps_from_seed = self.head.rounds.checked_sub(1)?.checked_sub(index)?;
        let mut value = *self.marks.get((steps_from_seed / MARK_EVERY) as usize)?;
        for _ in 0..steps_from_seed % MARK_EVERY {
            value = open(&self.head.witness, &value);
        }
        Some(value)
    }
}

/// How far a witness's chain is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    head: Head,
    next_round: u64,
    value: [u8; 32],
}

impl Tip {
    /// A chain of which nothing is open.
    pub fn new(head: Head) -> Self {
        Tip { head, next_round: head.first_round, value: head.value }
    }

    /// Checks a reveal and goes on from it. Rounds may be left out, at a hash each.
    ///
    /// # Errors
    /// [`BeaconError::Round`], [`BeaconError::Wrong`].
    pub fn accept(&mut self, round: u64, reveal: &[u8; 32]) -> Result<(), BeaconError> {
        let unfit = BeaconError::Round { found: round };
        let steps = round.checked_sub(self.next_round).ok_or(unfit)?;
        if !self.covers(round) {
            return Err(unfit);
        }
        let mut value = *reveal;
        for _ in 0..=steps {
            value = open(&self.head.witness, &value);
        }
        if value != self.value {
            return Err(BeaconError::Wrong);
        }
        (self.next_round, self.value) = (round + 1, *reveal);
        Ok(())
    }

    /// Whether the chain has a reveal for a round.
    pub fn covers(&self, round: u64) -> bool {
        let index = round.checked_sub(self.head.first_round);
        index.is_some_and(|i| i < u64::from(self.head.rounds.min(Chain::MAX_ROUNDS))) && round < u64::MAX
    }
}

fn open(witness: &AccountId, value: &[u8; 32]) -> [u8; 32] {
    Sha256::new_with_prefix(DOMAIN).chain_update(witness.as_bytes()).chain_update(value).finalize().into()
}

const DOMAIN: &[u8] = b"edgenet/beacon/v1";
/// A reveal costs at most this many hashes, and the longest chain is 8 KiB.
const MARK_EVERY: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(n: u8) -> AccountId {
        AccountId::from_bytes([n; 32])
    }

    #[test]
    fn each_reveal_opens_the_one_before() {
        let chain = Chain::new(witness(1), [7; 32], 100, 1_000);
        let mut tip = Tip::new(chain.head());
        for round in 100..1_100 {
            let reveal = chain.reveal(round).expect("in the chain");
            assert_eq!(tip.accept(round, &reveal), Ok(()));
            assert_eq!(tip.accept(round, &reveal), Err(BeaconError::Round { found: round }));
        }
        assert_eq!((chain.reveal(99), chain.reveal(1_100)), (None, None));
        assert_eq!(chain.reveal(1_099), Some([7; 32]));
    }

    #[test]
    fn rounds_may_be_left_out_and_reveals_not_exchanged() {
        let chain = Chain::new(witness(1), [7; 32], 0, 600);
        let mut tip = Tip::new(chain.head());
        let reveal = |round| chain.reveal(round).expect("in the chain");
        assert_eq!(tip.accept(10, &reveal(11)), Err(BeaconError::Wrong));
        assert_eq!(tip.accept(10, &reveal(10)), Ok(()));
        assert_eq!(tip.accept(9, &reveal(9)), Err(BeaconError::Round { found: 9 }));
        assert_eq!(tip.accept(599, &reveal(599)), Ok(()));
        assert_eq!(tip.accept(600, &[0; 32]), Err(BeaconError::Round { found: 600 }));
        assert_eq!(
            Tip::new(chain.head()).accept(u64::MAX, &[0; 32]),
            Err(BeaconError::Round { found: u64::MAX })
        );
    }

    /// Who repeats another's head as its own can open nothing with the other's reveals.
    #[test]
    fn a_copied_head_opens_nothing() {
        let chain = Chain::new(witness(1), [7; 32], 0, 10);
        let mut copy = Tip::new(Head { witness: witness(2), ..chain.head() });
        assert_eq!(copy.accept(0, &chain.reveal(0).expect("in the chain")), Err(BeaconError::Wrong));
    }
}
