//! How the ledger lies in a [`Store`]: which bytes, under which key, and how they are read back.
//!
//! | table | key | value |
//! |---|---|---|
//! | `records` | SHA-256 of the value | [`Record::encode`] |
//! | `votes` | [`Place::encode`] | [`Voted::encode`] |
//! | `own` | account, then seq big-endian | [`SignedOp::encode`] |
//! | `meta` | `founding`; `committee`, then the epoch big-endian | [`Founding::encode`]; [`CommitteeChange::encode`] |
//! | `meta` | `own`, then the account | seq of the last in `own`, big-endian |
//! | `meta` | `roll`, then epoch and part, big-endian | [`Roll::encode`] |
//!
//! The key of a record is the hash of its bytes and not the record's id: a certificate may come again with more signers.

use std::{ops::ControlFlow, sync::Arc};

use identity::AccountId;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    Broken, Check, CommitteeChange, DecodeError, Founding, Id, Ledger, Network, NetworkError, Record,
    Refusal, Roll, Rule,
    op::SignedOp,
    store::{Batch, Store, StoreError, Table},
    witness::{Place, Unsent, Voted},
};

/// Why a stored ledger cannot be read, or is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeepError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store does not say which network it is of.
    #[error("the store holds no founding of a network")]
    NoFounding,
    /// The founding or a change of the committee is not valid.
    #[error("the network in the store: {0}")]
    Network(#[from] NetworkError),
    /// Bytes under a key are not what belongs there.
    #[error("{table} under {key}: {error}")]
    Decode {
        /// The table.
        table: Table,
        /// The key, in hexadecimal.
        key: String,
        /// What is wrong.
        error: DecodeError,
    },
    /// A record does not lie under its own hash.
    #[error("the record {id} lies under another key: its bytes were changed")]
    Key {
        /// The record.
        id: Id,
    },
    /// A record breaks a rule.
    #[error("the record {id} breaks a rule: {refusal}")]
    Refused {
        /// The record.
        id: Id,
        /// The rule.
        refusal: Refusal,
    },
    /// A record that counts for nothing breaks a rule of the fold.
    #[error("the record {id} of {account} is certified and cannot count: {rule}")]
    Stuck {
        /// The record.
        id: Id,
        /// Whose chain.
        account: AccountId,
        /// The rule.
        rule: Rule,
    },
    /// An invariant does not hold.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Writes a network's founding. Done once, when a store is made.
///
/// # Errors
/// Those of the batch.
pub fn put_founding(batch: &mut Batch, founding: &Founding) -> Result<(), StoreError> {
    batch.put(Table::Meta, FOUNDING, founding.encode()).map(drop)
}

/// Writes a change of the committee.
///
/// # Errors
/// Those of the batch.
pub fn put_change(batch: &mut Batch, change: &CommitteeChange) -> Result<(), StoreError> {
    let key = [COMMITTEE, &change.from_epoch.to_be_bytes()].concat();
    batch.put(Table::Meta, key, change.encode()).map(drop)
}

/// Writes a part of the roll of a checkpoint, in the place of what was there.
///
/// # Errors
/// Those of the batch.
pub fn put_roll(batch: &mut Batch, roll: &Roll, part: u32) -> Result<(), StoreError> {
    let key = [ROLL, &roll.checkpoint().epoch.to_be_bytes(), &part.to_be_bytes()].concat();
    batch.put(Table::Meta, key, roll.encode()).map(drop)
}

/// The rolls of checkpoints from an epoch on.
///
/// # Errors
/// The store cannot be read, or holds other bytes.
pub fn rolls(store: &dyn Store, from_epoch: u64) -> Result<Vec<Roll>, KeepError> {
    let entries = entries(store, Table::Meta, &[ROLL, &from_epoch.to_be_bytes()].concat())?;
    let rolls = entries.into_iter().take_while(|(key, _)| key.starts_with(ROLL));
    rolls.map(|(key, bytes)| Roll::decode(&bytes).map_err(|e| damaged(Table::Meta, &key, e))).collect()
}

/// Writes a record.
///
/// # Errors
/// Those of the batch.
pub fn put_record(batch: &mut Batch, record: &Record) -> Result<(), StoreError> {
    let bytes = record.encode();
    let key: [u8; 32] = Sha256::digest(&bytes).into();
    batch.put(Table::Records, key, bytes).map(drop)
}

/// Writes what must be durable before a vote leaves.
///
/// # Errors
/// Those of the batch.
pub fn put_votes(batch: &mut Batch, unsent: &Unsent) -> Result<(), StoreError> {
    unsent
        .writes()
        .iter()
        .try_for_each(|(place, voted)| batch.put(Table::Votes, place.encode(), voted.encode()).map(drop))
}

/// Writes an owner's own operation, before it is sent. A second one for the same seq is refused by the store: sent, it
/// would be a fork.
///
/// # Errors
/// Those of the batch.
pub fn put_own(batch: &mut Batch, op: &SignedOp) -> Result<(), StoreError> {
    batch.put(Table::Own, own_key(&op.op.account, op.op.seq), op.encode()).map(drop)
}

/// The operation that an owner signed for a seq, whether it was sent or not.
///
/// # Errors
/// The store cannot be read, or holds other bytes.
pub fn own(store: &dyn Store, account: &AccountId, seq: u64) -> Result<Option<SignedOp>, KeepError> {
    let key = own_key(account, seq);
    let bytes = store.get(Table::Own, &key)?;
    let decode = |bytes: Vec<u8>| SignedOp::decode(&bytes).map_err(|e| damaged(Table::Own, &key, e));
    bytes.map(decode).transpose()
}

/// Writes the seq of an owner's last operation, in the batch that writes the operation.
///
/// # Errors
/// Those of the batch.
pub fn put_own_head(batch: &mut Batch, account: &AccountId, seq: u64) -> Result<(), StoreError> {
    batch.put(Table::Meta, [OWN, account.as_bytes()].concat(), seq.to_be_bytes()).map(drop)
}

/// The last operation that an owner signed, as [`put_own_head`] says.
///
/// # Errors
/// The store cannot be read, or holds other bytes.
pub fn last_own(store: &dyn Store, account: &AccountId) -> Result<Option<SignedOp>, KeepError> {
    let key = [OWN, account.as_bytes()].concat();
    let Some(bytes) = store.get(Table::Meta, &key)? else { return Ok(None) };
    let wrong = DecodeError::Tag { what: "bytes of a seq", found: bytes.len().min(255) as u8 };
    let seq = bytes.try_into().map_err(|_| damaged(Table::Meta, &key, wrong))?;
    own(store, account, u64::from_be_bytes(seq))
}

/// The network a store is of.
///
/// # Errors
/// [`KeepError::NoFounding`], [`KeepError::Network`].
pub fn network(store: &dyn Store) -> Result<Network, KeepError> {
    let founding = store.get(Table::Meta, FOUNDING)?.ok_or(KeepError::NoFounding)?;
    let founding = Founding::decode(&founding).map_err(NetworkError::Decode)?;
    let mut network = Network::new(founding)?;
    for (key, bytes) in entries(store, Table::Meta, COMMITTEE)? {
        if !key.starts_with(COMMITTEE) {
            break;
        }
        network.change(&CommitteeChange::decode(&bytes).map_err(NetworkError::Decode)?)?;
    }
    Ok(network)
}

/// The ledger that a store holds. With [`Check::Makers`], certificates are taken for granted: they were checked before they
/// were stored.
///
/// # Errors
/// What is wrong with the first record that is not as it was written.
pub fn ledger(store: &dyn Store, network: Arc<Network>, check: Check) -> Result<Ledger, KeepError> {
    let mut ledger = Ledger::new(network.clone());
    let mut records = Vec::new();
    for (key, bytes) in entries(store, Table::Records, b"")? {
        let record = Record::decode(&bytes, &network).map_err(|e| damaged(Table::Records, &key, e))?;
        if Sha256::digest(&bytes)[..] != key[..] {
            return Err(KeepError::Key { id: record.id() });
        }
        records.push(record);
    }
    // In the order of chains, so that none is ahead of its own by more than is kept.
    records.sort_by_key(|record| match record {
        Record::Op(r) => (0, r.value.op.seq, record.id()),
        _ => (1, 0, record.id()),
    });
    let merged = ledger.merge(records, check);
    match merged.refused.first() {
        Some(&(id, refusal)) => Err(KeepError::Refused { id, refusal }),
        None => Ok(ledger),
    }
}

/// What a witness voted for.
///
/// # Errors
/// The store cannot be read, or holds other bytes.
pub fn votes(store: &dyn Store) -> Result<Vec<(Place, Voted)>, KeepError> {
    let entries = entries(store, Table::Votes, b"")?;
    let decode = |(key, bytes): Entry| {
        let place = Place::decode(&key).map_err(|e| damaged(Table::Votes, &key, e))?;
        let voted = Voted::decode(&bytes).map_err(|e| damaged(Table::Votes, &key, e))?;
        Ok((place, voted))
    };
    entries.into_iter().map(decode).collect()
}

/// Replays a store: every signature, every rule, every invariant, in two orders.
///
/// # Errors
/// The first thing that does not hold, by the record at which it shows.
pub fn verify(store: &dyn Store) -> Result<Ledger, KeepError> {
    let network = Arc::new(network(store)?);
    let ledger = ledger(store, network, Check::Signatures)?;
    for stuck in ledger.stuck() {
        // What contradicts itself is void by rule and accounted for; what only misses something may yet count.
        if let Some(rule) = stuck.rule.filter(|rule| *rule != Rule::ConflictVoids) {
            return Err(KeepError::Stuck { id: stuck.record, account: stuck.account, rule });
        }
    }
    ledger.check_invariants()?;
    ledger.check_refold()?;
    votes(store)?;
    Ok(ledger)
}

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

fn entries(store: &dyn Store, table: Table, from: &[u8]) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    store.scan(table, from, &mut |key, value| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(entries)
}

fn damaged(table: Table, key: &[u8], error: DecodeError) -> KeepError {
    let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
    KeepError::Decode { table, key, error }
}

fn own_key(account: &AccountId, seq: u64) -> Vec<u8> {
    [&account.as_bytes()[..], &seq.to_be_bytes()].concat()
}

const FOUNDING: &[u8] = b"founding";
const COMMITTEE: &[u8] = b"committee";
const OWN: &[u8] = b"own";
const ROLL: &[u8] = b"roll";
