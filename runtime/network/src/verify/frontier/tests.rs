use super::*;
use crate::verify::policy::{Level, Strategy};

const SEED: u64 = 20_261_125;

fn world(workers: usize, liars: Liars, strategy: Strategy, level: Level) -> World {
    World {
        workers,
        tasks: workers as u64 * 100,
        liars_ppm: 200_000,
        liars,
        options: Options { strategy, level, hidden_rows: false },
        rows: None,
        fault: None,
        seed: SEED,
    }
}

/// A line of the table.
#[expect(clippy::print_stderr, reason = "a table for whoever runs the test")]
fn print(name: &str, world: &World, report: &Report) {
    let percent = |count: u64, of: u64| 100.0 * count as f64 / of.max(1) as f64;
    eprintln!(
        "f {:.2} {:<28} {:<20} wrong {:>8.4} % of last fifth, {:>8.4} % of all, {:>7.3} % of worst 1/20 | work {:.3} last fifth, {:.3} all | undecided {:.3} % | lies {} | slashed {} liars, {} honest of {}",
        f64::from(world.liars_ppm) / 1e6,
        name,
        format!("{:?}/{:?}", world.options.strategy, world.options.level),
        percent(report.wrong, report.counted),
        percent(report.wrong_in_all, world.tasks),
        percent(report.wrong_in_worst_twentieth, world.tasks / 20),
        report.work_thousandths() as f64 / 1e3,
        report.work_in_all as f64 / world.tasks as f64,
        percent(report.undecided_in_all, world.tasks),
        report.lies,
        report.liars_slashed,
        report.honest_slashed,
        report.honest_results,
    );
}

fn all(workers: usize, liars_ppm: u32, strategy: Strategy, level: Level) -> Vec<Report> {
    let each = STRATEGIES.map(|(name, liars)| {
        let world = World { liars_ppm, ..world(workers, liars, strategy, level) };
        let report = run(&world);
        print(name, &world, &report);
        report
    });
    each.into()
}

#[test]
#[ignore = "minutes"]
fn the_whole_table() {
    for liars_ppm in [200_000, 350_000] {
        for (strategy, level) in [
            (Strategy::Adaptive, Level::Normal),
            (Strategy::Adaptive, Level::High),
            (Strategy::Redundant(3), Level::Normal),
            (Strategy::Redundant(1), Level::Normal),
        ] {
            all(2_000, liars_ppm, strategy, level);
        }
    }
}
