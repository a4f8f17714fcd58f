//! The oracle: each stage in the fewest plain lines, with nothing clever.
//!
//! It *defines* the arithmetic. Where a kernel and the oracle differ, the kernel is wrong; only `distance_f32` may differ,
//! within its tolerance. The stages of BERT take a [`Trace`] that sees every named intermediate, so that goldens can be
//! compared stage by stage.

mod attention;
mod distance;
mod distance_f32;
mod embed;
mod encode;
mod gemm;
mod hamming;
mod layernorm;
mod lif;
mod math;
mod pool;
mod quantise;
mod topk;

pub use attention::attention;
pub use distance::distance;
pub use distance_f32::distance_f32;
pub use embed::embed;
pub use encode::encode;
pub use gemm::gemm;
pub use hamming::hamming;
pub use layernorm::layernorm;
pub use lif::lif;
pub use pool::pool;
pub use quantise::quantise;
pub use topk::topk;

use plan::Gather;

use crate::{
    AttentionArgs, DistanceArgs, DistanceF32Args, EmbedArgs, EncodeArgs, GemmArgs, HammingArgs, Kernels,
    LayerNormArgs, LifArgs, PoolArgs, QuantiseArgs, TopKArgs,
};

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
    fn encode(&self, args: EncodeArgs<'_>) {
        encode(args);
    }
    fn distance(&self, args: DistanceArgs<'_>) {
        distance(args);
    }
    fn distance_f32(&self, args: DistanceF32Args<'_>) {
        distance_f32(args);
    }
    fn hamming(&self, args: HammingArgs<'_>) {
        hamming(args);
    }
    fn topk(&self, args: TopKArgs<'_>) {
        topk(args);
    }
    fn lif(&self, args: LifArgs<'_>) {
        lif(args);
    }
}

impl Gather for Oracle {
    fn dots(&self, query: &[i8], codes: &[i8], rows: &[u32], out: &mut [i32]) {
        for (&row, out) in rows.iter().zip(out) {
            *out = distance::dot(query, &codes[row as usize * query.len()..]);
        }
    }

    fn float_dots(&self, query: &[f32], values: &[f32], rows: &[u32], out: &mut [f32]) {
        for (&row, out) in rows.iter().zip(out) {
            *out = distance_f32::dot(query, &values[row as usize * query.len()..]);
        }
    }
}
