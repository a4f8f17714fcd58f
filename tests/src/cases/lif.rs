//! Spiking layers at the edges of their potentials.

use plan::{LIF_INPUT_MAX, LIF_LEAK_ONE, LIF_POTENTIAL_MAX, Lif, LifWeight, Reset, Step, Weight, WeightId};

use super::{Builder, Case};
use crate::lcg::Lcg;

pub(super) fn cases() -> Vec<Case> {
    let shapes = [
        Shape { batch: 1, steps: 1, inputs: 32, outputs: 32, recurrent: false },
        Shape { batch: 2, steps: 7, inputs: 64, outputs: 32, recurrent: true },
        Shape { batch: 3, steps: 4, inputs: 32, outputs: 544, recurrent: false },
        Shape { batch: 2, steps: 5, inputs: 32, outputs: 608, recurrent: true },
        Shape { batch: 33, steps: 2, inputs: 32, outputs: 64, recurrent: false },
        Shape { batch: 35, steps: 3, inputs: 32, outputs: 32, recurrent: true },
        Shape { batch: 1, steps: 20, inputs: 288, outputs: 96, recurrent: false },
        Shape { batch: 2, steps: 0, inputs: 32, outputs: 32, recurrent: true },
        // As many steps as a software adapter is trusted with, if everything spikes.
        Shape { batch: 1, steps: 1480, inputs: 32, outputs: 32, recurrent: false },
    ];
    let mut cases = Vec::new();
    for (s, shape) in shapes.into_iter().enumerate() {
        for (n, reset) in
            [Reset::Subtract, Reset::Zero, Reset::SubtractNext, Reset::ZeroNext].into_iter().enumerate()
        {
            for (e, edge) in [Edge::Moderate, Edge::Saturated, Edge::Silent].into_iter().enumerate() {
                let mut lcg = Lcg::new((s * 100 + n * 10 + e) as u64);
                let layer = layer(&shape, reset, edge, &mut lcg);
                let spikes = spikes(&shape, edge, &mut lcg);
                for potential in [false, true] {
                    cases.push(case(&shape, layer.clone(), spikes.clone(), edge, potential));
                }
            }
        }
    }
    cases
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    batch: usize,
    steps: usize,
    inputs: usize,
    outputs: usize,
    recurrent: bool,
}

#[derive(Clone, Copy, Debug)]
enum Edge {
    /// Some neurons spike now and then.
    Moderate,
    /// Inputs as large as allowed, of one sign a neuron: potentials meet their bounds.
    Saturated,
    /// Nothing comes in, everything leaks.
    Silent,
}

fn case(shape: &Shape, layer: LifWeight<'static>, spikes: Vec<u32>, edge: Edge, potential: bool) -> Case {
    assert_eq!(layer.defect(), None, "{shape:?}, {edge:?}");
    let Shape { batch, steps, inputs, outputs, .. } = *shape;
    let name = format!("{shape:?}, {:?}, {edge:?}, potential {potential}", layer.reset);
    let mut b = Builder::default();
    let spikes = b.input(spikes);
    let (out, left) = (b.output(batch * steps * outputs / 32), b.output(batch * outputs));
    let step = Lif { batch, steps, inputs, outputs, spikes, layer: WeightId(0), out, potential: left };
    b.case(name, Step::Lif(step), if potential { left } else { out }, vec![Weight::Lif(layer)])
}

fn layer(shape: &Shape, reset: Reset, edge: Edge, lcg: &mut Lcg) -> LifWeight<'static> {
    let Shape { inputs, outputs, recurrent, .. } = *shape;
    let most = 128 * (inputs + if recurrent { outputs } else { 0 }) as i64;
    let mut codes = |rows: usize| -> Vec<i8> {
        let code = |i: usize| match edge {
            Edge::Saturated => {
                if i % outputs % 2 == 0 {
                    127
                } else {
                    -128
                }
            }
            _ => lcg.within(-128..=127) as i8,
        };
        (0..rows * outputs).map(code).collect()
    };
    let (q, fed) = (codes(inputs), recurrent.then(|| codes(outputs)));
    let shift = match edge {
        Edge::Saturated => (LIF_INPUT_MAX / most).ilog2().min(16),
        _ => 6,
    };
    let leaks = [0, 1, LIF_LEAK_ONE - 1, LIF_LEAK_ONE, 60_000];
    let thresholds = [1, LIF_POTENTIAL_MAX, LIF_POTENTIAL_MAX - 1, 5000, 1 << 20];
    let biases = [0, LIF_INPUT_MAX as i32, -(LIF_INPUT_MAX as i32), 700, -3];
    // 5 neurons share no factor with 4 and 32, so every lane meets every edge.
    LifWeight {
        inputs,
        outputs,
        q: q.into(),
        recurrent: fed.map(Into::into),
        shift,
        leak: (0..outputs).map(|o| leaks[o % 5]).collect(),
        threshold: (0..outputs).map(|o| thresholds[o / 2 % 5]).collect(),
        bias: match edge {
            Edge::Saturated => (0..outputs).map(|o| if o % 2 == 0 { biases[1] } else { biases[2] }).collect(),
            Edge::Moderate => (0..outputs).map(|o| [0, 700, -3][o / 3 % 3]).collect(),
            Edge::Silent => (0..outputs).map(|o| biases[o / 3 % 5]).collect(),
        },
        reset,
    }
}

fn spikes(shape: &Shape, edge: Edge, lcg: &mut Lcg) -> Vec<u32> {
    let words = shape.batch * shape.steps * shape.inputs / 32;
    let word = |_| match edge {
        Edge::Moderate => lcg.word() & lcg.word(),
        Edge::Saturated => u32::MAX,
        Edge::Silent => 0,
    };
    (0..words).map(word).collect()
}
