//! From a task to what the network is asked for: its kind, its model, its price, and how large its result may be.

use ledger::{Id, price};
use models::manifest::MODELS;
use network::{
    capability::TaskType,
    submitter::Request,
    wire::{Assurance, Priority, Tier, Verify},
};
use tasks::{Checked, Known, NUMERICS_VERSION, Task, base_price};
use thiserror::Error;

/// What a submitter chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitOptions {
    /// How results are verified.
    pub verify: Verify,
    /// How sure the verdict has to be.
    pub assurance: Assurance,
    /// The lane.
    pub priority: Priority,
    /// Who may see the task.
    pub tier: Tier,
    /// More is not spent, in micro-credits.
    pub max_ucredits: Option<u64>,
    /// It is given up if nobody took it for so long, in milliseconds.
    pub ttl_ms: u32,
    /// A worker has so long, in milliseconds.
    pub timeout_ms: u32,
}

impl Default for SubmitOptions {
    fn default() -> Self {
        SubmitOptions {
            verify: Verify::Adaptive,
            assurance: Assurance::Normal,
            priority: Priority::Normal,
            tier: Tier::Public,
            max_ucredits: None,
            ttl_ms: 60_000,
            timeout_ms: 60_000,
        }
    }
}

/// Why the network cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnfitError {
    /// The task names something of this machine.
    #[error("{what} lies on this machine: the network's workers have none of it")]
    Local {
        /// What.
        what: &'static str,
    },
    /// No file of the model is the same everywhere.
    #[error("the model {0:?} has no published integer file, so workers could not agree on its results")]
    Model(String),
    /// More than any amount of credits.
    #[error("a price beyond all credits")]
    Price,
}

/// What the network is asked for.
///
/// # Errors
/// Why it cannot be.
pub fn request(task: &Checked, options: &SubmitOptions) -> Result<Request, UnfitError> {
    let kind = kind(task.task());
    let model = model(task.task())?;
    not_local(task.task())?;
    let base = base_price(task, Known::default()).max(1);
    let priority = match options.priority {
        Priority::Low => price::Priority::Low,
        Priority::Normal => price::Priority::Normal,
        Priority::High => price::Priority::High,
    };
    Ok(Request {
        kind,
        model,
        numerics: NUMERICS_VERSION,
        payload: task.task().to_bytes(),
        max_result_bytes: most_result_bytes(task.task()),
        price_ucredits: price::quote(base, 1, priority).map_err(|_| UnfitError::Price)?,
        verify: options.verify,
        assurance: options.assurance,
        priority: options.priority,
        tier: options.tier,
        group: None,
        ttl_ms: options.ttl_ms,
        timeout_ms: options.timeout_ms,
    })
}

/// A task's kind, as envelopes name it.
pub fn kind(task: &Task) -> TaskType {
    match task {
        Task::VectorSearch(_) => TaskType::VectorSearch,
        Task::VectorInsert(_) => TaskType::VectorInsert,
        Task::Embedding(_) => TaskType::Embedding,
        Task::SemanticMatch(_) => TaskType::SemanticMatch,
        Task::NeuralInference(_) => TaskType::NeuralInference,
        Task::Encryption(_) => TaskType::Encryption,
        Task::Compression(_) => TaskType::Compression,
        Task::CustomWasm(_) => TaskType::CustomWasm,
    }
}

/// The integer file of a model by its name.
///
/// # Errors
/// [`UnfitError::Model`].
pub fn model_id(name: &str) -> Result<Id, UnfitError> {
    let manifest = MODELS.iter().find(|manifest| manifest.name == name);
    let id = manifest.and_then(|manifest| manifest.integer_sha256).and_then(Id::from_hex);
    id.ok_or_else(|| UnfitError::Model(name.to_owned()))
}

fn model(task: &Task) -> Result<Option<Id>, UnfitError> {
    match task {
        Task::Embedding(task) => model_id(&task.model).map(Some),
        Task::SemanticMatch(task) => model_id(&task.model).map(Some),
        _ => Ok(None),
    }
}

/// Indexes and files that a task names instead of bringing them.
fn not_local(task: &Task) -> Result<(), UnfitError> {
    let what = match task {
        Task::VectorSearch(task) if task.index.is_some() => "the index",
        Task::VectorInsert(_) => "the index",
        Task::NeuralInference(task) if task.network.is_none() => "the network's file",
        Task::CustomWasm(task) if task.module.is_none() => "the module's file",
        _ => return Ok(()),
    };
    Err(UnfitError::Local { what })
}

/// No result of this task is longer, in its canonical encoding. Integers take at most five bytes each as they are encoded,
/// eight-byte ones ten; i16 three.
fn most_result_bytes(task: &Task) -> u32 {
    const WIDEST: usize = 1024;
    let bytes = match task {
        Task::VectorSearch(task) => task.queries.rows() * (5 + task.k as usize * 15),
        Task::VectorInsert(_) => 0,
        Task::Embedding(task) => task.texts.len() * (3 * WIDEST + 15),
        Task::SemanticMatch(task) => {
            let longest = task.agents.iter().map(|agent| agent.id.len()).max().unwrap_or(0);
            task.queries.len() * (5 + task.k as usize * (longest + 10))
        }
        Task::NeuralInference(task) => {
            // An output layer has no more neurons than its file has bytes; runs are rows, or spikes cut into steps.
            let network = task.network.as_ref().map_or(0, |network| network.0.len());
            let runs = task.inputs.as_ref().map_or(tasks_runs(task), |inputs| inputs.rows());
            (runs * network.min(MOST_OUTPUTS) * 5).min(MOST_RESULT_BYTES)
        }
        Task::Encryption(task) => task.data.0.len() + task.data.0.len() / 1024 + 1024,
        Task::Compression(task) => task.vectors.values.len() * 5 + 4096,
        Task::CustomWasm(_) => MOST_OUTPUT_BYTES,
    };
    (bytes + FRAME_BYTES).min(MOST_RESULT_BYTES) as u32
}

fn tasks_runs(task: &tasks::NeuralInference) -> usize {
    let words = task.spikes.as_ref().map_or(0, |spikes| spikes.0.len() / 4);
    words.div_ceil((task.steps as usize).max(1)).max(1)
}

/// Version, hashes, counts.
const FRAME_BYTES: usize = 256;
const MOST_OUTPUTS: usize = 4096;
/// What a module may put out.
const MOST_OUTPUT_BYTES: usize = 4 << 20;
const MOST_RESULT_BYTES: usize = 32 << 20;
