//! Runs a [`plan::Plan`] on the GPU or the CPU, with the same bits.
//!
//! [`Engine::open`] holds the devices, [`Engine::add`] puts models on them and proves each with the model's
//! golden self-test, [`Engine::run`] runs plans,
//! [`Engine::run_paced`] in slices that a [`Pace`] may stop between. Whatever happens to the GPU on the way, the same plans run on
//! the CPU instead and [`Engine::status`] says why.

mod cpu;
mod engine;
#[cfg(feature = "gpu")]
pub mod gpu;
mod pace;
mod status;

pub use cpu::{Arena, CpuModel};
pub use engine::{Device, Engine, EngineError, Loaded, Model, Options, UnknownDevice};
pub use pace::{ELEMENT, Pace, Turn, TurnFuture, Unpaced, work};
pub use status::{Backend, Fallback, Status};
