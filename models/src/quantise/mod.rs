//! From published f32 weights to the integers every device computes alike.
//!
//! Calibration ([`calibrate()`]) takes minutes, texts and floats, and is run once by a developer. What it decided is
//! kept as a [`Recipe`]: the layout and how each integer differs from the nearest one. [`quantise`] applies a recipe to
//! the official weights in seconds and gives the same bytes on every machine. The scheme is `numerics.md`.

mod build;
mod calibrate;
mod coder;
mod dense;
mod error;
mod float;
mod forward;
mod gptq;
mod layout;
mod recipe;
pub(crate) mod tables;
mod tensors;

pub use calibrate::calibrate;
pub use error::{FloatModelError, LayoutError, QuantiseError, RecipeError};
pub(crate) use float::f16_to_f32;
pub use float::{FloatBert, config_from_json};
pub use layout::{GroupRule, Layout};
pub use recipe::Recipe;
pub use tensors::{Element, IntData, IntTensor, IntTensors};

use sha2::{Digest, Sha256};

use crate::bert::BertConfig;

/// How far a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, for a person to read.
    pub step: &'static str,
    /// Units done, out of `total` of this step.
    pub done: usize,
    /// Units of this step.
    pub total: usize,
}

/// Makes the integer model of `float_bytes` (a safetensors file of f32 weights).
///
/// With a recipe the weights and the config must be those it was made for, and the result is the calibrated model.
/// Without one every weight goes to its nearest integer in a layout guessed from the weights: usable, less accurate.
/// `vocab` is stored as the tensor `vocab`. The result has passed [`IntTensors::validate`].
pub fn quantise(
    float_bytes: &[u8],
    config: &BertConfig,
    recipe: Option<&Recipe>,
    vocab: &[u8],
    progress: &mut dyn FnMut(Progress),
) -> Result<IntTensors, QuantiseError> {
    let float = FloatBert::from_safetensors(float_bytes, config)?;
    progress(Progress { step: "hash", done: 0, total: 1 });
    let source = float.sha256();
    progress(Progress { step: "hash", done: 1, total: 1 });
    let mut model = match recipe {
        Some(recipe) => recipe.apply(&float, &source, progress)?,
        None => build::build(&float, &Layout::from_weights(&float), &mut build::Nearest, progress)?,
    };
    model.set("source_sha256", hex(&source));
    model.insert("vocab", &[vocab.len()], IntData::U8(vocab.to_vec()));
    model.validate()?;
    Ok(model)
}

/// The integers of a layout with every weight rounded to the nearest by itself; no `vocab`, no `source_sha256`.
pub fn nearest(float: &FloatBert, layout: &Layout) -> Result<IntTensors, QuantiseError> {
    build::build(float, layout, &mut build::Nearest, &mut |_| ())
}

impl FloatBert<'_> {
    /// SHA-256 of the whole file.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.bytes).into()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
