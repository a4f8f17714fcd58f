//! `edge-net wallet receipts`: proofs of payment that need nobody.

use std::{fs, path::Path};

use edge_net::wallet::{WalletError, write_secret};
use ledger::{
    Founding, Network,
    receipt::{Payment, Receipt},
    store::MAX_VALUE_BYTES,
};
use serde::Serialize;

use super::{
    failed, note, print_lines, read_ledger, read_short, short,
    text::{shown, time, when},
};
use crate::cli::{
    args::economy::WalletReceipts,
    failure::Failure,
    print,
    task::at,
    terminal::{Terminal, printable},
};

/// Lists, saves or checks receipts.
pub(super) fn run(args: &WalletReceipts, terminal: &mut Terminal) -> Result<(), Failure> {
    if !args.check.is_empty() {
        return check(args, terminal);
    }
    let (account, _) = args.look.account()?;
    let receipts = read_ledger(&args.look.store.path()?)?.receipts(&account);
    if let Some(folder) = &args.save {
        fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
    }
    let mut rows = Vec::new();
    for (receipt, payment) in &receipts {
        let saved = args.save.as_deref().map(|folder| save(folder, receipt, payment)).transpose()?;
        rows.push(Row::new(saved, payment));
    }
    if let Some(folder) = &args.save {
        note(terminal, &format!("{}: {} receipts", folder.display(), rows.len()));
    }
    print_rows(args.look.json, rows)
}

#[derive(Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    valid: bool,
    #[serde(flatten)]
    payment: Option<Paid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Paid {
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    source: String,
    from: String,
    to: String,
    amount_ucredits: u64,
    reason: &'static str,
}

impl Row {
    fn new(file: Option<String>, payment: &Payment) -> Self {
        let paid = Paid {
            epoch: payment.epoch,
            time: time(payment.epoch),
            source: payment.source.to_string(),
            from: payment.from.to_string(),
            to: payment.to.to_string(),
            amount_ucredits: payment.amount_ucredits,
            reason: payment.reason.name(),
        };
        Row { file, valid: true, payment: Some(paid), error: None }
    }
}

/// Saves a receipt under the name of what it proves. The same one may be there already, another may not.
fn save(folder: &Path, receipt: &Receipt, payment: &Payment) -> Result<String, Failure> {
    let path = folder.join(format!("{}-{}.receipt", payment.source, receipt.index()));
    let bytes = receipt.encode();
    match write_secret(&path, &bytes) {
        Err(WalletError::Exists { .. }) if fs::read(&path).is_ok_and(|there| there == bytes) => {}
        written => written.map_err(failed)?,
    }
    Ok(path.display().to_string())
}

fn check(args: &WalletReceipts, terminal: &mut Terminal) -> Result<(), Failure> {
    let file = args.network.as_deref().unwrap_or(Path::new(""));
    let founding = Founding::decode(&read_short(file, MAX_VALUE_BYTES)?).map_err(|e| at(file, &e))?;
    let network = Network::new(founding).map_err(|e| at(file, &e))?;
    let mut bad = Vec::new();
    let rows: Vec<Row> = args
        .check
        .iter()
        .map(|path| {
            let name = path.display().to_string();
            let read = short(path, MAX_VALUE_BYTES);
            match read.and_then(|bytes| Receipt::decode(&bytes, &network).map_err(|e| e.to_string())) {
                Ok((_, payment)) => Row::new(Some(name), &payment),
                Err(error) => {
                    bad.push(name.clone());
                    Row { file: Some(name), valid: false, payment: None, error: Some(error) }
                }
            }
        })
        .collect();
    note(terminal, &format!("network {} ({})", network.founding().name, network.id()));
    let total = rows.len();
    print_rows(args.look.json, rows)?;
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Failure::Failed(format!(
            "{} of {total} receipts prove nothing on this network: {}",
            bad.len(),
            bad.join(", ")
        ))),
    }
}

fn print_rows(json: bool, rows: Vec<Row>) -> Result<(), Failure> {
    if json {
        return print_lines(rows);
    }
    let line = |row: &Row| {
        let file = row.file.as_ref().map(|file| format!("  {}", printable(file))).unwrap_or_default();
        match (&row.payment, &row.error) {
            (Some(paid), _) => format!(
                "{:<25}  {:>18}  {:<11} from {} to {}{file}\n",
                when(paid.epoch),
                shown(paid.amount_ucredits),
                paid.reason,
                paid.from,
                paid.to
            ),
            (None, error) => format!("NOT A RECEIPT: {}{file}\n", printable(error.as_deref().unwrap_or(""))),
        }
    };
    print(&rows.iter().map(line).collect::<String>())
}
