//! What a relay finds in its store when it comes up.

use std::{ops::ControlFlow, sync::Arc};

use ledger::{
    Check, Ledger, Network,
    keep::{self, KeepError},
    store::{Store, StoreError, Table},
    witness::{Place, Voted},
};
use thiserror::Error;

use super::market::TASK;
use crate::wire::Submit;

/// What a relay knew before it went down.
#[derive(Debug)]
pub struct Restored {
    /// Every record it had stored, folded.
    pub ledger: Ledger,
    /// What it voted for.
    pub votes: Vec<(Place, Voted)>,
    /// Tasks that it had written down and not settled.
    pub tasks: Vec<OpenTask>,
}

/// A task that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTask {
    /// Where it lies in the store.
    pub place: u32,
    /// As it was sent in.
    pub submit: Submit,
}

/// Why a store is not what a relay left.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The ledger's part of it.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task does not read.
    #[error("the task at place {place} was changed")]
    Task {
        /// Where.
        place: u32,
    },
}

impl Restored {
    /// A relay that was never up.
    pub fn nothing(network: Arc<Network>) -> Self {
        Restored { ledger: Ledger::new(network), votes: vec![], tasks: vec![] }
    }

    /// Reads a relay's store.
    ///
    /// # Errors
    /// The first thing in it that is not as the relay wrote it.
    pub fn read(store: &dyn Store, network: Arc<Network>) -> Result<Self, RestoreError> {
        let ledger = keep::ledger(store, network, Check::Makers)?;
        Ok(Restored { ledger, votes: keep::votes(store)?, tasks: tasks(store)? })
    }
}

fn tasks(store: &dyn Store) -> Result<Vec<OpenTask>, RestoreError> {
    let mut found = Vec::new();
    store.scan(Table::Meta, TASK, &mut |key, value| {
        let Some(place) = key.strip_prefix(TASK) else { return ControlFlow::Break(()) };
        if let (Ok(place), false) = (<[u8; 4]>::try_from(place), value.is_empty()) {
            found.push((u32::from_be_bytes(place), value.to_vec()));
        }
        ControlFlow::Continue(())
    })?;
    let read = |(place, bytes): (u32, Vec<u8>)| {
        let submit = postcard::from_bytes(&bytes).map_err(|_| RestoreError::Task { place })?;
        Ok(OpenTask { place, submit })
    };
    found.into_iter().map(read).collect()
}
