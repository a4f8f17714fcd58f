use plan::Range;

use super::{
    CompressError, ContainerError, Encoder, Vectors,
    container::{Reader, Writer},
    largest,
    search::{Rows, Scaled, dot_codes},
};

/// The encoder without a kernel of any processor.
pub struct Plain;

impl Encoder for Plain {
    fn encode(&self, width: usize, input: &[f32], codes: &mut [i8], steps: &mut [f32]) {
        let rows = input.chunks_exact(width).zip(codes.chunks_exact_mut(width));
        for ((input, codes), out) in rows.zip(steps) {
            let (multiplier, step) = Range::Row.multiplier_and_step(largest(input));
            *out = step;
            for (x, code) in input.iter().zip(codes) {
                *code = round(x * multiplier).clamp(-127, 127) as i8;
            }
        }
    }
}

/// Rounds half to even, for magnitudes up to 2^22: adding 1.5 * 2^23 leaves the integer in the low bits. The method of
/// the standard library is a call where a processor has no instruction for it.
pub(super) fn round(x: f32) -> i32 {
    const MAGIC: f32 = 12_582_912.0;
    (x + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
}

#[derive(Clone, Debug)]
pub(super) struct Int8 {
    width: usize,
    pub(super) codes: Vec<i8>,
    pub(super) steps: Vec<f32>,
}

impl Int8 {
    pub(super) fn encode(vectors: Vectors<'_>, encoder: &dyn Encoder) -> Result<Self, CompressError> {
        let width = vectors.width;
        let (mut codes, mut steps) = (vec![0; vectors.values.len()], vec![0.0; vectors.rows()]);
        vectors.for_blocks(|first, values| {
            let steps = &mut steps[first..first + values.len() / width];
            encoder.encode(width, values, &mut codes[first * width..][..values.len()], steps);
        })?;
        Ok(Int8 { width, codes, steps })
    }

    /// Four roundings of at most `127 * 2^-24` steps beside that of the code.
    pub(super) fn bound(&self, row: usize) -> f64 {
        match f64::from(self.steps[row]) {
            0.0 => ZERO_BELOW,
            step => step * (0.5 + 1.0 / 32768.0),
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.floats(&self.steps);
        out.bytes(bytemuck::cast_slice(&self.codes));
    }

    pub(super) fn read(reader: &mut Reader<'_>, width: usize, rows: usize) -> Result<Self, ContainerError> {
        let steps = reader.steps(rows, f32::MAX / 127.0)?;
        let codes: &[i8] = bytemuck::cast_slice(reader.bytes(rows * width));
        for (row, (codes, step)) in codes.chunks_exact(width).zip(&steps).enumerate() {
            let bad = |c: &i8| *c == i8::MIN || (*step == 0.0 && *c != 0);
            if let Some(column) = codes.iter().position(bad) {
                return Err(ContainerError::Payload { part: "codes", index: row * width + column });
            }
        }
        Ok(Int8 { width, codes: codes.to_vec(), steps })
    }

    fn row(&self, row: usize) -> &[i8] {
        &self.codes[row * self.width..][..self.width]
    }
}

/// A query as int8 codes.
pub(super) fn query(values: &[f32]) -> Scaled<Vec<i8>> {
    let (mut codes, mut step) = (vec![0; values.len()], [0.0]);
    Plain.encode(values.len(), values, &mut codes, &mut step);
    let norm = dot_codes(&codes, &codes).into();
    Scaled { codes, scale: step[0].into(), norm }
}

impl Rows for Int8 {
    type Query = Vec<i8>;

    fn query(&self, values: &[f32]) -> Scaled<Vec<i8>> {
        query(values)
    }

    fn dot(&self, query: &Vec<i8>, row: usize) -> f64 {
        dot_codes(query, self.row(row)).into()
    }

    fn norm(&self, row: usize) -> f64 {
        dot_codes(self.row(row), self.row(row)).into()
    }

    fn scale(&self, row: usize) -> f64 {
        self.steps[row].into()
    }

    fn decode(&self, row: usize, out: &mut [f32]) {
        let step = self.steps[row];
        for (out, &code) in out.iter_mut().zip(self.row(row)) {
            *out = decoded(code, step);
        }
    }
}

/// Saturates: of a row near the largest float, 127 steps may round beyond it.
pub(super) fn decoded(code: i8, step: f32) -> f32 {
    (f32::from(code) * step).clamp(-f32::MAX, f32::MAX)
}

/// Rows whose values are all smaller count as zero: [`plan::ENCODE_MIN`].
pub(super) const ZERO_BELOW: f64 = plan::ENCODE_MIN as f64;
