//! Engines are child processes that speak one JSON object a line, ours like the peers: the same clock, the same
//! accounting of memory, and no engine's idle threads in another's process.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, records};

/// What an engine is asked. `bench/peers/ort_peer.py` documents the answers.
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

/// The whole corpus was embedded once, text in, vectors out.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Ran {
    pub(crate) seconds: f64,
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

/// A running engine.
pub(crate) struct Engine {
    pub(crate) name: String,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Engine {
    /// Starts `edge-net`, `edge-net-LEVEL`, `edge-net-gpu`, or a peer: `ort-f32`, `ort-int8`, each with `@BATCH` to
    /// forbid the peer its own choice of batch size.
    pub(crate) fn start(name: &str, threads: usize) -> Result<Engine, Error> {
        let mut command = command(name, threads)?;
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|e| Error::engine(name, e))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::engine(name, "the child has no pipes"));
        };
        Ok(Engine { name: name.to_owned(), child, requests, answers: BufReader::new(answers) })
    }

    /// One request, one answer.
    pub(crate) fn ask<A: DeserializeOwned>(&mut self, request: &Request) -> Result<A, Error> {
        let mut line = serde_json::to_string(request).map_err(|e| Error::engine(&self.name, e))?;
        line.push('\n');
        // An engine that has ended says why on stderr; here its answer is missing, whichever pipe tells first.
        drop(self.requests.write_all(line.as_bytes()).and_then(|()| self.requests.flush()));
        line.clear();
        match self.answers.read_line(&mut line).map_err(|e| Error::engine(&self.name, e))? {
            0 => Err(Error::engine(&self.name, "ended before it answered")),
            _ => serde_json::from_str(&line)
                .map_err(|e| Error::engine(&self.name, format!("{e} in its answer"))),
        }
    }

    /// Whether it is one of ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.name.starts_with(OURS)
    }

    pub(crate) fn process(&self) -> records::Process {
        records::Process(self.child.id())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It has nothing to lose, and if it cannot be killed it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Prefix of our own engines' names.
pub(crate) const OURS: &str = "edge-net";

fn command(name: &str, threads: usize) -> Result<Command, Error> {
    if name.starts_with(OURS) {
        let mut command = Command::new(std::env::current_exe().map_err(|e| Error::engine(name, e))?);
        command.args(["serve", name, &threads.to_string()]);
        return Ok(command);
    }
    let (engine, batch) = name.split_once('@').unwrap_or((name, "auto"));
    if !PEERS.contains(&engine) {
        return Err(Error::engine(
            name,
            format!("unknown: known are {OURS}, {OURS}-LEVEL, {}", PEERS.join(", ")),
        ));
    }
    let built = root().join("target/peers");
    let python = built.join("venv/bin/python");
    if !python.exists() || !built.join("onnx/model_int8.onnx").exists() {
        return Err(Error::engine(name, "is not built: run bench/peers/setup.sh"));
    }
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(root().join("bench/peers/ort_peer.py")).args([engine, &threads.to_string()]);
    command.arg(built.join("onnx")).arg(batch);
    Ok(command)
}

/// Root of the project.
pub(crate) fn root() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.map_or_else(PathBuf::new, Path::to_owned)
}

const PEERS: [&str; 2] = ["ort-f32", "ort-int8"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_peers_read() {
        let line = serde_json::to_string(&Request::One { text: "a".into(), times: 2 }).unwrap();
        assert_eq!(line, r#"{"op":"one","text":"a","times":2}"#);
        assert_eq!(serde_json::to_string(&Request::Run).unwrap(), r#"{"op":"run"}"#);
    }

    #[test]
    fn an_unknown_engine_is_named() {
        let error = Engine::start("torch", 2).err().unwrap().to_string();
        assert!(error.starts_with("torch: unknown: known are edge-net, "), "{error}");
    }
}
