//! What a task costs before redundancy and priority, in micro-credits.
//!
//! Whole numbers throughout; every item rounds up by at most one micro-credit.

use crate::{check::Checked, task::Task};

/// A million of them make a credit.
pub const MICRO: u64 = 1_000_000;

/// 1 credit a thousand vectors searched, for each query. An index counts the vectors it holds.
const SEARCH_PER_1000: u64 = MICRO;
/// Half a credit a hundred vectors.
const INSERT_PER_100: u64 = MICRO / 2;
/// 5 credits a hundred texts.
const EMBED_PER_100: u64 = 5 * MICRO;
/// 1 credit ten queries.
const MATCH_PER_10: u64 = MICRO;
/// 3 credits a batch of up to 128 runs of 100 steps.
const INFERENCE_PER_BATCH: u64 = 3 * MICRO;
const INFERENCE_RUNS: u64 = 128;
const INFERENCE_STEPS: u64 = 100;
/// A tenth of a credit a MB.
const ENCRYPTION_PER_MB: u64 = MICRO / 10;
/// A fifth of a credit a MB.
const COMPRESSION_PER_MB: u64 = MICRO / 5;
const MB: u64 = 1_000_000;
/// 1 credit a thousand million units of fuel.
const FUEL_PER_CREDIT: u64 = 1_000_000_000;

/// What a price depends on that the payload does not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Vectors in the index a search names.
    pub index_vectors: u64,
    /// Inputs of the network a spiking task names.
    pub network_inputs: u64,
}

/// Base price in micro-credits. A module is quoted for all of its fuel; [`fuel_price`] is what it burned.
pub fn base_price(task: &Checked, known: Known) -> u64 {
    match task.task() {
        Task::VectorSearch(t) => {
            let vectors = t.vectors.as_ref().map_or(known.index_vectors, |v| v.rows() as u64);
            t.queries.rows() as u64 * share(vectors, SEARCH_PER_1000, 1_000)
        }
        Task::VectorInsert(t) => share(t.ids.len() as u64, INSERT_PER_100, 100),
        Task::Embedding(t) => share(t.texts.len() as u64, EMBED_PER_100, 100),
        Task::SemanticMatch(t) => share(t.queries.len() as u64, MATCH_PER_10, 10),
        Task::NeuralInference(t) => {
            let steps = u64::from(t.steps);
            let words = t.spikes.as_ref().map_or(0, |s| s.0.len() as u64 / 4);
            let a_run = steps * known.network_inputs.div_ceil(32).max(1);
            let runs = t.inputs.as_ref().map_or(words.div_ceil(a_run), |i| i.rows() as u64);
            runs.div_ceil(INFERENCE_RUNS) * steps.div_ceil(INFERENCE_STEPS) * INFERENCE_PER_BATCH
        }
        Task::Encryption(t) => share(t.data.0.len() as u64, ENCRYPTION_PER_MB, MB),
        Task::Compression(t) => share(t.vectors.values.len() as u64 * 4, COMPRESSION_PER_MB, MB),
        Task::CustomWasm(t) => fuel_price(t.max_fuel),
    }
}

/// Price of an amount of fuel, in micro-credits.
pub fn fuel_price(fuel: u64) -> u64 {
    share(fuel, MICRO, FUEL_PER_CREDIT)
}

/// `count * price / of`, rounded up.
fn share(count: u64, price: u64, of: u64) -> u64 {
    u64::try_from((u128::from(count) * u128::from(price)).div_ceil(u128::from(of))).unwrap_or(u64::MAX)
}
