use plan::ENCODE_MIN;

use super::{
    CompressError, ContainerError, Vectors,
    container::{Reader, Writer},
    largest,
    search::{Rows, Scaled},
};

/// Signs, and the mean magnitude of the row, which is the magnitude of least squared error.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    width: usize,
    means: Vec<f32>,
    pub(super) words: Vec<u32>,
}

impl Binary {
    pub(super) fn encode(vectors: Vectors<'_>) -> Result<Self, CompressError> {
        let (width, rows) = (vectors.width, vectors.rows());
        let (mut means, mut words) =
            (Vec::with_capacity(rows), Vec::with_capacity(rows * width.div_ceil(32)));
        vectors.for_blocks(|_, values| {
            for row in values.chunks_exact(width) {
                means.push(mean(row));
                words.extend(row.chunks(32).map(signs));
            }
        })?;
        Ok(Binary { width, means, words })
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.floats(&self.means);
        self.words.iter().for_each(|w| out.bytes(&w.to_le_bytes()));
    }

    pub(super) fn read(reader: &mut Reader<'_>, width: usize, rows: usize) -> Result<Self, ContainerError> {
        let means = reader.steps(rows, f32::MAX)?;
        let row_words = width.div_ceil(32);
        let words: Vec<u32> = reader.words(rows * row_words).collect();
        let padding = if width.is_multiple_of(32) { 0 } else { u32::MAX << (width % 32) };
        if let Some(index) = words.chunks_exact(row_words).position(|row| row[row_words - 1] & padding != 0) {
            return Err(ContainerError::Payload { part: "padding", index });
        }
        Ok(Binary { width, means, words })
    }

    fn row(&self, row: usize) -> &[u32] {
        let words = self.width.div_ceil(32);
        &self.words[row * words..][..words]
    }
}

impl Rows for Binary {
    type Query = Vec<u32>;

    fn query(&self, values: &[f32]) -> Scaled<Vec<u32>> {
        let codes = values.chunks(32).map(signs).collect();
        Scaled { codes, scale: mean(values).into(), norm: self.width as f64 }
    }

    fn dot(&self, query: &Vec<u32>, row: usize) -> f64 {
        let unequal: u32 = query.iter().zip(self.row(row)).map(|(a, b)| (a ^ b).count_ones()).sum();
        self.width as f64 - 2.0 * f64::from(unequal)
    }

    fn norm(&self, _: usize) -> f64 {
        self.width as f64
    }

    fn scale(&self, row: usize) -> f64 {
        self.means[row].into()
    }

    fn decode(&self, row: usize, out: &mut [f32]) {
        let mean = self.means[row];
        for (out, word) in out.chunks_mut(32).zip(self.row(row)) {
            for (bit, out) in out.iter_mut().enumerate() {
                *out = if word >> bit & 1 == 1 { mean } else { -mean };
            }
        }
    }
}

fn signs(values: &[f32]) -> u32 {
    values.iter().enumerate().fold(0, |word, (bit, &x)| word | u32::from(x > 0.0) << bit)
}

/// Sums in f64: of f32 of any magnitude none overflows.
fn mean(row: &[f32]) -> f32 {
    let most = largest(row);
    if most < ENCODE_MIN {
        return 0.0;
    }
    let mut lanes = [0.0; 8];
    let chunks = row.chunks_exact(8);
    let rest = chunks.remainder().iter().fold(0.0, |s, x| s + f64::from(x.abs()));
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(x.abs());
        }
    }
    (lanes.iter().fold(rest, |s, lane| s + lane) / row.len() as f64) as f32
}
