//! The quantiser: exact where the float network is, within half a code elsewhere, in bounds always.

use models::spiking::{FloatLif, FloatNet, Readout, SpikingError, SpikingNet, quantise};
use plan::{LIF_POTENTIAL_MAX, LifWeight, Reset, Weight, WeightId, Weights};
use proptest::prelude::*;

use crate::{
    reference,
    support::{Lcg, RESETS, dyadic, spikes},
};

/// Networks whose every potential both arithmetics hold exactly: equal spikes, equal potentials.
#[test]
fn exact_networks_stay_exact() {
    let mut spiked = [0; 4];
    for (seed, (n, reset)) in (0..40).zip(RESETS.into_iter().enumerate().cycle()) {
        let float = dyadic(&[40, 35, 12], seed % 3 == 0, reset, seed);
        let (wanted, found) = both(&float, seed);
        assert_eq!(found, wanted, "{reset:?}, seed {seed}");
        spiked[n] += wanted.0.iter().map(|w| w.count_ones()).sum::<u32>();
    }
    assert!(spiked.iter().all(|&s| s > 500), "{spiked:?} spikes show nothing");
}

#[test]
fn a_planted_fault_is_caught() {
    for (n, reset) in RESETS.into_iter().enumerate() {
        let float = dyadic(&[40, 35, 12], true, reset, 9);
        let (wanted, _) = both(&float, 9);
        let mut other_reset = float.clone();
        other_reset.layers[0].reset = RESETS[(n + 1) % 4];
        let mut transposed = float.clone();
        let recurrent = transposed.layers[0].recurrent.as_mut().unwrap();
        (0..35 * 35).filter(|at| at / 35 < at % 35).for_each(|at| recurrent.swap(at, at % 35 * 35 + at / 35));
        let mut shifted = float.clone();
        shifted.layers[0].weight.rotate_left(1);
        for fault in [other_reset, transposed, shifted] {
            assert_ne!(both(&fault, 9).1, wanted, "{reset:?}");
        }
    }
}

/// Words of spikes and potentials of the last layer.
type Outcome = (Vec<u32>, Vec<f32>);

/// The last layer, by float and by integer arithmetic.
fn both(float: &FloatNet, seed: u64) -> (Outcome, Outcome) {
    let input = spikes(3, 8, float.layers[0].inputs, 250, seed);
    let run = float.forward(&input).unwrap();
    let net = quantise(float).unwrap();
    let plan = net.plan(&input, Readout::Spikes).unwrap();
    let out = net.spikes(3, 8, reference::output(&plan, &net)).unwrap();
    let plan = net.plan(&input, Readout::Potential).unwrap();
    let potentials = net.potentials(3, &reference::output(&plan, &net)).unwrap();
    let found = (out.words().to_vec(), net.potential_values(&potentials));
    ((run.spikes.words().to_vec(), run.potential), found)
}

#[test]
fn an_infinite_threshold_is_never_exceeded() {
    let mut float = dyadic(&[64, 3], false, Reset::Subtract, 1);
    let layer = &mut float.layers[0];
    layer.weight.fill(1.0);
    layer.beta.fill(1.0);
    layer.bias.fill(1000.0);
    layer.threshold = vec![f32::INFINITY, 1.0, f32::INFINITY];
    let net = quantise(&float).unwrap();
    let plan = net.plan(&spikes(1, 2000, 64, 900, 1), Readout::Spikes).unwrap();
    let out = net.spikes(1, 2000, reference::output(&plan, &net)).unwrap();
    assert_eq!(out.counts(), [0, 2000, 0]);
    assert_eq!(lif(&net, 0).threshold[0], LIF_POTENTIAL_MAX);
}

#[test]
fn wide_layers_get_fewer_fractional_bits() {
    let wide = |inputs: usize, recurrent: bool| {
        let float = dyadic(&[inputs, 1], recurrent, Reset::Zero, 1);
        lif(&quantise(&float).unwrap(), 0).shift
    };
    let shifts = [(64, false), (8192, false), (8192, true), (8224, false), (32768, false)];
    assert_eq!(shifts.map(|(inputs, recurrent)| wide(inputs, recurrent)), [8, 8, 7, 7, 6]);
}

#[test]
fn invalid_networks_are_refused() {
    let good = dyadic(&[4, 3], true, Reset::Zero, 1);
    let cases: [fn(&mut FloatLif); 7] = [
        |l| l.weight[5] = f32::INFINITY,
        |l| l.beta[0] = -0.1,
        |l| l.beta[0] = f32::NAN,
        |l| l.threshold[1] = f32::NAN,
        |l| l.bias[2] = f32::NEG_INFINITY,
        |l| l.weight.truncate(11),
        |l| l.recurrent = Some(vec![]),
    ];
    for (n, damage) in cases.into_iter().enumerate() {
        let mut net = good.clone();
        damage(&mut net.layers[0]);
        let error = quantise(&net).err();
        let wanted = matches!(error, Some(SpikingError::Element { .. } | SpikingError::Shape { .. }));
        assert!(wanted, "case {n}: {error:?}");
    }
    assert!(quantise(&FloatNet { steps: None, layers: vec![] }).is_err());
}

fn lif(net: &SpikingNet, layer: usize) -> LifWeight<'_> {
    match net.get(WeightId(layer)) {
        Weight::Lif(layer) => layer,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Any finite numbers quantise, every code within half a step of its weight.
    #[test]
    fn codes_are_within_half_a_step(
        exponents in proptest::array::uniform3(-40i32..37),
        seed: u64,
        recurrent: bool,
        zero: bool,
    ) {
        let mut random = Lcg(seed);
        let (inputs, outputs) = (7, 4);
        let mut value = |e: i32| if zero { 0.0 } else { random.signed_unit() * 10f32.powi(e) };
        let weight: Vec<f32> = (0..inputs * outputs).map(|_| value(exponents[0])).collect();
        let layer = FloatLif {
            inputs,
            outputs,
            weight: weight.clone(),
            recurrent: recurrent.then(|| (0..outputs * outputs).map(|_| value(exponents[0])).collect()),
            bias: (0..outputs).map(|_| value(exponents[1])).collect(),
            beta: vec![0.0, 0.3, 0.999, 1.0],
            threshold: (0..outputs).map(|_| value(exponents[2]).abs().max(f32::MIN_POSITIVE)).collect(),
            reset: Reset::SubtractNext,
        };
        let net = quantise(&FloatNet { steps: None, layers: vec![layer.clone()] }).unwrap();
        let int = lif(&net, 0);
        prop_assert_eq!(int.defect(), None);
        let plan = net.plan(&spikes(1, 1, inputs, 0, 1), Readout::Potential).unwrap();
        let unit = {
            // A silent step leaves the bias alone, which gives the value of a unit where there is a bias.
            let potentials = net.potentials(1, &reference::output(&plan, &net)).unwrap();
            prop_assert_eq!(&potentials, &int.bias[..outputs].to_vec());
            net.potential_values(&[1; 4])
        };
        for o in 0..outputs {
            let step = f64::from(unit[o]) * f64::from(1 << int.shift);
            for i in 0..inputs {
                let error = (f64::from(int.q[i * int.outputs + o]) * step - f64::from(weight[o * inputs + i])).abs();
                // A unit below the smallest f32 is not given exactly.
                prop_assert!(error <= 0.501 * step || unit[o] == f32::MIN_POSITIVE, "{error} of {step}");
            }
            let threshold = f64::from(int.threshold[o]) * f64::from(unit[o]);
            let wanted = f64::from(layer.threshold[o]);
            let tolerance = f64::from(unit[o]) + 1e-6 * wanted;
            prop_assert!((threshold - wanted).abs() <= tolerance || unit[o] == f32::MIN_POSITIVE);
            prop_assert!((f64::from(int.leak[o]) / 65536.0 - f64::from(layer.beta[o])).abs() <= 0.5 / 65536.0);
        }
    }
}
