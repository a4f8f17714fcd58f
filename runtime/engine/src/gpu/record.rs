//! What each step of a plan asks of the device: parameters, bindings and a grid.

use plan::{BufferId, Epilogue, PoolKind, Signal, Stage, Step, WeightId};

use super::{GpuError, GpuModel, search, spiking, weights::GpuWeight, weights::Groups};

/// One dispatch.
pub(super) struct Call<'a> {
    pub(super) stage: Stage,
    /// Value of the shader's override constant.
    pub(super) variant: u32,
    /// Words of the uniform parameters, in the order of the shader's table.
    pub(super) params: Vec<u32>,
    /// Bindings 1.. in order.
    pub(super) sources: Vec<Source<'a>>,
    /// Rows and columns of output the grid covers, in the stage's own units.
    pub(super) grid: (usize, usize),
    /// Most iterations of all loops of an invocation, in the direct and in the tiled form; 0 where they are few
    /// whatever the plan.
    pub(super) loops: [u64; 2],
}

/// What is bound.
pub(super) enum Source<'a> {
    Plan(BufferId),
    Weight(&'a wgpu::Buffer),
}

/// The dispatch of a step.
pub(super) fn call<'a>(step: &Step, model: &'a GpuModel) -> Result<Call<'a>, GpuError> {
    use Source::{Plan, Weight};
    let stage = step.stage();
    match *step {
        Step::Embed(s) => embed(&s, model),
        Step::LayerNorm(s) => {
            let GpuWeight::Norm { gain_and_bias, exponent } = weight(model, s.norm)? else {
                return Err(wrong(s.norm, "a norm"));
            };
            let residual = s.residual.unwrap_or(s.input);
            Ok(Call {
                stage,
                variant: s.residual.is_some().into(),
                params: vec![s.tokens as u32, s.width as u32, exponent.saturating_sub(2)],
                sources: vec![Plan(s.input), Plan(residual), Weight(gain_and_bias), Plan(s.out)],
                grid: (s.tokens, 1),
                loops: [0; 2],
            })
        }
        Step::Quantise(s) => {
            let groups = Groups::new(s.groups);
            let mut params = groups.ends.to_vec();
            params.extend([groups.count, s.tokens as u32, s.width as u32, s.exponent_max]);
            Ok(Call {
                stage,
                variant: (s.signal == Signal::Offset).into(),
                params,
                sources: vec![Plan(s.input), Plan(s.codes), Plan(s.scales)],
                grid: (s.tokens, 1),
                loops: [0; 2],
            })
        }
        Step::Gemm(s) => gemm(&s, model),
        Step::Attention(s) => {
            let GpuWeight::Exp(exp) = weight(model, s.exp)? else {
                return Err(wrong(s.exp, "an exp table"));
            };
            Ok(Call {
                stage,
                variant: 0,
                params: vec![s.tokens as u32, s.heads as u32],
                sources: vec![Plan(s.qkv), Plan(s.spans), Weight(exp), Plan(s.out)],
                grid: (s.tokens, s.heads),
                loops: [0; 2],
            })
        }
        Step::Pool(s) => {
            let GpuWeight::Columns(columns) = weight(model, s.permutation)? else {
                return Err(wrong(s.permutation, "a permutation"));
            };
            let max = shaders::POOL_MAX_WIDTH;
            if s.width > max {
                let what = "pool width".to_owned();
                return Err(GpuError::Limit { what, wanted: s.width as u64, max: max as u64 });
            }
            Ok(Call {
                stage,
                variant: (s.kind == PoolKind::First).into(),
                params: vec![s.sequences as u32, s.width as u32],
                sources: vec![Plan(s.input), Plan(s.spans), Weight(columns), Plan(s.out)],
                grid: (s.sequences, 1),
                loops: [0; 2],
            })
        }
        Step::Encode(s) => Ok(search::encode(&s)),
        Step::Distance(s) | Step::DistanceF32(s) | Step::Hamming(s) => search::scan(stage, &s, model),
        Step::TopK(s) => Ok(search::topk(&s)),
        Step::Lif(s) => spiking::lif(&s, model),
    }
}

fn embed<'a>(step: &plan::Embed, model: &'a GpuModel) -> Result<Call<'a>, GpuError> {
    use Source::{Plan, Weight};
    let GpuWeight::Embedding { word, scale, position, position_shift } = weight(model, step.table)? else {
        return Err(wrong(step.table, "embedding tables"));
    };
    Ok(Call {
        stage: Stage::Embed,
        variant: 0,
        params: vec![step.tokens as u32, step.width as u32, *position_shift],
        sources: vec![
            Plan(step.ids),
            Plan(step.spans),
            Weight(word),
            Weight(scale),
            Weight(position),
            Plan(step.out),
        ],
        grid: (1, step.tokens * step.width.div_ceil(4)),
        loops: [0; 2],
    })
}

fn gemm<'a>(step: &plan::Gemm, model: &'a GpuModel) -> Result<Call<'a>, GpuError> {
    let GpuWeight::Gemm { weights, constants, groups, outputs, corrected } = weight(model, step.weight)?
    else {
        return Err(wrong(step.weight, "a matrix"));
    };
    // Epilogues without a table bind something in its place; their variants never read it.
    let (variant, bound, table) = match step.epilogue {
        Epilogue::Wide => (0, 0, constants),
        Epilogue::Clamp { limit } => (1, limit, constants),
        Epilogue::Gelu { table, offset } => match weight(model, table)? {
            GpuWeight::Gelu(buffer) => (2, offset, buffer),
            _ => return Err(wrong(table, "a GELU table")),
        },
    };
    let mut params = groups.ends.to_vec();
    params.extend([groups.count, step.tokens as u32, *outputs, (*corrected).into(), bound]);
    Ok(Call {
        stage: Stage::Gemm,
        variant,
        params,
        sources: vec![
            Source::Plan(step.codes),
            Source::Plan(step.scales),
            Source::Weight(weights),
            Source::Weight(constants),
            Source::Weight(table),
            Source::Plan(step.out),
        ],
        grid: (step.tokens, *outputs as usize),
        loops: [0; 2],
    })
}

pub(super) fn weight(model: &GpuModel, id: WeightId) -> Result<&GpuWeight, GpuError> {
    model.weights.get(id.0).ok_or(wrong(id, "there"))
}

pub(super) fn wrong(id: WeightId, wanted: &'static str) -> GpuError {
    GpuError::Weight { index: id.0, wanted }
}
