//! What can be asked for.

pub(crate) mod economy;
pub(crate) mod network;
pub(crate) mod tasks;

use std::{num::NonZeroUsize, path::PathBuf, str::FromStr, thread};

use clap::{Parser, Subcommand};
use edge_net::{Device, Level, local, machine::MachineOptions};

/// Embeddings, vector search, spiking networks and sandboxed modules, with the same bits on every device.
#[derive(Debug, Parser)]
#[command(name = "edge-net", version, after_long_help = VARIABLES)]
pub(crate) struct Args {
    /// Say nothing but errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more on stderr
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Embed texts on this machine
    Embed(Embed),
    /// Build and query an index of vectors
    #[command(subcommand)]
    Search(tasks::Search),
    /// Run a spiking network, or turn one into integers
    Infer(tasks::Infer),
    /// Store vectors in fewer bytes
    Quantize(tasks::Quantize),
    /// Encrypt a file or stream with AES-256-GCM
    Encrypt(tasks::Encrypt),
    /// Decrypt what encrypt wrote
    Decrypt(tasks::Crypt),
    /// Find the agents whose descriptions suit a query best
    Match(tasks::Match),
    /// Run untrusted WebAssembly, metered by fuel
    #[command(subcommand)]
    Sandbox(tasks::Sandbox),
    /// Run a whole network on this machine; with --demo, show what it does to liars
    Up(network::Up),
    /// Connect edges, draw workers, compare their results, settle
    Relay(network::Relay),
    /// Lend this machine's devices to a network
    Contribute(network::Contribute),
    /// Have a network do a task
    Submit(network::Submit),
    /// Keys, balances, payments, receipts and backups
    #[command(subcommand)]
    Wallet(economy::Wallet),
    /// Found, replay and list ledgers; sign records of sites
    #[command(subcommand)]
    Ledger(economy::Ledger),
    /// Show and check the log of security events
    #[command(subcommand)]
    Audit(economy::Audit),
    /// List devices, features, limits and self-tests, and why a device is chosen
    Doctor(Doctor),
    /// List, fetch, make and check models
    #[command(subcommand)]
    Model(Model),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// List the known models and what there is of them on this machine
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch a model and make it ready to run
    Fetch {
        /// The model
        name: String,
    },
    /// Make the integer file of a model from its float weights
    Quantize {
        /// The model
        name: String,
        /// Recipe to apply [default: the model's own]
        #[arg(long, value_name = "FILE", requires = "out")]
        recipe: Option<PathBuf>,
        /// Where to write the integer file [default: the cache]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Calibrate a model on texts and write the recipe (minutes)
    Calibrate {
        /// The model
        name: String,
        /// Texts, one a line
        #[arg(long, value_name = "FILE")]
        texts: PathBuf,
        /// Where to write the recipe
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the recipe that leads from a model's weights to given integers
    Recipe {
        /// The model
        name: String,
        /// The integers
        #[arg(long, value_name = "INT.safetensors")]
        target: PathBuf,
        /// Where to write the recipe
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a model's file, run its self-test on every device, and compare it with its float weights
    Verify {
        /// The model
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        fidelity: Fidelity,
    },
}

/// What a model is compared with its float weights on, in builds with the feature `reference`.
#[derive(Debug, clap::Args)]
pub(crate) struct Fidelity {
    /// Texts to compare the vectors of, one a line [default: a list of our own]
    #[arg(long, value_name = "FILE")]
    pub(crate) texts: Option<PathBuf>,
    /// Sentence pairs of the STS benchmark, to compare the rank correlation with human scores
    #[arg(long, value_name = "FILE")]
    pub(crate) sts: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// Which model runs where.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Run {
    /// Model: minilm or bge-small
    #[arg(long, env = "EDGENET_MODEL", default_value = "minilm", value_name = "NAME")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) devices: Devices,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Devices {
    /// Device: auto (a hardware GPU if one passes its self-test, else the CPU), gpu or cpu
    #[arg(long, env = "EDGENET_DEVICE", default_value = "auto", value_parser = Device::from_str)]
    pub(crate) device: Device,
    /// Part of the name of the GPU wanted [default: the fastest]
    #[arg(long, env = "EDGENET_ADAPTER", value_name = "NAME")]
    pub(crate) adapter: Option<String>,
    /// CPU threads, at most 1024 [default: one a core]
    #[arg(long, env = "EDGENET_THREADS", value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// CPU level, such as scalar, portable or avx2 [default: the fastest that passes its self-test]
    #[arg(long, env = "EDGENET_LEVEL", value_parser = level)]
    pub(crate) level: Option<Level>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Embed {
    /// Texts; without any, the lines of stdin
    #[arg(value_name = "TEXT", conflicts_with = "jsonl")]
    pub(crate) texts: Vec<String>,
    /// One JSON document with whole vectors
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) json: bool,
    /// Stream: one JSON string a line in, one JSON object a line out
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// Also print the cosine of every two texts
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) similarity: bool,
    /// Most tokens in one piece of work [default: what suits the device]
    #[arg(long, env = "EDGENET_BATCH_TOKENS", value_name = "N")]
    pub(crate) batch_tokens: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) run: Run,
}

impl Devices {
    /// The threads asked for, else one a core.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(cores)
    }

    pub(crate) fn machine(&self) -> MachineOptions {
        let (device, level, threads) = (self.device, self.level, self.threads());
        MachineOptions { device, level, threads, adapter: self.adapter.clone() }
    }
}

impl Run {
    pub(crate) fn options(&self, batch_tokens: Option<NonZeroUsize>) -> local::Options {
        local::Options {
            model: self.model.clone(),
            device: self.devices.device,
            level: self.devices.level,
            threads: self.devices.threads(),
            adapter: self.devices.adapter.clone(),
            batch_tokens,
        }
    }
}

/// Cores of this machine.
pub(crate) fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// A number of threads that a system can be expected to start.
pub(crate) fn threads(number: &str) -> Result<NonZeroUsize, String> {
    let threads = number.parse::<NonZeroUsize>().map_err(|e| e.to_string())?;
    if threads.get() > 1024 { Err("must be 1 to 1024".into()) } else { Ok(threads) }
}

fn level(name: &str) -> Result<Level, String> {
    let level = Level::from_str(name).map_err(|e| e.to_string())?;
    level.kernels().map(|_| level).map_err(|e| e.to_string())
}

const VARIABLES: &str = "\
Variables:
  EDGENET_MODEL_DIR  The only place models are looked for: a folder with NAME-int.safetensors, or with
                     model.safetensors and vocab.txt (and config.json), quantised on first use
  EDGENET_CACHE_DIR  Where models are kept that were fetched and made [default: the platform's cache folder]
  HF_HUB_CACHE, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN  As the Hugging Face tools read them
Flags that have a variable name it in their own help. A flag wins over its variable.";
