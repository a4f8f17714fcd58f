//! Why a model cannot be had.

use std::{fmt, io, path::PathBuf};

use models::{
    bert::{BatchError, IntModelError},
    manifest::Manifest,
    quantise::{FloatModelError, QuantiseError, RecipeError},
    tokenizer::VocabError,
};
use thiserror::Error;

/// Why a model cannot be found, fetched, made or read.
#[derive(Debug, Error)]
pub enum ModelError {
    /// No model has this name.
    #[error("unknown model \"{name}\": known are {known}", known = known())]
    Unknown {
        /// The name.
        name: String,
    },
    /// The platform names no cache folder.
    #[error("no cache folder is known for this user: set EDGENET_CACHE_DIR")]
    NoCacheDir,
    /// The weights were looked for in every place there is.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// `EDGENET_MODEL_DIR` holds no model.
    #[error(
        "model \"{name}\": EDGENET_MODEL_DIR is {dir}, which holds neither {name}-int.safetensors nor \
         model.safetensors with vocab.txt; nowhere else is looked while it is set",
        dir = dir.display()
    )]
    EmptyDir {
        /// The model.
        name: &'static str,
        /// The folder.
        dir: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file has other contents than the manifest pins.
    #[error("{path}: SHA-256 is {found}, must be {wanted}", path = path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// What the manifest says.
        wanted: String,
    },
    /// The integer file that was made is not the published one: this build quantises wrongly.
    #[error("model \"{name}\": the quantised file has SHA-256 {found}, must be {wanted}")]
    NotReproduced {
        /// The model.
        name: &'static str,
        /// SHA-256 of what was made.
        found: String,
        /// What the manifest says.
        wanted: String,
    },
    /// An integer file is damaged or of another kind.
    #[error("{path}: {error}", path = path.display())]
    Integer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<IntModelError>,
    },
    /// The config beside float weights is malformed or outside what the integer scheme carries.
    #[error("{path}: {error}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<FloatModelError>,
    },
    /// Float weights cannot be quantised.
    #[error("{path}: {error}", path = path.display())]
    Quantise {
        /// The weights.
        path: PathBuf,
        /// What is wrong with them.
        error: Box<QuantiseError>,
    },
    /// A recipe is damaged.
    #[error("recipe of \"{name}\": {error}")]
    Recipe {
        /// The model.
        name: &'static str,
        /// What is wrong with it.
        error: Box<RecipeError>,
    },
    /// A vocabulary is malformed.
    #[error("vocabulary of {path}: {error}", path = path.display())]
    Vocab {
        /// The file it is in.
        path: PathBuf,
        /// What is wrong with it.
        error: VocabError,
    },
    /// The golden batch does not fit the model.
    #[error("golden self-test: {0}")]
    Golden(#[from] BatchError),
}

impl ModelError {
    /// For `map_err`: an I/O error at a path.
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| ModelError::File { path, error }
    }
}

/// Every place weights were looked for, and what each answered.
#[derive(Debug)]
pub struct NotFound {
    /// The model.
    pub name: &'static str,
    /// Place and answer, in the order tried.
    pub tried: Vec<(String, String)>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model \"{}\": its weights were not found and could not be fetched", self.name)?;
        for (place, answer) in &self.tried {
            write!(f, "\n  {place}: {answer}")?;
        }
        write!(
            f,
            "\nAny one of these ways is enough. Or set EDGENET_MODEL_DIR to a folder with {}-int.safetensors, or with \
             model.safetensors and vocab.txt.",
            self.name
        )
    }
}

impl std::error::Error for NotFound {}

fn known() -> String {
    models::manifest::MODELS.iter().map(|m: &Manifest| m.name).collect::<Vec<_>>().join(", ")
}
