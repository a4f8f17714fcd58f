//! Every stage of a forward pass alone, on the activations it really meets, one thread.
//!
//! A bench id is the stage's stem and a shape. A step is timed by running it many times in one plan (no step writes
//! what it reads, so repeating it changes nothing) and taking away the plan that runs it once.

use std::{collections::BTreeMap, sync::Arc};

use edge_net::model::Store;
use engine::{Arena, CpuModel};
use kernels_cpu::Level;
use models::bert::IntBert;
use plan::{BufferId, Plan, Stage, Step, Upload, Weight, Weights};
use serde::Serialize;

use crate::{
    Error, level, peaks,
    records::{self, Machine, Others, Process, thread_seconds},
    statistics::Summary,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// CPU level [default: the fastest]
    #[arg(long, value_parser = level)]
    level: Option<Level>,
    /// Samples of each bench
    #[arg(long, default_value = "21")]
    samples: usize,
    /// Write a dated record
    #[arg(long)]
    record: bool,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Which {
    /// Every stage, on one slice of texts of all lengths.
    All,
    /// Matrix products over row counts.
    Gemm,
}

/// Measures, prints a table, and records it where asked.
pub(crate) fn run(args: &Args, which: Which) -> Result<(), Error> {
    let level = args.level.unwrap_or_else(Level::detect);
    let bert = Store::from_env()?.open(Store::manifest("minilm")?, &mut ())?.bert;
    let weights: Arc<dyn Weights> = bert.clone();
    let models = Models {
        tested: CpuModel::new(level, weights.clone())?,
        oracle: CpuModel::new(Level::Scalar, weights)?,
    };
    let others = Others::start(Process(std::process::id()));
    let peak = Peaks { dot: peaks::dot(level), memory: peaks::copy(peaks::MEMORY_BYTES) };
    let batches: &[&[usize]] = match which {
        Which::All => &[&[8, 16, 24, 40, 64, 104], &[256]],
        Which::Gemm => &[&[1], &[8], &[24], &[64], &[256]],
    };
    let mut rows: Vec<Row> = Vec::new();
    for lengths in batches {
        let plan = bert.plan(&slices(lengths)).map_err(|e| Error::engine("plan", e))?;
        for (id, (index, count)) in distinct(&plan, &bert, lengths) {
            let wanted = which == Which::All || plan.steps[index].stage() == Stage::Gemm;
            if wanted && !rows.iter().any(|r| r.id == id) {
                let cost = cost(&plan.steps[index], &bert, lengths);
                let seconds = measure(&models, &plan, index, &id, args.samples)?;
                rows.push(Row::new(id, count, lengths.iter().sum(), seconds, cost, peak.dot));
            }
        }
    }
    // Scans, encoding and spiking layers have benches of their own, beside peers.
    let mut family = Stage::ALL.iter().filter(|s| s.family() == "bert");
    let missing = family.find(|s| !rows.iter().any(|r| r.id.starts_with(s.stem())));
    if let (Which::All, Some(stage)) = (which, missing) {
        return Err(Error::engine("stages", format!("no bench for {}", stage.stem())));
    }
    let (machine, date) = (Machine::describe(), records::today());
    let (dot, memory) = (peak.dot.map(|d| d / 1e9), peak.memory / 1e9);
    let other_cores = others.cores();
    let record = Record {
        date,
        machine,
        level: level.to_string(),
        dot_gops: dot,
        memory_gbs: memory,
        other_cores,
        rows,
    };
    print!("{}", table(&record));
    if args.record {
        let name = if which == Which::All { "stages" } else { "gemm" };
        println!("\nrecorded in {}", records::write(name, &record)?);
    }
    Ok(())
}

struct Models {
    tested: CpuModel,
    oracle: CpuModel,
}

struct Peaks {
    dot: Option<f64>,
    memory: f64,
}

/// What a step does at least.
#[derive(Clone, Copy)]
enum Cost {
    /// Operations, two for a multiply-add.
    Ops(f64),
    /// Bytes read and written.
    Bytes(f64),
}

#[derive(Debug, Serialize)]
struct Record {
    date: String,
    machine: Machine,
    level: String,
    /// Peak of the level's own i8 dot product, 10^9 operations a second.
    dot_gops: Option<f64>,
    /// Copy rate of memory, 10^9 bytes a second.
    memory_gbs: f64,
    other_cores: Option<f64>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    /// Times a forward pass does it.
    count: usize,
    tokens: usize,
    microseconds: Summary,
    /// 10^9 a second, of `unit`.
    rate: f64,
    unit: &'static str,
    /// Of the i8 dot product, or of a copy of as many bytes.
    of_peak: Option<f64>,
}

impl Row {
    fn new(id: String, count: usize, tokens: usize, seconds: Summary, cost: Cost, dot: Option<f64>) -> Row {
        let Summary { median, min, max } = seconds;
        let microseconds = Summary { median: median * 1e6, min: min * 1e6, max: max * 1e6 };
        let (amount, unit, peak) = match cost {
            Cost::Ops(ops) => (ops, "GOP/s", dot),
            Cost::Bytes(bytes) => (bytes, "GB/s", Some(peaks::copy(bytes as usize))),
        };
        let rate = amount / median;
        Row { id, count, tokens, microseconds, rate: rate / 1e9, unit, of_peak: peak.map(|p| rate / p) }
    }
}

/// Token sequences of these lengths, from all over the vocabulary.
fn slices(lengths: &[usize]) -> Vec<&'static [u32]> {
    static IDS: std::sync::LazyLock<Vec<u32>> =
        std::sync::LazyLock::new(|| (0..256u32).map(|i| 1000 + i * 7919 % 28_000).collect());
    lengths.iter().map(|&length| &IDS[..length]).collect()
}

/// First index and number of the steps of each bench id.
fn distinct(plan: &Plan, bert: &IntBert, lengths: &[usize]) -> BTreeMap<String, (usize, usize)> {
    let mut found = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        found.entry(id(step, bert, lengths)).or_insert((index, 0)).1 += 1;
    }
    found
}

fn id(step: &Step, bert: &IntBert, lengths: &[usize]) -> String {
    let rows: usize = lengths.iter().sum();
    let shape = match step {
        Step::Embed(s) => format!("{rows}x{}", s.width),
        Step::LayerNorm(s) if s.residual.is_some() => format!("{rows}x{}+residual", s.width),
        Step::LayerNorm(s) => format!("{rows}x{}", s.width),
        Step::Quantise(s) => {
            format!("{rows}x{}/{}", s.width, s.groups.iter().filter(|g| **g > 0).count())
        }
        Step::Gemm(s) => {
            let (k, outputs) = shape(bert, s);
            format!("{rows}x{k}x{outputs}")
        }
        Step::Attention(s) => format!("{rows}x{}, longest {}", 32 * s.heads, s.longest),
        Step::Pool(s) => format!("{rows}x{}", s.width),
        other => unreachable!("{OTHER}: {other:?}"),
    };
    format!("{}/{shape}", step.stage().stem())
}

fn shape(bert: &IntBert, gemm: &plan::Gemm) -> (usize, usize) {
    match bert.get(gemm.weight) {
        Weight::Gemm(weight) => (weight.k, weight.outputs()),
        _ => unreachable!("a gemm step names a gemm weight"),
    }
}

fn cost(step: &Step, bert: &IntBert, lengths: &[usize]) -> Cost {
    let tokens = lengths.iter().sum::<usize>() as f64;
    let cells = |width: usize| tokens * width as f64;
    match step {
        // Word i8 and position i16 in, i32 out.
        Step::Embed(s) => Cost::Bytes(cells(s.width) * 7.0),
        Step::LayerNorm(s) => Cost::Bytes(cells(s.width) * if s.residual.is_some() { 12.0 } else { 8.0 }),
        Step::Quantise(s) => {
            Cost::Bytes(cells(s.width) * if s.signal == plan::Signal::Signed { 5.0 } else { 3.0 })
        }
        Step::Gemm(s) => {
            let (k, outputs) = shape(bert, s);
            Cost::Ops(2.0 * cells(k) * outputs as f64)
        }
        Step::Attention(s) => {
            let pairs: usize = lengths.iter().map(|l| l * l).sum();
            Cost::Ops((2 * 2 * pairs * 32 * s.heads) as f64)
        }
        Step::Pool(s) => Cost::Bytes(cells(s.width) * 4.0 + (lengths.len() * s.width * 2) as f64),
        other => unreachable!("{OTHER}: {other:?}"),
    }
}

/// Seconds of one step, after its answer was compared with the oracle's.
fn measure(models: &Models, plan: &Plan, index: usize, id: &str, samples: usize) -> Result<Summary, Error> {
    let mut arena = Arena::default();
    let (inputs, outputs) = buffers(&plan.steps[index]);
    let upload = |&buffer: &BufferId| {
        let before = Plan { steps: plan.steps[..index].to_vec(), output: buffer, ..plan.clone() };
        Upload { buffer, words: models.tested.run(&before, &mut Arena::default()) }
    };
    let uploads: Vec<Upload> = inputs.iter().map(upload).collect();
    let repeated = |times: usize, output: BufferId| {
        let steps = vec![plan.steps[index]; times];
        Plan { buffers: plan.buffers.clone(), uploads: uploads.clone(), steps, output, ..*plan }
    };
    for &output in &outputs {
        let once = repeated(1, output);
        let (found, wanted) =
            (models.tested.run(&once, &mut arena), models.oracle.run(&once, &mut Arena::default()));
        check(id, &found, &wanted)?;
    }
    let mut timed = |plan: &Plan| {
        let start = thread_seconds();
        models.tested.run(plan, &mut arena);
        thread_seconds() - start
    };
    let once = repeated(1, outputs[0]);
    let rough = (0..5).map(|_| timed(&once)).fold(f64::INFINITY, f64::min);
    let times = (SAMPLE_SECONDS / rough).ceil() as usize;
    let many = repeated(times + 1, outputs[0]);
    Ok(Summary::of((0..samples.max(1)).map(|_| (timed(&many) - timed(&once)) / times as f64)))
}

fn check(id: &str, found: &[u32], wanted: &[u32]) -> Result<(), Error> {
    match found.iter().zip(wanted).position(|(a, b)| a != b) {
        None if found.len() == wanted.len() => Ok(()),
        at => Err(Error::Wrong(format!("{id} differs from the oracle at word {at:?}"))),
    }
}

/// What a step reads and writes.
fn buffers(step: &Step) -> (Vec<BufferId>, Vec<BufferId>) {
    match *step {
        Step::Embed(s) => (vec![s.ids, s.spans], vec![s.out]),
        Step::LayerNorm(s) => ([s.input].into_iter().chain(s.residual).collect(), vec![s.out]),
        Step::Quantise(s) => (vec![s.input], vec![s.codes, s.scales]),
        Step::Gemm(s) => (vec![s.codes, s.scales], vec![s.out]),
        Step::Attention(s) => (vec![s.qkv, s.spans], vec![s.out]),
        Step::Pool(s) => (vec![s.input, s.spans], vec![s.out]),
        other => unreachable!("{OTHER}: {other:?}"),
    }
}

fn table(record: &Record) -> String {
    let Record { date, machine, level, dot_gops, memory_gbs, other_cores, rows } = record;
    let shown = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.1}"));
    let mut out = format!("{machine}\n{date}, level {level}, one thread; other processes used ");
    out += &format!("{} cores\ni8 dot peak {} GOP/s, memory copy ", shown(*other_cores), shown(*dot_gops));
    out += &format!("{memory_gbs:.1} GB/s (read + written)\n\n");
    out += "| bench | in a pass | us | ns/token | rate | of peak |\n|---|---|---|---|---|---|\n";
    for r in rows {
        let per_token = r.microseconds.median * 1e3 / r.tokens as f64;
        let of_peak = r.of_peak.map_or("-".into(), |p| format!("{:.0} %", 100.0 * p));
        out += &format!("| {} | {} | {:.1} | ", r.id, r.count, r.microseconds);
        out += &format!("{per_token:.1} | {:.1} {} | {of_peak} |\n", r.rate, r.unit);
    }
    out
}

const OTHER: &str = "no step of a forward pass of BERT";
const SAMPLE_SECONDS: f64 = 5e-3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_fails_the_check() {
        assert!(check("gemm", &[1, 2, 3], &[1, 2, 3]).is_ok());
        let error = check("gemm", &[1, 2, 3], &[1, 2, 7]).unwrap_err().to_string();
        assert_eq!(error, "wrong answer: gemm differs from the oracle at word Some(2)");
        assert!(check("gemm", &[1, 2], &[1, 2, 3]).is_err());
    }

    #[test]
    fn rates_are_of_the_median() {
        let seconds = Summary { median: 2e-6, min: 1e-6, max: 9e-6 };
        let row = Row::new("gemm/x".into(), 6, 10, seconds, Cost::Ops(4e3), Some(8e9));
        assert_eq!((row.rate, row.of_peak, row.microseconds.median), (2.0, Some(0.25), 2.0));
    }
}
