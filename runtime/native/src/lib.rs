//! edge-net on a machine with an operating system: model files, the local embedder, the command line.
//!
//! [`local::Embedder`] embeds texts on this machine; [`model::Store`] finds, fetches and prepares the model it runs.

pub mod aead;
mod files;
pub mod host;
pub mod local;
pub mod machine;
pub mod model;
#[cfg(feature = "reference")]
pub mod reference;

pub use engine::{Backend, Device, Fallback, Status};
pub use kernels_cpu::Level;
