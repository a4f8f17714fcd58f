//! What a single witness's store can be asked beyond the ledger's own rules: whether its votes and its records agree.

use std::collections::BTreeMap;

use ledger::{
    Id, Ledger, Record, keep,
    keep::KeepError,
    store::Store,
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
    /// A vote certified a record, and the record is gone.
    #[error("the witness of this store certified {voted}, and its record is missing")]
    NoRecord {
        /// What the vote is for.
        voted: Id,
    },
}

/// Replays a store: [`keep::verify`], and where it is that of a network's only witness, its votes against its records. The
/// witness keeps a vote and the record it makes in one write, so neither is ever there alone.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(store: &dyn Store) -> Result<Ledger, VerifyError> {
    let ledger = keep::verify(store)?;
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
        let place = match &record {
            Record::Op(r) => Place::Op(r.value.op.account, r.value.op.seq),
            Record::Resolve(r) => Place::Lock(r.value.resolve.lock),
            Record::Checkpoint(r) => Place::Epoch(r.value.epoch),
            Record::Proof(_) => continue,
        };
        match votes.get(&place).map(|voted| voted.value) {
            Some(voted) if voted == record.id() => {}
            Some(voted) => return Err(VerifyError::Conflict { record: record.id(), voted }),
            None => return Err(VerifyError::NoVote { record: record.id() }),
        }
        certified.insert(place, record.id());
    }
    for (place, voted) in votes {
        // That a lock ran out is said by the operation that took it back, which has its own place.
        let ran_out = matches!(place, Place::Lock(lock) if voted.value == expired(lock));
        if !ran_out && certified.get(place) != Some(&voted.value) {
            return Err(VerifyError::NoRecord { voted: voted.value });
        }
    }
    Ok(())
}
