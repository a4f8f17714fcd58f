//! The invariants, recomputed from the set and compared with the state that was kept step by step.
//!
//! I1 is also asserted after every step, and I2, I3 and I5 are rules that no value passes without. What is checked here is
//! that the product keeps its promises, not that peers keep theirs: a broken invariant is a bug.

use std::collections::{BTreeMap, BTreeSet};

use identity::AccountId;
use thiserror::Error;

use crate::{
    GENESIS, Id, Ledger, Record,
    account::Account,
    chain::Chain,
    op::{Action, Op},
    price::treasury_cap_ucredits,
    rule::Rule,
    set::{Decision, Effect},
    state::Stop,
};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{invariant} is broken{}: {what}", at(.record))]
pub struct Broken {
    /// Which, such as `I1`.
    pub invariant: &'static str,
    /// The first record at which it shows, where there is one.
    pub record: Option<Id>,
    /// What was found.
    pub what: String,
}

/// A record that does not count, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The record.
    pub record: Id,
    /// Whose chain or lock.
    pub account: AccountId,
    /// The rule it breaks; `None` if something before it is missing.
    pub rule: Option<Rule>,
}

impl Ledger {
    /// Checks I1 to I5, I8 and I10 on the whole state.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check_invariants(&self) -> Result<(), Broken> {
        self.check_conservation()?;
        self.check_chains()?;
        self.check_locks()?;
        self.check_marks()?;
        self.check_treasury()?;
        self.check_faults()
    }

    /// I6: folds the records anew, in another order, and compares roots and totals.
    ///
    /// # Errors
    /// [`Broken`] for I6.
    pub fn check_refold(&self) -> Result<(), Broken> {
        let mut records: Vec<Record> = self.records().collect();
        records.sort_by_key(Record::id);
        // What was certified and whose owner did not sign must not count for want of a second look.
        let (checked, unchecked): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(|record| self.set().is_checked(record));
        let mut again = Ledger::on(self.network().clone(), self.base().clone());
        again.merge(checked, crate::Check::Nothing);
        again.merge(unchecked, crate::Check::Makers);
        let same = again.root() == self.root() && again.totals() == self.totals();
        ensure("I6", None, same, || "the records fold to another state in another order".into())
    }

    /// Records that do not count, by account: the first of each chain that is held up, and resolves without effect.
    pub fn stuck(&self) -> Vec<Stuck> {
        let mut found = Vec::new();
        for (account, chain) in self.set().chains.iter() {
            let next = self.account(account).map_or(0, |a| a.next_seq);
            let Some((seq, place)) = chain.since(next).next() else { continue };
            let op = &place.op.record;
            let rule = match self.state().prepare(&op.value.op) {
                _ if !place.rivals.is_empty() => Some(Rule::ConflictVoids),
                _ if seq > next => None,
                Err(Stop::Missing(_)) => None,
                Err(Stop::Refused(refusal)) => Some(refusal.rule),
                Ok(_) => Some(Rule::OwnerSignature),
            };
            found.push(Stuck { record: op.id, account: *account, rule });
        }
        found
    }

    /// I1 and I2.
    fn check_conservation(&self) -> Result<(), Broken> {
        let (treasury, mut sums) = (self.network().treasury(), [0u128; 5]);
        for (id, account) in self.accounts() {
            let taken = self.taken(id);
            let available = u128::from(account.available_ucredits - taken.available);
            sums[if id == treasury { 4 } else { 0 }] += available;
            sums[1] += u128::from(account.staked_ucredits - taken.staked);
            let burned = |l: &&crate::account::Lock| !(taken.stake_locks && l.terms.kind.is_stake());
            sums[2] += account.locks.values().filter(burned).map(crate::account::Lock::backed).sum::<u128>();
            let paid = account.inbox.values().filter(|o| o.void.is_none());
            sums[3] += paid.map(|o| u128::from(o.amount_ucredits)).sum::<u128>();
        }
        let totals = self.totals();
        let kept = [totals.available, totals.staked, totals.locked, totals.in_flight, totals.treasury];
        ensure("I1", None, sums == kept, || format!("accounts hold {sums:?}, totals say {kept:?}"))?;
        let sum = totals.sum();
        ensure("I1", None, sum == i128::from(GENESIS), || format!("{sum} micro-credits, not {GENESIS}"))
    }

    /// I2, I3 and I4: links, seqs and balances of every chain, from its operations alone.
    fn check_chains(&self) -> Result<(), Broken> {
        let network = self.network().id();
        let unknown = Account::default();
        for (id, account) in self.accounts() {
            let base = self.base().accounts.get(id).unwrap_or(&unknown);
            let (mut head, mut received) = (base.head, BTreeSet::new());
            for seq in base.next_seq..account.next_seq {
                let place = self.set().chains.get(id).and_then(|chain| chain.get(&seq));
                let record = place.map(|p| &p.op.record);
                let missing = || format!("seq {seq} of {id} counts and is not there");
                let Some(record) = record else { return ensure("I4", None, false, missing) };
                let op = &record.value.op;
                let linked = op.prev == head && op.seq == seq && op.id(network) == record.id;
                ensure("I4", Some(record.id), linked, || format!("seq {seq} of {id} does not follow"))?;
                let rivals = place.is_some_and(|p| !p.rivals.is_empty());
                ensure("I3", Some(record.id), !rivals, || {
                    format!("seq {seq} of {id} counts beside a rival")
                })?;
                let once = op.receives.iter().all(|r| received.insert(*r));
                ensure("I3", Some(record.id), once, || format!("{id} received an output twice"))?;
                head = record.id;
            }
            let last = self.set().chains.get(id).and_then(|c| c.get(&account.next_seq.wrapping_sub(1)));
            let said =
                last.filter(|_| account.next_seq > base.next_seq).map(|p| p.op.record.value.op.balance_after);
            let agrees = said.is_none_or(|said| said == account.available_ucredits);
            ensure("I2", Some(head), agrees, || format!("{id} has another balance than it signed"))?;
            ensure("I4", Some(head), head == account.head, || format!("the head of {id} is another"))?;
        }
        Ok(())
    }

    /// I3 and I5: one resolve a lock that counts, and its shares are its amount.
    fn check_locks(&self) -> Result<(), Broken> {
        let mut decided = BTreeMap::new();
        for (id, held) in &self.set().resolves {
            let resolve = &held.record.value.resolve;
            let owner = self.set().chains.get(&resolve.owner);
            let amount = owner.and_then(|chain| chain.values().find_map(|p| lock_amount(p, &resolve.lock)));
            if !matches!(held.effect, Effect::Applied { .. }) {
                continue;
            }
            let again = decided.insert(resolve.lock, *id);
            ensure("I3", Some(*id), again.is_none(), || {
                format!("lock {:?} was resolved twice", resolve.lock)
            })?;
            let paid: u128 = resolve.payouts.iter().map(|p| u128::from(p.amount_ucredits)).sum();
            let shares = paid + u128::from(resolve.refund_ucredits) + u128::from(resolve.slash_ucredits);
            let complete = amount.is_none_or(|amount| shares == u128::from(amount));
            ensure("I5", Some(*id), complete, || format!("shares of {shares} of a lock of {amount:?}"))?;
        }
        Ok(())
    }

    /// I3: a lock that counts as run out is named by an expiry that was due.
    fn check_marks(&self) -> Result<(), Broken> {
        for (owner, account) in self.accounts() {
            let before = self.base().accounts.get(owner);
            for (lock, held) in account.locks.iter().filter(|(_, held)| held.ran_out) {
                let was = before.and_then(|b| b.locks.get(lock)).is_some_and(|l| l.ran_out);
                let due = |decision: &Decision| match decision {
                    Decision::Expired(id) => self.set().expiries.get(id).is_some_and(|held_by| {
                        let expiry = &held_by.record.value;
                        expiry.owner == *owner && expiry.is_due(held.terms.expiry_epoch)
                    }),
                    Decision::Resolve(_) => false,
                };
                let named = self.set().decisions.get(lock).into_iter().flatten().any(due);
                ensure("I3", Some(*lock), was || named, || format!("a lock of {owner} ran out by itself"))?;
            }
        }
        Ok(())
    }

    /// I8: what the treasury paid in each epoch, from its chain.
    fn check_treasury(&self) -> Result<(), Broken> {
        let treasury = self.network().treasury();
        let Some(account) = self.account(treasury) else { return Ok(()) };
        let base = self.base().accounts.get(treasury);
        let (mut balance, first) = base.map_or((0, 0), |a| (a.available_ucredits, a.next_seq));
        let before = base.and_then(|a| a.spending.as_ref());
        let mut epoch = before.map(|spending| spending.epoch);
        let (mut cap, mut paid) = before.map_or((0, 0), |s| (s.cap_ucredits, u128::from(s.paid_ucredits)));
        let ops = self.set().chains.get(treasury).into_iter().flat_map(|c| c.since(first));
        for (_, place) in ops.take_while(|(seq, _)| *seq < account.next_seq) {
            let op: &Op = &place.op.record.value.op;
            if epoch != Some(op.epoch) {
                (epoch, cap, paid) = (Some(op.epoch), treasury_cap_ucredits(balance), 0);
            }
            paid += op.debit_ucredits();
            let within = paid <= u128::from(cap);
            ensure("I8", Some(place.op.record.id), within, || format!("{paid} paid under a cap of {cap}"))?;
            balance = op.balance_after;
        }
        Ok(())
    }

    /// I10: every contradiction names more than the tolerated weight of witnesses.
    fn check_faults(&self) -> Result<(), Broken> {
        let faulty: BTreeSet<&AccountId> = self.faults().map(|(account, _)| account).collect();
        for place in self.set().chains.values().flat_map(Chain::values).filter(|p| !p.rivals.is_empty()) {
            let committee = self.network().committee(place.op.record.value.op.epoch);
            let named = committee.members().iter().filter(|m| faulty.contains(&m.account));
            let weight: u64 = named.map(|m| u64::from(m.weight)).sum();
            let enough = weight > committee.tolerated();
            ensure("I10", Some(place.op.record.id), enough, || format!("only weight {weight} is named"))?;
        }
        Ok(())
    }
}

fn lock_amount(place: &crate::set::Place, lock: &Id) -> Option<u64> {
    let record = &place.op.record;
    match &record.value.op.action {
        Action::Lock(terms) if record.id == *lock => Some(terms.amount_ucredits),
        _ => None,
    }
}

fn ensure(
    invariant: &'static str,
    record: Option<Id>,
    holds: bool,
    what: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { invariant, record, what: what() }) }
}

fn at(record: &Option<Id>) -> String {
    record.map_or(String::new(), |id| format!(" at {id}"))
}
