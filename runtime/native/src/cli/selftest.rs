//! A model's golden self-test on every device of this machine.

use std::{fmt, time::Instant};

use edge_net::{Device, Level, model::Opened};
use engine::{Engine, EngineError, Options};
use serde::Serialize;

use super::failure::Failure;

/// What a device made of the self-test.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trial {
    /// `cpu (avx2)`, `gpu (name)`.
    pub(crate) device: String,
    pub(crate) outcome: Outcome,
    /// Why it did not run, or how it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Time to load the model and run the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// Never counted as passed.
    NotRun,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::NotRun => "not run",
        };
        write!(f, "{:24} {outcome}", self.device)?;
        if let Some(ms) = self.ms {
            write!(f, " in {ms:.0} ms")?;
        }
        self.reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
    }
}

/// Runs the self-test on every CPU level and on every GPU, software ones included.
pub(crate) fn trials(model: &Opened) -> Result<Vec<Trial>, Failure> {
    let test = model.bert.self_test();
    let test = test.map_err(|e| Failure::Failed(format!("{}: {e}", model.path.display())))?;
    let run = |options: Options| {
        let started = Instant::now();
        let loaded =
            async { Engine::open(options).await?.load(model.bert.clone(), Some(test.clone())).await };
        pollster::block_on(loaded)
            .map(|l| (l.status().backend.to_string(), started.elapsed().as_secs_f64() * 1e3))
    };
    let mut trials = Vec::new();
    for &level in Level::ALL {
        let options = Options { device: Device::Cpu, level: Some(level), ..Options::default() };
        trials.push(trial(format!("cpu ({level})"), run(options)));
    }
    for (device, options) in gpus() {
        trials.push(trial(device, run(options)));
    }
    Ok(trials)
}

/// Every GPU by its name; one that is not there where there is none, so that it is listed as not run.
#[cfg(feature = "gpu")]
fn gpus() -> Vec<(String, Options)> {
    let mut names: Vec<Option<String>> =
        pollster::block_on(engine::gpu::adapters()).into_iter().map(|a| Some(a.name)).collect();
    names.dedup();
    if names.is_empty() {
        names.push(None);
    }
    let options = |adapter: Option<String>| {
        let device = adapter.as_ref().map_or("gpu".to_owned(), |name| format!("gpu ({name})"));
        let gpu = engine::gpu::GpuOptions { adapter, ..Default::default() };
        (device, Options { device: Device::Gpu, gpu, ..Options::default() })
    };
    names.into_iter().map(options).collect()
}

#[cfg(not(feature = "gpu"))]
fn gpus() -> Vec<(String, Options)> {
    vec![("gpu".to_owned(), Options { device: Device::Gpu, ..Options::default() })]
}

fn trial(device: String, ran: Result<(String, f64), EngineError>) -> Trial {
    let (outcome, reason) = match &ran {
        Ok((device, ms)) => {
            return Trial { device: device.clone(), outcome: Outcome::Passed, reason: None, ms: Some(*ms) };
        }
        Err(EngineError::Gpu(f)) if ABSENT.contains(&f.code) => (Outcome::NotRun, f.message.clone()),
        Err(EngineError::Level(e)) => (Outcome::NotRun, e.to_string()),
        Err(e) => (Outcome::Failed, e.to_string()),
    };
    Trial { device, outcome, reason: Some(reason), ms: None }
}

/// Reasons that mean there is no GPU, as opposed to one that fails.
pub(crate) const ABSENT: [&str; 3] = ["not-built", "no-adapter", "software-adapter"];
