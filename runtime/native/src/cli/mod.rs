//! The command line: data on stdout, everything else on stderr.

mod args;
mod crypt;
mod doctor;
mod economy;
mod embed;
mod failure;
mod fidelity;
mod format;
mod infer;
mod input;
mod matching;
mod model;
mod network;
mod places;
mod quantize;
mod sandbox;
mod search;
mod selftest;
mod task;
mod terminal;
mod vectors;

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
        Command::Search(search) => search::run(search, &mut terminal),
        Command::Infer(infer) => infer::run(infer, &mut terminal),
        Command::Quantize(quantize) => quantize::run(quantize, &mut terminal),
        Command::Encrypt(crypt) => crypt::encrypt(crypt, &mut terminal),
        Command::Decrypt(crypt) => crypt::decrypt(crypt, &mut terminal),
        Command::Match(task) => matching::run(task, &mut terminal),
        Command::Sandbox(sandbox) => sandbox::run(sandbox, &mut terminal),
        Command::Up(up) => network::up(up, &mut terminal),
        Command::Relay(relay) => network::relay(relay, &mut terminal),
        Command::Contribute(contribute) => network::contribute(contribute, &mut terminal),
        Command::Submit(submit) => network::submit(submit, &mut terminal),
        Command::Wallet(wallet) => economy::wallet::run(wallet, &mut terminal),
        Command::Ledger(ledger) => economy::ledger::run(ledger, &mut terminal),
        Command::Audit(audit) => economy::audit::run(audit),
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
