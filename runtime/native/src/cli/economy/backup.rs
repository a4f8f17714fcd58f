//! `edge-net wallet export` and `import`: a key under a passphrase.

use std::io::{self, IsTerminal};

use edge_net::{
    solo::Solo,
    wallet::{Wallet, read_secret},
};
use ledger::audit::EventKind;
use zeroize::Zeroizing;

use super::{failed, not_both, note, read_short, text::now, wallet::Made, write_new};
use crate::cli::{
    args::economy::{Operator, Passphrase, StoreFlag, WalletExport, WalletImport},
    failure::Failure,
    model::print_json,
    print,
    task::same_file,
    terminal::Terminal,
};

/// Writes a backup.
pub(super) fn export(args: &WalletExport, terminal: &mut Terminal) -> Result<(), Failure> {
    not_both(args.json, &args.out)?;
    let wallet = args.key.open()?;
    let path = args.key.path()?;
    if same_file(&path, &args.out) {
        return Err(Failure::Usage("--out: is the key file, not a place for its backup".into()));
    }
    // Opened first: a backup that could not be logged is not made.
    let mut place = Place::open(&args.store, &args.operator, &wallet, terminal)?;
    let passphrase = args.passphrase.read(true)?;
    write_new(&args.out, &wallet.export(&passphrase).map_err(failed)?)?;
    place.log(EventKind::BackupExported, &wallet)?;
    match args.json {
        true => print_json(&Made::new(&wallet, &path)),
        false => {
            note(terminal, &format!("{}: a backup of {}", args.out.display(), wallet.account()));
            Ok(())
        }
    }
}

/// Makes a key file from a backup.
pub(super) fn import(args: &WalletImport, terminal: &mut Terminal) -> Result<(), Failure> {
    let path = args.key.path()?;
    if path.exists() {
        let there =
            format!("{}: is there already, and is not replaced: --key-file names another", path.display());
        return Err(Failure::Failed(there));
    }
    let file = read_short(&args.backup, MOST_BACKUP_BYTES)?;
    let passphrase = args.passphrase.read(false)?;
    let wallet = Wallet::import(&file, &passphrase)
        .map_err(|error| Failure::Failed(format!("{}: {error}", args.backup.display())))?;
    let mut place = Place::open(&args.store, &args.operator, &wallet, terminal)?;
    wallet.create(&path).map_err(failed)?;
    place.log(EventKind::BackupImported, &wallet)?;
    terminal.warn("the key may still be in use elsewhere: two machines that sign for one account fork it");
    match args.json {
        true => print_json(&Made::new(&wallet, &path)),
        false => print(&format!("{}\n", wallet.account())),
    }
}

impl Passphrase {
    /// The first line of the file, or what is typed, twice where a mistake would be noticed too late.
    fn read(&self, twice: bool) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if let Some(path) = self.passphrase_file.as_deref().filter(|path| !path.as_os_str().is_empty()) {
            let mut bytes = read_secret(path, MOST_PASSPHRASE_BYTES).map_err(failed)?;
            let end = bytes.iter().position(|&b| b == b'\n').unwrap_or(bytes.len());
            bytes.truncate(end);
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
            return match bytes.is_empty() {
                true => Err(Failure::Failed(format!("{}: the passphrase is empty", path.display()))),
                false => Ok(bytes),
            };
        }
        if !io::stdin().is_terminal() {
            let how =
                "the passphrase is typed at a terminal, and there is none: --passphrase-file names a file";
            return Err(Failure::Usage(how.into()));
        }
        let ask = |prompt: &str| -> Result<Zeroizing<Vec<u8>>, Failure> {
            let typed = rpassword::prompt_password(prompt).map_err(failed)?;
            Ok(Zeroizing::new(typed.into_bytes()))
        };
        let passphrase = ask("Passphrase: ")?;
        if twice && ask("The same again: ")? != passphrase {
            return Err(Failure::Failed("the passphrases differ".into()));
        }
        Ok(passphrase)
    }
}

/// The audit log of the network that this machine runs, if it runs one.
struct Place(Option<Solo>);

impl Place {
    fn open(
        store: &StoreFlag,
        operator: &Operator,
        wallet: &Wallet,
        terminal: &mut Terminal,
    ) -> Result<Self, Failure> {
        let Some(path) = store.there() else { return Ok(Place(None)) };
        // The key may be the operator's own, whose file a backup replaces.
        if !operator.path(&path).exists() {
            return match Solo::open(&path, wallet, now()) {
                Ok(solo) => Ok(Place(Some(solo))),
                Err(edge_net::solo::SoloError::NotWitness { .. }) => {
                    terminal.detail("not logged: the store's operator is not here");
                    Ok(Place(None))
                }
                Err(error) => Err(failed(error)),
            };
        }
        operator.open(&path).map(|solo| Place(Some(solo)))
    }

    fn log(&mut self, kind: EventKind, wallet: &Wallet) -> Result<(), Failure> {
        let Some(solo) = &mut self.0 else { return Ok(()) };
        solo.log(now(), kind, &wallet.account(), "").map_err(failed)
    }
}

const MOST_PASSPHRASE_BYTES: u64 = 1024;
/// More than any backup of a wallet has, and less than the reader's own limit.
const MOST_BACKUP_BYTES: usize = 2 << 20;
