//! Where each type of task runs on this machine, and why.

use edge_net::{
    Level,
    machine::{Machine, MachineOptions},
};
use serde::Serialize;
use tasks::Task;

/// One row of `doctor`.
#[derive(Serialize)]
pub(crate) struct Place {
    pub(crate) task: &'static str,
    /// The backend, or why there is none.
    pub(crate) runs_on: String,
    pub(crate) why: &'static str,
}

/// A row for every type of task. Plans run where their golden plan passes; the rest runs on the CPU by decision.
pub(crate) fn places(options: &MachineOptions) -> Vec<Place> {
    let machine = Machine::open(options).map_err(|e| e.to_string());
    let level = options.level.unwrap_or_else(Level::detect);
    let place = |task: &'static str| {
        let (on_cpu, why) = decision(task);
        let runs_on = match &machine {
            _ if on_cpu => format!("cpu ({level})"),
            Ok(machine) => machine.status().backend.to_string(),
            Err(error) => error.clone(),
        };
        Place { task, runs_on, why }
    };
    Task::names().map(place).collect()
}

/// Whether a type of task runs on the CPU whatever there is, and why it runs where it does.
fn decision(task: &str) -> (bool, &'static str) {
    match task {
        "vector_search" => {
            (false, "scans are plans; the walk of an index is always the CPU's: each read waits for the last")
        }
        "vector_insert" => (true, "by decision: linking walks the graph"),
        "compression" => (true, "by decision: one pass over memory, which a transfer to a GPU would double"),
        "encryption" => (true, "by decision: the CPU has AES instructions, and keys stay off the GPU"),
        "custom_wasm" => (true, "by decision: an interpreter, metered by fuel"),
        _ => (false, "plans, on the first device to pass their golden self-test"),
    }
}
