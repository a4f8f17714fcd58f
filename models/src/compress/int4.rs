use plan::ENCODE_MIN;

use super::{
    CompressError, ContainerError, Vectors,
    container::{Reader, Writer},
    int8::{self, ZERO_BELOW, decoded, round},
    largest,
    search::{Rows, Scaled, dot_codes},
};

/// Columns that share a step.
pub(super) const BLOCK: usize = 32;

/// Per row the amplitude `A = max|x|`, per block of 32 columns a multiplier `m = ceil(255 max|x| / A)`, per value a
/// code in -7..=7: `x = code * A * m / 1785`.
///
/// A block's first half of codes lies in the low halves of its bytes, the second half in the high ones: two shifts
/// unpack a register of them.
#[derive(Clone, Debug)]
pub(super) struct Int4 {
    width: usize,
    amplitudes: Vec<f32>,
    multipliers: Vec<u8>,
    codes: Vec<u8>,
}

/// Bytes of the codes of a row.
pub(super) fn row_bytes(width: u64) -> u64 {
    let block = BLOCK as u64;
    width / block * (block / 2) + (width % block).div_ceil(2)
}

impl Int4 {
    pub(super) fn encode(vectors: Vectors<'_>) -> Result<Self, CompressError> {
        let (width, rows) = (vectors.width, vectors.rows());
        let mut out = Int4 {
            width,
            amplitudes: Vec::with_capacity(rows),
            multipliers: Vec::with_capacity(rows * width.div_ceil(BLOCK)),
            codes: Vec::with_capacity(rows * row_bytes(width as u64) as usize),
        };
        vectors.for_blocks(|_, values| values.chunks_exact(width).for_each(|row| out.push(row)))?;
        Ok(out)
    }

    fn push(&mut self, row: &[f32]) {
        let most = largest(row);
        let amplitude = if most < ENCODE_MIN { 0.0 } else { most };
        self.amplitudes.push(amplitude);
        for block in row.chunks(BLOCK) {
            let share = if amplitude == 0.0 { 0.0 } else { f64::from(largest(block)) / f64::from(amplitude) };
            let multiplier = (share * 255.0).ceil() as u8;
            self.multipliers.push(multiplier);
            let inverse = match multiplier {
                0 => 0.0,
                m => (LEVELS / (f64::from(amplitude) * f64::from(m))) as f32,
            };
            let mut codes = [0; BLOCK];
            for (code, x) in codes.iter_mut().zip(block) {
                *code = round(x * inverse).clamp(-7, 7) as i8;
            }
            let half = block.len().div_ceil(2);
            let (low, high) = codes.split_at(half);
            self.codes.extend(low.iter().zip(high).map(|(&l, &h)| (l as u8 & 15) | (h as u8) << 4));
        }
    }

    /// Calls `each` with every block's multiplier, first column and codes; codes past the width are 0.
    fn blocks(&self, row: usize, mut each: impl FnMut(u8, usize, &[i8])) {
        let (blocks, bytes) = (self.width.div_ceil(BLOCK), row_bytes(self.width as u64) as usize);
        let multipliers = &self.multipliers[row * blocks..][..blocks];
        let packed = self.codes[row * bytes..][..bytes].chunks(BLOCK / 2);
        for ((i, &multiplier), packed) in multipliers.iter().enumerate().zip(packed) {
            let mut codes = [0; BLOCK];
            let (low, high) = codes.split_at_mut(packed.len());
            for ((low, high), &byte) in low.iter_mut().zip(high).zip(packed) {
                (*low, *high) = ((byte << 4) as i8 >> 4, byte as i8 >> 4);
            }
            each(multiplier, i * BLOCK, &codes[..BLOCK.min(self.width - i * BLOCK)]);
        }
    }

    /// Four roundings of at most `7 * 2^-24` steps beside that of the code.
    pub(super) fn bound(&self, row: usize) -> Vec<f64> {
        let mut bounds = Vec::with_capacity(self.width);
        self.blocks(row, |multiplier, _, codes| {
            let step = f64::from(self.step(row, multiplier)) * (0.5 + 1.0 / 524_288.0);
            let bound = if self.amplitudes[row] == 0.0 { ZERO_BELOW } else { step };
            bounds.extend(codes.iter().map(|_| bound));
        });
        bounds
    }

    fn step(&self, row: usize, multiplier: u8) -> f32 {
        (f64::from(self.amplitudes[row]) * f64::from(multiplier) / LEVELS) as f32
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.floats(&self.amplitudes);
        out.bytes(&self.multipliers);
        out.bytes(&self.codes);
    }

    pub(super) fn read(reader: &mut Reader<'_>, width: usize, rows: usize) -> Result<Self, ContainerError> {
        let amplitudes = reader.steps(rows, f32::MAX)?;
        let blocks = width.div_ceil(BLOCK);
        let multipliers = reader.bytes(rows * blocks).to_vec();
        let codes = reader.bytes(rows * row_bytes(width as u64) as usize).to_vec();
        let out = Int4 { width, amplitudes, multipliers, codes };
        for row in 0..rows {
            let mut bad = None;
            out.blocks(row, |multiplier, first, codes| {
                if multiplier != 0 && out.amplitudes[row] == 0.0 {
                    bad = bad.or(Some(("multipliers", row * blocks + first / BLOCK)));
                }
                let odd = |c: &i8| *c == -8 || (multiplier == 0 && *c != 0);
                if let Some(column) = codes.iter().position(odd) {
                    bad = bad.or(Some(("codes", row * width + first + column)));
                }
            });
            // The last half byte of an odd block has no column.
            let last = out.codes[(row + 1) * row_bytes(width as u64) as usize - 1];
            if width % 2 == 1 && last >> 4 != 0 {
                bad = bad.or(Some(("padding", row)));
            }
            if let Some((part, index)) = bad {
                return Err(ContainerError::Payload { part, index });
            }
        }
        Ok(out)
    }
}

impl Rows for Int4 {
    type Query = Vec<i8>;

    fn query(&self, values: &[f32]) -> Scaled<Vec<i8>> {
        int8::query(values)
    }

    /// At most `255 * 7 * 127 * 4096 < 2^30`.
    fn dot(&self, query: &Vec<i8>, row: usize) -> f64 {
        let mut sum = 0;
        self.blocks(row, |multiplier, first, codes| {
            sum += i32::from(multiplier) * dot_codes(&query[first..first + codes.len()], codes);
        });
        sum.into()
    }

    /// At most `255^2 * 49 * 4096 < 2^34`.
    fn norm(&self, row: usize) -> f64 {
        let mut sum = 0;
        self.blocks(row, |m, _, codes| {
            sum += i64::from(m) * i64::from(m) * i64::from(dot_codes(codes, codes))
        });
        sum as f64
    }

    fn scale(&self, row: usize) -> f64 {
        f64::from(self.amplitudes[row]) / LEVELS
    }

    fn decode(&self, row: usize, out: &mut [f32]) {
        self.blocks(row, |multiplier, first, codes| {
            let step = self.step(row, multiplier);
            for (out, &code) in out[first..].iter_mut().zip(codes) {
                *out = decoded(code, step);
            }
        });
    }
}

/// Levels of a code times levels of a multiplier.
const LEVELS: f64 = 7.0 * 255.0;
