//! Planted bugs: every rule of the ledger taken away in turn, and every defect of the reference. Each must be found by a
//! check, or by an assertion of the product, within a few seeds; and with nothing planted, the same seeds must find nothing.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Once,
};

use ledger::{Rule, mutants::without};

use crate::{Failure, Outcome, defect::Defect, laws, ruin, steps, world::World};

/// Something planted.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Its name.
    pub name: String,
    /// Rules taken away.
    pub rules: Vec<Rule>,
    /// What is wrong with the reference.
    pub defect: Option<Defect>,
}

/// How it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which seed.
    pub seed: u64,
    /// Which check, or that the product asserted.
    pub check: String,
    /// What it said.
    pub what: String,
}

/// All of them.
pub fn all() -> Vec<Mutant> {
    let rules = Rule::ALL.iter().map(|rule| Mutant {
        name: rule.code().to_owned(),
        rules: [&[*rule], covering(*rule)].concat(),
        defect: None,
    });
    let defects = Defect::ALL.iter().map(|defect| Mutant {
        name: defect.text().to_owned(),
        rules: Vec::new(),
        defect: Some(*defect),
    });
    rules.chain(defects).collect()
}

/// Rules that cover another one completely, so that it is missed only without them.
fn covering(rule: Rule) -> &'static [Rule] {
    match rule {
        // The second operation for a place is the proof that stops the account.
        Rule::OneVotePerSequence => &[Rule::ForkStops],
        // With a key of low order nobody can sign that they hold it.
        Rule::KeyRegistered => &[Rule::KeyHeld],
        _ => &[],
    }
}

/// Looks for it in the worlds of some seeds.
pub fn hunt(mutant: &Mutant, seeds: std::ops::Range<u64>) -> Option<Found> {
    seeds.into_iter().find_map(|seed| {
        let result = quietly(|| catch_unwind(AssertUnwindSafe(|| planted(&mutant.rules, mutant, seed))));
        match result {
            Ok(Ok(())) => None,
            Ok(Err(Failure { check, what })) => Some(Found { seed, check: check.to_owned(), what }),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let what = text.unwrap_or_default();
                Some(Found { seed, check: "the product asserts".to_owned(), what })
            }
        }
    })
}

fn planted(rules: &[Rule], mutant: &Mutant, seed: u64) -> Outcome {
    match rules.split_first() {
        Some((rule, rest)) => without(*rule, || planted(rest, mutant, seed)),
        None => trial(seed, mutant),
    }
}

/// What every mutant must survive, and none does.
fn trial(seed: u64, mutant: &Mutant) -> Outcome {
    let mut world = World::new(seed, [1, 4, 7][(seed % 3) as usize]);
    world.strict = mutant.rules.is_empty();
    world.economy.defect = mutant.defect;
    steps::live(&mut world, 12, true)?;
    laws::hold(&mut world, 1)?;
    if mutant.defect.is_none() { ruin::ruin(seed) } else { Ok(()) }
}

/// Runs without a panic's message on the terminal.
pub fn quietly<T>(run: impl FnOnce() -> T) -> T {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = run();
    QUIET.set(before);
    result
}
