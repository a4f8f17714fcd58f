//! A witness: signs what holds every rule, one value for every place, and never before the vote is stored.
//!
//! ```text
//! proposal -> consider -> Unsent { writes, vote } -> the shell stores the writes -> stored() -> the vote leaves
//! ```

use std::collections::{BTreeMap, BTreeSet};

use identity::{AccountId, SecretKey};
use thiserror::Error;

use crate::{
    Checkpoint, Evidence, Id, Ledger,
    account::Lock,
    certificate::Vote,
    expiry::Expiry,
    ledger::check_owner,
    op::{Action, LockKind, SignedOp},
    price::EPOCHS_PER_HOUR,
    proof::Proof,
    resolve::SignedResolve,
    rule::{Refusal, Rule, enforced, require},
    state::Stop,
    wire::{DecodeError, Reader, Writer},
};

/// A place that a witness signs one value for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The next operation of an account.
    Op(AccountId, u64),
    /// The decision on a lock.
    Lock(Id),
    /// The checkpoint of an epoch.
    Epoch(u64),
}

/// What a witness voted for, with the bytes that would prove an owner or authority guilty of a second value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voted {
    /// The value's id.
    pub value: Id,
    /// The signed value, empty for checkpoints.
    pub body: Vec<u8>,
}

/// A vote that must not leave before its writes are durable.
#[derive(Debug)]
#[must_use = "store the writes, then send the vote"]
pub struct Unsent {
    writes: Vec<(Place, Voted)>,
    vote: Vote,
}

/// Why a witness does not sign, and what it proves by the way.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{refusal}")]
pub struct Refused {
    /// The rule.
    pub refusal: Refusal,
    /// Proof that the proposer signed two values: publish it.
    pub proof: Option<Box<Proof>>,
    /// The decision that it signed of a lock that was to run out: who asked may have it certified by the others.
    pub decided: Option<Box<SignedResolve>>,
}

/// One member of the committee.
#[derive(Debug)]
pub struct Witness {
    key: SecretKey,
    votes: BTreeMap<Place, Voted>,
    /// Accounts seen forking, with the key that did, until the proofs are in the ledger. Another key, to which the account
    /// was handed, is not stopped: a fork by the old one costs the account nothing.
    stopped: BTreeSet<(AccountId, AccountId)>,
}

impl Witness {
    /// A witness that voted for this before, as its store remembers. One that lost its store must come back under another
    /// key.
    pub fn new(key: SecretKey, votes: impl IntoIterator<Item = (Place, Voted)>) -> Self {
        Witness { key, votes: votes.into_iter().collect(), stopped: BTreeSet::new() }
    }

    /// Its account.
    pub fn account(&self) -> AccountId {
        self.key.account()
    }

    /// Considers an operation; of the treasury one that pays nothing.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn consider_op(&mut self, ledger: &Ledger, op: &SignedOp, now: u64) -> Result<Unsent, Refused> {
        self.consider_treasury(ledger, op, &Evidence::default(), now)
    }

    /// Considers an operation that pays out of the treasury, with what shows that the payments are due. The verdict on those
    /// follows from these bytes alone, whatever the witness has heard of: see [`crate::justify`].
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn consider_treasury(
        &mut self,
        ledger: &Ledger,
        op: &SignedOp,
        evidence: &Evidence,
        now: u64,
    ) -> Result<Unsent, Refused> {
        let id = op.op.id(ledger.network().id());
        let (account, seq) = (op.op.account, op.op.seq);
        let place = Place::Op(account, seq);
        if let Some(vote) = self.repeat(ledger, &id, [place]) {
            return Ok(vote);
        }
        let treasury = ledger.network().treasury();
        op.op.check_alone(treasury)?;
        // An owner sends again what it signed before an outage: were that too old, it could only sign another operation
        // for the seq, which is a fork. Nor does the treasury gain by an old epoch: it pays under that epoch's cap, and
        // what was due then. Unbonding alone must not begin long ago, or the day would be over at once.
        let unbonds = matches!(op.op.action, Action::Lock(terms) if terms.kind == LockKind::Unbond);
        let oldest = if unbonds { now.saturating_sub(EPOCHS_PER_HOUR) } else { 0 };
        self.check_epoch(ledger, op.op.epoch, oldest, now)?;
        check_owner(ledger.network(), ledger.state(), op, &id)?;
        self.check_fork(ledger, op, &id)?;
        require(Rule::NotFrozen, !ledger.is_frozen(&account))?;
        require(Rule::ForkStops, !self.stopped.contains(&(account, signer(ledger, &account))))?;
        let prepared = ledger.state().prepare(&op.op).map_err(|stop| stop.refusal(Rule::ReceiveKnown))?;
        require(Rule::ReceiveUnvoided, prepared.is_backed())?;
        ledger.state().check_rotation(&op.op)?;
        if account == *ledger.network().treasury() {
            crate::justify::treasury(ledger.network(), &op.op, evidence)?;
        }
        Ok(self.vote(ledger, id, vec![(place, Voted { value: id, body: op.encode() })]))
    }

    /// Considers a settlement authority's decision.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn consider_resolve(
        &mut self,
        ledger: &Ledger,
        resolve: &SignedResolve,
        now: u64,
    ) -> Result<Unsent, Refused> {
        let (id, value) = (resolve.resolve.id(ledger.network().id()), &resolve.resolve);
        let place = Place::Lock(value.lock);
        if let Some(vote) = self.repeat(ledger, &id, [place]) {
            return Ok(vote);
        }
        value.check_alone()?;
        // Nor may an authority decide anew what an outage held up: that would convict it.
        let oldest = now.saturating_sub(RESOLVE_LATE_EPOCHS);
        self.check_epoch(ledger, value.epoch, oldest, now)?;
        self.check_decided(ledger, resolve)?;
        match ledger.state().prepare_resolve(value) {
            Ok(lock) => check_lock(ledger, resolve, &id, &lock)?,
            Err(Stop::Missing(_)) => require(Rule::LockOpen, false)?,
            Err(Stop::Refused(refusal)) => return Err(refusal.into()),
        }
        let mut body = Writer::default();
        resolve.write(&mut body);
        Ok(self.vote(ledger, id, vec![(place, Voted { value: id, body: body.0 })]))
    }

    /// Considers that locks ran out. Whoever proposes it, and however often: where it voted so before, it does again.
    ///
    /// # Errors
    /// The first rule that does not hold, with the decision it voted for where that is why.
    pub fn consider_expiry(&mut self, ledger: &Ledger, expiry: &Expiry, now: u64) -> Result<Unsent, Refused> {
        expiry.check_alone()?;
        self.check_epoch(ledger, expiry.epoch, now.saturating_sub(RESOLVE_LATE_EPOCHS), now)?;
        let mut writes = Vec::with_capacity(expiry.locks.len());
        for lock in &expiry.locks {
            let (place, value) = (Place::Lock(*lock), expired(lock));
            self.check_undecided(&place, &value)?;
            let held = ledger.account(&expiry.owner).and_then(|account| account.locks.get(lock));
            require(Rule::LockOpen, held.is_some())?;
            require(Rule::ReceiveUnvoided, held.is_none_or(|lock| lock.void.is_none()))?;
            require(Rule::LockExpired, held.is_none_or(|lock| expiry.is_due(lock.terms.expiry_epoch)))?;
            writes.push((place, Voted { value, body: Vec::new() }));
        }
        Ok(self.vote(ledger, expiry.id(ledger.network().id()), writes))
    }

    /// Considers a checkpoint of an epoch that is over.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn consider_checkpoint(
        &mut self,
        ledger: &Ledger,
        checkpoint: &Checkpoint,
        now: u64,
    ) -> Result<Unsent, Refused> {
        let id = checkpoint.id(ledger.network().id());
        let place = Place::Epoch(checkpoint.epoch);
        if let Some(vote) = self.repeat(ledger, &id, [place]) {
            return Ok(vote);
        }
        require(Rule::CommitteeCurrent, self.is_member(ledger, checkpoint.epoch))?;
        // Bonuses follow from the last checkpoint before a resolve: none may slip in between when that was looked up.
        let over = (now.saturating_sub(CHECKPOINT_LATE_EPOCHS)..now).contains(&checkpoint.epoch);
        require(Rule::EpochCurrent, over)?;
        require(Rule::OneVotePerEpoch, !self.votes.contains_key(&place))?;
        let own = ledger.draft_checkpoint(checkpoint.epoch);
        let last =
            ledger.set().checkpoints.last_key_value().is_none_or(|(epoch, _)| *epoch <= checkpoint.epoch);
        require(Rule::CheckpointFollows, last && checkpoint.previous == own.previous)?;
        let same = Checkpoint { previous: checkpoint.previous, ..own } == *checkpoint;
        require(Rule::RootMatches, same)?;
        Ok(self.vote(ledger, id, vec![(place, Voted { value: id, body: Vec::new() })]))
    }

    /// W1 and W8. A committee that was replaced signs no more, not even for its own epochs: it and the next know nothing of
    /// each other's votes, and without a bad witness each could certify another value for one place.
    fn check_epoch(&self, ledger: &Ledger, epoch: u64, oldest: u64, now: u64) -> Result<(), Refusal> {
        require(Rule::EpochCurrent, (oldest..=now).contains(&epoch))?;
        let replaced = epoch < ledger.network().committee(now).from_epoch;
        require(Rule::CommitteeCurrent, !replaced && self.is_member(ledger, epoch))
    }

    fn is_member(&self, ledger: &Ledger, epoch: u64) -> bool {
        let account = self.key.account();
        ledger.network().committee(epoch).members().iter().any(|m| m.account == account)
    }

    /// Repeats return the same vote, with the same writes: nobody told the witness whether the first ones became durable.
    fn repeat(&self, ledger: &Ledger, id: &Id, places: impl IntoIterator<Item = Place>) -> Option<Unsent> {
        let mut writes = Vec::new();
        for place in places {
            writes.push((place, self.votes.get(&place)?.clone()));
        }
        writes.first().filter(|(_, voted)| voted.value == *id)?;
        Some(self.unsent(ledger, *id, writes))
    }

    /// W3 and W7: another value of this owner for this seq, voted for or certified.
    fn check_fork(&mut self, ledger: &Ledger, op: &SignedOp, id: &Id) -> Result<(), Refused> {
        let (account, seq) = (op.op.account, op.op.seq);
        let (network, chain) = (ledger.network().id(), ledger.set().chains.get(&account));
        let voted = self.votes.get(&Place::Op(account, seq)).filter(|voted| voted.value != *id);
        let certified = chain.and_then(|c| c.get(&seq)).map(|place| &place.op.record).filter(|r| r.id != *id);
        if voted.is_none() && certified.is_none() {
            return Ok(());
        }
        // The vote's value decides; its body, from a store, only serves the proof.
        let voted = voted.and_then(|voted| SignedOp::decode(&voted.body).ok());
        let other = voted.or(certified.map(|r| r.value.clone()));
        let signer = signer(ledger, &account);
        let proof =
            other.and_then(|other| Proof::fork(network, signer, op.clone(), other).ok()).map(Box::new);
        if proof.is_some() && enforced(Rule::ForkStops) {
            self.stopped.insert((account, signer));
        }
        match require(Rule::OneVotePerSequence, false) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(Refused { refusal, proof, decided: None }),
        }
    }

    /// W3 for locks, with the proof where an authority decided twice.
    fn check_decided(&self, ledger: &Ledger, resolve: &SignedResolve) -> Result<(), Refused> {
        let Some(voted) = self.votes.get(&Place::Lock(resolve.resolve.lock)) else { return Ok(()) };
        let other = Reader::whole(&voted.body, SignedResolve::read).ok();
        let owner = ledger.account(&resolve.resolve.owner);
        let lock = owner.and_then(|account| account.locks.get(&resolve.resolve.lock));
        let proof = lock.zip(other).and_then(|(lock, other)| {
            let authority = lock.terms.policy.authority;
            Proof::decisions(ledger.network().id(), authority, resolve.clone(), other).ok().map(Box::new)
        });
        match require(Rule::OneVotePerLock, false) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(Refused { refusal, proof, decided: None }),
        }
    }

    /// W3 for locks that are to run out, with the decision that was voted for.
    fn check_undecided(&self, place: &Place, value: &Id) -> Result<(), Refused> {
        let Some(voted) = self.votes.get(place).filter(|voted| voted.value != *value) else { return Ok(()) };
        let decided = Reader::whole(&voted.body, SignedResolve::read).ok().map(Box::new);
        require(Rule::OneVotePerLock, false).map_err(|refusal| Refused { refusal, proof: None, decided })
    }

    fn vote(&mut self, ledger: &Ledger, value: Id, writes: Vec<(Place, Voted)>) -> Unsent {
        // Remembered before it is stored: a vote that could not be stored was not sent, and is never for another value.
        self.votes.extend(writes.iter().cloned());
        self.unsent(ledger, value, writes)
    }

    fn unsent(&self, ledger: &Ledger, value: Id, writes: Vec<(Place, Voted)>) -> Unsent {
        let writes = if enforced(Rule::VoteDurable) { writes } else { Vec::new() };
        Unsent { writes, vote: Vote::sign(ledger.network().id(), value, &self.key) }
    }
}

impl Unsent {
    /// What must be durable before the vote leaves, all of it or nothing.
    pub fn writes(&self) -> &[(Place, Voted)] {
        &self.writes
    }

    /// The vote, for a shell that has made every write durable.
    pub fn stored(self) -> Vote {
        self.vote
    }
}

impl Place {
    /// Canonical bytes, at most 41.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(41);
        match self {
            Place::Op(account, seq) => out.u8(0).account(account).u64(*seq),
            Place::Lock(lock) => out.u8(1).id(lock),
            Place::Epoch(epoch) => out.u8(2).u64(*epoch),
        };
        out.0
    }

    /// Reads what [`Place::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::whole(bytes, |reader| match reader.u8("place")? {
            0 => Ok(Place::Op(reader.account("account")?, reader.u64("seq")?)),
            1 => Ok(Place::Lock(reader.id("lock")?)),
            2 => Ok(Place::Epoch(reader.u64("epoch")?)),
            found => Err(DecodeError::Tag { what: "place", found }),
        })
    }
}

impl Voted {
    /// The id, then the body.
    pub fn encode(&self) -> Vec<u8> {
        [&self.value.as_bytes()[..], &self.body].concat()
    }

    /// Reads what [`Voted::encode`] wrote.
    ///
    /// # Errors
    /// Fewer bytes than an id has.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (id, body) = bytes.split_first_chunk().ok_or(DecodeError::Short { what: "vote" })?;
        Ok(Voted { value: Id::from_bytes(*id), body: body.to_vec() })
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused { refusal, proof: None, decided: None }
    }
}

impl Stop {
    pub(crate) fn refusal(self, missing: Rule) -> Refusal {
        match self {
            Stop::Missing(_) => Refusal { rule: missing },
            Stop::Refused(refusal) => refusal,
        }
    }
}

/// What must hold of a lock for a decision on it.
fn check_lock(ledger: &Ledger, resolve: &SignedResolve, id: &Id, lock: &Lock) -> Result<(), Refusal> {
    let burned = lock.terms.kind.is_stake() && ledger.is_frozen(&resolve.resolve.owner);
    require(Rule::NotFrozen, !burned)?;
    require(Rule::ReceiveUnvoided, lock.void.is_none())?;
    let authority = lock.terms.policy.authority.public_key();
    let signed = authority.is_ok_and(|key| resolve.check_signature(id, &key).is_ok());
    require(Rule::AuthoritySigned, signed)
}

/// The key that signs an account's next operation.
fn signer(ledger: &Ledger, account: &AccountId) -> AccountId {
    ledger.account(account).map_or(*account, |a| a.signer(account))
}

/// Votes for a resolve are given for so many epochs after its own.
const RESOLVE_LATE_EPOCHS: u64 = 60;
/// Votes for a checkpoint are given for so many epochs after its own.
const CHECKPOINT_LATE_EPOCHS: u64 = 2;

/// What a vote to let a lock run out is a vote for.
pub fn expired(lock: &Id) -> Id {
    Id::hash("edgenet/expired/v1", &[lock.as_bytes()])
}
