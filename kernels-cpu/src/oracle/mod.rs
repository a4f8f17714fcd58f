//! The oracle: each stage in the fewest plain lines, with 64-bit integers and nothing clever.
//!
//! It *defines* the arithmetic; step numbers in the comments are those of the numerics specification in
//! the README. Where a kernel and the oracle differ, the kernel is wrong. Each function takes a [`Trace`]
//! that sees every named intermediate, so that goldens can be compared stage by stage.

mod attention;
mod embed;
mod gemm;
mod layernorm;
mod math;
mod pool;
mod quantise;

pub use attention::attention;
pub use embed::embed;
pub use gemm::gemm;
pub use layernorm::layernorm;
pub use pool::pool;
pub use quantise::quantise;

use crate::{AttentionArgs, EmbedArgs, GemmArgs, Kernels, LayerNormArgs, PoolArgs, QuantiseArgs};

/// Sees every named intermediate value of the oracle.
pub trait Trace {
    /// `value` is the next element of the intermediate `name`; `part` tells group or section apart.
    fn record(&mut self, name: &'static str, part: usize, value: i64);
}

/// Keeps nothing; in debug builds, proves that 32 bits would have been enough.
impl Trace for () {
    fn record(&mut self, name: &'static str, _: usize, value: i64) {
        let fits = match name {
            "ln.V" | "norm.V" | "epi.M*mc" => u32::try_from(value).is_ok(),
            _ => i32::try_from(value).is_ok(),
        };
        debug_assert!(fits, "{name} = {value} leaves 32 bits");
    }
}

/// The oracle as a level of its own.
pub struct Oracle;

impl Kernels for Oracle {
    fn embed(&self, args: EmbedArgs<'_>) {
        embed(args, &mut ());
    }
    fn layernorm(&self, args: LayerNormArgs<'_>) {
        layernorm(args, &mut ());
    }
    fn quantise(&self, args: QuantiseArgs<'_>) {
        quantise(args, &mut ());
    }
    fn gemm(&self, args: GemmArgs<'_>) {
        gemm(args, &mut ());
    }
    fn attention(&self, args: AttentionArgs<'_>) {
        attention(args, &mut ());
    }
    fn pool(&self, args: PoolArgs<'_>) {
        pool(args, &mut ());
    }
}
