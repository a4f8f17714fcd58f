//! Spiking networks of leaky integrate-and-fire neurons: from a trained float network to plans of exact integers.
//!
//! ```text
//! snnTorch or NIR file --import--> FloatNet --quantise--> SpikingNet (file) --plan--> plan::Plan
//! intensities or spikes ------------------------> Spikes ---------------------^        words --decode--> Spikes
//! ```
//!
//! Layers are dense, each with optional recurrent weights among its own neurons. All time steps of a layer run before
//! the next layer's, which is the same as running them step by step because connections only go forward within a step.

mod container;
mod error;
mod file;
mod float;
pub mod import;
mod plan;
mod quantise;
mod spikes;

pub use error::{SpikesError, SpikingError};
pub use file::{IntLif, SpikingNet};
pub use float::{FloatLif, FloatNet, FloatRun};
pub use plan::Readout;
pub use quantise::quantise;
pub use spikes::Spikes;

/// Most neurons, or inputs, of a layer: products of two stay within 32 bits.
pub const MAX_NEURONS: usize = 1 << 15;
/// Most layers of a network.
pub const MAX_LAYERS: usize = 256;
