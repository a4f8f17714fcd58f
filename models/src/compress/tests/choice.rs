use plan::Parallel;

use super::*;

fn table() -> Vec<f32> {
    clusters(600, 48)
}

fn chosen(target: Target) -> Result<Choice, ChoiceError> {
    choose(Vectors::new(&table(), 48).unwrap(), target, Metric::L2, Machine::PLAIN)
}

#[test]
fn the_smallest_that_reaches_the_recall_is_taken() {
    for wanted in [0.0, 0.5, 0.9] {
        let choice = chosen(Target::Recall(wanted)).unwrap();
        assert!(choice.measured.is_sorted_by(|a, b| a.bytes_per_vector <= b.bytes_per_vector));
        let first = choice.measured.iter().find(|m| m.recall >= wanted).unwrap();
        assert_eq!(choice.chosen, *first);
        assert_eq!(choice.compressed.codec(), choice.chosen.codec);
        assert_eq!(choice.compressed.bytes_per_vector(), choice.chosen.bytes_per_vector);
        assert_eq!(choice.compressed.rows(), 600);
    }
    let recall_of = |measured: &[Measured], codec| measured.iter().find(|m| m.codec == codec).unwrap().recall;
    let all = chosen(Target::Recall(0.0)).unwrap().measured;
    assert!(all.len() == 8 && recall_of(&all, Codec::Int8) > 0.97);
    assert!(recall_of(&all, Codec::Int8) > recall_of(&all, Codec::Int4));
    assert!(recall_of(&all, Codec::Int4) > recall_of(&all, Codec::Binary));
}

#[test]
fn the_best_within_the_bytes_is_taken() {
    for bytes in [20.0, 40.0, 60.0, 1000.0] {
        let choice = chosen(Target::BytesPerVector(bytes)).unwrap();
        assert!(
            choice.measured.iter().all(|m| m.bytes_per_vector <= bytes && m.recall <= choice.chosen.recall)
        );
    }
    assert_eq!(chosen(Target::BytesPerVector(1000.0)).unwrap().compressed.codec(), Codec::Int8);
}

#[test]
fn a_miss_carries_the_nearest() {
    let Err(ChoiceError::Bytes { smallest, bytes, .. }) = chosen(Target::BytesPerVector(2.0)) else {
        panic!("nothing takes two bytes");
    };
    assert!(bytes > 2.0 && smallest.container_bytes(48, 600) as f64 / 600.0 == bytes);
    let Err(ChoiceError::Recall { best, measured, .. }) = chosen(Target::Recall(1.0)) else {
        panic!("no codec is perfect on noise");
    };
    assert!(best.codec == Codec::Int8 && measured.iter().all(|m| m.recall <= best.recall));
}

#[test]
fn bad_targets_and_tables_are_named() {
    for target in [Target::Recall(1.5), Target::Recall(f64::NAN), Target::BytesPerVector(0.0)] {
        assert!(matches!(chosen(target), Err(ChoiceError::Target { .. })), "{target:?}");
    }
    let choose_of = |values: &[f32]| {
        choose(Vectors::new(values, 4).unwrap(), Target::Recall(0.1), Metric::Dot, Machine::PLAIN)
    };
    let few = choose_of(&noise(1, 4 * 31)).unwrap_err();
    assert_eq!(few, ChoiceError::TooFew { found: 31 });
    assert!(choose_of(&noise(1, 4 * 32)).is_ok());
    let mut values = noise(1, 4 * 40);
    values[9] = f32::NAN;
    let bad = CompressError::NotFinite { row: 2, column: 1 };
    assert_eq!(choose_of(&values).unwrap_err(), ChoiceError::Vectors(bad));
}

/// Runs pieces from the last to the first, some of them twice.
struct Backwards;

impl Parallel for Backwards {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).rev().for_each(work);
        (0..count.min(2)).for_each(work);
    }
}

#[test]
fn the_order_of_work_changes_nothing() {
    let values = table();
    let vectors = Vectors::new(&values, 48).unwrap();
    let machine = Machine { parallel: &Backwards, ..Machine::PLAIN };
    let codec = Codec::product(48);
    let backwards = Compressed::encode(vectors, codec, machine).unwrap();
    assert!(backwards.to_bytes() == encoded(&values, 48, codec).to_bytes());
}
