//! Spike trains, their codes, and plans: well formed for every shape, and read back without the padding.

use models::spiking::{Readout, Spikes, SpikesError, quantise};
use plan::{Reset, Step};
use proptest::prelude::*;

use crate::{
    reference,
    support::{dyadic, sha256, spikes},
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn plans_are_well_formed(
        widths in proptest::collection::vec(1usize..70, 2..6),
        batch in 1usize..4,
        steps in 1usize..5,
        recurrent: bool,
    ) {
        let net = quantise(&dyadic(&widths, recurrent, Reset::Subtract, 5)).unwrap();
        let input = spikes(batch, steps, widths[0], 300, 6);
        let plan = net.plan(&input, Readout::Spikes).unwrap();
        prop_assert_eq!(plan.steps.len(), widths.len() - 1);
        prop_assert_eq!(plan.words(plan.output), batch * steps * net.outputs().div_ceil(32));
        let out = net.spikes(batch, steps, reference::output(&plan, &net)).unwrap();
        prop_assert_eq!((out.batch(), out.steps(), out.neurons()), (batch, steps, *widths.last().unwrap()));
        let plan = net.plan(&input, Readout::Potential).unwrap();
        let potentials = net.potentials(batch, &reference::output(&plan, &net)).unwrap();
        prop_assert_eq!(potentials.len(), batch * net.outputs());
    }

    #[test]
    fn views_of_spikes_agree(neurons in 1usize..100, seed: u64) {
        let trains = spikes(2, 3, neurons, 200, seed);
        let mut counts = vec![0; 2 * neurons];
        let mut total = 0;
        for (run, step) in (0..2).flat_map(|run| (0..3).map(move |step| (run, step))) {
            let active: Vec<usize> = trains.active(run, step).collect();
            let got: Vec<usize> = (0..neurons).filter(|&n| trains.get(run, step, n)).collect();
            prop_assert_eq!(&active, &got);
            active.iter().for_each(|&n| counts[run * neurons + n] += 1);
            total += active.len();
        }
        prop_assert_eq!(trains.counts(), counts);
        prop_assert_eq!(trains.density(), total as f64 / 6.0 / neurons as f64);
        let again = Spikes::from_words(2, 3, neurons, trains.words().to_vec()).unwrap();
        prop_assert_eq!(again, trains);
    }
}

#[test]
fn no_step_writes_what_a_later_step_still_reads() {
    let net = quantise(&dyadic(&[20, 40, 7, 33, 64, 3], false, Reset::Zero, 2)).unwrap();
    let plan = net.plan(&spikes(2, 3, 20, 300, 1), Readout::Spikes).unwrap();
    let lifs: Vec<_> = plan.steps.iter().map(|s| if let Step::Lif(l) = s { *l } else { panic!() }).collect();
    for pair in lifs.windows(2) {
        assert_eq!(pair[0].out, pair[1].spikes);
        assert_ne!(pair[1].out, pair[1].spikes);
    }
    assert!(lifs.iter().take(4).all(|l| l.potential != lifs[4].potential));
}

#[test]
fn the_most_active_neuron_is_the_lowest_of_equals() {
    let mut trains = Spikes::silent(3, 4, 40).unwrap();
    for (run, step, neuron) in [(0, 0, 39), (0, 1, 39), (0, 2, 4), (1, 0, 7), (1, 1, 3)] {
        trains.set(run, step, neuron);
    }
    assert_eq!(trains.most_active(), [39, 3, 0]);
}

#[test]
fn bad_spikes_are_refused() {
    let bits = |words: Vec<u32>| Spikes::from_words(2, 2, 33, words).unwrap_err();
    assert_eq!(bits(vec![0; 7]), SpikesError::Length { what: "words", found: 7, wanted: 8 });
    let padding = SpikesError::Padding { run: 1, step: 0, neuron: 34, neurons: 33 };
    assert_eq!(bits(vec![9, 1, 9, 1, 9, 0b101, 9, 1]), padding);
    assert!(Spikes::from_words(2, 2, 33, vec![9, 1, 9, 0, 9, 1, 9, 1]).is_ok());
    assert!(Spikes::from_words(1, 1, 32, vec![u32::MAX]).is_ok());
    assert_eq!(Spikes::silent(1, 0, 1).unwrap_err(), SpikesError::Empty { what: "steps" });
    assert!(matches!(Spikes::silent(usize::MAX, 2, 1), Err(SpikesError::TooMany { .. })));
    assert!(matches!(Spikes::silent(1 << 13, 1 << 12, 1), Err(SpikesError::TooMany { .. })));
    let short = Spikes::rate_code(&[1; 9], 5, 1, 0, 0).unwrap_err();
    assert_eq!(short, SpikesError::Length { what: "intensities", found: 9, wanted: 5 });
    assert_eq!(Spikes::rate_code(&[], 5, 1, 0, 0).unwrap_err(), SpikesError::Empty { what: "batch" });

    let net = quantise(&dyadic(&[20, 3], false, Reset::Zero, 2)).unwrap();
    let wrong = net.plan(&spikes(1, 1, 21, 300, 1), Readout::Spikes).unwrap_err();
    assert_eq!(wrong, SpikesError::Inputs { found: 21, wanted: 20 });
    assert!(matches!(net.potentials(2, &[0; 63]), Err(SpikesError::Length { wanted: 64, .. })));
}

#[test]
fn the_rate_code_is_pinned_and_fair() {
    let intensities: Vec<u8> = (0..=255).collect();
    let trains = Spikes::rate_code(&intensities, 256, 1000, 5, 77).unwrap();
    let bytes: Vec<u8> = trains.words().iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(sha256(&bytes), RATE_SHA256);
    for (intensity, &count) in trains.counts().iter().enumerate() {
        let (mean, variance) = (1000.0 * intensity as f64 / 256.0, 1000.0 / 4.0);
        assert!((f64::from(count) - mean).abs() < 5.0 * f64::sqrt(variance), "{intensity}: {count}");
    }
    assert_eq!(trains.counts()[0], 0);
    // A sample's spikes do not depend on what else is in the batch; another number or seed gives others.
    let pair =
        Spikes::rate_code(&[intensities.clone(), intensities.clone()].concat(), 256, 1000, 5, 76).unwrap();
    assert_eq!(&pair.words()[8000..], trains.words());
    assert_ne!(&pair.words()[..8000], trains.words());
    assert_ne!(Spikes::rate_code(&intensities, 256, 1000, 6, 77).unwrap(), trains);
}

/// Of the words that `rate_code` of `training/mnist_lif.py` gives, packed.
const RATE_SHA256: &str = "d9175df6c26a8bc5e028c29106e72c9f7a34cfb56c131ce0f55de558d885a2d0";
