//! The stages of vector search and their tables.

use plan::{
    BitVectors, Encode, FloatScore, FloatVectors, Range, Scan, Score, Stage, TopK, Vectors, scaled_shift,
};
use shaders::SCAN_PANEL;

use super::{
    GpuError, GpuModel,
    record::{Call, Source, weight, wrong},
    weights::{GpuWeight, Uploader},
};

/// A table of vectors of any element.
pub(super) struct GpuTable {
    /// The stage that reads it.
    stage: Stage,
    /// Panels of rows, word by word.
    rows: wgpu::Buffer,
    /// Words of a row.
    words: u32,
    /// 0: none. 1: multipliers. 2: norms.
    score: u32,
    terms: Option<wgpu::Buffer>,
    /// Left shift of a dot product before it is scaled.
    shift: u32,
}

pub(super) fn lay_out_codes(table: &Vectors<'_>, upload: Uploader<'_>) -> Result<GpuTable, GpuError> {
    let quad = |quad: &[i8]| u32::from_le_bytes([quad[0], quad[1], quad[2], quad[3]].map(|c| c as u8));
    let row = |row: usize, word: usize| quad(&table.codes[row * table.width + word * 4..][..4]);
    let rows = upload(&panels(table.rows(), table.width / 4, row))?;
    let (score, terms) = match &table.score {
        Score::Dot => (0, None),
        Score::Scaled(multiplier) => (1, Some(padded(multiplier.iter().map(|&m| m.into())))),
        Score::Euclid(norm) => (2, Some(padded(norm.iter().map(|&n| n as u32)))),
    };
    let terms = terms.map(|terms| upload(&terms)).transpose()?;
    let (words, shift) = (table.width as u32 / 4, scaled_shift(table.width));
    Ok(GpuTable { stage: Stage::Distance, rows, words, score, terms, shift })
}

pub(super) fn lay_out_floats(table: &FloatVectors<'_>, upload: Uploader<'_>) -> Result<GpuTable, GpuError> {
    let row = |row: usize, word: usize| table.values[row * table.width + word].to_bits();
    let rows = upload(&panels(table.rows(), table.width, row))?;
    let (score, terms) = match &table.score {
        FloatScore::Dot => (0, None),
        FloatScore::Scaled(terms) => (1, Some(padded(terms.iter().map(|t| t.to_bits())))),
        FloatScore::Euclid(terms) => (2, Some(padded(terms.iter().map(|t| t.to_bits())))),
    };
    let terms = terms.map(|terms| upload(&terms)).transpose()?;
    Ok(GpuTable { stage: Stage::DistanceF32, rows, words: table.width as u32, score, terms, shift: 0 })
}

pub(super) fn lay_out_bits(table: &BitVectors<'_>, upload: Uploader<'_>) -> Result<GpuTable, GpuError> {
    let words = table.width / 32;
    let rows = upload(&panels(table.rows(), words, |row, word| table.bits[row * words + word]))?;
    Ok(GpuTable { stage: Stage::Hamming, rows, words: words as u32, score: 0, terms: None, shift: 0 })
}

/// `[rows / 32][words][32]`: lanes that hold consecutive rows read consecutive words. Rows that fill the last panel
/// are zero.
fn panels(rows: usize, words: usize, word: impl Fn(usize, usize) -> u32) -> Vec<u32> {
    let mut panels = vec![0; rows.next_multiple_of(SCAN_PANEL) * words];
    for (index, panel) in panels.chunks_exact_mut(SCAN_PANEL * words).enumerate() {
        let first = index * SCAN_PANEL;
        for (at, lanes) in panel.chunks_exact_mut(SCAN_PANEL).enumerate() {
            for (row, lane) in (first..rows).zip(lanes) {
                *lane = word(row, at);
            }
        }
    }
    panels
}

fn padded(terms: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut terms: Vec<u32> = terms.collect();
    terms.resize(terms.len().next_multiple_of(SCAN_PANEL), 0);
    terms
}

/// The dispatch of an encode step. A fixed range is divided out here, as IEEE defines it.
pub(super) fn encode<'a>(s: &Encode) -> Call<'a> {
    let fixed = match s.range {
        Range::Row => [0, 0, 0],
        Range::Fixed { .. } => {
            let (multiplier, step) = s.range.multiplier_and_step(0.0);
            [1, multiplier.to_bits(), step.to_bits()]
        }
    };
    let mut params = vec![s.rows as u32, s.width as u32];
    params.extend(fixed);
    Call {
        stage: Stage::Encode,
        variant: 0,
        params,
        sources: vec![Source::Plan(s.input), Source::Plan(s.codes), Source::Plan(s.steps)],
        grid: (s.rows, 1),
        loops: [0; 2],
    }
}

/// The dispatch of a scan over any table.
pub(super) fn scan<'a>(stage: Stage, s: &Scan, model: &'a GpuModel) -> Result<Call<'a>, GpuError> {
    let GpuWeight::Table(table) = weight(model, s.vectors)? else {
        return Err(wrong(s.vectors, "a table of vectors"));
    };
    if table.stage != stage {
        return Err(wrong(s.vectors, "a table of this stage's vectors"));
    }
    let params = vec![
        s.queries as u32,
        table.words,
        s.k as u32,
        s.first as u32,
        (s.first + s.rows) as u32,
        s.group.min(s.rows) as u32,
        s.lists() as u32,
        s.filter.is_some().into(),
        table.shift,
    ];
    let mut sources = vec![Source::Plan(s.input), Source::Weight(&table.rows)];
    if stage != Stage::Hamming {
        // Scores without terms bind something in their place; their variant never reads it.
        sources.push(Source::Weight(table.terms.as_ref().unwrap_or(&table.rows)));
    }
    sources.extend([Source::Plan(s.filter.unwrap_or(s.input)), Source::Plan(s.out)]);
    let (variant, grid, loops) = (table.score, (s.queries, s.lists()), scan_loops(s, table.words.into()));
    Ok(Call { stage, variant, params, sources, grid, loops })
}

/// The dispatch of a merge.
pub(super) fn topk<'a>(s: &TopK) -> Call<'a> {
    Call {
        stage: Stage::TopK,
        variant: 0,
        params: vec![s.queries as u32, s.lists as u32, s.k as u32],
        sources: vec![Source::Plan(s.input), Source::Plan(s.out)],
        grid: (s.queries, 1),
        loops: [((s.lists * s.k) as u64).div_ceil(TILE) * (TILE / LANES + settle_loops(1, s.k as u64)); 2],
    }
}

/// As if every row were better than the ones before it.
fn scan_loops(s: &Scan, words: u64) -> [u64; 2] {
    let (k, rows) = (s.k as u64, s.group.min(s.rows) as u64);
    let insert = u64::from(k.ilog2()) + 1 + k / 4 + 3;
    let direct = k + (rows / 4 + 2) * (1 + words / 4 + 3 + 4 * insert);
    let slabs = words.div_ceil(128) * 6;
    let tiled = k / 8 + 8 + (rows / TILE + 2) * (words + slabs + settle_loops(8, k));
    [direct, tiled]
}

/// Iterations in which a workgroup takes a full tile of pairs into each of its lists.
fn settle_loops(lists: u64, k: u64) -> u64 {
    let compare = 1 + TILE / 4;
    let merge = k.div_ceil(LANES) * (compare + 1) + TILE / LANES * (compare + u64::from(k.ilog2()) + 1);
    lists * (4 + 1 + merge) + 1
}

/// Invocations of a workgroup and pairs of a tile, as in `lists.wgsl`.
const LANES: u64 = 64;
const TILE: u64 = 128;
