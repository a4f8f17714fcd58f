//! Payloads, one type a task. JSON names fields in camelCase and refuses names it does not know; the canonical bytes
//! are what is signed, priced and hashed.

use models::search::Metric;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    limits::MAX_PAYLOAD_BYTES,
    refusal::{Code, Refusal, refuse},
    values::{Bytes, Hash, Matrix},
};

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// The nearest vectors of each query.
    VectorSearch(VectorSearch),
    /// Vectors into an index.
    VectorInsert(VectorInsert),
    /// Sentence vectors.
    Embedding(Embedding),
    /// The agents whose descriptions are nearest to each query.
    SemanticMatch(SemanticMatch),
    /// A spiking network's forward pass.
    NeuralInference(NeuralInference),
    /// AES-256-GCM.
    Encryption(Encryption),
    /// Vectors quantised adaptively.
    Compression(Compression),
    /// A WebAssembly module, sandboxed.
    CustomWasm(CustomWasm),
}

/// Exactly one of `index` and `vectors` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VectorSearch {
    /// `[queries][width]`.
    pub queries: Matrix,
    /// Name of an index of this machine.
    pub index: Option<String>,
    /// `[rows][width]`: searched exactly, by their i8 codes. Ids are row numbers.
    pub vectors: Option<Matrix>,
    /// Results a query, 1 to [`plan::MAX_K`].
    pub k: u32,
    /// How near is measured; an index has a metric of its own, which this must name.
    pub metric: Metric,
    /// Candidates the walk of an index keeps, at least `k`; `None` takes 64, or `k` if that is more.
    pub ef: Option<u32>,
    /// Ids that may be returned; all of them if `None`.
    pub filter: Option<Vec<u64>>,
}

/// Ids are the caller's; one that is there already is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VectorInsert {
    /// Name of an index of this machine.
    pub index: String,
    /// One id a vector.
    pub ids: Vec<u64>,
    /// `[rows][width]`.
    pub vectors: Matrix,
}

/// Texts, and the model that embeds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Embedding {
    /// Texts; what exceeds the model's tokens is cut off, and the result says so.
    pub texts: Vec<String>,
    /// Name of the model.
    #[serde(default = "minilm")]
    pub model: String,
    /// Vectors of length one: the only form there is, so `false` is refused.
    #[serde(default = "yes")]
    pub normalize: bool,
}

/// Routes queries to agents by meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SemanticMatch {
    /// What is to be done.
    #[serde(alias = "task", deserialize_with = "one_or_many")]
    pub queries: Vec<String>,
    /// Who there is.
    pub agents: Vec<Agent>,
    /// Agents returned a query.
    #[serde(default = "one")]
    pub k: u32,
    /// Least cosine of an agent that is returned.
    #[serde(default = "no_threshold")]
    pub threshold: f32,
    /// Name of the model.
    #[serde(default = "minilm")]
    pub model: String,
}

/// An agent of a [`SemanticMatch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Agent {
    /// The caller's name for it, unique in the task.
    pub id: String,
    /// What it does.
    pub description: String,
}

/// Exactly one of `network` and `network_hash`, and one of `inputs` and `spikes`, is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NeuralInference {
    /// The network's file.
    pub network: Option<Bytes>,
    /// SHA-256 of a network file that is on this machine.
    pub network_hash: Option<Hash>,
    /// `[runs][inputs]` intensities of 0 to 1, turned into spikes by the deterministic rate code.
    pub inputs: Option<Matrix>,
    /// Bits `[runs][steps][inputs / 32]`, little-endian words, first input in the lowest bit.
    pub spikes: Option<Bytes>,
    /// Time steps.
    pub steps: u32,
    /// Seed of the rate code.
    pub seed: u32,
}

/// `self` and `group` tiers only: a key must not be mailed to strangers.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Encryption {
    /// Which way.
    pub op: Direction,
    /// Plaintext, or what an encryption gave.
    pub data: Bytes,
    /// 32 bytes.
    pub key: Bytes,
    /// Authenticated with the data, not part of the result.
    #[serde(default)]
    pub aad: Bytes,
}

/// Which way an [`Encryption`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Plaintext in.
    Encrypt,
    /// Ciphertext in.
    Decrypt,
}

/// Vectors to be stored in fewer bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compression {
    /// `[rows][width]`.
    pub vectors: Matrix,
    /// How.
    #[serde(default)]
    pub codec: Codec,
    /// What [`Codec::Auto`] must reach; a recall of 0.95 if neither is given.
    #[serde(default)]
    pub target: Target,
}

/// How vectors are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// The smallest that reaches the target on a sample.
    #[default]
    Auto,
    /// One byte a value.
    Int8,
    /// Half a byte a value.
    Int4,
    /// One bit a value.
    Binary,
    /// Product quantisation.
    Pq,
}

/// What [`Codec::Auto`] must reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Target {
    /// Most bytes a vector.
    pub bytes: Option<f32>,
    /// Least recall of the ten nearest, 0 to 1.
    pub recall: Option<f32>,
}

/// Exactly one of `module` and `module_hash` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CustomWasm {
    /// The module.
    pub module: Option<Bytes>,
    /// SHA-256 of a module that is on this machine.
    pub module_hash: Option<Hash>,
    /// What it gets.
    pub input: Bytes,
    /// Most fuel it may burn.
    pub max_fuel: u64,
    /// Most bytes of memory it may grow to; the default of the sandbox if `None`.
    pub max_memory: Option<u64>,
    /// Whether it may import SHA-256 and Ed25519 verification.
    pub allow_crypto: bool,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encryption {{ op: {:?}, data: {} bytes, key: hidden }}", self.op, self.data.0.len())
    }
}

impl Drop for Encryption {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key.0);
    }
}

/// Names of task types, and the other names they answer to.
const NAMES: [(&str, &[&str]); 8] = [
    ("vector_search", &["vectors", "vector", "search"]),
    ("vector_insert", &["insert"]),
    ("embedding", &["embeddings", "embed"]),
    ("semantic_match", &["semantic", "match"]),
    ("neural_inference", &["neural", "spiking", "inference"]),
    ("encryption", &["encrypt"]),
    ("compression", &["compress"]),
    ("custom_wasm", &["wasm", "custom"]),
];

impl Task {
    /// The exact names of all task types.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The exact name of a task type, given that or another name of it.
    pub fn canonical_name(name: &str) -> Option<&'static str> {
        NAMES.iter().find(|(exact, others)| *exact == name || others.contains(&name)).map(|(exact, _)| *exact)
    }

    /// The exact name of the task's type.
    pub fn name(&self) -> &'static str {
        let index = match self {
            Task::VectorSearch(_) => 0,
            Task::VectorInsert(_) => 1,
            Task::Embedding(_) => 2,
            Task::SemanticMatch(_) => 3,
            Task::NeuralInference(_) => 4,
            Task::Encryption(_) => 5,
            Task::Compression(_) => 6,
            Task::CustomWasm(_) => 7,
        };
        NAMES[index].0
    }

    /// Reads the JSON form: a type's name and its payload.
    ///
    /// # Errors
    /// [`Code::Unknown`] for the type, [`Code::Malformed`] naming the field for the payload.
    pub fn from_json(name: &str, payload: Value) -> Result<Task, Refusal> {
        fn read<T: serde::de::DeserializeOwned>(payload: Value) -> Result<T, Refusal> {
            serde_json::from_value(payload).or_else(|e| refuse(Code::Malformed, "payload", e.to_string()))
        }
        Ok(match Task::canonical_name(name) {
            Some("vector_search") => Task::VectorSearch(read(one_query(payload)?)?),
            Some("vector_insert") => Task::VectorInsert(read(payload)?),
            Some("embedding") => Task::Embedding(read(payload)?),
            Some("semantic_match") => Task::SemanticMatch(read(payload)?),
            Some("neural_inference") => Task::NeuralInference(read(payload)?),
            Some("encryption") => Task::Encryption(read(payload)?),
            Some("compression") => Task::Compression(read(payload)?),
            Some("custom_wasm") => Task::CustomWasm(read(payload)?),
            _ => {
                let known: Vec<&str> = Task::names().collect();
                return refuse(Code::Unknown, "type", format!("\"{name}\": known are {}", known.join(", ")));
            }
        })
    }

    /// The one encoding of this task as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("no payload has a part that cannot be encoded")
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`Code::TooLarge`] if they are too many, [`Code::Malformed`] if the bytes are no task, [`Code::NotCanonical`] if they are not the one encoding of it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Task, Refusal> {
        if bytes.len() > MAX_PAYLOAD_BYTES {
            let message = format!("{} bytes, at most {MAX_PAYLOAD_BYTES} are taken", bytes.len());
            return refuse(Code::TooLarge, "payload", message);
        }
        match postcard::take_from_bytes::<Task>(bytes) {
            Err(e) => refuse(Code::Malformed, "payload", e.to_string()),
            Ok((task, [])) if task.to_bytes() == bytes => Ok(task),
            Ok(_) => refuse(Code::NotCanonical, "payload", "not the canonical encoding of this task"),
        }
    }
}

/// `query` is short for `queries` of one.
fn one_query(mut payload: Value) -> Result<Value, Refusal> {
    if let Some(object) = payload.as_object_mut()
        && let Some(query) = object.remove("query")
    {
        if object.contains_key("queries") {
            return refuse(Code::Choice, "query", "give query or queries, not both");
        }
        object.insert("queries".into(), Value::Array(vec![query]));
    }
    Ok(payload)
}

/// A list of texts; in JSON, a single text stands for a list of one.
fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    if !from.is_human_readable() {
        return Vec::deserialize(from);
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

fn minilm() -> String {
    "minilm".into()
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn no_threshold() -> f32 {
    -1.0
}
