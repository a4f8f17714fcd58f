//! The set: everything a node holds, by place. It only grows, and what it says does not depend on what came first.

use std::{collections::BTreeMap, sync::Arc};

use identity::AccountId;

use crate::{
    Checkpoint, Id, Record,
    account::Lock,
    by_id::{ById, Slot},
    chain::Chain,
    expiry::Expiry,
    op::{Action, Reason, Receive, SignedOp},
    proof::Proof,
    record::Certified,
    resolve::{SignedResolve, payout_lock},
    rule::{Rule, enforced},
    state::{State, payout},
};

/// Certified operations, resolves, expiries, checkpoints, and proofs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    pub(crate) chains: ById<Chain>,
    pub(crate) resolves: BTreeMap<Id, Held<SignedResolve>>,
    pub(crate) checkpoints: BTreeMap<u64, Vec<Held<Checkpoint>>>,
    pub(crate) expiries: BTreeMap<Id, Held<Expiry>>,
    pub(crate) proofs: BTreeMap<Id, Arc<Proof>>,
    /// What has been decided on a lock.
    pub(crate) decisions: BTreeMap<Id, Vec<Decision>>,
    /// The seq at which an account took a lock back.
    pub(crate) taken_back: BTreeMap<(Id, AccountId), u64>,
    /// Operations and resolves with other signatures than those held.
    pub(crate) spare_ops: Spares<SignedOp>,
    pub(crate) spare_resolves: Spares<SignedResolve>,
    /// Two values are certified for one place: more witnesses are bad than may be.
    pub(crate) contradictions: bool,
}

/// The operations certified for one seq: one, unless more witnesses are bad than may be.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) op: Held<SignedOp>,
    pub(crate) rivals: Vec<Held<SignedOp>>,
}

/// A value of the set, and whether its maker's signature is known to be good.
#[derive(Clone, Debug)]
pub(crate) struct Held<T> {
    pub(crate) record: Arc<Certified<T>>,
    pub(crate) checked: bool,
    /// Of resolves and expiries.
    pub(crate) effect: Effect,
}

/// What became of a resolve or an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing yet.
    None,
    /// It took its lock away. `appointed`: its authority settles for the network.
    Applied { appointed: bool },
    /// As before, and the state it did so in lies behind a checkpoint.
    Behind { appointed: bool },
    /// It marked these of the locks it names, by place.
    Marked(u64),
}

/// Values by id, with other signatures of their makers than those held. A certificate vouches for the id, of which that
/// signature is no part: whoever passes a record on can spoil it, and the good one may come second.
#[derive(Clone, Debug)]
pub(crate) struct Spares<T>(BTreeMap<Id, Vec<Arc<Certified<T>>>>);

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Spares(BTreeMap::new())
    }
}

/// A certified decision on a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decision {
    /// This resolve.
    Resolve(Id),
    /// It ran out, says this expiry.
    Expired(Id),
}

/// What an insertion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It was there, with these signers.
    Known,
    /// It was there; signers were added.
    Joined,
    /// It is there and alone in its place.
    Fresh,
    /// It is there and contradicts another.
    Rival,
}

impl Set {
    /// Whether the value is there with at least these signers: then nothing about it can be news.
    pub(crate) fn knows(&self, record: &Record) -> bool {
        match record {
            Record::Op(r) => self.chains.slot(&r.value.op.account).is_some_and(|slot| self.knows_op(slot, r)),
            Record::Resolve(r) => covers(self.resolves.get(&r.id), r, &self.spare_resolves),
            Record::Checkpoint(r) => {
                let held = self.checkpoints.get(&r.value.epoch).into_iter().flatten();
                covers(held.into_iter().find(|held| held.record.id == r.id), r, &Spares::default())
            }
            Record::Expiry(r) => covers(self.expiries.get(&r.id), r, &Spares::default()),
            Record::Proof(proof) => self.proofs.contains_key(&proof.id()),
        }
    }

    /// [`Set::knows`] for an operation of the account in this slot.
    pub(crate) fn knows_op(&self, slot: Slot, record: &Certified<SignedOp>) -> bool {
        let place = self.chains.at(slot).get(&record.value.op.seq);
        covers(place.and_then(|p| p.all().find(|held| held.record.id == record.id)), record, &self.spare_ops)
    }

    /// Whether its maker's signature is known to be good, of a record that is there.
    pub(crate) fn is_checked(&self, record: &Record) -> bool {
        match record {
            Record::Op(r) => {
                let op = &r.value.op;
                let place = self.chains.get(&op.account).and_then(|chain| chain.get(&op.seq));
                place
                    .and_then(|p| p.all().find(|held| held.record.id == r.id))
                    .is_some_and(|held| held.checked)
            }
            Record::Resolve(r) => self.resolves.get(&r.id).is_some_and(|held| held.checked),
            Record::Checkpoint(_) | Record::Expiry(_) | Record::Proof(_) => true,
        }
    }

    /// The chain of an account of which nothing is held yet, and that begins with this seq.
    pub(crate) fn begin(&mut self, account: &AccountId, first: u64) -> Slot {
        let slot = self.chains.slot_or_default(account);
        *self.chains.at_mut(slot) = Chain::from_seq(first);
        slot
    }

    /// Into the chain in this slot, which is the account's.
    pub(crate) fn insert_op(
        &mut self,
        slot: Slot,
        record: Arc<Certified<SignedOp>>,
        checked: bool,
    ) -> Inserted {
        let op = &record.value.op;
        let (account, seq) = (op.account, op.seq);
        for receive in op.receives.iter().filter(|r| r.index == Receive::EXPIRED) {
            self.taken_back.entry((receive.source, account)).or_insert(seq);
        }
        let chain = self.chains.at_mut(slot);
        let id = record.id;
        let inserted = match chain.get_mut(&seq) {
            Some(place) => place.insert(record, &mut self.spare_ops),
            None => {
                chain.insert(seq, Place::of(record, checked));
                Inserted::Fresh
            }
        };
        self.contradictions |= inserted == Inserted::Rival;
        let behind_a_fork = || self.voided_from(&account).is_some_and(|from| from <= seq);
        let changes = || self.contradictions && (behind_a_fork() || self.conflicting(&id));
        match inserted {
            Inserted::Fresh if changes() => Inserted::Rival,
            inserted => inserted,
        }
    }

    pub(crate) fn insert_resolve(
        &mut self,
        record: Arc<Certified<SignedResolve>>,
        checked: bool,
    ) -> Inserted {
        if let Some(known) = self.resolves.get_mut(&record.id) {
            let joined = known.join(&record);
            return if self.spare_resolves.keep(known, record) { Inserted::Fresh } else { joined };
        }
        let (id, resolve) = (record.id, &record.value.resolve);
        let rival = self.decide(resolve.lock, Decision::Resolve(id));
        self.contradictions |= rival;
        let payouts = 0..resolve.payouts.len();
        let void =
            self.contradictions && payouts.into_iter().any(|i| self.conflicting(&payout_lock(&id, i as u8)));
        self.resolves.insert(id, Held { record, checked, effect: Effect::None });
        if rival || void { Inserted::Rival } else { Inserted::Fresh }
    }

    pub(crate) fn insert_checkpoint(&mut self, record: Arc<Certified<Checkpoint>>) -> Inserted {
        let all = self.checkpoints.entry(record.value.epoch).or_default();
        if let Some(known) = all.iter_mut().find(|held| held.record.id == record.id) {
            return known.join(&record);
        }
        all.push(Held { record, checked: true, effect: Effect::None });
        // The smallest id stands first, so that a reader of the first does not see what came first.
        all.sort_by_key(|held| held.record.id);
        let rival = all.len() > 1;
        self.contradictions |= rival;
        if rival { Inserted::Rival } else { Inserted::Fresh }
    }

    pub(crate) fn insert_expiry(&mut self, record: Arc<Certified<Expiry>>) -> Inserted {
        if let Some(known) = self.expiries.get_mut(&record.id) {
            return known.join(&record);
        }
        let (id, mut rival) = (record.id, false);
        for lock in &record.value.locks {
            rival |= self.decide(*lock, Decision::Expired(id));
        }
        self.contradictions |= rival;
        self.expiries.insert(id, Held { record, checked: true, effect: Effect::None });
        if rival { Inserted::Rival } else { Inserted::Fresh }
    }

    pub(crate) fn insert_proof(&mut self, proof: Arc<Proof>) -> Inserted {
        match self.proofs.insert(proof.id(), proof) {
            None => Inserted::Fresh,
            Some(_) => Inserted::Known,
        }
    }

    /// The first seq with two certificates: it and what follows are void.
    pub(crate) fn voided_from(&self, account: &AccountId) -> Option<u64> {
        let chain = self.chains.get(account)?;
        chain.iter().find(|(_, place)| !place.rivals.is_empty()).map(|(seq, _)| seq)
    }

    /// Whether a lock has two decisions that are not the same. Then no resolve of it stands.
    pub(crate) fn conflicting(&self, lock: &Id) -> bool {
        let decisions = self.decisions.get(lock);
        decisions.is_some_and(|d| contradict(d)) && enforced(Rule::DecisionsConflict)
    }

    /// A lock's terms, from the set and the state it is folded on alone.
    pub(crate) fn lock(&self, base: &State, owner: &AccountId, lock: &Id) -> Option<Lock> {
        let own = |owner: &AccountId, lock: &Id| {
            let kept = base.accounts.get(owner).and_then(|account| account.locks.get(lock)).copied();
            kept.or_else(|| {
                let mut places = self.chains.get(owner)?.values().flat_map(Place::all);
                let made = places.find(|held| held.record.id == *lock)?;
                let Action::Lock(terms) = made.record.value.op.action else { return None };
                Some(Lock { terms, reason: Reason::Payment, void: None, ran_out: false })
            })
        };
        let paid = |held: &Held<SignedResolve>| {
            let (resolve, id) = (&held.record.value.resolve, &held.record.id);
            let named = |&i: &usize| resolve.payouts[i].to == *owner && payout_lock(id, i as u8) == *lock;
            let index = (0..resolve.payouts.len()).find(named)?;
            Some(payout(resolve, id, index, &own(&resolve.owner, &resolve.lock)?).1)
        };
        own(owner, lock).or_else(|| self.resolves.values().find_map(paid))
    }

    /// Everything, in one order: accounts and seqs ascending, then resolves, expiries, checkpoints and proofs.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let ops = self.chains.values().flat_map(Chain::values).flat_map(Place::all);
        let ops = ops.map(|held| &held.record).chain(self.spare_ops.all());
        let ops = ops.map(|record| Record::Op(record.clone()));
        let resolves = self.resolves.values().map(|held| &held.record).chain(self.spare_resolves.all());
        let resolves = resolves.map(|record| Record::Resolve(record.clone()));
        let checkpoints = self.checkpoints.values().flatten();
        let checkpoints = checkpoints.map(|held| Record::Checkpoint(held.record.clone()));
        let proofs = self.proofs.values().map(|proof| Record::Proof(proof.clone()));
        let expiries = self.expiries.values().map(|held| Record::Expiry(held.record.clone()));
        ops.chain(resolves).chain(expiries).chain(checkpoints).chain(proofs)
    }

    fn decide(&mut self, lock: Id, decision: Decision) -> bool {
        let all = self.decisions.entry(lock).or_default();
        if !all.contains(&decision) {
            all.push(decision);
            all.sort();
        }
        contradict(all)
    }
}

/// Whether decisions of one lock, ascending, contradict each other. That it ran out can be said more than once.
pub(crate) fn contradict(decisions: &[Decision]) -> bool {
    decisions.len() > 1 && matches!(decisions[0], Decision::Resolve(_))
}

impl Place {
    pub(crate) fn of(record: Arc<Certified<SignedOp>>, checked: bool) -> Self {
        Place { op: Held { record, checked, effect: Effect::None }, rivals: Vec::new() }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Held<SignedOp>> {
        std::iter::once(&self.op).chain(&self.rivals)
    }

    fn insert(&mut self, record: Arc<Certified<SignedOp>>, spares: &mut Spares<SignedOp>) -> Inserted {
        let mut all = std::iter::once(&mut self.op).chain(&mut self.rivals);
        if let Some(known) = all.find(|known| known.record.id == record.id) {
            let joined = known.join(&record);
            return if spares.keep(known, record) { Inserted::Fresh } else { joined };
        }
        if !enforced(Rule::ConflictVoids) {
            return Inserted::Known;
        }
        self.rivals.push(Held { record, checked: false, effect: Effect::None });
        Inserted::Rival
    }
}

impl Held<Expiry> {
    pub(crate) fn mark(&mut self, lock: &Id) {
        let marked = if let Effect::Marked(marked) = self.effect { marked } else { 0 };
        if let Ok(place) = self.record.value.locks.binary_search(lock) {
            self.effect = Effect::Marked(marked | 1 << place);
        }
    }

    /// Whether it has marked all that it names.
    pub(crate) fn is_spent(&self) -> bool {
        let Effect::Marked(marked) = self.effect else { return false };
        marked.count_ones() as usize == self.record.value.locks.len()
    }
}

impl<T: Clone + PartialEq> Held<T> {
    /// Takes the value with another signature of its maker.
    pub(crate) fn replace(&mut self, mut spare: Arc<Certified<T>>) {
        Arc::make_mut(&mut spare).certificate.join(&self.record.certificate);
        self.record = spare;
    }

    fn join(&mut self, other: &Certified<T>) -> Inserted {
        if !enforced(Rule::JoinSigners) {
            return Inserted::Known;
        }
        match Arc::make_mut(&mut self.record).certificate.join(&other.certificate) {
            true => Inserted::Joined,
            false => Inserted::Known,
        }
    }
}

/// Whether a value is held with at least the signers of the one offered, and with its maker's signature.
fn covers<T: Clone + PartialEq>(held: Option<&Held<T>>, offered: &Certified<T>, spares: &Spares<T>) -> bool {
    held.is_some_and(|held| {
        let known = &held.record.certificate;
        let signers = offered.certificate.signers().all(|s| known.signers().any(|known| known == s));
        signers && (held.checked || held.record.value == offered.value || spares.has(offered))
    })
}

impl<T: Clone + PartialEq> Spares<T> {
    /// Keeps a value whose held form has another signature, of which nobody knows yet whether it is good.
    fn keep(&mut self, held: &Held<T>, offered: Arc<Certified<T>>) -> bool {
        if held.checked || held.record.value == offered.value {
            return false;
        }
        let spares = self.0.entry(offered.id).or_default();
        let room = spares.len() < MAX_SPARES && spares.iter().all(|spare| spare.value != offered.value);
        if room {
            spares.push(offered);
        }
        room
    }

    fn has(&self, offered: &Certified<T>) -> bool {
        self.0.get(&offered.id).is_some_and(|spares| spares.iter().any(|spare| spare.value == offered.value))
    }

    /// The first that is genuine; the others are dropped, so that they take no room from those still to come.
    pub(crate) fn find(&mut self, id: &Id, genuine: impl Fn(&T) -> bool) -> Option<Arc<Certified<T>>> {
        self.0.remove(id)?.into_iter().find(|spare| genuine(&spare.value))
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Certified<T>>> {
        self.0.values().flatten()
    }
}

/// Most other signatures that are kept of a value before its turn.
const MAX_SPARES: usize = 8;
