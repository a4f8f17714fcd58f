use plan::{LIF_POTENTIAL_MAX, Reset};

use super::math::ms16;
use crate::LifArgs;

/// A layer of spiking neurons: one run after another, one step after another, one neuron after another.
pub fn lif(args: LifArgs<'_>) {
    let layer = args.layer;
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    args.out.fill(0);
    for run in 0..args.batch {
        let mut spiked = vec![false; outputs];
        let mut v = vec![0i64; outputs];
        for step in 0..args.steps {
            let at = run * args.steps + step;
            let before = spiked.clone();
            let spikes = &args.spikes[at * inputs / 32..];
            for o in 0..outputs {
                let active = (0..inputs).filter(|i| spikes[i / 32] >> (i % 32) & 1 == 1);
                let mut sum: i64 = active.map(|i| i64::from(layer.q[i * outputs + o])).sum();
                if let Some(recurrent) = &layer.recurrent {
                    let active = (0..outputs).filter(|&j| before[j]);
                    sum += active.map(|j| i64::from(recurrent[j * outputs + o])).sum::<i64>();
                }
                let threshold = i64::from(layer.threshold[o]);
                let mut next =
                    ms16(v[o], i64::from(layer.leak[o])) + (sum << layer.shift) + i64::from(layer.bias[o]);
                match layer.reset {
                    Reset::SubtractNext if before[o] => next -= threshold,
                    Reset::ZeroNext if before[o] => next = 0,
                    _ => {}
                }
                let limit = i64::from(LIF_POTENTIAL_MAX);
                next = next.clamp(-limit, limit);
                spiked[o] = next > threshold;
                match layer.reset {
                    Reset::Subtract if spiked[o] => next -= threshold,
                    Reset::Zero if spiked[o] => next = 0,
                    _ => {}
                }
                v[o] = next;
                args.out[at * outputs / 32 + o / 32] |= u32::from(spiked[o]) << (o % 32);
            }
        }
        for (out, v) in args.potential[run * outputs..][..outputs].iter_mut().zip(v) {
            *out = v as i32;
        }
    }
}
