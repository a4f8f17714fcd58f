//! WebAssembly beside engines that compile it, one thread, and how soon hostile modules are stopped.

mod engine;
#[path = "../../runtime/sandbox/tests/hostile/cases.rs"]
mod hostile;

use std::{num::NonZeroUsize, time::Instant};

use sandbox::{Limits, Module, Policy};
use serde_json::{Value, json};

pub(crate) use self::engine::open;
use self::hostile::Expect;
use crate::{
    Error,
    contest::{self, Case, Definition, Facts},
    engines::{self, Fields, OURS, root},
};

/// Measures, prints a table, and records it where asked.
pub(crate) fn run(args: &contest::Args) -> Result<(), Error> {
    let args = contest::Args { threads: NonZeroUsize::MIN, ..args.clone() };
    let folder = root().join("target/bench");
    let module = folder.join("sandbox.wasm");
    let wasm =
        wat::parse_str(include_str!("sandbox/kernels.wat")).map_err(|e| Error::engine("kernels.wat", e))?;
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&module, wasm));
    written.map_err(Error::io(module.display().to_string()))?;
    let mut record =
        contest::measure(&mut Kernels { module: module.display().to_string(), results: [None; 2] }, &args)?;
    record.subject.insert("hostile modules".into(), stopped()?);
    record.publish(&args)
}

struct Kernels {
    module: String,
    /// Of the first engine, for each case.
    results: [Option<u64>; 2],
}

impl Definition for Kernels {
    fn name(&self) -> &'static str {
        BENCH
    }

    fn subject(&self) -> Fields {
        Fields::new()
    }

    fn cases(&self) -> Vec<Case> {
        let case = |(function, argument): (&str, u32)| {
            let fields = json!({"function": function, "arguments": [argument], "times": 1});
            Case::new(format!("{function} {argument}"), fields, 1.0, "calls")
                .by([OURS].into_iter().chain(engines::peers(BENCH)))
        };
        WORK.into_iter().map(case).collect()
    }

    fn load(&self, _: &str) -> Fields {
        let fields = json!({"module": self.module});
        fields.as_object().cloned().unwrap_or_default()
    }

    fn check(&mut self, case: &Case, engine: &str, answer: &Value) -> Result<Facts, Error> {
        let place = usize::from(case.id.starts_with("mix"));
        // Some engines give i32, some u32.
        let found = answer["result"].as_i64().map(|r| r as u32).map(u64::from);
        let wanted = *self.results[place].get_or_insert(found.unwrap_or_default());
        let known = place == 1 || wanted == PRIMES;
        match found {
            Some(found) if found == wanted && known => Ok(Facts::new()),
            _ => Err(Error::Wrong(format!("{engine} gives {found:?} for {}, not {wanted}", case.id))),
        }
    }
}

/// Runs every hostile module of the sandbox's tests: how many, the slowest, and the most fuel burned beyond its budget.
fn stopped() -> Result<Value, Error> {
    let (mut slowest, mut beyond, mut count) = ((0.0, ""), 0, 0);
    let limits = Limits::new(HOSTILE_FUEL, None).map_err(|e| Error::engine(OURS, e))?;
    for case in hostile::all() {
        let start = Instant::now();
        let ran = Module::compile(&case.module, &Policy::default())
            .and_then(|module| module.execute(hostile::INPUT, &limits));
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let (fuel, right) = match (&ran, &case.expect) {
            (Ok(outcome), Expect::Output(bytes)) => (outcome.fuel_used, outcome.output == *bytes),
            (Err(error), Expect::Code(code)) => (error.fuel_used(), error.code() == *code),
            _ => (0, false),
        };
        if !right {
            return Err(Error::Wrong(format!(
                "the hostile module \"{}\" ends otherwise than it must",
                case.name
            )));
        }
        beyond = beyond.max(fuel.saturating_sub(HOSTILE_FUEL));
        slowest = if ms > slowest.0 { (ms, case.name) } else { slowest };
        count += 1;
    }
    Ok(json!({
        "count": count, "fuel of each": HOSTILE_FUEL, "most fuel beyond it": beyond,
        "slowest, ms": slowest.0, "slowest": slowest.1,
    }))
}

const BENCH: &str = "sandbox";
const WORK: [(&str, u32); 2] = [("sieve", 2_000_000), ("mix", 5_000_000)];
/// Below two million.
const PRIMES: u64 = 148_933;
const HOSTILE_FUEL: u64 = 3_000_000;
