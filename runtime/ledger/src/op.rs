//! Operations: what the owner of an account signs.

use identity::{AccountId, PublicKey, SecretKey, Signature};

use crate::{
    Id,
    exposure::UNBONDING_EPOCHS,
    rule::{Refusal, Rule, require},
    wire::{DecodeError, Reader, Writer},
};

/// Most outputs that one operation receives.
pub const MAX_RECEIVES: usize = 64;
/// Most outputs of one transfer.
pub const MAX_OUTS: usize = 16;
/// Longest life of a lock: 7 days.
pub const MAX_LOCK_EPOCHS: u64 = 10_080;

/// One link of an account's chain.
///
/// ```text
/// version 1 (u8) | account (32) | seq (u64) | prev (32) | epoch (u64)
/// receives: count (u8), then source (32) | index (u8) each, ascending
/// action: tag (u8), then its fields | balance_after (u64)
/// ```
/// The id is `SHA-256("edgenet/op/v1" || network || bytes)`; the owner signs the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Whose chain.
    pub account: AccountId,
    /// Place in the chain, from 0.
    pub seq: u64,
    /// Id of the operation before, [`Id::ZERO`] at 0.
    pub prev: Id,
    /// When it was signed, in epochs.
    pub epoch: u64,
    /// What comes in, ascending.
    pub receives: Vec<Receive>,
    /// What it does.
    pub action: Action,
    /// Available micro-credits when it is done.
    pub balance_after: u64,
}

/// Takes what lies ready for the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receive {
    /// The operation or resolve that gave it, or the lock that ran out.
    pub source: Id,
    /// Place among the source's outputs; [`Receive::REFUND`] and [`Receive::EXPIRED`] are no places.
    pub index: u8,
}

impl Receive {
    /// What a resolve gives back to the owner of the lock.
    pub const REFUND: u8 = 254;
    /// A lock that ran out without a resolve.
    pub const EXPIRED: u8 = 255;

    /// Takes back a lock that ran out.
    pub fn expired(lock: Id) -> Self {
        Receive { source: lock, index: Receive::EXPIRED }
    }
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing but receive.
    Noop,
    /// Pays others.
    Transfer {
        /// 1 to [`MAX_OUTS`] payments.
        outs: Vec<Out>,
    },
    /// Sets credits aside. The operation's id is the lock's.
    Lock(LockTerms),
    /// Hands the account to another key. The account keeps its name.
    RotateKey {
        /// The key that signs from the next operation on.
        key: AccountId,
        /// That key's signature, so that nobody rotates to a key nobody holds.
        proof: Signature,
    },
    /// Registers the account; only at seq 0.
    Open {
        /// Who referred it.
        referrer: Option<AccountId>,
        /// The site it came through: SHA-256 of the site's label.
        site: Option<Id>,
    },
}

/// A payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Out {
    /// Who receives it.
    pub to: AccountId,
    /// How much, in micro-credits, above 0.
    pub amount_ucredits: u64,
    /// What for.
    pub reason: Reason,
    /// The task, resolve, payout or hour it is for; [`Id::ZERO`] if none.
    pub reference: Id,
}

/// What credits are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// From anyone to anyone.
    Payment = 0,
    /// For keeping vectors.
    StorageFee = 1,
    /// The early-adopter bonus, from the treasury.
    Bonus = 2,
    /// For an hour online in which work was verified, from the treasury.
    Uptime = 3,
    /// A share of what a referred account earns, from the treasury.
    Referral = 4,
    /// For an accepted result, by a resolve.
    Reward = 5,
    /// The site's part of a reward earned in a page, by a resolve.
    SiteShare = 6,
}

impl Reason {
    /// All of them, by code.
    pub const ALL: [Reason; 7] = [
        Reason::Payment,
        Reason::StorageFee,
        Reason::Bonus,
        Reason::Uptime,
        Reason::Referral,
        Reason::Reward,
        Reason::SiteShare,
    ];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Payment => "payment",
            Reason::StorageFee => "storage-fee",
            Reason::Bonus => "bonus",
            Reason::Uptime => "uptime",
            Reason::Referral => "referral",
            Reason::Reward => "reward",
            Reason::SiteShare => "site-share",
        }
    }

    /// Whether only the treasury pays for it.
    pub fn is_the_treasurys(self) -> bool {
        matches!(self, Reason::Bonus | Reason::Uptime | Reason::Referral)
    }

    /// Whether only a resolve pays for it.
    pub fn is_earned(self) -> bool {
        matches!(self, Reason::Reward | Reason::SiteShare)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let found = reader.u8("reason")?;
        Reason::ALL.get(usize::from(found)).copied().ok_or(DecodeError::Tag { what: "reason", found })
    }
}

/// What a lock is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LockKind {
    /// A submitter's price, until the task is resolved.
    TaskEscrow = 0,
    /// A worker's credits at risk, out of its base stake.
    TaskStake = 1,
    /// Into the base stake; no lock of its own remains.
    BaseStake = 2,
    /// A reward until the hour is over. Resolves make these, operations do not.
    PayoutLock = 3,
    /// Out of the base stake, available after 24 h.
    Unbond = 4,
}

impl LockKind {
    /// All of them, by code.
    pub const ALL: [LockKind; 5] = [
        LockKind::TaskEscrow,
        LockKind::TaskStake,
        LockKind::BaseStake,
        LockKind::PayoutLock,
        LockKind::Unbond,
    ];

    /// Whether a fork proof burns it.
    pub fn is_stake(self) -> bool {
        matches!(self, LockKind::TaskStake | LockKind::BaseStake | LockKind::Unbond)
    }

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            LockKind::TaskEscrow => "task-escrow",
            LockKind::TaskStake => "task-stake",
            LockKind::BaseStake => "base-stake",
            LockKind::PayoutLock => "payout-lock",
            LockKind::Unbond => "unbond",
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let found = reader.u8("lock kind")?;
        LockKind::ALL.get(usize::from(found)).copied().ok_or(DecodeError::Tag { what: "lock kind", found })
    }
}

/// What is set aside, and who decides on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockTerms {
    /// What for.
    pub kind: LockKind,
    /// The task, [`Id::ZERO`] for stakes that name none.
    pub task: Id,
    /// How much, in micro-credits, above 0.
    pub amount_ucredits: u64,
    /// Who decides, and how the price was made.
    pub policy: Policy,
    /// Last epoch in which it can be resolved; after it the lock refunds itself.
    pub expiry_epoch: u64,
}

/// Who settles a lock, and what the price was multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The settlement authority: the only signer of its resolve.
    pub authority: AccountId,
    /// Replicas paid for, 1 to 7.
    pub redundancy: u8,
    /// Twice the factor of the priority: 1, 2 or 4.
    pub priority_halves: u8,
}

impl Op {
    /// The name of this operation in a network.
    pub fn id(&self, network: &Id) -> Id {
        let mut bytes = Writer::with_capacity(512);
        self.write(&mut bytes);
        Id::hash("edgenet/op/v1", &[network.as_bytes(), &bytes.0])
    }

    /// Signs it.
    pub fn sign(self, network: &Id, key: &SecretKey) -> SignedOp {
        let signature = key.sign(self.id(network).as_bytes());
        SignedOp { op: self, signature }
    }

    /// What leaves the available balance, in micro-credits.
    pub fn debit_ucredits(&self) -> u128 {
        match &self.action {
            Action::Transfer { outs } => outs.iter().map(|out| u128::from(out.amount_ucredits)).sum(),
            Action::Lock(terms) => match terms.kind {
                // No owner may make a payout lock. If witnesses certify one all the same, it is paid for like any other.
                LockKind::TaskEscrow | LockKind::BaseStake | LockKind::PayoutLock => {
                    terms.amount_ucredits.into()
                }
                // Out of the stake.
                LockKind::TaskStake | LockKind::Unbond => 0,
            },
            Action::Noop | Action::RotateKey { .. } | Action::Open { .. } => 0,
        }
    }

    /// What must hold of an operation whatever came before it.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_alone(&self, treasury: &AccountId) -> Result<(), Refusal> {
        // The last seq has none after it.
        require(Rule::SequenceFollows, self.seq < u64::MAX)?;
        require(Rule::ReceiveOnce, self.receives.is_sorted_by(|a, b| a < b))?;
        require(Rule::ReceiveCount, self.receives.len() <= MAX_RECEIVES)?;
        let from_treasury = self.account == *treasury;
        match &self.action {
            Action::Noop => Ok(()),
            Action::Transfer { outs } => {
                require(Rule::OutCount, (1..=MAX_OUTS).contains(&outs.len()))?;
                require(Rule::AmountPositive, outs.iter().all(|out| out.amount_ucredits > 0))?;
                require(
                    Rule::ReasonAllowed,
                    outs.iter()
                        .all(|out| !out.reason.is_earned() && out.reason.is_the_treasurys() == from_treasury),
                )
            }
            Action::Lock(terms) => {
                require(Rule::TreasuryOnlyPays, !from_treasury)?;
                require(Rule::AmountPositive, terms.amount_ucredits > 0)?;
                self.check_terms(terms)
            }
            Action::RotateKey { key, .. } => require(Rule::KeyRegistered, key.public_key().is_ok()),
            Action::Open { referrer, .. } => {
                require(Rule::OpenFirst, self.seq == 0)?;
                require(Rule::ReferrerOther, *referrer != Some(self.account))
            }
        }
    }

    fn check_terms(&self, terms: &LockTerms) -> Result<(), Refusal> {
        let life = terms.expiry_epoch.checked_sub(self.epoch);
        let holds = match terms.kind {
            LockKind::TaskEscrow | LockKind::TaskStake => {
                life.is_some_and(|epochs| (1..=MAX_LOCK_EPOCHS).contains(&epochs))
                    && (1..=7).contains(&terms.policy.redundancy)
                    && matches!(terms.policy.priority_halves, 1 | 2 | 4)
            }
            LockKind::Unbond => life == Some(UNBONDING_EPOCHS),
            LockKind::BaseStake => life == Some(0),
            LockKind::PayoutLock => false,
        };
        require(Rule::LockTerms, holds)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(VERSION).account(&self.account).u64(self.seq).id(&self.prev).u64(self.epoch);
        out.u8(self.receives.len() as u8);
        for receive in &self.receives {
            out.id(&receive.source).u8(receive.index);
        }
        self.action.write(out);
        out.u64(self.balance_after);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "operation version")?;
        Ok(Op {
            account: reader.account("account")?,
            seq: reader.u64("seq")?,
            prev: reader.id("prev")?,
            epoch: reader.u64("epoch")?,
            receives: reader.ascending(
                MAX_RECEIVES,
                "receives",
                |r: &Receive| *r,
                |reader| Ok(Receive { source: reader.id("receive")?, index: reader.u8("receive")? }),
            )?,
            action: Action::read(reader)?,
            balance_after: reader.u64("balance")?,
        })
    }
}

impl Action {
    fn write(&self, out: &mut Writer) {
        match self {
            Action::Noop => {
                out.u8(0);
            }
            Action::Transfer { outs } => {
                out.u8(1).u8(outs.len() as u8);
                for o in outs {
                    out.account(&o.to).u64(o.amount_ucredits).u8(o.reason as u8).id(&o.reference);
                }
            }
            Action::Lock(terms) => {
                out.u8(2);
                terms.write(out);
            }
            Action::RotateKey { key, proof } => {
                out.u8(3).account(key).signature(proof);
            }
            Action::Open { referrer, site } => {
                let flags = u8::from(referrer.is_some()) | u8::from(site.is_some()) << 1;
                out.u8(4).u8(flags);
                if let Some(account) = referrer {
                    out.account(account);
                }
                if let Some(site) = site {
                    out.id(site);
                }
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8("action")? {
            0 => Ok(Action::Noop),
            1 => {
                let outs = reader.list(MAX_OUTS, "outs", |reader| {
                    Ok(Out {
                        to: reader.account("out")?,
                        amount_ucredits: reader.u64("out")?,
                        reason: Reason::read(reader)?,
                        reference: reader.id("out")?,
                    })
                })?;
                Ok(Action::Transfer { outs })
            }
            2 => Ok(Action::Lock(LockTerms::read(reader)?)),
            3 => Ok(Action::RotateKey { key: reader.account("key")?, proof: reader.signature("proof")? }),
            4 => {
                let flags = reader.u8("open")?;
                if flags > 3 {
                    return Err(DecodeError::Tag { what: "open", found: flags });
                }
                let referrer = (flags & 1 != 0).then(|| reader.account("referrer")).transpose()?;
                let site = (flags & 2 != 0).then(|| reader.id("site")).transpose()?;
                Ok(Action::Open { referrer, site })
            }
            found => Err(DecodeError::Tag { what: "action", found }),
        }
    }
}

impl LockTerms {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(self.kind as u8).id(&self.task).u64(self.amount_ucredits);
        out.account(&self.policy.authority).u8(self.policy.redundancy).u8(self.policy.priority_halves);
        out.u64(self.expiry_epoch);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(LockTerms {
            kind: LockKind::read(reader)?,
            task: reader.id("task")?,
            amount_ucredits: reader.u64("amount")?,
            policy: Policy {
                authority: reader.account("authority")?,
                redundancy: reader.u8("redundancy")?,
                priority_halves: reader.u8("priority")?,
            },
            expiry_epoch: reader.u64("expiry")?,
        })
    }
}

/// An operation with its owner's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOp {
    /// The operation.
    pub op: Op,
    /// Over its id, by the key that holds the account at this seq.
    pub signature: Signature,
}

impl SignedOp {
    /// Checks the owner's signature.
    ///
    /// # Errors
    /// [`Rule::OwnerSignature`].
    pub fn check_signature(&self, id: &Id, owner: &PublicKey) -> Result<(), Refusal> {
        require(Rule::OwnerSignature, owner.verify(id.as_bytes(), &self.signature).is_ok())
    }

    /// Canonical bytes: the operation's, then the signature.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(512);
        self.write(&mut out);
        out.0
    }

    /// Reads what [`SignedOp::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::whole(bytes, Self::read)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        self.op.write(out);
        out.signature(&self.signature);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(SignedOp { op: Op::read(reader)?, signature: reader.signature("signature")? })
    }
}

/// What the key an account is handed to signs, to show that somebody holds it.
pub fn rotation_message(network: &Id, account: &AccountId, seq: u64, key: &AccountId) -> Id {
    let parts: [&[u8]; 4] = [network.as_bytes(), account.as_bytes(), &seq.to_le_bytes(), key.as_bytes()];
    Id::hash("edgenet/rotate/v1", &parts)
}

pub(crate) fn read_version(reader: &mut Reader<'_>, what: &'static str) -> Result<(), DecodeError> {
    match reader.u8(what)? {
        VERSION => Ok(()),
        found => Err(DecodeError::Tag { what, found }),
    }
}

/// Of every record's encoding.
pub(crate) const VERSION: u8 = 1;
