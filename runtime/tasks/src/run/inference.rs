//! A spiking network's forward pass.

use std::sync::Arc;

use models::spiking::{Readout, Spikes, SpikesError, SpikingError, SpikingNet};
use plan::Plan;

use super::RunError;
use crate::{
    host::{Execute, Host},
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
    let devices = host.execute();
    let batches = batches(task, &net, devices.shape().parallel_plans)?;
    let plan = |spikes: &Spikes| net.plan(spikes, Readout::Spikes);
    let plans: Vec<Plan> = batches.iter().map(plan).collect::<Result<_, _>>().map_err(input_defect)?;
    let mut model = devices.add(net.clone(), None).await?;
    let outputs = devices.run(&mut model, &plans).await?;
    let mut counts = Vec::new();
    for (spikes, words) in batches.iter().zip(outputs) {
        let out = net.spikes(spikes.batch(), spikes.steps(), words).map_err(input_defect)?;
        counts.extend(out.counts());
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
    let mut batches = Vec::new();
    match (&task.inputs, &task.spikes) {
        (Some(inputs), _) => {
            if inputs.width != net.inputs() {
                let message = format!("of {} values, the network has {} inputs", inputs.width, net.inputs());
                return Ok(refuse(Code::Shape, "inputs", message)?);
            }
            let intensities = intensities(inputs);
            let share = share(inputs.rows(), workers);
            for (i, part) in intensities.chunks(share * inputs.width).enumerate() {
                let first = (i * share) as u32;
                let spikes = Spikes::rate_code(part, inputs.width, steps, task.seed, first);
                batches.push(spikes.map_err(input_defect)?);
            }
        }
        (None, Some(Bytes(bytes))) => {
            let words: Vec<u32> =
                bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
            let a_run = steps * net.inputs().div_ceil(32);
            if !words.len().is_multiple_of(a_run) {
                let message = format!("{} words are not whole runs of {a_run}", words.len());
                return Ok(refuse(Code::Shape, "spikes", message)?);
            }
            for part in words.chunks(share(words.len() / a_run, workers) * a_run) {
                let spikes = Spikes::from_words(part.len() / a_run, steps, net.inputs(), part.to_vec());
                batches.push(spikes.map_err(|e: SpikesError| malformed("spikes", e.to_string()))?);
            }
        }
        (None, None) => unreachable!("a checked task has one of them"),
    }
    Ok(batches)
}

/// Runs of one plan.
fn share(runs: usize, workers: usize) -> usize {
    runs.div_ceil(workers).clamp(1, RUNS_A_PLAN)
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
