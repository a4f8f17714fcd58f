//! Our side of the protocol of [`crate::engines`].

use std::{
    io::{BufRead, Write, stdin, stdout},
    num::NonZeroUsize,
    time::Instant,
};

use edge_net::{Device, local};
use serde::Serialize;

use crate::{
    Error,
    engines::{Loaded, OURS, One, Ran, Request, Vectors},
    level,
    statistics::Summary,
};

/// Answers requests until stdin ends.
pub(crate) fn run(name: &str, threads: NonZeroUsize) -> Result<(), Error> {
    let mut embedder = local::Embedder::open(&options(name, threads)?)?;
    let status = embedder.status();
    if !status.proved {
        return Err(Error::engine(name, "the model carries no golden self-test"));
    }
    let mut corpus = Vec::new();
    for line in stdin().lock().lines() {
        let line = line.map_err(Error::io("stdin"))?;
        match serde_json::from_str(&line).map_err(|e| Error::engine(name, e))? {
            Request::Load { texts } => {
                let tokeniser = embedder.tokeniser();
                let tokens = texts.iter().map(|t| tokeniser.encode(t).ids.len()).sum();
                corpus = texts;
                embedder.embed(&corpus)?;
                let version = format!("edge-net {}", env!("CARGO_PKG_VERSION"));
                answer(&Loaded { tokens, version, setting: status.backend.to_string() })?;
            }
            Request::Run => answer(&Ran { seconds: timed(&mut embedder, &corpus)? })?,
            Request::One { text, times } => {
                let texts = [text];
                let seconds: Result<Vec<f64>, Error> =
                    (0..times).map(|_| timed(&mut embedder, &texts)).collect();
                let warm = Summary::of(seconds?.into_iter().skip(times / 5));
                answer(&One { p50_ms: warm.median * 1e3 })?;
            }
            Request::Embed { texts } => {
                let vectors = embedder.embed(&texts)?.iter().map(local::Embedding::to_f32).collect();
                answer(&Vectors { vectors })?;
            }
        }
    }
    Ok(())
}

fn options(name: &str, threads: NonZeroUsize) -> Result<local::Options, Error> {
    let mut options = local::Options { device: Device::Cpu, threads, ..local::Options::default() };
    match name.strip_prefix(OURS).map(|rest| rest.trim_start_matches('-')) {
        Some("") => {}
        Some("gpu") => options.device = Device::Gpu,
        Some(rest) => options.level = Some(level(rest).map_err(|e| Error::engine(name, e))?),
        None => return Err(Error::engine(name, "is not one of ours")),
    }
    Ok(options)
}

fn timed(embedder: &mut local::Embedder, texts: &[String]) -> Result<f64, Error> {
    let start = Instant::now();
    embedder.embed(texts)?;
    Ok(start.elapsed().as_secs_f64())
}

fn answer(value: &impl Serialize) -> Result<(), Error> {
    let mut line =
        serde_json::to_string(value).map_err(|error| Error::Json { what: "answer".into(), error })?;
    line.push('\n');
    let mut out = stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(Error::io("stdout"))
}
