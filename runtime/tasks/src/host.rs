//! What tasks ask of the machine they run on. Shells implement these traits; nothing here knows a device or a file.

use std::sync::Arc;

use models::{
    bert::IntBert,
    compress::{Encoder, Plain},
    search::hnsw::Hnsw,
    tokenizer::WordPiece,
};
use plan::{Gather, Parallel, Plan, SelfTest, Weights};
use thiserror::Error;

use crate::{
    encryption::{Aead256, Key},
    values::Hash,
};

/// Runs plans.
#[expect(async_fn_in_trait, reason = "callers are generic over the machine; a page's futures are not Send")]
pub trait Execute {
    /// A table or model on the device.
    type Model;

    /// Puts weights on the device, and proves the device with `test` first if there is one.
    async fn add(
        &mut self,
        weights: Arc<dyn Weights>,
        test: Option<SelfTest>,
    ) -> Result<Self::Model, ExecuteError>;

    /// Runs plans over a model's weights and returns their output words, in order.
    async fn run(&mut self, model: &mut Self::Model, plans: &[Plan]) -> Result<Vec<Vec<u32>>, ExecuteError>;

    /// How work is best cut for the device. Has no influence on results.
    fn shape(&self) -> Shape;

    /// Scores of scattered rows, for the walk of an index, which runs on the CPU.
    fn gather(&self) -> &dyn Gather;

    /// The machine's threads.
    fn parallel(&self) -> &dyn Parallel;

    /// Codes rows as int8, for compression, which runs on the CPU.
    fn encoder(&self) -> &dyn Encoder {
        &Plain
    }
}

/// How work is best cut.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Plans that run side by side.
    pub parallel_plans: usize,
    /// Tokens of a plan.
    pub slice_tokens: usize,
    /// Rows one list of a scan covers.
    pub scan_group: usize,
}

/// The device failed, and no other could take over.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct ExecuteError(pub String);

/// A sentence encoder of this machine.
pub struct TextModel<M> {
    /// The encoder.
    pub bert: Arc<IntBert>,
    /// Its tokenizer.
    pub pieces: Arc<WordPiece>,
    /// SHA-256 of its file.
    pub hash: Hash,
    /// The encoder on the device.
    pub model: M,
}

/// What else a task may need of its machine.
pub trait Host {
    /// Its devices.
    type Execute: Execute;

    /// The devices.
    fn execute(&mut self) -> &mut Self::Execute;

    /// A sentence encoder, and the devices it is on.
    ///
    /// # Errors
    /// If there is none of this name, or it cannot be had.
    fn text_model(&mut self, name: &str) -> Result<Loan<'_, Self::Execute>, Missing>;

    /// An index, and the devices.
    ///
    /// # Errors
    /// If there is none of this name, or it cannot be read.
    fn index(&mut self, name: &str) -> Result<(&mut Hnsw, &Self::Execute), Missing>;

    /// The file of a spiking network.
    fn network(&mut self, hash: Hash) -> Option<Vec<u8>>;

    /// A module.
    fn module(&mut self, hash: Hash) -> Option<Vec<u8>>;

    /// A vector that [`Host::remember`] was given under this key.
    fn recall(&mut self, _: Hash) -> Option<Vec<i16>> {
        None
    }

    /// Keeps a vector, if the machine wants to: agents of a match are embedded once.
    fn remember(&mut self, _: Hash, _: &[i16]) {}

    /// AES-256-GCM under a key, as fast as the machine has it.
    fn aead(&self, key: &Key) -> Box<dyn Aead256>;

    /// Fills `bytes` from the machine's source of randomness.
    fn random(&mut self, bytes: &mut [u8]);

    /// Whether the running task must end: asked before it starts, between groups of its plans, and every few milliseconds of
    /// a module.
    fn must_stop(&self) -> bool {
        false
    }
}

/// A sentence encoder with the devices it is on.
pub type Loan<'a, E> = (&'a mut TextModel<<E as Execute>::Model>, &'a mut E);

/// Something a task names is not here.
#[derive(Debug, Error)]
pub enum Missing {
    /// There is nothing of this name.
    #[error("\"{name}\" is not here: known are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// It is here, but cannot be used.
    #[error("{0}")]
    Unusable(String),
}
