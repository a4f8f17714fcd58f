//! Embeddings, vector search and spiking networks on this machine, without any network.
//!
//! [`crate::host::LocalHost`] runs whole tasks; these are for programs that want one thing.

mod embedder;
mod index;
mod spiking;

pub use embedder::{Embedder, Embedding, Error, Options, Tokeniser, Tokens};
pub use index::{Index, IndexError};
pub use spiking::{Spiking, SpikingRunError};
