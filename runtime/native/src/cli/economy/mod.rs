//! `edge-net wallet`, `ledger` and `audit`: where keys and stores lie, and what the commands share.

pub(crate) mod audit;
mod backup;
pub(crate) mod ledger;
mod receipts;
mod site;
pub(crate) mod text;
pub(crate) mod wallet;

use std::{
    ffi::OsString,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use ::ledger::{Ledger, store::Store};
use edge_net::{
    solo::{self, Solo, log_damage},
    store::RedbStore,
    wallet::{Wallet, WalletError, write_secret},
};
use identity::AccountId;
use serde::Serialize;

use super::{
    args::economy::{KeyFile, Look, Operator, StoreArg, StoreFlag},
    failure::Failure,
    print,
    task::{is_stream, write},
    terminal::Terminal,
};

impl KeyFile {
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        or_data(self.key_file.as_deref(), "wallet.key", "--key-file")
    }

    pub(super) fn open(&self) -> Result<Wallet, Failure> {
        let path = self.path()?;
        Wallet::open(&path).map_err(|error| match &error {
            WalletError::Io { error: io, .. } if io.kind() == std::io::ErrorKind::NotFound => {
                let make = "no such key file: edge-net wallet create";
                Failure::Failed(format!("{}: {make}", path.display()))
            }
            _ => Failure::Failed(error.to_string()),
        })
    }
}

impl StoreFlag {
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        or_data(self.store.as_deref(), "ledger.store", "--store")
    }

    /// The store, where one was named or the default one is there.
    fn there(&self) -> Option<PathBuf> {
        let named = self.store.as_deref().is_some_and(|path| !path.as_os_str().is_empty());
        self.path().ok().filter(|path| named || path.exists())
    }
}

impl StoreArg {
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        or_data(self.store.as_deref(), "ledger.store", "STORE")
    }
}

impl Operator {
    pub(super) fn path(&self, store: &Path) -> PathBuf {
        let named = self.operator.clone().filter(|path| !path.as_os_str().is_empty());
        named.unwrap_or_else(|| beside(store, OPERATOR_KEY))
    }

    /// Opens a single-machine network as its operator.
    fn open(&self, store: &Path) -> Result<Solo, Failure> {
        let operator = Wallet::open(&self.path(store)).map_err(failed)?;
        Solo::open(store, &operator, text::now()).map_err(failed)
    }
}

impl Look {
    /// The account asked for, and the wallet it comes from.
    fn account(&self) -> Result<(AccountId, Option<Wallet>), Failure> {
        match self.account {
            Some(account) => Ok((account, None)),
            None => self.key.open().map(|wallet| (wallet.account(), Some(wallet))),
        }
    }
}

/// A ledger to read. What was stored is taken for checked; damage that shows is logged in the store.
fn read_ledger(path: &Path) -> Result<Ledger, Failure> {
    let store = RedbStore::open_any(path).map_err(failed)?;
    solo::read(&store).map_err(|damage| damaged(path, &store, &damage))
}

/// Logs what is the matter with a store, and says it.
fn damaged(path: &Path, store: &dyn Store, damage: &dyn std::error::Error) -> Failure {
    let mut problem = format!("store {}: {damage}", path.display());
    if let Err(error) = log_damage(store, text::now(), damage) {
        problem += &format!("; it could not be logged: {error}");
    }
    Failure::Failed(problem)
}

/// Writes a file where there is none, or stdout.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_stream(path) { write(path, bytes) } else { write_secret(path, bytes).map_err(failed) }
}

/// Refuses two uses of stdout.
fn not_both(json: bool, out: &Path) -> Result<(), Failure> {
    match json && is_stream(out) {
        true => {
            Err(Failure::Usage("--json and the result cannot both go to stdout: give --out a file".into()))
        }
        false => Ok(()),
    }
}

/// Reads a file that is not longer than what it is meant to be.
fn read_short(path: &Path, most_bytes: usize) -> Result<Vec<u8>, Failure> {
    short(path, most_bytes).map_err(|problem| Failure::Failed(format!("{}: {problem}", path.display())))
}

/// The same, and what is wrong without the file's name.
fn short(path: &Path, most_bytes: usize) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(most_bytes as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > most_bytes { Err("longer than any such file".into()) } else { Ok(bytes) }
}

/// One JSON object a line.
fn print_lines<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<(), Failure> {
    let mut text = String::new();
    for row in rows {
        text += &serde_json::to_string(&row).map_err(failed)?;
        text.push('\n');
    }
    print(&text)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

/// A path, or its place in the platform's data folder.
pub(super) fn or_data(path: Option<&Path>, name: &str, flag: &str) -> Result<PathBuf, Failure> {
    if let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) {
        return Ok(path.to_owned());
    }
    let folder = dirs::data_dir().ok_or_else(|| {
        Failure::Usage(format!("{flag}: the platform names no data folder for this user: give a path"))
    })?;
    Ok(folder.join("edge-net").join(name))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Tells what is done besides what was asked.
fn note(terminal: &mut Terminal, text: &str) {
    use edge_net::model::Observer;
    terminal.note(text);
}

/// What the key files of a network's founder end with.
const OPERATOR_KEY: &str = ".operator.key";
const TREASURY_KEY: &str = ".treasury.key";
