//! CPU kernels, exact but for `distance_f32`: the scalar oracle and its SIMD twins.
//!
//! Every stage of a [`plan::Plan`] is one method of [`Kernels`]. The [`oracle`] defines the arithmetic; a
//! [`Level`] is a value detected once and passed down, and all levels give the oracle's bytes; `distance_f32` and
//! `float_dots` give values within [`plan::float_tolerance`].
//!
//! | module | what it holds |
//! |---|---|
//! | `args` | the contract: [`Kernels`] and the arguments of its methods |
//! | [`oracle`] | each stage in the fewest plain lines |
//! | `bert`, `search`, `spiking` | each stage, written once for all levels |
//! | `arch` | the levels: those bodies with target features, dot products, all `unsafe` |

mod arch;
mod args;
mod bert;
mod level;
pub mod oracle;
mod search;
mod spiking;

pub use args::{
    AttentionArgs, DistanceArgs, DistanceF32Args, EmbedArgs, EncodeArgs, GemmArgs, GemmInput, HammingArgs,
    Kernels, LayerNormArgs, LifArgs, Output, PoolArgs, QuantiseArgs, QuantiseInput, ScanArgs, TopKArgs,
};
pub use level::{Level, LevelError};
