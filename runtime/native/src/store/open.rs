//! Making and opening the file.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ledger::store::{
    META_NETWORK, META_SCHEMA, NetworkId, StoreError, Table,
    schema::{self, Admission, SCHEMA_VERSION, STEPS, Step},
};
use redb::{Builder, Database, ReadableDatabase, StorageBackend, TableHandle, backends::FileBackend};

use super::{Queue, RedbStore, definition, held::Held, told, writer};
use crate::files::Lock;

/// Why a store could not be opened or made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("store {}: {error}", path.display())]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// What is the matter with it.
    pub error: StoreError,
}

impl RedbStore {
    /// Makes a store that belongs to `network` for good, readable by its owner only, and opens it. The file appears
    /// when it is complete; beside it remains an empty `.lock`.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is any file at `path`, and [`StoreError::Disk`].
    pub fn create(path: &Path, network: &NetworkId) -> Result<Self, OpenError> {
        make(path, network).and_then(|()| open(path, Some(network))).map_err(at(path))
    }

    /// Opens a store, brings it to this program's schema, and verifies the whole file.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::InUse`], [`StoreError::Foreign`], [`StoreError::Corrupt`],
    /// [`StoreError::LaterSchema`], [`StoreError::OtherNetwork`], [`StoreError::Disk`].
    pub fn open(path: &Path, network: &NetworkId) -> Result<Self, OpenError> {
        open(path, Some(network)).map_err(at(path))
    }

    /// Opens a store, or makes it where there is none: for an edge, which has nothing to lose before its first operation. One
    /// whose store was deleted must not go on with the same account, see `SECURITY.md`.
    ///
    /// # Errors
    /// As [`open`](RedbStore::open) and [`create`](RedbStore::create).
    pub fn open_or_create(path: &Path, network: &NetworkId) -> Result<Self, OpenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(disk).map_err(at(path))?;
        }
        match Self::create(path, network) {
            Err(OpenError { error: StoreError::Exists, .. }) => Self::open(path, network),
            made => made,
        }
    }

    /// Opens a store of whatever network it belongs to: for who asks the store which one that is.
    ///
    /// # Errors
    /// As [`open`](RedbStore::open).
    pub fn open_any(path: &Path) -> Result<Self, OpenError> {
        open(path, None).map_err(at(path))
    }

    /// Opens a store on anything that redb can write to, or makes one if it is empty. For tests with a simulated disk.
    ///
    /// # Errors
    /// As [`open`](RedbStore::open) and [`create`](RedbStore::create).
    #[doc(hidden)]
    pub fn on(backend: impl StorageBackend, network: &NetworkId) -> Result<Self, StoreError> {
        let fresh = backend.len().map_err(|e| StoreError::Disk(e.to_string()))? == 0;
        start(opened(backend, Some(network), fresh)?)
    }
}

/// Writes an empty store under another name, and gives it its name when it is on disk.
fn make(path: &Path, network: &NetworkId) -> Result<(), StoreError> {
    let _lock = Lock::take(&beside(path, ".lock"), || {}).map_err(disk)?;
    if fs::symlink_metadata(path).is_ok() {
        return Err(StoreError::Exists);
    }
    let part = beside(path, ".part");
    // One that a crash left. We hold the lock, so nobody is writing it.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&part).map_err(disk)?;
    let database = opened(FileBackend::new(file).map_err(told)?, Some(network), true)?;
    database.close().map_err(told)?;
    fs::rename(&part, path).map_err(disk)?;
    sync_folder(path).map_err(disk)
}

fn open(path: &Path, network: Option<&NetworkId>) -> Result<RedbStore, StoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::Missing,
        _ => disk(error),
    })?;
    // redb would make a database of an empty file. A store is never empty, so something happened to this one.
    if file.metadata().map_err(disk)?.len() == 0 {
        return Err(StoreError::Corrupt("the file is empty".into()));
    }
    start(opened(FileBackend::new(file).map_err(told)?, network, false)?)
}

/// Opens a database, makes sure that it is a store for `network`, and only then lets anything be written to it. `fresh`:
/// it may be one yet to be made. No network: whichever the store says.
fn opened(
    backend: impl StorageBackend,
    network: Option<&NetworkId>,
    fresh: bool,
) -> Result<Database, StoreError> {
    let held = Held::new(backend).map_err(disk)?;
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_check_integrity_on_open(true);
    let database = builder.create_with_backend(held.clone()).map_err(told)?;
    let admission = admit(&database, network, fresh)?;
    held.release().map_err(disk)?;
    match admission {
        Admission::Fresh => migrate(&database, &Table::ALL.map(Step::AddTable), network)?,
        Admission::Migrate([]) => {}
        Admission::Migrate(steps) => migrate(&database, steps, None)?,
    }
    Ok(database)
}

fn start(database: Database) -> Result<RedbStore, StoreError> {
    let (database, queue) = (Arc::new(database), Arc::new(Queue::default()));
    let writer = writer::start(database.clone(), queue.clone()).map_err(disk)?;
    Ok(RedbStore { database, queue, writer: Some(writer) })
}

/// Decides from its tables and from what `meta` says whether a database is a store for `network`. Only reads.
fn admit(database: &Database, network: Option<&NetworkId>, fresh: bool) -> Result<Admission, StoreError> {
    let reading = database.begin_read().map_err(told)?;
    let names: Vec<String> =
        reading.list_tables().map_err(told)?.map(|table| table.name().to_owned()).collect();
    let missing = |table: &Table| !names.iter().any(|name| name == table.name());
    let mut admission = Admission::Fresh;
    if !missing(&Table::Meta) {
        let meta = reading.open_table(definition(Table::Meta)).map_err(told)?;
        let value = |name: &[u8]| meta.get(name).map_err(told);
        let (schema, found) = (value(META_SCHEMA)?, value(META_NETWORK)?);
        let (schema, found) = (schema.as_ref().map(|v| v.value()), found.as_ref().map(|v| v.value()));
        let own = found.and_then(|found| found.try_into().ok()).unwrap_or_default();
        admission = schema::admit(schema, found, network.unwrap_or(&own))?;
    }
    match admission {
        Admission::Fresh if fresh && names.is_empty() => {}
        Admission::Fresh => {
            return Err(StoreError::Foreign("a redb database that does not say what it is".into()));
        }
        Admission::Migrate(steps) => {
            let version = STEPS.len() - steps.len();
            if let Some(table) = schema::tables(version as u32).find(missing) {
                return Err(StoreError::Corrupt(format!("its table {table} is missing")));
            }
        }
    }
    Ok(admission)
}

/// Carries out steps and writes the version they lead to, in one transaction.
fn migrate(database: &Database, steps: &[Step], network: Option<&NetworkId>) -> Result<(), StoreError> {
    let mut writing = database.begin_write().map_err(told)?;
    writing.set_two_phase_commit(true);
    for Step::AddTable(table) in steps {
        writing.open_table(definition(*table)).map_err(told)?;
    }
    let mut meta = writing.open_table(definition(Table::Meta)).map_err(told)?;
    meta.insert(META_SCHEMA, &SCHEMA_VERSION.to_be_bytes()[..]).map_err(told)?;
    if let Some(network) = network {
        meta.insert(META_NETWORK, &network[..]).map_err(told)?;
    }
    drop(meta);
    writing.commit().map_err(told)
}

/// Without it a crash could take the file's name away although its bytes are on disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn at(path: &Path) -> impl Fn(StoreError) -> OpenError {
    move |error| OpenError { path: path.to_owned(), error }
}

fn disk(error: io::Error) -> StoreError {
    StoreError::Disk(error.to_string())
}

/// Memory for pages. The recent votes and records, which are what is read, fit many times over.
const CACHE_BYTES: usize = 64 << 20;
