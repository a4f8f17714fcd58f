//! What verification lets through and what it costs, for every strategy of liars: counts, no times. The rules, units, weather
//! and reputation are the product's; workers and draws are made up (`network::verify::frontier` says what is taken for granted).

use network::verify::{
    frontier::{Report, STRATEGIES, World, run as live},
    policy::{Level, Options, Strategy},
};
use serde::Serialize;

use crate::{
    Error,
    chart::{self, Bar, Group},
    records,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Workers of a world
    #[arg(long, default_value = "2000")]
    workers: usize,
    /// Tasks of a world; the last fifth is counted
    #[arg(long, default_value = "200000")]
    tasks: u64,
    /// Liars, of a million workers
    #[arg(long, default_value = "200000")]
    liars_ppm: u32,
    /// Where all randomness comes from
    #[arg(long, default_value = "20261125")]
    seed: u64,
    /// Write a dated record
    #[arg(long)]
    record: bool,
}

/// Lives through a world for each strategy and level, prints, and records where asked.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let levels = [("normal", Level::Normal), ("high", Level::High)];
    let rows = levels.iter().flat_map(|level| STRATEGIES.iter().map(move |strategy| (level, strategy)));
    let rows: Vec<Row> = rows
        .map(|((level_name, level), (strategy, liars))| {
            let options = Options { strategy: Strategy::Adaptive, level: *level, hidden_rows: false };
            let world = World {
                workers: args.workers,
                tasks: args.tasks,
                liars_ppm: args.liars_ppm,
                liars: *liars,
                options,
                rows: None,
                fault: None,
                seed: args.seed,
            };
            Row::of(level_name, strategy, &world, &live(&world))
        })
        .collect();
    let record = Record {
        date: records::today(),
        workers: args.workers,
        tasks: args.tasks,
        liars_ppm: args.liars_ppm,
        seed: args.seed,
        rows,
    };
    let table = record.table();
    print!("{table}");
    let path = records::publish("frontier", &record, &table, &record.chart(), args.record)?;
    println!("\n{path}.json, .md, .svg");
    Ok(())
}

#[derive(Debug, Serialize)]
struct Record {
    date: String,
    workers: usize,
    tasks: u64,
    liars_ppm: u32,
    seed: u64,
    rows: Vec<Row>,
}

/// One strategy at one level.
#[derive(Debug, Serialize)]
struct Row {
    level: &'static str,
    strategy: &'static str,
    /// Of the last fifth of tasks, in parts of a million.
    wrong_ppm: u64,
    /// Executions and checks a task of the last fifth.
    work: f64,
    /// The same over the whole run.
    work_in_all: f64,
    /// Wrong results accepted over the whole run, in parts of a million.
    wrong_in_all_ppm: u64,
    /// Tasks without a result, over the whole run.
    undecided: u64,
    /// Wrong results that liars gave.
    lies: u64,
    liars_slashed: u64,
    honest_slashed: u64,
    honest_results: u64,
}

impl Row {
    fn of(level: &'static str, strategy: &'static str, world: &World, report: &Report) -> Row {
        Row {
            level,
            strategy,
            wrong_ppm: report.wrong_ppm(),
            work: report.work_thousandths() as f64 / 1e3,
            work_in_all: report.work_in_all as f64 / world.tasks as f64,
            wrong_in_all_ppm: report.wrong_in_all * 1_000_000 / world.tasks.max(1),
            undecided: report.undecided_in_all,
            lies: report.lies,
            liars_slashed: report.liars_slashed,
            honest_slashed: report.honest_slashed,
            honest_results: report.honest_results,
        }
    }
}

impl Record {
    fn table(&self) -> String {
        let Record { date, workers, tasks, liars_ppm, seed, rows } = self;
        let mut out = format!(
            "{date}; {workers} workers, {} % of them lie together, {tasks} tasks a world, the last fifth counted; seed {seed}\n\n\
             | level | liars | wrong, % | work a task | wrong in all, % | work in all | undecided | lies | liars slashed | honest slashed of results |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
            f64::from(*liars_ppm) / 1e4
        );
        for row in rows {
            let (wrong, in_all) = (row.wrong_ppm as f64 / 1e4, row.wrong_in_all_ppm as f64 / 1e4);
            out += &format!(
                "| {} | {} | {wrong:.3} | {:.2} | {in_all:.3} | {:.2} | ",
                row.level, row.strategy, row.work, row.work_in_all
            );
            let Row { undecided, lies, liars_slashed, honest_slashed, honest_results, .. } = row;
            out +=
                &format!("{undecided} | {lies} | {liars_slashed} | {honest_slashed} of {honest_results} |\n");
        }
        for (level, goal) in
            [("normal", "at most 1 % wrong, mean work at most 1.5"), ("high", "at most 0.2 % wrong")]
        {
            let of_level = || rows.iter().filter(|row| row.level == level);
            let worst = of_level().map(|row| row.wrong_ppm).max().unwrap_or(0) as f64 / 1e4;
            let mean = of_level().map(|row| row.work).sum::<f64>() / of_level().count().max(1) as f64;
            out += &format!("\n{level}: worst {worst:.3} % wrong, mean work {mean:.2}; goal: {goal}");
        }
        let slashed: u64 = rows.iter().map(|row| row.honest_slashed).sum();
        let results: u64 = rows.iter().map(|row| row.honest_results).sum();
        out + &format!(
            "\nhonest workers slashed: {slashed} in {results} results; goal: at most 1 in a million\n"
        )
    }

    fn chart(&self) -> String {
        let bar = |row: &Row| {
            let value = row.wrong_ppm as f64 / 1e4;
            let note = format!("work {:.2}", row.work);
            Bar { label: row.strategy.to_owned(), note, value, low: value, high: value, ours: true }
        };
        let group = |level: &str| Group {
            title: format!("{level}: wrong results accepted, %"),
            bars: self.rows.iter().filter(|row| row.level == level).map(bar).collect(),
        };
        let share = f64::from(self.liars_ppm) / 1e4;
        let subtitle = format!("{share} % of {} workers lie together; {}", self.workers, self.date);
        chart::bars("What verification lets through", &subtitle, &[group("normal"), group("high")])
    }
}
