//! Our embedder as an engine, and the requests all embedders answer.

use std::{num::NonZeroUsize, time::Instant};

use edge_net::{Device, local};
use serde::{Deserialize, Serialize};

use crate::{Error, engines::OURS, engines::Ran, level, serve, statistics::Summary};

/// What an embedder is asked. `bench/peers/ort_peer.py` documents the answers.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Request {
    /// Answered by [`Loaded`].
    Load { texts: Vec<String> },
    /// Answered by [`Ran`].
    Run,
    /// Answered by [`One`].
    One { text: String, times: usize },
    /// Answered by [`Vectors`].
    Embed { texts: Vec<String> },
}

/// The corpus is in place.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Loaded {
    /// Tokens the model sees, [CLS] and [SEP] included.
    pub(crate) tokens: usize,
    pub(crate) version: String,
    /// What the engine chose for itself: a level, a batch size.
    pub(crate) setting: String,
}

/// One text was embedded many times.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct One {
    pub(crate) p50_ms: f64,
}

/// Unit vectors in the order of the texts.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Vectors {
    pub(crate) vectors: Vec<Vec<f32>>,
}

/// Answers requests until stdin ends.
pub(crate) fn serve(name: &str, threads: NonZeroUsize) -> Result<(), Error> {
    let mut embedder = local::Embedder::open(&options(name, threads)?)?;
    let status = embedder.status();
    if !status.proved {
        return Err(Error::engine(name, "the model carries no golden self-test"));
    }
    let mut corpus = Vec::new();
    serve::for_each_request(|request| match request {
        Request::Load { texts } => {
            let tokeniser = embedder.tokeniser();
            let tokens = texts.iter().map(|t| tokeniser.encode(t).ids.len()).sum();
            corpus = texts;
            embedder.embed(&corpus)?;
            let version = format!("edge-net {}", env!("CARGO_PKG_VERSION"));
            serve::answer(&Loaded { tokens, version, setting: status.backend.to_string() })
        }
        Request::Run => serve::answer(&Ran { seconds: timed(&mut embedder, &corpus)? }),
        Request::One { text, times } => {
            let texts = [text];
            let seconds: Result<Vec<f64>, Error> = (0..times).map(|_| timed(&mut embedder, &texts)).collect();
            let warm = Summary::of(seconds?.into_iter().skip(times / 5));
            serve::answer(&One { p50_ms: warm.median * 1e3 })
        }
        Request::Embed { texts } => {
            let vectors = embedder.embed(&texts)?.iter().map(local::Embedding::to_f32).collect();
            serve::answer(&Vectors { vectors })
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_peers_read() {
        let line = serde_json::to_string(&Request::One { text: "a".into(), times: 2 }).unwrap();
        assert_eq!(line, r#"{"op":"one","text":"a","times":2}"#);
        assert_eq!(serde_json::to_string(&Request::Run).unwrap(), r#"{"op":"run"}"#);
    }
}
