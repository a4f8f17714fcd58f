//! The published f32 model as an oracle, and how close the integers come to it.
//!
//! Nothing here runs for strangers: f32 sums differ between machines in their last bits, which is why the integers exist.

mod fidelity;
mod oracle;
mod statistics;
mod sts;

pub use fidelity::{Fidelity, FidelityError, StsCorrelation, correlation, fidelity};
pub use oracle::{Reference, ReferenceError};
pub use statistics::{cosine, percentile, spearman};
pub use sts::{Pair, StsError, parse as parse_sts};

/// Texts of many languages, lengths and kinds to measure fidelity on: the corpus of the golden tests, the empty text
/// and one longer than the model reads included.
pub fn default_texts() -> Vec<&'static str> {
    include_str!("../../../../tests/golden/corpus.txt").lines().collect()
}
