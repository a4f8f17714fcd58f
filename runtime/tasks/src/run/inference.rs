//! A spiking network's forward pass.

use std::sync::Arc;

use models::spiking::{Readout, Spikes, SpikesError, SpikingError, SpikingNet};
use plan::Plan;

use super::RunError;
use crate::{
    host::{Execute, Host},
    limits::{MAX_COUNTS, MAX_SPIKE_WORDS},
    outcome::Inferred,
    refusal::{Code, Refusal, refuse},
    task::NeuralInference,
    values::{Bytes, Hash, Matrix},
};

pub(super) async fn run<H: Host>(task: &NeuralInference, host: &mut H) -> Result<Inferred, RunError> {
    let (file, hash) = network_file(task, host)?;
    let net = SpikingNet::from_bytes(Arc::new(file))
        .map_err(|e: SpikingError| malformed("network", e.to_string()))?;
    let net = Arc::new(net);
    let workers = host.execute().shape().parallel_plans;
    let batches = batches(task, &net, workers)?;
    let mut model = host.execute().add(net.clone(), None).await?;
    let mut counts = Vec::new();
    // Spikes of a few plans are held at a time, not of all runs.
    for some in batches.chunks(workers.max(1)) {
        if host.must_stop() {
            return Err(RunError::Stopped);
        }
        let plan = |spikes: &Spikes| net.plan(spikes, Readout::Spikes);
        let plans: Vec<Plan> = some.iter().map(plan).collect::<Result<_, _>>().map_err(input_defect)?;
        let outputs = host.execute().run(&mut model, &plans).await?;
        for (spikes, words) in some.iter().zip(outputs) {
            let out = net.spikes(spikes.batch(), spikes.steps(), words).map_err(input_defect)?;
            counts.extend(out.counts());
        }
    }
    Ok(Inferred { network: hash, outputs: net.outputs() as u32, counts })
}

fn network_file<H: Host>(task: &NeuralInference, host: &mut H) -> Result<(Vec<u8>, Hash), RunError> {
    match (&task.network, task.network_hash) {
        (Some(Bytes(file)), _) => Ok((file.clone(), Hash::of(file))),
        (None, Some(hash)) => match host.network(hash).filter(|file| Hash::of(file) == hash) {
            Some(file) => Ok((file, hash)),
            None => Ok(refuse(Code::Unknown, "networkHash", format!("no network {} here", hash.hex()))?),
        },
        (None, None) => unreachable!("a checked task has one of them"),
    }
}

/// The runs as spikes, shared out among as many plans as run side by side.
fn batches(task: &NeuralInference, net: &SpikingNet, workers: usize) -> Result<Vec<Spikes>, RunError> {
    let steps = task.steps as usize;
    // A run that fits no plan is refused whatever the machine; runs that fit one at a time never are.
    let a_run = steps * net.widest_words();
    if a_run > MAX_SPIKE_WORDS {
        let message =
            format!("{a_run} spike words a run in the widest layer, at most {MAX_SPIKE_WORDS} are taken");
        return Ok(refuse(Code::TooLarge, "steps", message)?);
    }
    let most = (MAX_SPIKE_WORDS / a_run).min(RUNS_A_PLAN);
    let too_many = |runs: usize| match runs.saturating_mul(net.outputs()) {
        n if n > MAX_COUNTS => refuse(
            Code::TooLarge,
            "inputs",
            format!("{n} counts of all runs, at most {MAX_COUNTS} are given"),
        ),
        _ => Ok(()),
    };
    let mut batches = Vec::new();
    match (&task.inputs, &task.spikes) {
        (Some(inputs), _) => {
            if inputs.width != net.inputs() {
                let message = format!("of {} values, the network has {} inputs", inputs.width, net.inputs());
                return Ok(refuse(Code::Shape, "inputs", message)?);
            }
            too_many(inputs.rows())?;
            let intensities = intensities(inputs);
            let share = share(inputs.rows(), workers, most);
            for (i, part) in intensities.chunks(share * inputs.width).enumerate() {
                let first = (i * share) as u32;
                let spikes = Spikes::rate_code(part, inputs.width, steps, task.seed, first);
                batches.push(spikes.map_err(input_defect)?);
            }
        }
        (None, Some(Bytes(bytes))) => {
            let words: Vec<u32> =
                bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
            let run_words = steps * net.inputs().div_ceil(32);
            if !words.len().is_multiple_of(run_words) {
                let message = format!("{} words are not whole runs of {run_words}", words.len());
                return Ok(refuse(Code::Shape, "spikes", message)?);
            }
            too_many(words.len() / run_words)?;
            for part in words.chunks(share(words.len() / run_words, workers, most) * run_words) {
                let spikes = Spikes::from_words(part.len() / run_words, steps, net.inputs(), part.to_vec());
                batches.push(spikes.map_err(|e: SpikesError| malformed("spikes", e.to_string()))?);
            }
        }
        (None, None) => unreachable!("a checked task has one of them"),
    }
    Ok(batches)
}

/// Runs of one plan.
fn share(runs: usize, workers: usize, most: usize) -> usize {
    runs.div_ceil(workers).clamp(1, most)
}

/// 0 to 1 becomes 0 to 255, rounded half up.
fn intensities(inputs: &Matrix) -> Vec<u8> {
    inputs.values.iter().map(|&v| (v * 255.0 + 0.5) as u8).collect()
}

fn input_defect(error: SpikesError) -> RunError {
    Refusal { code: Code::Shape, field: "inputs".into(), message: error.to_string() }.into()
}

fn malformed(field: &str, message: String) -> RunError {
    Refusal { code: Code::Malformed, field: field.into(), message }.into()
}

/// Spikes of so many runs stay in a core's cache.
const RUNS_A_PLAN: usize = 128;
