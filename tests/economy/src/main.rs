//! Runs the model by hand: longer than the tests do.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command's output")]

use std::process::ExitCode;

use clap::Parser;
use economy::{Failure, double_spend, laws, mutants, ruin, steps, world::World};

#[derive(Debug, Parser)]
#[command(name = "economy", about = "The ledger beside a reference economy")]
enum Command {
    /// Random worlds with every attack, laws, ruin and hostile bytes
    Run {
        /// How many worlds
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Random steps of each
        #[arg(long, default_value_t = 200)]
        steps: u64,
    },
    /// Every planted bug, by name, and how it is found
    Mutants {
        /// How many seeds each may take
        #[arg(long, default_value_t = 6)]
        seeds: u64,
        /// Only those whose name contains this
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Double spends with f bad witnesses, and with one more
    DoubleSpend {
        /// How many, for each number of witnesses; a tenth of it with one more bad
        #[arg(long, default_value_t = 100_000)]
        attempts: u64,
    },
}

fn main() -> ExitCode {
    let good = match Command::parse() {
        Command::Run { seeds, from, steps } => (from..from + seeds).all(|seed| lives(seed, steps)),
        Command::Mutants { seeds, only } => hunt(seeds, &only),
        Command::DoubleSpend { attempts } => count(attempts),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn lives(seed: u64, count: u64) -> bool {
    let mut world = World::new(seed, [4, 1, 7][(seed % 3) as usize]);
    let result = steps::live(&mut world, count, true).and_then(|()| laws::hold(&mut world, 2));
    let result = result.and_then(|()| ruin::ruin(seed)).and_then(|()| laws::hostile(seed, 150));
    match result {
        Ok(()) => println!("seed {seed}: {} records, all checks hold", world.records.len()),
        Err(Failure { check, what }) => {
            println!("{}\n{check}: {what}", world.log.join("\n"));
            eprintln!("seed {seed}: {check} does not hold");
            return false;
        }
    }
    true
}

fn hunt(seeds: u64, only: &str) -> bool {
    let nothing = mutants::Mutant { name: "nothing planted".into(), rules: Vec::new(), defect: None };
    if let Some(found) = mutants::hunt(&nothing, 0..seeds) {
        eprintln!("nothing is planted, and seed {} finds {}: {}", found.seed, found.check, found.what);
        return false;
    }
    let (mut planted, mut missed) = (0, 0);
    for mutant in mutants::all().iter().filter(|mutant| mutant.name.contains(only)) {
        planted += 1;
        let beside: Vec<&str> = mutant.rules.iter().skip(1).map(|rule| rule.code()).collect();
        let beside = if beside.is_empty() { String::new() } else { format!(" (with {})", beside.join(", ")) };
        match mutants::hunt(mutant, 0..seeds) {
            Some(found) => {
                let what: String = found.what.chars().take(90).collect();
                let (name, what) = (&mutant.name, what.replace('\n', " "));
                println!("found   {name}{beside} | seed {} | {} | {what}", found.seed, found.check);
            }
            None => {
                missed += 1;
                println!("MISSED  {}{beside}", mutant.name);
            }
        }
    }
    println!("{planted} planted, {} found, {missed} missed", planted - missed);
    missed == 0
}

fn count(attempts: u64) -> bool {
    let mut good = true;
    for (witnesses, f) in [(4, 1), (7, 2)] {
        for bad in [f, f + 1] {
            let attempts = if bad == f { attempts } else { attempts.div_ceil(10) };
            match double_spend::count_on_all_cores(witnesses, bad, attempts) {
                Ok(count) => {
                    println!("{witnesses} witnesses, {bad} bad: {count:?}");
                    good &= if bad == f { count.succeeded == 0 } else { count.named == count.succeeded };
                }
                Err(Failure { check, what }) => {
                    eprintln!("{witnesses} witnesses, {bad} bad: {check}: {what}");
                    good = false;
                }
            }
        }
    }
    good
}
