//! The benchmark suite: definitions (what is measured), engines (ours and the peers beside us), records (what was
//! found, on which machine, when).
//!
//! Engines alternate in one run and are compared in pairs, so that ratios hold on a busy machine. Every bench checks
//! its own answers first and fails when they are wrong.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command's output")]

mod aes;
mod chart;
mod contest;
mod corpora;
mod embed;
mod engines;
mod frontier;
mod hnsw;
mod knn;
mod ledger;
mod memory;
mod peaks;
mod quant;
mod records;
mod sandbox;
mod sentences;
mod serve;
mod spiking;
mod stages;
mod statistics;
mod vectors;

use std::{num::NonZeroUsize, path::Path, process::ExitCode};

use clap::Parser;
use edge_net::model::Store;
use kernels_cpu::Level;
use thiserror::Error;

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Benchmarks with peers beside us")]
enum Command {
    /// Text in, vectors out: engines alternate over one corpus
    Embed(embed::Args),
    /// Exact and quantised scans of sentence embeddings
    Knn(contest::Args),
    /// Graph indexes over sentence embeddings: build, and search at several efforts
    Hnsw(contest::Args),
    /// Spiking networks, forward only
    Spiking(contest::Args),
    /// Vectors from f32 to codes
    Quant(contest::Args),
    /// AES-256-GCM: messages sealed on one thread
    Aes(contest::Args),
    /// WebAssembly beside engines that compile it, and how soon hostile modules are stopped
    Sandbox(contest::Args),
    /// Every bench that has peers, one after another
    All(contest::Args),
    /// Every stage of a forward pass, one thread, against peaks measured in the same run
    Stages(stages::Args),
    /// The matrix products over row counts, one thread
    Gemm(stages::Args),
    /// Certified transfers, merges and roots of the ledger, against what its cryptography costs
    Ledger(ledger::Args),
    /// Wrong results that verification lets through and the work it takes, for every strategy of liars
    Frontier(frontier::Args),
    /// Peak memory of `edge-net embed --device cpu`
    Memory(memory::Args),
    /// Print the folder of the float weights peers are made from, fetching them where needed
    Weights,
    /// Make the sentence embeddings that searches are measured on, where they are not there yet
    Vectors,
    /// One of our engines as a child process: requests on stdin, answers on stdout
    #[command(hide = true)]
    Serve { bench: String, engine: String, threads: NonZeroUsize },
}

/// Why a bench gives no result.
#[derive(Debug, Error)]
enum Error {
    #[error("{what}: {error}")]
    Io { what: String, error: std::io::Error },
    #[error("{what}: {error}")]
    Json { what: String, error: serde_json::Error },
    #[error("{engine}: {problem}")]
    Engine { engine: String, problem: String },
    #[error(transparent)]
    Embedder(#[from] edge_net::local::Error),
    #[error(transparent)]
    Model(#[from] edge_net::model::ModelError),
    #[error(transparent)]
    Level(#[from] kernels_cpu::LevelError),
    #[error("wrong answer: {0}")]
    Wrong(String),
}

impl Error {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |error| Error::Io { what, error }
    }

    fn engine(engine: &str, problem: impl ToString) -> Error {
        Error::Engine { engine: engine.to_owned(), problem: problem.to_string() }
    }
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Embed(args) => embed::run(&args),
        Command::Knn(args) => knn::run(&args),
        Command::Hnsw(args) => hnsw::run(&args),
        Command::Spiking(args) => spiking::run(&args),
        Command::Quant(args) => quant::run(&args),
        Command::Aes(args) => aes::run(&args),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::All(args) => all(&args),
        Command::Stages(args) => stages::run(&args, stages::Which::All),
        Command::Gemm(args) => stages::run(&args, stages::Which::Gemm),
        Command::Ledger(args) => ledger::run(&args),
        Command::Frontier(args) => frontier::run(&args),
        Command::Memory(args) => memory::run(&args),
        Command::Weights => weights(),
        Command::Vectors => vectors::Rows::sentences().map(|rows| println!("{rows}")),
        Command::Serve { bench, engine, threads } => serve::run(&bench, &engine, threads),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(args: &contest::Args) -> Result<(), Error> {
    let embed = embed::Args::builtin(args);
    embed::run(&embed)?;
    [knn::run, hnsw::run, spiking::run, quant::run, aes::run, sandbox::run]
        .into_iter()
        .try_for_each(|run| run(args))
}

fn weights() -> Result<(), Error> {
    let files = Store::from_env()?.float(Store::manifest("minilm")?, &mut ())?;
    println!("{}", files.weights.parent().unwrap_or(Path::new(".")).display());
    Ok(())
}

/// A supported CPU level by name.
fn level(name: &str) -> Result<Level, String> {
    let level: Level = name.parse().map_err(|e: kernels_cpu::LevelError| e.to_string())?;
    level.kernels().map(|_| level).map_err(|e| e.to_string())
}
