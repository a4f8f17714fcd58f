//! The beacon of this relay's draws: one reveal a round, out of chains whose heads were said before.
//!
//! A task that is accepted while round `r` is open is drawn by the reveal of `r + 1` at the earliest, which nobody is shown
//! before round `r` is over. One chain serves [`crate::draw::Chain::MAX_ROUNDS`] rounds; the head of the next is told a
//! while before its first. Every chain has a seed of its own, made of one secret that is never reused across runs.

use std::fmt;

use identity::AccountId;
use ledger::Id;

use crate::draw::{Beacon, Chain, Head, Outcome, Reveals, Witnesses};

pub(super) struct Rounds {
    account: AccountId,
    secret: [u8; 32],
    chain_rounds: u32,
    chain: Chain,
    next_chain: Option<Chain>,
    witnesses: Witnesses,
    open: u64,
    /// When the open round is over; nothing while nobody waits for a draw.
    ends_ms: Option<u64>,
}

/// What the end of a round brings.
#[derive(Debug)]
pub(super) struct Turn {
    /// The beacon, which draws tasks of rounds before its own.
    pub(super) beacon: Beacon,
    /// What it is mixed of, and of which round.
    pub(super) reveals: Reveals,
    /// Heads that have to be told: those of the chains after these.
    pub(super) heads: Option<Vec<Head>>,
}

impl fmt::Debug for Rounds {
    /// Without what is secret until its round.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rounds").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Rounds {
    pub(super) fn new(account: AccountId, secret: [u8; 32], chain_rounds: u32) -> Self {
        let chain = chain(account, &secret, 0, chain_rounds.max(LEAST_ROUNDS));
        Rounds {
            account,
            secret,
            chain_rounds: chain_rounds.max(LEAST_ROUNDS),
            witnesses: roster(&chain),
            chain,
            next_chain: None,
            open: 0,
            ends_ms: None,
        }
    }

    /// The heads that reveals open from here on.
    pub(super) fn heads(&self) -> Vec<Head> {
        vec![self.chain.head()]
    }

    /// The round that a task which comes now belongs to.
    pub(super) fn open(&self) -> u64 {
        self.open
    }

    /// Somebody waits for a draw: the open round ends in a round's time.
    pub(super) fn wake(&mut self, now_ms: u64, round_ms: u64) {
        self.ends_ms.get_or_insert(now_ms.saturating_add(round_ms));
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.ends_ms
    }

    /// Ends the open round if its time is over.
    pub(super) fn turn(&mut self, now_ms: u64) -> Option<Turn> {
        self.ends_ms.take_if(|ends_ms| *ends_ms <= now_ms)?;
        self.open += 1;
        let heads = self.renew();
        let round = self.open;
        self.witnesses.open(round);
        let reveal = self.chain.reveal(round)?;
        // What this relay made itself is right and expected; if not, the round is void and the tasks wait.
        let _ = self.witnesses.reveal(round, self.account, reveal);
        match self.witnesses.close(round) {
            Outcome::Beacon(beacon, reveals) => Some(Turn { beacon, reveals, heads }),
            Outcome::Void { .. } | Outcome::Stalled => None,
        }
    }

    /// Goes on to the next chain where one ends, and makes the one after it early enough to tell its head.
    fn renew(&mut self) -> Option<Vec<Head>> {
        let end = self.chain.head().first_round + u64::from(self.chain.head().rounds);
        if self.open >= end
            && let Some(next) = self.next_chain.take()
        {
            self.witnesses = roster(&next);
            self.chain = next;
            return None;
        }
        if self.next_chain.is_none() && self.open + NOTICE_ROUNDS >= end {
            let next = chain(self.account, &self.secret, end, self.chain_rounds);
            let heads = vec![next.head()];
            self.next_chain = Some(next);
            return Some(heads);
        }
        None
    }
}

fn chain(account: AccountId, secret: &[u8; 32], first_round: u64, rounds: u32) -> Chain {
    let seed = Id::hash("edgenet/beacon-seed/v1", &[secret, &first_round.to_le_bytes()]);
    Chain::new(account, *seed.as_bytes(), first_round, rounds)
}

fn roster(chain: &Chain) -> Witnesses {
    Witnesses::new(&[chain.head()]).expect("one head is a roster")
}

/// The head of the next chain is told so many rounds before its first.
const NOTICE_ROUNDS: u64 = 8;
/// Shorter chains would end before the next is told.
const LEAST_ROUNDS: u32 = 2 * NOTICE_ROUNDS as u32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_beacon_opens_a_head_that_was_told_before() {
        let account = AccountId::from_bytes([1; 32]);
        let mut rounds = Rounds::new(account, [7; 32], 20);
        let mut told = rounds.heads();
        let (mut now_ms, mut seen) = (0, BTreeSet::new());
        for round in 1..100 {
            rounds.wake(now_ms, 250);
            rounds.wake(now_ms + 100, 250);
            assert_eq!(rounds.next_deadline_ms(), Some(now_ms + 250));
            assert!(rounds.turn(now_ms + 249).is_none());
            now_ms += 250;
            let turn = rounds.turn(now_ms).expect("a beacon");
            assert_eq!((turn.reveals.round, rounds.open()), (round, round));
            assert!(seen.insert(turn.beacon));
            let opens = |head: &Head| turn.reveals.check(&[*head], &BTreeSet::new()) == Ok(turn.beacon);
            assert!(told.iter().any(opens), "round {round}");
            told.extend(turn.heads.into_iter().flatten());
        }
        assert_eq!(told.len(), 5 + 1);
        assert!(rounds.turn(u64::MAX).is_none(), "nobody waits");
    }
}
