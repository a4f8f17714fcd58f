//! A WebAssembly module in the sandbox.

use sandbox::{Limits, Module, Policy, SandboxError};

use super::RunError;
use crate::{
    host::Host,
    outcome::Executed,
    refusal::{Code, refuse},
    task::CustomWasm,
    values::{Bytes, Hash},
};

pub(super) fn run<H: Host>(task: &CustomWasm, host: &mut H) -> Result<Executed, RunError> {
    let stored;
    let wasm = match (&task.module, task.module_hash) {
        (Some(module), _) => &module.0,
        (None, Some(hash)) => {
            stored = host.module(hash).filter(|bytes| Hash::of(bytes) == hash);
            match &stored {
                Some(bytes) => bytes,
                None => {
                    return Ok(refuse(
                        Code::Unknown,
                        "moduleHash",
                        format!("no module {} here", hash.hex()),
                    )?);
                }
            }
        }
        (None, None) => unreachable!("a checked task has one of them"),
    };
    let failed = |error: SandboxError| match error.code() {
        "stopped" => RunError::Stopped,
        _ => RunError::Module { error },
    };
    let limits = Limits::new(task.max_fuel, task.max_memory).map_err(failed)?;
    let module = Module::compile(wasm, &Policy { allow_crypto: task.allow_crypto }).map_err(failed)?;
    let host = &*host;
    let outcome = module.execute_until(&task.input.0, &limits, &|| host.must_stop()).map_err(failed)?;
    Ok(Executed { output: Bytes(outcome.output), fuel: outcome.fuel_used })
}
