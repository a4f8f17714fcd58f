//! Security events on their way into a store's audit log.

use std::ops::ControlFlow;

use ledger::{
    audit::{self, AuditError, EntryError, Event, EventKind, Log, MAX_DETAIL_BYTES},
    store::{Batch, Store, StoreError, Table, audit_key},
};
use thiserror::Error;

/// Why an event was not written down.
#[derive(Debug, Error)]
pub enum LogError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log so far is not what was written.
    #[error("the audit log: {0}")]
    Audit(#[from] AuditError),
    /// The event itself.
    #[error("the audit log: {0}")]
    Entry(#[from] EntryError),
}

/// Entries of a store's audit log, in order, as they are stored.
///
/// # Errors
/// The store cannot be read.
pub fn audit_entries(store: &dyn Store) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut entries = Vec::new();
    store.scan(Table::Audit, b"", &mut |_, value| {
        entries.push(value.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(entries)
}

/// Writes down that a store does not hold what was written to it, once: whoever opens it again finds the same.
///
/// # Errors
/// [`LogError`].
pub fn log_damage(store: &dyn Store, now: u64, damage: &dyn std::error::Error) -> Result<(), LogError> {
    let entries = audit_entries(store)?;
    let mut log = Log::resume(audit::verify(&entries)?);
    let event = event(now, EventKind::StoreDamaged, [0; 32], &damage.to_string())?;
    let last = entries.last().map(|last| audit::Entry::decode(last)).transpose()?;
    let known =
        |entry: &audit::Entry| entry.event.kind() == event.kind() && entry.event.detail() == event.detail();
    if last.as_ref().is_some_and(known) {
        return Ok(());
    }
    let mut batch = Batch::new();
    put_event(&mut batch, &mut log, event)?;
    Ok(store.commit(batch)?)
}

/// An event whose detail may quote anything: what controls a terminal becomes a question mark, what is long is cut.
pub(super) fn event(now: u64, kind: EventKind, subject: [u8; 32], detail: &str) -> Result<Event, EntryError> {
    let mut text = String::with_capacity(detail.len());
    for c in detail.chars() {
        let one = Event::new(now, kind, subject, c.encode_utf8(&mut [0; 4])).map_or('?', |_| c);
        if text.len() + one.len_utf8() > MAX_DETAIL_BYTES {
            break;
        }
        text.push(one);
    }
    Event::new(now, kind, subject, &text)
}

pub(super) fn put_event(batch: &mut Batch, log: &mut Log, event: Event) -> Result<(), LogError> {
    let entry = log.append(event)?;
    batch.put(Table::Audit, audit_key(entry.sequence), entry.encode())?;
    Ok(())
}
