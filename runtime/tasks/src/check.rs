//! Payloads become tasks that can be run: whatever passes here is only asked for models, indexes and modules again.

use std::collections::BTreeSet;

use plan::MAX_K;

use crate::{
    limits::{
        MAX_AGENTS, MAX_EF, MAX_FUEL, MAX_MATCHES, MAX_NAME_BYTES, MAX_NETWORK_BYTES, MAX_QUERIES, MAX_RUNS,
        MAX_SPIKE_WORDS, MAX_STEPS, MAX_TEXT_BYTES, MAX_TEXTS, MAX_VECTORS,
    },
    refusal::{Code, Refusal, count, refuse, within},
    task::{
        Codec, Compression, CustomWasm, Embedding, Encryption, NeuralInference, SemanticMatch, Task,
        VectorInsert, VectorSearch,
    },
};

/// Who may see a task's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The submitter's own devices.
    Own,
    /// Devices that hold the group's join key.
    Group,
    /// Anyone.
    Public,
}

/// A task whose payload is in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked(Task);

impl Checked {
    /// The task.
    pub fn task(&self) -> &Task {
        &self.0
    }
}

impl Task {
    /// Checks every field.
    ///
    /// # Errors
    /// The first defect, with the field it is in.
    pub fn check(self, tier: Tier) -> Result<Checked, Refusal> {
        match &self {
            Task::VectorSearch(t) => search(t),
            Task::VectorInsert(t) => insert(t),
            Task::Embedding(t) => embedding(t),
            Task::SemanticMatch(t) => semantic_match(t),
            Task::NeuralInference(t) => inference(t),
            Task::Encryption(t) => encryption(t, tier),
            Task::Compression(t) => compression(t),
            Task::CustomWasm(t) => module(t),
        }
        .map(|()| Checked(self))
    }
}

fn search(t: &VectorSearch) -> Result<(), Refusal> {
    t.queries.check("queries", MAX_QUERIES)?;
    within("k", t.k as usize, 1, MAX_K)?;
    match (&t.index, &t.vectors) {
        (Some(index), None) => name("index", index)?,
        (None, Some(vectors)) => {
            vectors.check("vectors", MAX_VECTORS)?;
            if vectors.width != t.queries.width {
                let message = format!("of {} values, the vectors have {}", t.queries.width, vectors.width);
                return refuse(Code::Shape, "queries", message);
            }
        }
        (Some(_), Some(_)) => return refuse(Code::Choice, "vectors", "give index or vectors, not both"),
        (None, None) => return refuse(Code::Choice, "vectors", "give index or vectors"),
    }
    if let Some(ef) = t.ef {
        within("ef", ef, t.k, MAX_EF)?;
    }
    t.filter.as_ref().map_or(Ok(()), |ids| count("filter", ids.len(), MAX_VECTORS))
}

fn insert(t: &VectorInsert) -> Result<(), Refusal> {
    name("index", &t.index)?;
    t.vectors.check("vectors", MAX_VECTORS)?;
    if t.ids.len() != t.vectors.rows() {
        let message = format!("{} ids for {} vectors", t.ids.len(), t.vectors.rows());
        return refuse(Code::Shape, "ids", message);
    }
    unique("ids", t.ids.iter())
}

fn embedding(t: &Embedding) -> Result<(), Refusal> {
    name("model", &t.model)?;
    if !t.normalize {
        return refuse(
            Code::OutOfRange,
            "normalize",
            "must be true: vectors of length one are the only form there is",
        );
    }
    texts("texts", &t.texts, MAX_TEXTS)
}

fn semantic_match(t: &SemanticMatch) -> Result<(), Refusal> {
    name("model", &t.model)?;
    texts("queries", &t.queries, MAX_QUERIES)?;
    count("agents", t.agents.len(), MAX_AGENTS)?;
    for (i, agent) in t.agents.iter().enumerate() {
        name(&format!("agents[{i}].id"), &agent.id)?;
        text(&format!("agents[{i}].description"), &agent.description)?;
    }
    unique("agents", t.agents.iter().map(|a| &a.id))?;
    within("k", t.k as usize, 1, MAX_AGENTS)?;
    let matches = t.queries.len() * t.agents.len().min(t.k as usize);
    if matches > MAX_MATCHES {
        let message = format!("{matches} agents for all queries, at most {MAX_MATCHES} are returned");
        return refuse(Code::TooLarge, "k", message);
    }
    within("threshold", t.threshold, -1.0, 1.0)
}

fn inference(t: &NeuralInference) -> Result<(), Refusal> {
    match (&t.network, &t.network_hash) {
        (Some(network), None) => count("network", network.0.len(), MAX_NETWORK_BYTES)?,
        (None, Some(_)) => {}
        _ => return refuse(Code::Choice, "network", "give one of network and networkHash"),
    }
    within("steps", t.steps, 1, MAX_STEPS)?;
    match (&t.inputs, &t.spikes) {
        (Some(inputs), None) => {
            inputs.check("inputs", MAX_RUNS)?;
            let words = (inputs.rows() * t.steps as usize).saturating_mul(inputs.width.div_ceil(32));
            count("inputs", words, MAX_SPIKE_WORDS)?;
            match inputs.values.iter().position(|v| !(0.0..=1.0).contains(v)) {
                None => Ok(()),
                Some(at) => {
                    let place = format!("inputs[{}][{}]", at / inputs.width, at % inputs.width);
                    refuse(Code::OutOfRange, place, format!("is {}, must be 0 to 1", inputs.values[at]))
                }
            }
        }
        (None, Some(spikes)) => {
            if !spikes.0.len().is_multiple_of(4) {
                return refuse(Code::Shape, "spikes", "is not whole words of 4 bytes");
            }
            count("spikes", spikes.0.len() / 4, MAX_SPIKE_WORDS)
        }
        _ => refuse(Code::Choice, "inputs", "give one of inputs and spikes"),
    }
}

fn encryption(t: &Encryption, tier: Tier) -> Result<(), Refusal> {
    if tier == Tier::Public {
        return refuse(
            Code::Tier,
            "key",
            "a key is not sent to strangers: encryption runs on one's own devices or the group's",
        );
    }
    if t.key.0.len() != 32 {
        return refuse(Code::Shape, "key", format!("is {} bytes, must be 32", t.key.0.len()));
    }
    Ok(())
}

fn compression(t: &Compression) -> Result<(), Refusal> {
    t.vectors.check("vectors", MAX_VECTORS)?;
    match (t.codec, t.target.bytes, t.target.recall) {
        (Codec::Auto, Some(_), Some(_)) => refuse(Code::Choice, "target", "give bytes or recall, not both"),
        (Codec::Auto, Some(bytes), None) => {
            within("target.bytes", bytes, 0.125, 4.0 * plan::MAX_WIDTH as f32)
        }
        (Codec::Auto, None, Some(recall)) => within("target.recall", recall, 0.0, 1.0),
        (Codec::Auto, None, None) | (_, None, None) => Ok(()),
        _ => refuse(Code::Choice, "target", "only the codec auto takes a target"),
    }
}

fn module(t: &CustomWasm) -> Result<(), Refusal> {
    match (&t.module, &t.module_hash) {
        (Some(module), None) => count("module", module.0.len(), sandbox::MAX_MODULE_BYTES)?,
        (None, Some(_)) => {}
        _ => return refuse(Code::Choice, "module", "give one of module and moduleHash"),
    }
    within("maxFuel", t.max_fuel, 1, MAX_FUEL)?;
    match sandbox::Limits::new(t.max_fuel, t.max_memory) {
        Ok(_) => Ok(()),
        Err(e) => refuse(Code::OutOfRange, "maxMemory", e.to_string()),
    }
}

fn name(field: &str, name: &str) -> Result<(), Refusal> {
    count(field, name.len(), MAX_NAME_BYTES)?;
    if name.chars().any(char::is_control) {
        return refuse(Code::Malformed, field, "holds a control character");
    }
    Ok(())
}

fn text(field: &str, text: &str) -> Result<(), Refusal> {
    match text.len() {
        n if n > MAX_TEXT_BYTES => {
            refuse(Code::TooLarge, field, format!("{n} bytes, at most {MAX_TEXT_BYTES} are taken"))
        }
        _ => Ok(()),
    }
}

fn texts(field: &str, texts: &[String], most: usize) -> Result<(), Refusal> {
    count(field, texts.len(), most)?;
    texts.iter().enumerate().try_for_each(|(i, t)| text(&format!("{field}[{i}]"), t))
}

fn unique<T: Ord>(field: &str, ids: impl Iterator<Item = T>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for (i, id) in ids.enumerate() {
        if !seen.insert(id) {
            return refuse(Code::Duplicate, format!("{field}[{i}]"), "is there already");
        }
    }
    Ok(())
}
