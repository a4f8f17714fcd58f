use plan::MAX_WIDTH;
use thiserror::Error;

use super::{Codec, MIN_ROWS, Measured};

/// Why vectors cannot be compressed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CompressError {
    /// The width is outside what kernels take.
    #[error("width {found} must be 1 to {MAX_WIDTH}")]
    Width {
        /// Columns asked for.
        found: usize,
    },
    /// There are no vectors.
    #[error("there are no vectors")]
    Empty,
    /// The last row is not whole.
    #[error("{values} values are not rows of {width}")]
    Ragged {
        /// Values given.
        values: usize,
        /// Columns.
        width: usize,
    },
    /// More rows than ids.
    #[error("{found} vectors are more than 32-bit ids can name")]
    TooMany {
        /// Rows given.
        found: usize,
    },
    /// A value is NaN or infinite.
    #[error("row {row}, column {column} is not finite")]
    NotFinite {
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// Slices that do not fit the width.
    #[error("{subspaces} subspaces do not divide width {width}")]
    Subspaces {
        /// Slices asked for.
        subspaces: usize,
        /// Columns.
        width: usize,
    },
    /// A size of codebook that does not exist.
    #[error("{found} bits a subspace, must be 4 or 8")]
    Bits {
        /// Bits asked for.
        found: u32,
    },
    /// Vectors of another shape than the codes.
    #[error("vectors of shape {found:?} beside codes of shape {wanted:?}")]
    Shape {
        /// Rows and columns given.
        found: (usize, usize),
        /// Rows and columns of the codes.
        wanted: (usize, usize),
    },
}

/// Why codes cannot be searched.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// The query has another width.
    #[error("query of width {found}, must be {wanted}")]
    Width {
        /// Columns given.
        found: usize,
        /// Columns of the codes.
        wanted: usize,
    },
    /// A value is NaN or infinite.
    #[error("query column {column} is not finite")]
    NotFinite {
        /// Its column.
        column: usize,
    },
    /// Nothing was asked for.
    #[error("k must be at least 1")]
    NoK,
    /// The vectors to re-rank by do not fit.
    #[error(transparent)]
    Vectors(#[from] CompressError),
}

/// Why no codec could be chosen.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ChoiceError {
    /// The vectors are at fault.
    #[error(transparent)]
    Vectors(#[from] CompressError),
    /// Too few vectors to measure a recall.
    #[error("{found} vectors are too few to measure a recall, at least {MIN_ROWS}; name a codec")]
    TooFew {
        /// Rows given.
        found: usize,
    },
    /// A target that nothing can be compared with.
    #[error("target {field} is {found}, must be {wanted}")]
    Target {
        /// Which.
        field: &'static str,
        /// What was given.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// No codec reaches the recall; the best that was measured, and all.
    #[error("no codec reaches recall {wanted}, the best is {} with {:.4}", best.codec.name(), best.recall)]
    Recall {
        /// The target.
        wanted: f64,
        /// Highest recall measured.
        best: Measured,
        /// Everything measured, smallest first.
        measured: Vec<Measured>,
    },
    /// No codec is as small; the smallest there is.
    #[error("no codec takes at most {wanted} bytes a vector, the smallest is {} with {bytes:.1}", smallest.name())]
    Bytes {
        /// The target.
        wanted: f64,
        /// The codec of fewest bytes.
        smallest: Codec,
        /// Its bytes a vector.
        bytes: f64,
    },
}

/// Why container bytes are refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ContainerError {
    /// Not compressed vectors at all.
    #[error("compressed vectors: does not start with the magic")]
    Magic,
    /// Another format version.
    #[error("compressed vectors: version {found}, this build reads version {wanted}")]
    Version {
        /// The version in the file.
        found: u16,
        /// The version this build reads.
        wanted: u16,
    },
    /// The file has not the length its header calls for.
    #[error("compressed vectors: {found} bytes, the header calls for {wanted}")]
    Length {
        /// Bytes given.
        found: u64,
        /// Bytes by the header.
        wanted: u64,
    },
    /// The trailing SHA-256 does not match.
    #[error("compressed vectors: checksum mismatch, the file is damaged")]
    Checksum,
    /// A header field holds an impossible value.
    #[error("compressed vectors: {field} is {found}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it holds.
        found: u64,
    },
    /// A part of the payload holds what no encoder writes.
    #[error("compressed vectors: bad {part}, entry {index}")]
    Payload {
        /// Which part.
        part: &'static str,
        /// Position in it.
        index: usize,
    },
}
