//! Resolves: the one way for money to leave a lock before it runs out.

use identity::{AccountId, PublicKey, SecretKey, Signature};

use crate::{
    Id,
    op::{LockKind, Reason, read_version},
    reputation::Outcome,
    rule::{Refusal, Rule, require},
    wire::{DecodeError, Reader, Writer},
};

/// Most payouts of a resolve.
pub const MAX_PAYOUTS: usize = 32;
/// Most workers that a resolve judges.
pub const MAX_JUDGED: usize = 16;

/// The decision on a lock, a deterministic function of published evidence.
///
/// ```text
/// version 1 (u8) | owner (32) | lock (32) | epoch (u64)
/// payouts: count (u8), then to (32) | amount (u64) | reason (u8) each | refund (u64) | slash (u64)
/// judged: count (u8), then worker (32) | task type (u8) | outcome (u8) each, ascending by worker
/// flags (u8) | evidence (32)
/// ```
/// The id is `SHA-256("edgenet/resolve/v1" || network || bytes)`; the lock's settlement authority signs the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// Whose lock.
    pub owner: AccountId,
    /// The lock.
    pub lock: Id,
    /// When it was decided.
    pub epoch: u64,
    /// Who is paid.
    pub payouts: Vec<Payout>,
    /// What goes back to the owner, in micro-credits.
    pub refund_ucredits: u64,
    /// What is burned, in micro-credits.
    pub slash_ucredits: u64,
    /// How workers did.
    pub judged: Vec<Judged>,
    /// The task was of the public tier and the beacon chose its workers: bonuses may follow.
    pub drawn: bool,
    /// SHA-256 of the evidence it follows from.
    pub evidence: Id,
}

/// One payment out of a lock. It is locked again, for the payee, until the hour is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payout {
    /// Who.
    pub to: AccountId,
    /// How much, in micro-credits, above 0.
    pub amount_ucredits: u64,
    /// [`Reason::Reward`], [`Reason::SiteShare`] or [`Reason::StorageFee`].
    pub reason: Reason,
}

/// How a worker did on a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The worker.
    pub worker: AccountId,
    /// Code of the task's type.
    pub task_type: u8,
    /// The judgement.
    pub outcome: Outcome,
}

impl Resolve {
    /// The name of this resolve in a network.
    pub fn id(&self, network: &Id) -> Id {
        let mut bytes = Writer::with_capacity(512);
        self.write(&mut bytes);
        Id::hash("edgenet/resolve/v1", &[network.as_bytes(), &bytes.0])
    }

    /// Signs it for the settlement authority.
    pub fn sign(self, network: &Id, authority: &SecretKey) -> SignedResolve {
        let signature = authority.sign(self.id(network).as_bytes());
        SignedResolve { resolve: self, signature }
    }

    /// What must hold of a resolve whatever its lock.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_alone(&self) -> Result<(), Refusal> {
        require(Rule::OutCount, self.payouts.len() <= MAX_PAYOUTS && self.judged.len() <= MAX_JUDGED)?;
        require(Rule::AmountPositive, self.payouts.iter().all(|p| p.amount_ucredits > 0))?;
        require(
            Rule::ReasonAllowed,
            self.payouts.iter().all(|p| p.reason.is_earned() || p.reason == Reason::StorageFee),
        )?;
        require(Rule::OutcomesDistinct, self.judged.is_sorted_by(|a, b| a.worker < b.worker))
    }

    /// What must hold of a resolve of this lock.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_against(&self, kind: LockKind, amount: u64, expiry_epoch: u64) -> Result<(), Refusal> {
        let paid: u128 = self.payouts.iter().map(|p| u128::from(p.amount_ucredits)).sum();
        let shares = paid + u128::from(self.refund_ucredits) + u128::from(self.slash_ucredits);
        require(Rule::SharesComplete, shares == u128::from(amount))?;
        let fits = match kind {
            LockKind::TaskEscrow => self.slash_ucredits == 0,
            // Slashed credits go to nobody, so that nobody gains by a slash.
            LockKind::TaskStake | LockKind::Unbond | LockKind::PayoutLock => self.payouts.is_empty(),
            LockKind::BaseStake => false,
        };
        require(Rule::SharesFitKind, fits)?;
        require(Rule::ResolveInTime, self.epoch <= expiry_epoch)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(crate::op::VERSION).account(&self.owner).id(&self.lock).u64(self.epoch);
        out.u8(self.payouts.len() as u8);
        for payout in &self.payouts {
            out.account(&payout.to).u64(payout.amount_ucredits).u8(payout.reason as u8);
        }
        out.u64(self.refund_ucredits).u64(self.slash_ucredits).u8(self.judged.len() as u8);
        for judged in &self.judged {
            out.account(&judged.worker).u8(judged.task_type).u8(judged.outcome as u8);
        }
        out.u8(self.drawn.into()).id(&self.evidence);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "resolve version")?;
        Ok(Resolve {
            owner: reader.account("owner")?,
            lock: reader.id("lock")?,
            epoch: reader.u64("epoch")?,
            payouts: reader.list(MAX_PAYOUTS, "payouts", |reader| {
                Ok(Payout {
                    to: reader.account("payout")?,
                    amount_ucredits: reader.u64("payout")?,
                    reason: Reason::read(reader)?,
                })
            })?,
            refund_ucredits: reader.u64("refund")?,
            slash_ucredits: reader.u64("slash")?,
            judged: reader.list(MAX_JUDGED, "judged", |reader| {
                let (worker, task_type) = (reader.account("worker")?, reader.u8("task type")?);
                Ok(Judged { worker, task_type, outcome: read_outcome(reader)? })
            })?,
            drawn: match reader.u8("flags")? {
                0 => false,
                1 => true,
                found => return Err(DecodeError::Tag { what: "flags", found }),
            },
            evidence: reader.id("evidence")?,
        })
    }
}

/// A resolve with its authority's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedResolve {
    /// The decision.
    pub resolve: Resolve,
    /// Over its id, by the lock's settlement authority.
    pub signature: Signature,
}

impl SignedResolve {
    /// Checks the authority's signature.
    ///
    /// # Errors
    /// [`Rule::AuthoritySigned`].
    pub fn check_signature(&self, id: &Id, authority: &PublicKey) -> Result<(), Refusal> {
        require(Rule::AuthoritySigned, authority.verify(id.as_bytes(), &self.signature).is_ok())
    }

    /// Canonical bytes: the decision, the signature.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(512);
        self.write(&mut out);
        out.0
    }

    /// Reads what [`SignedResolve::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::whole(bytes, SignedResolve::read)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        self.resolve.write(out);
        out.signature(&self.signature);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(SignedResolve { resolve: Resolve::read(reader)?, signature: reader.signature("signature")? })
    }
}

pub(crate) fn read_outcome(reader: &mut Reader<'_>) -> Result<Outcome, DecodeError> {
    match reader.u8("outcome")? {
        0 => Ok(Outcome::Valid),
        1 => Ok(Outcome::Invalid),
        2 => Ok(Outcome::Timeout),
        found => Err(DecodeError::Tag { what: "outcome", found }),
    }
}

/// The lock that a payout becomes.
pub fn payout_lock(resolve: &Id, index: u8) -> Id {
    Id::hash("edgenet/payout/v1", &[resolve.as_bytes(), &[index]])
}
