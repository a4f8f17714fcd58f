//! The integer network run as a person would by hand, from the definition of [`plan::Lif`] alone.

use plan::{LifWeight, Plan, Reset, Step, Weight, Weights};

/// All buffers of a plan after its last step.
pub(crate) fn run(plan: &Plan, weights: &dyn Weights) -> Vec<Vec<u32>> {
    plan.check(weights).unwrap();
    let mut buffers: Vec<Vec<u32>> = plan.buffers.iter().map(|&words| vec![0xdead_beef; words]).collect();
    plan.uploads.iter().for_each(|upload| buffers[upload.buffer.0].clone_from(&upload.words));
    for step in &plan.steps {
        let Step::Lif(lif) = step else { panic!("{step:?} in a spiking network") };
        let Weight::Lif(layer) = weights.get(lif.layer) else { panic!("weight {:?}", lif.layer) };
        let (rows_in, rows_out) = (lif.steps * lif.inputs / 32, lif.steps * lif.outputs / 32);
        for run in 0..lif.batch {
            let input = buffers[lif.spikes.0][run * rows_in..][..rows_in].to_vec();
            let (out, potential) = layer_run(&layer, lif.steps, &input);
            buffers[lif.out.0][run * rows_out..][..rows_out].copy_from_slice(&out);
            buffers[lif.potential.0][run * lif.outputs..][..lif.outputs].copy_from_slice(&potential);
        }
    }
    buffers
}

/// The words a plan gives.
pub(crate) fn output(plan: &Plan, weights: &dyn Weights) -> Vec<u32> {
    run(plan, weights).swap_remove(plan.output.0)
}

fn layer_run(layer: &LifWeight<'_>, steps: usize, input: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    let mut v = vec![0i32; outputs];
    let mut before = vec![0u32; outputs / 32];
    let mut out = Vec::new();
    for step in 0..steps {
        let mut sums = vec![0i32; outputs];
        add_rows(&mut sums, &layer.q, &input[step * inputs / 32..][..inputs / 32]);
        layer.recurrent.iter().for_each(|recurrent| add_rows(&mut sums, recurrent, &before));
        let mut spikes = vec![0u32; outputs / 32];
        for (o, v) in v.iter_mut().enumerate() {
            let (threshold, spiked) = (layer.threshold[o], bit(&before, o));
            let kept = (i64::from(*v) * i64::from(layer.leak[o])).div_euclid(1 << 16);
            let mut next = kept + (i64::from(sums[o]) << layer.shift) + i64::from(layer.bias[o]);
            if spiked && layer.reset == Reset::SubtractNext {
                next -= i64::from(threshold);
            } else if spiked && layer.reset == Reset::ZeroNext {
                next = 0;
            }
            *v = next.clamp(-(1 << 29), 1 << 29) as i32;
            if *v > threshold {
                spikes[o / 32] |= 1 << (o % 32);
                match layer.reset {
                    Reset::Subtract => *v -= threshold,
                    Reset::Zero => *v = 0,
                    Reset::SubtractNext | Reset::ZeroNext => {}
                }
            }
        }
        out.extend_from_slice(&spikes);
        before = spikes;
    }
    (out, v.into_iter().map(i32::cast_unsigned).collect())
}

fn add_rows(sums: &mut [i32], codes: &[i8], spikes: &[u32]) {
    for (i, row) in codes.chunks_exact(sums.len()).enumerate().filter(|(i, _)| bit(spikes, *i)) {
        debug_assert!(i < 32 * spikes.len());
        sums.iter_mut().zip(row).for_each(|(sum, &code)| *sum += i32::from(code));
    }
}

fn bit(words: &[u32], at: usize) -> bool {
    words[at / 32] >> (at % 32) & 1 == 1
}
