//! A level with a fault: one stage's last element is off by one.

use kernels_cpu::{
    AttentionArgs, EmbedArgs, GemmArgs, Kernels, LayerNormArgs, Output, PoolArgs, QuantiseArgs,
};
use plan::Stage;

/// `kernels` with the fault in `stage`.
pub(crate) struct Planted<'a> {
    pub(crate) kernels: &'a dyn Kernels,
    pub(crate) stage: Stage,
}

macro_rules! planted {
    ($method:ident, $args:ident { $($field:ident),* }, $stage:ident, $faulty:ident) => {
        fn $method(&self, args: $args<'_>) {
            let $args { $($field,)* $faulty } = args;
            self.kernels.$method($args { $($field,)* $faulty: &mut *$faulty });
            if let (Stage::$stage, Some(last)) = (self.stage, $faulty.last_mut()) {
                *last = last.wrapping_add(1);
            }
        }
    };
}

impl Kernels for Planted<'_> {
    planted!(embed, EmbedArgs { width, ids, spans, table }, Embed, out);
    planted!(layernorm, LayerNormArgs { width, input, residual, norm }, LayerNorm, out);
    planted!(quantise, QuantiseArgs { width, input, groups, exponent_max, scales }, Quantise, codes);
    planted!(attention, AttentionArgs { heads, qkv, spans, exp }, Attention, out);
    planted!(pool, PoolArgs { width, kind, input, spans, permutation }, Pool, out);

    fn gemm(&self, args: GemmArgs<'_>) {
        let fault = self.stage == Stage::Gemm;
        let GemmArgs { input, output } = args;
        match output {
            Output::Wide(out) => {
                self.kernels.gemm(GemmArgs { input, output: Output::Wide(&mut *out) });
                out.iter_mut().last().filter(|_| fault).into_iter().for_each(|o| *o = o.wrapping_add(1));
            }
            output => self.kernels.gemm(GemmArgs { input, output }),
        }
    }
}
