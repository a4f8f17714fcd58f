//! A contest: engines alternate over the cases of a bench, after every answer was checked.
//!
//! A bench is a [`Definition`]: what is measured, of whom, and what a right answer is. This module starts the engines,
//! checks, times, and writes what was found as a record (JSON), a table and a chart.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    num::NonZeroUsize,
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    Error, chart,
    engines::{self, Engine, Fields, Loaded, Ran, Request},
    records::{self, Machine, Others},
    statistics::Summary,
};

// What every bench is told. Not documentation, which would stand as each command's help; and no group, since benches
// have arguments of the same name of their own.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Run the peers that are installed beside ours
    #[arg(long)]
    pub(crate) peers: bool,
    /// Only these engines, comma-separated, and those that ratios are to
    #[arg(long, value_delimiter = ',', value_name = "ENGINES")]
    pub(crate) engines: Option<Vec<String>>,
    /// Threads of each engine
    #[arg(long, default_value = "2")]
    pub(crate) threads: NonZeroUsize,
    /// Rounds; every engine runs once a round
    #[arg(long, default_value = "5")]
    pub(crate) rounds: NonZeroUsize,
    /// Seconds to wait, at most, before each run for other processes to rest
    #[arg(long, default_value = "0", value_name = "SECONDS")]
    pub(crate) patience: u64,
    /// Write a dated record
    #[arg(long)]
    pub(crate) record: bool,
}

/// A bench.
pub(crate) trait Definition {
    /// Of the command, the record and the engines' list of peers.
    fn name(&self) -> &'static str;

    /// What is measured on, for the record: sizes, sources, checksums, peaks.
    fn subject(&self) -> Fields;

    /// What is measured, in order.
    fn cases(&self) -> Vec<Case>;

    /// What `load` carries to an engine.
    fn load(&self, engine: &str) -> Fields;

    /// What an answer shows, such as its recall, by name.
    ///
    /// # Errors
    /// [`Error::Wrong`] if it is not a right answer of this engine.
    fn check(&mut self, case: &Case, engine: &str, answer: &Value) -> Result<Facts, Error>;
}

/// What an answer shows beside the time it took.
pub(crate) type Facts = BTreeMap<&'static str, f64>;

/// One thing to do, and who does it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Such as `f32, 1000 queries a call`.
    pub(crate) id: String,
    /// What `run` and `answers` carry.
    pub(crate) fields: Fields,
    /// The engines; ratios are to the first.
    pub(crate) engines: Vec<String>,
    /// How much is done once, and of what; a rate is so much a second.
    pub(crate) work: f64,
    pub(crate) unit: &'static str,
    /// What this machine can do at most in this unit a second, and what sets that limit.
    pub(crate) peak: Option<(f64, &'static str)>,
    /// Rounds, where it takes too long for as many as the others.
    pub(crate) rounds: Option<usize>,
    /// Whether its answers are asked for; those of a build are seen in the searches after it.
    pub(crate) checked: bool,
}

impl Case {
    /// # Panics
    /// If `fields` is not a JSON object.
    pub(crate) fn new(id: impl Into<String>, fields: Value, work: f64, unit: &'static str) -> Case {
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        let id = id.into();
        Case { id, fields, work, unit, engines: Vec::new(), peak: None, rounds: None, checked: true }
    }

    /// Who does it, ours first.
    pub(crate) fn by<'a>(mut self, engines: impl IntoIterator<Item = &'a str>) -> Case {
        self.engines = engines.into_iter().map(str::to_owned).collect();
        self
    }

    /// The machine's limit, in units a second.
    pub(crate) fn peak(self, rate: Option<f64>, of: &'static str) -> Case {
        Case { peak: rate.map(|r| (r, of)), ..self }
    }

    /// As many rounds at most.
    pub(crate) fn rounds(self, rounds: usize) -> Case {
        Case { rounds: Some(rounds), ..self }
    }

    /// Its answers are those of a later case.
    pub(crate) fn unchecked(self) -> Case {
        Case { checked: false, ..self }
    }
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) bench: &'static str,
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) threads: usize,
    pub(crate) subject: Fields,
    pub(crate) rows: Vec<Row>,
    /// Engines that took no part, and why.
    pub(crate) not_run: BTreeMap<String, String>,
}

/// What one engine did in one case.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) engine: String,
    pub(crate) version: String,
    pub(crate) setting: String,
    /// `unit` a second.
    pub(crate) rate: Summary,
    pub(crate) unit: &'static str,
    /// Its time over the first engine's, round by round.
    pub(crate) ratio: Summary,
    /// Share of the machine's limit, and what sets it.
    pub(crate) of_peak: Option<(f64, &'static str)>,
    pub(crate) facts: Facts,
    /// Cores other processes used during the runs.
    pub(crate) other_cores: Summary,
    /// Of the whole engine, all cases so far.
    pub(crate) peak_rss_mib: Option<f64>,
    pub(crate) seconds: Vec<f64>,
}

/// One side of a contest.
pub(crate) trait Contestant {
    fn ask(&mut self, request: &Request) -> Result<Value, Error>;
    fn process(&self) -> records::Process;
}

impl Contestant for Engine {
    fn ask(&mut self, request: &Request) -> Result<Value, Error> {
        Engine::ask(self, request)
    }

    fn process(&self) -> records::Process {
        Engine::process(self)
    }
}

/// Runs the engines that are asked for and can run here.
pub(crate) fn measure(definition: &mut dyn Definition, args: &Args) -> Result<Record, Error> {
    let (bench, threads) = (definition.name(), args.threads.get());
    measure_with(definition, args, &mut |name| {
        Ok(Box::new(Engine::start(bench, name, threads)?) as Box<dyn Contestant>)
    })
}

type Start<'a> = &'a mut dyn FnMut(&str) -> Result<Box<dyn Contestant>, Error>;

fn measure_with(definition: &mut dyn Definition, args: &Args, start: Start) -> Result<Record, Error> {
    let mut stage = Stage { engines: BTreeMap::new(), not_run: BTreeMap::new(), args, start };
    let mut rows = Vec::new();
    for case in definition.cases() {
        let mut present = Vec::new();
        for name in &case.engines {
            let wanted =
                args.engines.as_ref().is_none_or(|e| e.contains(name) || case.engines.first() == Some(name));
            if wanted && stage.enter(definition, name)? {
                present.push(name.as_str());
            }
        }
        rows.extend(stage.play(definition, &case, &present)?);
    }
    Ok(Record {
        bench: definition.name(),
        date: records::today(),
        machine: Machine::describe(),
        threads: args.threads.get(),
        subject: definition.subject(),
        rows,
        not_run: stage.not_run,
    })
}

/// The engines that have started.
struct Stage<'a> {
    engines: BTreeMap<String, (Box<dyn Contestant>, Loaded)>,
    not_run: BTreeMap<String, String>,
    args: &'a Args,
    start: Start<'a>,
}

impl Stage<'_> {
    /// Starts an engine that has not been; whether it takes part.
    fn enter(&mut self, definition: &dyn Definition, name: &str) -> Result<bool, Error> {
        if self.not_run.contains_key(name) {
            return Ok(false);
        }
        let Entry::Vacant(place) = self.engines.entry(name.to_owned()) else { return Ok(true) };
        let named = self.args.engines.is_some();
        let reason = match engines::is_ours(name) {
            true => None,
            false if !self.args.peers && !named => Some("without --peers".to_owned()),
            // What was asked for by name fails where it is missing.
            false if named => None,
            false => engines::missing(definition.name(), name),
        };
        let mut reason = reason;
        if reason.is_none() {
            let mut engine = (self.start)(name)?;
            let loaded = engine.ask(&Request::Load(definition.load(name)))?;
            let loaded: Loaded = serde_json::from_value(loaded).map_err(|e| Error::engine(name, e))?;
            reason = loaded.absent.clone();
            if reason.is_none() {
                place.insert((engine, loaded));
                return Ok(true);
            }
        }
        let reason = reason.unwrap_or_default();
        if self.args.peers || engines::is_ours(name) {
            eprintln!("not run: {name}: {reason}");
        }
        self.not_run.insert(name.to_owned(), reason);
        Ok(false)
    }

    fn play(
        &mut self,
        definition: &mut dyn Definition,
        case: &Case,
        names: &[&str],
    ) -> Result<Vec<Row>, Error> {
        let mut facts = vec![Facts::new(); names.len()];
        if case.checked {
            for (name, facts) in names.iter().zip(&mut facts) {
                let (engine, _) = self.engine(name)?;
                let answer = engine.ask(&Request::Answers(case.fields.clone()))?;
                *facts = definition.check(case, name, &answer)?;
            }
        }
        let mut seconds = vec![Vec::new(); names.len()];
        let mut others = seconds.clone();
        let rounds = case.rounds.unwrap_or(usize::MAX).min(self.args.rounds.get());
        for round in 1..=rounds {
            eprintln!("{}: round {round} of {rounds}", case.id);
            for (at, name) in names.iter().enumerate() {
                records::wait_for_rest(Duration::from_secs(self.args.patience));
                let (engine, _) = self.engine(name)?;
                let elsewhere = Others::start(engine.process());
                let ran: Ran = serde_json::from_value(engine.ask(&Request::Run(case.fields.clone()))?)
                    .map_err(|e| Error::engine(name, e))?;
                others[at].push(elsewhere.cores().unwrap_or(f64::NAN));
                seconds[at].push(ran.seconds);
            }
        }
        let mut rows = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let (engine, loaded) = self.engine(name)?;
            let mut row = Row::new(case, name, &seconds[at], &seconds[0]);
            row.version.clone_from(&loaded.version);
            row.setting.clone_from(&loaded.setting);
            row.facts = std::mem::take(&mut facts[at]);
            row.other_cores = Summary::of(others[at].iter().copied());
            row.peak_rss_mib = engine.process().peak_rss_mib();
            rows.push(row);
        }
        Ok(rows)
    }

    fn engine(&mut self, name: &str) -> Result<&mut (Box<dyn Contestant>, Loaded), Error> {
        self.engines.get_mut(name).ok_or_else(|| Error::engine(name, "has not started"))
    }
}

impl Row {
    fn new(case: &Case, engine: &str, seconds: &[f64], first: &[f64]) -> Row {
        let rate = Summary::of(seconds.iter().map(|s| case.work / s));
        Row {
            case: case.id.clone(),
            engine: engine.to_owned(),
            version: String::new(),
            setting: String::new(),
            rate,
            unit: case.unit,
            ratio: Summary::of_pairs(seconds, first),
            of_peak: case.peak.map(|(peak, of)| (rate.median / peak, of)),
            facts: Facts::new(),
            other_cores: Summary::of([f64::NAN]),
            peak_rss_mib: None,
            seconds: seconds.to_vec(),
        }
    }
}

impl Record {
    /// What a bench found beyond its cases: each engine's rate where `fact` reaches `level`, between the cases on
    /// either side of it, round by round. Engines that never reach it are left out; ratios are to the first that does.
    pub(crate) fn interpolate(&mut self, fact: &'static str, level: f64) {
        let mut rows: Vec<Row> = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|r| r.facts.contains_key(fact)) {
            if !names.contains(&row.engine.as_str()) {
                names.push(&row.engine);
            }
        }
        for name in names {
            let mut curve: Vec<&Row> =
                self.rows.iter().filter(|r| r.engine == name && r.facts.contains_key(fact)).collect();
            curve.sort_by(|a, b| a.facts[fact].total_cmp(&b.facts[fact]));
            let Some(above) = curve.iter().position(|r| r.facts[fact] >= level) else { continue };
            let (a, b) = (curve[above.saturating_sub(1)], curve[above]);
            let span = b.facts[fact] - a.facts[fact];
            let share = if span > 0.0 { (level - a.facts[fact]) / span } else { 1.0 };
            // Times grow by factors along the curve.
            let between = |(a, b): (&f64, &f64)| (a.ln() + share * (b.ln() - a.ln())).exp();
            let seconds: Vec<f64> = a.seconds.iter().zip(&b.seconds).map(between).collect();
            let work = b.rate.median * Summary::of(b.seconds.iter().copied()).median;
            let case = Case::new(format!("at {fact} {level}"), Value::Object(Fields::new()), work, b.unit);
            let first = rows.first().map_or(seconds.clone(), |r| r.seconds.clone());
            let mut row = Row::new(&case, name, &seconds, &first);
            row.version.clone_from(&b.version);
            row.setting.clone_from(&b.setting);
            row.other_cores = b.other_cores;
            row.peak_rss_mib = b.peak_rss_mib;
            rows.push(row);
        }
        self.rows.extend(rows);
    }

    /// Prints the table; writes it with the record and the chart below `target/bench`, or as a dated record.
    pub(crate) fn publish(&self, args: &Args) -> Result<(), Error> {
        let table = self.table();
        print!("{table}");
        let written = records::publish(self.bench, self, &table, &self.chart(), args.record)?;
        println!("\nwritten to {written}.json, .md and .svg");
        Ok(())
    }

    fn table(&self) -> String {
        let Record { bench, date, machine, threads, subject, rows, not_run } = self;
        let mut out = format!("{machine}\n{date}, {bench}, {threads} threads\n");
        for (name, value) in subject {
            out += &format!("{name}: {}\n", value.as_str().map_or(value.to_string(), str::to_owned));
        }
        for (name, reason) in not_run {
            out += &format!("not run: {name}: {reason}\n");
        }
        let mut case = "";
        for r in rows {
            if r.case != case {
                case = &r.case;
                out += &format!(
                    "\n{case}\n\n| engine | {} a second | {} is faster by | of peak | ",
                    r.unit, r.engine
                );
                out += "shown | other cores | peak RSS MiB | setting |\n|---|---|---|---|---|---|---|---|\n";
            }
            let digits = if r.rate.median < 100.0 { 2 } else { 0 };
            let peak = r.of_peak.map_or("-".into(), |(share, of)| format!("{:.0} % of {of}", 100.0 * share));
            let facts: Vec<String> =
                r.facts.iter().map(|(name, v)| format!("{name} {}", shown(*v))).collect();
            let rss = r.peak_rss_mib.map_or("-".into(), |v| format!("{v:.0}"));
            out += &format!(
                "| {} | {:.digits$} | {:.2} | {peak} | {} ",
                r.engine,
                r.rate,
                r.ratio,
                facts.join(", ")
            );
            out += &format!("| {:.1} | {rss} | {}, {} |\n", r.other_cores, r.version, r.setting);
        }
        out
    }

    fn chart(&self) -> String {
        let mut groups: Vec<chart::Group> = Vec::new();
        for r in &self.rows {
            let title = format!("{}: {} a second", r.case, r.unit);
            if groups.last().is_none_or(|g| g.title != title) {
                groups.push(chart::Group { title: title.clone(), bars: Vec::new() });
            }
            let facts: Vec<String> =
                r.facts.iter().map(|(name, v)| format!("{name} {}", shown(*v))).collect();
            let bar = chart::Bar {
                label: r.engine.clone(),
                note: facts.join(", "),
                value: r.rate.median,
                low: r.rate.min,
                high: r.rate.max,
                ours: engines::is_ours(&r.engine),
            };
            groups.last_mut().into_iter().for_each(|g| g.bars.push(bar.clone()));
        }
        let title = format!("{}, {} threads", self.bench, self.threads);
        chart::bars(&title, &format!("{}, {}", self.date, self.machine), &groups)
    }
}

/// Enough digits to tell recalls apart, none too many for counts.
fn shown(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Doubles a number; who cheats is fast and wrong.
    struct Doubling;

    impl Definition for Doubling {
        fn name(&self) -> &'static str {
            "doubling"
        }

        fn subject(&self) -> Fields {
            Fields::new()
        }

        fn cases(&self) -> Vec<Case> {
            let case = |n: u32| Case::new(format!("of {n}"), json!({"n": n}), 10.0, "numbers");
            let build = case(0).by(["edge-net"]).rounds(1).unchecked();
            vec![build, case(2).by(["edge-net", "edge-net-gpu", "slow"]).peak(Some(20.0), "all")]
        }

        fn load(&self, _: &str) -> Fields {
            Fields::new()
        }

        fn check(&mut self, case: &Case, engine: &str, answer: &Value) -> Result<Facts, Error> {
            let wanted = case.fields["n"].as_f64().map(|n| 2.0 * n);
            match answer["doubled"].as_f64() {
                found if found == wanted => Ok(Facts::from([("doubled", found.unwrap_or_default())])),
                _ => Err(Error::Wrong(format!("{engine}: {answer}"))),
            }
        }
    }

    /// Takes so many seconds a run, and is `off` by so much.
    struct Fake {
        seconds: f64,
        off: f64,
        absent: Option<&'static str>,
    }

    impl Contestant for Fake {
        fn ask(&mut self, request: &Request) -> Result<Value, Error> {
            Ok(match request {
                Request::Load(_) => json!({"version": "1", "setting": "s", "absent": self.absent}),
                Request::Run(_) => json!({"seconds": self.seconds}),
                Request::Answers(f) => json!({"doubled": f["n"].as_f64().map(|n| 2.0 * n + self.off)}),
            })
        }

        fn process(&self) -> records::Process {
            records::Process(std::process::id())
        }
    }

    fn contest(off: f64, engines: Option<&[&str]>) -> Result<Record, Error> {
        let engines = engines.map(|names| names.iter().map(|n| (*n).to_owned()).collect());
        let rounds = NonZeroUsize::MIN.saturating_add(2);
        let args =
            Args { peers: false, engines, threads: NonZeroUsize::MIN, rounds, patience: 0, record: false };
        measure_with(&mut Doubling, &args, &mut |name| {
            let absent = (name == "edge-net-gpu").then_some("no GPU");
            let (seconds, off) = if name == "slow" { (2.0, off) } else { (1.0, 0.0) };
            Ok(Box::new(Fake { seconds, off, absent }))
        })
    }

    #[test]
    fn engines_are_compared_with_the_first() {
        let record = contest(0.0, Some(&["slow", "edge-net-gpu"])).unwrap();
        let found: Vec<_> = record
            .rows
            .iter()
            .map(|r| (r.case.as_str(), r.engine.as_str(), r.seconds.len(), r.ratio.median))
            .collect();
        assert_eq!(
            found,
            [("of 0", "edge-net", 1, 1.0), ("of 2", "edge-net", 3, 1.0), ("of 2", "slow", 3, 2.0)]
        );
        assert_eq!(record.rows[1].of_peak, Some((0.5, "all")));
        assert_eq!(record.rows[2].facts["doubled"], 4.0);
        assert_eq!(record.not_run["edge-net-gpu"], "no GPU");
        let (table, chart) = (record.table(), record.chart());
        assert!(
            table.contains("| slow | 5.00 (5.00..5.00) | 2.00 (2.00..2.00) | 25 % of all | doubled 4 "),
            "{table}"
        );
        assert!(table.contains("not run: edge-net-gpu: no GPU") && chart.contains(">slow<"));
    }

    #[test]
    fn a_wrong_answer_ends_the_contest() {
        let error = contest(0.5, Some(&["slow"])).err().unwrap();
        assert!(matches!(&error, Error::Wrong(what) if what.starts_with("slow: ")), "{error}");
    }

    #[test]
    fn peers_run_only_where_asked_for() {
        let record = contest(0.5, None).unwrap();
        assert_eq!(record.not_run["slow"], "without --peers");
        assert!(record.rows.iter().all(|r| r.engine == "edge-net"));
    }

    #[test]
    fn rates_between_two_cases() {
        let row = |engine: &str, recall: f64, seconds: f64| {
            let case = Case::new("c", json!({}), 100.0, "queries");
            let mut row = Row::new(&case, engine, &[seconds, seconds], &[1.0, 1.0]);
            row.facts.insert("recall", recall);
            row
        };
        let mut record = contest(0.0, None).unwrap();
        record.rows = vec![row("a", 0.9, 1.0), row("a", 1.0, 4.0), row("b", 0.95, 3.0), row("c", 0.8, 1.0)];
        record.interpolate("recall", 0.95);
        let found: Vec<_> =
            record.rows[4..].iter().map(|r| (r.engine.as_str(), r.seconds[0], r.ratio.median)).collect();
        assert_eq!(found.len(), 2, "c never reaches it");
        assert!((found[0].1 - 2.0).abs() < 1e-9 && (record.rows[4].rate.median - 50.0).abs() < 1e-6);
        assert!(found[1].0 == "b" && (found[1].1 - 3.0).abs() < 1e-9);
        assert!((found[1].2 - 1.5).abs() < 1e-9);
    }
}
