use identity::{
    AccountId, DecodeError, OpenError, OpenGuard, Opened, Prekeys,
    seal::{Delivery, open},
};
use ledger::{
    Id,
    store::{Batch, Store, Table},
};

use crate::edge::saved::{SavedError, key_of};

/// Which assignments were opened, on [`SHELVES`] shelves by their task: what is written when one is opened is small.
#[derive(Debug)]
pub struct Guards(Vec<OpenGuard>);

impl Default for Guards {
    fn default() -> Self {
        Guards((0..SHELVES).map(|_| OpenGuard::new()).collect())
    }
}

impl Guards {
    /// What the store remembers.
    ///
    /// # Errors
    /// The store cannot be read, or holds other bytes.
    pub fn read(store: &dyn Store, account: &AccountId) -> Result<Self, SavedError> {
        let mut guards = Guards::default();
        for (shelf, guard) in guards.0.iter_mut().enumerate() {
            if let Some(bytes) = store.get(Table::Meta, &shelf_key(account, shelf))? {
                let wrong = |error: DecodeError| SavedError::Decode { what: "guard", error };
                *guard = OpenGuard::decode(&bytes).map_err(wrong)?;
            }
        }
        Ok(guards)
    }

    /// Assignments remembered.
    pub fn len(&self) -> usize {
        self.0.iter().map(OpenGuard::len).sum()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens a delivery, once.
    pub(super) fn open(
        &mut self,
        prekeys: &mut Prekeys,
        task: &Id,
        delivery: &Delivery<'_>,
        epoch: u64,
    ) -> Result<Opened, OpenError> {
        let guard = &mut self.0[shelf_of(task)];
        guard.forget(epoch);
        if guard.len() >= SHELF_MOST {
            return Err(OpenError);
        }
        open(prekeys, guard, delivery, epoch)
    }

    /// Writes the shelf that remembers a task.
    pub(super) fn put(&self, batch: &mut Batch, account: &AccountId, task: &Id) {
        let shelf = shelf_of(task);
        let put = batch.put(Table::Meta, shelf_key(account, shelf), self.0[shelf].encode());
        put.expect("a shelf is shorter than any limit of a batch");
    }
}

fn shelf_of(task: &Id) -> usize {
    usize::from(task.as_bytes()[0]) % SHELVES
}

fn shelf_key(account: &AccountId, shelf: usize) -> Vec<u8> {
    [&key_of(b"guard", account)[..], &[shelf as u8]].concat()
}

/// Shelves.
pub const SHELVES: usize = 64;
/// Most assignments on a shelf: over two days, one in less than a second in all.
pub const SHELF_MOST: usize = 4_096;
