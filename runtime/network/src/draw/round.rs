use std::collections::{BTreeMap, BTreeSet};

use identity::AccountId;
use sha2::{Digest, Sha256};

use super::{Beacon, BeaconError, Head, Tip};

/// The reveals of one round, ascending by witness: from these and the heads anybody finds the beacon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reveals {
    /// The round.
    pub round: u64,
    /// Each witness's.
    pub values: Vec<(AccountId, [u8; 32])>,
}

impl Reveals {
    /// Checks every reveal against its head and gives the beacon. `absent` are the witnesses that were suspended in this
    /// round; all others whose chain covers the round must be there, for otherwise whoever publishes could choose by
    /// leaving some out.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, heads: &[Head], absent: &BTreeSet<AccountId>) -> Result<Beacon, BeaconError> {
        let mut witnesses = Witnesses::new(heads)?;
        witnesses.open(self.round);
        witnesses.suspended = absent.iter().map(|witness| (*witness, u64::MAX)).collect();
        for (witness, reveal) in &self.values {
            witnesses.reveal(self.round, *witness, *reveal)?;
        }
        match witnesses.close(self.round) {
            Outcome::Beacon(beacon, reveals) if reveals == *self => Ok(beacon),
            _ => Err(BeaconError::Round { found: self.round }),
        }
    }
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every expected reveal was there.
    Beacon(Beacon, Reveals),
    /// Some were missing, and their witnesses are suspended, unless all were. Tasks wait for the next round.
    Void {
        /// Who withheld, ascending.
        missing: Vec<AccountId>,
    },
    /// Fewer than two thirds of the witnesses are left to make a beacon: an operator must see to it.
    Stalled,
}

/// The witnesses of a relay, and the round that is being opened.
///
/// `beacon = SHA-256("edgenet/beacon-mix/v1" || round || r_1 xor r_2 xor ...)`.
///
/// **A witness that withholds.** The last to reveal knows the beacon before all others. It cannot choose another: its
/// only reveal was committed to. If a missing reveal were simply left out, it could choose between two beacons; so a
/// round in which any is missing is *void*: no beacon at all, the withholder is suspended for [`SUSPENDED_ROUNDS`], and
/// the tasks are drawn by the next round, from secrets of the others that it does not know.
///
/// **Prevented**: to choose the beacon, to know a beacon that will count before the round's tasks are fixed (while one
/// witness is honest), to change the past.
///
/// **Not prevented**: to throw away a beacon once, in the sight of all, and have one fresh, unknown one instead; with `m` bad
/// witnesses up to `m` times in a row, until all are suspended. A witness that answers too late looks the same. The relay
/// that closes rounds can pretend that a reveal did not arrive: the witness, which publishes its reveals itself, can show
/// that it did. And if more than a third are suspended there is no beacon rather than one of few.
#[derive(Clone, Debug)]
pub struct Witnesses {
    tips: BTreeMap<AccountId, Tip>,
    /// Until which round, exclusive.
    suspended: BTreeMap<AccountId, u64>,
    opened: BTreeMap<AccountId, [u8; 32]>,
    round: Option<u64>,
}

/// Rounds in which a witness that withheld is not asked.
pub const SUSPENDED_ROUNDS: u64 = 1_024;

impl Witnesses {
    /// The witnesses of these heads.
    ///
    /// # Errors
    /// [`BeaconError::Roster`].
    pub fn new(heads: &[Head]) -> Result<Self, BeaconError> {
        let tips: BTreeMap<_, _> = heads.iter().map(|head| (head.witness, Tip::new(*head))).collect();
        if tips.is_empty() || tips.len() < heads.len() {
            return Err(BeaconError::Roster);
        }
        Ok(Witnesses { tips, suspended: BTreeMap::new(), opened: BTreeMap::new(), round: None })
    }

    /// Whose reveals a round needs.
    pub fn expected(&self, round: u64) -> BTreeSet<AccountId> {
        let suspended = |witness| self.suspended.get(witness).is_some_and(|until| round < *until);
        let serving = self.tips.iter().filter(|(witness, tip)| tip.covers(round) && !suspended(witness));
        serving.map(|(witness, _)| *witness).collect()
    }

    /// Opens a round, which the relay's schedule says, never a peer: a reveal far ahead would cost as many hashes.
    pub fn open(&mut self, round: u64) {
        self.opened.clear();
        self.round = Some(round);
    }

    /// Takes a reveal of the open round. Gives whether all are there.
    ///
    /// # Errors
    /// What is wrong with it; it counts as not given.
    pub fn reveal(&mut self, round: u64, witness: AccountId, reveal: [u8; 32]) -> Result<bool, BeaconError> {
        if self.round != Some(round) {
            return Err(BeaconError::Round { found: round });
        }
        let expected = self.expected(round);
        if !expected.contains(&witness) {
            return Err(BeaconError::Stranger);
        }
        let tip = self.tips.get_mut(&witness).ok_or(BeaconError::Stranger)?;
        tip.accept(round, &reveal)?;
        self.opened.insert(witness, reveal);
        Ok(self.opened.len() == expected.len())
    }

    /// Ends the open round: when all reveals are there, or when its time is over. A round that is not open is void.
    pub fn close(&mut self, round: u64) -> Outcome {
        let expected = self.expected(round);
        let opened = std::mem::take(&mut self.opened);
        let was_open = self.round.take() == Some(round);
        if expected.len() < (self.tips.len() * 2).div_ceil(3) {
            return Outcome::Stalled;
        }
        // Nobody spoke: the relay was cut off, and nobody has learnt anything that could be thrown away.
        if !was_open || opened.is_empty() {
            return Outcome::Void { missing: expected.into_iter().collect() };
        }
        let missing: Vec<_> = expected.into_iter().filter(|witness| !opened.contains_key(witness)).collect();
        if !missing.is_empty() {
            let until = round.saturating_add(1 + SUSPENDED_ROUNDS);
            self.suspended.extend(missing.iter().map(|witness| (*witness, until)));
            return Outcome::Void { missing };
        }
        let reveals = Reveals { round, values: opened.into_iter().collect() };
        Outcome::Beacon(mix(&reveals), reveals)
    }

    /// Those suspended in a round.
    pub fn suspended(&self, round: u64) -> BTreeSet<AccountId> {
        self.suspended.iter().filter(|(_, until)| round < **until).map(|(witness, _)| *witness).collect()
    }
}

fn mix(reveals: &Reveals) -> Beacon {
    let mut sum = [0; 32];
    for (_, value) in &reveals.values {
        sum.iter_mut().zip(value).for_each(|(sum, byte)| *sum ^= byte);
    }
    let hash = Sha256::new_with_prefix(DOMAIN).chain_update(reveals.round.to_le_bytes()).chain_update(sum);
    Beacon(hash.finalize().into())
}

const DOMAIN: &[u8] = b"edgenet/beacon-mix/v1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Chain;

    fn chains(count: u8) -> Vec<Chain> {
        (1..=count).map(|n| Chain::new(AccountId::from_bytes([n; 32]), [n; 32], 10, 5_000)).collect()
    }

    fn heads(chains: &[Chain]) -> Vec<Head> {
        chains.iter().map(Chain::head).collect()
    }

    fn run(witnesses: &mut Witnesses, chains: &[Chain], round: u64) -> Outcome {
        witnesses.open(round);
        for chain in chains {
            let _ = witnesses.reveal(round, chain.head().witness, chain.reveal(round).expect("covered"));
        }
        witnesses.close(round)
    }

    #[test]
    fn everybody_finds_the_same_beacon() {
        let chains = chains(4);
        let mut witnesses = Witnesses::new(&heads(&chains)).expect("a roster");
        let mut seen = BTreeSet::new();
        for round in 10..60 {
            let mut order = chains.clone();
            order.rotate_left(round as usize % 4);
            let Outcome::Beacon(beacon, reveals) = run(&mut witnesses, &order, round) else { panic!("void") };
            assert_eq!(reveals.check(&heads(&chains), &BTreeSet::new()), Ok(beacon));
            assert!(seen.insert(beacon));
        }
    }

    #[test]
    fn changed_or_missing_reveals_are_caught() {
        let chains = chains(4);
        let mut witnesses = Witnesses::new(&heads(&chains)).expect("a roster");
        let Outcome::Beacon(_, reveals) = run(&mut witnesses, &chains, 10) else { panic!("void") };
        let check = |reveals: Reveals| reveals.check(&heads(&chains), &BTreeSet::new());
        let mut changed = reveals.clone();
        changed.values[2].1[0] ^= 1;
        assert_eq!(check(changed), Err(BeaconError::Wrong));
        let mut fewer = reveals.clone();
        fewer.values.pop();
        assert!(check(fewer).is_err());
        let mut twice = reveals.clone();
        twice.values.push(reveals.values[0]);
        assert!(check(twice).is_err());
        let mut turned = reveals.clone();
        turned.values.reverse();
        assert!(check(turned).is_err());
        assert!(check(Reveals { round: 11, ..reveals }).is_err());
    }

    #[test]
    fn who_withholds_voids_a_round_once_and_chooses_nothing() {
        let chains = chains(4);
        let mut witnesses = Witnesses::new(&heads(&chains)).expect("a roster");
        let bad = chains[3].head().witness;
        assert_eq!(run(&mut witnesses, &chains[..3], 10), Outcome::Void { missing: vec![bad] });
        // It comes back too late, and the next round does without it.
        let reveal = chains[3].reveal(11).expect("covered");
        witnesses.open(11);
        assert_eq!(witnesses.reveal(11, bad, reveal), Err(BeaconError::Stranger));
        let Outcome::Beacon(beacon, reveals) = run(&mut witnesses, &chains, 11) else { panic!("void") };
        assert_eq!(reveals.check(&heads(&chains), &witnesses.suspended(11)), Ok(beacon));
        assert!(reveals.check(&heads(&chains), &BTreeSet::new()).is_err());
        // Its time over, it is a witness like the others.
        let back = 11 + SUSPENDED_ROUNDS;
        let Outcome::Beacon(_, reveals) = run(&mut witnesses, &chains, back) else { panic!("void") };
        assert_eq!(reveals.values.len(), 4);
    }

    #[test]
    fn too_few_make_no_beacon() {
        let chains = chains(4);
        let mut witnesses = Witnesses::new(&heads(&chains)).expect("a roster");
        assert!(
            matches!(run(&mut witnesses, &chains[..2], 10), Outcome::Void { missing } if missing.len() == 2)
        );
        assert_eq!(run(&mut witnesses, &chains, 11), Outcome::Stalled);
        let one = &chains[..1];
        let mut alone = Witnesses::new(&heads(one)).expect("a roster");
        assert!(matches!(run(&mut alone, one, 10), Outcome::Beacon(..)));
    }

    #[test]
    fn a_round_in_which_nobody_speaks_suspends_nobody() {
        let chains = chains(4);
        let mut witnesses = Witnesses::new(&heads(&chains)).expect("a roster");
        assert!(matches!(run(&mut witnesses, &[], 10), Outcome::Void { missing } if missing.len() == 4));
        assert!(matches!(run(&mut witnesses, &chains, 11), Outcome::Beacon(..)));
    }

    #[test]
    fn reveals_of_other_rounds_cost_nothing() {
        let chains = chains(1);
        let mut witnesses = Witnesses::new(&heads(&chains)).expect("a roster");
        witnesses.open(10);
        let far = chains[0].reveal(4_000).expect("covered");
        assert_eq!(
            witnesses.reveal(4_000, chains[0].head().witness, far),
            Err(BeaconError::Round { found: 4_000 })
        );
    }

    #[test]
    fn rosters_that_are_none() {
        let head = chains(1)[0].head();
        assert!(Witnesses::new(&[]).is_err() && Witnesses::new(&[head, head]).is_err());
    }

    /// A mix that leaves out who is missing: the last to reveal chooses.
    #[test]
    fn a_planted_fault_is_caught() {
        let chains = chains(4);
        let all = chains.iter().map(|c| (c.head().witness, c.reveal(10).expect("covered"))).collect();
        let all = Reveals { round: 10, values: all };
        let fewer = Reveals { values: all.values[..3].to_vec(), ..all.clone() };
        assert_ne!(mix(&all), mix(&fewer), "two to choose from");
        assert!(fewer.check(&heads(&chains), &BTreeSet::new()).is_err(), "and only one is a beacon");
    }
}
