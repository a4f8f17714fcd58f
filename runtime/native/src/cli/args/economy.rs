//! What can be asked of the economy's commands.

use std::path::PathBuf;

use clap::Subcommand;
use identity::AccountId;

use crate::cli::economy::text::{account, credits, head, kind};

#[derive(Debug, Subcommand)]
pub(crate) enum Wallet {
    /// Make a key and print its account
    Create(WalletCreate),
    /// Show what an account holds
    Show(Look),
    /// Show what happened on an account's chain, oldest first
    History(Look),
    /// List what was paid to an account, save receipts of it, or check receipts offline
    Receipts(WalletReceipts),
    /// Write a key to a backup under a passphrase
    Export(WalletExport),
    /// Make a key file from a backup
    Import(WalletImport),
    /// Pay, on a single-machine network (`ledger found`) whose store and operator key are here
    ///
    /// Receives what is ready first. Until machines are connected, such a network is the one there is; its rules and records
    /// are those of any.
    Send(WalletSend),
    /// Receive what was paid, on a single-machine network (`ledger found`) whose store and operator key are here
    ///
    /// `send` does it by itself, before it pays.
    Receive(WalletReceive),
}

/// Where the key is.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyFile {
    /// The key file [default: edge-net/wallet.key in the platform's data folder]
    #[arg(long, env = "EDGENET_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// Where the ledger is, as a flag.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreFlag {
    /// The store of the ledger [default: edge-net/ledger.store in the platform's data folder]
    #[arg(long, env = "EDGENET_STORE", value_name = "STORE")]
    pub(crate) store: Option<PathBuf>,
}

/// Where the ledger is, as an argument.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArg {
    /// The store of the ledger [default: edge-net/ledger.store in the platform's data folder]
    #[arg(env = "EDGENET_STORE", value_name = "STORE")]
    pub(crate) store: Option<PathBuf>,
}

/// Who certifies on a network of one machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Operator {
    /// The operator's key file [default: STORE.operator.key]
    #[arg(long, env = "EDGENET_OPERATOR_KEY_FILE", value_name = "FILE")]
    pub(crate) operator: Option<PathBuf>,
}

/// Where the passphrase of a backup comes from.
#[derive(Debug, clap::Args)]
pub(crate) struct Passphrase {
    /// A file whose first line is the passphrase [default: typed at the terminal]
    #[arg(long, env = "EDGENET_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WalletCreate {
    #[command(flatten)]
    pub(crate) key: KeyFile,
    /// The account that referred this one: it earns a bonus when this one works
    #[arg(long, env = "EDGENET_REFERRER", value_name = "ACCOUNT", value_parser = account)]
    pub(crate) referrer: Option<AccountId>,
    /// Label of the site this account comes through
    #[arg(long, env = "EDGENET_SITE", value_name = "LABEL")]
    pub(crate) site: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// An account in a ledger.
#[derive(Debug, clap::Args)]
pub(crate) struct Look {
    #[command(flatten)]
    pub(crate) key: KeyFile,
    /// Another account than the key file's
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(crate) account: Option<AccountId>,
    #[command(flatten)]
    pub(crate) store: StoreFlag,
    /// Print JSON; of lists, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WalletReceipts {
    #[command(flatten)]
    pub(crate) look: Look,
    /// A folder to save the receipts in, one file each
    #[arg(long, value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,
    /// Check these receipts instead: needs neither key nor store nor network
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "network", conflicts_with = "save")]
    pub(crate) check: Vec<PathBuf>,
    /// The network's founding, as `ledger founding` writes it
    #[arg(long, env = "EDGENET_NETWORK_FILE", value_name = "FOUNDING")]
    pub(crate) network: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WalletExport {
    #[command(flatten)]
    pub(crate) key: KeyFile,
    /// Where to write the backup
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    #[command(flatten)]
    pub(crate) store: StoreFlag,
    #[command(flatten)]
    pub(crate) operator: Operator,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WalletImport {
    /// The backup
    pub(crate) backup: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyFile,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    #[command(flatten)]
    pub(crate) store: StoreFlag,
    #[command(flatten)]
    pub(crate) operator: Operator,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WalletSend {
    /// Whom to pay
    #[arg(value_name = "TO", value_parser = account)]
    pub(crate) to: AccountId,
    /// Credits, with at most 6 decimals
    #[arg(value_name = "AMOUNT", value_parser = credits)]
    pub(crate) amount_ucredits: u64,
    #[command(flatten)]
    pub(crate) receive: WalletReceive,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WalletReceive {
    #[command(flatten)]
    pub(crate) key: KeyFile,
    #[command(flatten)]
    pub(crate) store: StoreFlag,
    #[command(flatten)]
    pub(crate) operator: Operator,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Found a network on this machine: its store, its operator's key and its treasury's
    Found(LedgerFound),
    /// Write a network's founding, by which receipts are checked offline
    Founding(LedgerFounding),
    /// Replay a store: every signature, every rule, every vote
    Verify(LedgerLook),
    /// List the accounts of a store
    Show(LedgerLook),
    /// Show how much more early work is paid
    Curve {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign and check records of sites that embed the script
    #[command(subcommand)]
    Site(Site),
}

#[derive(Debug, clap::Args)]
pub(crate) struct LedgerFound {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    /// What people call the network
    #[arg(long)]
    pub(crate) name: String,
    /// An account and what it starts with [default: 100 credits]
    #[arg(long, value_name = "ACCOUNT[=CREDITS]", value_parser = crate::cli::economy::text::grant)]
    pub(crate) grant: Vec<(AccountId, u64)>,
    /// A worker that starts with the base stake of 100 credits
    #[arg(long, value_name = "ACCOUNT", value_parser = crate::cli::economy::text::holder)]
    pub(crate) stake: Vec<AccountId>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LedgerFounding {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LedgerLook {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Site {
    /// Sign a record: who is paid for work done in a site's pages, and where they live
    Sign(SiteSign),
    /// Check a record and say what it says
    Check {
        /// The record
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct SiteSign {
    /// What the site calls itself: a-z, 0-9, '.', '-' and '_'
    #[arg(long)]
    pub(crate) label: String,
    #[command(flatten)]
    pub(crate) key: KeyFile,
    /// Where pages of the site live, such as https://example.org
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub(crate) origins: Vec<String>,
    /// A relay it speaks to, such as wss://relay.example.org
    #[arg(long = "relay", value_name = "ADDRESS")]
    pub(crate) relays: Vec<String>,
    /// The site's part of a reward, in millionths; the rest is the visitor's
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    pub(crate) share_ppm: u32,
    /// Counts up with every change: a higher one replaces a lower
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) version: u64,
    /// Where to write the record
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List security events of a store
    Show(AuditShow),
    /// Check that the log was only added to, and print its head: keep that elsewhere
    Verify(AuditVerify),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AuditShow {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    /// Only events of this kind, such as fork-proof
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub(crate) kind: Option<ledger::audit::EventKind>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AuditVerify {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    /// A head that was printed before: shows what was cut off or rewritten since
    #[arg(long, value_name = "N:HEX", value_parser = head)]
    pub(crate) head: Option<ledger::audit::Head>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
