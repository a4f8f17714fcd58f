//! Integer-exact BERT sentence encoders (MiniLM, BGE).

mod config;
mod file;
mod plan;

pub use config::{BertConfig, ConfigError, Pooling};
pub use file::{FileError, IntBert, ModelBytes};
pub use plan::{BatchError, digest};
