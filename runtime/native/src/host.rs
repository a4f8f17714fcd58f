//! This machine as tasks see it: its devices, models, indexes and modules.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use engine::Status;
use kernels_cpu::Level;
use models::{search::hnsw::Hnsw, tokenizer::WordPiece};
use tasks::{
    Checked, Execute, Hash, Host, Loan, Missing, Outcome, RunError, TextModel,
    encryption::{Aead256, Key},
};

use crate::{
    aead,
    machine::{Machine, MachineOptions},
    model::{Observer, Store},
};

/// Runs tasks on this machine, without any network.
pub struct LocalHost {
    machine: Machine,
    store: Store,
    observer: Box<dyn Observer>,
    text_models: BTreeMap<String, TextModel<engine::Model>>,
    indexes: BTreeMap<String, Hnsw>,
    /// Files by the hash of their bytes: networks and modules.
    files: HashMap<Hash, PathBuf>,
    vectors: VectorCache,
    stop: Arc<AtomicBool>,
}

impl LocalHost {
    /// Opens the devices. Models are opened, and fetched on first use, when a task names them.
    ///
    /// # Errors
    /// If a device asked for by name cannot be used.
    pub fn open(
        options: &MachineOptions,
        store: Store,
        observer: Box<dyn Observer>,
    ) -> Result<Self, engine::EngineError> {
        let vectors = VectorCache::new(store.cache_dir());
        Ok(LocalHost {
            machine: Machine::open(options)?,
            store,
            observer,
            text_models: BTreeMap::new(),
            indexes: BTreeMap::new(),
            files: HashMap::new(),
            vectors,
            stop: Arc::default(),
        })
    }

    /// Runs a task.
    ///
    /// # Errors
    /// As [`tasks::run`].
    pub fn run(&mut self, task: &Checked) -> Result<Outcome, RunError> {
        pollster::block_on(tasks::run(task, self))
    }

    /// Lets tasks name an index.
    pub fn add_index(&mut self, name: impl Into<String>, index: Hnsw) {
        self.indexes.insert(name.into(), index);
    }

    /// Takes an index back, with what tasks put into it.
    pub fn take_index(&mut self, name: &str) -> Option<Hnsw> {
        self.indexes.remove(name)
    }

    /// Lets tasks name a file, a spiking network's or a module's, by the hash of its bytes.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn add_file(&mut self, path: &Path) -> io::Result<Hash> {
        let hash = Hash::of(&fs::read(path)?);
        self.files.insert(hash, path.to_owned());
        Ok(hash)
    }

    /// Set from another thread, it ends the running task with [`RunError::Stopped`].
    pub fn stop(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// The backend in use and what was tried before it.
    pub fn status(&self) -> Status {
        self.machine.status()
    }

    /// Where the walk of an index, encryption and the sandbox run.
    pub fn level(&self) -> Level {
        self.machine.level()
    }

    /// The devices.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn open_text_model(&mut self, name: &str) -> Result<(), Missing> {
        let unusable = |e: &dyn std::fmt::Display| Missing::Unusable(e.to_string());
        let manifest = Store::manifest(name).map_err(|e| unusable(&e))?;
        let model = self.store.open(manifest, &mut *self.observer).map_err(|e| unusable(&e))?;
        let pieces = WordPiece::new(model.bert.vocab()).map_err(|e| unusable(&e))?;
        let test = model.bert.self_test().map_err(|e| unusable(&e))?;
        let hash = Hash::from_hex(&model.sha256).ok_or_else(|| unusable(&"the model file has no SHA-256"))?;
        let loaded = pollster::block_on(self.machine.add(model.bert.clone(), Some(test)));
        let loaded = loaded.map_err(|e| unusable(&e))?;
        let text_model = TextModel { bert: model.bert, pieces: Arc::new(pieces), hash, model: loaded };
        self.text_models.insert(name.to_owned(), text_model);
        Ok(())
    }
}

impl Host for LocalHost {
    type Execute = Machine;

    fn execute(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn text_model(&mut self, name: &str) -> Result<Loan<'_, Machine>, Missing> {
        if !self.text_models.contains_key(name) {
            self.open_text_model(name)?;
        }
        let model = self.text_models.get_mut(name).expect("opened on the lines above");
        Ok((model, &mut self.machine))
    }

    fn index(&mut self, name: &str) -> Result<(&mut Hnsw, &Machine), Missing> {
        if !self.indexes.contains_key(name) {
            let known = self.indexes.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(Missing::Unknown { name: name.into(), known });
        }
        Ok((self.indexes.get_mut(name).expect("there, by the lines above"), &self.machine))
    }

    fn network(&mut self, hash: Hash) -> Option<Vec<u8>> {
        fs::read(self.files.get(&hash)?).ok()
    }

    fn module(&mut self, hash: Hash) -> Option<Vec<u8>> {
        fs::read(self.files.get(&hash)?).ok()
    }

    fn recall(&mut self, key: Hash) -> Option<Vec<i16>> {
        self.vectors.get(key)
    }

    fn remember(&mut self, key: Hash, vector: &[i16]) {
        self.vectors.put(key, vector);
    }

    fn aead(&self, key: &Key) -> Box<dyn Aead256> {
        aead::cipher(key)
    }

    fn random(&mut self, bytes: &mut [u8]) {
        aead::random(bytes);
    }

    fn must_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Vectors by hash, one small file each. A cache: what cannot be read or written is made again.
struct VectorCache(PathBuf);

impl VectorCache {
    fn new(cache_dir: &Path) -> Self {
        VectorCache(cache_dir.join("agents"))
    }

    fn path(&self, key: Hash) -> PathBuf {
        self.0.join(format!("{}.i16", key.hex()))
    }

    /// The file begins with the SHA-256 of the rest: a damaged one is no vector.
    fn get(&self, key: Hash) -> Option<Vec<i16>> {
        let bytes = fs::read(self.path(key)).ok()?;
        let (digest, vector) = bytes.split_first_chunk::<32>()?;
        let (pairs, rest) = vector.as_chunks::<2>();
        let whole = rest.is_empty() && Hash::of(vector).0 == *digest;
        whole.then(|| pairs.iter().map(|&p| i16::from_le_bytes(p)).collect())
    }

    fn put(&self, key: Hash, vector: &[i16]) {
        let vector: Vec<u8> = vector.iter().flat_map(|v| v.to_le_bytes()).collect();
        let bytes = [&Hash::of(&vector).0[..], &vector].concat();
        drop(fs::create_dir_all(&self.0).and_then(|()| fs::write(self.path(key), bytes)));
    }
}
