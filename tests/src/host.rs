//! A machine for tasks whose plans run on one backend of the tests.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kernels_cpu::Level;
use models::{bert::Pooling, search::hnsw::Hnsw, tokenizer::WordPiece};
use plan::{Gather, Parallel, Plan, SelfTest, Sequential, Weights};
use tasks::{
    Execute, ExecuteError, Hash, Host, Loan, Missing, Shape, TextModel,
    encryption::{Aead256, Key, Portable},
};

use crate::{backends::Run, generated};

/// One backend as devices.
pub struct Devices {
    run: Run,
    shape: Shape,
}

impl Execute for Devices {
    type Model = Arc<dyn Weights>;

    async fn add(
        &mut self,
        weights: Arc<dyn Weights>,
        _: Option<SelfTest>,
    ) -> Result<Arc<dyn Weights>, ExecuteError> {
        Ok(weights)
    }

    async fn run(
        &mut self,
        model: &mut Arc<dyn Weights>,
        plans: &[Plan],
    ) -> Result<Vec<Vec<u32>>, ExecuteError> {
        Ok(plans.iter().map(|plan| (self.run)(model, plan)).collect())
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn gather(&self) -> &dyn Gather {
        Level::detect().kernels().expect("the level that was detected")
    }

    fn parallel(&self) -> &dyn Parallel {
        &Sequential
    }
}

/// The machine: a generated sentence encoder named `generated`, and whatever a test puts in.
pub struct TestHost {
    devices: Devices,
    text_model: TextModel<Arc<dyn Weights>>,
    /// By name.
    pub indexes: BTreeMap<String, Hnsw>,
    /// By hash: networks and modules.
    pub files: HashMap<Hash, Vec<u8>>,
    /// What it was asked to remember.
    pub remembered: HashMap<Hash, Vec<i16>>,
    /// How often a vector was asked for and there.
    pub recalled: usize,
    /// Whether running tasks must stop.
    pub stop: bool,
}

impl TestHost {
    /// A machine whose plans run on `run`, cut as `shape` says.
    pub fn new(run: Run, shape: Shape) -> Self {
        let (bert, _) = generated::model(Pooling::Mean);
        let pieces = WordPiece::new(bert.vocab()).expect("a generated vocabulary");
        let model: Arc<dyn Weights> = bert.clone();
        TestHost {
            devices: Devices { run, shape },
            text_model: TextModel { bert, pieces: Arc::new(pieces), hash: Hash::of(b"generated"), model },
            indexes: BTreeMap::new(),
            files: HashMap::new(),
            remembered: HashMap::new(),
            recalled: 0,
            stop: false,
        }
    }
}

impl Host for TestHost {
    type Execute = Devices;

    fn execute(&mut self) -> &mut Devices {
        &mut self.devices
    }

    fn text_model(&mut self, name: &str) -> Result<Loan<'_, Devices>, Missing> {
        match name {
            "generated" => Ok((&mut self.text_model, &mut self.devices)),
            _ => Err(Missing::Unknown { name: name.into(), known: "generated".into() }),
        }
    }

    fn index(&mut self, name: &str) -> Result<(&mut Hnsw, &Devices), Missing> {
        let known = self.indexes.keys().cloned().collect::<Vec<_>>().join(", ");
        let missing = Missing::Unknown { name: name.into(), known };
        Ok((self.indexes.get_mut(name).ok_or(missing)?, &self.devices))
    }

    fn network(&mut self, hash: Hash) -> Option<Vec<u8>> {
        self.files.get(&hash).cloned()
    }

    fn module(&mut self, hash: Hash) -> Option<Vec<u8>> {
        self.files.get(&hash).cloned()
    }

    fn recall(&mut self, key: Hash) -> Option<Vec<i16>> {
        let vector = self.remembered.get(&key).cloned();
        self.recalled += usize::from(vector.is_some());
        vector
    }

    fn remember(&mut self, key: Hash, vector: &[i16]) {
        self.remembered.insert(key, vector.to_vec());
    }

    fn aead(&self, key: &Key) -> Box<dyn Aead256> {
        Box::new(Portable::new(key))
    }

    /// The same every time, so that results can be pinned.
    fn random(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
    }

    fn must_stop(&self) -> bool {
        self.stop
    }
}
