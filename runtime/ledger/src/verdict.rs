//! The fold's last step: what proofs and contradicting certificates cost whom. A function of the set and the state before
//! it, so any order of arrival gives the same answer.

use std::collections::{BTreeMap, BTreeSet};

use identity::AccountId;

use crate::{
    Id,
    account::{Taken, Void},
    certificate::Certificate,
    chain::Chain,
    proof::Offence,
    rule::{Rule, enforced},
    set::{Decision, Set, contradict},
    state::{State, Totals},
};

/// What a key is proved to have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Signed two operations of its own for one seq, or decided a lock twice: the proof.
    Forked(Id),
    /// As a witness, signed these values, of which only one can be.
    SignedBoth(Id, Id),
}

/// Frozen accounts, burned stakes, bad debt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts {
    frozen: BTreeSet<AccountId>,
    faults: BTreeMap<AccountId, Fault>,
    taken: BTreeMap<AccountId, Taken>,
    /// Micro-credits out of available balances, out of base stakes, out of stake locks.
    from_available: u128,
    from_staked: u128,
    from_locked: u128,
    /// Where they went.
    burned: u128,
    repaid: u128,
}

impl Verdicts {
    pub(crate) fn of(set: &Set, state: &State) -> Self {
        let mut verdicts = Verdicts::default();
        if !set.has_verdicts() {
            return verdicts;
        }
        verdicts.convict_owners(set, state);
        // Anybody can make a proof against a key of their own: that alone must not have every chain read at every merge.
        let guilty = match set.contradictions {
            true => {
                verdicts.void_conflicts(set, state);
                verdicts.convict_witnesses(set)
            }
            false => BTreeSet::new(),
        };
        verdicts.burn(state, &guilty);
        verdicts
    }

    pub(crate) fn taken(&self, account: &AccountId) -> Taken {
        self.taken.get(account).copied().unwrap_or_default()
    }

    pub(crate) fn is_frozen(&self, account: &AccountId) -> bool {
        self.frozen.contains(account)
    }

    pub(crate) fn faults(&self) -> impl Iterator<Item = (&AccountId, &Fault)> {
        self.faults.iter()
    }

    pub(crate) fn settle(&self, totals: Totals) -> Totals {
        Totals {
            available: totals.available - self.from_available,
            staked: totals.staked - self.from_staked,
            locked: totals.locked - self.from_locked,
            burned: totals.burned + self.burned,
            bad_debt: totals.bad_debt - self.repaid,
            ..totals
        }
    }

    /// F4. A proof counts while its key holds the account: a key that was handed over can no longer hurt it.
    fn convict_owners(&mut self, set: &Set, state: &State) {
        for proof in set.proofs.values() {
            let culprit = proof.culprit();
            let (since, holder) = state.accounts.get(culprit).and_then(|a| a.key).unwrap_or((0, *culprit));
            let counts = match proof.offence() {
                Offence::Fork { key, ops } => holder == *key && ops[0].op.seq >= since,
                Offence::Decisions { authority, .. } => holder == *authority,
            };
            if counts {
                self.faults.entry(*culprit).or_insert(Fault::Forked(proof.id()));
                if enforced(Rule::ForkFreezes) {
                    self.frozen.insert(*culprit);
                }
            }
        }
    }

    /// F5. What is left of a chain with two certificates makes good what was received of it.
    fn void_conflicts(&mut self, set: &Set, state: &State) {
        for account in set.chains.keys().filter(|a| set.voided_from(a).is_some()) {
            self.frozen.insert(*account);
            let charged = state.unbacked.get(&Void::Account(*account)).copied().unwrap_or(0);
            let left = state.accounts.get(account).map_or(0, |a| a.available_ucredits);
            let covered = u64::try_from(charged).unwrap_or(u64::MAX).min(left);
            if *account != state.treasury && covered > 0 {
                self.taken.entry(*account).or_default().available = covered;
                self.from_available += u128::from(covered);
                self.repaid += u128::from(covered);
            }
        }
    }

    /// I10. The common signers of two certificates that cannot both be.
    fn convict_witnesses(&mut self, set: &Set) -> BTreeSet<AccountId> {
        let mut guilty = BTreeSet::new();
        let mut convict = |values: &[(Id, &Certificate)]| {
            for (at, (one, signed)) in values.iter().enumerate() {
                for (other, also) in &values[at + 1..] {
                    for witness in signed.signers().filter(|s| also.signers().any(|a| a == *s)) {
                        guilty.insert(*witness);
                        self.faults
                            .entry(*witness)
                            .or_insert(Fault::SignedBoth((*one).min(*other), (*one).max(*other)));
                    }
                }
            }
        };
        for place in set.chains.values().flat_map(Chain::values).filter(|p| !p.rivals.is_empty()) {
            let mut values: Vec<_> = place.all().map(|h| (h.record.id, &h.record.certificate)).collect();
            values.sort_by_key(|v| v.0);
            convict(&values);
        }
        for held in set.checkpoints.values().filter(|all| all.len() > 1) {
            convict(&held.iter().map(|h| (h.record.id, &h.record.certificate)).collect::<Vec<_>>());
        }
        for decisions in set.decisions.values().filter(|d| contradict(d)) {
            let certificate = |decision: &Decision| match decision {
                Decision::Resolve(id) => set.resolves.get(id).map(|h| (*id, &h.record.certificate)),
                Decision::Expired(id) => set.expiries.get(id).map(|h| (*id, &h.record.certificate)),
            };
            let (resolves, expiries): (Vec<&Decision>, Vec<&Decision>) =
                decisions.iter().partition(|decision| matches!(decision, Decision::Resolve(_)));
            let resolves: Vec<_> = resolves.into_iter().filter_map(certificate).collect();
            convict(&resolves);
            // Expiries contradict resolves, and not each other.
            for expiry in expiries.into_iter().filter_map(certificate) {
                resolves.iter().for_each(|resolve| convict(&[*resolve, expiry]));
            }
        }
        guilty
    }

    /// Stakes of forked accounts burn. Those of guilty witnesses make good bad debt first.
    fn burn(&mut self, state: &State, guilty: &BTreeSet<AccountId>) {
        let forked: BTreeSet<AccountId> = self
            .faults
            .iter()
            .filter(|(account, fault)| matches!(fault, Fault::Forked(_)) && !guilty.contains(account))
            .map(|(account, _)| *account)
            .collect();
        let burned = if enforced(Rule::ForkBurns) { self.take_stakes(state, &forked) } else { 0 };
        let seized = if enforced(Rule::GuiltyRepay) { self.take_stakes(state, guilty) } else { 0 };
        let repaid = seized.min(state.totals.bad_debt.saturating_sub(self.repaid));
        self.repaid += repaid;
        self.burned += burned + seized - repaid;
        self.frozen.extend(guilty);
    }

    fn take_stakes(&mut self, state: &State, accounts: &BTreeSet<AccountId>) -> u128 {
        let mut sum = 0;
        for (id, account) in accounts.iter().filter_map(|a| state.accounts.get(a).map(|s| (a, s))) {
            let locks: u128 = account.stake_locks().map(|l| l.backed()).sum();
            let taken = self.taken.entry(*id).or_default();
            taken.staked = account.staked_ucredits;
            taken.stake_locks = true;
            self.from_staked += u128::from(account.staked_ucredits);
            self.from_locked += locks;
            sum += locks + u128::from(account.staked_ucredits);
        }
        sum
    }
}

impl Set {
    /// Whether there is anything to judge: a proof, or a contradiction.
    pub(crate) fn has_verdicts(&self) -> bool {
        !self.proofs.is_empty() || self.contradictions
    }
}
