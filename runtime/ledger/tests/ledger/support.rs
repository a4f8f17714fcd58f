//! A small network: one treasury, some witnesses, some owners, all with keys made of numbers.

use std::sync::Arc;

use identity::{AccountId, SecretKey};
use ledger::{
    Allocation, Certified, Check, Checkpoint, Collector, Committee, Evidence, Founding, Id, Ledger, MICRO,
    Network, Record, Roll, Rule, Vote,
    expiry::RESOLVE_GRACE_EPOCHS,
    op::{Action, LockKind, LockTerms, Out, Policy, Reason, SignedOp},
    resolve::{Resolve, SignedResolve},
    witness::{Refused, Unsent, Witness},
};

/// What owners start with.
pub(crate) const START_UCREDITS: u64 = 1_000 * MICRO;

/// A ledger that every witness shares, and the keys of everyone.
pub(crate) struct Town {
    pub(crate) ledger: Ledger,
    pub(crate) witnesses: Vec<Witness>,
    pub(crate) now: u64,
    /// What the treasury's operator keeps of checkpoints.
    pub(crate) rolls: Vec<Roll>,
}

pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub(crate) fn treasury() -> SecretKey {
    key(200)
}

/// The first witness settles too.
pub(crate) fn authority() -> SecretKey {
    witness_key(0)
}

pub(crate) fn witness_key(number: u8) -> SecretKey {
    key(100 + number)
}

impl Town {
    /// Owners are `key(1)` to `key(owners)`.
    pub(crate) fn new(witnesses: u8, owners: u8) -> Self {
        let allocation = |n| Allocation {
            account: key(n).account(),
            available_ucredits: START_UCREDITS,
            staked_ucredits: 0,
        };
        let mut allocations: Vec<Allocation> = (1..=owners).map(allocation).collect();
        allocations.sort_by_key(|a| a.account);
        let mut committee: Vec<(AccountId, u32)> =
            (0..witnesses).map(|n| (witness_key(n).account(), 1)).collect();
        committee.sort();
        let founding = Founding {
            name: "town".into(),
            treasury: treasury().account(),
            allocations,
            witnesses: committee,
        };
        let network = Arc::new(Network::new(founding).expect("a network"));
        let witnesses = (0..witnesses).map(|n| Witness::new(witness_key(n), [])).collect();
        Town { ledger: Ledger::new(network), witnesses, now: 1_000, rolls: Vec::new() }
    }

    pub(crate) fn network(&self) -> Id {
        *self.ledger.network().id()
    }

    pub(crate) fn committee(&self) -> Committee {
        self.ledger.network().committee(self.now).clone()
    }

    /// The next operation of an owner, signed.
    pub(crate) fn signed(&self, owner: &SecretKey, action: Action) -> SignedOp {
        let op = self.ledger.draft(&owner.account(), action, self.now).expect("a draft");
        op.sign(&self.network(), owner)
    }

    /// What every witness says to an operation.
    pub(crate) fn ask(&mut self, op: &SignedOp) -> Vec<Result<Vote, Refused>> {
        let now = self.now;
        self.witnesses.iter_mut().map(|w| w.consider_op(&self.ledger, op, now).map(Unsent::stored)).collect()
    }

    /// Certifies and merges that an owner's locks ran out, if any did.
    pub(crate) fn expire(&mut self, owner: &SecretKey) -> Option<Record> {
        let expiry = self.ledger.draft_expiry(&owner.account(), self.now)?;
        let (ledger, now) = (&self.ledger, self.now);
        let vote = |w: &mut Witness| w.consider_expiry(ledger, &expiry, now).expect("a vote").stored();
        let votes: Vec<Vote> = self.witnesses.iter_mut().map(vote).collect();
        let certificate = self.collect(expiry.id(&self.network()), &votes);
        let record = Record::expiry(self.ledger.network(), expiry, certificate);
        self.merge(&record);
        Some(record)
    }

    /// Signs, certifies and merges an owner's next operation, after what ran out.
    pub(crate) fn act(&mut self, owner: &SecretKey, action: Action) -> Record {
        self.expire(owner);
        let op = self.signed(owner, action);
        let votes: Vec<Vote> = self.ask(&op).into_iter().map(|v| v.expect("a vote")).collect();
        let record = self.certify(op, &votes);
        self.merge(&record);
        record
    }

    pub(crate) fn certify(&self, op: SignedOp, votes: &[Vote]) -> Record {
        let id = op.op.id(&self.network());
        let certificate = self.collect(id, votes);
        Record::op(self.ledger.network(), op, certificate)
    }

    pub(crate) fn collect(&self, id: Id, votes: &[Vote]) -> ledger::Certificate {
        let committee = self.committee();
        let mut collector = Collector::new(self.network(), id, &committee);
        for vote in votes {
            collector.add(vote).expect("a good vote");
        }
        collector.certificate().expect("enough votes").clone()
    }

    pub(crate) fn merge(&mut self, record: &Record) {
        let merged = self.ledger.merge([record.clone()], Check::Signatures);
        assert_eq!(merged.refused, []);
        self.ledger.check_invariants().expect("invariants hold");
    }

    /// Signs, certifies and merges an authority's decision.
    pub(crate) fn decide(&mut self, resolve: Resolve) -> Record {
        let signed: SignedResolve = resolve.sign(&self.network(), &authority());
        let now = self.now;
        let votes: Vec<Vote> = self
            .witnesses
            .iter_mut()
            .map(|w| w.consider_resolve(&self.ledger, &signed, now).expect("a vote").stored())
            .collect();
        let certificate = self.collect(signed.resolve.id(&self.network()), &votes);
        let record = Record::resolve(self.ledger.network(), signed, certificate);
        self.merge(&record);
        record
    }

    /// Certifies and merges the checkpoint of the epoch that is over.
    pub(crate) fn close_epoch(&mut self) -> Arc<Certified<Checkpoint>> {
        let checkpoint = self.ledger.draft_checkpoint(self.now);
        self.rolls.push(self.ledger.roll(&checkpoint).expect("a roll of this state"));
        self.now += 1;
        let now = self.now;
        let vote = |w: &mut Witness| w.consider_checkpoint(&self.ledger, &checkpoint, now);
        let votes: Vec<_> = self.witnesses.iter_mut().map(vote).map(|v| v.unwrap().stored()).collect();
        let certificate = self.collect(checkpoint.id(&self.network()), &votes);
        let record = Record::checkpoint(self.ledger.network(), checkpoint, certificate);
        self.merge(&record);
        let Record::Checkpoint(certified) = record else { unreachable!("made as one") };
        certified
    }

    /// The hour after a resolve of this epoch is over and closed, and these collect what they earned.
    pub(crate) fn ripen(&mut self, workers: &[&SecretKey]) -> Arc<Certified<Checkpoint>> {
        self.now += 60;
        let closed = self.close_epoch();
        self.now += RESOLVE_GRACE_EPOCHS;
        workers.iter().for_each(|worker| drop(self.act(worker, Action::Noop)));
        closed
    }

    /// What every witness says to an operation of the treasury with this evidence.
    pub(crate) fn ask_treasury(&mut self, op: &SignedOp, shown: &Evidence) -> Vec<Result<Vote, Rule>> {
        let (ledger, now) = (&self.ledger, self.now);
        let ask = |w: &mut Witness| {
            let unsent = w.consider_treasury(ledger, op, shown, now).map_err(|r| r.refusal.rule)?;
            Ok(unsent.stored())
        };
        self.witnesses.iter_mut().map(ask).collect()
    }

    pub(crate) fn available(&self, owner: &SecretKey) -> u64 {
        self.ledger.balance(&owner.account()).available
    }
}

pub(crate) fn pay(to: &SecretKey, amount_ucredits: u64) -> Action {
    let out = Out { to: to.account(), amount_ucredits, reason: Reason::Payment, reference: Id::ZERO };
    Action::Transfer { outs: vec![out] }
}

pub(crate) fn lock(kind: LockKind, amount_ucredits: u64, expiry_epoch: u64) -> Action {
    let policy = Policy { authority: authority().account(), redundancy: 1, priority_halves: 2 };
    Action::Lock(LockTerms { kind, task: Id::ZERO, amount_ucredits, policy, expiry_epoch })
}

pub(crate) fn resolve(owner: &SecretKey, lock: Id, epoch: u64) -> Resolve {
    Resolve {
        owner: owner.account(),
        lock,
        epoch,
        payouts: Vec::new(),
        refund_ucredits: 0,
        slash_ucredits: 0,
        judged: Vec::new(),
        drawn: true,
        evidence: Id::ZERO,
    }
}
