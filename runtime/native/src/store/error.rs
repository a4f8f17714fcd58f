//! What redb says, in the store's words.

use std::io;

use ledger::store::StoreError;
use redb::Error;

/// Every error type of redb becomes its `Error` first.
pub(super) fn told(error: impl Into<Error>) -> StoreError {
    match error.into() {
        Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => StoreError::InUse,
        Error::Corrupted(what) => StoreError::Corrupt(what),
        Error::Io(error) => match error.kind() {
            io::ErrorKind::InvalidData => StoreError::Foreign(error.to_string()),
            io::ErrorKind::UnexpectedEof => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Disk(error.to_string()),
        },
        error @ (Error::UpgradeRequired(_)
        | Error::TableTypeMismatch { .. }
        | Error::TableIsMultimap(_)
        | Error::TypeDefinitionChanged { .. }) => StoreError::Foreign(error.to_string()),
        error @ Error::TableDoesNotExist(_) => StoreError::Corrupt(error.to_string()),
        error => StoreError::Disk(error.to_string()),
    }
}
