//! Workers that stand ready: their claims, checked against the ledger, and what they have in hand.

use std::collections::BTreeMap;

use identity::AccountId;
use ledger::{
    Account, Id, Ledger,
    exposure::{Standing, TASK_STAKE_UCREDITS},
    op::LockKind,
};

use crate::{
    draw::{self, Claims, MAX_SLOTS},
    limits::Block,
    queue::Slots,
    reason::Reason,
    verify::policy::{self, Exposure, Place},
    wire,
};

/// All workers with a claim, and those that still have tasks of one.
#[derive(Debug, Default)]
pub(in crate::relay) struct Bench {
    claims: Claims,
    workers: BTreeMap<AccountId, Worker>,
    slots: Slots,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Worker {
    claim: wire::Claim,
    /// Its prekey as it signed it.
    prekey: Vec<u8>,
    block: Block,
    standing: Standing,
    /// Its stake and its locked rewards.
    at_risk_ucredits: u64,
    /// Task stakes, with how many assignments each answers for.
    stakes: BTreeMap<Id, u32>,
    since_epoch: u64,
    /// Somebody speaks for it.
    is_here: bool,
    /// Slots with a task.
    busy: u16,
    /// Unsettled work.
    open_ucredits: u64,
    /// By type of task: survived checks, and whether it was never proved wrong.
    known: BTreeMap<u8, (u64, bool)>,
}

/// A worker that offers itself.
pub(super) struct Offer {
    pub(super) claim: wire::Claim,
    pub(super) prekey: Vec<u8>,
    pub(super) block: Block,
    pub(super) epoch: u64,
    pub(super) head_start_epochs: u64,
    pub(super) max_workers: usize,
}

/// Why a claim does not stand.
pub(super) type Refusal = (Reason, &'static str);

impl Bench {
    /// Takes a claim in, in the place of the worker's former one. A claim of no slots withdraws it: the worker is not drawn until
    /// it claims again, and what it has is not taken from it.
    pub(super) fn offer(
        &mut self,
        offer: Offer,
        ledger: &Ledger,
        authority: &AccountId,
    ) -> Result<(), Refusal> {
        let Offer { claim, prekey, block, epoch, head_start_epochs, max_workers } = offer;
        let worker = claim.worker;
        let former = self.workers.get(&worker);
        if former.is_none() && self.workers.len() >= max_workers {
            return Err((Reason::RelayFull, "workers"));
        }
        if former.is_some_and(|former| claim.number < former.claim.number) {
            return Err((Reason::ClaimInvalid, "a claim of a larger number stands"));
        }
        check(&claim, epoch)?;
        if former.is_none() && claim.slots == 0 {
            // Nothing stands that could be withdrawn.
            return Ok(());
        }
        let unknown = Account::default();
        let account = ledger.account(&worker).unwrap_or(&unknown);
        let standing = Standing::of(account.base_stake_ucredits());
        let stakes = stakes(&claim, standing, account, authority, epoch)?;
        let since_epoch = former.map_or(epoch.saturating_sub(head_start_epochs), |former| former.since_epoch);
        let (busy, open_ucredits) = former.map_or((0, 0), |former| (former.busy, former.open_ucredits));
        let used = |lock: &Id| former.and_then(|former| former.stakes.get(lock)).copied().unwrap_or(0);
        let stakes = stakes.into_iter().map(|lock| (lock, used(&lock))).collect();
        let entry = Worker {
            claim,
            prekey,
            block,
            standing,
            at_risk_ucredits: at_risk_ucredits(account),
            stakes,
            since_epoch,
            is_here: true,
            busy,
            open_ucredits,
            known: BTreeMap::new(),
        };
        self.change(worker, |workers| drop(workers.insert(worker, entry)));
        Ok(())
    }

    /// Nobody speaks for a worker any more: it is not drawn, and what it has is not taken from it yet.
    pub(super) fn left(&mut self, worker: AccountId) {
        self.change(worker, |workers| {
            if let Some(entry) = workers.get_mut(&worker) {
                entry.is_here = false;
            }
        });
        self.drop_idle(worker);
    }

    /// Looks at the ledger again: once an epoch, and when a worker was proved wrong.
    pub(super) fn refresh(&mut self, worker: AccountId, ledger: &Ledger, authority: &AccountId, epoch: u64) {
        let unknown = Account::default();
        let account = ledger.account(&worker).unwrap_or(&unknown);
        self.change(worker, |workers| {
            let Some(entry) = workers.get_mut(&worker) else { return };
            entry.standing = Standing::of(account.base_stake_ucredits());
            entry.at_risk_ucredits = at_risk_ucredits(account);
            entry.known.clear();
            entry.stakes.retain(|lock, _| is_stake(account, lock, authority, epoch));
            entry.is_here &= entry.claim.until_epoch >= epoch;
        });
        self.drop_idle(worker);
    }

    pub(super) fn accounts(&self) -> Vec<AccountId> {
        self.workers.keys().copied().collect()
    }

    pub(super) fn get(&self, worker: &AccountId) -> Option<&Worker> {
        self.workers.get(worker)
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(super) fn slots(&self) -> Slots {
        self.slots
    }

    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }

    /// Workers whose claims stand and that a test leaves out.
    pub(super) fn left_out<'a>(
        &'a self,
        is_in: impl Fn(&AccountId, &wire::Claim) -> bool + 'a,
    ) -> impl Iterator<Item = AccountId> + 'a {
        self.workers.iter().filter(move |(account, w)| !is_in(account, &w.claim)).map(|(account, _)| *account)
    }

    /// What a worker is for a type of task, as the ledger shows it.
    pub(super) fn judge(
        &mut self,
        worker: &AccountId,
        task_type: u8,
        ledger: &Ledger,
        epoch: u64,
    ) -> Option<policy::Worker> {
        let entry = self.workers.get_mut(worker)?;
        let known = entry.known.entry(task_type).or_insert_with(|| {
            let reputation = ledger.reputation(worker, task_type);
            let (_, invalid, _) = reputation.counts();
            (reputation.survived_checks(epoch), invalid == 0)
        });
        let (survived_checks, clean) = *known;
        let place = entry.place();
        Some(policy::Worker { account: *worker, place, standing: entry.standing, survived_checks, clean })
    }

    /// Gives a worker a task: a slot and the stake that answers for it, the least used one; [`Id::ZERO`] on probation.
    pub(super) fn take(&mut self, worker: AccountId, price_ucredits: u64) -> Id {
        let mut stake = Id::ZERO;
        self.hold(worker, |entry| {
            entry.busy = entry.busy.saturating_add(1);
            entry.open_ucredits = entry.open_ucredits.saturating_add(price_ucredits);
            if let Some((lock, used)) = entry.stakes.iter_mut().min_by_key(|(lock, used)| (**used, **lock)) {
                *used += 1;
                stake = *lock;
            }
        });
        stake
    }

    /// A worker's slot is free again.
    pub(super) fn free(&mut self, worker: AccountId) {
        self.hold(worker, |entry| entry.busy = entry.busy.saturating_sub(1));
        self.drop_idle(worker);
    }

    /// A worker's part in a task is settled.
    pub(super) fn settle(&mut self, worker: &AccountId, stake: &Id, price_ucredits: u64) {
        let Some(entry) = self.workers.get_mut(worker) else { return };
        entry.open_ucredits = entry.open_ucredits.saturating_sub(price_ucredits);
        if let Some(used) = entry.stakes.get_mut(stake) {
            *used = used.saturating_sub(1);
        }
    }

    /// Changes what a worker has in hand.
    fn hold(&mut self, worker: AccountId, change: impl FnOnce(&mut Worker)) {
        let Some(entry) = self.workers.get_mut(&worker) else { return };
        let before = entry.slots();
        change(entry);
        let after = entry.slots();
        self.slots.free = self.slots.free - before.free + after.free;
        // Of a worker that is not here, or has no slots, no claim stands.
        let _ = self.claims.set_free(worker, after.free as u16);
    }

    /// Changes a worker, and with it its place among the claims and the count of slots.
    fn change(&mut self, worker: AccountId, change: impl FnOnce(&mut BTreeMap<AccountId, Worker>)) {
        let before = self.workers.get(&worker).map(Worker::slots).unwrap_or_default();
        change(&mut self.workers);
        let after = self.workers.get(&worker).map(Worker::slots).unwrap_or_default();
        self.slots.free = self.slots.free - before.free + after.free;
        self.slots.total = self.slots.total - before.total + after.total;
        let stands = self.workers.get(&worker).and_then(Worker::standing_claim);
        if stands.is_none_or(|claim| self.claims.insert(claim).is_err()) {
            self.claims.remove(worker);
        }
    }

    fn drop_idle(&mut self, worker: AccountId) {
        let idle = |entry: &Worker| !entry.is_here && entry.busy == 0;
        if self.workers.get(&worker).is_some_and(idle) {
            self.workers.remove(&worker);
        }
    }
}

impl Worker {
    pub(super) fn prekey(&self) -> &[u8] {
        &self.prekey
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn block(&self) -> Block {
        self.block
    }

    /// Its site; a worker without one is a site of its own.
    pub(super) fn site(&self) -> Id {
        self.claim.site.unwrap_or(Id::from_bytes(*self.claim.worker.as_bytes()))
    }

    pub(super) fn exposure(&self, price_ucredits: u64) -> Exposure {
        Exposure {
            at_risk_ucredits: self.at_risk_ucredits,
            open_ucredits: self.open_ucredits,
            price_ucredits,
        }
    }

    fn place(&self) -> Place {
        Place { site: self.claim.site.map(|site| *site.as_bytes()), block: self.block.to_bytes() }
    }

    /// Slots that stand: of an established worker, as many as stakes answer for.
    fn slots(&self) -> Slots {
        if !self.is_here {
            return Slots::default();
        }
        let total = match self.standing {
            Standing::Established => u32::from(self.claim.slots).min(self.stakes.len() as u32),
            Standing::Probation => self.claim.slots.into(),
        };
        Slots { free: total.saturating_sub(self.busy.into()), total }
    }

    fn standing_claim(&self) -> Option<draw::Claim> {
        let Slots { free, total } = self.slots();
        let established = self.standing == Standing::Established;
        (total > 0).then(|| draw::Claim {
            worker: self.claim.worker,
            capability: self.claim.capability.clone(),
            slots: total as u16,
            free_slots: free as u16,
            stake_per_slot_ucredits: if established { TASK_STAKE_UCREDITS } else { 0 },
            standing: self.standing,
            site: self.site(),
            block: self.block,
            region: self.claim.region.map(u16::from_le_bytes),
            since_epoch: self.since_epoch,
        })
    }
}

/// What must hold of a claim whatever the ledger says.
fn check(claim: &wire::Claim, epoch: u64) -> Result<(), Refusal> {
    let mut stakes = claim.stakes.clone();
    stakes.sort_unstable();
    stakes.dedup();
    match () {
        () if claim.slots > MAX_SLOTS => Err((Reason::ClaimInvalid, "slots")),
        () if stakes.len() < claim.stakes.len() => Err((Reason::ClaimInvalid, "one stake twice")),
        () if claim.until_epoch < epoch => Err((Reason::ClaimInvalid, "it ran out")),
        () => Ok(()),
    }
}

/// The locks that answer for a claim's slots.
fn stakes(
    claim: &wire::Claim,
    standing: Standing,
    account: &Account,
    authority: &AccountId,
    epoch: u64,
) -> Result<Vec<Id>, Refusal> {
    if standing == Standing::Probation {
        return if claim.stakes.is_empty() {
            Ok(vec![])
        } else {
            Err((Reason::StakeMissing, "the base stake is not whole"))
        };
    }
    if claim.stakes.len() < usize::from(claim.slots) {
        return Err((Reason::StakeMissing, "fewer stakes than slots"));
    }
    if !claim.stakes.iter().all(|lock| is_stake(account, lock, authority, epoch)) {
        return Err((Reason::StakeMissing, "no open task stake with this authority"));
    }
    Ok(claim.stakes.clone())
}

/// Whether a lock is a task stake that this relay may burn for some time yet.
fn is_stake(account: &Account, lock: &Id, authority: &AccountId, epoch: u64) -> bool {
    account.locks.get(lock).is_some_and(|lock| {
        lock.terms.kind == LockKind::TaskStake
            && lock.terms.policy.authority == *authority
            && lock.terms.amount_ucredits >= TASK_STAKE_UCREDITS
            && lock.terms.expiry_epoch >= epoch.saturating_add(LEAST_LEFT_EPOCHS)
            && lock.void.is_none()
            && !lock.ran_out
    })
}

fn at_risk_ucredits(account: &Account) -> u64 {
    let rewards = account.locks.values().filter(|l| l.terms.kind == LockKind::PayoutLock && l.void.is_none());
    rewards.fold(account.base_stake_ucredits(), |sum, l| sum.saturating_add(l.terms.amount_ucredits))
}

/// A stake with less time left answers for no more tasks: one may be judged minutes after it was drawn.
const LEAST_LEFT_EPOCHS: u64 = 5;
