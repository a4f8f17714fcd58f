//! One account as the fold sees it.
//!
//! Everything but `locks` and `inbox` follows from the account's own chain alone. Those two are where others reach in: a
//! resolve takes a lock away, a payment puts an output in. An operation asks of them only whether what it receives is
//! there, so the state after it is the same whatever arrived in between.

use std::collections::{BTreeMap, BTreeSet};

use identity::AccountId;
use sha2::{Digest, Sha256};

use crate::{
    Id,
    inbox::Inbox,
    merkle,
    op::{LockKind, LockTerms, Reason, Receive},
    reputation::Outcome,
    wire::{DecodeError, Reader, Writer},
};

/// An account: the head of its chain and what it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Id of the last operation that counts, [`Id::ZERO`] before the first.
    pub head: Id,
    /// The seq of the operation that would come next.
    pub next_seq: u64,
    /// Epoch of the last operation that counts.
    pub last_epoch: u64,
    /// The key that signs since which seq, where the account was handed over; else the account's own.
    pub key: Option<(u64, AccountId)>,
    /// Micro-credits that can be spent.
    pub available_ucredits: u64,
    /// Micro-credits of base stake that nothing has claimed.
    pub staked_ucredits: u64,
    /// Micro-credits of base stake that task stakes hold, as far as the chain has heard.
    pub committed_ucredits: u64,
    /// What is set aside, by lock.
    pub locks: BTreeMap<Id, Lock>,
    /// What has been paid and not been received.
    pub inbox: Inbox,
    /// How the account was registered.
    pub opened: Option<Opened>,
    /// A proof against it lies behind a checkpoint: nobody signs for it any more.
    pub frozen: bool,
    /// The account that the first payment this one received goes back to.
    pub ancestor: Option<AccountId>,
    /// How it did as a worker: epoch, resolve, task type, outcome.
    pub judgements: BTreeSet<Judgement>,
    /// Of the treasury alone.
    pub spending: Option<Box<Spending>>,
}

/// Epoch, resolve, task type, outcome.
pub type Judgement = (u64, Id, u8, Outcome);

/// Credits set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What for, how much, until when.
    pub terms: LockTerms,
    /// What a payout lock is paid for.
    pub reason: Reason,
    /// Not backed by credits: it comes from a voided value.
    pub void: Option<Void>,
    /// Certified to have run out undecided: its owner may take it back.
    pub ran_out: bool,
}

/// A payment on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// How much, in micro-credits.
    pub amount_ucredits: u64,
    /// What for.
    pub reason: Reason,
    /// Who paid it.
    pub from: AccountId,
    /// The payer's ancestor, or the payer.
    pub ancestor: AccountId,
    /// The stake lock this settles, by its amount: what is left of it goes back to the base stake.
    pub of_stake: Option<u64>,
    /// Not backed by credits: it comes from a voided value.
    pub void: Option<Void>,
}

/// Whom a receipt out of nothing is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Void {
    /// The account whose chain forked with two certificates.
    Account(AccountId),
    /// Nobody in particular: a lock was decided twice.
    Nobody,
}

/// How an account was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// When.
    pub epoch: u64,
    /// Who referred it.
    pub referrer: Option<AccountId>,
    /// The site it came through.
    pub site: Option<Id>,
}

/// What the treasury has paid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// The epoch of its last operation.
    pub epoch: u64,
    /// Most micro-credits it may pay in that epoch.
    pub cap_ucredits: u64,
    /// Micro-credits it has paid in that epoch.
    pub paid_ucredits: u64,
    /// What it has paid for: reason, reference, payee.
    pub causes: BTreeSet<(Reason, Id, AccountId)>,
}

/// What an account holds, as its owner sees it. All in micro-credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Can be spent.
    pub available: u64,
    /// Base stake that nothing has claimed.
    pub staked: u64,
    /// Set aside: escrows, task stakes, unbonding, rewards within their hour.
    pub locked: u64,
    /// Paid to the account and not received on its chain.
    pub pending: u64,
}

impl Account {
    /// What the account holds.
    pub fn balance(&self) -> Balance {
        self.balance_after(&Taken::default())
    }

    /// What is left of it. Only shown, never folded: sums that only certified nonsense can reach end at the largest amount.
    pub(crate) fn balance_after(&self, taken: &Taken) -> Balance {
        let shown = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        let held = |l: &&Lock| !(taken.stake_locks && l.terms.kind.is_stake());
        let paid = self.inbox.values().filter(|o| o.void.is_none());
        Balance {
            available: self.available_ucredits - taken.available,
            staked: self.staked_ucredits - taken.staked,
            locked: shown(self.locks.values().filter(held).map(Lock::backed).sum()),
            pending: shown(paid.map(|o| u128::from(o.amount_ucredits)).sum()),
        }
    }

    /// Base stake, whether claimed by tasks or not. What is slashed is gone from it at once, whether the owner's chain has
    /// heard of it or not.
    pub fn base_stake_ucredits(&self) -> u64 {
        let claimed = self.locks.values().filter(|l| l.void.is_none()).filter_map(Lock::of_stake);
        let returned = self.inbox.values().filter(|o| o.void.is_none() && o.of_stake.is_some());
        claimed.chain(returned.map(|o| o.amount_ucredits)).fold(self.staked_ucredits, u64::saturating_add)
    }

    /// The key that signs the next operation.
    pub fn signer(&self, account: &AccountId) -> AccountId {
        self.key.map_or(*account, |(_, key)| key)
    }

    /// Locks that a fork proof burns.
    pub(crate) fn stake_locks(&self) -> impl Iterator<Item = &Lock> {
        self.locks.values().filter(|l| l.terms.kind.is_stake() && l.void.is_none())
    }

    /// The leaf of the state's Merkle tree: everything that later operations can depend on. `frozen` and what is taken come
    /// from the fold's last step. The tree holds its [`entry`].
    pub(crate) fn leaf(&self, id: &AccountId, frozen: bool, taken: &Taken) -> Vec<u8> {
        let mut out = Writer::with_capacity(256 + 128 * (self.locks.len() + self.inbox.len()));
        out.account(id).id(&self.head).u64(self.next_seq).u64(self.last_epoch).u8(frozen.into());
        out.u64(self.available_ucredits - taken.available).u64(self.staked_ucredits - taken.staked);
        out.u64(self.committed_ucredits);
        out.option(&self.key, |out, (since, key)| out.u64(*since).account(key));
        out.option(&self.ancestor, |out, ancestor| out.account(ancestor));
        out.option(&self.opened, |out, opened| {
            out.u64(opened.epoch);
            out.option(&opened.referrer, |out, referrer| out.account(referrer));
            out.option(&opened.site, |out, site| out.id(site))
        });
        let burned = |held: &Lock| taken.stake_locks && held.terms.kind.is_stake() && held.void.is_none();
        out.u32(self.locks.values().filter(|held| !burned(held)).count() as u32);
        for (lock, held) in self.locks.iter().filter(|(_, held)| !burned(held)) {
            out.id(lock);
            held.terms.write(&mut out);
            out.u8(held.reason as u8).u8(held.void.is_some().into()).u8(held.ran_out.into());
        }
        out.u32(self.inbox.len() as u32);
        for (receive, output) in self.inbox.iter() {
            out.id(&receive.source).u8(receive.index).u64(output.amount_ucredits).u8(output.reason as u8);
            out.account(&output.from).account(&output.ancestor).u8(output.void.is_some().into());
            out.option(&output.of_stake, |out, claimed| out.u64(*claimed));
        }
        out.u32(self.judgements.len() as u32);
        for (epoch, resolve, task_type, outcome) in &self.judgements {
            out.u64(*epoch).id(resolve).u8(*task_type).u8(*outcome as u8);
        }
        out.option(&self.spending, |out, spending| spending.write(out));
        out.0
    }

    /// Reads a leaf. What was taken from the account is gone from it.
    ///
    /// # Errors
    /// Bytes that are not canonical, and what only contradictions leave: voided credits.
    pub(crate) fn read_leaf(bytes: &[u8]) -> Result<(AccountId, Account), DecodeError> {
        Reader::whole(bytes, |reader| {
            let id = reader.account("account")?;
            let (head, next_seq, last_epoch) = (reader.id("head")?, reader.u64("seq")?, reader.u64("epoch")?);
            let frozen = match reader.u8("frozen")? {
                0 => false,
                1 => true,
                found => return Err(DecodeError::Tag { what: "frozen", found }),
            };
            let leaf = (
                id,
                Account {
                    head,
                    next_seq,
                    last_epoch,
                    frozen,
                    available_ucredits: reader.u64("available")?,
                    staked_ucredits: reader.u64("staked")?,
                    committed_ucredits: reader.u64("committed")?,
                    key: reader.option("key", |reader| Ok((reader.u64("since")?, reader.account("key")?)))?,
                    ancestor: reader.option("ancestor", |reader| reader.account("ancestor"))?,
                    opened: reader.option("opened", Opened::read)?,
                    locks: reader.map("locks", |reader| Ok((reader.id("lock")?, Lock::read(reader)?)))?,
                    inbox: reader.map("inbox", Output::read)?.into(),
                    judgements: reader
                        .map("judgements", |r| Ok((read_judgement(r)?, ())))?
                        .into_keys()
                        .collect(),
                    spending: reader.option("spending", |reader| Spending::read(reader).map(Box::new))?,
                },
            );
            // A resolve judges a worker once; reputation builds on it.
            let once = leaf.1.judgements.iter().is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1));
            if once { Ok(leaf) } else { Err(DecodeError::Order { what: "judgements" }) }
        })
    }
}

/// What stands in the Merkle tree for a leaf: its front, which has at most 254 bytes, and SHA-256 of the rest. So who
/// shows where an account came from need not show its locks and its inbox, which strangers can fill.
pub(crate) fn entry(leaf: &[u8]) -> Vec<u8> {
    match Reader::front(leaf, Front::read) {
        Ok((_, rest)) => {
            let front = &leaf[..leaf.len() - rest.len()];
            [front, &Sha256::digest(rest)[..]].concat()
        }
        // No leaf, and no entry either: under its own hash it is refused when it is read.
        Err(_) => leaf.to_vec(),
    }
}

/// The hash of a leaf in the Merkle tree: that of its entry, the bytes up to its locks and SHA-256 of those from there on.
pub fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    merkle::leaf(&entry(leaf))
}

/// What an entry says of where an account came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Front {
    pub(crate) ancestor: Option<AccountId>,
    pub(crate) opened: Option<Opened>,
}

impl Front {
    /// The account of an entry, and its front.
    pub(crate) fn of_entry(entry: &[u8]) -> Result<(AccountId, Front), DecodeError> {
        Reader::whole(entry, |reader| {
            let front = Front::read(reader)?;
            reader.id("holdings")?;
            Ok(front)
        })
    }

    /// Reads what a leaf begins with.
    fn read(reader: &mut Reader<'_>) -> Result<(AccountId, Front), DecodeError> {
        let account = reader.account("account")?;
        reader.id("head")?;
        // Seq, epoch, frozen; available, staked, committed.
        reader.slice(8 + 8 + 1 + 3 * 8, "balances")?;
        reader.option("key", |reader| Ok((reader.u64("since")?, reader.account("key")?)))?;
        let ancestor = reader.option("ancestor", |reader| reader.account("ancestor"))?;
        Ok((account, Front { ancestor, opened: reader.option("opened", Opened::read)? }))
    }
}

fn read_judgement(reader: &mut Reader<'_>) -> Result<Judgement, DecodeError> {
    let (epoch, resolve, task_type) = (reader.u64("epoch")?, reader.id("resolve")?, reader.u8("task type")?);
    Ok((epoch, resolve, task_type, crate::resolve::read_outcome(reader)?))
}

impl Opened {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Opened {
            epoch: reader.u64("opened")?,
            referrer: reader.option("referrer", |reader| reader.account("referrer"))?,
            site: reader.option("site", |reader| reader.id("site"))?,
        })
    }
}

impl Lock {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (terms, reason) = (LockTerms::read(reader)?, Reason::read(reader)?);
        reader.tag("void", 0)?;
        let ran_out = match reader.u8("ran out")? {
            0 => false,
            1 => true,
            found => return Err(DecodeError::Tag { what: "ran out", found }),
        };
        Ok(Lock { terms, reason, void: None, ran_out })
    }
}

impl Output {
    fn read(reader: &mut Reader<'_>) -> Result<(Receive, Self), DecodeError> {
        let receive = Receive { source: reader.id("source")?, index: reader.u8("index")? };
        let (amount_ucredits, reason) = (reader.u64("amount")?, Reason::read(reader)?);
        let (from, ancestor) = (reader.account("from")?, reader.account("ancestor")?);
        reader.tag("void", 0)?;
        let of_stake = reader.option("stake", |reader| reader.u64("stake"))?;
        Ok((receive, Output { amount_ucredits, reason, from, ancestor, of_stake, void: None }))
    }
}

impl Spending {
    fn write<'w>(&self, out: &'w mut Writer) -> &'w mut Writer {
        out.u64(self.epoch).u64(self.cap_ucredits).u64(self.paid_ucredits).u32(self.causes.len() as u32);
        for (reason, reference, to) in &self.causes {
            out.u8(*reason as u8).id(reference).account(to);
        }
        out
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let cause =
            |r: &mut Reader<'_>| Ok(((Reason::read(r)?, r.id("reference")?, r.account("payee")?), ()));
        Ok(Spending {
            epoch: reader.u64("epoch")?,
            cap_ucredits: reader.u64("cap")?,
            paid_ucredits: reader.u64("paid")?,
            causes: reader.map("causes", cause)?.into_keys().collect(),
        })
    }
}

/// What the fold's last step takes from an account: stakes burned, what is left of a forked chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) available: u64,
    pub(crate) staked: u64,
    /// Its stake locks too.
    pub(crate) stake_locks: bool,
}

impl Lock {
    /// Whether it counts as the owner's, set aside.
    pub(crate) fn backed(&self) -> u128 {
        if self.void.is_some() { 0 } else { self.terms.amount_ucredits.into() }
    }

    /// The stake it holds, if it is one that tasks claim.
    pub(crate) fn of_stake(&self) -> Option<u64> {
        (self.terms.kind == LockKind::TaskStake).then_some(self.terms.amount_ucredits)
    }
}
