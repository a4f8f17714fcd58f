//! Integer-exact BERT sentence encoders (MiniLM, BGE).

mod bounds;
mod config;
mod cut;
mod error;
mod file;
mod ids;
mod plan;
pub(crate) mod scheme;

pub use config::{BertConfig, ConfigError, Pooling};
pub use cut::cut;
pub use error::IntModelError;
pub use file::{IntBert, ModelBytes};
pub use plan::{BatchError, digest};
