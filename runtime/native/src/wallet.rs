//! Key files: an account's seed in a file that only its owner can read.
//!
//! ```text
//! edge-net key 1
//! account edge1...
//! seed <64 hexadecimal digits>
//! referrer edge1...        only where the account is to be registered with one
//! site example.org         likewise
//! ```
//! The account is there so that a damaged seed is noticed, and so that a person can tell files apart.
//!
//! A backup is [`identity::backup`] of the seed, with the lines after it beside it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use identity::{
    AccountId, SecretKey,
    backup::{self, BackupError, Cost},
};
use ledger::{op::Action, site};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::aead::random;

/// An account's key, and how the account is to be registered.
#[derive(Debug)]
pub struct Wallet {
    /// The key.
    pub key: SecretKey,
    /// Who referred it.
    pub referrer: Option<AccountId>,
    /// The label of the site it came through.
    pub site: Option<String>,
}

/// Why a key file, or another secret, cannot be used or written.
#[derive(Debug, Error)]
pub enum WalletError {
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is a file, and it stays.
    #[error("{}: is there already, and is not replaced", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others could read the secret.
    #[error("{0}: mode {mode:o} lets others read the secret: chmod 600 {0}", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not what it should be, or damaged.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Wallet {
    /// A key that nobody had before.
    pub fn generate() -> Self {
        Wallet { key: SecretKey::generate(&mut random), referrer: None, site: None }
    }

    /// Its account.
    pub fn account(&self) -> AccountId {
        self.key.account()
    }

    /// What the account's first operation registers; nothing to register, nothing to do.
    pub fn opening(&self) -> Action {
        match (self.referrer, &self.site) {
            (None, None) => Action::Noop,
            (referrer, label) => Action::Open { referrer, site: label.as_deref().map(site::site) },
        }
    }

    /// Writes a file that only its owner can read, where there is none.
    ///
    /// # Errors
    /// [`WalletError::Exists`] and [`WalletError::Io`].
    pub fn create(&self, path: &Path) -> Result<(), WalletError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|error| WalletError::Io { path: path.to_owned(), error })?;
        }
        write_secret(path, self.text().as_bytes())
    }

    /// Reads a file of [`Wallet::create`].
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn open(path: &Path) -> Result<Self, WalletError> {
        let text = read_secret(path, MOST_BYTES)?;
        let content = |problem| WalletError::Content { path: path.to_owned(), problem };
        Self::parse(std::str::from_utf8(&text).map_err(|_| content("not a key file: no text"))?)
            .map_err(content)
    }

    /// The key and what goes with it, sealed under a passphrase.
    ///
    /// # Errors
    /// Those of [`backup::export`].
    pub fn export(&self, passphrase: &[u8]) -> Result<Vec<u8>, BackupError> {
        backup::export(&self.key, self.registration().as_bytes(), passphrase, Cost::RECOMMENDED, &mut random)
    }

    /// Reads what [`Wallet::export`] wrote.
    ///
    /// # Errors
    /// Those of [`backup::import`], and what is wrong with what went with the key.
    pub fn import(file: &[u8], passphrase: &[u8]) -> Result<Self, ImportError> {
        let backup = backup::import(file, passphrase)?;
        let extra = std::str::from_utf8(&backup.extra).map_err(|_| ImportError::Extra("no text"))?;
        let mut wallet = Wallet { key: backup.key, referrer: None, site: None };
        for line in extra.lines() {
            let (name, value) = line.split_once(' ').ok_or(ImportError::Extra("a line without a value"))?;
            wallet.register(name, value).map_err(ImportError::Extra)?;
        }
        Ok(wallet)
    }

    /// Written into one buffer that never grows, so that no copy of the seed is left behind.
    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize));
        text.push_str(&format!("{FIRST_LINE}account {}\nseed ", self.account()));
        for byte in self.key.seed() {
            text.extend(
                [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')),
            );
        }
        text.push('\n');
        text.push_str(&self.registration());
        text
    }

    /// The lines about how the account is to be registered. Nothing in them is secret.
    fn registration(&self) -> String {
        let referrer = self.referrer.map(|referrer| format!("referrer {referrer}\n"));
        let site = self.site.as_ref().map(|site| format!("site {site}\n"));
        referrer.into_iter().chain(site).collect()
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix(FIRST_LINE).ok_or("not a key file of this program")?;
        let (mut account, mut key) = (None, None);
        let mut lines = Vec::new();
        for line in rest.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(' ').ok_or("a line without a value")?;
            match name {
                "account" if account.is_none() => {
                    let read = value.parse::<AccountId>();
                    account = Some(read.map_err(|_| "the account is damaged")?);
                }
                "seed" if key.is_none() => key = Some(seed(value).ok_or("the seed is damaged")?),
                _ => lines.push((name, value)),
            }
        }
        let key = key.ok_or("it has no seed")?;
        match account {
            Some(account) if account == key.account() => {}
            Some(_) => return Err("the seed is not that of the account: one of them is damaged"),
            None => return Err("it names no account"),
        }
        let mut wallet = Wallet { key, referrer: None, site: None };
        lines.into_iter().try_for_each(|(name, value)| wallet.register(name, value))?;
        Ok(wallet)
    }

    fn register(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "referrer" if self.referrer.is_none() => {
                let referrer = value.parse::<AccountId>().map_err(|_| "the referrer is damaged")?;
                if referrer == self.account() {
                    return Err("the account refers itself");
                }
                self.referrer = Some(referrer);
            }
            "site" if self.site.is_none() => {
                site::check_label(value).map_err(|_| "the site is damaged")?;
                self.site = Some(value.to_owned());
            }
            "account" | "seed" | "referrer" | "site" => return Err("a line that is there twice"),
            _ => return Err("a line of a later version"),
        }
        Ok(())
    }
}

/// Why a backup gives no wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// It does not open.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// It opens, and what lies beside the key was not written by this program.
    #[error("beside the key: {0}")]
    Extra(&'static str),
}

/// Writes a file that only its owner can read, where there is none. One that cannot be written whole is taken away.
///
/// # Errors
/// [`WalletError::Exists`] and [`WalletError::Io`].
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), WalletError> {
    let at = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => WalletError::Exists { path: path.to_owned() },
        _ => WalletError::Io { path: path.to_owned(), error },
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(at)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    // What cannot be removed is said nowhere: the failure itself is the news.
    written.inspect_err(|_| drop(std::fs::remove_file(path))).map_err(at)
}

/// Reads a file that only its owner can read, up to a number of bytes.
///
/// # Errors
/// [`WalletError::Readable`], [`WalletError::Io`], and [`WalletError::Content`] for one that is longer.
pub fn read_secret(path: &Path, most_bytes: u64) -> Result<Zeroizing<Vec<u8>>, WalletError> {
    let at = |error| WalletError::Io { path: path.to_owned(), error };
    let file = File::open(path).map_err(at)?;
    others_cannot_read(path, &file)?;
    // Never grows, so that no copy is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most_bytes as usize + 64));
    file.take(most_bytes + 1).read_to_end(&mut bytes).map_err(at)?;
    match bytes.len() as u64 > most_bytes {
        true => Err(WalletError::Content { path: path.to_owned(), problem: "longer than any such file" }),
        false => Ok(bytes),
    }
}

fn seed(digits: &str) -> Option<SecretKey> {
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut seed = Zeroizing::new([0; 32]);
    for (byte, pair) in seed.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(SecretKey::from_seed(*seed))
}

/// Without it a crash could take the file's name away although its bytes are on disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Pipes and devices have no mode that says anything.
#[cfg(unix)]
fn others_cannot_read(path: &Path, file: &File) -> Result<(), WalletError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| WalletError::Io { path: path.to_owned(), error })?;
    match metadata.permissions().mode() & 0o777 {
        mode if metadata.is_file() && mode & 0o077 != 0 => {
            Err(WalletError::Readable { path: path.to_owned(), mode })
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn others_cannot_read(_: &Path, _: &File) -> Result<(), WalletError> {
    Ok(())
}

const FIRST_LINE: &str = "edge-net key 1\n";
const MOST_BYTES: u64 = 1024;
