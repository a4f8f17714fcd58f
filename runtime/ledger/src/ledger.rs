//! A node's ledger: the set, the fold of it, and how records come in.

use std::{collections::BTreeMap, sync::Arc};

use identity::AccountId;

use crate::{
    Id, Network, Record,
    account::{Account, Balance, Taken, Void, entry, leaf_hash},
    by_id::Slot,
    chain::Chain,
    merkle,
    op::{LockTerms, Op, SignedOp},
    proof::Proof,
    record::Certified,
    reputation::{Reputation, Seen},
    resolve::SignedResolve,
    rule::{Refusal, Rule, enforced, require},
    set::{Effect, Held, Inserted, Set},
    state::{State, Stop, Totals},
    verdict::{Fault, Verdicts},
};

/// Operations may be this far ahead of their chain and still be kept.
pub const MAX_AHEAD: u64 = 1_000;

/// Beyond so many proofs, those against accounts that nothing ever concerned are not kept: anybody can make them of keys of
/// their own.
pub(crate) const MAX_STRANGERS: usize = 1_000;

/// Which signatures of what comes in are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// All of them: what comes from others.
    Signatures,
    /// Those of owners and authorities, when their turn comes: what this node stored itself. What a bad quorum certified
    /// without them is stored too, and must not count after a restart either.
    Makers,
    /// None: what is known to count.
    Nothing,
}

/// A grow-only set of certified records and the state it folds to.
///
/// `merge` is validation and set union: associative, commutative and idempotent, and the state is a function of the set.
#[derive(Clone, Debug)]
pub struct Ledger {
    network: Arc<Network>,
    set: Set,
    state: State,
    /// The state that the fold starts from.
    base: Arc<State>,
    /// The base has operations behind it.
    pruned: bool,
    /// Who waits for which id.
    waiting: BTreeMap<Id, Vec<Waiter>>,
    verdicts: Verdicts,
    /// The set contradicts itself since the last fold: fold it again.
    stale: bool,
    /// Verdicts may have changed.
    unjudged: bool,
}

/// Whose turn it is when something arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiter {
    /// An account, with its slot in the set.
    Chain(AccountId, Slot),
    Resolve(Id),
    /// An expiry, for one of its locks.
    Expiry(Id, Id),
}

/// What a merge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Records that are new.
    pub added: usize,
    /// Records that were there.
    pub known: usize,
    /// Records that were refused, and why.
    pub refused: Vec<(Id, Refusal)>,
}

impl Ledger {
    /// The ledger of a network in which nothing has happened.
    pub fn new(network: Arc<Network>) -> Self {
        let state = State::founded(&network);
        Ledger::on(network, state)
    }

    /// An empty set over this state.
    pub(crate) fn on(network: Arc<Network>, state: State) -> Self {
        let pruned = state.accounts.values().any(|account| account.next_seq > 0);
        Ledger {
            network,
            set: Set::default(),
            pruned,
            base: Arc::new(state.clone()),
            state,
            waiting: BTreeMap::new(),
            verdicts: Verdicts::default(),
            stale: false,
            unjudged: false,
        }
    }

    /// Takes records in, in any order and any number of times.
    pub fn merge(&mut self, records: impl IntoIterator<Item = Record>, check: Check) -> Merged {
        let mut merged = Merged::default();
        for record in records {
            let id = record.id();
            match self.insert(record, check) {
                Ok(Inserted::Known) => merged.known += 1,
                Ok(_) => merged.added += 1,
                Err(refusal) => merged.refused.push((id, refusal)),
            }
        }
        if std::mem::take(&mut self.stale) && enforced(Rule::RebuildOnConflict) {
            self.rebuild();
        }
        if std::mem::take(&mut self.unjudged) {
            self.verdicts = Verdicts::of(&self.set, &self.state);
        }
        merged
    }

    /// The network.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// An account, before what proofs took from it; `None` if nothing ever concerned it.
    pub fn account(&self, account: &AccountId) -> Option<&Account> {
        self.state.accounts.get(account)
    }

    /// All accounts in ascending order.
    pub fn accounts(&self) -> impl Iterator<Item = (&AccountId, &Account)> {
        self.state.accounts.iter()
    }

    /// What an account holds, after what proofs took from it.
    pub fn balance(&self, account: &AccountId) -> Balance {
        let state = self.state.accounts.get(account);
        state.map_or(Balance::default(), |state| state.balance_after(&self.verdicts.taken(account)))
    }

    /// Whether witnesses still sign for an account.
    pub fn is_frozen(&self, account: &AccountId) -> bool {
        self.verdicts.is_frozen(account) || self.account(account).is_some_and(|a| a.frozen)
    }

    /// Where all credits are.
    pub fn totals(&self) -> Totals {
        self.verdicts.settle(self.state.totals)
    }

    /// Accepted work to date, in micro CPU-hours.
    pub fn compute(&self) -> u64 {
        u64::try_from(self.state.compute).unwrap_or(u64::MAX)
    }

    /// What keys are proved to have done, ascending by account: witnesses that signed two values, owners that forked,
    /// authorities that decided twice.
    pub fn faults(&self) -> impl Iterator<Item = (&AccountId, &Fault)> {
        self.verdicts.faults()
    }

    /// How a worker did at one type of task.
    pub fn reputation(&self, worker: &AccountId, task_type: u8) -> Reputation {
        let judged = self.account(worker).map(|a| &a.judgements).into_iter().flatten();
        let seen = judged.filter(|j| j.2 == task_type);
        let seen = seen.map(|&(epoch, id, _, outcome)| Seen { epoch, id: *id.as_bytes(), outcome });
        Reputation::fold(seen)
            .expect("judgements ascend by epoch and resolve, and a resolve judges a worker once")
    }

    /// Merkle root over all accounts, ascending (RFC 6962, section 2.1).
    pub fn root(&self) -> Id {
        Id::from_bytes(merkle::root(&self.leaf_hashes()))
    }

    /// Proof that an account's entry is under [`Ledger::root`], with the entry's bytes and its place.
    pub fn prove(&self, account: &AccountId) -> Option<(Vec<u8>, usize, merkle::Proof)> {
        let index = self.state.accounts.keys().position(|a| a == account)?;
        let proof = merkle::prove(&self.leaf_hashes(), index)?;
        let leaf = self.account(account)?.leaf(account, self.is_frozen(account), &self.taken(account));
        Some((entry(&leaf), index, proof))
    }

    /// Every record, accounts and seqs ascending, then resolves, expiries, checkpoints and proofs.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.set.records()
    }

    /// Records that do not count yet, since something before them is missing or they break a rule.
    pub fn orphans(&self) -> usize {
        let behind = |(account, chain): (&AccountId, &Chain)| {
            chain.since(self.account(account).map_or(0, |a| a.next_seq)).count()
        };
        self.set.chains.iter().map(behind).sum()
    }

    /// An authority's certified decision.
    pub fn resolve(&self, id: &Id) -> Option<&Arc<Certified<SignedResolve>>> {
        self.set.resolves.get(id).map(|held| &held.record)
    }

    /// The last checkpoint before an epoch.
    pub fn checkpoint_before(&self, epoch: u64) -> Option<&Certified<crate::Checkpoint>> {
        let (_, held) = self.set.checkpoints.range(..epoch).next_back()?;
        held.first().map(|held| &*held.record)
    }

    /// Proofs that are known.
    pub fn proofs(&self) -> impl Iterator<Item = &Proof> {
        self.set.proofs.values().map(|proof| &**proof)
    }

    pub(crate) fn set(&self) -> &Set {
        &self.set
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn base(&self) -> &State {
        &self.base
    }

    pub(crate) fn taken(&self, account: &AccountId) -> Taken {
        self.verdicts.taken(account)
    }

    /// Whether an expiry has marked all that it names.
    pub(crate) fn is_spent(&self, expiry: &Id) -> bool {
        self.set.expiries.get(expiry).is_some_and(Held::is_spent)
    }

    /// Whether a resolve has been applied.
    pub(crate) fn counts(&self, resolve: &Id) -> bool {
        self.set.resolves.get(resolve).is_some_and(|held| held.effect != Effect::None)
    }

    /// Whether a resolve has been applied, and its authority settles for the network.
    pub(crate) fn is_appointed(&self, resolve: &Id) -> bool {
        let effect = self.set.resolves.get(resolve).map_or(Effect::None, |held| held.effect);
        matches!(effect, Effect::Applied { appointed: true } | Effect::Behind { appointed: true })
    }

    /// Takes in a resolve that a checkpoint this ledger folds from covers: bonuses may still follow from it.
    pub(crate) fn remember(&mut self, id: &Id, appointed: bool, record: &Arc<Certified<SignedResolve>>) {
        self.set.insert_resolve(record.clone(), true);
        if let Some(held) = self.set.resolves.get_mut(id) {
            held.effect = Effect::Behind { appointed };
        }
    }

    pub(crate) fn leaf_hashes(&self) -> Vec<[u8; 32]> {
        self.leaves().map(|leaf| leaf_hash(&leaf)).collect()
    }

    fn insert(&mut self, record: Record, check: Check) -> Result<Inserted, Refusal> {
        let inserted = match record {
            Record::Op(record) => self.insert_op(record, check)?,
            record if self.set.knows(&record) && enforced(Rule::KnownIgnored) => return Ok(Inserted::Known),
            Record::Proof(proof)
                if self.set.proofs.len() >= MAX_STRANGERS && self.account(proof.culprit()).is_none() =>
            {
                return Err(Refusal { rule: Rule::OrphansBounded });
            }
            record => {
                if check == Check::Signatures {
                    record.check(&self.network)?;
                }
                self.insert_other(record, check == Check::Nothing)
            }
        };
        // Values may move what a verdict is about; without verdicts there is nothing to move.
        self.unjudged |= inserted != Inserted::Known && self.set.has_verdicts();
        Ok(inserted)
    }

    /// The account is looked up once.
    fn insert_op(&mut self, record: Arc<Certified<SignedOp>>, check: Check) -> Result<Inserted, Refusal> {
        let op = &record.value.op;
        let account = op.account;
        let slot = self.set.chains.slot(&account);
        let home = self.home(&account, slot);
        let known = slot.is_some_and(|slot| self.set.knows_op(slot, &record));
        if known && enforced(Rule::KnownIgnored) || self.is_behind_base(op) {
            return Ok(Inserted::Known);
        }
        let next = home.map_or(0, |home| self.state.accounts.at(home).next_seq);
        require(Rule::OrphansBounded, op.seq < next.saturating_add(MAX_AHEAD))?;
        if check == Check::Signatures {
            record.check_op(&self.network)?;
        }
        let slot = slot.unwrap_or_else(|| self.set.begin(&account, next));
        let inserted = self.set.insert_op(slot, record, check == Check::Nothing);
        match inserted {
            Inserted::Known | Inserted::Joined => {}
            Inserted::Fresh => {
                let mut ready = Vec::new();
                self.advance_chain(&account, slot, home, &mut ready);
                self.advance(ready);
            }
            Inserted::Rival => self.stale = true,
        }
        Ok(inserted)
    }

    fn insert_other(&mut self, record: Record, checked: bool) -> Inserted {
        match record {
            Record::Op(_) => unreachable!("operations are inserted by their account"),
            Record::Resolve(r) => {
                let waiter = Waiter::Resolve(r.id);
                let inserted = self.set.insert_resolve(r, checked);
                match inserted {
                    Inserted::Known | Inserted::Joined => {}
                    Inserted::Fresh => self.advance(vec![waiter]),
                    Inserted::Rival => self.stale = true,
                }
                inserted
            }
            Record::Checkpoint(r) => self.set.insert_checkpoint(r),
            Record::Expiry(r) => {
                let inserted = self.set.insert_expiry(r.clone());
                match inserted {
                    Inserted::Known | Inserted::Joined => {}
                    Inserted::Fresh => {
                        self.advance(r.value.locks.iter().map(|lock| Waiter::Expiry(r.id, *lock)).collect());
                    }
                    Inserted::Rival => self.stale = true,
                }
                inserted
            }
            Record::Proof(proof) => self.set.insert_proof(proof),
        }
    }

    /// Applies what can be applied, from here on.
    fn advance(&mut self, mut ready: Vec<Waiter>) {
        while let Some(waiter) = ready.pop() {
            match waiter {
                Waiter::Chain(account, slot) => {
                    let home = self.home(&account, Some(slot));
                    self.advance_chain(&account, slot, home, &mut ready);
                }
                Waiter::Resolve(id) => {
                    if let Some(freed) = self.step_resolve(&id) {
                        self.wake(&freed, &mut ready);
                    }
                }
                Waiter::Expiry(id, lock) => {
                    if self.step_expiry(&id, &lock) {
                        self.wake(&[lock], &mut ready);
                    }
                }
            }
        }
    }

    /// An account's slot in the state, by its slot in the set.
    fn home(&mut self, account: &AccountId, slot: Option<Slot>) -> Option<Slot> {
        let Some(slot) = slot else { return self.state.accounts.slot(account) };
        let chain = self.set.chains.at_mut(slot);
        if chain.home.is_none() {
            chain.home = self.state.accounts.slot(account);
        }
        debug_assert_eq!(chain.home, self.state.accounts.slot(account), "a slot of another state");
        chain.home
    }

    /// Applies what can be applied of one chain. `home` is the account's slot in the state, if it has one.
    fn advance_chain(
        &mut self,
        account: &AccountId,
        slot: Slot,
        mut home: Option<Slot>,
        ready: &mut Vec<Waiter>,
    ) {
        while let Some(freed) = self.step(account, slot, &mut home) {
            self.wake(&[freed], ready);
        }
    }

    fn wake(&mut self, freed: &[Id], ready: &mut Vec<Waiter>) {
        if !self.waiting.is_empty() {
            freed.iter().for_each(|id| ready.extend(self.waiting.remove(id).unwrap_or_default()));
        }
    }

    /// Applies an account's next operation, if it is there and can be. Returns what others may have waited for.
    fn step(&mut self, owner: &AccountId, slot: Slot, home: &mut Option<Slot>) -> Option<Id> {
        let chain = self.set.chains.at_mut(slot);
        let unknown;
        let account = match *home {
            Some(home) => self.state.accounts.at(home),
            None => {
                unknown = Account::default();
                &unknown
            }
        };
        let place = chain.get_mut(&account.next_seq)?;
        if !place.rivals.is_empty() {
            return None;
        }
        let (id, op) = (&place.op.record.id, &place.op.record.value);
        match self.state.prepare_for(account, &op.op) {
            Ok(prepared) => {
                let genuine = |op: &SignedOp| check_owner(&self.network, &self.state, op, id).is_ok();
                if !place.op.checked && !genuine(op) {
                    let id = *id;
                    place.op.replace(self.set.spare_ops.find(&id, genuine)?);
                }
                place.op.checked = true;
                let Certified { id, value, .. } = &*place.op.record;
                let home = *home.get_or_insert_with(|| self.state.accounts.slot_or_default(owner));
                self.state.apply(home, &value.op, id, prepared);
                Some(*id)
            }
            Err(Stop::Missing(source)) => {
                self.waiting.entry(source).or_default().push(Waiter::Chain(*owner, slot));
                None
            }
            Err(Stop::Refused(_)) => None,
        }
    }

    fn step_resolve(&mut self, id: &Id) -> Option<Vec<Id>> {
        let lock = self.set.resolves.get(id)?.record.value.resolve.lock;
        if self.set.conflicting(&lock) {
            return None;
        }
        let held = self.set.resolves.get_mut(id).filter(|held| held.effect == Effect::None)?;
        let resolve = &held.record.value;
        match self.state.prepare_resolve(&resolve.resolve) {
            Ok(lock) => {
                let genuine = |resolve: &SignedResolve| {
                    let authority = lock.terms.policy.authority.public_key();
                    authority.is_ok_and(|key| resolve.check_signature(id, &key).is_ok())
                };
                if !held.checked && !genuine(resolve) {
                    held.replace(self.set.spare_resolves.find(id, genuine)?);
                }
                let resolve = &held.record.value.resolve;
                let appointed = self.network.appoints(&lock.terms.policy.authority, resolve.epoch);
                (held.checked, held.effect) = (true, Effect::Applied { appointed });
                Some(self.state.apply_resolve(resolve, id, lock, appointed))
            }
            Err(Stop::Missing(lock)) => {
                self.waiting.entry(lock).or_default().push(Waiter::Resolve(*id));
                None
            }
            Err(Stop::Refused(_)) => None,
        }
    }

    /// Marks a lock of an expiry, if it is there. Whether others may have waited for that.
    fn step_expiry(&mut self, id: &Id, lock: &Id) -> bool {
        let Some(held) = self.set.expiries.get_mut(id) else { return false };
        let marked = self.state.run_out(&held.record.value, lock);
        match marked {
            Some(true) => held.mark(lock),
            Some(false) => {}
            None => self.waiting.entry(*lock).or_default().push(Waiter::Expiry(*id, *lock)),
        }
        marked == Some(true)
    }

    /// Folds the whole set anew: some value that counted is void.
    fn rebuild(&mut self) {
        self.state = (*self.base).clone();
        self.set.chains.values_mut().for_each(|chain| chain.home = None);
        self.waiting.clear();
        let applied = |held: &&mut Held<SignedResolve>| matches!(held.effect, Effect::Applied { .. });
        self.set.resolves.values_mut().filter(applied).for_each(|held| held.effect = Effect::None);
        let owners: Vec<AccountId> = self.set.chains.keys().copied().collect();
        for account in &owners {
            self.void_chain(account);
        }
        self.void_decisions();
        let resolves: Vec<Id> = self.set.resolves.keys().copied().collect();
        for owner in owners {
            if let Some(slot) = self.set.chains.slot(&owner) {
                self.advance(vec![Waiter::Chain(owner, slot)]);
            }
        }
        resolves.into_iter().for_each(|id| self.advance(vec![Waiter::Resolve(id)]));
        let mut named = Vec::new();
        for (id, held) in &mut self.set.expiries {
            held.effect = Effect::None;
            named.extend(held.record.value.locks.iter().map(|lock| Waiter::Expiry(*id, *lock)));
        }
        self.advance(named);
    }

    /// Voided operations give what can still be received; who receives it makes their account a debtor.
    fn void_chain(&mut self, account: &AccountId) {
        let Some(from) = self.set.voided_from(account) else { return };
        let places = self.set.chains.get(account).into_iter().flat_map(|chain| chain.since(from));
        for held in places.flat_map(|(_, place)| place.all()) {
            let (op, id) = (&held.record.value.op, &held.record.id);
            self.state.act(op, id, *account, Some(Void::Account(*account)));
        }
    }

    /// Decisions that contradict each other give what can still be received, as they did when one stood alone.
    fn void_decisions(&mut self) {
        let conflicting = |held: &&Held<SignedResolve>| self.set.conflicting(&held.record.value.resolve.lock);
        for held in self.set.resolves.values().filter(conflicting) {
            let (resolve, id) = (&held.record.value.resolve, &held.record.id);
            let Some(lock) = self.set.lock(&self.base, &resolve.owner, &resolve.lock) else { continue };
            let LockTerms { kind, amount_ucredits, expiry_epoch, .. } = lock.terms;
            if resolve.check_against(kind, amount_ucredits, expiry_epoch).is_ok() {
                self.state.pay_out(resolve, id, &lock, Some(Void::Nobody));
            }
        }
    }

    /// What a checkpoint this node folds from covers already.
    fn is_behind_base(&self, op: &Op) -> bool {
        self.pruned && self.base.accounts.get(&op.account).is_some_and(|account| op.seq < account.next_seq)
    }
}

/// Checks an operation's signature with the key that holds the account.
pub(crate) fn check_owner(network: &Network, state: &State, op: &SignedOp, id: &Id) -> Result<(), Refusal> {
    let account = &op.op.account;
    let signer = state.accounts.get(account).map_or(*account, |a| a.signer(account));
    let key = signer.public_key().map_err(|_| Refusal { rule: Rule::KeyRegistered })?;
    op.check_signature(id, &key)?;
    if let crate::op::Action::RotateKey { key, proof } = &op.op.action {
        let message = crate::op::rotation_message(network.id(), account, op.op.seq, key);
        let held = key.public_key().is_ok_and(|key| key.verify(message.as_bytes(), proof).is_ok());
        require(Rule::KeyHeld, held)?;
    }
    Ok(())
}
