//! What workers can do and what tasks need.

use std::collections::BTreeSet;

use ledger::Id;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Kinds of tasks, in the order of their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskType {
    /// `vector_search`.
    VectorSearch,
    /// `vector_insert`.
    VectorInsert,
    /// `embedding`.
    Embedding,
    /// `semantic_match`.
    SemanticMatch,
    /// `neural_inference`.
    NeuralInference,
    /// `encryption`.
    Encryption,
    /// `compression`.
    Compression,
    /// `custom_wasm`.
    CustomWasm,
}

/// A set of kinds of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskTypes(pub u16);

impl TaskTypes {
    /// These kinds.
    pub fn of(types: &[TaskType]) -> Self {
        TaskTypes(types.iter().fold(0, |bits, kind| bits | (1 << *kind as u16)))
    }

    /// Whether a kind is in it.
    pub fn has(self, kind: TaskType) -> bool {
        self.0 & (1 << kind as u16) != 0
    }
}

/// What runs the kernels. Results are equal; the speed is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Backend {
    /// A processor.
    Cpu,
    /// A graphics processor.
    Gpu,
}

/// What a worker can do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Capability {
    /// Kinds of tasks.
    pub types: TaskTypes,
    /// SHA-256 of the model files it holds, at most [`MAX_MODELS`].
    #[serde(with = "id_set")]
    pub models: BTreeSet<Id>,
    /// The version of the numerics: workers of two versions never meet in one vote.
    pub numerics: u32,
    /// Memory that a task may use.
    pub memory_mib: u32,
    /// What it runs on.
    pub backend: Backend,
}

/// What a task needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its kind.
    pub kind: TaskType,
    /// The model it names.
    pub model: Option<Id>,
    /// The version of the numerics.
    pub numerics: u32,
    /// Memory at least.
    pub memory_mib: u32,
    /// The least backend that is fast enough.
    pub backend: Backend,
}

impl Capability {
    /// Whether it can do a task.
    pub fn fits(&self, need: &Need) -> bool {
        self.types.has(need.kind)
            && self.numerics == need.numerics
            && self.memory_mib >= need.memory_mib
            && self.backend >= need.backend
            && need.model.is_none_or(|model| self.models.contains(&model))
    }
}

/// Most models of a worker.
pub const MAX_MODELS: usize = 64;

/// Ids in ascending order: a set has one encoding.
mod id_set {
    use super::*;

    pub(super) fn serialize<S: Serializer>(set: &BTreeSet<Id>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(set.iter().map(Id::as_bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Id>, D::Error> {
        let list = <Vec<[u8; 32]>>::deserialize(from)?;
        if !list.is_sorted_by(|a, b| a < b) {
            return Err(D::Error::custom("ids are not in order"));
        }
        Ok(list.into_iter().map(Id::from_bytes).collect())
    }
}
