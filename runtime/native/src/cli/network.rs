//! `edge-net up`, `relay`, `contribute` and `submit`.

mod contribute;
mod demo;
mod relay;
mod submit;
mod up;

pub(crate) use contribute::run as contribute;
pub(crate) use relay::run as relay;
pub(crate) use submit::run as submit;
pub(crate) use up::run as up;

use std::path::PathBuf;

use identity::AccountId;
use network::relay::Event;

use super::{
    economy::{or_data, text::shown},
    failure::Failure,
    terminal::Terminal,
};

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

/// Where an edge of an account remembers what it signed.
fn edge_store(named: Option<&PathBuf>, account: &AccountId) -> Result<PathBuf, Failure> {
    or_data(named.map(PathBuf::as_path), &format!("edge-{account}.store"), "--edge-store")
}

/// Waits for a signal to end: Ctrl-C, or the one by which services are stopped.
fn wait_for_end() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            end = tokio::signal::ctrl_c() => end.map_err(failed),
            _ = terminate.recv() => Ok(()),
        }
    })
}

/// What a relay does, a line each, for those who look on.
fn tell(terminal: &mut Terminal, event: &Event) {
    match event {
        Event::Opened { account, .. } => terminal.detail(&format!("opened: {account}")),
        Event::Accepted { task, submitter } => terminal.detail(&format!("accepted: {task} of {submitter}")),
        Event::Assigned { task, worker, .. } => terminal.detail(&format!("assigned: {task} to {worker}")),
        Event::Lost { task, worker, reason } => {
            terminal.detail(&format!("lost: {task} by {worker}: {}", reason.name()));
        }
        Event::Slashed { worker, amount_ucredits, .. } => {
            terminal.warn(&format!("slashed: {worker}, {} credits", shown(*amount_ucredits)));
        }
        Event::Settled { task, reason, cost_ucredits, .. } => {
            let (reason, cost) = (reason.name(), shown(*cost_ucredits));
            terminal.detail(&format!("settled: {task}: {reason}, {cost} credits"));
        }
        Event::Refused { about, reason, detail, .. } => {
            terminal.detail(&format!("refused: {about}: {} {detail}", reason.name()));
        }
        Event::StoreFailed { ticket } => terminal.warn(&format!("the store did not take batch {ticket}")),
        Event::Fork { proof } => terminal.warn(&format!("two signatures for one place: {proof:?}")),
        _ => {}
    }
}
