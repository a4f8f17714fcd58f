//! What can be asked of the task commands.

use std::{num::NonZeroUsize, path::PathBuf, str::FromStr};

use clap::{Subcommand, ValueEnum};
use edge_net::Device;
use models::search::Metric;

use super::{Devices, Run};

#[derive(Debug, Subcommand)]
pub(crate) enum Search {
    /// Build an index of vectors or texts, or add to one
    Build(SearchBuild),
    /// Find the nearest vectors of an index
    Query(SearchQuery),
    /// Say what an index holds
    Info {
        /// The index file
        index: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Where vectors come from.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Vectors {
    /// Vectors: JSON lines, each a list of numbers or {"id": N, "vector": [...]}; - is stdin. Raw little-endian f32
    /// where the name ends in .f32, and on stdin where --width is given
    #[arg(long, value_name = "FILE")]
    pub(crate) vectors: Option<PathBuf>,
    /// Texts, one a line, embedded by the model; - is stdin. Ids count lines from 0, or go on where an index ends
    #[arg(long, value_name = "FILE")]
    pub(crate) texts: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SearchBuild {
    /// The index file to write
    pub(crate) index: PathBuf,
    #[command(flatten)]
    pub(crate) source: Vectors,
    /// Values a vector: needed for raw f32, checked for JSON lines
    #[arg(long, value_name = "N")]
    pub(crate) width: Option<NonZeroUsize>,
    /// Add to the index that is there instead of writing a new one
    #[arg(long, conflicts_with_all = ["metric", "m", "ef_construction", "seed", "no_floats"])]
    pub(crate) add: bool,
    /// What makes two vectors near: cosine, l2 or dot
    #[arg(long, default_value = "cosine", value_parser = metric, value_name = "NAME")]
    pub(crate) metric: Metric,
    /// Links a vector makes
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub(crate) m: usize,
    /// Candidates a vector chooses its links from
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(crate) ef_construction: usize,
    /// Decides the levels, together with the ids
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Keep codes only: about a quarter of the size at width 384, no exact re-rank
    #[arg(long)]
    pub(crate) no_floats: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SearchQuery {
    /// The index file
    pub(crate) index: PathBuf,
    /// Texts to embed and look for
    #[arg(value_name = "TEXT", conflicts_with = "vectors")]
    pub(crate) queries: Vec<String>,
    /// Vectors to look for, in the formats of `search build --vectors`
    #[arg(long, value_name = "FILE")]
    pub(crate) vectors: Option<PathBuf>,
    /// Values a vector: needed for raw f32, checked for JSON lines
    #[arg(long, value_name = "N")]
    pub(crate) width: Option<NonZeroUsize>,
    /// Results a query
    #[arg(short, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) k: u32,
    /// Candidates the walk keeps: more are slower and find more
    #[arg(long, default_value_t = 64, value_name = "N", conflicts_with = "exact")]
    pub(crate) ef: u32,
    /// Scan all vectors instead of walking the graph
    #[arg(long, value_enum)]
    pub(crate) exact: Option<Exact>,
    /// Also scan in f32 and report which share of the true nearest was found
    #[arg(long)]
    pub(crate) recall: bool,
    /// Ids that may be returned, with commas between them
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub(crate) filter: Option<Vec<u64>>,
    /// The texts the index was built from: results show the lines their ids count
    #[arg(long, value_name = "FILE")]
    pub(crate) texts: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// How all vectors are scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exact {
    /// In floating point
    F32,
    /// By their i8 codes, the best candidates again in f32
    Int8,
    /// By one bit a value, the best candidates again in f32
    Bits,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Infer {
    /// The network: integers, or floats, which are quantised first; - is stdin
    pub(crate) network: PathBuf,
    /// What the file holds
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) format: NetworkFormat,
    /// Inputs of 0 to 1: JSON lines, a list of numbers each, or raw little-endian f32 where the name ends in .f32;
    /// - is stdin
    #[arg(long, value_name = "FILE", required_unless_present = "save")]
    pub(crate) inputs: Option<PathBuf>,
    /// Time steps [default: what the network names, else 100]
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u32>,
    /// Seed of the code that turns inputs into spikes
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u32,
    /// Write the network as integers; - is stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) devices: Devices,
}

/// What a network file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkFormat {
    /// What its first bytes say
    Auto,
    /// Integers, as `--save` writes them
    Int,
    /// Floats in safetensors with our metadata
    Float,
    /// The state dict of an snnTorch network in safetensors
    Snntorch,
    /// A NIR graph in its JSON form
    Nir,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Quantize {
    /// Vectors: JSON lines, each a list of numbers, or raw little-endian f32 where the name ends in .f32 and on stdin
    /// where --width is given; - is stdin. With --decode, a file that this command wrote
    pub(crate) input: PathBuf,
    /// Where to write the result; - is stdout [default: nowhere, sizes and errors are reported only]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// How
    #[arg(long, value_enum, default_value = "auto", conflicts_with = "decode")]
    pub(crate) codec: CodecName,
    /// Least recall of the ten nearest that auto must reach, 0 to 1 [default: 0.95]
    #[arg(long, value_name = "R", conflicts_with_all = ["bytes", "decode"])]
    pub(crate) recall: Option<f32>,
    /// Most bytes a vector that auto may take; it then takes the codec of the best recall
    #[arg(long, value_name = "N", conflicts_with = "decode")]
    pub(crate) bytes: Option<f32>,
    /// Values a vector: needed for raw f32, checked for JSON lines
    #[arg(long, value_name = "N", conflicts_with = "decode")]
    pub(crate) width: Option<NonZeroUsize>,
    /// Turn a file that this command wrote back into raw little-endian f32
    #[arg(long, requires = "out")]
    pub(crate) decode: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// CPU threads, at most 1024 [default: one a core]
    #[arg(long, env = "EDGENET_THREADS", value_name = "N", value_parser = super::threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) device: OnCpu,
}

/// How vectors are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodecName {
    /// The smallest that reaches the target on a sample
    Auto,
    /// One byte a value
    Int8,
    /// Half a byte a value
    Int4,
    /// One bit a value
    Binary,
    /// Product quantisation
    Pq,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Crypt {
    /// What to read; - is stdin
    #[arg(default_value = "-")]
    pub(crate) input: PathBuf,
    /// Where to write; - is stdout. A file appears when all of it is there; what goes to stdout is good only if the
    /// exit code is 0
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) out: PathBuf,
    /// The key: a file of 64 hexadecimal digits, readable by its owner only
    #[arg(long, env = "EDGENET_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: PathBuf,
    /// Authenticated with the data, not part of the result: decrypt must name what encrypt named
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) aad: String,
    /// Print JSON about the result, which must go to a file
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) device: OnCpu,
}

/// Of commands that no GPU runs.
#[derive(Debug, clap::Args)]
pub(crate) struct OnCpu {
    /// Device: auto or cpu, which are the same here
    #[arg(long, default_value = "auto", value_parser = on_cpu)]
    #[allow(dead_code, reason = "its parser is all there is to it")]
    device: Device,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Encrypt {
    #[command(flatten)]
    pub(crate) crypt: Crypt,
    /// Make the key file if it is not there
    #[arg(long)]
    pub(crate) new_key: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Match {
    /// What is to be done, in words
    #[arg(required = true, value_name = "QUERY")]
    pub(crate) queries: Vec<String>,
    /// Agents: JSON lines, each {"id": "...", "description": "..."}; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) agents: PathBuf,
    /// Agents a query
    #[arg(short, default_value_t = 3, value_name = "N")]
    pub(crate) k: u32,
    /// Least cosine of an agent that is shown
    #[arg(long, default_value_t = -1.0, allow_negative_numbers = true, value_name = "C")]
    pub(crate) threshold: f32,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sandbox {
    /// Run a WebAssembly module on an input
    Run(SandboxRun),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SandboxRun {
    /// The module, in the binary format; - is stdin
    pub(crate) module: PathBuf,
    /// What it gets; - is stdin [default: nothing]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Where to write what it gives; - is stdout
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) out: PathBuf,
    /// Most fuel it may burn
    #[arg(long, default_value_t = 1_000_000_000, value_name = "N")]
    pub(crate) max_fuel: u64,
    /// Most bytes of memory it may have [default: 64 MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_memory: Option<u64>,
    /// Let it import SHA-256 and Ed25519 verification
    #[arg(long)]
    pub(crate) allow_crypto: bool,
    /// Seconds after which it is stopped
    #[arg(long, default_value_t = 30, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    /// Print JSON: fuel, and the output in base64 unless it goes to a file
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) device: OnCpu,
}

fn metric(name: &str) -> Result<Metric, String> {
    match name {
        "cosine" => Ok(Metric::Cosine),
        "l2" => Ok(Metric::L2),
        "dot" => Ok(Metric::Dot),
        _ => Err("known are cosine, l2, dot".into()),
    }
}

fn on_cpu(name: &str) -> Result<Device, String> {
    match Device::from_str(name).map_err(|e| e.to_string())? {
        Device::Gpu => Err("runs on the CPU by decision: edge-net doctor says why".into()),
        device => Ok(device),
    }
}
