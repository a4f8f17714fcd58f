//! A model's weights as the shaders read them.

use plan::{EmbeddingWeight, GemmWeight, MAX_GROUPS, NormWeight, PANEL, Weight, WeightId, pack_gemm};

use super::{GpuError, search, search::GpuTable, spiking, spiking::GpuLayer};

/// The weights of a model on one device.
pub struct GpuModel {
    pub(super) weights: Vec<GpuWeight>,
    pub(super) bytes: u64,
}

impl GpuModel {
    /// Bytes of device memory the weights take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// One weight on the device; bindings are in the order its shader names them.
pub(super) enum GpuWeight {
    Embedding {
        word: wgpu::Buffer,
        scale: wgpu::Buffer,
        position: wgpu::Buffer,
        position_shift: u32,
    },
    Norm {
        gain_and_bias: wgpu::Buffer,
        exponent: u32,
    },
    Gemm {
        weights: wgpu::Buffer,
        constants: wgpu::Buffer,
        groups: Groups,
        outputs: u32,
        corrected: bool,
    },
    Exp(wgpu::Buffer),
    Gelu(wgpu::Buffer),
    /// The column of each channel: the inverse of the model's list.
    Columns(wgpu::Buffer),
    /// What any scan reads.
    Table(GpuTable),
    Layer(GpuLayer),
}

/// Makes a storage buffer of words.
pub(super) type Uploader<'a> = &'a mut dyn FnMut(&[u32]) -> Result<wgpu::Buffer, GpuError>;

/// Where each group of columns ends, in quads, and how many groups there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) ends: [u32; MAX_GROUPS],
    pub(super) count: u32,
}

impl Groups {
    /// Unused groups, which are last, end where the last used one does.
    pub(super) fn new(groups: [usize; MAX_GROUPS]) -> Self {
        let mut end = 0;
        let ends = groups.map(|g| {
            end += g / 4;
            end as u32
        });
        Groups { ends, count: groups.iter().filter(|&&g| g > 0).count() as u32 }
    }
}

/// Lays a weight out for its shader.
pub(super) fn lay_out(
    weight: &Weight<'_>,
    id: WeightId,
    upload: Uploader<'_>,
) -> Result<GpuWeight, GpuError> {
    Ok(match weight {
        Weight::Embedding(table) => GpuWeight::Embedding {
            word: upload(&words_of_rows(table))?,
            scale: upload(&table.word_scale.iter().map(|&s| s.into()).collect::<Vec<u32>>())?,
            position: upload(&positions(table))?,
            position_shift: table.position_shift,
        },
        Weight::Norm(norm) => {
            GpuWeight::Norm { gain_and_bias: upload(&gain_and_bias(norm))?, exponent: norm.exponent }
        }
        Weight::Gemm(gemm) => lay_out_gemm(gemm, upload)?,
        Weight::Exp(table) => GpuWeight::Exp(upload(&table.iter().map(|&p| p.into()).collect::<Vec<u32>>())?),
        Weight::Gelu(table) => GpuWeight::Gelu(upload(&quads(table))?),
        Weight::Permutation(places) => {
            let columns = inverse(places)
                .ok_or(GpuError::Weight { index: id.0, wanted: "a permutation of its length" })?;
            GpuWeight::Columns(upload(&columns)?)
        }
        Weight::Vectors(table) => GpuWeight::Table(search::lay_out_codes(table, upload)?),
        Weight::FloatVectors(table) => GpuWeight::Table(search::lay_out_floats(table, upload)?),
        Weight::BitVectors(table) => GpuWeight::Table(search::lay_out_bits(table, upload)?),
        Weight::Lif(layer) => GpuWeight::Layer(spiking::lay_out(layer, upload)?),
    })
}

fn lay_out_gemm(gemm: &GemmWeight<'_>, upload: Uploader<'_>) -> Result<GpuWeight, GpuError> {
    let packed = pack_gemm(gemm);
    let signed = |values: &[i32]| values.iter().map(|&v| v as u32).collect::<Vec<u32>>();
    let mut constants = packed.mc.clone();
    constants.extend(signed(&packed.bias));
    constants.extend(signed(&packed.correction));
    for panel in 0..packed.outputs / PANEL {
        constants.extend([packed.accumulator_shift[panel], packed.scale_shift[panel] as u32, 0, 0]);
    }
    Ok(GpuWeight::Gemm {
        weights: upload(&packed.words)?,
        constants: upload(&constants)?,
        groups: Groups::new(packed.groups),
        outputs: packed.outputs as u32,
        corrected: packed.correction.iter().any(|&c| c != 0),
    })
}

/// Rows of i8 quads, each padded to whole quads.
fn words_of_rows(table: &EmbeddingWeight<'_>) -> Vec<u32> {
    let mut words = Vec::with_capacity(table.word.len().div_ceil(4));
    for row in table.word.chunks_exact(table.width) {
        words.extend(quads(bytemuck::cast_slice(row)));
    }
    words
}

/// Rows of i16 pairs, each padded to whole quads.
fn positions(table: &EmbeddingWeight<'_>) -> Vec<u32> {
    let mut words = Vec::with_capacity(table.position.len().div_ceil(2));
    for row in table.position.chunks_exact(table.width) {
        for quad in row.chunks(4) {
            let at = |i: usize| u32::from(quad.get(i).copied().unwrap_or(0) as u16);
            words.extend([at(0) | at(1) << 16, at(2) | at(3) << 16]);
        }
    }
    words
}

fn gain_and_bias(norm: &NormWeight<'_>) -> Vec<u32> {
    norm.gain.iter().zip(norm.bias.iter()).flat_map(|(&g, &b)| [i32::from(g) as u32, b as u32]).collect()
}

pub(super) fn quads(bytes: &[u8]) -> Vec<u32> {
    let word = |quad: &[u8]| quad.iter().rev().fold(0, |word, &b| word << 8 | u32::from(b));
    bytes.chunks(4).map(word).collect()
}

fn inverse(places: &[u16]) -> Option<Vec<u32>> {
    let mut columns = vec![u32::MAX; places.len()];
    for (column, &place) in places.iter().enumerate() {
        *columns.get_mut(usize::from(place))? = column as u32;
    }
    (!columns.contains(&u32::MAX)).then_some(columns)
}
