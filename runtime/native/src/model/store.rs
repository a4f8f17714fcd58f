//! The models of this machine.

use std::{
    env,
    ffi::OsString,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use models::{
    bert::{IntBert, ModelBytes},
    manifest::{self, Manifest},
    quantise::Recipe,
};

use super::{
    Settings, build,
    error::ModelError,
    hub::HubSettings,
    observer::Observer,
    source::{self, FloatFiles},
};
use crate::files::{self, Lock, Mapped};

/// Finds models, makes them on first use, and opens them.
#[derive(Clone, Debug)]
pub struct Store {
    settings: Settings,
}

/// An integer model, mapped and checked.
pub struct Opened {
    /// The model.
    pub bert: Arc<IntBert>,
    /// The file it is mapped from.
    pub path: PathBuf,
    /// SHA-256 of that file.
    pub sha256: String,
    /// Whether it is the file every device has; otherwise it serves this machine alone.
    pub published: bool,
}

/// What there is of a model without fetching or making anything.
#[derive(Clone, Debug)]
pub enum State {
    /// An integer file is there (not checked yet).
    Ready(PathBuf),
    /// Float weights are there; the integer file is made on first use.
    Weights(PathBuf),
    /// Nothing is there; it is fetched on first use.
    Absent,
}

impl Store {
    /// Reads `EDGENET_MODEL_DIR`, `EDGENET_CACHE_DIR` and the variables of the Hugging Face tools.
    ///
    /// # Errors
    /// If the platform names no cache folder for this user and `EDGENET_CACHE_DIR` is not set.
    pub fn from_env() -> Result<Self, ModelError> {
        let path = |name: &str| variable(name).map(PathBuf::from);
        let text = |name: &str| variable(name).and_then(|v| v.into_string().ok());
        let user_cache = dirs::cache_dir();
        let cache = path("EDGENET_CACHE_DIR").or_else(|| Some(user_cache.as_ref()?.join("edge-net")));
        let cache = cache.ok_or(ModelError::NoCacheDir)?;
        let home = || Some(dirs::home_dir()?.join(".cache/huggingface/hub"));
        let hub_cache = path("HF_HUB_CACHE").or_else(|| Some(path("HF_HOME")?.join("hub"))).or_else(home);
        let offline = text("HF_HUB_OFFLINE").map(|v| v.to_ascii_uppercase());
        let hub = HubSettings {
            cache: hub_cache.unwrap_or_else(|| cache.join("hub")),
            endpoint: text("HF_ENDPOINT"),
            offline: offline.is_some_and(|v| ["1", "ON", "YES", "TRUE"].contains(&v.as_str())),
            token: text("HF_TOKEN"),
        };
        Ok(Store { settings: Settings { model_dir: path("EDGENET_MODEL_DIR"), cache, hub } })
    }

    /// The folder that keeps what was fetched and made.
    pub fn cache_dir(&self) -> &Path {
        &self.settings.cache
    }

    /// Looks for models in this folder alone, as `EDGENET_MODEL_DIR` does.
    #[must_use]
    pub fn with_model_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.settings.model_dir = Some(dir.into());
        self
    }

    /// Keeps what is fetched and made in this folder, as `EDGENET_CACHE_DIR` does.
    #[must_use]
    pub fn with_cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.settings.cache = dir.into();
        self
    }

    /// The manifest of a known model.
    ///
    /// # Errors
    /// [`ModelError::Unknown`] names those that are known.
    pub fn manifest(name: &str) -> Result<&'static Manifest, ModelError> {
        manifest::find(name).ok_or_else(|| ModelError::Unknown { name: name.to_owned() })
    }

    /// What there is of a model; looks, but fetches and writes nothing.
    pub fn state(&self, manifest: &'static Manifest) -> State {
        let ready = Some(self.integer_path(manifest)).filter(|p| p.is_file());
        let own = || FloatFiles::in_folder(&self.settings.cache.join(manifest.name));
        let shared = || {
            let folders = source::snapshots(&self.settings, manifest);
            folders.iter().find_map(|f| FloatFiles::in_folder(f))
        };
        let float = match &self.settings.model_dir {
            Some(dir) => FloatFiles::in_folder(dir),
            None => own().or_else(shared),
        };
        match (ready, float) {
            (Some(path), _) => State::Ready(path),
            (None, Some(float)) => State::Weights(float.weights),
            (None, None) => State::Absent,
        }
    }

    /// Opens a model that is ready, checking its SHA-256; fetches and writes nothing. `None` if it is yet to be made.
    ///
    /// # Errors
    /// If the file is damaged or not what it should be.
    pub fn open_ready(&self, manifest: &'static Manifest) -> Result<Option<Opened>, ModelError> {
        let mut path = self.integer_path(manifest);
        if !path.is_file()
            && let Some(float) = self.settings.model_dir.as_ref().and_then(|dir| FloatFiles::in_folder(dir))
        {
            path = self.made_path(manifest, &float.clone().verified(manifest).unwrap_or(float))?;
        }
        if !path.is_file() {
            return Ok(None);
        }
        let written = fs::read_to_string(sum_path(&path)).map(|s| s.trim().to_owned()).ok();
        let ours = path.starts_with(&self.settings.cache);
        let pin =
            manifest.integer_sha256.map(str::to_owned).filter(|_| ours && path == self.cached_path(manifest));
        let opened = open_file(&path, pin.or(written.filter(|_| ours)).as_deref())?;
        Ok(Some(opened.published_if(manifest)))
    }

    /// Opens a model, fetching and quantising it first where needed.
    ///
    /// # Errors
    /// [`ModelError`] names the file at fault, or every place that was tried.
    pub fn open(
        &self,
        manifest: &'static Manifest,
        observer: &mut dyn Observer,
    ) -> Result<Opened, ModelError> {
        if let Some(dir) = &self.settings.model_dir {
            return self.open_dir(dir, manifest, observer);
        }
        let path = self.integer_path(manifest);
        if let Some(opened) = cached(&path, manifest.integer_sha256, observer) {
            return Ok(opened);
        }
        let _lock = self.lock(manifest, observer)?;
        if let Some(opened) = cached(&path, manifest.integer_sha256, &mut ()) {
            return Ok(opened);
        }
        let float = source::obtain(&self.settings, manifest, observer)?;
        let recipe = build::recipe(manifest)?;
        let bytes = build::integer_file(manifest, &float, recipe.as_ref(), observer)?;
        let found = files::sha256(&bytes);
        if let Some(wanted) = manifest.integer_sha256.filter(|wanted| *wanted != found) {
            return Err(ModelError::NotReproduced { name: manifest.name, found, wanted: wanted.to_owned() });
        }
        write_with_sum(&path, &bytes, &found)?;
        open_file(&path, manifest.integer_sha256)
    }

    /// Float weights of a model, fetched where needed.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn float(
        &self,
        manifest: &'static Manifest,
        observer: &mut dyn Observer,
    ) -> Result<FloatFiles, ModelError> {
        if let Some(dir) = &self.settings.model_dir {
            let found = FloatFiles::in_folder(dir);
            let found =
                found.ok_or_else(|| ModelError::EmptyDir { name: manifest.name, dir: dir.clone() })?;
            return Ok(found.clone().verified(manifest).unwrap_or(found));
        }
        let _lock = self.lock(manifest, observer)?;
        Ok(source::obtain(&self.settings, manifest, observer)?)
    }

    /// Quantises a model anew into `out` (the cache, where none is given), with `recipe` or the model's own.
    /// Returns the path and the SHA-256.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn quantise(
        &self,
        manifest: &'static Manifest,
        recipe: Option<Recipe>,
        out: Option<&Path>,
        observer: &mut dyn Observer,
    ) -> Result<(PathBuf, String), ModelError> {
        let float = self.float(manifest, observer)?;
        let own = recipe.is_none();
        let recipe = recipe.map_or_else(|| build::recipe(manifest), |r| Ok(Some(r)))?;
        let bytes = build::integer_file(manifest, &float, recipe.as_ref(), observer)?;
        let sum = files::sha256(&bytes);
        let pin = manifest.integer_sha256.filter(|wanted| own && float.published && *wanted != sum);
        if let Some(wanted) = pin {
            return Err(ModelError::NotReproduced {
                name: manifest.name,
                found: sum,
                wanted: wanted.to_owned(),
            });
        }
        let Some(out) = out else {
            let _lock = self.lock(manifest, observer)?;
            let path = self.made_path(manifest, &float)?;
            write_with_sum(&path, &bytes, &sum)?;
            return Ok((path, sum));
        };
        files::replace(out, |file| file.write_all(&bytes)).map_err(ModelError::file(out))?;
        Ok((out.to_owned(), sum))
    }

    /// The folder that holds what was fetched and made.
    pub fn cache(&self) -> &Path {
        &self.settings.cache
    }

    fn open_dir(
        &self,
        dir: &Path,
        manifest: &'static Manifest,
        observer: &mut dyn Observer,
    ) -> Result<Opened, ModelError> {
        let path = self.integer_path(manifest);
        if path.is_file() {
            let opened = open_file(&path, None)?.published_if(manifest);
            if !opened.published {
                observer.note(&format!(
                    "{}: not the published \"{}\", its vectors are this machine's own",
                    path.display(),
                    manifest.name
                ));
            }
            return Ok(opened);
        }
        let found = FloatFiles::in_folder(dir);
        let float = found.ok_or_else(|| ModelError::EmptyDir { name: manifest.name, dir: dir.to_owned() })?;
        let float = float.clone().verified(manifest).unwrap_or(float);
        let path = self.made_path(manifest, &float)?;
        let pin = manifest.integer_sha256.filter(|_| float.published);
        if let Some(opened) = cached(&path, pin, observer) {
            return Ok(opened);
        }
        let _lock = self.lock(manifest, observer)?;
        let recipe = build::recipe(manifest)?;
        let bytes = build::integer_file(manifest, &float, recipe.as_ref(), observer)?;
        write_with_sum(&path, &bytes, &files::sha256(&bytes))?;
        Ok(open_file(&path, None)?.published_if(manifest))
    }

    /// Where an integer file is expected before anything is made.
    fn integer_path(&self, manifest: &Manifest) -> PathBuf {
        let folder = self.settings.model_dir.as_ref().unwrap_or(&self.settings.cache);
        folder.join(format!("{}-int.safetensors", manifest.name))
    }

    fn cached_path(&self, manifest: &Manifest) -> PathBuf {
        self.settings.cache.join(format!("{}-int.safetensors", manifest.name))
    }

    /// Where the integer file of these weights goes: weights of the user's own get a name from their contents, so
    /// that they never pass for the published model nor for other weights.
    fn made_path(&self, manifest: &Manifest, float: &FloatFiles) -> Result<PathBuf, ModelError> {
        let cache = &self.settings.cache;
        if float.published || self.settings.model_dir.is_none() {
            return Ok(self.cached_path(manifest));
        }
        let mut key = manifest.recipe.map(files::sha256).unwrap_or_default();
        for path in [Some(&float.weights), Some(&float.vocab), float.config.as_ref()].into_iter().flatten() {
            key += &source::sha256(path).map_err(ModelError::file(path))?;
        }
        let key = files::sha256(key.as_bytes());
        Ok(cache.join(format!("{}-{}-int.safetensors", manifest.name, &key[..16])))
    }

    fn lock(&self, manifest: &Manifest, observer: &mut dyn Observer) -> Result<Lock, ModelError> {
        let path = self.settings.cache.join(format!("{}.lock", manifest.name));
        let waiting =
            || observer.note(&format!("waiting for another process that prepares {}", manifest.name));
        let lock = Lock::take(&path, waiting).map_err(ModelError::file(&path))?;
        files::sweep(&self.settings.cache, manifest.name);
        Ok(lock)
    }
}

impl Opened {
    fn published_if(mut self, manifest: &Manifest) -> Self {
        self.published = manifest.integer_sha256 == Some(self.sha256.as_str());
        self
    }
}

/// A cached integer file, if it is whole: its SHA-256 is the pinned one, or the one written beside it.
fn cached(path: &Path, pin: Option<&str>, observer: &mut dyn Observer) -> Option<Opened> {
    if !path.exists() {
        return None;
    }
    let written = fs::read_to_string(sum_path(path)).map(|s| s.trim().to_owned());
    let wanted = pin.map(str::to_owned).or(written.ok());
    let opened = match wanted {
        Some(wanted) => open_file(path, Some(&wanted)),
        None => Err(ModelError::File { path: sum_path(path), error: io::ErrorKind::NotFound.into() }),
    };
    match opened {
        Ok(mut opened) => {
            opened.published = pin.is_some();
            Some(opened)
        }
        Err(e) => {
            observer.note(&format!("{e}: making it anew"));
            None
        }
    }
}

fn open_file(path: &Path, pin: Option<&str>) -> Result<Opened, ModelError> {
    let map = Mapped::open(path).map_err(ModelError::file(path))?;
    let sha256 = files::sha256(map.as_ref());
    if let Some(wanted) = pin.filter(|wanted| *wanted != sha256) {
        return Err(ModelError::Hash { path: path.to_owned(), found: sha256, wanted: wanted.to_owned() });
    }
    let bytes: ModelBytes = Arc::new(map);
    let read = IntBert::from_bytes(bytes);
    let bert =
        Arc::new(read.map_err(|error| ModelError::Integer { path: path.to_owned(), error: error.into() })?);
    Ok(Opened { bert, path: path.to_owned(), sha256, published: pin.is_some() })
}

/// Writes a file and, beside it, its SHA-256; the sum goes last, so that a file without one is never trusted.
fn write_with_sum(path: &Path, bytes: &[u8], sum: &str) -> Result<(), ModelError> {
    files::replace(path, |file| file.write_all(bytes)).map_err(ModelError::file(path))?;
    let beside = sum_path(path);
    files::replace(&beside, |file| file.write_all(sum.as_bytes())).map_err(ModelError::file(&beside))
}

fn sum_path(path: &Path) -> PathBuf {
    path.with_extension("safetensors.sha256")
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|v| !v.is_empty())
}
