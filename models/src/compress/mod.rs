//! Compression of vectors: scalar, binary and product quantisation, searched directly on the codes.
//!
//! | codec | bytes a vector of width `w` | error |
//! |---|---|---|
//! | int8 | `w + 4` | each value within `step * (1/2 + 2^-15)`, `step = max\|x\| / 127` of the row |
//! | int4 | `w/2 + w/32 + 4` | each value within `step * (1/2 + 2^-19)`, `step` about `max\|x\| / 7` of 32 columns |
//! | binary | `w/8 + 4` | relative L2 error of a row at most 1 |
//! | product | `m * bits / 8`, and the codebook | measured only |
//!
//! Everything is plain IEEE arithmetic in a fixed order, so every target writes the same bytes. Values are finite f32
//! of any magnitude. A row whose values are all below 2^-100 counts as zero.

mod auto;
mod binary;
mod container;
mod error;
mod int4;
mod int8;
mod kmeans;
mod product;
mod sample;
mod search;
#[cfg(test)]
mod tests;

use plan::{MAX_WIDTH, Parallel, Sequential};

pub use crate::search::hnsw::Metric;
pub use auto::{Choice, MIN_ROWS, Measured, Target, choose};
pub use error::{ChoiceError, CompressError, ContainerError, QueryError};
pub use int8::Plain;
pub use search::{Hit, exact_search, recall};

use binary::Binary;
use int4::Int4;
use int8::Int8;
use product::Product;
use search::{Rows, scan};

/// How vectors are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// One byte a value, one step a row.
    Int8,
    /// Half a byte a value, one step for 32 columns.
    Int4,
    /// The signs, and the mean magnitude of the row.
    Binary,
    /// Product quantisation (Jégou, Douze, Schmid, *Product Quantization for Nearest Neighbor Search*, 2011): each of
    /// `subspaces` equal slices of a vector becomes the number of its nearest of `2^bits` centroids.
    Product {
        /// Slices, a divisor of the width.
        subspaces: usize,
        /// 4 or 8.
        bits: u32,
    },
}

impl Codec {
    /// Product quantisation in slices of 8 columns, or of the next fewer that divide the width.
    pub fn product(width: usize) -> Codec {
        let slice = (1..=8).rev().find(|slice| width.is_multiple_of(*slice)).unwrap_or(1);
        Codec::Product { subspaces: width / slice, bits: 8 }
    }

    /// The name of the family: `int8`, `int4`, `binary` or `pq`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Int8 => "int8",
            Codec::Int4 => "int4",
            Codec::Binary => "binary",
            Codec::Product { .. } => "pq",
        }
    }

    /// Bytes of the container of `rows` vectors of this width; saturates.
    pub fn container_bytes(self, width: usize, rows: usize) -> u64 {
        container::file_bytes(self, width as u64, rows as u64)
    }
}

/// A table of vectors, row by row. Values are checked to be finite where they are read.
#[derive(Clone, Copy, Debug)]
pub struct Vectors<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Vectors<'a> {
    /// `values` is `[rows][width]`.
    ///
    /// # Errors
    /// When the width is not 1 to [`MAX_WIDTH`], does not divide the values, or there are no rows or too many.
    pub fn new(values: &'a [f32], width: usize) -> Result<Self, CompressError> {
        if width == 0 || width > MAX_WIDTH {
            return Err(CompressError::Width { found: width });
        }
        if values.is_empty() {
            return Err(CompressError::Empty);
        }
        if !values.len().is_multiple_of(width) {
            return Err(CompressError::Ragged { values: values.len(), width });
        }
        if values.len() / width > MAX_ROWS {
            return Err(CompressError::TooMany { found: values.len() / width });
        }
        Ok(Vectors { values, width })
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// All values.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.width..][..self.width]
    }

    /// Calls `each` with rows that fit a cache, after they are found to be finite.
    fn for_blocks(&self, mut each: impl FnMut(usize, &'a [f32])) -> Result<(), CompressError> {
        let rows = (BLOCK_VALUES / self.width).max(1);
        for (block, values) in self.values.chunks(rows * self.width).enumerate() {
            if !all_finite(values) {
                let at = values.iter().position(|v| !v.is_finite()).expect("one is not finite");
                let at = block * rows * self.width + at;
                return Err(CompressError::NotFinite { row: at / self.width, column: at % self.width });
            }
            each(block * rows, values);
        }
        Ok(())
    }

    fn check_finite(&self) -> Result<(), CompressError> {
        self.for_blocks(|_, _| ())
    }
}

/// Codes rows as int8: the one step worth a kernel of the processor's own.
pub trait Encoder: Sync {
    /// Per row: `A = max|x|`; where `A < 2^-100` step and codes are 0, else `step = A / 127` and
    /// `code = clamp(round_half_even(x * (127 / A)), +-127)`, each operation rounded to f32.
    ///
    /// `input` and `codes` are `[rows][width]`, `steps` is `[rows]`; values are finite.
    fn encode(&self, width: usize, input: &[f32], codes: &mut [i8], steps: &mut [f32]);
}

/// What the caller's machine lends. Results never depend on it.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// Runs pieces of work side by side.
    pub parallel: &'a dyn Parallel,
    /// Codes int8 rows.
    pub encoder: &'a dyn Encoder,
}

impl Machine<'static> {
    /// One thread and no kernels.
    pub const PLAIN: Machine<'static> = Machine { parallel: &Sequential, encoder: &Plain };
}

/// Vectors as codes.
#[derive(Clone, Debug)]
pub struct Compressed {
    width: usize,
    rows: usize,
    codes: Codes,
}

#[derive(Clone, Debug)]
enum Codes {
    Int8(Int8),
    Int4(Int4),
    Binary(Binary),
    Product(Product),
}

/// What a compression lost, over all values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Largest absolute difference of a value.
    pub max_abs: f64,
    /// Euclidean length of all differences over that of all values; 0 where all values are 0.
    pub relative_l2: f64,
}

macro_rules! each_codec {
    ($codes:expr, $c:ident => $body:expr) => {
        match $codes {
            Codes::Int8($c) => $body,
            Codes::Int4($c) => $body,
            Codes::Binary($c) => $body,
            Codes::Product($c) => $body,
        }
    };
}

impl Compressed {
    /// Codes vectors.
    ///
    /// # Errors
    /// Names the value that is not finite, or what does not fit the codec.
    pub fn encode(vectors: Vectors<'_>, codec: Codec, machine: Machine<'_>) -> Result<Self, CompressError> {
        let codes = match codec {
            Codec::Int8 => Codes::Int8(Int8::encode(vectors, machine.encoder)?),
            Codec::Int4 => Codes::Int4(Int4::encode(vectors)?),
            Codec::Binary => Codes::Binary(Binary::encode(vectors)?),
            Codec::Product { subspaces, bits } => {
                let shape = product::Shape::new(vectors.width, subspaces, bits)?;
                vectors.check_finite()?;
                let training = sample::gather(vectors, &sample::rows(vectors.rows(), sample::MOST_ROWS));
                let book = product::Book::train(shape, &training, machine.parallel);
                Codes::Product(book.encode(vectors, machine.parallel))
            }
        };
        Ok(Compressed { width: vectors.width, rows: vectors.rows(), codes })
    }

    /// How they are coded.
    pub fn codec(&self) -> Codec {
        match &self.codes {
            Codes::Int8(_) => Codec::Int8,
            Codes::Int4(_) => Codec::Int4,
            Codes::Binary(_) => Codec::Binary,
            Codes::Product(p) => p.codec(),
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the container over the number of vectors: codes, steps, codebook, header.
    pub fn bytes_per_vector(&self) -> f64 {
        self.codec().container_bytes(self.width, self.rows) as f64 / self.rows as f64
    }

    /// int8 codes `[rows][width]` and steps `[rows]`, for a kernel; `None` for other codecs.
    pub fn int8(&self) -> Option<(&[i8], &[f32])> {
        if let Codes::Int8(c) = &self.codes { Some((&c.codes, &c.steps)) } else { None }
    }

    /// Signs `[rows][width / 32, rounded up]`, first column in the lowest bit, set where the value is above 0, for a
    /// kernel; `None` for other codecs.
    pub fn bits(&self) -> Option<&[u32]> {
        if let Codes::Binary(c) = &self.codes { Some(&c.words) } else { None }
    }

    /// The vectors the codes stand for, `[rows][width]`, all finite.
    pub fn decode(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.width];
        for (row, out) in values.chunks_exact_mut(self.width).enumerate() {
            each_codec!(&self.codes, c => c.decode(row, out));
        }
        values
    }

    /// Largest possible difference of each value of the row to what was coded; `None` where the codec has no bound.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn error_bound(&self, row: usize) -> Option<Vec<f64>> {
        match &self.codes {
            Codes::Int8(c) => Some(vec![c.bound(row); self.width]),
            Codes::Int4(c) => Some(c.bound(row)),
            Codes::Binary(_) | Codes::Product(_) => None,
        }
    }

    /// What was lost of the vectors this was coded from.
    ///
    /// # Errors
    /// When they are not of this shape, or not finite.
    pub fn loss(&self, vectors: Vectors<'_>) -> Result<Loss, CompressError> {
        self.check_shape(vectors)?;
        vectors.check_finite()?;
        let mut decoded = vec![0.0; self.width];
        let (mut max_abs, mut lost, mut all) = (0f64, 0f64, 0f64);
        for row in 0..self.rows {
            each_codec!(&self.codes, c => c.decode(row, &mut decoded));
            for (&x, &y) in vectors.row(row).iter().zip(&decoded) {
                let (x, y) = (f64::from(x), f64::from(y));
                max_abs = max_abs.max((x - y).abs());
                lost += (x - y) * (x - y);
                all += x * x;
            }
        }
        Ok(Loss { max_abs, relative_l2: if all == 0.0 { 0.0 } else { (lost / all).sqrt() } })
    }

    /// The `k` nearest rows by their codes, nearest first, ties by lowest id; fewer where there are fewer rows.
    ///
    /// int8, int4 and binary code the query too and compare integers; product quantisation looks each slice up in
    /// tables of the query's products with the centroids.
    ///
    /// # Errors
    /// When the query has another width, is not finite, or `k` is 0.
    pub fn search(&self, query: &[f32], k: usize, metric: Metric) -> Result<Vec<Hit>, QueryError> {
        self.check_query(query, k)?;
        Ok(self.nearest(query, k, metric))
    }

    /// As [`Compressed::search`], but of `candidates` rows found by their codes the `k` nearest by the vectors.
    ///
    /// # Errors
    /// As [`Compressed::search`], and when `vectors` are not of this shape.
    pub fn search_reranked(
        &self,
        query: &[f32],
        k: usize,
        metric: Metric,
        candidates: usize,
        vectors: Vectors<'_>,
    ) -> Result<Vec<Hit>, QueryError> {
        self.check_query(query, k)?;
        self.check_shape(vectors)?;
        let found = self.nearest(query, candidates.max(k), metric);
        Ok(search::rerank(&found, query, k, metric, |id| vectors.row(id as usize)))
    }

    fn nearest(&self, query: &[f32], k: usize, metric: Metric) -> Vec<Hit> {
        each_codec!(&self.codes, c => scan(c, self.rows, query, k, metric))
    }

    fn check_shape(&self, vectors: Vectors<'_>) -> Result<(), CompressError> {
        let (found, wanted) = ((vectors.rows(), vectors.width), (self.rows, self.width));
        if found == wanted { Ok(()) } else { Err(CompressError::Shape { found, wanted }) }
    }

    fn check_query(&self, query: &[f32], k: usize) -> Result<(), QueryError> {
        search::check_query(query, k, self.width)
    }
}

/// Two conditions at once in integers, which every target does in vectors.
fn all_finite(values: &[f32]) -> bool {
    const EXPONENT: u32 = f32::INFINITY.to_bits();
    values.iter().fold(0, |bad, v| bad | u32::from(v.to_bits() & EXPONENT == EXPONENT)) == 0
}

/// Largest magnitude: as integers, since magnitudes order like their bits.
fn largest(values: &[f32]) -> f32 {
    let magnitude = |v: &f32| (v.to_bits() & 0x7fff_ffff) as i32;
    f32::from_bits(values.iter().map(magnitude).fold(0, i32::max) as u32)
}

/// Ids are u32, and no file of codes says it has more.
const MAX_ROWS: usize = u32::MAX as usize;
/// 32 KiB of f32.
const BLOCK_VALUES: usize = 8192;
