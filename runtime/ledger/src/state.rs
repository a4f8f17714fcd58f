//! The fold: what operations and resolves do to accounts.
//!
//! ```text
//! expire    a lock that ran out is marked
//! receive   inbox or marked lock -> available, or base stake (first rewards, returned task stakes)
//! act       available -> others' inboxes | a lock | base stake;   base stake -> a lock
//! resolve   a lock -> payout locks of the payees + the owner's inbox + BURN
//! ```
//! Each step is prepared on the side, checked whole, and only then written. Nothing here knows in which order values
//! came; what is missing is named, and the ledger tries again when it is there.

use std::collections::BTreeMap;

use identity::AccountId;

use crate::{
    GENESIS, Id, Network,
    account::{Account, Lock, Opened, Output, Spending, Void},
    by_id::{ById, Slot},
    expiry::Expiry,
    exposure::{PAYOUT_LOCK_EPOCHS, stake_first},
    inbox::Inbox,
    op::{Action, LockKind, LockTerms, Op, Reason, Receive},
    price::treasury_cap_ucredits,
    resolve::{Resolve, payout_lock},
    rule::{Refusal, Rule, enforced, require},
};

/// Accounts and totals.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) accounts: ById<Account>,
    pub(crate) treasury: AccountId,
    pub(crate) totals: Totals,
    /// Received out of voided values, by whom it is charged to.
    pub(crate) unbacked: BTreeMap<Void, u128>,
    /// Accepted work to date, in micro CPU-hours.
    pub(crate) compute: u128,
}

/// Where all credits are, in micro-credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What accounts but the treasury can spend.
    pub available: u128,
    /// Base stakes.
    pub staked: u128,
    /// Open locks.
    pub locked: u128,
    /// Paid and not received.
    pub in_flight: u128,
    /// Gone.
    pub burned: u128,
    /// What the treasury can spend.
    pub treasury: u128,
    /// Received out of nothing and not made good; counts against the others.
    pub bad_debt: u128,
}

impl Totals {
    /// All of them: [`GENESIS`], always.
    pub fn sum(&self) -> i128 {
        let positive =
            self.available + self.staked + self.locked + self.in_flight + self.burned + self.treasury;
        positive as i128 - self.bad_debt as i128
    }
}

/// Why a value does not count yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// This must come first: an operation or resolve that gives, or a lock.
    Missing(Id),
    /// It breaks a rule.
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

/// An account's own balances while an operation is prepared.
struct Purse {
    available: u64,
    staked: u64,
    committed: u64,
    ancestor: Option<AccountId>,
    unbacked: Vec<(Void, u64)>,
}

impl Prepared {
    /// Whether it receives nothing that comes from voided values.
    pub(crate) fn is_backed(&self) -> bool {
        self.purse.unbacked.is_empty()
    }
}

/// What an operation comes to, checked and ready to be written.
pub(crate) struct Prepared {
    purse: Purse,
    spending: Option<Box<Spending>>,
}

impl State {
    /// No accounts and no credits.
    pub(crate) fn empty(treasury: AccountId) -> Self {
        State {
            accounts: ById::default(),
            treasury,
            totals: Totals::default(),
            unbacked: BTreeMap::new(),
            compute: 0,
        }
    }

    pub(crate) fn founded(network: &Network) -> Self {
        let treasury = *network.treasury();
        let mut state = State::empty(treasury);
        state.totals.treasury = network.treasury_at_genesis().into();
        state.accounts.get_or_default(&treasury).available_ucredits = network.treasury_at_genesis();
        for a in &network.founding().allocations {
            let account = state.accounts.get_or_default(&a.account);
            account.available_ucredits = a.available_ucredits;
            account.staked_ucredits = a.staked_ucredits;
            state.totals.available += u128::from(a.available_ucredits);
            state.totals.staked += u128::from(a.staked_ucredits);
        }
        state.assert_conserved();
        state
    }

    /// Checks an operation against its account, without changing anything.
    pub(crate) fn prepare(&self, op: &Op) -> Result<Prepared, Stop> {
        match self.accounts.get(&op.account) {
            Some(account) => self.prepare_for(account, op),
            None => self.prepare_for(&Account::default(), op),
        }
    }

    /// [`State::prepare`] for an account already found.
    pub(crate) fn prepare_for(&self, account: &Account, op: &Op) -> Result<Prepared, Stop> {
        prepare_on(account, &self.treasury, op)
    }

    /// [`check_rotation`] on the account as it stands.
    pub(crate) fn check_rotation(&self, op: &Op) -> Result<(), Refusal> {
        self.accounts.get(&op.account).map_or(Ok(()), |account| check_rotation(account, op))
    }

    /// Writes an operation that was prepared on this very state for the account in this slot.
    pub(crate) fn apply(&mut self, slot: Slot, op: &Op, id: &Id, prepared: Prepared) {
        let Prepared { purse, spending } = prepared;
        let is_treasury = op.account == self.treasury;
        let account = self.accounts.at_mut(slot);
        let before = (account.available_ucredits, account.staked_ucredits);
        for receive in &op.receives {
            if receive.index == Receive::EXPIRED {
                let lock = account.locks.remove(&receive.source);
                self.totals.locked -= lock.map_or(0, |l| l.backed());
            } else if let Some(output) = take(&mut account.inbox, receive) {
                self.totals.in_flight -=
                    if output.void.is_some() { 0 } else { output.amount_ucredits.into() };
            }
        }
        account.available_ucredits = purse.available;
        account.staked_ucredits = purse.staked;
        account.committed_ucredits = purse.committed;
        account.ancestor = purse.ancestor;
        account.spending = spending;
        (account.head, account.next_seq, account.last_epoch) = (*id, op.seq + 1, op.epoch);
        for (void, amount) in purse.unbacked {
            *self.unbacked.entry(void).or_default() += u128::from(amount);
            if enforced(Rule::ExcessBooked) {
                self.totals.bad_debt += u128::from(amount);
            }
        }
        let purses = if is_treasury { &mut self.totals.treasury } else { &mut self.totals.available };
        *purses = *purses + u128::from(purse.available) - u128::from(before.0);
        self.totals.staked = self.totals.staked + u128::from(purse.staked) - u128::from(before.1);
        let ancestor = purse.ancestor.unwrap_or(op.account);
        self.act(op, id, ancestor, None);
        self.assert_conserved();
    }

    /// What an operation does to others and to the account's locks. Voided operations come here too: what they give is
    /// there to be received, and is charged when it is.
    pub(crate) fn act(&mut self, op: &Op, id: &Id, ancestor: AccountId, void: Option<Void>) {
        match &op.action {
            Action::Noop => {}
            Action::Transfer { outs } => {
                for (index, out) in outs.iter().enumerate() {
                    let output = Output {
                        amount_ucredits: out.amount_ucredits,
                        reason: out.reason,
                        from: op.account,
                        ancestor,
                        of_stake: None,
                        void,
                    };
                    self.give(&out.to, Receive { source: *id, index: index as u8 }, output);
                }
            }
            Action::Lock(terms) if terms.kind == LockKind::BaseStake => {}
            Action::Lock(terms) => {
                self.hold(
                    &op.account,
                    *id,
                    Lock { terms: *terms, reason: Reason::Payment, void, ran_out: false },
                );
            }
            Action::RotateKey { key, .. } if void.is_none() => {
                self.accounts.get_or_default(&op.account).key = Some((op.seq + 1, *key));
            }
            Action::Open { referrer, site } if void.is_none() => {
                let opened = Opened { epoch: op.epoch, referrer: *referrer, site: *site };
                self.accounts.get_or_default(&op.account).opened = Some(opened);
            }
            Action::RotateKey { .. } | Action::Open { .. } => {}
        }
    }

    /// Checks a resolve against its lock, without changing anything.
    pub(crate) fn prepare_resolve(&self, resolve: &Resolve) -> Result<Lock, Stop> {
        let account = self.accounts.get(&resolve.owner);
        let lock = account.and_then(|a| a.locks.get(&resolve.lock)).ok_or(Stop::Missing(resolve.lock))?;
        // Beside the expiry it contradicts, it is void; the expiry may lie behind a checkpoint.
        require(Rule::LockOpen, !lock.ran_out)?;
        let LockTerms { kind, amount_ucredits, expiry_epoch, .. } = lock.terms;
        resolve.check_against(kind, amount_ucredits, expiry_epoch)?;
        Ok(*lock)
    }

    /// Writes a resolve of this lock. Returns the ids that others may have waited for.
    ///
    /// `appointed`: its authority settles for the network, so its judgements count.
    pub(crate) fn apply_resolve(
        &mut self,
        resolve: &Resolve,
        id: &Id,
        lock: Lock,
        appointed: bool,
    ) -> Vec<Id> {
        self.accounts.get_or_default(&resolve.owner).locks.remove(&resolve.lock);
        self.totals.locked -= lock.backed();
        if lock.void.is_none() {
            self.totals.burned += u128::from(resolve.slash_ucredits);
            if appointed {
                self.judge(resolve, id, &lock);
            }
        }
        let freed = self.pay_out(resolve, id, &lock, lock.void);
        self.assert_conserved();
        freed
    }

    /// Marks a lock that ran out. `None` if the lock is not there, `false` if it has not run out.
    pub(crate) fn run_out(&mut self, expiry: &Expiry, lock: &Id) -> Option<bool> {
        let slot = self.accounts.slot(&expiry.owner)?;
        let held = self.accounts.at_mut(slot).locks.get_mut(lock)?;
        let due = expiry.is_due(held.terms.expiry_epoch) || !enforced(Rule::LockExpired);
        held.ran_out |= due;
        Some(due)
    }

    /// What a resolve of this lock gives.
    pub(crate) fn pay_out(&mut self, resolve: &Resolve, id: &Id, lock: &Lock, void: Option<Void>) -> Vec<Id> {
        let mut freed = vec![*id];
        for index in 0..resolve.payouts.len() {
            let (key, held) = payout(resolve, id, index, lock);
            self.hold(&resolve.payouts[index].to, key, Lock { void, ..held });
            freed.push(key);
        }
        let of_stake = lock.of_stake();
        // A stake's resolve always tells its owner, even of nothing left.
        if resolve.refund_ucredits > 0 || of_stake.is_some() {
            let output = Output {
                amount_ucredits: resolve.refund_ucredits,
                reason: lock.reason,
                from: resolve.owner,
                ancestor: resolve.owner,
                of_stake,
                void,
            };
            self.give(&resolve.owner, Receive { source: *id, index: Receive::REFUND }, output);
        }
        freed
    }

    fn judge(&mut self, resolve: &Resolve, id: &Id, lock: &Lock) {
        for judged in &resolve.judged {
            let judgement = (resolve.epoch, *id, judged.task_type, judged.outcome);
            self.accounts.get_or_default(&judged.worker).judgements.insert(judgement);
        }
        if lock.terms.kind == LockKind::TaskEscrow {
            let earned = |p: &&crate::resolve::Payout| p.reason.is_earned();
            let paid: u128 =
                resolve.payouts.iter().filter(earned).map(|p| u128::from(p.amount_ucredits)).sum();
            let halves = u128::from(lock.terms.policy.priority_halves).max(1);
            self.compute += paid * 2 / halves / UCREDITS_A_MICRO_CPU_HOUR;
        }
    }

    fn give(&mut self, to: &AccountId, receive: Receive, output: Output) {
        if output.void.is_none() && enforced(Rule::InFlightCounts) {
            self.totals.in_flight += u128::from(output.amount_ucredits);
        }
        self.accounts.get_or_default(to).inbox.insert(receive, output);
    }

    fn hold(&mut self, owner: &AccountId, id: Id, lock: Lock) {
        self.totals.locked += lock.backed();
        self.accounts.get_or_default(owner).locks.insert(id, lock);
    }

    /// I1, after every step: a step that makes or loses a credit is a bug of ours, not of a peer.
    fn assert_conserved(&self) {
        if enforced(Rule::Conserved) {
            assert_eq!(
                self.totals.sum(),
                i128::from(GENESIS),
                "credits were made or lost: {:?}",
                self.totals
            );
        }
    }
}

/// Checks an operation against its account, without changing anything.
pub(crate) fn prepare_on(account: &Account, treasury: &AccountId, op: &Op) -> Result<Prepared, Stop> {
    require(Rule::SequenceFollows, op.seq == account.next_seq)?;
    require(Rule::PrevMatches, op.prev == account.head)?;
    require(Rule::EpochMonotone, op.epoch >= account.last_epoch)?;
    let purse = Purse::after(account, op)?;
    require(Rule::BalanceMatches, op.balance_after == purse.available)?;
    let spending = match op.account == *treasury {
        true => Some(spend(account, op)?),
        false => None,
    };
    Ok(Prepared { purse, spending })
}

/// A rule of witnesses and owners alone: a key is not handed over while stake that was called back waits for its day.
/// Others than the owner decide when such a lock is gone, so the fold cannot ask it.
pub(crate) fn check_rotation(account: &Account, op: &Op) -> Result<(), Refusal> {
    let stays = |lock: &Id| !op.receives.contains(&Receive::expired(*lock));
    let mut unbonding = account.locks.iter().filter(|(id, l)| l.terms.kind == LockKind::Unbond && stays(id));
    let rotates = matches!(op.action, Action::RotateKey { .. });
    require(Rule::RotateUnstaked, !rotates || unbonding.next().is_none())
}

/// What an account could spend after an operation, whatever the operation says of it.
pub(crate) fn balance_after(account: &Account, op: &Op) -> Result<u64, Stop> {
    Purse::after(account, op).map(|purse| purse.available)
}

impl Purse {
    fn after(account: &Account, op: &Op) -> Result<Purse, Stop> {
        let mut purse = Purse {
            available: account.available_ucredits,
            staked: account.staked_ucredits,
            committed: account.committed_ucredits,
            ancestor: account.ancestor,
            unbacked: Vec::new(),
        };
        for receive in &op.receives {
            purse.receive(account, receive, op.epoch)?;
        }
        purse.pay(op)?;
        Ok(purse)
    }

    fn receive(&mut self, account: &Account, receive: &Receive, epoch: u64) -> Result<(), Stop> {
        if receive.index == Receive::EXPIRED {
            let lock = account.locks.get(&receive.source).ok_or(Stop::Missing(receive.source))?;
            require(Rule::LockExpired, epoch > lock.terms.expiry_epoch)?;
            if !lock.ran_out && enforced(Rule::LockRanOut) {
                return Err(Stop::Missing(receive.source));
            }
            let amount = lock.terms.amount_ucredits;
            match lock.terms.kind {
                LockKind::TaskStake => self.return_stake(amount, amount)?,
                LockKind::PayoutLock => self.earn(amount, lock.reason)?,
                LockKind::TaskEscrow | LockKind::Unbond | LockKind::BaseStake => self.add(amount)?,
            }
            self.unbacked.extend(lock.void.map(|void| (void, amount)));
            return Ok(());
        }
        let output = account.inbox.get(receive).ok_or(Stop::Missing(receive.source))?;
        match output.of_stake {
            Some(claimed) => self.return_stake(output.amount_ucredits, claimed)?,
            None => self.earn(output.amount_ucredits, output.reason)?,
        }
        if output.reason == Reason::Payment && receive.index != Receive::REFUND {
            self.ancestor.get_or_insert(output.ancestor);
        }
        self.unbacked.extend(output.void.map(|void| (void, output.amount_ucredits)));
        Ok(())
    }

    /// First rewards become the stake.
    fn earn(&mut self, amount: u64, reason: Reason) -> Result<(), Refusal> {
        let held = self.staked.saturating_add(self.committed);
        let fills = reason == Reason::Reward && enforced(Rule::StakeFirst);
        let (to_stake, rest) = if fills { stake_first(amount, held) } else { (0, amount) };
        self.staked = add(self.staked, to_stake)?;
        self.add(rest)
    }

    fn return_stake(&mut self, left: u64, claimed: u64) -> Result<(), Refusal> {
        self.committed = self.committed.saturating_sub(claimed);
        self.staked = add(self.staked, left)?;
        Ok(())
    }

    fn add(&mut self, amount: u64) -> Result<(), Refusal> {
        self.available = add(self.available, amount)?;
        Ok(())
    }

    fn pay(&mut self, op: &Op) -> Result<(), Refusal> {
        let debit = op.debit_ucredits();
        require(Rule::BalanceCovers, debit <= self.available.into())?;
        self.available = self.available.wrapping_sub(debit as u64);
        let terms = match &op.action {
            Action::Lock(terms) => terms,
            // Proofs against the key before it would no longer burn what is there.
            Action::RotateKey { .. } => {
                return require(Rule::RotateUnstaked, self.staked == 0 && self.committed == 0);
            }
            Action::Noop | Action::Transfer { .. } | Action::Open { .. } => return Ok(()),
        };
        let amount = terms.amount_ucredits;
        match terms.kind {
            LockKind::BaseStake => self.staked = add(self.staked, amount)?,
            LockKind::TaskStake | LockKind::Unbond => {
                require(Rule::StakeCovers, amount <= self.staked)?;
                self.staked = self.staked.wrapping_sub(amount);
                if terms.kind == LockKind::TaskStake {
                    self.committed = add(self.committed, amount)?;
                }
            }
            LockKind::TaskEscrow | LockKind::PayoutLock => {}
        }
        Ok(())
    }
}

/// The treasury's spending after an operation of its own. The cap of an epoch is made of what it held before the epoch's
/// first operation.
fn spend(account: &Account, op: &Op) -> Result<Box<Spending>, Refusal> {
    let mut spending = account.spending.clone().unwrap_or_default();
    if account.spending.is_none() || spending.epoch != op.epoch {
        spending.epoch = op.epoch;
        spending.cap_ucredits = treasury_cap_ucredits(account.available_ucredits);
        spending.paid_ucredits = 0;
    }
    let Action::Transfer { outs } = &op.action else { return Ok(spending) };
    for out in outs {
        spending.paid_ucredits = add(spending.paid_ucredits, out.amount_ucredits)?;
        let once = spending.causes.insert((out.reason, out.reference, out.to));
        require(Rule::TreasuryOnce, once)?;
    }
    require(Rule::TreasuryCap, spending.paid_ucredits <= spending.cap_ucredits)?;
    Ok(spending)
}

/// Each output is received once.
fn take(inbox: &mut Inbox, receive: &Receive) -> Option<Output> {
    if enforced(Rule::ReceiveKnown) { inbox.remove(receive) } else { inbox.get(receive).copied() }
}

/// No balance wraps or saturates, whatever a bad quorum certified.
fn add(balance: u64, amount: u64) -> Result<u64, Refusal> {
    balance.checked_add(amount).ok_or(Refusal { rule: Rule::BalanceMatches })
}

/// The lock that a payout becomes, and its name.
pub(crate) fn payout(resolve: &Resolve, id: &Id, index: usize, lock: &Lock) -> (Id, Lock) {
    let payout = &resolve.payouts[index];
    let wait = if enforced(Rule::PayoutLocked) { PAYOUT_LOCK_EPOCHS } else { 0 };
    let terms = LockTerms {
        kind: LockKind::PayoutLock,
        task: *id,
        amount_ucredits: payout.amount_ucredits,
        policy: lock.terms.policy,
        expiry_epoch: resolve.epoch.saturating_add(wait),
    };
    (payout_lock(id, index as u8), Lock { terms, reason: payout.reason, void: lock.void, ran_out: false })
}

/// A credit of accepted work at normal priority counts as a hundredth of a CPU-hour.
pub const UCREDITS_A_MICRO_CPU_HOUR: u128 = 100;
