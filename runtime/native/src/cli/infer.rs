//! `edge-net infer`.

use std::{num::NonZeroUsize, sync::Arc, time::Instant};

use edge_net::model::Observer;
use models::spiking::{
    FloatNet, SpikingNet,
    import::{SnnTorch, from_nir_json, from_snntorch},
    quantise,
};
use serde::Serialize;
use serde_json::Value;
use tasks::{Bytes, Hash, NeuralInference, Outcome, Task};

use super::{
    args::tasks::{Infer, NetworkFormat},
    failure::Failure,
    model::print_json,
    print,
    task::{self, at, count, host, is_stream, place, read, write},
    terminal::{Terminal, printable},
    vectors::{is_raw, read_vectors},
};

#[derive(Serialize)]
struct Answer {
    steps: u32,
    results: Vec<Run>,
    backend: String,
    ms: f64,
}

#[derive(Serialize)]
struct Run {
    /// The output that spiked most; the first of several.
    class: usize,
    counts: Vec<u32>,
}

#[derive(Serialize)]
struct Saved {
    inputs: usize,
    outputs: usize,
    steps: Option<u32>,
    bytes: usize,
    sha256: String,
}

/// Runs a spiking network on inputs, or writes it as integers.
pub(crate) fn run(args: &Infer, terminal: &mut Terminal) -> Result<(), Failure> {
    check_streams(args)?;
    let file = network(args)?;
    let net = SpikingNet::from_bytes(Arc::new(file.clone())).map_err(|e| at(&args.network, &e))?;
    let Some(inputs) = &args.inputs else { return save(args, &file, &net) };
    let width = NonZeroUsize::new(net.inputs()).filter(|_| is_raw(inputs));
    let inputs = read_vectors(inputs, width, 0)?.vectors;
    let steps = args.steps.or(net.steps()).unwrap_or(DEFAULT_STEPS);
    let mut host = host(&args.devices.machine(), terminal)?;
    let started = Instant::now();
    let task = NeuralInference {
        network: Some(Bytes(file.clone())),
        inputs: Some(inputs),
        steps,
        seed: args.seed,
        ..NeuralInference::default()
    };
    let Outcome::NeuralInference(inferred) = task::run(&mut host, Task::NeuralInference(task))? else {
        unreachable!("an inference gives counts")
    };
    let ms = started.elapsed().as_secs_f64() * 1e3;
    if let Some(path) = &args.save {
        write(path, &file)?;
        terminal.note(&format!("{}: the network as integers, {} bytes", place(path), file.len()));
    }
    let results: Vec<Run> = inferred.counts.chunks_exact(inferred.outputs as usize).map(of).collect();
    let answer = Answer { steps, results, backend: host.status().backend.to_string(), ms };
    if args.json { print_json(&answer) } else { show(&answer) }
}

fn check_streams(args: &Infer) -> Result<(), Failure> {
    let stream = |path: &Option<std::path::PathBuf>| path.as_deref().is_some_and(is_stream);
    if is_stream(&args.network) && stream(&args.inputs) {
        return Err(Failure::Usage("the network and its inputs cannot both come from stdin".into()));
    }
    if stream(&args.save) && (args.inputs.is_some() || args.json) {
        return Err(Failure::Usage("--save - leaves no room for results on stdout: give it a file".into()));
    }
    Ok(())
}

/// The output that spiked most, and all counts.
fn of(counts: &[u32]) -> Run {
    let most = counts.iter().max().copied().unwrap_or(0);
    Run { class: counts.iter().position(|&c| c == most).unwrap_or(0), counts: counts.to_vec() }
}

/// Writes the network and says what it is.
fn save(args: &Infer, file: &[u8], net: &SpikingNet) -> Result<(), Failure> {
    let Some(path) = &args.save else { return Err(Failure::Usage("give --inputs or --save".into())) };
    write(path, file)?;
    if is_stream(path) {
        return Ok(());
    }
    let (inputs, outputs) = (net.inputs(), net.outputs());
    let (bytes, sha256) = (file.len(), Hash::of(file).hex());
    if args.json {
        return print_json(&Saved { inputs, outputs, steps: net.steps(), bytes, sha256 });
    }
    let name = printable(&place(path));
    print(&format!(
        "{name}: {inputs} inputs, {outputs} outputs, {bytes} bytes of integers\nsha256 {sha256}\n"
    ))
}

/// The network's file of integers.
fn network(args: &Infer) -> Result<Vec<u8>, Failure> {
    let bytes = read(&args.network)?;
    let failed = |e: &dyn std::error::Error| at(&args.network, e);
    let format = match args.format {
        NetworkFormat::Auto => guess(&bytes).ok_or_else(|| {
            let message = "no network: neither safetensors nor a NIR graph in JSON";
            Failure::Failed(format!("{}: {message}", place(&args.network)))
        })?,
        named => named,
    };
    let float = match format {
        NetworkFormat::Auto | NetworkFormat::Int => return Ok(bytes),
        NetworkFormat::Float => FloatNet::from_safetensors(&bytes).map_err(|e| failed(&e))?,
        NetworkFormat::Snntorch => from_snntorch(&bytes, SnnTorch::default()).map_err(|e| failed(&e))?,
        NetworkFormat::Nir => from_nir_json(&bytes).map_err(|e| failed(&e))?,
    };
    Ok(quantise(&float).map_err(|e| failed(&e))?.file().to_vec())
}

/// safetensors begin with the length of their header, whose metadata names our formats; a graph is JSON itself.
fn guess(bytes: &[u8]) -> Option<NetworkFormat> {
    let header = bytes.split_first_chunk::<8>().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        serde_json::from_slice::<Value>(rest.get(..length)?).ok()
    });
    match header.as_ref().map(|h| h["__metadata__"]["format"].as_str()) {
        Some(Some(SpikingNet::FORMAT)) => Some(NetworkFormat::Int),
        Some(Some(FloatNet::FORMAT)) => Some(NetworkFormat::Float),
        Some(_) => Some(NetworkFormat::Snntorch),
        None => bytes.trim_ascii_start().starts_with(b"{").then_some(NetworkFormat::Nir),
    }
}

fn show(answer: &Answer) -> Result<(), Failure> {
    let mut text = String::new();
    for (i, run) in answer.results.iter().enumerate() {
        let counts: Vec<String> = run.counts.iter().map(u32::to_string).collect();
        text += &format!("input {i}: class {}  spikes {}\n", run.class, counts.join(" "));
    }
    let runs = count(answer.results.len(), "run");
    text += &format!("{runs} of {} steps in {:.1} ms on {}\n", answer.steps, answer.ms, answer.backend);
    print(&text)
}

const DEFAULT_STEPS: u32 = 100;
