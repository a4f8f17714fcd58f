//! A network on one machine: one process that is the witness and the settlement authority, and keeps the store.
//!
//! One witness is a trusted one: it cannot be outvoted. The rules, the records and the store are those of any network.

mod log;
mod verify;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use identity::{AccountId, SecretKey};
use ledger::{
    Allocation, Check, Collector, DraftError, Evidence, Founding, Id, Lacking, Ledger, MICRO, Network,
    NetworkError, Record, Refusal, Roll, Rule, audit,
    audit::{Event, EventKind, Log},
    expiry::RESOLVE_GRACE_EPOCHS,
    exposure::BASE_STAKE_UCREDITS,
    keep,
    keep::KeepError,
    op::{Action, MAX_RECEIVES, Out, Reason, SignedOp},
    proof::{Offence, Proof},
    resolve::Resolve,
    store::{Batch, Store, StoreError},
    witness::{Refused, Unsent, Witness},
};
use thiserror::Error;

use crate::{
    store::{OpenError, RedbStore},
    wallet::{Wallet, WalletError},
};
use log::{event, put_event};

pub use log::{LogError, audit_entries, log_damage};
pub use verify::{VerifyError, network, read, verify};

/// What a submitter is granted on a network of one machine, in micro-credits.
pub const GRANT_UCREDITS: u64 = 100 * MICRO;

/// The witness, its ledger and its store.
pub struct Solo {
    store: RedbStore,
    ledger: Ledger,
    witness: Witness,
    authority: SecretKey,
    log: Log,
}

/// Why something did not happen.
#[derive(Debug, Error)]
pub enum SoloError {
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store, while in use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store holds.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The founding.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A key file.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// A rule.
    #[error("refused: {0}")]
    Refusal(#[from] Refusal),
    /// What the treasury would pay is not shown to be due.
    #[error("not shown to be due: {0}")]
    Lacking(#[from] Lacking),
    /// The audit log of the store.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The key is not the witness of this network.
    #[error("{account} is not a witness of this network")]
    NotWitness {
        /// Whose key it is.
        account: AccountId,
    },
    /// The network has more witnesses than this one.
    #[error("this network has {witnesses} witnesses: one alone certifies nothing")]
    NotAlone {
        /// How many.
        witnesses: usize,
    },
}

impl From<DraftError> for SoloError {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Refusal(refusal) => refusal.into(),
            DraftError::Lacking(lacking) => lacking.into(),
        }
    }
}

impl From<audit::AuditError> for SoloError {
    fn from(error: audit::AuditError) -> Self {
        SoloError::Log(error.into())
    }
}

impl Solo {
    /// A network to be founded: the operator witnesses and settles, at base stake; the named accounts start with credits, the
    /// staked ones with the base stake. An account may be both.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn network(
        name: &str,
        operator: &AccountId,
        treasury: &AccountId,
        grants: &[(AccountId, u64)],
        staked: &[AccountId],
    ) -> Result<Network, NetworkError> {
        let mut starts: BTreeMap<AccountId, Allocation> = BTreeMap::new();
        let none = |account| Allocation { account, available_ucredits: 0, staked_ucredits: 0 };
        for &(account, ucredits) in grants {
            starts.entry(account).or_insert(none(account)).available_ucredits = ucredits;
        }
        for &account in staked.iter().chain([operator]) {
            starts.entry(account).or_insert(none(account)).staked_ucredits = BASE_STAKE_UCREDITS;
        }
        Network::new(Founding {
            name: name.to_owned(),
            treasury: *treasury,
            allocations: starts.into_values().collect(),
            witnesses: vec![(*operator, 1)],
        })
    }

    /// Makes the store of a network that this operator alone witnesses.
    ///
    /// # Errors
    /// [`SoloError`]; an existing store is left alone.
    pub fn found(store: &Path, network: &Network, operator: &Wallet) -> Result<Self, SoloError> {
        let store = RedbStore::create(store, network.id().as_bytes())?;
        let mut batch = Batch::new();
        keep::put_founding(&mut batch, network.founding())?;
        store.commit(batch)?;
        Self::on(store, operator, 0)
    }

    /// Opens the store of a network that this operator alone witnesses. Damage that shows is logged in the store.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn open(store: &Path, operator: &Wallet, now: u64) -> Result<Self, SoloError> {
        Self::on(RedbStore::open_any(store)?, operator, now)
    }

    fn on(store: RedbStore, operator: &Wallet, now: u64) -> Result<Self, SoloError> {
        let network = network(&store)?;
        let account = operator.account();
        let members = network.committee(u64::MAX).members();
        if !members.iter().any(|member| member.account == account) {
            return Err(SoloError::NotWitness { account });
        }
        if members.len() > 1 {
            return Err(SoloError::NotAlone { witnesses: members.len() });
        }
        let read = keep::ledger(&store, Arc::new(network), Check::Makers)
            .and_then(|ledger| Ok((ledger, keep::votes(&store)?)));
        let (ledger, votes) = match read {
            Ok(read) => read,
            Err(damage) => {
                log_damage(&store, now, &damage)?;
                return Err(damage.into());
            }
        };
        let log = Log::resume(audit::verify(audit_entries(&store)?)?);
        let key = || SecretKey::from_seed(*operator.key.seed());
        Ok(Solo { store, ledger, witness: Witness::new(key(), votes), authority: key(), log })
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The store.
    pub fn store(&self) -> &RedbStore {
        &self.store
    }

    /// Certifies what an owner signed and a crash kept from the witness, unchanged: another operation in its place would be a
    /// fork.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn resume(&mut self, owner: &Wallet, now: u64) -> Result<Option<Record>, SoloError> {
        let account = owner.account();
        let seq = self.ledger.account(&account).map_or(0, |a| a.next_seq);
        let unsent = keep::own(&self.store, &account, seq)?;
        unsent.map(|unsent| self.certify(&unsent, now)).transpose()
    }

    /// Drafts, signs and certifies an owner's next operation, after [`Solo::resume`]. Operation, vote and record are durable in
    /// one write, and nothing is written of what the witness refuses.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn act(&mut self, owner: &Wallet, action: Action, now: u64) -> Result<Record, SoloError> {
        self.resume(owner, now)?;
        self.expire(&owner.account(), now)?;
        let op = match action {
            Action::Transfer { outs } if owner.account() == *self.ledger.network().treasury() => {
                self.ledger.draft_treasury(outs, now, &self.rolls(now)?)?.0
            }
            action => self.ledger.draft(&owner.account(), action, now)?,
        };
        let op = op.sign(self.ledger.network().id(), &owner.key);
        let mut batch = Batch::new();
        keep::put_own(&mut batch, &op)?;
        self.certify_with(batch, &op, now)
    }

    /// Certifies that locks of an account ran out, all that did.
    fn expire(&mut self, account: &AccountId, now: u64) -> Result<(), SoloError> {
        while let Some(expiry) = self.ledger.draft_expiry(account, now) {
            let unsent = match self.witness.consider_expiry(&self.ledger, &expiry, now) {
                Ok(unsent) => unsent,
                // Its store did not take the decision that it voted for.
                Err(Refused { decided: Some(decided), .. }) => {
                    self.decide(decided.resolve, now)?;
                    continue;
                }
                Err(refused) => return Err(refused.refusal.into()),
            };
            let at = (expiry.id(self.ledger.network().id()), expiry.epoch);
            self.keep(Batch::new(), unsent, at, None, |network, certificate| {
                Record::expiry(network, expiry, certificate)
            })?;
        }
        Ok(())
    }

    /// Pays, after the account was registered and has received what it can of what is ready.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn pay(
        &mut self,
        owner: &Wallet,
        to: &AccountId,
        amount_ucredits: u64,
        now: u64,
    ) -> Result<Record, SoloError> {
        self.register(owner, now)?;
        // One operation receives so much and pays as well.
        while self.ready(&owner.account(), now) > MAX_RECEIVES {
            self.act(owner, Action::Noop, now)?;
        }
        let out = Out { to: *to, amount_ucredits, reason: Reason::Payment, reference: Id::ZERO };
        self.act(owner, Action::Transfer { outs: vec![out] }, now)
    }

    /// Receives all that is ready, in as many operations as it takes.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn receive(&mut self, owner: &Wallet, now: u64) -> Result<Vec<Record>, SoloError> {
        let mut records: Vec<Record> = self.register(owner, now)?.into_iter().collect();
        while self.ready(&owner.account(), now) > 0 {
            records.push(self.act(owner, Action::Noop, now)?);
        }
        Ok(records)
    }

    /// Outputs and locks that the account's next operation could receive.
    pub fn ready(&self, account: &AccountId, now: u64) -> usize {
        let Some(account) = self.ledger.account(account) else { return 0 };
        let paid = account.inbox.values().filter(|output| output.void.is_none()).count();
        // What is not marked yet is marked first, as of this epoch.
        let run_out = |l: &&ledger::Lock| match l.ran_out {
            true => now.max(account.last_epoch) > l.terms.expiry_epoch,
            false => now > l.terms.expiry_epoch.saturating_add(RESOLVE_GRACE_EPOCHS),
        };
        let over = account.locks.values().filter(|l| l.void.is_none()).filter(run_out).count();
        paid + over
    }

    /// What shows where accounts came from.
    fn rolls(&self, now: u64) -> Result<Vec<Roll>, KeepError> {
        keep::rolls(&self.store, now.saturating_sub(ROLLS_KEPT_EPOCHS))
    }

    /// Registers an account that names a referrer or a site, if it has done nothing yet.
    fn register(&mut self, owner: &Wallet, now: u64) -> Result<Option<Record>, SoloError> {
        let fresh = self.ledger.account(&owner.account()).is_none_or(|a| a.next_seq == 0);
        match owner.opening() {
            opening @ Action::Open { .. } if fresh => self.act(owner, opening, now).map(Some),
            _ => Ok(None),
        }
    }

    /// Considers a signed operation and, if every rule holds, certifies it.
    ///
    /// # Errors
    /// [`SoloError`]. A fork's proof is stored, and logged.
    pub fn certify(&mut self, op: &SignedOp, now: u64) -> Result<Record, SoloError> {
        self.certify_with(Batch::new(), op, now)
    }

    fn certify_with(&mut self, batch: Batch, op: &SignedOp, now: u64) -> Result<Record, SoloError> {
        // What cannot be shown the witness refuses, after it has looked for a fork.
        let pays = op.op.account == *self.ledger.network().treasury();
        let shown = if pays {
            self.ledger.evidence(&op.op, &self.rolls(now)?).unwrap_or_default()
        } else {
            Evidence::default()
        };
        let considered = self.witness.consider_treasury(&self.ledger, op, &shown, now);
        let unsent = self.or_proof(considered, now)?;
        let id = op.op.id(self.ledger.network().id());
        let rotated = match &op.op.action {
            Action::RotateKey { key, .. } => {
                let subject = op.op.account.to_bytes();
                Some(
                    event(now, EventKind::KeyRotated, subject, &format!("to {key}"))
                        .map_err(LogError::from)?,
                )
            }
            _ => None,
        };
        self.keep(batch, unsent, (id, op.op.epoch), rotated, |network, certificate| {
            Record::op(network, op.clone(), certificate)
        })
    }

    /// Signs and certifies a decision on a lock.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn decide(&mut self, resolve: Resolve, now: u64) -> Result<Record, SoloError> {
        let signed = resolve.sign(self.ledger.network().id(), &self.authority);
        let considered = self.witness.consider_resolve(&self.ledger, &signed, now);
        let unsent = self.or_proof(considered, now)?;
        let resolve = &signed.resolve;
        let (id, epoch, burned) =
            (resolve.id(self.ledger.network().id()), resolve.epoch, resolve.slash_ucredits);
        let detail = format!("{burned} micro-credits of lock {}", resolve.lock);
        let slashed = event(now, EventKind::Slashed, resolve.owner.to_bytes(), &detail);
        let slashed = (burned > 0).then_some(slashed).transpose().map_err(LogError::from)?;
        self.keep(Batch::new(), unsent, (id, epoch), slashed, |network, certificate| {
            Record::resolve(network, signed, certificate)
        })
    }

    /// Closes the epochs before `now` with a checkpoint.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn checkpoint(&mut self, now: u64) -> Result<Record, SoloError> {
        let checkpoint = self.ledger.draft_checkpoint(now.saturating_sub(1));
        let considered = self.witness.consider_checkpoint(&self.ledger, &checkpoint, now);
        let unsent = self.or_proof(considered, now)?;
        // Before the checkpoint is there: without a roll, what comes to be due with it could never be shown.
        let roll = self.ledger.roll(&checkpoint).into_iter().flat_map(|roll| roll.parts(ROLL_ACCOUNTS));
        for (part, roll) in (0..).zip(roll) {
            let mut batch = Batch::new();
            keep::put_roll(&mut batch, &roll, part)?;
            self.store.commit(batch)?;
        }
        let at = (checkpoint.id(self.ledger.network().id()), checkpoint.epoch);
        self.keep(Batch::new(), unsent, at, None, |network, certificate| {
            Record::checkpoint(network, checkpoint, certificate)
        })
    }

    /// Writes down a security event. What the detail quotes may come from anywhere.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn log(
        &mut self,
        now: u64,
        kind: EventKind,
        subject: &AccountId,
        detail: &str,
    ) -> Result<(), SoloError> {
        let event = event(now, kind, subject.to_bytes(), detail).map_err(LogError::from)?;
        self.commit(Batch::new(), [event])
    }

    /// The one place where a vote becomes a certificate: the vote and the record are durable together, and nothing leaves
    /// before they are.
    fn keep(
        &mut self,
        mut batch: Batch,
        unsent: Unsent,
        (id, epoch): (Id, u64),
        event: Option<Event>,
        record: impl FnOnce(&Network, ledger::Certificate) -> Record,
    ) -> Result<Record, SoloError> {
        let network = self.ledger.network().clone();
        keep::put_votes(&mut batch, &unsent)?;
        let mut collector = Collector::new(*network.id(), id, network.committee(epoch));
        collector.add(&unsent.stored())?;
        let certificate = collector.certificate().cloned();
        let record = record(&network, certificate.ok_or(Refusal { rule: Rule::QuorumReached })?);
        keep::put_record(&mut batch, &record)?;
        self.commit(batch, event)?;
        let merged = self.ledger.merge([record.clone()], Check::Nothing);
        merged.refused.first().map_or(Ok(record), |(_, refusal)| Err((*refusal).into()))
    }

    fn or_proof(&mut self, considered: Result<Unsent, Refused>, now: u64) -> Result<Unsent, SoloError> {
        let refused = match considered {
            Ok(unsent) => return Ok(unsent),
            Err(refused) => refused,
        };
        if let Some(proof) = refused.proof {
            self.convict(*proof, now)?;
        }
        Err(refused.refusal.into())
    }

    /// Stores a proof with the events it makes, unless this offence is known.
    fn convict(&mut self, proof: Proof, now: u64) -> Result<(), SoloError> {
        let kind = match proof.offence() {
            Offence::Fork { .. } => EventKind::ForkProof,
            Offence::Decisions { .. } => EventKind::ConflictingDecisions,
        };
        let (culprit, id, record) = (*proof.culprit(), proof.id(), Record::proof(proof));
        let mut after = self.ledger.clone();
        if after.merge([record.clone()], Check::Signatures).added == 0 {
            return Ok(());
        }
        let mut happened = vec![(kind, format!("proof {id}"))];
        if after.is_frozen(&culprit) && !self.ledger.is_frozen(&culprit) {
            happened.push((EventKind::AccountFrozen, format!("by proof {id}")));
        }
        let burned = after.totals().burned - self.ledger.totals().burned;
        if burned > 0 {
            happened.push((EventKind::Slashed, format!("{burned} micro-credits of stake, by proof {id}")));
        }
        let events = happened.iter().map(|(kind, detail)| event(now, *kind, culprit.to_bytes(), detail));
        let events: Vec<Event> = events.collect::<Result<_, _>>().map_err(LogError::from)?;
        let mut batch = Batch::new();
        keep::put_record(&mut batch, &record)?;
        self.commit(batch, events)?;
        self.ledger = after;
        Ok(())
    }

    /// Writes a batch and events in one.
    fn commit(&mut self, mut batch: Batch, events: impl IntoIterator<Item = Event>) -> Result<(), SoloError> {
        let mut log = self.log;
        events.into_iter().try_for_each(|event| put_event(&mut batch, &mut log, event))?;
        self.store.commit(batch)?;
        self.log = log;
        Ok(())
    }
}

/// Accounts in a stored part of a roll: with two leaves each it is far smaller than a value may be.
const ROLL_ACCOUNTS: usize = 256;
/// The treasury pays what came to be due within a week.
const ROLLS_KEPT_EPOCHS: u64 = 10_080;
