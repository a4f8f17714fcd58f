//! `edge-net ledger site`: records by which pages say whose account they work for.

use std::path::Path;

use identity::Signature;
use ledger::site::{MAX_ENTRIES, MAX_TEXT_BYTES, SiteError, SiteRecord};
use serde::Serialize;

use super::{
    not_both, note, read_short,
    text::{now, time, when},
    write_new,
};
use crate::cli::{
    args::economy::{Site, SiteSign},
    failure::Failure,
    model::print_json,
    print,
    task::at,
    terminal::{Terminal, printable},
};

/// Signs or checks a record.
pub(super) fn run(command: &Site, terminal: &mut Terminal) -> Result<(), Failure> {
    match command {
        Site::Sign(args) => sign(args, terminal),
        Site::Check { file, json } => check(file, *json),
    }
}

fn sign(args: &SiteSign, terminal: &mut Terminal) -> Result<(), Failure> {
    not_both(args.json, &args.out)?;
    let wallet = args.key.open()?;
    let sorted = |entries: &[String]| {
        let mut entries = entries.to_vec();
        entries.sort();
        entries
    };
    let record = SiteRecord {
        label: args.label.clone(),
        account: wallet.account(),
        origins: sorted(&args.origins),
        share_ppm: args.share_ppm,
        relays: sorted(&args.relays),
        version: args.version,
        epoch: now(),
        signature: Signature::from_bytes([0; 64]),
    };
    let record = record.sign(&wallet.key).map_err(|error| {
        let flag = match error {
            SiteError::Share { .. } => "--share-ppm",
            SiteError::Entries { what: "origins", .. } => "--origin",
            SiteError::Entries { .. } => "--relay",
            SiteError::Label | SiteError::Decode(_) | SiteError::Signature => "--label",
        };
        Failure::Usage(format!("{flag}: {error}"))
    })?;
    write_new(&args.out, &record.encode())?;
    match args.json {
        true => print_json(&Shown::of(&record)),
        false => {
            note(terminal, &format!("{}: a record of {}", args.out.display(), record.label));
            Ok(())
        }
    }
}

fn check(file: &Path, json: bool) -> Result<(), Failure> {
    let record = SiteRecord::decode(&read_short(file, MOST_BYTES)?).map_err(|e| at(file, &e))?;
    let shown = Shown::of(&record);
    if json {
        return print_json(&shown);
    }
    let share = record.share_ppm;
    let mut out = format!("label    {}\naccount  {}\n", printable(&shown.label), shown.account);
    for origin in &shown.origins {
        out += &format!("origin   {}\n", printable(origin));
    }
    for relay in &shown.relays {
        out += &format!("relay    {}\n", printable(relay));
    }
    out += &format!("share    {}.{:04} % for the site\n", share / 10_000, share % 10_000);
    out += &format!("version  {}\nsigned   {}\n", record.version, when(record.epoch));
    print(&out)
}

#[derive(Serialize)]
struct Shown {
    label: String,
    site: String,
    account: String,
    origins: Vec<String>,
    relays: Vec<String>,
    share_ppm: u32,
    version: u64,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

impl Shown {
    fn of(record: &SiteRecord) -> Self {
        Shown {
            label: record.label.clone(),
            site: record.site().to_string(),
            account: record.account.to_string(),
            origins: record.origins.clone(),
            relays: record.relays.clone(),
            share_ppm: record.share_ppm,
            version: record.version,
            epoch: record.epoch,
            time: time(record.epoch),
        }
    }
}

/// More than all fields of the longest record take.
const MOST_BYTES: usize = (2 * MAX_ENTRIES + 1) * (MAX_TEXT_BYTES + 4) + 1024;
