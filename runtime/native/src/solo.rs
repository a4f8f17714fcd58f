//! A network on one machine: one process that is the witness and the settlement authority, and keeps the store.
//!
//! One witness is a trusted one: it cannot be outvoted. The rules, the records and the store are those of any network.

use std::{path::Path, sync::Arc};

use identity::{AccountId, SecretKey};
use ledger::{
    Allocation, Check, Collector, Fault, Founding, Id, Ledger, MICRO, Network, NetworkError, Record, Refusal,
    audit,
    audit::{EventKind, Log},
    exposure::BASE_STAKE_UCREDITS,
    keep,
    keep::KeepError,
    op::{Action, SignedOp},
    resolve::Resolve,
    store::{Batch, Store, StoreError, Table},
    witness::{Refused, Unsent, Witness},
};
use thiserror::Error;

use crate::{
    store::{OpenError, RedbStore},
    wallet::{Wallet, WalletError},
};

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
    /// The audit log of the store.
    #[error("the audit log: {0}")]
    Audit(#[from] audit::AuditError),
    /// The key is not the witness of this network.
    #[error("{account} is not a witness of this network")]
    NotWitness {
        /// Whose key it is.
        account: AccountId,
    },
}

impl Solo {
    /// Founds a network: the operator witnesses and settles, at base stake; the named accounts start with credits.
    ///
    /// # Errors
    /// [`SoloError`]; an existing store is left alone.
    pub fn found(
        store: &Path,
        name: &str,
        operator: &Wallet,
        treasury: &Wallet,
        grants: &[(AccountId, u64)],
    ) -> Result<Self, SoloError> {
        let allocation = |account, available_ucredits, staked_ucredits| Allocation {
            account,
            available_ucredits,
            staked_ucredits,
        };
        let mut allocations: Vec<Allocation> =
            grants.iter().map(|(a, amount)| allocation(*a, *amount, 0)).collect();
        match allocations.iter_mut().find(|a| a.account == operator.account()) {
            Some(own) => own.staked_ucredits = BASE_STAKE_UCREDITS,
            None => allocations.push(allocation(operator.account(), 0, BASE_STAKE_UCREDITS)),
        }
        allocations.sort_by_key(|a| a.account);
        let founding = Founding {
            name: name.to_owned(),
            treasury: treasury.account(),
            allocations,
            witnesses: vec![(operator.account(), 1)],
        };
        let network = Network::new(founding)?;
        let store = RedbStore::create(store, network.id().as_bytes())?;
        let mut batch = Batch::new();
        keep::put_founding(&mut batch, network.founding())?;
        store.commit(batch)?;
        Self::on(store, operator)
    }

    /// Opens the store of a network that this operator witnesses.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn open(store: &Path, operator: &Wallet) -> Result<Self, SoloError> {
        Self::on(RedbStore::open_any(store)?, operator)
    }

    fn on(store: RedbStore, operator: &Wallet) -> Result<Self, SoloError> {
        let network = keep::network(&store)?;
        let account = operator.account();
        let witnesses = &network.founding().witnesses;
        if !witnesses.iter().any(|(witness, _)| *witness == account) {
            return Err(SoloError::NotWitness { account });
        }
        let ledger = keep::ledger(&store, Arc::new(network), Check::Makers)?;
        let key = || SecretKey::from_seed(*operator.key.seed());
        let witness = Witness::new(key(), keep::votes(&store)?);
        let log = Log::resume(audit::verify(audit_entries(&store)?)?);
        Ok(Solo { store, ledger, witness, authority: key(), log })
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The store.
    pub fn store(&self) -> &RedbStore {
        &self.store
    }

    /// Drafts, signs and certifies an owner's next operation. What the owner signs is stored before the witness sees it, and
    /// what it signed before a crash comes again unchanged.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn act(&mut self, owner: &Wallet, action: Action, now: u64) -> Result<Record, SoloError> {
        let account = owner.account();
        let seq = self.ledger.account(&account).map_or(0, |a| a.next_seq);
        if let Some(unsent) = keep::own(&self.store, &account, seq)? {
            self.certify(&unsent, now)?;
        }
        let op = self.ledger.draft(&account, action, now)?.sign(self.ledger.network().id(), &owner.key);
        let mut batch = Batch::new();
        keep::put_own(&mut batch, &op)?;
        self.store.commit(batch)?;
        self.certify(&op, now)
    }

    /// Considers a signed operation and, if every rule holds, certifies it.
    ///
    /// # Errors
    /// [`SoloError`]. A fork's proof is stored, and logged.
    pub fn certify(&mut self, op: &SignedOp, now: u64) -> Result<Record, SoloError> {
        let considered = self.witness.consider_op(&self.ledger, op, now);
        let unsent = self.or_proof(considered, now)?;
        let id = op.op.id(self.ledger.network().id());
        self.keep(unsent, id, op.op.epoch, |network, certificate| {
            Record::op(network, op.clone(), certificate)
        })
    }

    /// Signs and certifies a decision on a lock.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn decide(&mut self, resolve: Resolve, now: u64) -> Result<Record, SoloError> {
        let slashed = (resolve.slash_ucredits, resolve.owner);
        let signed = resolve.sign(self.ledger.network().id(), &self.authority);
        let considered = self.witness.consider_resolve(&self.ledger, &signed, now);
        let unsent = self.or_proof(considered, now)?;
        let id = signed.resolve.id(self.ledger.network().id());
        let epoch = signed.resolve.epoch;
        let record = self
            .keep(unsent, id, epoch, |network, certificate| Record::resolve(network, signed, certificate))?;
        if slashed.0 > 0 {
            self.log(now, EventKind::Slashed, &slashed.1, &format!("{} micro-credits", slashed.0))?;
        }
        Ok(record)
    }

    /// Closes the epochs before `now` with a checkpoint.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn checkpoint(&mut self, now: u64) -> Result<Record, SoloError> {
        let checkpoint = self.ledger.draft_checkpoint(now.saturating_sub(1));
        let considered = self.witness.consider_checkpoint(&self.ledger, &checkpoint, now);
        let unsent = self.or_proof(considered, now)?;
        let id = checkpoint.id(self.ledger.network().id());
        let epoch = checkpoint.epoch;
        self.keep(unsent, id, epoch, |network, certificate| {
            Record::checkpoint(network, checkpoint, certificate)
        })
    }

    /// Writes down a security event.
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
        let mut batch = Batch::new();
        let mut log = self.log.clone();
        put_event(&mut batch, &mut log, now, kind, subject, detail)?;
        self.store.commit(batch)?;
        self.log = log;
        Ok(())
    }

    /// The one place where a vote becomes a certificate: the vote and the record are durable together, and nothing leaves
    /// before they are.
    fn keep(
        &mut self,
        unsent: Unsent,
        id: Id,
        epoch: u64,
        record: impl FnOnce(&Network, ledger::Certificate) -> Record,
    ) -> Result<Record, SoloError> {
        let network = self.ledger.network().clone();
        let mut batch = Batch::new();
        keep::put_votes(&mut batch, &unsent)?;
        let mut collector = Collector::new(*network.id(), id, network.committee(epoch));
        collector.add(&unsent.stored())?;
        let certificate = collector.certificate().cloned();
        let record = record(&network, certificate.ok_or(Refusal { rule: ledger::Rule::QuorumReached })?);
        keep::put_record(&mut batch, &record)?;
        self.store.commit(batch)?;
        let merged = self.ledger.merge([record.clone()], Check::Nothing);
        merged.refused.first().map_or(Ok(record), |(_, refusal)| Err((*refusal).into()))
    }

    fn or_proof(&mut self, considered: Result<Unsent, Refused>, now: u64) -> Result<Unsent, SoloError> {
        let refused = match considered {
            Ok(unsent) => return Ok(unsent),
            Err(refused) => refused,
        };
        if let Some(proof) = refused.proof {
            let (culprit, record) = (*proof.culprit(), Record::proof(*proof));
            let (mut batch, mut log) = (Batch::new(), self.log.clone());
            keep::put_record(&mut batch, &record)?;
            let kind =
                match self.ledger.account(&culprit).is_some_and(|_| culprit == self.authority.account()) {
                    true => EventKind::ConflictingDecisions,
                    false => EventKind::ForkProof,
                };
            put_event(&mut batch, &mut log, now, kind, &culprit, &record.id().to_string())?;
            self.store.commit(batch)?;
            self.log = log;
            self.ledger.merge([record], Check::Signatures);
        }
        Err(refused.refusal.into())
    }

    /// What keys are proved to have done.
    pub fn faults(&self) -> impl Iterator<Item = (&AccountId, &Fault)> {
        self.ledger.faults()
    }
}

/// Entries of a store's audit log, in order, as they are stored.
///
/// # Errors
/// The store cannot be read.
pub fn audit_entries(store: &dyn Store) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut entries = Vec::new();
    store.scan(Table::Audit, b"", &mut |_, value| {
        entries.push(value.to_vec());
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(entries)
}

fn put_event(
    batch: &mut Batch,
    log: &mut Log,
    now: u64,
    kind: EventKind,
    subject: &AccountId,
    detail: &str,
) -> Result<(), SoloError> {
    let event = audit::Event::new(now, kind, subject.to_bytes(), detail)
        .map_err(|error| audit::AuditError::Undecodable { at: log.head().entries, error })?;
    let entry = log.append(event)?;
    batch.put(Table::Audit, ledger::store::audit_key(entry.sequence), entry.encode())?;
    Ok(())
}
