//! Levels with a fault: one stage's last element is off by one, or the last sum of scattered rows, or the last bit of
//! a float score depends on the batch.

use kernels_cpu::{
    AttentionArgs, DistanceArgs, DistanceF32Args, EmbedArgs, EncodeArgs, GemmArgs, HammingArgs, Kernels,
    LayerNormArgs, LifArgs, Output, PoolArgs, QuantiseArgs, ScanArgs, TopKArgs,
};
use plan::{Gather, LifWeight, Stage};

/// `kernels` with the fault in `stage`.
pub(crate) struct Planted<'a> {
    pub(crate) kernels: &'a dyn Kernels,
    pub(crate) stage: Stage,
}

/// `kernels` with the fault in the last of scattered rows.
pub(crate) struct OffByOne<'a>(pub(crate) &'a dyn Kernels);

/// `kernels` whose float scores are one step higher where there are several queries.
pub(crate) struct Unsteady<'a>(pub(crate) &'a dyn Kernels);

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

/// A stage whose output is pairs: the last one's row is off.
macro_rules! planted_pairs {
    ($method:ident, $type:ident, $args:ident { $($field:ident),* }, $stage:ident) => {
        fn $method(&self, args: $type<'_>) {
            let $args { $($field,)* out } = args;
            self.kernels.$method($args { $($field,)* out: &mut *out });
            if let (Stage::$stage, Some([_, row])) = (self.stage, out.last_mut()) {
                *row = row.wrapping_add(1);
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
    planted!(encode, EncodeArgs { width, range, input, steps }, Encode, codes);
    planted_pairs!(
        distance,
        DistanceArgs,
        ScanArgs { k, first, rows, group, queries, vectors, filter },
        Distance
    );
    planted_pairs!(
        distance_f32,
        DistanceF32Args,
        ScanArgs { k, first, rows, group, queries, vectors, filter },
        DistanceF32
    );
    planted_pairs!(
        hamming,
        HammingArgs,
        ScanArgs { k, first, rows, group, queries, vectors, filter },
        Hamming
    );
    planted_pairs!(topk, TopKArgs, TopKArgs { lists, k, input }, TopK);
    planted!(lif, LifArgs { batch, steps, spikes, layer, packed, potential }, Lif, out);

    fn pack_lif(&self, layer: &LifWeight<'_>) -> Vec<u32> {
        self.kernels.pack_lif(layer)
    }

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

impl Gather for Planted<'_> {
    fn dots(&self, query: &[i8], codes: &[i8], rows: &[u32], out: &mut [i32]) {
        self.kernels.dots(query, codes, rows, out);
    }

    fn float_dots(&self, query: &[f32], values: &[f32], rows: &[u32], out: &mut [f32]) {
        self.kernels.float_dots(query, values, rows, out);
    }
}

/// Stages passed on unchanged.
macro_rules! passed_on {
    ($($method:ident: $args:ident),*) => {
        $(fn $method(&self, args: $args<'_>) {
            self.0.$method(args);
        })*
    };
}

impl Kernels for OffByOne<'_> {
    passed_on!(embed: EmbedArgs, layernorm: LayerNormArgs, quantise: QuantiseArgs, gemm: GemmArgs);
    passed_on!(attention: AttentionArgs, pool: PoolArgs, encode: EncodeArgs, distance: DistanceArgs);
    passed_on!(distance_f32: DistanceF32Args, hamming: HammingArgs, topk: TopKArgs, lif: LifArgs);
}

impl Gather for OffByOne<'_> {
    fn dots(&self, query: &[i8], codes: &[i8], rows: &[u32], out: &mut [i32]) {
        self.0.dots(query, codes, rows, out);
        out.iter_mut().last().into_iter().for_each(|o| *o += 1);
    }

    fn float_dots(&self, query: &[f32], values: &[f32], rows: &[u32], out: &mut [f32]) {
        self.0.float_dots(query, values, rows, out);
    }
}

impl Kernels for Unsteady<'_> {
    passed_on!(embed: EmbedArgs, layernorm: LayerNormArgs, quantise: QuantiseArgs, gemm: GemmArgs);
    passed_on!(attention: AttentionArgs, pool: PoolArgs, encode: EncodeArgs, distance: DistanceArgs);
    passed_on!(hamming: HammingArgs, topk: TopKArgs, lif: LifArgs);

    fn distance_f32(&self, args: DistanceF32Args<'_>) {
        let ScanArgs { k, first, rows, group, queries, vectors, filter, out } = args;
        self.0.distance_f32(ScanArgs { k, first, rows, group, queries, vectors, filter, out: &mut *out });
        if queries.len() > vectors.width {
            out.iter_mut().filter(|pair| **pair != plan::NOTHING).for_each(|pair| pair[0] += 1);
        }
    }
}

impl Gather for Unsteady<'_> {
    fn dots(&self, query: &[i8], codes: &[i8], rows: &[u32], out: &mut [i32]) {
        self.0.dots(query, codes, rows, out);
    }

    fn float_dots(&self, query: &[f32], values: &[f32], rows: &[u32], out: &mut [f32]) {
        self.0.float_dots(query, values, rows, out);
    }
}
