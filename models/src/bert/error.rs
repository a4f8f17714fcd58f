//! What can be wrong with an integer model file.

use safetensors::SafeTensorError;
use thiserror::Error;

use super::ConfigError;

/// Why a set of integer tensors is not a model that every device computes alike.
#[derive(Debug, Error)]
pub enum IntModelError {
    /// The container itself is damaged.
    #[error("integer model: {0}")]
    Container(#[from] SafeTensorError),
    /// The shape is outside what the integer scheme carries.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor the shape calls for is absent.
    #[error("integer model: no tensor {name}")]
    MissingTensor {
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the config says.
    #[error("integer model: {name} has shape {found:?}, wanted {wanted:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Axes by the config.
        wanted: Vec<usize>,
        /// Axes found.
        found: Vec<usize>,
    },
    /// A tensor has another element type than the format says.
    #[error("integer model: {name} has dtype {found}")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its element type.
        found: String,
    },
    /// A metadata key is absent.
    #[error("integer model: no metadata key {key}")]
    MissingMetadata {
        /// The key.
        key: String,
    },
    /// A metadata value is malformed or outside its range.
    #[error("integer model: metadata {key} has the bad value {value}")]
    Metadata {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// An element is outside the range the format allows.
    #[error("integer model: {name}[{index}] is {value}, must be {rule}")]
    Element {
        /// The tensor.
        name: String,
        /// Row-major position.
        index: usize,
        /// The element.
        value: i64,
        /// What the format allows.
        rule: &'static str,
    },
    /// An intermediate could leave its 32-bit range.
    #[error("integer model: {name} row {row}: {quantity} can reach {value}, limit {limit}")]
    Bound {
        /// The tensor.
        name: String,
        /// Output row.
        row: usize,
        /// The intermediate, named as in `numerics.md` section 4.
        quantity: &'static str,
        /// Its largest possible magnitude.
        value: i128,
        /// The largest magnitude allowed.
        limit: i128,
    },
}
