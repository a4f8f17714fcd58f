//! What goes wrong, and the exit code it has.

use std::{io, process::ExitCode};

use edge_net::{local, model::ModelError};

use super::terminal::Terminal;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something there is not: exit code 2.
    Usage(String),
    /// Input, a model or a device failed: exit code 1.
    Failed(String),
    /// Whoever read the output went away, which is no one's fault.
    Closed,
}

impl Failure {
    /// Says what happened on stderr and gives the exit code.
    pub(crate) fn report(self, terminal: &mut Terminal) -> ExitCode {
        let (text, code) = match self {
            Failure::Usage(text) => (text, 2),
            Failure::Failed(text) => (text, 1),
            Failure::Closed => return ExitCode::SUCCESS,
        };
        terminal.error(&text);
        ExitCode::from(code)
    }

    /// A failure to write the output.
    pub(crate) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Failed(format!("stdout: {error}")),
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Unknown { .. } => Failure::Usage(error.to_string()),
            _ => Failure::Failed(error.to_string()),
        }
    }
}

impl From<local::Error> for Failure {
    fn from(error: local::Error) -> Self {
        match error {
            local::Error::Model(error) => error.into(),
            _ => Failure::Failed(error.to_string()),
        }
    }
}
