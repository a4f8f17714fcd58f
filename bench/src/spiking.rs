//! Spiking networks, forward only: leaky integrate-and-fire layers on random input spikes.

mod engine;

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

pub(crate) use self::engine::open;
use crate::{
    Error,
    contest::{self, Case, Definition, Facts},
    engines::{self, Fields, OURS, root},
    peaks,
    vectors::write,
};

/// Measures both sizes, prints tables, and records them where asked. Each size has engines of its own, which hold its
/// network.
pub(crate) fn run(args: &contest::Args) -> Result<(), Error> {
    let [small, large] = SIZES;
    let dot = peaks::dot_on(kernels_cpu::Level::detect(), args.threads.get());
    let mut record = contest::measure(&mut Net::make(small, dot)?, args)?;
    record.rows.extend(contest::measure(&mut Net::make(large, dot)?, args)?.rows);
    record.publish(args)
}

struct Net {
    layers: &'static [usize],
    weights: PathBuf,
    spikes: PathBuf,
    /// This machine's i8 operations a second.
    dot: Option<f64>,
    /// Counts of the first engine, ours.
    counts: Option<Vec<Vec<f64>>>,
}

impl Net {
    /// Weights uniform within the bound of torch's own, three times as wide so that hidden layers spike about as often
    /// as inputs; spikes independent.
    fn make(layers: &'static [usize], dot: Option<f64>) -> Result<Net, Error> {
        let mut random = Random(20_261_121);
        let name: Vec<String> = layers.iter().map(usize::to_string).collect();
        let folder = root().join("target/bench");
        let weights = folder.join(format!("spiking-{}.f32", name.join("-")));
        let spikes = folder.join(format!("spiking-{}.u8", name.join("-")));
        let mut values = Vec::new();
        for pair in layers.windows(2) {
            let bound = 3.0 / (pair[0] as f32).sqrt();
            values.extend((0..pair[0] * pair[1]).map(|_| random.within(bound)));
            values.extend((0..pair[1]).map(|_| random.within(bound / 3.0)));
        }
        write(&weights, &values)?;
        let bits = (0..STEPS * BATCH * layers[0]).map(|_| u8::from(random.word() % 100 < INPUT_PERCENT));
        fs::write(&spikes, bits.collect::<Vec<u8>>()).map_err(Error::io(spikes.display().to_string()))?;
        Ok(Net { layers, weights, spikes, dot, counts: None })
    }
}

impl Definition for Net {
    fn name(&self) -> &'static str {
        BENCH
    }

    fn subject(&self) -> Fields {
        let subject = json!({"batch": BATCH, "steps": STEPS, "input spikes, percent": INPUT_PERCENT});
        subject.as_object().cloned().unwrap_or_default()
    }

    fn cases(&self) -> Vec<Case> {
        let name: Vec<String> = self.layers.iter().map(usize::to_string).collect();
        let case = Case::new(name.join("-"), json!({}), STEPS as f64, "steps of the batch");
        // An event-driven kernel may pass it: it adds only what spikes.
        let macs: usize = self.layers.windows(2).map(|p| p[0] * p[1]).sum();
        let dense = self.dot.map(|ops| ops / (2 * macs * BATCH) as f64);
        let ours = [OURS, "edge-net-gpu"].into_iter();
        vec![
            case.by(ours.chain(engines::peers(BENCH)))
                .peak(dense, "a dense i8 product, of which spikes need a part"),
        ]
    }

    fn load(&self, _: &str) -> Fields {
        let load = json!({
            "layers": self.layers, "batch": BATCH, "steps": STEPS, "beta": 0.9, "threshold": 1.0,
            "weights": self.weights, "spikes": self.spikes,
        });
        load.as_object().cloned().unwrap_or_default()
    }

    /// The neurons of torch and snnTorch are ours up to the rounding of weights to i8: their outputs spike alike.
    fn check(&mut self, _: &Case, engine: &str, answer: &Value) -> Result<Facts, Error> {
        let counts: Vec<Vec<f64>> = serde_json::from_value(answer["counts"].clone())
            .map_err(|error| Error::Json { what: format!("answer of {engine}"), error })?;
        let outputs = self.layers.last().copied().unwrap_or(0);
        if counts.len() != BATCH || counts.iter().any(|run| run.len() != outputs) {
            return Err(Error::Wrong(format!("{engine} gives counts of another shape")));
        }
        let spikes: f64 = counts.iter().flatten().sum();
        let rate = spikes / (BATCH * STEPS * outputs) as f64;
        let Some(ours) = &self.counts else {
            self.counts = Some(counts);
            return Ok(Facts::from([("output spike rate", rate)]));
        };
        let apart: f64 = ours.iter().flatten().zip(counts.iter().flatten()).map(|(a, b)| (a - b).abs()).sum();
        let apart = apart / spikes.max(1.0);
        if engine.starts_with(OURS) && apart > 0.0 {
            return Err(Error::Wrong(format!("{engine} and the CPU disagree")));
        }
        if LIKE_OURS.contains(&engine) && apart > MOST_APART {
            return Err(Error::Wrong(format!("{engine} and ours differ in {apart} of the output spikes")));
        }
        Ok(Facts::from([("output spike rate", rate), ("share of spikes apart", apart)]))
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    fn within(&mut self, bound: f32) -> f32 {
        (f64::from(self.word()) / f64::from(u32::MAX) * 2.0 - 1.0) as f32 * bound
    }
}

const BENCH: &str = "spiking";
const SIZES: [&[usize]; 2] = [&[784, 1000, 10], &[2312, 2048, 2048, 10]];
const BATCH: usize = 128;
const STEPS: usize = 100;
const INPUT_PERCENT: u32 = 10;
/// Peers whose neurons follow our equations.
const LIKE_OURS: [&str; 2] = ["torch", "snntorch"];
const MOST_APART: f64 = 0.2;
