//! Tasks of every kind that the network sells, small enough to watch, and never the same twice.

use models::{
    search::Metric,
    spiking::{IntLif, SpikingNet},
};
use plan::Reset;
use tasks::{Bytes, CustomWasm, Embedding, Matrix, NeuralInference, Task, VectorSearch};

/// One task of each kind, by a seed: what it is called, and what it is.
pub fn tasks(seed: u64) -> Vec<(&'static str, Task)> {
    let mut draw = Draw(seed);
    vec![
        ("embedding", embedding(&mut draw)),
        ("vector_search", search(&mut draw)),
        ("neural_inference", spiking(&mut draw)),
        ("custom_wasm", sandbox(&mut draw)),
    ]
}

fn embedding(draw: &mut Draw) -> Task {
    let subjects = ["A cat", "The relay", "My neighbour", "A quiet page", "The tide", "An old processor"];
    let deeds = ["sleeps on", "counts", "waits for", "answers", "remembers", "borrows"];
    let objects =
        ["the warm windowsill.", "every vote.", "seven letters.", "the rain.", "a borrowed minute."];
    let text = |draw: &mut Draw| [draw.pick(&subjects), draw.pick(&deeds), draw.pick(&objects)].join(" ");
    let texts = (0..3).map(|_| text(draw)).collect();
    Task::Embedding(Embedding { texts, model: "minilm".into(), normalize: true })
}

/// Vectors without a pattern, and a query near one of them.
fn search(draw: &mut Draw) -> Task {
    let values: Vec<f32> = (0..ROWS * WIDTH).map(|_| draw.signed()).collect();
    let near = draw.below(ROWS);
    let query = values[near * WIDTH..][..WIDTH].iter().map(|value| value + 0.05).collect();
    Task::VectorSearch(VectorSearch {
        queries: Matrix { width: WIDTH, values: query },
        vectors: Some(Matrix { width: WIDTH, values }),
        k: 5,
        metric: Metric::Cosine,
        ..VectorSearch::default()
    })
}

/// A layer of leaky neurons with weights by chance.
fn spiking(draw: &mut Draw) -> Task {
    let layer = IntLif {
        inputs: INPUTS,
        outputs: OUTPUTS,
        q: (0..INPUTS * OUTPUTS).map(|_| (draw.below(255) as i32 - 127) as i8).collect(),
        recurrent: None,
        shift: 0,
        leak: vec![58_982; OUTPUTS],
        threshold: vec![400; OUTPUTS],
        bias: vec![4; OUTPUTS],
        unit: vec![1.0; OUTPUTS],
        reset: Reset::Subtract,
    };
    let network = SpikingNet::write(None, &[layer]).expect("a layer within all bounds");
    let inputs = (0..RUNS * INPUTS).map(|_| (draw.signed() + 1.0) / 2.0).collect();
    Task::NeuralInference(NeuralInference {
        network: Some(Bytes(network)),
        inputs: Some(Matrix { width: INPUTS, values: inputs }),
        steps: 50,
        seed: draw.next() as u32,
        ..NeuralInference::default()
    })
}

/// A module that turns its input round and sums its bytes.
fn sandbox(draw: &mut Draw) -> Task {
    let input = (0..256).map(|_| draw.below(256) as u8).collect();
    Task::CustomWasm(CustomWasm {
        module: Some(Bytes(REVERSE.to_vec())),
        input: Bytes(input),
        max_fuel: 1_000_000,
        ..CustomWasm::default()
    })
}

/// SplitMix64 (Steele, Lea, Flood 2014): for examples, not for secrets.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// From -1 to 1.
    fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// `tests/sandbox/reverse.wat`, assembled.
const REVERSE: &[u8] = include_bytes!("demo/reverse.wasm");
const ROWS: usize = 1000;
const WIDTH: usize = 64;
const INPUTS: usize = 64;
const OUTPUTS: usize = 10;
const RUNS: usize = 8;

#[cfg(test)]
mod tests {
    use tasks::Tier;

    use super::*;
    use crate::{
        host::LocalHost,
        machine::MachineOptions,
        model::Store,
        net::request::{SubmitOptions, request},
    };

    #[test]
    fn every_task_is_in_order_and_seeds_differ() {
        for (name, task) in tasks(7) {
            assert_eq!(task.name(), name);
            let checked = task.check(Tier::Public).expect(name);
            let request = request(&checked, &SubmitOptions::default()).expect(name);
            assert!(request.quote().expect(name).most_ucredits <= 20_000_000, "{name} is cheap");
        }
        assert_ne!(tasks(7), tasks(8));
        assert_eq!(tasks(7), tasks(7));
    }

    #[test]
    fn results_fit_what_they_may_have() {
        let options = MachineOptions { device: crate::Device::Cpu, ..MachineOptions::default() };
        let store = Store::from_env().expect("folders");
        let mut host = LocalHost::open(&options, store, Box::new(())).expect("a CPU");
        // Without the model's file: the embedding has a test where the model is.
        for (name, task) in tasks(9).into_iter().filter(|(name, _)| *name != "embedding") {
            let checked = task.check(Tier::Public).expect(name);
            let most = request(&checked, &SubmitOptions::default()).expect(name).max_result_bytes;
            let bytes = host.run(&checked).expect(name).to_bytes();
            assert!(bytes.len() <= most as usize, "{name}: {} bytes, {most} allowed", bytes.len());
        }
    }

    #[test]
    fn the_module_is_the_example() {
        let text = include_str!("../../../../tests/sandbox/reverse.wat");
        assert_eq!(wat::parse_str(text).expect("the example is valid"), REVERSE);
    }
}
