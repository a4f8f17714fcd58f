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

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use identity::{AccountId, SecretKey};
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

/// Why a key file cannot be used or written.
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
    /// There is a key file, and it stays.
    #[error("{}: there is a key file already, and it is not replaced", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others could read the key.
    #[error("{0}: mode {mode:o} lets others read the key: chmod 600 {0}", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is no key file, or damaged.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Wallet {
    /// A fresh key.
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

    /// Writes a new file that only its owner can read.
    ///
    /// # Errors
    /// [`WalletError::Exists`] and [`WalletError::Io`].
    pub fn create(&self, path: &Path) -> Result<(), WalletError> {
        let at = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => WalletError::Exists { path: path.to_owned() },
            _ => WalletError::Io { path: path.to_owned(), error },
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(at)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(at)?;
        file.write_all(self.text().as_bytes()).and_then(|()| file.sync_all()).map_err(at)
    }

    /// Reads a file of [`Wallet::create`].
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn open(path: &Path) -> Result<Self, WalletError> {
        let at = |error| WalletError::Io { path: path.to_owned(), error };
        let file = File::open(path).map_err(at)?;
        others_cannot_read(path, &file)?;
        let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize + 1));
        file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(at)?;
        Self::parse(&text).map_err(|problem| WalletError::Content { path: path.to_owned(), problem })
    }

    /// Written into one buffer that never grows, so that no copy of the seed is left behind.
    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize));
        text.push_str(&format!("{FIRST_LINE}\naccount {}\nseed ", self.account()));
        for byte in self.key.seed() {
            text.extend(
                [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')),
            );
        }
        text.push('\n');
        if let Some(referrer) = self.referrer {
            text.push_str(&format!("referrer {referrer}\n"));
        }
        if let Some(site) = &self.site {
            text.push_str(&format!("site {site}\n"));
        }
        text
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() as u64 > MOST_BYTES {
            return Err("longer than any key file");
        }
        let rest = text.strip_prefix(FIRST_LINE).ok_or("not a key file of this program")?;
        let (mut account, mut wallet) = (None, None);
        let (mut referrer, mut site) = (None, None);
        for line in rest.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(' ').ok_or("a line without a value")?;
            match name {
                "account" => {
                    account = Some(value.parse::<AccountId>().map_err(|_| "the account is damaged")?)
                }
                "seed" => wallet = Some(seed(value).ok_or("the seed is damaged")?),
                "referrer" => {
                    referrer = Some(value.parse::<AccountId>().map_err(|_| "the referrer is damaged")?);
                }
                "site" => site = Some(value.to_owned()),
                _ => return Err("a line of a later version"),
            }
        }
        let key = wallet.ok_or("it has no seed")?;
        match account {
            Some(account) if account == key.account() => Ok(Wallet { key, referrer, site }),
            Some(_) => Err("the seed is not that of the account: one of them is damaged"),
            None => Err("it names no account"),
        }
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

#[cfg(unix)]
fn others_cannot_read(path: &Path, file: &File) -> Result<(), WalletError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| WalletError::Io { path: path.to_owned(), error })?;
    match metadata.permissions().mode() & 0o777 {
        mode if mode & 0o077 != 0 => Err(WalletError::Readable { path: path.to_owned(), mode }),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn others_cannot_read(_: &Path, _: &File) -> Result<(), WalletError> {
    Ok(())
}

const FIRST_LINE: &str = "edge-net key 1";
const MOST_BYTES: u64 = 1024;
