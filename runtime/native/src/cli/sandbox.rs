//! `edge-net sandbox`.

use std::{sync::atomic::Ordering, thread, time::Duration};

use edge_net::machine::MachineOptions;
use serde::Serialize;
use tasks::{Bytes, CustomWasm, Hash, Outcome, Task};

use super::{
    args::tasks::{Sandbox, SandboxRun},
    failure::Failure,
    model::print_json,
    task::{self, host, is_stream, place, read, without_gpu, write},
    terminal::Terminal,
};

/// Runs a module.
pub(crate) fn run(command: &Sandbox, terminal: &mut Terminal) -> Result<(), Failure> {
    match command {
        Sandbox::Run(args) => run_module(args, terminal),
    }
}

#[derive(Serialize)]
struct Ran<'a> {
    fuel: u64,
    bytes: usize,
    sha256: String,
    /// Absent where the output goes to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Bytes>,
}

/// What is at hand, where it cannot be a module in the binary format.
fn no_binary(module: &[u8]) -> Option<&'static str> {
    if module.starts_with(b"\0asm") {
        return None;
    }
    match module.trim_ascii_start().first() {
        Some(b'(' | b';') => Some("is WebAssembly text: assemble it first, as wat2wasm does"),
        _ => Some("is no WebAssembly module"),
    }
}

fn run_module(args: &SandboxRun, terminal: &mut Terminal) -> Result<(), Failure> {
    if is_stream(&args.module) && args.input.as_deref().is_some_and(is_stream) {
        return Err(Failure::Usage("the module and its input cannot both come from stdin".into()));
    }
    let module = read(&args.module)?;
    if let Some(message) = no_binary(&module) {
        return Err(Failure::Failed(format!("{}: {message}", place(&args.module))));
    }
    let input = args.input.as_deref().map(read).transpose()?.unwrap_or_default();
    let mut host = host(&without_gpu(MachineOptions::default()), terminal)?;
    let task = Task::CustomWasm(CustomWasm {
        module: Some(Bytes(module)),
        input: Bytes(input),
        max_fuel: args.max_fuel,
        max_memory: args.max_memory,
        allow_crypto: args.allow_crypto,
        ..CustomWasm::default()
    });
    // Fuel is the limit; the clock is the second guard. The thread ends with the process.
    let (stop, patience) = (host.stop(), Duration::from_secs(args.timeout));
    thread::spawn(move || {
        thread::sleep(patience);
        stop.store(true, Ordering::Relaxed);
    });
    let Outcome::CustomWasm(ran) = task::run(&mut host, task)? else {
        unreachable!("a module gives an output")
    };
    let to_stdout = is_stream(&args.out);
    if !(args.json && to_stdout) {
        write(&args.out, &ran.output.0)?;
    }
    if args.json {
        let output = to_stdout.then_some(&ran.output);
        let sha256 = Hash::of(&ran.output.0).hex();
        return print_json(&Ran { fuel: ran.fuel, bytes: ran.output.0.len(), sha256, output });
    }
    terminal.detail(&format!("{} units of fuel, {} bytes of output", ran.fuel, ran.output.0.len()));
    Ok(())
}
