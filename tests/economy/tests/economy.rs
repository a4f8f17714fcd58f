//! The model in every test run: small worlds, all planted bugs, some thousand double spends.

use economy::{Failure, double_spend, laws, mutants, ruin, steps, world::World};

fn holds(world: &World, result: Result<(), Failure>) {
    if let Err(Failure { check, what }) = result {
        panic!("{}\n{check}: {what}", world.log.join("\n"));
    }
}

#[test]
fn the_economies_agree() {
    for seed in 100..106 {
        let mut world = World::new(seed, [4, 1, 7][(seed % 3) as usize]);
        let result = steps::live(&mut world, 60, true).and_then(|()| laws::hold(&mut world, 2));
        holds(&world, result);
    }
}

#[test]
fn more_bad_witnesses_than_may_be() {
    for seed in 0..2 {
        ruin::ruin(seed).unwrap_or_else(|f| panic!("seed {seed}: {}: {}", f.check, f.what));
    }
}

#[test]
fn hostile_bytes() {
    for seed in 0..6 {
        laws::hostile(seed, 100).unwrap_or_else(|f| panic!("seed {seed}: {}: {}", f.check, f.what));
    }
}

#[test]
fn every_planted_bug_is_found() {
    let nothing = mutants::Mutant { name: "nothing planted".into(), rules: Vec::new(), defect: None };
    assert!(mutants::hunt(&nothing, 0..3).is_none(), "nothing is planted, and something is found");
    let all = mutants::all();
    assert!(all.len() >= 60, "{} are planted", all.len());
    // A rule is taken away on one thread.
    let missed = |some: &[mutants::Mutant]| {
        let missed = some.iter().filter(|mutant| mutants::hunt(mutant, 0..3).is_none());
        missed.map(|mutant| mutant.name.clone()).collect::<Vec<String>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let missed: Vec<String> = std::thread::scope(|scope| {
        let part = |some| scope.spawn(move || missed(some));
        let parts: Vec<_> = all.chunks(all.len().div_ceil(threads)).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().expect("a hunt ends")).collect()
    });
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn double_spends_fail() {
    for (witnesses, f) in [(4, 1), (7, 2)] {
        let count = double_spend::count(1, witnesses, f, 600).expect("checks hold");
        assert_eq!((count.attempts, count.succeeded), (600, 0), "{count:?}");
        let count = double_spend::count(1, witnesses, f + 1, 200).expect("checks hold");
        assert!(count.succeeded > 0, "{count:?}");
        assert_eq!(count.named, count.succeeded, "{count:?}");
    }
}
