//! The ledger beside what its cryptography costs alone: certified transfers, merges, roots. One thread, in its own CPU
//! time, in one process: witnesses share one ledger and no message travels, so this is what the rules cost, not a network.

mod history;
mod primitives;
mod town;

use serde::Serialize;

use crate::{
    Error,
    chart::{self, Bar, Group},
    ledger::{history::Rates, primitives::Costs, town::Town},
    records::{self, Machine, Others, Process, thread_seconds},
    statistics::Summary,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds; everything is measured once in each
    #[arg(long, default_value = "7")]
    rounds: usize,
    /// Certified transfers a round, before each committee
    #[arg(long, default_value = "1000")]
    transfers: usize,
    /// Operations of the history that is merged
    #[arg(long, default_value = "100000")]
    operations: usize,
    /// Accounts under the root
    #[arg(long, default_value = "100000")]
    accounts: usize,
    /// Write a dated record
    #[arg(long)]
    record: bool,
}

/// Checks answers, measures in rounds, prints, and records where asked.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let others = Others::start(Process(std::process::id()));
    let mut towns = COMMITTEES.map(Town::new);
    let history = history::History::of(args.operations)?;
    let crowd = history::Crowd::of(args.accounts)?;
    let (mut costs, mut rates) = (Vec::new(), Vec::new());
    let mut transfers: [Vec<f64>; COMMITTEES.len()] = Default::default();
    for _ in 0..args.rounds.max(1) {
        let cost = primitives::measure(history.operation());
        for (town, seconds) in towns.iter_mut().zip(&mut transfers) {
            seconds.push(town.transfers(args.transfers)?);
        }
        // What is beside the transfers on both sides, so that a machine that changes its pace changes both.
        costs.push(cost.mean(&primitives::measure(history.operation())));
        rates.push(Rates { root: crowd.root(), ..history.measure()? });
    }
    let rows =
        towns.iter().zip(&transfers).map(|(town, seconds)| Transfers::of(town, seconds, &costs)).collect();
    let record = Record {
        date: records::today(),
        machine: Machine::describe(),
        other_cores: others.cores(),
        operations: history.len(),
        accounts: history.accounts(),
        root_accounts: crowd.len(),
        operation_bytes: history.operation().len(),
        sign_us: Summary::of(costs.iter().map(|c| 1e6 * c.sign)),
        verify_us: Summary::of(costs.iter().map(|c| 1e6 * c.verify)),
        hash_us: Summary::of(costs.iter().map(|c| 1e6 * c.hash)),
        transfers: rows,
        merges: merges(&rates),
        root_ms: Summary::of(rates.iter().map(|r| 1e3 * r.root)),
        refold_ms: Summary::of(rates.iter().map(|r| 1e3 * r.refold)),
    };
    let table = record.table();
    print!("{table}");
    let path = records::publish("ledger", &record, &table, &record.chart(), args.record)?;
    println!("\n{path}.json, .md, .svg");
    Ok(())
}

#[derive(Debug, Serialize)]
struct Record {
    date: String,
    machine: Machine,
    other_cores: Option<f64>,
    /// Operations of the merged history, and its accounts.
    operations: usize,
    accounts: usize,
    /// Accounts under the root that is timed.
    root_accounts: usize,
    /// Bytes of the operation whose hash is timed.
    operation_bytes: usize,
    sign_us: Summary,
    verify_us: Summary,
    hash_us: Summary,
    transfers: Vec<Transfers>,
    merges: Vec<Merge>,
    root_ms: Summary,
    refold_ms: Summary,
}

/// Certified transfers before one committee.
#[derive(Debug, Serialize)]
struct Transfers {
    witnesses: usize,
    formula: String,
    per_second: Summary,
    /// What the signatures, verifications and hashes that the protocol needs would allow, from their costs in each round.
    bound_per_second: Summary,
    of_bound: Summary,
}

/// One way to merge the history.
#[derive(Debug, Serialize)]
struct Merge {
    what: &'static str,
    per_second: Summary,
}

impl Transfers {
    fn of(town: &Town, seconds: &[f64], costs: &[Costs]) -> Transfers {
        let rates: Vec<f64> = seconds.iter().map(|s| 1.0 / s).collect();
        let needs = town.needs();
        let bounds: Vec<f64> = costs.iter().map(|cost| 1.0 / needs.seconds(cost)).collect();
        Transfers {
            witnesses: town.witnesses(),
            formula: needs.formula(),
            per_second: Summary::of(rates.iter().copied()),
            bound_per_second: Summary::of(bounds.iter().copied()),
            of_bound: Summary::of_pairs(&rates, &bounds),
        }
    }
}

fn merges(rates: &[Rates]) -> Vec<Merge> {
    let merge =
        |what, rate: fn(&Rates) -> f64| Merge { what, per_second: Summary::of(rates.iter().map(rate)) };
    vec![
        merge("own records that were decoded, no signature checked", |r| r.merge),
        merge("own records from bytes, ids hashed, no signature checked", |r| r.from_bytes),
        merge("decoding alone, ids hashed", |r| r.decode),
        merge("others' records, votes and signatures checked", |r| r.checked),
    ]
}

impl Record {
    fn table(&self) -> String {
        let others = self.other_cores.map_or("-".into(), |c| format!("{c:.1}"));
        let mut out = format!("{}\n{}; one thread in its own CPU time; ", self.machine, self.date);
        out += &format!("other processes used {others} cores\n\n| primitive | us |\n|---|---|\n");
        for (what, cost) in [("Ed25519 sign", self.sign_us), ("Ed25519 verify_strict", self.verify_us)] {
            out += &format!("| {what} | {cost:.1} |\n");
        }
        out += &format!("| SHA-256 of an operation, {} B | {:.2} |\n\n", self.operation_bytes, self.hash_us);
        out += "| witnesses | certified transfers/s | bound/s | of the bound | bound from |\n|---|---|---|---|---|\n";
        for t in &self.transfers {
            let share = Summary {
                median: 100.0 * t.of_bound.median,
                min: 100.0 * t.of_bound.min,
                max: 100.0 * t.of_bound.max,
            };
            out += &format!("| {} | {:.0} | {:.0} | ", t.witnesses, t.per_second, t.bound_per_second);
            out += &format!("{share:.0} % | {} |\n", t.formula);
        }
        out += &format!(
            "\nwitnesses share one ledger in this process; goal: {:.0} % of the bound\n\n| merge of {} operations of {} \
             accounts | operations/s |\n|---|---|\n",
            100.0 * GOAL_OF_BOUND,
            self.operations,
            self.accounts
        );
        for merge in &self.merges {
            out += &format!("| {} | {:.0} |\n", merge.what, merge.per_second);
        }
        out += &format!(
            "\ngoal: {GOAL_MERGES:.0} operations/s without signatures\n\n| whole state | ms |\n|---|---|\n"
        );
        out += &format!("| root over {} accounts | {:.1} |\n", self.root_accounts, self.root_ms);
        out + &format!("| check_refold of {} operations | {:.1} |\n", self.operations, self.refold_ms)
    }

    fn chart(&self) -> String {
        let bar = |label: String, rate: Summary, note: String, ours| Bar {
            label,
            note,
            value: rate.median,
            low: rate.min,
            high: rate.max,
            ours,
        };
        let certified = |t: &Transfers| {
            let share = format!("{:.0} % of the bound", 100.0 * t.of_bound.median);
            let of = format!("{} witness{}", t.witnesses, if t.witnesses == 1 { "" } else { "es" });
            [
                bar(of, t.per_second, share, true),
                bar("bound".into(), t.bound_per_second, t.formula.clone(), false),
            ]
        };
        let transfers = self.transfers.iter().flat_map(certified).collect();
        let merge = |m: &Merge| {
            let (label, note) = m.what.split_once(',').unwrap_or((m.what, ""));
            bar(label.to_owned(), m.per_second, note.trim().to_owned(), true)
        };
        let groups = [
            Group { title: "certified transfers a second".into(), bars: transfers },
            Group {
                title: "merged operations a second".into(),
                bars: self.merges.iter().map(merge).collect(),
            },
        ];
        chart::bars("The ledger on one thread", &format!("{}, {}", self.machine.cpu, self.date), &groups)
    }
}

/// Own CPU seconds of what it does, with what it gives.
fn timed<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let start = thread_seconds();
    let value = run();
    (thread_seconds() - start, value)
}

/// Witnesses of the committees that certify transfers.
const COMMITTEES: [usize; 2] = [1, 4];
const GOAL_OF_BOUND: f64 = 0.6;
const GOAL_MERGES: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_of_the_same_round() {
        let cost = |factor: f64| Costs { sign: 2e-5 * factor, verify: 4e-5 * factor, hash: 1e-6 * factor };
        let town = Town::new(1);
        let least = town.needs().seconds(&cost(1.0));
        let rounds = Transfers::of(&town, &[2.0 * least, 4.0 * least], &[cost(1.0), cost(2.0)]);
        assert!((rounds.of_bound.min - 0.5).abs() < 1e-9 && (rounds.of_bound.max - 0.5).abs() < 1e-9);
    }
}
