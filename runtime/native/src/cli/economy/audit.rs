//! `edge-net audit`: the log of security events.

use edge_net::{solo::audit_entries, store::RedbStore};
use identity::AccountId;
use ledger::{
    Id,
    audit::{self, Entry, EventKind},
};
use serde::Serialize;

use super::{
    failed, print_lines,
    text::{shown_head, time, when},
};
use crate::cli::{
    args::economy::{Audit, AuditShow, AuditVerify},
    failure::Failure,
    model::print_json,
    print,
    terminal::printable,
};

/// Runs one of the audit commands.
pub(crate) fn run(command: &Audit) -> Result<(), Failure> {
    match command {
        Audit::Show(args) => show(args),
        Audit::Verify(args) => verify(args),
    }
}

#[derive(Serialize)]
struct Shown {
    entry: u64,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    kind: &'static str,
    subject: Option<String>,
    detail: String,
}

/// Shows what can be read, and fails afterwards where the chain is broken.
fn show(args: &AuditShow) -> Result<(), Failure> {
    let path = args.store.path()?;
    let store = RedbStore::open_any(&path).map_err(failed)?;
    let entries = audit_entries(&store).map_err(failed)?;
    let events = entries.iter().filter_map(|bytes| Entry::decode(bytes).ok());
    let wanted = events.filter(|entry| args.kind.is_none_or(|kind| entry.event.kind() == kind));
    let rows: Vec<Shown> = wanted.map(|entry| shown(&entry)).collect();
    if args.json {
        print_lines(rows)?;
    } else {
        let line = |row: &Shown| {
            let (when, subject) = (when(row.epoch), row.subject.as_deref().unwrap_or("-"));
            format!("{:>6}  {when:<25}  {:<24}  {subject}  {}\n", row.entry, row.kind, printable(&row.detail))
        };
        print(&rows.iter().map(line).collect::<String>())?;
    }
    audit::verify(&entries)
        .map(drop)
        .map_err(|error| Failure::Failed(format!("store {}: the audit log: {error}", path.display())))
}

fn shown(entry: &Entry) -> Shown {
    let event = &entry.event;
    let subject = match event.subject() {
        [0, rest @ ..] if rest.iter().all(|byte| *byte == 0) => None,
        hash if event.kind() == EventKind::ModuleRefused => Some(Id::from_bytes(*hash).to_string()),
        account => Some(AccountId::from_bytes(*account).to_string()),
    };
    Shown {
        entry: entry.sequence,
        epoch: event.epoch(),
        time: time(event.epoch()),
        kind: event.kind().name(),
        subject,
        detail: event.detail().to_owned(),
    }
}

fn verify(args: &AuditVerify) -> Result<(), Failure> {
    let path = args.store.path()?;
    let store = RedbStore::open_any(&path).map_err(failed)?;
    let entries = audit_entries(&store).map_err(failed)?;
    let head = match &args.head {
        Some(known) => audit::verify_against(known, &entries),
        None => audit::verify(&entries),
    };
    let head =
        head.map_err(|error| Failure::Failed(format!("store {}: the audit log: {error}", path.display())))?;
    match args.json {
        true => {
            let text = shown_head(&head);
            print_json(&serde_json::json!({ "entries": head.entries, "head": text }))
        }
        false => print(&format!("{}\n", shown_head(&head))),
    }
}
