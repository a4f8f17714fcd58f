//! The command line: data on stdout, everything else on stderr.

mod args;
mod doctor;
mod embed;
mod failure;
mod fidelity;
mod format;
mod input;
mod model;
mod selftest;
mod terminal;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};

use args::{Args, Command};
use failure::Failure;
use terminal::Terminal;

/// Runs the command the arguments name. Exit codes: 0, 1 for what failed, 2 for wrong usage.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let mut terminal = Terminal::new(args.quiet, args.verbose);
    let done = match &args.command {
        Command::Embed(embed) => embed::run(embed, &mut terminal),
        Command::Doctor(doctor) => doctor::run(doctor),
        Command::Model(model) => model::run(model, &mut terminal),
        Command::Completions { shell } => completions(*shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&mut terminal),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "edge-net", &mut script);
    io::stdout().write_all(&script).map_err(Failure::output)
}

/// Writes to stdout.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output)
}
