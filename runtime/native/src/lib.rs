//! edge-net on a machine with an operating system: model files, devices, a host for tasks.
//!
//! [`local`] is for programs that want one thing, [`host::LocalHost`] runs whole tasks, [`model::Store`] finds, fetches and
//! prepares models.

pub mod aead;
mod files;
pub mod history;
pub mod host;
pub mod local;
pub mod machine;
pub mod model;
pub mod net;
#[cfg(feature = "reference")]
pub mod reference;
pub mod solo;
pub mod store;
pub mod throttle;
pub mod wallet;

pub use engine::{Backend, Device, Fallback, Status};
pub use kernels_cpu::Level;
