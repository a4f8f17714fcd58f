//! WGSL kernels and the table from stage to source.
//!
//! Each stage is one file in `wgsl/`, named by its stem, put after what it shares with others: the scalar operations
//! of `math.wgsl`, the sorted lists of `lists.wgsl`, the walk over a table of `scan.wgsl`. The table states what an engine must know of a shader: bindings, parameters, override
//! constants and entry points. It is typed by hand for reading, and a test compares it with what naga
//! reflects from the text.

use plan::Stage;

/// A stage's shader.
#[derive(Clone, Copy, Debug)]
pub struct Shader {
    /// The stage it computes.
    pub stage: Stage,
    /// WGSL text, complete.
    pub source: &'static str,
    /// Fields of the uniform `params` in order, with their sizes in words; no padding between them.
    pub params: &'static [(&'static str, u32)],
    /// Bindings 0.. of group 0.
    pub bindings: &'static [Binding],
    /// The override constant that chooses a variant, if there are several.
    pub variant: Option<Variant>,
    /// For adapters whose invocations run one after another: no barriers and no workgroup memory where a stage can do
    /// without.
    pub direct: Entry,
    /// For GPUs: a workgroup works together. May be the same as `direct`.
    pub tiled: Entry,
}

/// One binding of a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its variable in the WGSL text.
    pub name: &'static str,
    /// How the shader uses it.
    pub access: Access,
}

/// How a shader uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The uniform parameters.
    Uniform,
    /// Read-only storage.
    Read,
    /// Read-write storage.
    Write,
}

/// An override constant that is 0, 1, .. for the variants of a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name in the WGSL text.
    pub name: &'static str,
    /// How many values it has.
    pub values: u32,
}

/// An entry point and the part of the output one workgroup makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its function in the WGSL text.
    pub name: &'static str,
    /// Invocations of a workgroup, along x.
    pub invocations: u32,
    /// Rows of the stage's grid that a workgroup covers.
    pub rows: u32,
    /// Columns of the stage's grid that a workgroup covers.
    pub columns: u32,
}

impl Shader {
    /// Words of the uniform parameters.
    pub fn params_words(&self) -> u32 {
        self.params.iter().map(|(_, words)| words).sum()
    }

    /// Number of variants.
    pub fn variants(&self) -> u32 {
        self.variant.map_or(1, |v| v.values)
    }
}

/// The shader of a stage.
pub fn shader(stage: Stage) -> Shader {
    match stage {
        Stage::Embed => EMBED,
        Stage::LayerNorm => LAYERNORM,
        Stage::Quantise => QUANTISE,
        Stage::Gemm => GEMM,
        Stage::Attention => ATTENTION,
        Stage::Pool => POOL,
        Stage::Encode => ENCODE,
        Stage::Distance => DISTANCE,
        Stage::DistanceF32 => DISTANCE_F32,
        Stage::Hamming => HAMMING,
        Stage::TopK => TOPK,
        Stage::Lif => LIF,
    }
}

/// Columns a pool shader can hold in workgroup memory.
pub const POOL_MAX_WIDTH: usize = 2048;

/// Rows of a panel of a scan's table: `[rows / 32][words of a row][32]`, padded to whole panels.
pub const SCAN_PANEL: usize = 32;

/// Neurons that feed each other whose spikes fit in workgroup memory.
pub const LIF_MAX_RECURRENT: usize = 16_384;

macro_rules! source {
    ($stem:literal) => {
        concat!(include_str!("../wgsl/math.wgsl"), "\n", include_str!(concat!("../wgsl/", $stem, ".wgsl")))
    };
    ($stem:literal with $($shared:literal),+) => {
        concat!(
            include_str!("../wgsl/math.wgsl"),
            $("\n", include_str!(concat!("../wgsl/", $shared, ".wgsl")),)+
            "\n",
            include_str!(concat!("../wgsl/", $stem, ".wgsl"))
        )
    };
}

// The grid is flat: columns count quads of the whole output.
const EMBED: Shader = Shader {
    stage: Stage::Embed,
    source: source!("embed"),
    params: &[("tokens", 1), ("width", 1), ("position_shift", 1)],
    bindings: &[
        uniform(),
        read("ids"),
        read("spans"),
        read("word"),
        read("word_scale"),
        read("position"),
        write("result"),
    ],
    variant: None,
    direct: entry("main", 64, 1, 64),
    tiled: entry("main", 64, 1, 64),
};

const LAYERNORM: Shader = Shader {
    stage: Stage::LayerNorm,
    source: source!("layernorm"),
    params: &[("tokens", 1), ("width", 1), ("shift", 1)],
    bindings: &[uniform(), read("input"), read("residual"), read("norm"), write("result")],
    variant: Some(Variant { name: "RESIDUAL", values: 2 }),
    direct: entry("per_row", 32, 32, 1),
    tiled: entry("per_workgroup", 64, 1, 1),
};

const QUANTISE: Shader = Shader {
    stage: Stage::Quantise,
    source: source!("quantise"),
    params: &[("ends", 4), ("groups", 1), ("tokens", 1), ("width", 1), ("exponent_max", 1)],
    bindings: &[uniform(), read("input"), write("codes"), write("scales")],
    variant: Some(Variant { name: "SIGNAL", values: 2 }),
    direct: entry("per_row", 32, 32, 1),
    tiled: entry("per_workgroup", 64, 1, 1),
};

// Columns of the grid are outputs.
const GEMM: Shader = Shader {
    stage: Stage::Gemm,
    source: source!("gemm"),
    params: &[("ends", 4), ("groups", 1), ("tokens", 1), ("outputs", 1), ("corrected", 1), ("bound", 1)],
    bindings: &[
        uniform(),
        read("codes"),
        read("scales"),
        read("weights"),
        read("constants"),
        read("gelu"),
        write("result"),
    ],
    variant: Some(Variant { name: "EPILOGUE", values: 3 }),
    direct: entry("direct", 32, 8, 128),
    tiled: entry("tiled", 128, 64, 64),
};

// Columns of the grid are heads.
const ATTENTION: Shader = Shader {
    stage: Stage::Attention,
    source: source!("attention"),
    params: &[("tokens", 1), ("heads", 1)],
    bindings: &[uniform(), read("qkv"), read("spans"), read("exp_table"), write("result")],
    variant: None,
    direct: entry("main", 32, 32, 1),
    tiled: entry("main", 32, 32, 1),
};

// Rows of the grid are sequences.
const POOL: Shader = Shader {
    stage: Stage::Pool,
    source: source!("pool"),
    params: &[("sequences", 1), ("width", 1)],
    bindings: &[uniform(), read("input"), read("spans"), read("columns"), write("result")],
    variant: Some(Variant { name: "KIND", values: 2 }),
    direct: entry("main", 64, 1, 1),
    tiled: entry("main", 64, 1, 1),
};

const ENCODE: Shader = Shader {
    stage: Stage::Encode,
    source: source!("encode"),
    params: &[("rows", 1), ("width", 1), ("fixed_step", 1), ("multiplier", 1), ("step", 1)],
    bindings: &[uniform(), read("input"), write("codes"), write("steps")],
    variant: None,
    direct: entry("per_row", 32, 32, 1),
    tiled: entry("per_workgroup", 64, 1, 1),
};

const SCAN_PARAMS: &[(&str, u32)] = &[
    ("queries", 1),
    ("words", 1),
    ("k", 1),
    ("first", 1),
    ("end", 1),
    ("group", 1),
    ("lists", 1),
    ("filtered", 1),
    ("shift", 1),
];

// Rows of the grid are queries, columns are lists.
const DISTANCE: Shader = Shader {
    stage: Stage::Distance,
    source: source!("distance" with "lists", "scan"),
    params: SCAN_PARAMS,
    bindings: SCAN_BINDINGS,
    variant: Some(Variant { name: "SCORE", values: 3 }),
    direct: SCAN_DIRECT,
    tiled: SCAN_TILED,
};

const DISTANCE_F32: Shader = Shader {
    stage: Stage::DistanceF32,
    source: source!("distance_f32" with "lists", "scan"),
    params: SCAN_PARAMS,
    bindings: SCAN_BINDINGS,
    variant: Some(Variant { name: "SCORE", values: 3 }),
    direct: SCAN_DIRECT,
    tiled: SCAN_TILED,
};

const HAMMING: Shader = Shader {
    stage: Stage::Hamming,
    source: source!("hamming" with "lists", "scan"),
    params: SCAN_PARAMS,
    bindings: &[uniform(), read("queries"), read("vectors"), read("mask"), write("result")],
    variant: None,
    direct: SCAN_DIRECT,
    tiled: SCAN_TILED,
};

const SCAN_BINDINGS: &[Binding] =
    &[uniform(), read("queries"), read("vectors"), read("terms"), read("mask"), write("result")];
// 32 lists of any queries.
const SCAN_DIRECT: Entry = entry("direct", 32, 1, 32);
const SCAN_TILED: Entry = entry("tiled", 64, 8, 1);

// Rows of the grid are queries.
const TOPK: Shader = Shader {
    stage: Stage::TopK,
    source: source!("topk" with "lists"),
    params: &[("queries", 1), ("lists", 1), ("k", 1)],
    bindings: &[uniform(), read("input"), write("result")],
    variant: None,
    direct: entry("main", 64, 1, 1),
    tiled: entry("main", 64, 1, 1),
};

// Rows of the grid are runs, columns are words of spikes; where neurons feed each other, there is one column.
const LIF: Shader = Shader {
    stage: Stage::Lif,
    source: source!("lif"),
    params: &[("batch", 1), ("steps", 1), ("inputs", 1), ("outputs", 1), ("shift", 1), ("reset", 1)],
    bindings: &[
        uniform(),
        read("spikes"),
        read("weights"),
        read("recurrent"),
        read("constants"),
        write("potential"),
        write("result"),
    ],
    variant: Some(Variant { name: "RECURRENT", values: 2 }),
    direct: entry("main", 128, 1, 16),
    tiled: entry("main", 128, 1, 16),
};

const fn uniform() -> Binding {
    Binding { name: "params", access: Access::Uniform }
}

const fn read(name: &'static str) -> Binding {
    Binding { name, access: Access::Read }
}

const fn write(name: &'static str) -> Binding {
    Binding { name, access: Access::Write }
}

const fn entry(name: &'static str, invocations: u32, rows: u32, columns: u32) -> Entry {
    Entry { name, invocations, rows, columns }
}
