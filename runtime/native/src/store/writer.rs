//! The thread that writes.

use std::{collections::BTreeMap, io, sync::Arc, thread};

use ledger::store::{Batch, StoreError, Table};
use redb::{Database, ReadableTable, WriteTransaction};

use super::{Queue, definition, queue::Job, told};

/// Starts the writer. It ends when the queue is closed and empty.
pub(super) fn start(database: Arc<Database>, queue: Arc<Queue>) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("store".into()).spawn(move || run(&database, &queue))
}

fn run(database: &Database, queue: &Queue) {
    let _serving = queue.serve();
    let mut failure: Option<String> = None;
    while let Some(group) = queue.take() {
        if let Some(failure) = &failure {
            for job in group {
                (job.done)(Err(StoreError::Halted(failure.clone())));
            }
            continue;
        }
        match write(database, &group) {
            Ok(fates) => {
                for (job, fate) in group.into_iter().zip(fates) {
                    (job.done)(fate);
                }
            }
            // Also those that conflict: perhaps with a batch of this very group, of which nobody knows what became.
            Err(error) => {
                failure = Some(error.to_string());
                for job in group {
                    (job.done)(Err(error.clone()));
                }
            }
        }
    }
}

/// Writes a group in one durable transaction. The inner results are the batches' own.
fn write(database: &Database, group: &[Job]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let mut transaction = database.begin_write().map_err(told)?;
    // Durability is `Immediate` unless said otherwise.
    transaction.set_two_phase_commit(true);
    let mut tables = Tables::open(&transaction)?;
    let fates = group.iter().map(|job| tables.write(&job.batch)).collect::<Result<_, _>>()?;
    let changed = tables.changed;
    drop(tables);
    if changed {
        transaction.commit().map_err(told)?;
    } else {
        // What was asked for is there already, durable since the group that wrote it.
        transaction.abort().map_err(told)?;
    }
    Ok(fates)
}

/// The tables of one transaction, and whether anything in them changed.
struct Tables<'t> {
    open: BTreeMap<Table, Writing<'t>>,
    changed: bool,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        let open = |table| Ok((table, transaction.open_table(definition(table)).map_err(told)?));
        Ok(Tables { open: Table::ALL.into_iter().map(open).collect::<Result<_, _>>()?, changed: false })
    }

    /// Reads before it writes, so that a batch in conflict leaves nothing. Sees the earlier batches of its group.
    fn write(&mut self, batch: &Batch) -> Result<Result<(), StoreError>, StoreError> {
        let mut fresh = Vec::with_capacity(batch.len());
        for (table, key, value) in batch.puts() {
            match self.table(table).get(key).map_err(told)? {
                Some(held) if held.value() == value => {}
                Some(_) if table.is_append_only() => {
                    return Ok(Err(StoreError::Conflict { table, key: key.to_vec() }));
                }
                _ => fresh.push((table, key, value)),
            }
        }
        self.changed |= !fresh.is_empty();
        for (table, key, value) in fresh {
            self.table(table).insert(key, value).map_err(told)?;
        }
        Ok(Ok(()))
    }

    fn table(&mut self, table: Table) -> &mut Writing<'t> {
        self.open.get_mut(&table).expect("every table is open")
    }
}

type Writing<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;
