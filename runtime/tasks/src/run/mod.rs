//! Runs checked tasks: each module turns one type of task into plans, a walk or a module's call, and the answers into
//! its outcome.

mod compression;
mod embedding;
mod encryption;
mod inference;
mod insert;
mod matching;
mod module;
mod search;

pub use compression::compress;
use thiserror::Error;

use crate::{
    check::Checked,
    host::{ExecuteError, Host, Missing},
    outcome::Outcome,
    refusal::{Code, Refusal},
    task::Task,
};

/// Why a checked task gave no outcome.
#[derive(Debug, Error)]
pub enum RunError {
    /// What the task names is not here, or does not fit its payload.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The device failed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The machine asked for a stop.
    #[error("stopped")]
    Stopped,
    /// Ciphertext, key and associated data do not belong together.
    #[error("the data cannot be decrypted: it was changed, or the key or the associated data is another")]
    Authentication,
    /// The module failed: its own fault, the same on every machine.
    #[error("module: {error}")]
    Module {
        /// How.
        error: sandbox::SandboxError,
    },
    /// No codec reaches the target.
    #[error("{0}")]
    Target(String),
}

impl RunError {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            RunError::Refused(refusal) => refusal.code.name(),
            RunError::Execute(_) => "device",
            RunError::Stopped => "stopped",
            RunError::Authentication => "authentication",
            RunError::Module { error } => error.code(),
            RunError::Target(_) => "target",
        }
    }
}

/// Runs a task on a machine.
///
/// # Errors
/// If something it names is missing, a device fails, or the task itself fails, as a module may.
pub async fn run<H: Host>(task: &Checked, host: &mut H) -> Result<Outcome, RunError> {
    if host.must_stop() {
        return Err(RunError::Stopped);
    }
    Ok(match task.task() {
        Task::VectorSearch(t) => Outcome::VectorSearch(search::run(t, host).await?),
        Task::VectorInsert(t) => Outcome::VectorInsert(insert::run(t, host)?),
        Task::Embedding(t) => Outcome::Embedding(embedding::run(t, host).await?),
        Task::SemanticMatch(t) => Outcome::SemanticMatch(matching::run(t, host).await?),
        Task::NeuralInference(t) => Outcome::NeuralInference(inference::run(t, host).await?),
        Task::Encryption(t) => Outcome::Encryption(encryption::run(t, host)?),
        Task::Compression(t) => Outcome::Compression(compression::run(t, host)?),
        Task::CustomWasm(t) => Outcome::CustomWasm(module::run(t, host)?),
    })
}

/// Refuses the field that names something that is not here.
fn missing(field: &str, error: Missing) -> RunError {
    Refusal { code: Code::Unknown, field: field.into(), message: error.to_string() }.into()
}
