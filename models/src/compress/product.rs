use std::sync::{Arc, OnceLock};

use plan::Parallel;

use super::{
    Codec, CompressError, ContainerError, Vectors,
    container::{Reader, Writer},
    kmeans, largest,
    search::{Rows, Scaled},
};

/// How vectors are sliced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    width: usize,
    subspaces: usize,
    bits: u32,
}

impl Shape {
    pub(super) fn new(width: usize, subspaces: usize, bits: u32) -> Result<Self, CompressError> {
        if bits != 4 && bits != 8 {
            return Err(CompressError::Bits { found: bits });
        }
        if subspaces == 0 || !width.is_multiple_of(subspaces) {
            return Err(CompressError::Subspaces { subspaces, width });
        }
        Ok(Shape { width, subspaces, bits })
    }

    fn slice(self) -> usize {
        self.width / self.subspaces
    }

    fn centroids(self) -> usize {
        1 << self.bits
    }

    fn row_bytes(self) -> usize {
        (self.subspaces * self.bits as usize).div_ceil(8)
    }
}

/// Centroids of every subspace, over values divided by a power of two near the largest, so that squares neither
/// overflow nor vanish.
#[derive(Debug)]
pub(super) struct Book {
    shape: Shape,
    scale: f32,
    /// `[subspaces][slice][centroids]`.
    centroids: Vec<f32>,
    /// `[subspaces][centroids]`: squared lengths.
    norms: Vec<f64>,
}

impl Book {
    /// `training` is `[rows][width]`, finite.
    pub(super) fn train(shape: Shape, training: &[f32], parallel: &dyn Parallel) -> Arc<Self> {
        let scale = power_of_two(largest(training));
        let centroids = in_parallel(parallel, shape.subspaces, |s| {
            let slices =
                training.chunks_exact(shape.width).map(|row| &row[s * shape.slice()..][..shape.slice()]);
            let points: Vec<f32> = slices.flatten().map(|x| x / scale).collect();
            kmeans::centroids(&points, shape.slice(), shape.centroids())
        });
        Arc::new(Book::new(shape, scale, centroids.concat()))
    }

    fn new(shape: Shape, scale: f32, centroids: Vec<f32>) -> Self {
        let mut norms = vec![0.0; shape.subspaces * shape.centroids()];
        let books = centroids.chunks_exact(shape.slice() * shape.centroids());
        for (book, norms) in books.zip(norms.chunks_exact_mut(shape.centroids())) {
            for row in book.chunks_exact(shape.centroids()) {
                norms.iter_mut().zip(row).for_each(|(norm, &c)| *norm += f64::from(c) * f64::from(c));
            }
        }
        Book { shape, scale, centroids, norms }
    }

    /// `vectors` are finite. Values far beyond the trained ones take the nearest centroids there are.
    pub(super) fn encode(self: Arc<Self>, vectors: Vectors<'_>, parallel: &dyn Parallel) -> Product {
        let shape = self.shape;
        let rows = vectors.rows();
        let blocks = in_parallel(parallel, rows.div_ceil(ROWS_A_PIECE), |block| {
            let (first, mut scaled) = (block * ROWS_A_PIECE, vec![0.0; shape.width]);
            let last = (first + ROWS_A_PIECE).min(rows);
            let mut codes = vec![0u8; (last - first) * shape.row_bytes()];
            for (row, codes) in (first..last).zip(codes.chunks_exact_mut(shape.row_bytes())) {
                let values = scaled.iter_mut().zip(vectors.row(row));
                values.for_each(|(out, x)| *out = (x / self.scale).clamp(-LIMIT, LIMIT));
                self.encode_row(&scaled, codes);
            }
            codes
        });
        Product { book: self, codes: blocks.concat() }
    }

    fn encode_row(&self, row: &[f32], codes: &mut [u8]) {
        let (slice, centroids) = (self.shape.slice(), self.shape.centroids());
        let books = self.centroids.chunks_exact(slice * centroids);
        for (s, (point, book)) in row.chunks_exact(slice).zip(books).enumerate() {
            let code = kmeans::nearest(point, book, centroids).0 as u8;
            match self.shape.bits {
                8 => codes[s] = code,
                _ => codes[s / 2] |= code << (s % 2 * 4),
            }
        }
    }
}

/// Product codes and their codebook.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) book: Arc<Book>,
    /// `[rows][row_bytes]`; with 4 bits the first code of a byte lies in its low half.
    codes: Vec<u8>,
}

impl Product {
    pub(super) fn codec(&self) -> Codec {
        Codec::Product { subspaces: self.book.shape.subspaces, bits: self.book.shape.bits }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.floats(&[self.book.scale]);
        out.floats(&self.book.centroids);
        out.bytes(&self.codes);
    }

    pub(super) fn read(reader: &mut Reader<'_>, shape: Shape, rows: usize) -> Result<Self, ContainerError> {
        let scale = reader.floats(1)[0];
        if !(scale > 0.0 && scale.is_finite() && power_of_two(scale) == scale) {
            return Err(ContainerError::Payload { part: "scale", index: 0 });
        }
        let centroids = reader.floats(shape.width * shape.centroids());
        // The second condition is that decoded values are finite; no comparison holds of NaN.
        if let Some(index) = centroids.iter().position(|c| !(c.abs() < LIMIT && (c * scale).is_finite())) {
            return Err(ContainerError::Payload { part: "centroids", index });
        }
        let codes = reader.bytes(rows * shape.row_bytes());
        if shape.bits == 4 && shape.subspaces % 2 == 1 {
            let padded = |row: &[u8]| row[shape.row_bytes() - 1] >> 4 != 0;
            if let Some(index) = codes.chunks_exact(shape.row_bytes()).position(padded) {
                return Err(ContainerError::Payload { part: "padding", index });
            }
        }
        Ok(Product { book: Arc::new(Book::new(shape, scale, centroids)), codes: codes.to_vec() })
    }

    /// Sums what `table` `[subspaces][centroids]` holds for the row's codes.
    fn sum<T: Copy + Default + std::ops::Add<Output = T>>(&self, table: &[T], row: usize) -> T {
        let shape = self.book.shape;
        let codes = &self.codes[row * shape.row_bytes()..][..shape.row_bytes()];
        let mut sums = [T::default(); 4];
        if shape.bits == 8 {
            for (s, (&code, table)) in codes.iter().zip(table.chunks_exact(256)).enumerate() {
                sums[s % 4] = sums[s % 4] + table[usize::from(code)];
            }
        } else {
            for (s, table) in table.chunks_exact(16).enumerate() {
                let code = codes[s / 2] >> (s % 2 * 4) & 15;
                sums[s % 4] = sums[s % 4] + table[usize::from(code)];
            }
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }
}

impl Rows for Product {
    /// `[subspaces][centroids]`: products of the query's slices with the centroids.
    type Query = Vec<f32>;

    fn query(&self, values: &[f32]) -> Scaled<Vec<f32>> {
        let (slice, centroids) = (self.book.shape.slice(), self.book.shape.centroids());
        let scale = power_of_two(largest(values));
        let scaled: Vec<f32> = values.iter().map(|x| x / scale).collect();
        let mut table = vec![0f32; self.book.shape.subspaces * centroids];
        let books = self.book.centroids.chunks_exact(slice * centroids);
        for ((point, book), table) in
            scaled.chunks_exact(slice).zip(books).zip(table.chunks_exact_mut(centroids))
        {
            for (&x, row) in point.iter().zip(book.chunks_exact(centroids)) {
                table.iter_mut().zip(row).for_each(|(sum, &c)| *sum += x * c);
            }
        }
        let norm = scaled.iter().fold(0.0, |sum, &x| sum + f64::from(x) * f64::from(x));
        Scaled { codes: table, scale: scale.into(), norm }
    }

    fn dot(&self, query: &Vec<f32>, row: usize) -> f64 {
        self.sum(query, row).into()
    }

    fn norm(&self, row: usize) -> f64 {
        self.sum(&self.book.norms, row)
    }

    fn scale(&self, _: usize) -> f64 {
        self.book.scale.into()
    }

    fn decode(&self, row: usize, out: &mut [f32]) {
        let shape = self.book.shape;
        let (slice, centroids) = (shape.slice(), shape.centroids());
        let codes = &self.codes[row * shape.row_bytes()..][..shape.row_bytes()];
        let books = self.book.centroids.chunks_exact(slice * centroids);
        for (s, (out, book)) in out.chunks_exact_mut(slice).zip(books).enumerate() {
            let code = if shape.bits == 8 { codes[s] } else { codes[s / 2] >> (s % 2 * 4) & 15 };
            for (out, row) in out.iter_mut().zip(book.chunks_exact(centroids)) {
                *out = row[usize::from(code)] * self.book.scale;
            }
        }
    }
}

/// The power of two at or below a magnitude, within 2^-100..2^126: a division by it is exact for all but the tiniest.
fn power_of_two(magnitude: f32) -> f32 {
    let exponent = (magnitude.to_bits() >> 23).clamp(127 - 100, 127 + 126);
    f32::from_bits(exponent << 23)
}

fn in_parallel<T: Send + Sync>(
    parallel: &dyn Parallel,
    count: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let done: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    parallel.run(count, &|i| {
        // A piece that is run twice gives the same.
        let _ = done[i].set(work(i));
    });
    done.into_iter().map(|piece| piece.into_inner().expect("every piece is run")).collect()
}

/// Scaled values of a training row are below 4.
const LIMIT: f32 = 4.0;
const ROWS_A_PIECE: usize = 1024;
