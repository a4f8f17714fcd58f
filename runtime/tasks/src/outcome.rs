//! Results and their canonical bytes.

use models::search::Metric;
use serde::{Deserialize, Serialize};

use crate::values::{Bytes, Hash};

/// Version of the arithmetic: raised whenever any result of any task changes.
pub const NUMERICS_VERSION: u32 = 1;

/// The result of a task, the same on every device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Of a [`crate::VectorSearch`].
    VectorSearch(Found),
    /// Of a [`crate::VectorInsert`].
    VectorInsert(Inserted),
    /// Of an [`crate::Embedding`].
    Embedding(Embeddings),
    /// Of a [`crate::SemanticMatch`].
    SemanticMatch(Matched),
    /// Of a [`crate::NeuralInference`].
    NeuralInference(Inferred),
    /// Of an [`crate::Encryption`].
    Encryption(Bytes),
    /// Of a [`crate::Compression`].
    Compression(Compressed),
    /// Of a [`crate::CustomWasm`].
    CustomWasm(Executed),
}

/// Nearest vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// By what measure.
    pub metric: Metric,
    /// For each query, nearest first.
    pub matches: Vec<Vec<Match>>,
}

/// A vector that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Its id, or its row in the payload.
    pub id: u64,
    /// Its exact score over codes: comparable within one query's list only. More is nearer.
    pub score: i32,
}

/// Vectors put into an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inserted {
    /// How many.
    pub count: u64,
    /// How many the index holds.
    pub total: u64,
    /// SHA-256 of the index's file.
    pub index: Hash,
}

/// Sentence vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embeddings {
    /// SHA-256 of the model's file.
    pub model: Hash,
    /// Values a vector.
    pub width: u32,
    /// `[texts][width]`, Q15.
    pub vectors: Vec<i16>,
    /// Tokens of each text that the model saw.
    pub tokens: Vec<u32>,
    /// Indices of texts that were cut off.
    pub truncated: Vec<u32>,
}

/// Agents for queries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matched {
    /// SHA-256 of the model's file.
    pub model: Hash,
    /// For each query, best first.
    pub agents: Vec<Vec<Ranked>>,
}

/// An agent and how well it fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranked {
    /// The agent's id.
    pub id: String,
    /// Cosine of its description and the query, Q30.
    pub score: i32,
}

/// What a spiking network gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inferred {
    /// SHA-256 of the network's file.
    pub network: Hash,
    /// Outputs of a run.
    pub outputs: u32,
    /// `[runs][outputs]`: spikes over all steps.
    pub counts: Vec<u32>,
}

/// Vectors in fewer bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compressed {
    /// The codec, which `auto` may have chosen.
    pub codec: String,
    /// The container, which says all that is needed to read it.
    pub bytes: Bytes,
}

/// What a module gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// Its output.
    pub output: Bytes,
    /// Fuel it burned.
    pub fuel: u64,
}

impl Outcome {
    /// The one encoding of the result: what replicas compare by hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        let versioned = (NUMERICS_VERSION, self);
        postcard::to_allocvec(&versioned).expect("no result has a part that cannot be encoded")
    }

    /// Reads the canonical encoding; `None` if the bytes are not the one encoding of a result of this version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Outcome> {
        let ((version, outcome), rest) = postcard::take_from_bytes::<(u32, Outcome)>(bytes).ok()?;
        (version == NUMERICS_VERSION && rest.is_empty() && outcome.to_bytes() == bytes).then_some(outcome)
    }

    /// SHA-256 of the canonical bytes.
    pub fn digest(&self) -> Hash {
        Hash::of(&self.to_bytes())
    }
}
