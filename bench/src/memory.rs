//! Peak memory of the command itself.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use crate::{Error, corpora::Corpus, records::Process};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Texts: builtin, short, or a file with a JSON list of strings
    #[arg(long, default_value = "builtin", value_name = "CORPUS")]
    corpus: String,
}

/// Streams the corpus through `edge-net embed --device cpu --jsonl` and fails if it needed too much.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let corpus = Corpus::load(&args.corpus)?;
    // The first run may fetch and quantise the model, which is not what is measured.
    peak(&["warm up".to_owned()])?;
    let (peak, texts) = (peak(&corpus.texts)?, corpus.texts.len());
    let unknown = || Error::engine(COMMAND, "this system does not tell the peak memory of a process");
    let peak = peak.ok_or_else(unknown)?;
    println!("edge-net embed --device cpu, {texts} texts of {}: peak RSS {peak:.1} MiB", corpus.name);
    match peak < LIMIT_MIB {
        true => Ok(()),
        false => Err(Error::Wrong(format!("peak RSS must stay below {LIMIT_MIB} MiB"))),
    }
}

/// In MiB; `None` where the system does not say, or the process ended before it was looked at.
fn peak(texts: &[String]) -> Result<Option<f64>, Error> {
    let beside = std::env::current_exe().map_err(Error::io("this command"))?.with_file_name(COMMAND);
    if !beside.exists() {
        return Err(Error::engine(COMMAND, "is not built: cargo build --release -p edge-net"));
    }
    let mut command = Command::new(beside);
    command.args(["embed", "--device", "cpu", "--jsonl", "--quiet"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(Error::io(COMMAND))?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::engine(COMMAND, "the child has no pipes"));
    };
    let process = Process(child.id());
    let (ended, mut answers) = (AtomicBool::new(false), 0);
    let (fed, peak) = thread::scope(|scope| {
        let feeder = scope.spawn(move || {
            texts.iter().try_for_each(|text| writeln!(stdin, "{}", serde_json::Value::from(text.as_str())))
        });
        // The mark only rises, so the last look before the end tells all.
        let watcher = scope.spawn(|| {
            let mut peak = None;
            while !ended.load(Ordering::Relaxed) {
                peak = process.peak_rss_mib().or(peak);
                thread::sleep(LOOK);
            }
            peak
        });
        let read = BufReader::new(stdout).lines().try_for_each(|line| line.map(|_| answers += 1));
        ended.store(true, Ordering::Relaxed);
        (read.and(joined(feeder)), joined(watcher))
    });
    let status = child.wait().map_err(Error::io(COMMAND))?;
    fed.map_err(Error::io(COMMAND))?;
    if !status.success() || answers != texts.len() {
        return Err(Error::Wrong(format!("{COMMAND}: {status}, {answers} answers to {} texts", texts.len())));
    }
    Ok(peak)
}

fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

const COMMAND: &str = "edge-net";
const LOOK: Duration = Duration::from_millis(2);
const LIMIT_MIB: f64 = 200.0;
