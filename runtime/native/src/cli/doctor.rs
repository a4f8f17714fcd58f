//! `edge-net doctor`: what this machine has, and what would run.

use std::env::consts::{ARCH, OS};

use edge_net::{Device, Level, local::Embedder, model::Store};
use serde::Serialize;

use super::{
    args,
    failure::Failure,
    model::{describe, print_json},
    places::{Place, places},
    print,
    selftest::{self, Outcome, Trial},
};

#[derive(Serialize)]
struct Report {
    version: &'static str,
    platform: String,
    cores: usize,
    cpu_levels: Vec<CpuLevel>,
    /// `None` where this build has no GPU support.
    adapters: Option<Vec<Adapter>>,
    model: Model,
    /// Empty where there is no model to test with.
    self_tests: Vec<Trial>,
    choice: Choice,
    tasks: Vec<Place>,
}

#[derive(Serialize)]
struct CpuLevel {
    name: String,
    supported: bool,
}

#[derive(Serialize)]
struct Adapter {
    name: String,
    kind: String,
    backend: String,
    driver: String,
    features: Vec<String>,
    limits: Vec<(String, u64)>,
}

#[derive(Serialize)]
struct Model {
    name: &'static str,
    state: &'static str,
    path: Option<String>,
    sha256: Option<String>,
    published: Option<bool>,
    /// Why it cannot be used as it is.
    problem: Option<String>,
}

#[derive(Serialize)]
struct Choice {
    /// `None` until a model is there to decide with.
    backend: Option<String>,
    reasons: Vec<String>,
}

/// Prints the report. A machine without a model or a GPU is no failure; a device that computes wrongly is.
pub(crate) fn run(args: &args::Doctor) -> Result<(), Failure> {
    let report = examine(args)?;
    if args.json {
        print_json(&report)?;
    } else {
        print(&report.text())?;
    }
    match report.self_tests.iter().find(|t| t.outcome == Outcome::Failed) {
        Some(trial) => {
            Err(Failure::Failed(format!("{} fails the self-test and will not be used", trial.device)))
        }
        None => Ok(()),
    }
}

fn examine(args: &args::Doctor) -> Result<Report, Failure> {
    let manifest = Store::manifest(&args.run.model)?;
    let store = Store::from_env()?;
    let (state, path) = describe(&store.state(manifest));
    let mut model = Model { name: manifest.name, state, path, sha256: None, published: None, problem: None };
    let (mut self_tests, mut choice) = (Vec::new(), Choice { backend: None, reasons: Vec::new() });
    match store.open_ready(manifest) {
        Ok(Some(opened)) => {
            model.state = "ready";
            model.path = Some(opened.path.display().to_string());
            model.sha256 = Some(opened.sha256.clone());
            model.published = Some(opened.published);
            self_tests = selftest::trials(&opened)?;
            choice = chosen(args, Embedder::with_model(&args.run.options(None), opened));
        }
        Ok(None) => {
            choice
                .reasons
                .push(format!("decided by the model's self-test: edge-net model fetch {}", manifest.name));
        }
        Err(e) => {
            model.state = "damaged";
            let remedy = match std::env::var_os("EDGENET_MODEL_DIR").is_some_and(|dir| !dir.is_empty()) {
                true => "replace it: EDGENET_MODEL_DIR is the only place looked at",
                false => "made anew on next use",
            };
            model.problem = Some(format!("{e}: {remedy}"));
        }
    }
    let levels = Level::ALL.iter().map(|l| CpuLevel { name: l.to_string(), supported: l.is_supported() });
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        platform: format!("{OS} {ARCH}"),
        cores: args.run.devices.threads().get(),
        cpu_levels: levels.collect(),
        adapters: adapters(),
        model,
        self_tests,
        choice,
        tasks: places(&args.run.devices.machine()),
    })
}

fn chosen(args: &args::Doctor, opened: Result<Embedder, edge_net::local::Error>) -> Choice {
    let status = match opened {
        Ok(embedder) => embedder.status(),
        Err(e) => return Choice { backend: None, reasons: vec![e.to_string()] },
    };
    let mut reasons: Vec<String> = status.fallbacks.iter().map(|f| format!("not {f}")).collect();
    let wanted = match args.run.devices.device {
        Device::Auto => "first in the order hardware GPU, fastest CPU level, to pass the self-test",
        Device::Gpu => "asked for a GPU, and this one passes the self-test",
        Device::Cpu => "asked for the CPU: its fastest level that passes the self-test",
    };
    reasons.push(wanted.to_owned());
    Choice { backend: Some(status.backend.to_string()), reasons }
}

#[cfg(feature = "gpu")]
fn adapters() -> Option<Vec<Adapter>> {
    let report = |a: engine::gpu::AdapterReport| Adapter {
        name: a.name,
        kind: a.kind.to_string(),
        backend: a.backend,
        driver: a.driver,
        features: a.features.into_iter().map(str::to_owned).chain(a.matrices).collect(),
        limits: a.limits.into_iter().map(|(name, limit)| (name.to_owned(), limit)).collect(),
    };
    Some(pollster::block_on(engine::gpu::adapters()).into_iter().map(report).collect())
}

#[cfg(not(feature = "gpu"))]
fn adapters() -> Option<Vec<Adapter>> {
    None
}

impl Report {
    fn text(&self) -> String {
        let mut t =
            format!("edge-net {} on {}, {} threads\n\ncpu levels\n", self.version, self.platform, self.cores);
        for level in &self.cpu_levels {
            t += &format!(
                "  {:10} {}\n",
                level.name,
                if level.supported { "supported" } else { "not supported" }
            );
        }
        t += "\ngpu adapters\n";
        match &self.adapters {
            None => t += "  this build has no GPU support\n",
            Some(none) if none.is_empty() => t += "  none\n",
            Some(adapters) => adapters.iter().for_each(|a| a.text(&mut t)),
        }
        let Model { name, state, path, sha256, published, problem } = &self.model;
        t += &format!("\nmodel {name}\n  {state}");
        path.iter().for_each(|p| t += &format!(" {p}"));
        t.push('\n');
        if let (Some(sum), Some(published)) = (sha256, published) {
            t += &format!(
                "  {sum}  {}\n",
                if *published { "the published file" } else { "not the published file" }
            );
        }
        problem.iter().for_each(|p| t += &format!("  {p}\n"));
        t += "\nself-tests\n";
        if self.self_tests.is_empty() {
            t += "  not run: no model\n";
        }
        self.self_tests.iter().for_each(|trial| t += &format!("  {trial}\n"));
        t += &format!("\nchoice\n  {}\n", self.choice.backend.as_deref().unwrap_or("none"));
        self.choice.reasons.iter().for_each(|r| t += &format!("  {r}\n"));
        t += "\ntasks\n";
        self.tasks.iter().for_each(|p| t += &format!("  {:16} {:24} {}\n", p.task, p.runs_on, p.why));
        t
    }
}

impl Adapter {
    fn text(&self, t: &mut String) {
        *t += &format!("  {} ({}, {}, {})\n", self.name, self.kind, self.backend, self.driver);
        *t += &format!("    features: {}\n", self.features.join(", "));
        let limits: Vec<String> = self.limits.iter().map(|(name, limit)| format!("{name} {limit}")).collect();
        *t += &format!("    limits: {}\n", limits.join(", "));
    }
}
