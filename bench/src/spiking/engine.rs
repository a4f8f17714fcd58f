//! Our spiking networks. The requests are those of `bench/peers/spiking_peer.py`.

use std::{fs, num::NonZeroUsize, path::Path, sync::Arc};

use engine::{Backend, Device, Engine, Model, Options};
use models::spiking::{FloatLif, FloatNet, Readout, Spikes, SpikingNet, quantise};
use plan::{Plan, Reset};
use serde_json::{Value, json};

use crate::{
    Error,
    engines::{Fields, Loaded, OURS},
    serve::{Serve, number, text},
    vectors::read,
};

/// The engine of this name.
pub(crate) fn open(name: &str, threads: NonZeroUsize) -> Result<Box<dyn Serve>, Error> {
    let level = match name.strip_prefix(OURS) {
        Some("" | "-gpu") => None,
        Some(level) => Some(crate::level(level.trim_start_matches('-')).map_err(|e| Error::engine(name, e))?),
        None => return Err(Error::engine(name, "runs no network")),
    };
    // A hardware GPU or nothing: a software one says nothing about any.
    let device = if name.ends_with("-gpu") { Device::Auto } else { Device::Cpu };
    let options = Options { device, threads, level, ..Options::default() };
    let engine = pollster::block_on(Engine::open(options)).map_err(|e| Error::engine(name, e))?;
    Ok(Box::new(Runner { name: name.to_owned(), threads: threads.get(), engine, loaded: None }))
}

struct Runner {
    name: String,
    threads: usize,
    engine: Engine,
    loaded: Option<Network>,
}

/// A network and the plans of its input, a share for each thread.
struct Network {
    net: Arc<SpikingNet>,
    model: Model,
    spikes: Vec<Spikes>,
    plans: Vec<Plan>,
}

impl Serve for Runner {
    fn load(&mut self, fields: &Fields) -> Result<Loaded, Error> {
        let wrong = |e: &dyn std::fmt::Display| Error::engine(OURS, e.to_string());
        let net = quantise(&float(fields)?).map_err(|e| wrong(&e))?;
        let net = Arc::new(net);
        let (batch, steps) = (number(fields, "batch")?, number(fields, "steps")?);
        let path = text(fields, "spikes")?;
        let bytes = fs::read(path).map_err(Error::io(path))?;
        let inputs = net.inputs();
        let mut spikes = Vec::new();
        let share = batch.div_ceil(self.threads);
        for first in (0..batch).step_by(share) {
            let count = share.min(batch - first);
            let mut part = Spikes::silent(count, steps, inputs).map_err(|e| wrong(&e))?;
            for (run, step) in (0..count).flat_map(|run| (0..steps).map(move |step| (run, step))) {
                let row = &bytes[(step * batch + first + run) * inputs..][..inputs];
                row.iter().enumerate().filter(|(_, s)| **s != 0).for_each(|(i, _)| part.set(run, step, i));
            }
            spikes.push(part);
        }
        let plans = spikes.iter().map(|s| net.plan(s, Readout::Spikes)).collect::<Result<_, _>>();
        let plans = plans.map_err(|e| wrong(&e))?;
        let model = pollster::block_on(self.engine.add(net.clone(), None)).map_err(|e| wrong(&e))?;
        let backend = self.engine.status(&model).backend;
        let absent = (self.name.ends_with("-gpu") && matches!(backend, Backend::Cpu(_)))
            .then(|| "no hardware GPU passes here".to_owned());
        let setting = format!("{backend}, i8 weights, integers");
        self.loaded = Some(Network { net, model, spikes, plans });
        Ok(Loaded { version: env!("CARGO_PKG_VERSION").into(), setting, absent })
    }

    fn run(&mut self, _: &Fields) -> Result<(), Error> {
        self.forward().map(drop)
    }

    fn answers(&mut self, _: &Fields) -> Result<Value, Error> {
        let outputs = self.forward()?;
        let Some(Network { net, spikes, .. }) = &self.loaded else {
            return Err(Error::engine(&self.name, "has no network"));
        };
        let mut counts = Vec::new();
        for (part, words) in spikes.iter().zip(outputs) {
            let out =
                net.spikes(part.batch(), part.steps(), words).map_err(|e| Error::engine(&self.name, e))?;
            counts.extend(out.counts().chunks_exact(net.outputs()).map(<[u32]>::to_vec));
        }
        Ok(json!({"counts": counts}))
    }
}

impl Runner {
    fn forward(&mut self) -> Result<Vec<Vec<u32>>, Error> {
        let Some(Network { model, plans, .. }) = &mut self.loaded else {
            return Err(Error::engine(&self.name, "has no network"));
        };
        pollster::block_on(self.engine.run(model, plans)).map_err(|e| Error::engine(&self.name, e))
    }
}

/// The float network: after each layer's `[out][in]` matrix come its biases.
fn float(fields: &Fields) -> Result<FloatNet, Error> {
    let list = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let json = |error| Error::Json { what: "load".into(), error };
    let sizes: Vec<usize> = serde_json::from_value(list("layers")).map_err(json)?;
    let beta: f32 = serde_json::from_value(list("beta")).map_err(json)?;
    let threshold: f32 = serde_json::from_value(list("threshold")).map_err(json)?;
    let count = sizes.windows(2).map(|p| (p[0] + 1) * p[1]).sum();
    let values = read(Path::new(text(fields, "weights")?), 1, count)?;
    let mut rest = &values[..];
    let mut layers = Vec::new();
    for pair in sizes.windows(2) {
        let (inputs, outputs) = (pair[0], pair[1]);
        let (weight, after) = rest.split_at(inputs * outputs);
        let (bias, after) = after.split_at(outputs);
        rest = after;
        layers.push(FloatLif {
            inputs,
            outputs,
            weight: weight.to_vec(),
            recurrent: None,
            bias: bias.to_vec(),
            beta: vec![beta; outputs],
            threshold: vec![threshold; outputs],
            reset: Reset::SubtractNext,
        });
    }
    Ok(FloatNet { steps: None, layers })
}
