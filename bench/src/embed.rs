//! Text in, vectors out: engines alternate over one corpus, after their answers were checked.

mod engine;

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

pub(crate) use self::engine::serve;
use self::engine::{Loaded, One, Request, Vectors};
use crate::{
    Error, chart, contest,
    corpora::Corpus,
    engines::{self, Engine, OURS, Ran, is_ours},
    records::{self, Machine, Others},
    statistics::{Summary, cosine},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Texts: builtin, short, or a file with a JSON list of strings
    #[arg(long, default_value = "builtin", value_name = "CORPUS")]
    corpus: String,
    #[command(flatten)]
    contest: contest::Args,
}

impl Args {
    /// Over the corpus this bench makes itself.
    pub(crate) fn builtin(contest: &contest::Args) -> Args {
        Args { corpus: "builtin".into(), contest: contest.clone() }
    }
}

/// Measures, prints a table, and records it where asked.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let corpus = Corpus::load(&args.corpus)?;
    let args = &args.contest;
    let mut engines = Vec::new();
    for name in names(args) {
        engines.push(Engine::start(BENCH, &name, args.threads.get())?);
    }
    let cosines = check(&mut engines, &corpus)?;
    let mut loaded: Vec<Loaded> = Vec::new();
    for engine in &mut engines {
        loaded.push(engine.ask(&Request::Load { texts: corpus.texts.clone() })?);
    }
    let tokens = loaded.first().map_or(0, |l| l.tokens);
    if let Some((engine, l)) = engines.iter().zip(&loaded).find(|(_, l)| l.tokens != tokens) {
        return Err(Error::Wrong(format!("{} counts {} tokens, not {tokens}", engine.name, l.tokens)));
    }
    let mut runs: Vec<Runs> = engines.iter().map(|_| Runs::default()).collect();
    for round in 1..=args.rounds.get() {
        eprintln!("round {round} of {}", args.rounds);
        for (engine, runs) in engines.iter_mut().zip(&mut runs) {
            records::wait_for_rest(Duration::from_secs(args.patience));
            runs.add(engine)?;
        }
    }
    let rows = engines.iter().zip(loaded).zip(&runs).zip(cosines);
    let texts = corpus.texts.len();
    let rows: Vec<Row> = rows
        .map(|(((engine, loaded), of), cosine_min)| Row {
            engine: engine.name.clone(),
            version: loaded.version,
            setting: loaded.setting,
            tokens_per_second: Summary::of(of.seconds.iter().map(|s| tokens as f64 / s)),
            texts_per_second: texts as f64 / Summary::of(of.seconds.iter().copied()).median,
            ratio: Summary::of_pairs(&of.seconds, &runs[0].seconds),
            p50_ms: Summary::of(of.p50_ms.iter().copied()),
            peak_rss_mib: engine.process().peak_rss_mib(),
            cosine_min,
            other_cores: Summary::of(of.other_cores.iter().copied()),
            seconds: of.seconds.clone(),
        })
        .collect();
    let threads = args.threads.get();
    let (name, sha256) = (corpus.name.clone(), corpus.sha256());
    let record = Record {
        date: records::today(),
        machine: Machine::describe(),
        corpus: Described { name, texts, tokens, sha256 },
        threads,
        rows,
    };
    let table = table(&record);
    print!("{table}");
    let written = records::publish(BENCH, &record, &table, &drawing(&record), args.record)?;
    println!("\nwritten to {written}.json, .md and .svg");
    Ok(())
}

/// The engines asked for, else ours and, where peers are wanted, those that can run here.
fn names(args: &contest::Args) -> Vec<String> {
    if let Some(names) = &args.engines {
        return names.clone();
    }
    let mut names = vec![OURS.to_owned()];
    for name in engines::peers(BENCH).filter(|_| args.peers) {
        match engines::missing(BENCH, name) {
            None => names.push(name.to_owned()),
            Some(reason) => eprintln!("not run: {name}: {reason}"),
        }
    }
    names
}

#[derive(Debug, Serialize)]
struct Record {
    date: String,
    machine: Machine,
    corpus: Described,
    threads: usize,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Described {
    name: String,
    texts: usize,
    tokens: usize,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct Row {
    engine: String,
    version: String,
    setting: String,
    tokens_per_second: Summary,
    texts_per_second: f64,
    /// Its time over the first engine's, round by round.
    ratio: Summary,
    /// One text of 12 tokens alone.
    p50_ms: Summary,
    peak_rss_mib: Option<f64>,
    /// To `ort-f32`, over the first texts of the corpus.
    cosine_min: Option<f64>,
    /// Cores other processes used during the runs.
    other_cores: Summary,
    seconds: Vec<f64>,
}

/// What an engine did, round by round.
#[derive(Default)]
struct Runs {
    seconds: Vec<f64>,
    p50_ms: Vec<f64>,
    other_cores: Vec<f64>,
}

impl Runs {
    fn add(&mut self, engine: &mut Engine) -> Result<(), Error> {
        let others = Others::start(engine.process());
        let ran: Ran = engine.ask(&Request::Run)?;
        self.other_cores.push(others.cores().unwrap_or(f64::NAN));
        let one: One = engine.ask(&Request::One { text: ONE_TEXT.into(), times: ONE_TIMES })?;
        self.seconds.push(ran.seconds);
        self.p50_ms.push(one.p50_ms);
        Ok(())
    }
}

/// Our engines must give the golden digest, and every engine vectors near those of `ort-f32` where it takes part.
/// Returns each engine's least cosine to it.
fn check(engines: &mut [Engine], corpus: &Corpus) -> Result<Vec<Option<f64>>, Error> {
    let golden: Vec<String> = GOLDEN_CORPUS.lines().map(str::to_owned).collect();
    let texts: Vec<String> = corpus.texts.iter().take(CHECKED_TEXTS).cloned().collect();
    let mut answers = Vec::new();
    for engine in engines.iter_mut() {
        if is_ours(&engine.name) {
            let found: Vectors = engine.ask(&Request::Embed { texts: golden.clone() })?;
            check_digest(&engine.name, &found.vectors, GOLDEN_SHA256)?;
        }
        let found: Vectors = engine.ask(&Request::Embed { texts: texts.clone() })?;
        answers.push(found.vectors);
    }
    let Some(reference) = engines.iter().position(|e| e.name.split('@').next() == Some(REFERENCE)) else {
        eprintln!("not run: cosine to {REFERENCE}, which does not take part");
        return Ok(vec![None; engines.len()]);
    };
    let least = |vectors: &Vec<Vec<f32>>, engine: &Engine| {
        let bound = if is_ours(&engine.name) { OUR_COSINE_MIN } else { PEER_COSINE_MIN };
        check_cosine(&engine.name, vectors, &answers[reference], bound).map(Some)
    };
    answers.iter().zip(engines.iter()).map(|(vectors, engine)| least(vectors, engine)).collect()
}

fn check_digest(engine: &str, vectors: &[Vec<f32>], wanted: &str) -> Result<(), Error> {
    let mut hash = Sha256::new();
    // Ours are i16 over 2^15, which f32 and JSON carry exactly.
    vectors.iter().flatten().for_each(|v| hash.update(((v * 32768.0) as i16).to_le_bytes()));
    let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    match found == wanted {
        true => Ok(()),
        false => {
            Err(Error::Wrong(format!("{engine} gives digest {found} on the golden corpus, not {wanted}")))
        }
    }
}

fn check_cosine(engine: &str, found: &[Vec<f32>], wanted: &[Vec<f32>], bound: f64) -> Result<f64, Error> {
    let cosines = found.iter().zip(wanted).map(|(a, b)| cosine(a, b));
    let least = cosines.fold(f64::INFINITY, |least, c| if c >= least { least } else { c });
    match found.len() == wanted.len() && least >= bound {
        true => Ok(least),
        false => {
            let counts = format!("{} of {} vectors", found.len(), wanted.len());
            let problem = format!("{engine} gives cosine {least} to {REFERENCE} ({counts}), below {bound}");
            Err(Error::Wrong(problem))
        }
    }
}

fn table(record: &Record) -> String {
    let Record { date, machine, corpus, threads, rows } = record;
    let Described { name, texts, tokens, .. } = corpus;
    let mut out =
        format!("{machine}\n{date}, corpus {name}: {texts} texts, {tokens} tokens, {threads} threads\n\n");
    let first = rows.first().map_or("", |r| &r.engine);
    out += &format!("| engine | setting | tokens/s | texts/s | {first} is faster by | one text, p50 ms ");
    out += "| peak RSS MiB | cosine min | other cores |\n|---|---|---|---|---|---|---|---|---|\n";
    let shown = |v: Option<f64>, digits| v.map_or("-".into(), |v| format!("{v:.digits$}"));
    for r in rows {
        out += &format!(
            "| {} | {} | {} | {:.0} | {:.2} | {:.2} | {} | {} | {:.1} |\n",
            r.engine,
            r.setting,
            r.tokens_per_second,
            r.texts_per_second,
            r.ratio,
            r.p50_ms,
            shown(r.peak_rss_mib, 0),
            shown(r.cosine_min, 5),
            r.other_cores
        );
    }
    out
}

fn drawing(record: &Record) -> String {
    let bars = record.rows.iter().map(|r| chart::Bar {
        label: r.engine.clone(),
        note: r.setting.clone(),
        value: r.tokens_per_second.median,
        low: r.tokens_per_second.min,
        high: r.tokens_per_second.max,
        ours: is_ours(&r.engine),
    });
    let title = format!("{} texts, {} tokens: tokens a second", record.corpus.texts, record.corpus.tokens);
    let groups = [chart::Group { title, bars: bars.collect() }];
    let subtitle = format!("{}, {}", record.date, record.machine);
    chart::bars(&format!("{BENCH}, {} threads", record.threads), &subtitle, &groups)
}

const BENCH: &str = "embed";
const REFERENCE: &str = "ort-f32";
const CHECKED_TEXTS: usize = 50;
const OUR_COSINE_MIN: f64 = 0.998;
/// Far below what a working int8 peer gives, far above a broken one.
const PEER_COSINE_MIN: f64 = 0.95;
/// 12 tokens.
const ONE_TEXT: &str = "The quick brown fox jumps over the lazy dog.";
const ONE_TIMES: usize = 100;
const GOLDEN_CORPUS: &str = include_str!("../../tests/golden/corpus.txt");
/// As `tests/tests/whole_model.rs` pins it.
const GOLDEN_SHA256: &str = "27a88faad3e5826f5a30b9900cfb16ab877efac588a716a449d73fbcdc03b6d0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_the_tests_pin() {
        assert!(include_str!("../../tests/tests/whole_model.rs").contains(GOLDEN_SHA256));
    }

    #[test]
    fn a_wrong_bit_fails_the_check() {
        let mut vectors = vec![vec![-1.0, 0.5], vec![0.25, 1.0 / 32768.0]];
        // SHA-256 of 00 80 00 40 00 20 01 00.
        let digest = "3667a193b07dae687d1bcdc5083ffc8ee88e67003278f5c768e46b20901cacc1";
        check_digest("ours", &vectors, digest).unwrap();
        vectors[1][1] = 2.0 / 32768.0;
        assert!(matches!(check_digest("ours", &vectors, digest), Err(Error::Wrong(_))));
    }

    #[test]
    fn a_wrong_vector_fails_the_check() {
        let wanted = vec![vec![1.0, 0.0], vec![0.0, 1.0]];
        let mut found = vec![vec![0.99, 0.01], vec![0.0, 2.0]];
        assert!(check_cosine("ours", &found, &wanted, OUR_COSINE_MIN).unwrap() > 0.999);
        assert!(check_cosine("ours", &found[..1], &wanted, OUR_COSINE_MIN).is_err(), "one is missing");
        found[1] = vec![0.1, 1.0];
        assert!(check_cosine("ours", &found, &wanted, OUR_COSINE_MIN).is_err(), "one is off");
        found[0] = vec![f32::NAN, 0.0];
        assert!(check_cosine("ours", &found, &wanted, OUR_COSINE_MIN).is_err(), "one is not a number");
    }
}
