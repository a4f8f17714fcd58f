use kernels_cpu::{Kernels, LifArgs, oracle};
use plan::{LIF_INPUT_MAX, LIF_LEAK_ONE, LIF_POTENTIAL_MAX, LifWeight, Reset};

use crate::inputs::{Difference, Random, same};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    let mut compare = |case: &Case| compare(kernels, case).map(|()| cases += 1);
    for reset in RESETS {
        for recurrent in [false, true] {
            for (inputs, outputs) in [(32, 32), (64, 96), (96, 64), (64, 160)] {
                for spikes in [Spikes::Percent(20), Spikes::Ramp] {
                    compare(&Case { inputs, outputs, reset, recurrent, spikes, ..USUAL })?;
                }
            }
            for batch in [0, 1, 3, 7] {
                for steps in [0, 1, 2, 33] {
                    compare(&Case { batch, steps, reset, recurrent, ..USUAL })?;
                }
            }
            for spikes in SPIKES {
                for q in [(-128, 127), (-128, -128), (127, 127)] {
                    compare(&Case { spikes, q, reset, recurrent, ..USUAL })?;
                }
            }
            for leak in [0, 1, LIF_LEAK_ONE - 1, LIF_LEAK_ONE] {
                for threshold in [1, LIF_POTENTIAL_MAX] {
                    compare(&Case { leak: (leak, leak), threshold, reset, recurrent, ..USUAL })?;
                    // The potential saturates, upwards or downwards, within a few steps.
                    for q in [(127, 127), (-128, -128), (-128, 127)] {
                        let bias = LIF_INPUT_MAX;
                        let case = Case { q, bias, shift: 13, ..USUAL };
                        compare(&Case { leak: (leak, leak), threshold, reset, recurrent, ..case })?;
                    }
                }
            }
        }
    }
    // Sums past 16 bits, lists past what is worked on at once, and runs enough for dense steps of recurrent layers.
    for (q, percent) in [((-128, -128), 49), ((127, 127), 49), ((127, 127), 51), ((-128, 127), 10)] {
        let case = Case { spikes: Spikes::Percent(percent), q, ..USUAL };
        compare(&Case { inputs: 1024, outputs: 32, steps: 40, ..case })?;
        compare(&Case { inputs: 1024, outputs: 32, batch: 9, recurrent: true, ..case })?;
        compare(&Case { inputs: 32, outputs: 576, batch: 2, recurrent: true, ..case })?;
    }
    compare(&Case { inputs: 32, outputs: 1024, batch: 1, ..USUAL })?;
    Ok(cases)
}

const RESETS: [Reset; 4] = [Reset::Subtract, Reset::Zero, Reset::SubtractNext, Reset::ZeroNext];

const SPIKES: [Spikes; 10] = [
    Spikes::Percent(0),
    Spikes::Percent(1),
    Spikes::Percent(10),
    Spikes::Percent(49),
    Spikes::Percent(51),
    Spikes::Percent(90),
    Spikes::Percent(100),
    Spikes::Ramp,
    Spikes::Edge(0),
    Spikes::Edge(31),
];

const USUAL: Case = Case {
    inputs: 64,
    outputs: 96,
    batch: 3,
    steps: 9,
    spikes: Spikes::Percent(20),
    q: (-128, 127),
    shift: 4,
    leak: (0, LIF_LEAK_ONE),
    threshold: 4000,
    bias: 100,
    reset: Reset::Subtract,
    recurrent: false,
};

/// What comes in.
#[derive(Clone, Copy, Debug)]
enum Spikes {
    /// This part of all bits.
    Percent(i64),
    /// From none to all within every eleven steps, so that neighbouring steps are read in different ways.
    Ramp,
    /// This bit of one word of a step, of another word in the next.
    Edge(u32),
}

impl Spikes {
    fn words(self, case: &Case, random: &mut Random) -> Vec<u32> {
        let step_words = case.inputs / 32;
        let word = |at: usize| {
            let percent = match self {
                Spikes::Percent(percent) => percent,
                Spikes::Ramp => (at / step_words % 11) as i64 * 10,
                Spikes::Edge(bit) => {
                    let hit = at % step_words == at / step_words % step_words;
                    return u32::from(hit) << bit;
                }
            };
            (0..32).fold(0, |word, bit| word | u32::from(random.within(0, 99) < percent) << bit)
        };
        (0..case.batch * case.steps * step_words).map(word).collect()
    }
}

/// A layer and its input. Bounds are of values drawn for each neuron.
#[derive(Clone, Copy, Debug)]
struct Case {
    inputs: usize,
    outputs: usize,
    batch: usize,
    steps: usize,
    spikes: Spikes,
    q: (i64, i64),
    shift: u32,
    leak: (u32, u32),
    /// The highest, and that of the first neuron.
    threshold: i32,
    /// The largest magnitude.
    bias: i64,
    reset: Reset,
    recurrent: bool,
}

impl Case {
    fn layer(&self, random: &mut Random) -> LifWeight<'static> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let mut threshold: Vec<i32> = random.values(outputs, 1, self.threshold.into());
        threshold[0] = self.threshold;
        let layer = LifWeight {
            inputs,
            outputs,
            q: random.values(inputs * outputs, self.q.0, self.q.1).into(),
            recurrent: self.recurrent.then(|| random.values(outputs * outputs, self.q.0, self.q.1).into()),
            shift: self.shift,
            leak: random.values(outputs, self.leak.0.into(), self.leak.1.into()).into(),
            threshold: threshold.into(),
            bias: random.values(outputs, -self.bias, self.bias).into(),
            reset: self.reset,
        };
        assert_eq!(layer.defect(), None, "a case outside the contract: {self:?}");
        layer
    }
}

fn compare(kernels: &dyn Kernels, case: &Case) -> Result<(), Difference> {
    let mut random = Random(case.inputs as u64 + case.outputs as u64);
    let layer = case.layer(&mut random);
    let spikes = case.spikes.words(case, &mut random);
    let packed = kernels.pack_lif(&layer);
    let (batch, steps, outputs) = (case.batch, case.steps, case.outputs);
    let run = |run: &dyn Fn(LifArgs<'_>)| {
        let mut out = vec![7; batch * steps * outputs / 32];
        let mut potential = vec![7; batch * outputs];
        let (spikes, layer, packed) = (&spikes, &layer, &packed);
        run(LifArgs { batch, steps, spikes, layer, packed, out: &mut out, potential: &mut potential });
        (out, potential)
    };
    let (out, potential) = run(&|args| kernels.lif(args));
    let (wanted_out, wanted_potential) = run(&|args| oracle::lif(args));
    same(&format!("spikes of {case:?}"), &out, &wanted_out)?;
    same(&format!("potential of {case:?}"), &potential, &wanted_potential)
}
