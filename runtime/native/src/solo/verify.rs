//! What a single witness's store can be asked beyond the ledger's own rules: whether its votes and its records agree.

use std::{collections::BTreeMap, sync::Arc};

use ledger::{
    Check, Id, Ledger, Network, Record, keep,
    keep::KeepError,
    store::{META_NETWORK, Store, StoreError, Table},
    witness::{Place, Voted, expired},
};
use thiserror::Error;

/// What does not hold in a store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// A record, a rule or an invariant.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// A record is certified at a place where the witness voted for something else (W3).
    #[error(
        "the record {record} is certified, and the witness of this store voted for {voted} in its place (one-vote-per-sequence)"
    )]
    Conflict {
        /// The record.
        record: Id,
        /// What the vote is for.
        voted: Id,
    },
    /// A record is certified and the vote that certified it is gone (W3).
    #[error("the record {record} is certified, and the vote for it is missing (vote-durable)")]
    NoVote {
        /// The record.
        record: Id,
    },
    /// An operation is stored as what its owner signed, and another was certified: sent again, it would be a fork.
    #[error("the record {record} is certified, and its owner signed {own} in its place as this store has it")]
    Own {
        /// The record.
        record: Id,
        /// What the owner signed.
        own: Id,
    },
    /// A vote certified a record, and the record is gone.
    #[error("the witness of this store certified {voted}, and its record is missing")]
    NoRecord {
        /// What the vote is for.
        voted: Id,
    },
}

/// The ledger that a store holds, of the network that the store was made for. What was stored is taken for checked.
///
/// # Errors
/// What is wrong with the first record that is not as it was written, or with the founding.
pub fn read(store: &dyn Store) -> Result<Ledger, KeepError> {
    keep::ledger(store, Arc::new(network(store)?), Check::Makers)
}

/// The network that a store was made for: the founding can be replaced, what the store was made for cannot.
///
/// # Errors
/// As [`keep::network`], and [`StoreError::OtherNetwork`].
pub fn network(store: &dyn Store) -> Result<Network, KeepError> {
    let network = keep::network(store)?;
    let own = store.get(Table::Meta, META_NETWORK)?.and_then(|own| own.try_into().ok()).unwrap_or_default();
    match *network.id().as_bytes() {
        asked if asked != own => Err(StoreError::OtherNetwork { found: own, asked }.into()),
        _ => Ok(network),
    }
}

/// Replays a store: [`keep::verify`], and where it is that of a network's only witness, its votes against its records. The
/// witness keeps a vote and the record it makes in one write, so neither is ever there alone.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(store: &dyn Store) -> Result<Ledger, VerifyError> {
    network(store)?;
    let ledger = keep::verify(store)?;
    for record in ledger.records() {
        let Record::Op(r) = &record else { continue };
        let own = keep::own(store, &r.value.op.account, r.value.op.seq)?;
        match own.map(|own| own.op.id(ledger.network().id())) {
            Some(own) if own != r.id => return Err(VerifyError::Own { record: r.id, own }),
            _ => {}
        }
    }
    let votes: BTreeMap<Place, Voted> = keep::votes(store)?.into_iter().collect();
    let network = ledger.network();
    let (first, last) = (network.committee(0), network.committee(u64::MAX));
    // A store without votes is not the witness's own; a witness that came back under another key lacks its old ones.
    let alone = first.members().len() == 1 && first.members() == last.members() && !votes.is_empty();
    if alone {
        compare(&ledger, &votes)?;
    }
    Ok(ledger)
}

fn compare(ledger: &Ledger, votes: &BTreeMap<Place, Voted>) -> Result<(), VerifyError> {
    let mut certified = BTreeMap::new();
    for record in ledger.records() {
        let id = record.id();
        let places = match &record {
            Record::Op(r) => vec![(Place::Op(r.value.op.account, r.value.op.seq), id)],
            Record::Resolve(r) => vec![(Place::Lock(r.value.resolve.lock), id)],
            Record::Checkpoint(r) => vec![(Place::Epoch(r.value.epoch), id)],
            Record::Expiry(r) => r.value.locks.iter().map(|l| (Place::Lock(*l), expired(l))).collect(),
            Record::Proof(_) => continue,
        };
        for (place, value) in places {
            match votes.get(&place).map(|voted| voted.value) {
                Some(voted) if voted == value => {}
                Some(voted) => return Err(VerifyError::Conflict { record: id, voted }),
                None => return Err(VerifyError::NoVote { record: id }),
            }
            certified.insert(place, value);
        }
    }
    for (place, voted) in votes {
        if certified.get(place) != Some(&voted.value) {
            return Err(VerifyError::NoRecord { voted: voted.value });
        }
    }
    Ok(())
}
