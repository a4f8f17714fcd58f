//! Vector search: exact scans and a graph index.

pub mod exact;
pub mod hnsw;
mod metric;

pub use metric::{Metric, normalise};
