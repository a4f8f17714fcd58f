//! Networks trained elsewhere. What an importer does not carry it refuses by name; nothing is dropped in silence.

mod array;
pub mod nir;
pub mod snntorch;

use thiserror::Error;

pub use nir::from_nir_json;
pub use snntorch::{SnnTorch, from_snntorch};

use super::SpikingError;

/// Why a foreign network is refused.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The container, or the network read from it, is at fault.
    #[error(transparent)]
    Network(#[from] SpikingError),
    /// The text is not JSON of the documented form.
    #[error("NIR: {0}")]
    Json(String),
    /// A node or module has a kind or parameter that integer networks do not carry.
    #[error("{node}: {what} is not supported")]
    Unsupported {
        /// The node or module.
        node: String,
        /// The kind or parameter, with its value where that matters.
        what: String,
    },
    /// A parameter is missing or malformed, or does not fit the others.
    #[error("{node}: {parameter} {problem}")]
    Parameter {
        /// The node or module.
        node: String,
        /// The parameter.
        parameter: String,
        /// What is wrong.
        problem: String,
    },
    /// Nodes or modules are not a chain of weights and neurons.
    #[error("{node}: {problem}")]
    Chain {
        /// The node or module.
        node: String,
        /// What is wrong.
        problem: String,
    },
}
