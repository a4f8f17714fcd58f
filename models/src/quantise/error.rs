//! What can be wrong with the bytes and models the quantiser is given.

use safetensors::SafeTensorError;
use thiserror::Error;

use crate::bert::{ConfigError, IntModelError};

/// Why a float model cannot be read.
#[derive(Debug, Error)]
pub enum FloatModelError {
    /// The container itself is damaged.
    #[error("float model: {0}")]
    Container(#[from] SafeTensorError),
    /// The shape is outside what the integer scheme carries.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `config.json` does not describe an encoder of this kind.
    #[error("config.json: {0}")]
    ConfigJson(String),
    /// A tensor the shape calls for is absent.
    #[error("float model: no tensor {name}")]
    MissingTensor {
        /// Its name, without the optional `bert.` prefix.
        name: String,
    },
    /// A tensor has another shape than the config says.
    #[error("float model: {name} has shape {found:?}, wanted {wanted:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Axes by the config.
        wanted: Vec<usize>,
        /// Axes in the file.
        found: Vec<usize>,
    },
    /// A tensor is neither f32 nor f16 nor bf16.
    #[error("float model: {name} has dtype {found}, wanted F32, F16 or BF16")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its element type.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error("float model: {name}[{index}] is not finite")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Row-major position.
        index: usize,
    },
    /// A calibration or reference text has a token the model cannot take.
    #[error("token sequence {sequence}: {problem}")]
    Tokens {
        /// Position of the sequence in the list given.
        sequence: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why recipe bytes are refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RecipeError {
    /// Not a recipe at all.
    #[error("recipe: does not start with the recipe magic")]
    Magic,
    /// A recipe of another format version.
    #[error("recipe: version {found}, this build reads version {wanted}")]
    Version {
        /// The version in the file.
        found: u16,
        /// The version this build reads.
        wanted: u16,
    },
    /// The trailing SHA-256 does not match the contents.
    #[error("recipe: checksum mismatch, the file is damaged")]
    Checksum,
    /// A field runs past the end or holds an impossible value.
    #[error("recipe: bad {what} at byte {offset}")]
    Malformed {
        /// The field.
        what: &'static str,
        /// Where in the file.
        offset: usize,
    },
    /// The contents do not fit the model they name.
    #[error("recipe: {0}")]
    Contents(String),
}

/// Why an order of channels and units does not fit a model.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("layout: {0}")]
pub struct LayoutError(pub(super) String);

/// Why a model could not be quantised.
#[derive(Debug, Error)]
pub enum QuantiseError {
    /// The float model is at fault.
    #[error(transparent)]
    Float(#[from] FloatModelError),
    /// The recipe is at fault.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The order of channels and units is at fault.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The integers are at fault: the weights cannot be carried within the bounds, or a target file is bad.
    #[error(transparent)]
    Int(#[from] IntModelError),
    /// The recipe was made for other weights.
    #[error("recipe is for weights with SHA-256 {wanted}, these have {found}")]
    WrongWeights {
        /// Hex digest in the recipe.
        wanted: String,
        /// Hex digest of the bytes given.
        found: String,
    },
    /// The recipe was made for another shape or pooling.
    #[error("recipe is for the config {wanted}, not {found}")]
    WrongConfig {
        /// JSON in the recipe.
        wanted: String,
        /// JSON of the config given.
        found: String,
    },
    /// Calibration saw no usable texts.
    #[error("calibration: {0}")]
    Calibration(String),
}
